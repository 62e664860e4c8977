// How far a look is, and what went wrong, in one line at the foot of the page: with the photo, the answers and a
// few maps as soon as they are known.

import { pixelTable } from "./colors.js";
import { element, fill } from "./dom.js";
import { percent } from "./format.js";
import { paintMap } from "./paint.js";
import { errorText } from "./trouble.js";

/**
 * @typedef {Object} Glimpse of a look that is being made
 * @property {{label: string, probability: number}[]} answers
 * @property {{layer: string, channel: number, signed: boolean, rows: number, columns: number, bytes: string}[]} maps
 */

export class StatusLine {
  /** @param {() => void} onCancel */
  constructor(onCancel) {
    this.photo = element("span", { class: "seen", hidden: true });
    this.maps = element("span", { class: "seen", hidden: true });
    this.words = element("span", { class: "words" });
    this.meter = element("progress", { max: 1, value: 0, "aria-label": "how far the look is" });
    this.button = element("button", { type: "button", class: "quiet", on: { click: () => (this.node.dataset.kind === "error" ? this.clear() : onCancel()) } });
    this.node = element("div", { class: "status", role: "status", "aria-live": "polite", hidden: true }, this.photo, this.maps, this.meter, this.words, this.button);
    /** @type {Glimpse|null} */
    this.glimpse = null;
  }

  /**
   * @param {string} what
   * @param {{text: string, fraction: number, glimpse?: Glimpse}} line
   * @param {"night"|"paper"} ground
   */
  going(what, { text, fraction, glimpse }, ground) {
    if (glimpse && !this.glimpse) {
      this.glimpse = glimpse;
      fill(this.maps, ...glimpse.maps.map((map) => pictureOf(map, ground)));
      this.maps.hidden = !glimpse.maps.length;
    }
    const answers = this.glimpse?.answers.map(({ label, probability }) => `${label} ${percent(probability)}`).join(", ");
    this.show("going", "Cancel", `${what}: ${answers || text}`);
    this.meter.value = fraction;
  }

  /** The photo that is being looked at. @param {ImageBitmap} bitmap */
  looksAt(bitmap) {
    const canvas = element("canvas", { width: bitmap.width, height: bitmap.height, "aria-hidden": "true" });
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    fill(this.photo, canvas);
    this.photo.hidden = false;
  }

  error(error) {
    this.say(errorText(error));
  }

  say(text) {
    this.forget();
    this.show("error", "Close", text);
  }

  show(kind, button, text) {
    this.node.hidden = false;
    this.node.dataset.kind = kind;
    this.meter.hidden = kind !== "going";
    fill(this.words, text);
    fill(this.button, button);
  }

  clear() {
    this.node.hidden = true;
    this.forget();
  }

  forget() {
    this.glimpse = null;
    for (const part of [this.photo, this.maps]) {
      part.hidden = true;
      fill(part);
    }
  }
}

function pictureOf({ layer, channel, signed, rows, columns, bytes }, ground) {
  const canvas = element("canvas", { role: "img", "aria-label": `${layer}, channel ${channel}`, title: `${layer}, channel ${channel}` });
  const cells = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
  paintMap(canvas, cells, 0, rows, columns, pixelTable(signed, ground, 1));
  return canvas;
}

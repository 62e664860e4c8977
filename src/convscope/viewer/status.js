// How far a look is, and what went wrong, in one line at the foot of the page.

import { element, fill } from "./dom.js";
import { errorText } from "./trouble.js";

export class StatusLine {
  /** @param {() => void} onCancel */
  constructor(onCancel) {
    this.words = element("span", { class: "words" });
    this.meter = element("progress", { max: 1, value: 0, "aria-label": "how far the look is" });
    this.button = element("button", { type: "button", class: "quiet", on: { click: () => (this.node.dataset.kind === "error" ? this.clear() : onCancel()) } });
    this.node = element("div", { class: "status", role: "status", "aria-live": "polite", hidden: true }, this.meter, this.words, this.button);
  }

  going(what, { text, fraction }) {
    this.show("going", "Cancel", `${what}: ${text}`);
    this.meter.value = fraction;
  }

  error(error) {
    this.show("error", "Close", errorText(error));
  }

  say(text) {
    this.show("error", "Close", text);
    this.node.dataset.kind = "error";
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
  }
}

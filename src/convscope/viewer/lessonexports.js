// Takes a lesson away: its picture, its animation, its numbers, made by the server from what is on screen; a link.

import { element } from "./dom.js";
import { handOver } from "./exporting.js";
import { lessonErrorText } from "./lessonerrors.js";
import { said } from "./lessonwords.js";

const ITEMS = [["png", "savePicture"], ["gif", "saveAnimation"], ["webp", "saveFilm"], ["mp4", "saveMovie"], ["json", "saveNumbers"], ["csv", "saveTables"]];
/** These are of a lesson's steps. */
const MOVING = ["gif", "webp", "mp4"];

export class LessonExports {
  /**
   * @param {string} language
   * @param {(what: string) => Promise<{name: string, blob: Blob}>} file
   * @param {(() => string)|null} link
   */
  constructor(language, file, link) {
    this.language = language;
    this.file = file;
    this.buttons = new Map(ITEMS.map(([what, word]) => [what, element("button", { type: "button", data: { what }, on: { click: () => this.run(() => this.save(what)) } }, said(language, word))]));
    const copy = link ? element("button", { type: "button", data: { what: "link" }, on: { click: () => this.run(async () => {
      await navigator.clipboard.writeText(link());
      return said(language, "copied");
    }) } }, said(language, "copyLink")) : null;
    this.told = element("p", { class: "dim", role: "status" });
    this.node = element("details", { class: "menu" }, element("summary", { class: "quiet" }, said(language, "exported")),
      element("div", { class: "sheet" }, element("div", { class: "list" }, ...this.buttons.values(), copy), this.told));
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.node.open) return;
      event.stopPropagation();
      this.node.open = false;
      this.node.querySelector("summary").focus();
    });
    this.node.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.node.contains(relatedTarget)) this.node.open = false;
    });
  }

  /** @param {boolean} moving whether the lesson has steps */
  show(moving) {
    for (const what of MOVING) this.buttons.get(what).hidden = !moving;
  }

  async run(what) {
    this.told.textContent = "…";
    this.told.className = "dim";
    try {
      this.told.textContent = await what();
    } catch (error) {
      this.told.textContent = lessonErrorText(error, this.language);
      this.told.className = "warning";
    }
  }

  async save(what) {
    const { name, blob } = await this.file(what);
    handOver(blob, name);
    return said(this.language, "saved", name);
  }
}

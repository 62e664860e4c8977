// The photo with the part the model saw and the receptive field of the cell under the cursor.

import { element, fill, svg } from "./dom.js";
import { paintPhoto } from "./paint.js";

/** The photo with its overlay; a page may show several. */
class PhotoFrame {
  constructor(scene, name) {
    const { image } = scene.manifest;
    const [rows, columns] = scene.inputSize ?? [0, 0];
    const seen = boxPath(scene.onPhoto({ top: 0, left: 0, bottom: rows, right: columns }));
    this.canvas = element("canvas", { role: "img", "aria-label": `the photo ${image.name}` });
    this.casing = svg("path", { class: "casing" });
    this.box = svg("path", { class: "field" });
    this.overlay = svg("svg", { viewBox: `0 0 ${image.width} ${image.height}`, "aria-hidden": "true" },
      svg("path", { class: "shade", "fill-rule": "evenodd", d: `M0 0H${image.width}V${image.height}H0Z${seen}` }),
      svg("path", { class: "crop", d: seen }), this.casing, this.box);
    this.node = element("div", { class: `frame ${name}`, hidden: !image.photo }, this.canvas, this.overlay);
  }

  /** @param {{top: number, left: number, bottom: number, right: number}|null} box in pixels of the photo */
  mark(box) {
    const path = box ? boxPath(box) : "";
    this.box.setAttribute("d", path);
    this.casing.setAttribute("d", path);
    Object.assign(this.box.dataset, box ?? {});
  }
}

export class PhotoPanel {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.main = new PhotoFrame(context.scene, "main");
    /** Beside the map, where the page is too narrow to have the photo in sight. */
    this.inset = new PhotoFrame(context.scene, "inset");
    this.main.box.id = "field-box";
    this.caption = element("p", { class: "caption", "aria-live": "polite" });
    this.node = element("figure", { class: "photo" }, this.main.node, this.caption);
    context.state.addEventListener("point", () => this.drawField());
    context.state.addEventListener("change", () => this.drawField());
    this.drawField();
  }

  show(first) {
    const photo = first.get(this.context.scene.manifest.image.photo);
    if (!photo) return;
    for (const { canvas } of [this.main, this.inset]) paintPhoto(canvas, photo.data, photo.shape[0], photo.shape[1]);
  }

  /** The field of the cell under the cursor, else of the channel's peak. */
  drawField() {
    const { scene, state, glass } = this.context;
    const node = state.node;
    const cell = state.cell ?? glass?.rest;
    if (!scene.inputSize || node.view === "none" || (node.view === "map" && !(cell?.row >= 0))) {
      this.mark(null);
      fill(this.caption, "No receptive field is drawn for this layer.");
      return;
    }
    const { row, column } = node.view === "map" ? cell : { row: 0, column: 0 };
    const { input, photo, whole } = scene.fieldBox(node, row, column);
    this.mark(photo);
    // Without a field in closed form the op sees everything, or its windows are uneven.
    const sees = node.field ? "sees" : "may see";
    const what = node.view === "map" ? `${state.cell || state.proven ? "Cell" : "Peak"} ${row}, ${column} ${sees} ` : `Every value ${sees} `;
    const size = `${input.bottom - input.top} × ${input.right - input.left} px of the input`;
    fill(this.caption, what, element("b", {}, whole || !node.field ? "the whole input" : size));
  }

  mark(box) {
    this.main.mark(box);
    this.inset.mark(box);
  }
}

/** A closed SVG path around a box. */
export function boxPath({ top, left, bottom, right }) {
  return `M${left} ${top}H${right}V${bottom}H${left}Z`;
}

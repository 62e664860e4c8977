// The photo with the part the model saw and the receptive field of the cell under the cursor.

import { element, fill, svg } from "./dom.js";
import { paintPhoto } from "./paint.js";

export class PhotoPanel {
  constructor(context) {
    this.context = context;
    const { image } = context.scene.manifest;
    this.canvas = element("canvas", { role: "img", "aria-label": `the photo ${image.name}` });
    const [rows, columns] = context.scene.inputSize ?? [0, 0];
    const seen = context.scene.onPhoto({ top: 0, left: 0, bottom: rows, right: columns });
    this.shade = svg("path", { class: "shade", "fill-rule": "evenodd", d: `M0 0H${image.width}V${image.height}H0Z${boxPath(seen)}` });
    this.crop = svg("path", { class: "crop", d: boxPath(seen) });
    this.casing = svg("path", { class: "casing" });
    this.box = svg("path", { class: "field", id: "field-box" });
    const overlay = svg(
      "svg",
      { viewBox: `0 0 ${image.width} ${image.height}`, "aria-hidden": "true" },
      this.shade, this.crop, this.casing, this.box,
    );
    this.caption = element("p", { class: "caption", "aria-live": "polite" });
    const frame = element("div", { class: "frame", hidden: !image.photo }, this.canvas, overlay);
    this.node = element("figure", { class: "photo" }, frame, this.caption);
    context.state.addEventListener("point", () => this.drawField());
    context.state.addEventListener("change", () => this.drawField());
    this.drawField();
  }

  show(first) {
    const { image } = this.context.scene.manifest;
    const photo = first.get(image.photo);
    if (photo) paintPhoto(this.canvas, photo.data, photo.shape[0], photo.shape[1]);
  }

  /** The field of the cell under the cursor, else of the channel's peak. */
  drawField() {
    const { scene, state, glass } = this.context;
    const node = state.node;
    const cell = state.cell ?? glass?.peak;
    if (!scene.inputSize || node.view === "none" || (node.view === "map" && !(cell?.row >= 0))) {
      this.box.setAttribute("d", "");
      this.casing.setAttribute("d", "");
      fill(this.caption, "No receptive field is drawn for this layer.");
      return;
    }
    const { row, column } = node.view === "map" ? cell : { row: 0, column: 0 };
    const { input, photo, whole } = scene.fieldBox(node, row, column);
    this.box.setAttribute("d", boxPath(photo));
    this.casing.setAttribute("d", boxPath(photo));
    Object.assign(this.box.dataset, photo);
    // Without a field in closed form the op sees everything, or its windows are uneven.
    const sees = node.field ? "sees" : "may see";
    const what = node.view === "map" ? `${state.cell ? "Cell" : "Peak"} ${row}, ${column} ${sees} ` : `Every value ${sees} `;
    const size = `${input.bottom - input.top} × ${input.right - input.left} px of the input`;
    fill(this.caption, what, element("b", {}, whole || !node.field ? "the whole input" : size));
  }
}

/** A closed SVG path around a box. */
export function boxPath({ top, left, bottom, right }) {
  return `M${left} ${top}H${right}V${bottom}H${left}Z`;
}

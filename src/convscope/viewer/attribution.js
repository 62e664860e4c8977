// Where on the photo an answer comes from, drawn over it: Grad-CAM of any class at any layer with a map.

import { choiceBar } from "./choice.js";
import { colorTable } from "./colors.js";
import { element, fill, sizedCanvas } from "./dom.js";
import { plainNumber } from "./format.js";
import { errorText } from "./trouble.js";

const DENSEST = 0.88;

export class AttributionPanel {
  /** @param {{canvas: HTMLCanvasElement, overlay: SVGElement, node: HTMLElement}[]} frames the photos to draw over */
  constructor(context, frames) {
    this.context = context;
    const { predictions, softmax_of: classes } = context.scene.manifest;
    this.heats = frames.map((frame) => {
      const heat = element("canvas", { class: "heat", "aria-hidden": "true", hidden: true });
      this.lay(heat);
      frame.overlay.before(heat);
      return heat;
    });
    const option = (value, text) => element("option", { value }, text);
    this.select = element("select", { "aria-label": "class whose evidence is drawn", data: { key: "cam-class" }, on: { change: () => this.choose() } },
      option("", "nothing"), ...predictions.map(({ index, label }) => option(String(index), label)), option("other", "another class …"));
    this.number = element("input", { type: "number", min: 0, max: (classes ?? 1) - 1, step: 1, hidden: true, "aria-label": `class, 0 to ${(classes ?? 1) - 1}`, on: { change: () => this.put({ target: this.number.value }) } });
    this.where = choiceBar("layer", [
      ["last", "last map", "the last layer with rows and columns, where Grad-CAM is usually read"],
      ["this", "this layer", "the layer that is chosen"],
    ], (where) => this.put({ where }));
    this.said = element("p", { class: "dim", "aria-live": "polite" });
    this.node = element("section", { class: "attribution", "aria-label": "Grad-CAM", hidden: !predictions.length },
      element("h2", {}, "Grad-CAM over the photo"), element("div", { class: "line" }, this.select, this.number), this.where.node, this.said);
    context.keys.push({ keys: "g", press: "g", text: "Grad-CAM of the first answer over the photo, or nothing", run: () => this.put({ target: this.chosen.target === "" ? String(predictions[0]?.index ?? "") : "" }) });
    context.state.watch((detail) => {
      if (detail.has("cam") || (detail.has("layer") && this.chosen.where === "this") || detail.has("theme") || detail.has("theme-drawn")) this.show();
    });
    this.show();
  }

  /** The class in the address ("282" or "282@this"). */
  get chosen() {
    const [target = "", where = "last"] = this.context.state.cam.split("@");
    return { target: /^\d+$/.test(target) ? target : "", where: where === "this" ? "this" : "last" };
  }

  put(change) {
    const { target, where } = { ...this.chosen, ...change };
    this.context.state.update({ cam: target === "" ? "" : where === "this" ? `${target}@this` : target });
  }

  choose() {
    const other = this.select.value === "other";
    this.number.hidden = !other;
    if (other) this.number.focus();
    else this.put({ target: this.select.value });
  }

  /** The heat lies over what the model saw of the photo. */
  lay(heat) {
    const { image } = this.context.scene.manifest;
    const [rows, columns] = this.context.scene.inputSize ?? [0, 0];
    const box = this.context.scene.inputSize ? this.context.scene.onPhoto({ top: 0, left: 0, bottom: rows, right: columns }) : null;
    if (!box) return;
    heat.style.insetInlineStart = `${(100 * box.left) / image.width}%`;
    heat.style.insetBlockStart = `${(100 * box.top) / image.height}%`;
    heat.style.inlineSize = `${(100 * (box.right - box.left)) / image.width}%`;
    heat.style.blockSize = `${(100 * (box.bottom - box.top)) / image.height}%`;
  }

  async show() {
    const { state, source } = this.context;
    const { target, where } = this.chosen;
    const known = target === "" || [...this.select.options].some(({ value }) => value === target);
    this.select.value = known ? target : "other";
    this.number.hidden = known;
    if (!known) this.number.value = target;
    this.where.set(where);
    this.where.node.hidden = target === "";
    this.node.dataset.ready = "";
    const asked = `${state.cam} ${where === "this" ? state.layer : ""}`;
    this.asked = asked;
    if (target === "") {
      for (const heat of this.heats) heat.hidden = true;
      fill(this.said);
      return;
    }
    if (where === "this" && state.node.view !== "map") return this.nothing(`${state.node.name} has no rows and columns to draw.`);
    try {
      const found = await source.attribution(Number(target), where === "this" ? state.node.id : null);
      if (asked !== this.asked) return;
      this.paint(found.map);
      const most = Math.max(...found.map.flat());
      fill(this.said, `${found.label}, logit ${plainNumber(found.score)}. `, most > 0
        ? `Colour: what speaks for it at ${found.name}, up to ${plainNumber(most, 3)} logits an activation.`
        : `Nothing at ${found.name} speaks for it.`);
      this.node.dataset.ready = "true";
      this.node.dataset.name = found.name;
    } catch (error) {
      if (asked === this.asked) this.nothing(errorText(error), true);
    }
    return undefined;
  }

  nothing(text, bad = false) {
    for (const heat of this.heats) heat.hidden = true;
    fill(this.said, bad ? element("span", { class: "warning", role: "alert" }, text) : text);
  }

  paint(map) {
    const [rows, columns] = [map.length, map[0].length];
    const flat = map.flat();
    const most = Math.max(...flat) || 1;
    const table = colorTable(false, "paper");
    for (const heat of this.heats) {
      const context = sizedCanvas(heat, columns, rows);
      const image = context.createImageData(columns, rows);
      flat.forEach((value, cell) => {
        const share = Math.max(0, value) / most;
        const [red, green, blue] = table[1 + Math.round(share * 170)];
        image.data.set([red, green, blue, Math.round(255 * DENSEST * Math.min(1, share * 1.3))], cell * 4);
      });
      context.putImageData(image, 0, 0);
      heat.hidden = false;
    }
  }
}

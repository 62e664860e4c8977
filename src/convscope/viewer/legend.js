// Which range the colours span, and what its ends and its middle mean.

import { choiceBar } from "./choice.js";
import { colorTable, cssColor } from "./colors.js";
import { element, fill, sizedCanvas } from "./dom.js";
import { plainNumber, signedNumber } from "./format.js";

const STEPS = 128;

export class Legend {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.choice = choiceBar("range of the colours", [
      ["channel", "channel", "each channel by its own largest absolute value"],
      ["layer", "layer", "all channels of a layer by the layer's largest absolute value"],
      ["net", "net", "every map by the largest absolute value of the whole net"],
    ], (range) => context.state.update({ range }));
    this.low = element("span", { class: "end low" });
    this.high = element("span", { class: "end high" });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.zero = element("span", { class: "zero" }, "0");
    this.broken = element("span", { class: "broken" }, (this.swatch = element("i", {})), "not finite");
    this.node = element("div", { class: "legend", role: "group", "aria-label": "legend" },
      element("span", { class: "dim word" }, "range"), this.choice.node,
      element("span", { class: "scale" }, this.low, element("span", { class: "ramp", title: "zero is neutral, warm colours are above it, blue is below" }, this.canvas, this.zero), this.high), this.broken);
    context.state.addEventListener("change", () => this.choice.set(context.state.range));
    this.choice.set(context.state.range);
  }

  /** @param {number} scale the channel's own, for the range `channel` */
  show(node, scale) {
    const { scene, state, ground } = this.context;
    const limit = scene.limit(node, state.range, scale);
    const signed = node.signed;
    fill(this.low, signed ? signedNumber(-limit, 3) : "0");
    fill(this.high, limit ? signedNumber(limit, 3) : plainNumber(0));
    this.node.dataset.low = String(signed ? -limit : 0);
    this.node.dataset.high = String(limit);
    this.zero.hidden = !signed;
    this.swatch.style.backgroundColor = `rgb(${colorTable(signed, ground())[0].join(" ")})`;
    this.broken.hidden = !node.statistics?.not_finite;
    const context = sizedCanvas(this.canvas, STEPS, 1);
    for (let step = 0; step < STEPS; step += 1) {
      const share = step / (STEPS - 1);
      context.fillStyle = cssColor(signed, ground(), signed ? share * 2 - 1 : share);
      context.fillRect(step, 0, 1, 1);
    }
  }
}

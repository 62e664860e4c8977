// The chosen layer's name and facts, where its values come from and where they go.

import { element, fill } from "./dom.js";
import { compact, grouped, kindText, pairText, plainNumber, sizeText } from "./format.js";

const LINKS = 4;

export class LayerHead {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.name = element("h2", { tabindex: -1 });
    this.facts = element("p", { class: "layer-facts" });
    this.flow = element("p", { class: "flow" });
    this.node = element("header", { class: "layer-head" }, this.name, this.facts, this.flow);
  }

  show(node) {
    const { scene } = this.context;
    fill(this.name, node.name);
    const facts = [kindText(node.kind), sizeText(node)];
    for (const [name, value] of Object.entries(node.attributes ?? {})) {
      const plain = Array.isArray(value) && value.every((part) => part === value[0]) ? value[0] : value;
      if (!usual(name, plain)) facts.push(`${name.replaceAll("_", " ")} ${pairText(plain)}`);
    }
    if (node.parameters) facts.push(`${grouped(node.parameters)} parameters`);
    if (node.multiply_adds) facts.push(`${compact(node.multiply_adds)} multiply-adds`);
    if (node.milliseconds !== undefined && node.milliseconds !== null) facts.push(`${plainNumber(node.milliseconds, 2)} ms`);
    if (node.field) facts.push(`sees ${pairText(node.field.size)} px, every ${pairText(node.field.stride[0])}`);
    else if (node.kind !== "input" && node.view === "map") facts.push("no regular receptive field");
    fill(this.facts, ...facts.map((fact) => element("span", {}, fact)));
    const after = scene.consumers.get(node.id) ?? [];
    fill(this.flow, ...this.links("from", node.inputs), ...this.links("to", after));
    this.flow.hidden = !node.inputs.length && !after.length;
  }

  links(word, ids) {
    const { scene, state } = this.context;
    if (!ids.length) return [];
    const shown = [...new Set(ids)].slice(0, LINKS).map((id) => scene.byId.get(id)).filter(Boolean);
    const buttons = shown.map((node) => element("button", { type: "button", class: "link", on: { click: () => state.reveal(node) } }, node.name));
    const more = new Set(ids).size - shown.length;
    return [element("span", { class: "dim" }, word), ...buttons, more > 0 ? element("span", { class: "dim" }, `and ${more} more`) : null];
  }
}

/** Attributes that say nothing beyond the ordinary. */
function usual(name, value) {
  return value === null || value === false || name === "inplace" || name === "training" || (["dilation", "groups"].includes(name) && value === 1) || (["padding", "output_padding"].includes(name) && value === 0);
}

// Finds a layer by name: all words must occur in its name, kind or type.

import { element, fill } from "./dom.js";
import { kindText, sizeText } from "./format.js";

const SHOWN = 40;

/** Ops that match, those whose name starts with the text first. */
export function matchingNodes(scene, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const found = scene.nodes.filter((node) => {
    const all = `${node.name} ${kindText(node.kind)} ${node.kind} ${node.type}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
  const rank = (node) => (node.name.toLowerCase() === words[0] ? 0 : node.name.toLowerCase().startsWith(words[0]) ? 1 : 2);
  return found.map((node, place) => ({ node, place })).sort((a, b) => rank(a.node) - rank(b.node) || a.place - b.place).map(({ node }) => node);
}

export class SearchBox {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.input = element("input", {
      type: "search", placeholder: "Find a layer", "aria-label": "find a layer", role: "combobox", autocomplete: "off", spellcheck: "false",
      "aria-expanded": "false", "aria-controls": "found", "aria-autocomplete": "list",
      on: { input: () => this.find(), keydown: (event) => this.key(event), focus: () => this.find(), blur: () => setTimeout(() => this.close(), 150) },
    });
    this.list = element("ul", { class: "found", id: "found", role: "listbox", "aria-label": "layers found", hidden: true, on: { mousedown: (event) => this.press(event) } });
    this.node = element("div", { class: "search", role: "search" }, this.input, element("kbd", { "aria-hidden": "true" }, "/"), this.list);
  }

  find() {
    const all = matchingNodes(this.context.scene, this.input.value);
    this.nodes = all.slice(0, SHOWN);
    this.at = 0;
    fill(this.list, ...this.nodes.map((node, place) => element("li", { role: "option", id: `found-${place}`, data: { place } },
      element("span", { class: "name" }, node.name), element("span", { class: "dim" }, `${kindText(node.kind)}, ${sizeText(node)}`))));
    if (this.input.value.trim() && !all.length) this.list.append(element("li", { class: "dim none" }, "No layer of that name"));
    if (all.length > SHOWN) this.list.append(element("li", { class: "dim none" }, `and ${all.length - SHOWN} more`));
    this.list.hidden = !this.list.childElementCount;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.mark();
  }

  mark() {
    [...this.list.querySelectorAll("[role=option]")].forEach((item, place) => {
      item.setAttribute("aria-selected", String(place === this.at));
      if (place === this.at) item.scrollIntoView({ block: "nearest" });
    });
    if (this.nodes?.length) this.input.setAttribute("aria-activedescendant", `found-${this.at}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    event.stopPropagation();
    if (event.key === "Escape") {
      if (this.input.value) {
        this.input.value = "";
        this.find();
      } else this.leave();
    } else if (event.key === "Enter") this.go(this.nodes?.[this.at]);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const count = this.nodes?.length ?? 0;
      if (count) this.at = (this.at + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
      this.mark();
      event.preventDefault();
    }
  }

  press(event) {
    const item = event.target.closest("[role=option]");
    if (!item) return;
    event.preventDefault();
    this.go(this.nodes[Number(item.dataset.place)]);
  }

  go(node) {
    if (!node) return;
    this.context.state.reveal(node);
    this.input.value = "";
    this.leave();
    this.context.arrive();
  }

  leave() {
    this.close();
    this.input.blur();
    this.context.enterSpine();
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
  }
}

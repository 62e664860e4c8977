// The layer below: the map a cell reads from, with the window it reads.

import { pixelTable } from "./colors.js";
import { element, fill } from "./dom.js";
import { inputNames } from "./filter.js";
import { counted, grouped } from "./format.js";
import { paintMap } from "./paint.js";
import { statistic } from "./statistics.js";

const WINDOWED = /^(conv\dd|max_pool\dd|avg_pool\dd|lp_pool\dd)$/;

/**
 * Rows and columns of the layer below that a cell reads, ends exclusive, padding cut off; null where that is
 * not told by the op's attributes.
 */
export function windowBelow(node, below, row, column) {
  const size = [below.rows, below.columns];
  const at = [row, column];
  if (!WINDOWED.test(node.kind)) {
    const same = node.rows === below.rows && node.columns === below.columns;
    return same && node.kind !== "pad" ? { top: row, bottom: row + 1, left: column, right: column + 1 } : null;
  }
  const { kernel_size: kernel, stride, padding = 0, dilation = 1 } = node.attributes;
  const ends = at.map((cell, axis) => {
    const of = (value) => (Array.isArray(value) ? value[axis] ?? value[0] : value);
    const [reach, step, apart] = [of(kernel), of(stride ?? kernel), of(dilation ?? 1)];
    const span = apart * (reach - 1) + 1;
    const before = padding === "same" ? (span - 1) >> 1 : padding === "valid" ? 0 : of(padding);
    const start = cell * step - before;
    return [Math.max(0, start), Math.min(size[axis], start + span)];
  });
  if (ends.flat().some((end) => !Number.isFinite(end))) return null;
  return { top: ends[0][0], bottom: ends[0][1], left: ends[1][0], right: ends[1][1] };
}

export class BelowPanel {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.canvas = element("canvas", { role: "img" });
    this.window = element("i", { class: "cross", id: "window-below", "aria-hidden": "true" });
    this.plate = element("div", { class: "plate" }, this.canvas, this.window);
    this.said = element("figcaption", {});
    /** The layer that is drawn, the one below it, and what is drawn of that. @type {import("./types.js").SceneNode|undefined} */
    this.layer = undefined;
    /** @type {import("./types.js").SceneNode|undefined} */
    this.below = undefined;
    /** @type {import("./types.js").NumberArray["data"]|null} */
    this.maps = null;
    /** @type {import("./types.js").NumberArray["data"]|undefined} */
    this.stats = undefined;
    this.channel = 0;
    this.told = "";
    this.toldOf = "";
    this.node = element("figure", { class: "below", hidden: true, "aria-label": "the layer below" }, this.plate, this.said);
    context.shown.push((node, arrays) => {
      this.arrays = arrays;
      this.read(node);
    });
    context.refused.push(() => (this.node.hidden = true));
    context.state.addEventListener("point", () => this.point());
    context.state.watch((detail) => {
      if (detail.has("layer")) return;
      if (detail.size === 1 && detail.has("proof")) this.point();
      else this.draw();
    });
  }

  async read(node) {
    const { scene, source, state } = this.context;
    this.node.hidden = true;
    this.maps = null;
    const below = scene.byId.get(node.inputs[0]);
    if (node.view !== "map" || below?.view !== "map" || !windowBelow(node, below, 0, 0)) return;
    const arrays = await source.node(below.id).catch(() => null);
    if (node !== state.node || !arrays?.get("maps")) return;
    Object.assign(this, { layer: node, below, maps: arrays.get("maps").data, stats: arrays.get("stats").data });
    this.node.hidden = false;
    this.draw();
  }

  /** The input channel that is drawn: the channel's own, or the one its filter weighs most. */
  channelBelow() {
    const { channel } = this.context.state;
    const filters = this.arrays.get("filters");
    if (filters) return inputNames(this.layer, this.arrays, channel, filters.shape[1])[0];
    return this.below.channels === this.layer.channels ? channel : 0;
  }

  draw() {
    const { state, scene, ground } = this.context;
    if (!this.maps || this.layer !== state.node) return;
    const { rows, columns } = this.below;
    this.channel = this.channelBelow();
    const scale = statistic(this.stats, this.channel, "scale");
    const limit = scene.limit(this.below, state.range, scale);
    paintMap(this.canvas, this.maps, this.channel * rows * columns, rows, columns, pixelTable(this.below.signed, ground(), limit ? (scale * 127) / limit : 1));
    this.canvas.setAttribute("aria-label", `map of channel ${this.channel} of ${this.below.name}`);
    this.plate.style.aspectRatio = `${columns} / ${rows}`;
    this.point();
  }

  point() {
    const { state, glass } = this.context;
    const cell = state.cell ?? glass.rest;
    if (!this.maps || this.layer !== state.node || !cell) return;
    const { rows, columns } = this.below;
    const { top, left, bottom, right } = windowBelow(this.layer, this.below, cell.row, cell.column);
    Object.assign(this.window.dataset, { top, left, bottom, right });
    this.window.style.insetBlockStart = `${(100 * top) / rows}%`;
    this.window.style.insetInlineStart = `${(100 * left) / columns}%`;
    this.window.style.blockSize = `${(100 * (bottom - top)) / rows}%`;
    this.window.style.inlineSize = `${(100 * (right - left)) / columns}%`;
    this.window.classList.toggle("resting", !state.cell);
    const area = `${bottom - top} × ${right - left}`;
    const among = (this.arrays.get("filters")?.shape[1] ?? 1) > 1 ? ` of ${counted(this.below.channels / (this.layer.attributes.groups ?? 1), "channel")}` : "";
    const text = `${area}${among}`;
    if (text === this.told && this.toldOf === `${this.below.name} ${this.channel}`) return;
    [this.told, this.toldOf] = [text, `${this.below.name} ${this.channel}`];
    fill(this.said, "reads ", element("b", {}, text), " from ",
      element("button", { type: "button", class: "link", on: { click: () => this.visit() } }, this.below.name),
      element("span", { class: "dim" }, ` · drawn: channel ${grouped(this.channel)}${(this.arrays.get("filters")?.shape[1] ?? 1) > 4 && this.arrays.get("filter_inputs") ? ", the one its filter weighs most" : ""}`));
  }

  visit() {
    const { state } = this.context;
    if (this.below.groups.some((name) => !state.isOpen(name))) state.fold(this.below.groups, true);
    state.update({ layer: this.below.name, channel: this.channel });
  }
}

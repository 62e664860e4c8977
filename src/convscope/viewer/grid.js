// All channels of a layer as tiles on one canvas. Only the tiles in sight are drawn, so that
// thousands of channels scroll as lightly as eight.

import { choiceBar } from "./choice.js";
import { pixelTable } from "./colors.js";
import { element, sizedCanvas } from "./dom.js";
import { counted, plainNumber } from "./format.js";
import { paintTile, tileFit } from "./paint.js";
import { statistic } from "./statistics.js";

const GAP = 4;
/** Sides of a tile in CSS pixels: the largest with which all channels are in sight, else the last. */
const SIDES = [180, 150, 128, 112, 96, 80, 68, 58, 46, 36];

export class ChannelGrid {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.sorts = choiceBar("order of the channels", [
      ["index", "index", "in the network's order"],
      ["strongest", "strongest", "largest absolute value first"],
      ["varied", "most varied", "largest standard deviation first"],
    ], (sort) => context.state.update({ sort }));
    this.title = element("h3", {});
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.spacer = element("div", { class: "spacer" });
    this.option = element("div", { role: "option", id: "grid-option", class: "unseen", "aria-selected": "true" });
    this.view = element("div", {
      class: "tiles", role: "listbox", tabindex: 0, "aria-label": "channels", "aria-activedescendant": "grid-option",
      on: {
        scroll: () => this.soon(), keydown: (event) => this.key(event), click: (event) => this.click(event),
        mousemove: (event) => this.hover(event), mouseleave: () => this.leave(),
      },
    }, this.canvas, this.spacer, this.option);
    this.tip = element("span", { class: "dim tip" });
    this.node = element("section", { class: "grid", "aria-label": "channels of the layer" },
      element("header", {}, this.title, this.tip, this.sorts.node), this.view);
    new ResizeObserver(() => this.arrange()).observe(this.view);
    context.state.watch((detail) => {
      this.sorts.set(context.state.sort);
      if (detail.has("sort")) this.order();
      if (detail.has("channel") && !detail.has("layer")) this.follow();
      if (!detail.has("layer") && !(detail.size === 1 && detail.has("proof"))) this.soon();
    });
    this.sorts.set(context.state.sort);
  }

  /** @param {Map<string, any>} arrays of the op */
  show(node, arrays) {
    this.layer = node;
    this.maps = arrays.get("maps")?.data;
    this.stats = arrays.get("stats")?.data;
    this.node.hidden = node.view !== "map" || !this.maps;
    if (this.node.hidden) return;
    this.title.textContent = counted(node.channels, "channel");
    this.view.dataset.channels = String(node.channels);
    this.order();
    this.arrange();
    this.follow();
  }

  order() {
    if (!this.layer) return;
    const { channels } = this.layer;
    this.sorted = Array.from({ length: channels }, (_, channel) => channel);
    const { sort } = this.context.state;
    const key = (channel) => statistic(this.stats, channel, sort === "varied" ? "deviation" : "scale");
    if (sort !== "index" && this.stats) this.sorted.sort((a, b) => key(b) - key(a) || a - b);
    this.place = new Map(this.sorted.map((channel, place) => [channel, place]));
    this.soon();
  }

  arrange() {
    if (!this.layer || this.node.hidden || !this.view.clientWidth) return;
    const { rows, columns, channels } = this.layer;
    this.ratio = Math.max(1, Math.min(2, Math.round(devicePixelRatio)));
    const width = this.view.clientWidth * this.ratio;
    const height = this.view.clientHeight * this.ratio;
    const sides = channels > 600 ? SIDES.slice(-1) : channels > 160 ? SIDES.slice(0, -1) : SIDES.slice(0, -2);
    let lines = 0;
    for (const side of sides) {
      this.fit = tileFit(rows, columns, side * this.ratio);
      this.cellWidth = Math.max(20 * this.ratio, this.fit.width) + GAP * this.ratio;
      this.cellHeight = Math.max(20 * this.ratio, this.fit.height) + GAP * this.ratio;
      this.across = Math.max(1, Math.floor(width / this.cellWidth));
      lines = Math.ceil(channels / this.across);
      if (lines * this.cellHeight <= height) break;
    }
    this.spacer.style.blockSize = `${(lines * this.cellHeight) / this.ratio}px`;
    this.soon();
  }

  soon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  draw() {
    if (!this.maps || this.node.hidden || !this.across || !this.view.clientWidth) return;
    const { scene, state, ground } = this.context;
    const { rows, columns } = this.layer;
    const width = Math.round(this.view.clientWidth * this.ratio);
    const height = Math.max(1, Math.round(this.view.clientHeight * this.ratio));
    this.canvas.style.inlineSize = `${width / this.ratio}px`;
    this.canvas.style.blockSize = `${height / this.ratio}px`;
    const context = sizedCanvas(this.canvas, width, height);
    const image = context.createImageData(width, height);
    const target = new Uint32Array(image.data.buffer);
    const top = Math.round(this.view.scrollTop * this.ratio);
    const firstPlace = Math.floor(top / this.cellHeight) * this.across;
    const lastPlace = Math.min(this.sorted.length, (Math.ceil((top + height) / this.cellHeight) + 1) * this.across);
    for (let place = firstPlace; place < lastPlace; place += 1) {
      const channel = this.sorted[place];
      const scale = statistic(this.stats, channel, "scale");
      const limit = scene.limit(this.layer, state.range, scale);
      const pixels = pixelTable(this.layer.signed, ground(), limit ? (scale * 127) / limit : 1);
      const { left, above } = this.corner(place);
      paintTile(target, width, left, above - top, this.fit, this.maps, channel * rows * columns, rows, columns, pixels);
    }
    context.putImageData(image, 0, 0);
    this.outline(context, top, state.channel, 2);
    this.strike(context, top, firstPlace, lastPlace);
    if (this.under !== undefined && this.under !== state.channel) this.outline(context, top, this.under, 1);
  }

  /** Crosses out what is switched off or scaled. */
  strike(context, top, firstPlace, lastPlace) {
    const { switched } = this.context;
    if (!switched) return;
    const { name } = this.layer;
    const whole = switched(name) !== 1;
    context.lineWidth = this.ratio * 1.5;
    context.strokeStyle = getComputedStyle(this.view).getPropertyValue("--warning");
    for (let place = firstPlace; place < lastPlace; place += 1) {
      if (!whole && switched(name, this.sorted[place]) === 1) continue;
      const { left, above } = this.corner(place);
      context.beginPath();
      context.moveTo(left, above - top + this.fit.height);
      context.lineTo(left + this.fit.width, above - top);
      context.stroke();
    }
  }

  corner(place) {
    return {
      left: (place % this.across) * this.cellWidth + this.ratio * 2,
      above: Math.floor(place / this.across) * this.cellHeight + this.ratio * 2,
    };
  }

  outline(context, top, channel, weight) {
    const place = this.place.get(channel);
    if (place === undefined) return;
    const { left, above } = this.corner(place);
    const out = (this.ratio * weight) / 2;
    context.lineWidth = this.ratio * weight;
    context.strokeStyle = getComputedStyle(this.view).getPropertyValue("--accent");
    context.strokeRect(left - out, above - top - out, this.fit.width + 2 * out, this.fit.height + 2 * out);
  }

  /** Channel and cell under the mouse. */
  at(event) {
    if (!this.across) return null;
    const box = this.view.getBoundingClientRect();
    const x = (event.clientX - box.left) * this.ratio;
    const y = (event.clientY - box.top + this.view.scrollTop) * this.ratio;
    const column = Math.floor(x / this.cellWidth);
    const place = Math.floor(y / this.cellHeight) * this.across + column;
    if (column < 0 || column >= this.across || place < 0 || place >= this.sorted.length) return null;
    const { left, above } = this.corner(place);
    const { grow, shrink } = this.fit;
    const clamp = (value, count) => Math.min(count - 1, Math.max(0, Math.floor((value / grow) * shrink)));
    return { channel: this.sorted[place], row: clamp(y - above, this.layer.rows), column: clamp(x - left, this.layer.columns) };
  }

  hover(event) {
    const cell = this.at(event);
    if (!cell) return this.leave();
    if (this.under !== cell.channel) this.soon();
    this.under = cell.channel;
    this.tip.textContent = this.said(cell.channel);
    this.context.state.point(cell);
    return undefined;
  }

  leave() {
    if (this.under === undefined) return;
    this.under = undefined;
    this.tip.textContent = "";
    this.context.state.point(null);
    this.soon();
  }

  said(channel) {
    const scale = statistic(this.stats, channel, "scale");
    return scale === 0 ? `channel ${channel}, silent on this image` : `channel ${channel}, largest ${plainNumber(statistic(this.stats, channel, "maximum"))}`;
  }

  click(event) {
    const cell = this.at(event);
    if (!cell) return;
    if (event.shiftKey && this.context.toggle) this.context.toggle(cell.channel);
    else this.context.state.update({ channel: cell.channel });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor((this.view.clientHeight * this.ratio) / this.cellHeight)) * this.across;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.across, ArrowDown: this.across,
      PageUp: -page, PageDown: page, Home: -this.sorted.length, End: this.sorted.length,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    const now = this.place.get(this.context.state.channel) ?? 0;
    const next = Math.min(this.sorted.length - 1, Math.max(0, now + steps[event.key]));
    this.context.state.update({ channel: this.sorted[next] });
  }

  /** Keeps the chosen channel in sight. */
  follow() {
    const place = this.place?.get(this.context.state.channel);
    if (place === undefined || !this.across) return;
    this.option.textContent = `${this.said(this.sorted[place])}, ${place + 1} of ${this.sorted.length}`;
    const above = this.corner(place).above / this.ratio;
    const below = above + this.cellHeight / this.ratio;
    if (above < this.view.scrollTop) this.view.scrollTop = above - 4;
    else if (below > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = below - this.view.clientHeight;
    this.soon();
  }
}

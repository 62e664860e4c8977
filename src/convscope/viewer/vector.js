// Layers without rows and columns: a list of values as a picture of cells, the logits as a plot.

import { cssColor, pixelTable } from "./colors.js";
import { element, fill, sizedCanvas } from "./dom.js";
import { counted, grouped, signedNumber } from "./format.js";
import { paintMap } from "./paint.js";
import { statistic } from "./statistics.js";

const LISTED = 8;

export class VectorGlass {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.title = element("h3", {});
    this.canvas = element("canvas", { role: "img" });
    this.cross = element("i", { class: "cross", "aria-hidden": "true" });
    this.marks = element("div", { class: "marks" });
    this.plate = element("div", {
      class: "plate vector", tabindex: 0,
      on: { mousemove: (event) => this.hover(event), mouseleave: () => this.say(this.context.state.channel), click: (event) => this.click(event), keydown: (event) => this.key(event) },
    }, this.canvas, this.cross, this.marks);
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    /** Lines and columns the values are drawn in. */
    this.rows = 1;
    this.columns = 1;
    this.note = element("p", { class: "dim" });
    this.ends = element("div", { class: "ends" });
    this.node = element("section", { class: "glass", "aria-label": "the values" }, element("header", {}, this.title), this.plate, this.readout, this.note, this.ends);
    context.state.watch((detail) => {
      if (!detail.has("layer") && !(detail.size === 1 && detail.has("proof"))) this.draw();
    });
    new ResizeObserver(() => this.isPlot && this.draw()).observe(this.plate);
  }

  /** What the last layer's values are. */
  get outputText() {
    const { scores_are: scores = "logits" } = this.context.scene.manifest;
    return scores === "logits" ? " · the output, before softmax" : ` · the output, after ${scores}`;
  }

  show(node, arrays, logits) {
    this.layer = node;
    this.maps = arrays.get("maps")?.data;
    this.stats = arrays.get("stats")?.data;
    this.node.hidden = node.view !== "vector";
    this.isPlot = !this.node.hidden && this.context.scene.isLogits(node);
    this.exact = this.isPlot && logits ? logits.data : null;
    this.draw();
  }

  value(channel) {
    return this.exact ? this.exact[channel] : this.stats ? statistic(this.stats, channel, "maximum") : null;
  }

  /** About twice as wide as high, without a ragged last line where that can be. */
  shape(count) {
    let best = Math.ceil(Math.sqrt(count * 2));
    for (let columns = Math.round(Math.sqrt(count)); columns <= Math.ceil(Math.sqrt(count) * 3); columns += 1) {
      if (count % columns === 0 && (count % best || Math.abs(columns - Math.sqrt(count * 2)) < Math.abs(best - Math.sqrt(count * 2)))) best = columns;
    }
    return { rows: Math.ceil(count / best), columns: best };
  }

  draw() {
    const { state, ground, legend } = this.context;
    const node = this.layer;
    if (!node || node !== state.node || node.view !== "vector") return;
    const count = node.channels;
    const { rows, columns } = this.shape(count);
    Object.assign(this, { rows, columns });
    fill(this.title, counted(count, "value"), element("span", { class: "dim" }, this.isPlot ? this.outputText : ` · drawn ${columns} × ${rows}, line by line`));
    this.plate.hidden = !this.stats && !this.exact;
    this.plate.classList.toggle("plot", this.isPlot);
    this.plate.style.aspectRatio = this.isPlot ? "auto" : `${columns} / ${rows}`;
    fill(this.marks);
    legend.show(node, 0);
    if (this.plate.hidden) return fill(this.readout, "The values of this layer were left out of this report.");
    if (this.isPlot) this.plot();
    else {
      const bytes = new Uint8Array(rows * columns).fill(128);
      if (this.maps) bytes.set(this.maps.subarray(0, count));
      paintMap(this.canvas, bytes, 0, rows, columns, pixelTable(node.signed, ground(), 1));
    }
    this.canvas.setAttribute("aria-label", `${count} values of ${node.name}`);
    const broken = node.statistics?.not_finite ?? 0;
    this.fillEnds(count);
    this.note.textContent = broken ? `${counted(broken, "value")} not finite` : "";
    return this.say(state.channel);
  }

  /** The largest and the smallest values, by channel. */
  fillEnds(count) {
    const finite = Array.from({ length: count }, (_, channel) => channel).filter((channel) => Number.isFinite(this.value(channel)));
    finite.sort((a, b) => this.value(b) - this.value(a) || a - b);
    const shown = Math.min(LISTED, Math.ceil(finite.length / 2));
    const list = (title, channels) => element("section", {}, element("h3", {}, title), element("ol", {}, ...channels.map((channel) =>
      element("li", {}, element("button", { type: "button", class: "link", on: { click: () => this.context.state.update({ channel }) } }, this.nameOf(channel)),
        element("span", { class: "value" }, signedNumber(this.value(channel), 4))))));
    fill(this.ends, list("Largest", finite.slice(0, shown)), list("Smallest", finite.slice(-shown).reverse()));
  }

  nameOf(channel) {
    const known = this.isPlot ? this.context.scene.manifest.predictions.find(({ index }) => index === channel)?.label : null;
    return `${this.isPlot ? "class" : "channel"} ${grouped(channel)}${known ? `, ${known}` : ""}`;
  }

  plot() {
    const ratio = Math.max(1, Math.round(devicePixelRatio));
    const width = Math.max(100, this.plate.clientWidth * ratio);
    const height = Math.max(80, this.plate.clientHeight * ratio);
    const context = sizedCanvas(this.canvas, width, height);
    context.clearRect(0, 0, width, height);
    const count = this.layer.channels;
    const values = Array.from({ length: count }, (_, channel) => this.value(channel)).map((value) => (Number.isFinite(value) ? value : 0));
    const low = Math.min(0, ...values);
    const high = Math.max(0, ...values);
    const margin = 22 * ratio;
    const place = (value) => margin + ((high - value) / (high - low || 1)) * (height - 2 * margin);
    const largest = Math.max(Math.abs(low), Math.abs(high)) || 1;
    values.forEach((value, channel) => {
      const left = (channel * width) / count;
      context.fillStyle = cssColor(true, this.context.ground(), (value < 0 ? -0.25 : 0.25) + (0.75 * value) / largest);
      context.fillRect(left, Math.min(place(0), place(value)), Math.max(ratio, width / count - 0.5), Math.abs(place(value) - place(0)));
    });
    context.fillStyle = getComputedStyle(this.canvas).color;
    context.fillRect(0, Math.round(place(0)), width, ratio);
    this.labels(values, width / ratio, (value) => place(value) / ratio);
  }

  /** Names the top answers beside their bars, each where there is room. */
  labels(values, width, place) {
    const used = [];
    for (const { index, label } of this.context.scene.manifest.predictions) {
      if (index >= values.length) continue;
      const x = ((index + 0.5) * width) / values.length;
      let y = place(values[index]) - 9;
      while (used.some((other) => Math.abs(other - y) < 15)) y += 15;
      used.push(y);
      const mark = element("span", { class: x > width * 0.6 ? "mark left" : "mark" }, label);
      mark.style.insetInlineStart = `${x}px`;
      mark.style.insetBlockStart = `${y}px`;
      this.marks.append(mark);
    }
  }

  say(channel) {
    const value = this.value(channel);
    fill(this.readout, element("span", { class: "where" }, this.nameOf(channel)),
      element("output", { data: { exact: String(value) }, title: String(value) }, value === null ? "" : signedNumber(value, 5)));
    this.cross.hidden = false;
    const [left, top, width, height] = this.isPlot
      ? [channel / this.layer.channels, 0, 1 / this.layer.channels, 1]
      : [(channel % this.columns) / this.columns, Math.floor(channel / this.columns) / this.rows, 1 / this.columns, 1 / this.rows];
    this.cross.style.insetInlineStart = `${left * 100}%`;
    this.cross.style.insetBlockStart = `${top * 100}%`;
    this.cross.style.inlineSize = `${width * 100}%`;
    this.cross.style.blockSize = `${height * 100}%`;
  }

  at(event) {
    const box = this.plate.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    const channel = this.isPlot
      ? Math.floor(across * this.layer.channels)
      : Math.floor(down * this.rows) * this.columns + Math.floor(across * this.columns);
    return Math.min(this.layer.channels - 1, Math.max(0, channel));
  }

  hover(event) {
    this.say(this.at(event));
  }

  click(event) {
    this.context.state.update({ channel: this.at(event), ...(this.context.prove ? { proof: "value" } : {}) });
  }

  key(event) {
    if (this.context.prove && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      event.stopPropagation();
      this.context.prove(null);
      return;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const { state } = this.context;
    state.update({ channel: Math.min(this.layer.channels - 1, Math.max(0, state.channel + step)) });
  }
}

// One channel under the glass: its map large, the cell under the cursor, its numbers, its filter.

import { pixelTable } from "./colors.js";
import { element, fill } from "./dom.js";
import { filterFigure } from "./filter.js";
import { counted, grouped, percent, plainNumber, signedNumber } from "./format.js";
import { drawHistogram } from "./histogram.js";
import { paintMap } from "./paint.js";
import { channelStatistics } from "./statistics.js";

export class MapGlass {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.canvas = element("canvas", { role: "img" });
    this.cross = element("i", { class: "cross", "aria-hidden": "true" });
    this.plate = element("div", {
      class: "plate", tabindex: 0, id: "plate",
      on: {
        mousemove: (event) => this.hover(event), mouseleave: () => context.state.point(null),
        keydown: (event) => this.key(event), blur: () => context.state.point(null), click: () => this.prove(),
        // Between pressing and letting go there is time to ask.
        pointerdown: ({ pointerType }) => pointerType === "mouse" && context.state.cell && context.foresee?.(context.state.cell),
      },
    }, this.canvas, this.cross);
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    this.title = element("h3", {});
    this.said = element("p", { class: "said" });
    this.table = element("dl", { class: "statistics" });
    this.histogram = element("canvas", { class: "histogram", role: "img", "aria-label": "histogram of the channel's values" });
    this.histogramNote = element("p", { class: "dim" });
    this.filter = element("div", { class: "filter" });
    const button = (text, label, by) => element("button", { type: "button", "aria-label": label, title: label, on: { click: () => this.turn(by) } }, text);
    this.node = element("section", { class: "glass", "aria-label": "the channel" },
      element("header", {}, this.title, this.said, button("‹", "previous channel ([)", -1), button("›", "next channel (])", 1)),
      element("div", { class: "bench" },
        (this.stage = element("div", { class: "stage" }, this.plate, this.readout)),
        element("div", { class: "numbers" }, this.table, this.histogram, this.histogramNote, this.filter)));
    context.state.addEventListener("point", () => this.point());
    context.state.watch((detail) => {
      if (detail.has("layer")) return;
      // A proof changes which cell is marked, and nothing else of the channel.
      if (detail.size === 1 && detail.has("proof")) this.point();
      else this.draw();
    });
  }

  show(node, arrays) {
    this.layer = node;
    this.arrays = arrays;
    this.node.hidden = node.view !== "map";
    this.draw();
  }

  /** The exact numbers of one channel by name, or nothing where the scene has none. */
  numbers(channel) {
    const stats = this.arrays?.get("stats")?.data;
    return stats ? channelStatistics(stats, channel) : null;
  }

  get peak() {
    const numbers = this.layer === this.context.state.node && this.layer.view === "map" ? this.numbers(this.context.state.channel) : null;
    return numbers?.row >= 0 ? { row: numbers.row, column: numbers.column } : null;
  }

  /** The cell that is marked while the cursor is elsewhere: the one whose proof is open, else the peak. */
  get rest() {
    return this.context.state.proven ?? this.peak;
  }

  /** Opens the arithmetic of the cell under the cursor, or says where it is to be had. */
  prove() {
    const { state, prove } = this.context;
    const cell = state.cell ?? this.rest;
    if (!cell) return;
    if (prove) prove(cell);
    else fill(this.said, "Exact terms of a cell need the live page: ", element("code", {}, "convscope serve"));
  }

  draw() {
    const { scene, state, ground } = this.context;
    const node = this.layer;
    if (!node || node !== state.node || node.view !== "map") return;
    const { channel } = state;
    const { rows, columns } = node;
    const numbers = this.numbers(channel);
    const maps = this.arrays.get("maps")?.data;
    fill(this.title, "Channel ", element("b", {}, channel), element("span", { class: "dim" }, ` of ${grouped(node.channels)}`));
    this.canvas.setAttribute("aria-label", `map of channel ${channel}, ${rows} by ${columns} cells`);
    this.plate.style.aspectRatio = `${columns} / ${rows}`;
    this.plate.hidden = !maps || !numbers;
    if (!numbers) return fill(this.readout, "The values of this layer were left out of this report.");
    const limit = scene.limit(node, state.range, numbers.scale);
    const gain = limit ? (numbers.scale * 127) / limit : 1;
    if (maps) paintMap(this.canvas, maps, channel * rows * columns, rows, columns, pixelTable(node.signed, ground(), gain));
     else fill(this.readout, "The maps of this layer were left out of this report; its numbers are below.");
    const broken = maps ? countBytes(maps, channel * rows * columns, rows * columns, 0) : 0;
    const off = (this.context.switched?.(node.name, channel) ?? 1) * (this.context.switched?.(node.name) ?? 1) === 0;
    this.said.textContent = off ? "switched off" : remark(numbers, broken);
    this.said.classList.toggle("warning", broken > 0);
    this.fillTable(numbers, broken);
    this.histogram.hidden = !maps || numbers.minimum === numbers.maximum;
    if (!this.histogram.hidden) drawHistogram(this.histogram, maps, channel * rows * columns, rows * columns, numbers, node.signed, ground(), gain);
    this.histogramNote.hidden = this.histogram.hidden;
    this.histogramNote.textContent = numbers.zeros > 0 ? "Without the exact zeros." : "";
    fill(this.filter, filterFigure(this.context, node, this.arrays, channel));
    this.context.legend.show(node, numbers.scale);
    return this.point();
  }

  fillTable(numbers, broken) {
    const rows = [
      ["minimum", signedNumber(numbers.minimum, 5)], ["maximum", signedNumber(numbers.maximum, 5)],
      ["mean", signedNumber(numbers.mean, 5)], ["deviation", plainNumber(numbers.deviation, 5)],
      ["zeros", percent(numbers.zeros)], ["peak", numbers.row >= 0 ? `row ${numbers.row}, column ${numbers.column}` : "none"],
    ];
    if (broken) rows.push(["not finite", counted(broken, "value")]);
    fill(this.table, ...rows.flatMap(([name, text]) => [
      element("dt", {}, name === "zeros" ? "exactly zero" : name),
      element("dd", { data: { statistic: name, exact: String(numbers[name] ?? "") }, title: name in numbers ? String(numbers[name]) : null }, text),
    ]));
  }

  /** Shows the value of the cell under the cursor, or of the peak. */
  point() {
    const { source, state } = this.context;
    const node = this.layer;
    const maps = this.arrays?.get("maps")?.data;
    if (!node || node !== state.node || node.view !== "map" || !maps) return;
    const cell = state.cell ?? this.rest;
    const channel = state.cell?.channel ?? state.channel;
    const numbers = this.numbers(channel);
    this.cross.hidden = true;
    fill(this.readout);
    if (!cell || !numbers) return;
    const { rows, columns } = node;
    const inChannel = channel === state.channel;
    const byte = maps[channel * rows * columns + cell.row * columns + cell.column];
    const value = (byte - 128) * numbers.scale;
    const atPeak = byte !== 0 && cell.row === numbers.row && cell.column === numbers.column;
    const extreme = Math.abs(numbers.maximum) >= Math.abs(numbers.minimum) ? numbers.maximum : numbers.minimum;
    // Exact are peaks, and values a host has asked for.
    const exact = atPeak ? extreme : this.context.exactValue?.(node.id, channel, cell) ?? null;
    const text = byte === 0 ? "not finite" : exact !== null ? signedNumber(exact, 5) : value === 0 ? "0" : `≈ ${signedNumber(value, 3)}`;
    fill(this.readout,
      element("span", { class: "where" }, `${inChannel ? "" : `channel ${channel}, `}row ${cell.row}, column ${cell.column}`),
      element("output", { title: exact !== null ? "exact" : source.origin(node.id) }, text),
      element("span", { class: "dim" }, atPeak ? "the peak" : ""));
    this.cross.hidden = !inChannel;
    this.cross.classList.toggle("resting", !state.cell);
    this.cross.style.insetInlineStart = `${(100 * cell.column) / columns}%`;
    this.cross.style.insetBlockStart = `${(100 * cell.row) / rows}%`;
    this.cross.style.inlineSize = `${100 / columns}%`;
    this.cross.style.blockSize = `${100 / rows}%`;
  }

  hover(event) {
    const box = this.plate.getBoundingClientRect();
    const inside = (at, from, length, count) => Math.min(count - 1, Math.max(0, Math.floor(((at - from) / length) * count)));
    this.context.state.point({
      channel: this.context.state.channel,
      row: inside(event.clientY, box.top, box.height, this.layer.rows),
      column: inside(event.clientX, box.left, box.width, this.layer.columns),
    });
  }

  key(event) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      this.prove();
      return;
    }
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const { state } = this.context;
    const cell = state.cell ?? this.rest ?? { row: 0, column: 0 };
    const moved = (at, by, count) => Math.min(count - 1, Math.max(0, at + by));
    state.point({ channel: state.channel, row: moved(cell.row, step[0], this.layer.rows), column: moved(cell.column, step[1], this.layer.columns) });
  }

  turn(by) {
    const { state } = this.context;
    const { channels } = state.node;
    if (channels) state.update({ channel: (state.channel + by + channels) % channels });
  }
}

function remark({ scale, minimum, maximum }, broken) {
  if (broken) return `${counted(broken, "value")} not finite`;
  if (scale === 0) return "silent on this image";
  return minimum === maximum ? `constant: every value is ${signedNumber(minimum)}` : "";
}

function countBytes(bytes, start, length, wanted) {
  let count = 0;
  for (let place = start; place < start + length; place += 1) if (bytes[place] === wanted) count += 1;
  return count;
}

// A convolution step by step: the window on the input, the products, the sum, the cell it fills. Every number
// is of the server's own convolution; here it is only shown.

import { element, fill } from "./dom.js";
import { plainNumber } from "./format.js";
import { cellNumber, paintCells } from "./lessonpaint.js";
import { provedIn, said } from "./lessonwords.js";
import { ProofPanel } from "./proof.js";

/** Channels whose windows are drawn, and planes of input and result. */
const MOST_CHANNELS = 3;
const MOST_PLANES = 4;
const SPEEDS = [0.5, 1, 2, 4, 8, 16];
const SUM_DIGITS = 10;
/** CSS pixels of a cell. */
const CELL = { plane: 46, matrix: 42, least: 3 };
/** CSS pixels that the signs between the matrices take, and the most a plane and a window may be high. */
const SIGNS = 62;
const PLANE = 420;
const WINDOW = 200;

/**
 * @typedef {Object} PlayerContext
 * @property {() => "night"|"paper"} ground
 * @property {() => string} language
 * @property {(name: string) => string} color of the page, by its name in the style sheet
 * @property {(first: number) => Promise<import("./lessonanswer.js").Steps>} steps
 * @property {(step: number) => Promise<any>} proof the arithmetic of a step
 * @property {(step: number, settled: boolean) => void} stepped
 */
export class LessonPlayer {
  /** @param {PlayerContext} context */
  constructor(context) {
    this.context = context;
    this.index = 0;
    this.speed = 2;
    this.timer = 0;
    /** @type {Map<number, Promise<import("./lessonanswer.js").Steps>>} */
    this.chunks = new Map();
    const button = (key, run) => element("button", { type: "button", class: "quiet", data: { key }, on: { click: run } }, element("i", { "aria-hidden": "true" }));
    this.buttons = {
      first: button("first", () => this.go(0)), back: button("back", () => this.go(this.index - 1)),
      play: button("play", () => this.toggle()), step: button("step", () => this.go(this.index + 1)),
    };
    this.scrub = element("input", { type: "range", min: 0, value: 0, class: "scrub", on: { input: () => this.go(Number(this.scrub.value)) } });
    this.count = element("output", { class: "count" });
    this.speedChoice = element("select", { on: { change: () => this.setSpeed(Number(this.speedChoice.value)) } });
    this.speedLabel = element("label", { class: "speed" });
    this.inputs = new PlaneRow();
    this.results = new PlaneRow();
    this.matrices = element("div", { class: "products" });
    this.total = element("p", { class: "total" });
    this.verdict = element("p", { class: "torch" });
    this.proofTitle = element("summary");
    this.panel = new ProofPanel({
      value: (step) => context.proof(step), go: () => {}, found: () => {}, opened: () => {}, back: () => {}, close: () => (this.proof.open = false),
      ground: context.ground, factor: () => 1, readers: () => [], whose: "torch", say: (text, ...places) => provedIn(context.language(), text, ...places),
    });
    this.proof = element("details", { class: "stepproof", on: { toggle: () => this.prove() } }, this.proofTitle, this.panel.node);
    this.node = element("section", { class: "player", on: { keydown: (event) => this.key(event) } },
      element("div", { class: "stage" }, this.inputs.node, element("div", { class: "middlepart" }, this.matrices, this.total, this.verdict), this.results.node),
      element("div", { class: "transport" }, this.buttons.first, this.buttons.back, this.buttons.play, this.buttons.step, this.scrub, this.count, this.speedLabel),
      this.proof);
    new ResizeObserver(() => this.played && this.draw()).observe(this.node);
  }

  /** @param {import("./lessonanswer.js").Played} played @param {boolean} photo whether the input is a picture in colour */
  show(played, photo) {
    this.played = played;
    this.photo = photo;
    this.chunks = new Map([[0, Promise.resolve(played.steps)]]);
    this.steps = played.steps;
    this.index = Math.min(this.index, played.count - 1);
    this.scrub.max = String(played.count - 1);
    this.ranges = rangesOf(played, photo);
    this.speak();
    this.draw();
    this.go(this.index, false);
  }

  /** Words in the language chosen. */
  speak() {
    const language = this.context.language();
    const name = (node, words) => {
      node.title = words;
      node.setAttribute("aria-label", words);
    };
    name(this.buttons.first, said(language, "first"));
    name(this.buttons.back, said(language, "back"));
    name(this.buttons.step, said(language, "step"));
    name(this.buttons.play, said(language, this.timer ? "pause" : "play"));
    this.buttons.play.dataset.playing = String(Boolean(this.timer));
    this.buttons.play.setAttribute("aria-pressed", String(Boolean(this.timer)));
    name(this.scrub, said(language, "scrub"));
    fill(this.speedChoice, ...SPEEDS.map((speed) => element("option", { value: speed, selected: speed === this.speed }, `${speed} / s`)));
    this.speedChoice.title = said(language, "perSecond");
    fill(this.speedLabel, element("span", { class: "dim" }, said(language, "speed")), " ", this.speedChoice);
    fill(this.proofTitle, said(language, "proof"));
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.timer) this.play();
  }

  toggle() {
    if (this.timer) this.pause();
    else this.play();
  }

  play() {
    clearInterval(this.timer);
    if (this.index >= this.played.count - 1) this.go(0);
    this.timer = setInterval(() => (this.index < this.played.count - 1 ? this.go(this.index + 1, true, false) : this.pause()), 1000 / this.speed);
    this.speak();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.speak();
    this.context.stepped(this.index, true);
    this.prove();
  }

  /** For good: another lesson comes. */
  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.proof.open = false;
  }

  key(event) {
    if (event.target.matches("input, select, summary") || event.target.closest("details") || event.ctrlKey || event.metaKey || event.altKey) return;
    const run = { ArrowLeft: () => this.go(this.index - 1), ArrowRight: () => this.go(this.index + 1), Home: () => this.go(0), End: () => this.go(this.played.count - 1) }[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  }

  /** @param {number} index @param {boolean} [told] whether the address is to hear of it @param {boolean} [settled] whether it stays there */
  async go(index, told = true, settled = true) {
    const { count } = this.played;
    this.index = Math.min(count - 1, Math.max(0, index));
    if (told) this.context.stepped(this.index, settled);
    const steps = await this.chunk(this.index);
    if (steps) this.steps = steps;
    this.drawStep();
    if (settled) this.prove();
    // The next ones are asked for before they are needed.
    if (this.timer) this.chunk(Math.min(count - 1, this.index + 64));
  }

  chunk(index) {
    const size = this.played.steps.sum.length || 1;
    const first = Math.floor(index / size) * size;
    if (!this.chunks.has(first)) {
      const asked = this.context.steps(first);
      asked.catch(() => this.chunks.delete(first));
      this.chunks.set(first, asked);
    }
    return this.chunks.get(first).catch(() => null);
  }

  /** The numbers of the step that is shown. */
  get step() {
    const { played, index, steps } = this;
    const [maps, rows, columns] = played.maps.shape;
    const channel = Math.floor(index / (rows * columns));
    const [row, column] = [Math.floor((index % (rows * columns)) / columns), index % columns];
    const [, each, high, wide] = played.kernel.shape;
    const first = Math.floor(channel / (maps / played.groups)) * each;
    const [, tall, broad] = played.padded.shape;
    const matrices = Array.from({ length: each }, (_, c) => {
      const values = [];
      const kernel = [];
      for (let r = 0; r < high; r += 1) {
        for (let k = 0; k < wide; k += 1) {
          const [down, across] = [row * played.stride[0] + r * played.dilation[0], column * played.stride[1] + k * played.dilation[1]];
          values.push(played.padded.data[((first + c) * tall + down) * broad + across]);
          kernel.push(played.kernel.data[((channel * each + c) * high + r) * wide + k]);
        }
      }
      return { values, kernel, products: values.map((value, at) => value * kernel[at]) };
    });
    const place = index - steps.first;
    return { channel, row, column, first, each, high, wide, matrices, sum: steps.sum[place], sums: steps.sums[place] ?? [], bias: steps.bias[place], output: steps.output[place], agrees: steps.agrees[place] };
  }

  draw() {
    const { played, context } = this;
    const language = context.language();
    const [channels, tall, broad] = played.padded.shape;
    const [maps, rows, columns] = played.maps.shape;
    const spread = played.spread.some((n) => n > 1);
    const padded = tall !== played.image[0] || broad !== played.image[1];
    const size = (r, c) => `, ${r} × ${c}`;
    const shownInputs = this.photo ? 1 : Math.min(channels, MOST_PLANES);
    const shownResults = Math.min(maps, MOST_PLANES);
    const few = (shown, all) => (shown < all ? `, ${said(language, "moreMaps", shown, all)}` : "");
    this.inputs.prepare(shownInputs, tall, broad, said(language, spread ? "spread" : padded ? "padded" : "input") + size(tall, broad) + (this.photo ? "" : few(shownInputs, channels)));
    this.results.prepare(shownResults, rows, columns, said(language, "result") + size(rows, columns) + few(shownResults, maps));
    const colors = { line: context.color("--strong-line"), paper: context.color("--sunk"), ink: context.color("--soft"), ground: context.ground() };
    const inside = insideOf(played);
    this.inputs.planes.forEach((plane, channel) => plane.paint({
      ...colors, values: played.padded.data.subarray(channel * tall * broad, (channel + 1) * tall * broad), rows: tall, columns: broad, role: "grey", low: this.ranges.input[0], high: this.ranges.input[1],
      faded: (row, column) => !inside(row, column), colors: this.photo ? photoColors(played) : undefined, paper: context.color("--paper"),
    }));
    this.drawStep();
  }

  drawStep() {
    const { played, context, ranges, index } = this;
    const [, rows, columns] = played.maps.shape;
    const language = context.language();
    const colors = { line: context.color("--strong-line"), paper: context.color("--sunk"), ground: context.ground() };
    if (index < this.steps.first || index >= this.steps.first + this.steps.sum.length) return;
    const step = this.step;
    const cells = rows * columns;
    this.results.planes.forEach((plane, map) => plane.paint({
      ...colors, values: played.maps.data.subarray(map * cells, (map + 1) * cells), rows, columns, role: "signed", low: -ranges.result, high: ranges.result,
      filled: Math.max(0, Math.min(cells, index + 1 - map * cells)),
    }));
    this.results.frame((map) => (map === step.channel ? { top: step.row, left: step.column, rows: 1, columns: 1 } : null));
    const window = { top: step.row * played.stride[0], left: step.column * played.stride[1], rows: played.window[0], columns: played.window[1] };
    this.inputs.frame((channel) => (this.photo || (channel >= step.first && channel < step.first + step.each) ? window : null), dilatedCells(played, window));
    this.drawProducts(step, colors);
    this.drawSum(step, language);
    this.scrub.value = String(index);
    this.scrub.setAttribute("aria-valuetext", said(language, "stepOf", index + 1, played.count));
    fill(this.count, said(language, "stepOf", index + 1, played.count));
    this.buttons.first.disabled = this.buttons.back.disabled = index === 0;
    this.buttons.step.disabled = index === played.count - 1;
    this.node.dataset.step = String(index);
  }

  /** Lays something over the image in the first input plane. @param {HTMLElement} node */
  overlay(node) {
    const [plane] = this.inputs.planes;
    const { offset, image } = this.played;
    plane.extra = node;
    if (node.parentNode !== plane.node) plane.node.append(node);
    lay(node, { top: offset[0], left: offset[1], rows: image[0], columns: image[1] }, plane.cell);
  }

  drawProducts(step, colors) {
    const language = this.context.language();
    const { kernel: strongest, input, product } = this.ranges;
    const shown = step.matrices.slice(0, MOST_CHANNELS);
    if (this.matrices.childElementCount !== shown.length + (step.each > shown.length ? 1 : 0) || this.matrices.dataset.language !== language) {
      this.matrices.dataset.language = language;
      const head = ["window", "kernel", "products"];
      fill(this.matrices, ...shown.map((_, place) => element("div", { class: "line" }, ...head.flatMap((word, part) => [
        part ? element("span", { class: "sign", "aria-hidden": "true" }, part === 1 ? "×" : "=") : null,
        element("figure", {}, place ? null : element("figcaption", {}, said(language, word)), element("canvas", { role: "img", "aria-label": said(language, word) })),
      ].filter(Boolean)), step.each > 1 ? element("output") : null)), step.each > shown.length ? element("p", { class: "dim" }, said(language, "more", step.each - shown.length)) : null);
    }
    const room = Math.max(120, (this.matrices.clientWidth || 460) - SIGNS);
    const cell = Math.max(CELL.least, Math.min(CELL.matrix, Math.floor(room / 3 / step.wide), Math.floor(WINDOW / step.high)));
    shown.forEach((matrix, place) => {
      const line = this.matrices.children[place];
      const what = { ...colors, rows: step.high, columns: step.wide, cell };
      const [window, kernel, products] = line.querySelectorAll("canvas");
      paintCells(window, { ...what, values: matrix.values, role: "grey", low: input[0], high: input[1] });
      paintCells(kernel, { ...what, values: matrix.kernel, role: "signed", low: -strongest, high: strongest });
      paintCells(products, { ...what, values: matrix.products, role: "signed", low: -product, high: product });
      const sum = line.querySelector("output");
      if (sum) fill(sum, `${said(language, "channel")} ${step.first + place}: ${sumText(step.sums[place])}`);
    });
  }

  drawSum(step, language) {
    const terms = step.each > 1 ? step.sums : step.matrices[0].products;
    const written = terms.length <= 25 ? terms.map((term, place) => (place ? (term < 0 ? `− ${cellNumber(-term, 5)}` : `+ ${cellNumber(term, 5)}`) : cellNumber(term, 5))).join(" ") : "";
    fill(this.total, element("span", { class: "dim" }, `${said(language, "sum")} = `), written ? element("span", { class: "written" }, `${written} = `) : null,
      element("b", { data: { sum: String(step.sum) } }, sumText(step.sum)),
      step.bias ? element("span", {}, ` ${step.bias < 0 ? "−" : "+"} ${sumText(Math.abs(step.bias))} (${said(language, "bias")}) = `, element("b", { data: { output: String(step.output) } }, sumText(step.output))) : null);
    fill(this.verdict, element("span", { class: step.agrees ? "agrees" : "differs" }, step.agrees ? "✓ " : "✗ ", said(language, step.agrees ? "agrees" : "differs"), `: ${sumText(step.output)}`));
  }

  /** The same component that proves the values of real networks. */
  prove() {
    if (!this.proof.open || this.timer || !this.played) return;
    const { channel, row, column } = this.step;
    this.panel.show({ id: this.index, name: said(this.context.language(), "result") }, channel, { row, column });
  }
}

/** A sum with all its figures, up to ten, and no more. @param {number} value */
function sumText(value) {
  return Number.isFinite(value) && !Number.isInteger(value) && Math.abs(value) >= 1e-4 ? String(Number(value.toPrecision(SUM_DIGITS))).replace("-", "\u2212") : plainNumber(value, SUM_DIGITS);
}

/** Planes of one size side by side, each with a frame that moves over it. */
class PlaneRow {
  constructor() {
    this.caption = element("figcaption");
    this.grid = element("div", { class: "planes" });
    this.node = element("figure", { class: "planerow" }, this.caption, this.grid);
    /** @type {Plane[]} */
    this.planes = [];
  }

  prepare(count, rows, columns, caption) {
    if (this.planes.length !== count) {
      this.planes = Array.from({ length: count }, () => new Plane());
      fill(this.grid, ...this.planes.map(({ node }) => node));
      this.grid.classList.toggle("several", count > 1);
    }
    fill(this.caption, caption);
    const room = this.node.clientWidth || 300;
    const each = count > 1 ? room / 2 - 8 : room;
    const cell = Math.max(CELL.least, Math.min(CELL.plane, Math.floor(each / columns), Math.floor(PLANE / (count > 2 ? 2 : 1) / rows)));
    for (const [place, plane] of this.planes.entries()) {
      plane.cell = cell;
      plane.canvas.setAttribute("aria-label", count > 1 ? `${caption}: ${place}` : caption);
    }
  }

  frame(of, cells = []) {
    this.planes.forEach((plane, place) => plane.frame(of(place), cells));
  }
}

class Plane {
  constructor() {
    this.canvas = element("canvas", { role: "img" });
    this.window = element("i", { class: "windowframe" });
    this.node = element("div", { class: "plane" }, this.canvas, this.window);
    this.cell = 10;
    this.spots = [];
    /** @type {HTMLElement|null} */
    this.extra = null;
  }

  paint(what) {
    paintCells(this.canvas, { ...what, cell: this.cell });
  }

  frame(box, cells) {
    this.window.hidden = !box;
    const spots = box && this.cell >= 8 ? cells : [];
    if (this.spots.length !== spots.length) {
      this.spots = spots.map(() => element("i", { class: "spot" }));
      fill(this.node, this.canvas, ...this.spots, this.window, this.extra);
    }
    spots.forEach((spot, at) => lay(this.spots[at], spot, this.cell));
    if (box) lay(this.window, box, this.cell);
  }
}

function lay(node, { top, left, rows, columns }, cell) {
  Object.assign(node.style, { insetBlockStart: `${top * cell}px`, insetInlineStart: `${left * cell}px`, blockSize: `${rows * cell}px`, inlineSize: `${columns * cell}px` });
}

/** The cells a dilated window reads. @param {import("./lessonanswer.js").Played} played */
function dilatedCells({ dilation, kernel: { shape } }, { top, left }) {
  const [, , high, wide] = shape;
  if (dilation[0] === 1 && dilation[1] === 1) return [];
  return Array.from({ length: high * wide }, (_, at) => ({ top: top + Math.floor(at / wide) * dilation[0], left: left + (at % wide) * dilation[1], rows: 1, columns: 1 }));
}

/** Which padded cells are of the image itself. @param {import("./lessonanswer.js").Played} played */
function insideOf({ offset, spread_image: inner, spread, origins }) {
  const [rows, columns] = inner;
  return (row, column) => row >= offset[0] && row < offset[0] + rows && column >= offset[1] && column < offset[1] + columns
    && (spread.every((n) => n === 1) || (origins[0][row] >= 0 && origins[1][column] >= 0));
}

/** @param {import("./lessonanswer.js").Played} played */
function photoColors({ padded: { shape, data } }) {
  const [, rows, columns] = shape;
  const cells = rows * columns;
  return Array.from({ length: cells }, (_, at) => [0, 1, 2].map((channel) => Math.round(Math.min(255, Math.max(0, data[channel * cells + at])))));
}

/**
 * Values at the ends of the colours, the same as in the exported animation.
 * @param {import("./lessonanswer.js").Played} played @param {boolean} photo
 */
function rangesOf({ padded, kernel, maps, offset, spread_image: inner }, photo) {
  const [high, wide] = inner;
  const [channels, rows, columns] = padded.shape;
  let low = Infinity;
  let top = -Infinity;
  for (let at = 0; at < channels * rows * columns; at += 1) {
    const [row, column] = [Math.floor(at / columns) % rows, at % columns];
    const value = padded.data[at];
    if (row < offset[0] || row >= offset[0] + high || column < offset[1] || column >= offset[1] + wide || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    top = Math.max(top, value);
  }
  const input = photo || (low >= 0 && top > 32 && top <= 255) ? [0, 255] : low <= top ? [low, top] : [0, 1];
  const largest = (data) => data.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0) || 1;
  const strongest = largest(kernel.data);
  return { input, kernel: strongest, result: largest(maps.data), product: Math.max(Math.abs(input[0]), Math.abs(input[1])) * strongest || 1 };
}

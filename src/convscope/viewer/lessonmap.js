// One map of a lesson: its picture, what is marked on it, its colours' range, and the cell under the cursor.

import { element, fill, sizedCanvas, svg } from "./dom.js";
import { plainNumber, signedNumber } from "./format.js";
import { paintCells, paintLessonMap, roleTable, valueAt } from "./lessonpaint.js";
import { said } from "./lessonwords.js";

const TONES = { accent: "#ffc107", second: "#00b8d4", faint: "#969896" };
/** A map is at most so many rem high; less where it has few cells, and no numbers in them. */
const TALLEST = 22;
const COARSE = 13;

export class MapFigure {
  /** @param {{ground: () => "night"|"paper", language: () => string, color: (name: string) => string}} context */
  constructor(context) {
    this.context = context;
    this.caption = element("figcaption");
    this.canvas = element("canvas", { role: "img" });
    this.marks = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.labels = element("div", { class: "marklabels", "aria-hidden": "true" });
    this.plate = element("div", {
      class: "mapplate", tabindex: 0,
      on: { pointermove: (event) => this.hover(event), pointerleave: () => this.point(null), blur: () => this.point(null), keydown: (event) => this.key(event) },
    }, this.canvas, this.marks, this.labels);
    this.ramp = element("canvas", { "aria-hidden": "true" });
    this.low = element("span");
    this.high = element("span");
    this.range = element("p", { class: "maprange" }, this.low, this.ramp, this.high);
    this.readout = element("output", { class: "mapreadout" });
    this.node = element("figure", { class: "lessonmap" }, this.caption, this.plate, element("div", { class: "mapfoot" }, this.range, this.readout));
    /** @type {import("./lessonanswer.js").LessonMap|null} */
    this.map = null;
    this.cell = null;
  }

  /** @param {import("./lessonanswer.js").LessonMap} map */
  show(map) {
    this.map = map;
    const [rows, columns] = map.shape;
    const { ground, language, color } = this.context;
    this.node.dataset.role = map.role;
    fill(this.caption, map.caption[language()]);
    this.canvas.setAttribute("aria-label", `${map.caption[language()]}: ${said(language(), "mapOf", rows, columns)}`);
    const grows = columns < 128 && rows < 128;
    const coarse = grows && !map.cells && map.role !== "rgb";
    this.plate.style.inlineSize = `min(100%, ${((coarse ? COARSE : map.cells ? Math.min(TALLEST, 2.9 * rows) : TALLEST) * columns) / rows}rem)`;
    this.plate.style.aspectRatio = `${columns} / ${rows}`;
    this.canvas.classList.toggle("cells", grows);
    if (map.cells && !(map.array.data instanceof Uint8Array)) this.write(color);
    else if (map.role !== "rgb" || this.painted !== map.array) {
      this.canvas.style.inlineSize = this.canvas.style.blockSize = "";
      paintLessonMap(this.canvas, map, ground());
    }
    this.painted = map.array;
    this.mark();
    const bar = map.role === "signed" || map.role === "sequential";
    this.range.hidden = !bar;
    if (bar) this.drawRange();
    this.point(null);
  }

  /** The numbers themselves in the cells; as large as there is room. */
  write(color) {
    const { shape: [rows, columns], array: { data }, role, range: [low, high] } = this.map;
    const room = this.plate.clientWidth || 300;
    const cell = Math.max(4, room / columns);
    paintCells(this.canvas, { values: data, rows, columns, role, low, high, ground: this.context.ground(), cell, line: color("--strong-line"), paper: color("--paper") });
    this.canvas.style.inlineSize = this.canvas.style.blockSize = "100%";
  }

  mark() {
    const { shape: [rows, columns], marks } = this.map;
    this.marks.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    const shapes = [];
    const labels = [];
    for (const { kind, top, left, bottom, right, tone, label } of marks) {
      const color = TONES[tone] ?? TONES.accent;
      if (kind === "cross") {
        const sign = element("i", { class: "marksign" });
        place(sign, (top + bottom) / 2 / rows, (left + right) / 2 / columns);
        sign.style.setProperty("--tone", color);
        labels.push(sign);
      } else {
        const box = { x: left, y: top, width: right - left, height: bottom - top, fill: "none", "vector-effect": "non-scaling-stroke" };
        shapes.push(svg("rect", { ...box, class: "casing" }), svg("rect", { ...box, stroke: color, "stroke-width": 2 }));
      }
      if (label && kind !== "cross") {
        const text = element("b", {}, label);
        // Where there is no room below a box its label stands above.
        text.classList.toggle("over", bottom / rows > 0.88);
        place(text, (bottom / rows > 0.88 ? top : bottom) / rows, left / columns);
        text.style.backgroundColor = color;
        labels.push(text);
      }
    }
    fill(this.marks, ...shapes);
    fill(this.labels, ...labels);
  }

  drawRange() {
    const { role, range: [low, high] } = this.map;
    const table = roleTable(role, this.context.ground());
    const context = sizedCanvas(this.ramp, 255, 1);
    const image = context.createImageData(255, 1);
    for (let place = 0; place < 255; place += 1) image.data.set([...table[place + 1], 255], place * 4);
    context.putImageData(image, 0, 0);
    fill(this.low, role === "signed" ? signedNumber(low, 3) : plainNumber(low, 3));
    fill(this.high, role === "signed" ? signedNumber(high, 3) : plainNumber(high, 3));
  }

  hover(event) {
    const { left, top, width, height } = this.plate.getBoundingClientRect();
    const [rows, columns] = this.map.shape;
    const [row, column] = [Math.floor(((event.clientY - top) / height) * rows), Math.floor(((event.clientX - left) / width) * columns)];
    this.point(row >= 0 && column >= 0 && row < rows && column < columns ? [row, column] : null);
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || event.target !== this.plate || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [rows, columns] = this.map.shape;
    const [row, column] = this.cell ?? [0, 0];
    this.point([Math.min(rows - 1, Math.max(0, row + step[0])), Math.min(columns - 1, Math.max(0, column + step[1]))]);
  }

  /** @param {number[]|null} cell row and column */
  point(cell) {
    this.cell = cell;
    if (!cell || !this.map) {
      fill(this.readout);
      return;
    }
    const { value, exact } = valueAt(this.map, cell[0], cell[1]);
    const words = this.context.language();
    const where = `${said(words, "row")} ${cell[0]}, ${said(words, "column")} ${cell[1]}`;
    fill(this.readout, value === null ? where : `${where}: ${exact ? "" : "≈ "}${signedNumber(value, exact ? 6 : 3)}`);
  }
}

function place(node, down, across) {
  node.style.insetBlockStart = `${100 * down}%`;
  node.style.insetInlineStart = `${100 * across}%`;
}

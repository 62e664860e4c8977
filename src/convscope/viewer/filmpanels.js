// Parts of the film: a square of tiles, and the curves along which the slider runs.

import { element } from "./dom.js";

const MOST_TILES = 36;
/** How far the ends of a slider's way lie within its box, in CSS pixels. */
const SLIDER_INSET = 8;

/** Rows of tiles, enlarged without smoothing; tells which one the pointer is on. */
export class TilePanel {
  /** @param {string} label @param {(tile: number|null) => void} onPoint */
  constructor(label, onPoint) {
    this.canvas = element("canvas", { class: "tiles-square", role: "img", "aria-label": label });
    this.heading = element("h2", {});
    this.node = element("section", { class: "panel" }, this.heading, this.canvas);
    this.atlas = document.createElement("canvas");
    /** @type {{count: number, rows: number, columns: number}} */
    this.shape = { count: 0, rows: 1, columns: 1 };
    /** @type {number|null} */
    this.marked = null;
    this.canvas.addEventListener("pointermove", (event) => onPoint(this.at(event)));
    this.canvas.addEventListener("pointerleave", () => onPoint(null));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Tiles next to each other. */
  get across() {
    return Math.max(1, Math.ceil(Math.sqrt(this.shape.count)));
  }

  /**
   * @param {number} count @param {number} rows @param {number} columns of each tile
   * @param {(tile: number, cell: number) => number} pixel its 32-bit colour
   */
  show(count, rows, columns, pixel) {
    this.shape = { count: Math.min(count, MOST_TILES), rows, columns };
    const wide = this.across * columns;
    this.atlas.width = wide;
    this.atlas.height = Math.ceil(this.shape.count / this.across) * rows;
    const context = this.atlas.getContext("2d");
    const image = context.createImageData(this.atlas.width, this.atlas.height);
    const target = new Uint32Array(image.data.buffer);
    for (let tile = 0; tile < this.shape.count; tile += 1) {
      const start = Math.floor(tile / this.across) * rows * wide + (tile % this.across) * columns;
      for (let cell = 0; cell < rows * columns; cell += 1) {
        target[start + Math.floor(cell / columns) * wide + (cell % columns)] = pixel(tile, cell);
      }
    }
    context.putImageData(image, 0, 0);
    this.draw();
  }

  /** @param {number|null} tile */
  mark(tile) {
    if (tile === this.marked) return;
    this.marked = tile;
    this.draw();
  }

  draw() {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (!side || !this.atlas.width) return;
    this.canvas.width = side;
    this.canvas.height = side;
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    const { count, rows, columns } = this.shape;
    const pitch = side / this.across;
    const room = pitch - Math.max(2, pitch / 16);
    const grow = room / Math.max(rows, columns);
    for (let tile = 0; tile < count; tile += 1) {
      const row = Math.floor(tile / this.across);
      const column = tile % this.across;
      const box = [column * pitch, row * pitch, columns * grow, rows * grow].map(Math.round);
      context.drawImage(this.atlas, column * columns, row * rows, columns, rows, box[0], box[1], box[2], box[3]);
      if (tile !== this.marked) continue;
      context.lineWidth = Math.max(2, devicePixelRatio * 2);
      context.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--ink");
      context.strokeRect(box[0] + 1, box[1] + 1, box[2] - 2, box[3] - 2);
    }
  }

  /** @param {PointerEvent} event */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.across);
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.across);
    const tile = row * this.across + column;
    return column >= 0 && column < this.across && tile >= 0 && tile < this.shape.count ? tile : null;
  }
}

/** Lines over the frames, with a mark at the one that is shown; a press or drag goes there. */
export class CurvePanel {
  /** @param {{frames: {step: number}[], curves: Object<string, (number|null)[][]>, curve_ranges: Object<string, number[]>}} film @param {(index: number) => void} onChoose */
  constructor(film, onChoose) {
    this.film = film;
    this.index = 0;
    this.canvas = element("canvas", { class: "curves", "aria-hidden": "true" });
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      onChoose(this.at(event));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) onChoose(this.at(event));
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** @param {PointerEvent} event */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - SLIDER_INSET) / (box.width - 2 * SLIDER_INSET);
    const last = this.film.frames.length - 1;
    return Math.min(last, Math.max(0, Math.round(share * last)));
  }

  /** @param {number} index */
  show(index) {
    this.index = index;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    const context = this.canvas.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(this.canvas);
    const bottom = height - 20;
    const last = Math.max(1, this.film.frames.length - 1);
    const column = (place) => SLIDER_INSET + ((width - 2 * SLIDER_INSET) * place) / last;
    context.strokeStyle = style.getPropertyValue("--strong-line");
    context.fillStyle = style.getPropertyValue("--soft");
    context.font = `${style.fontSize} ${style.fontFamily}`;
    context.textAlign = "center";
    this.ticks(context, column, bottom);
    Object.entries(this.film.curves).forEach(([words, points], number) => {
      const [low, high] = this.film.curve_ranges[words];
      context.lineWidth = 2;
      context.lineJoin = "round";
      context.strokeStyle = context.fillStyle = style.getPropertyValue(`--series-${number}`);
      for (const piece of unbroken(points)) {
        context.beginPath();
        const path = piece.map(([place, value]) => [column(place), bottom - 2 - ((bottom - 6) * (value - low)) / (high - low)]);
        for (const [x, y] of path) context.lineTo(x, y);
        if (path.length > 1) context.stroke();
        else context.fill(dot(path[0]));
      }
    });
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillRect(Math.round(column(this.index)) - 1, 0, 2, bottom + 5);
  }

  /** The steps under the axis, as many as there is room for, the two ends first. */
  ticks(context, column, bottom) {
    const { frames } = this.film;
    const last = frames.length - 1;
    /** @type {number[][]} */
    const taken = [];
    for (const index of new Set([0, last, ...frames.keys()])) {
      const text = frames[index].step.toLocaleString("en");
      const half = context.measureText(text).width / 2 + 5;
      const place = Math.min(column(last) + SLIDER_INSET - half + 5, Math.max(half - 5, column(index)));
      if (taken.some(([start, end]) => place + half > start && place - half < end)) continue;
      taken.push([place - half, place + half]);
      context.fillText(text, place, bottom + 17);
      context.fillRect(Math.round(column(index)), bottom, 1, 5);
    }
    context.fillRect(column(0), bottom, column(last) - column(0), 1);
  }
}

/** The parts of a curve between values that are not finite. @param {(number|null)[][]} points */
function unbroken(points) {
  /** @type {number[][][]} */
  const pieces = [[]];
  for (const [place, value] of points) {
    if (value !== null) pieces[pieces.length - 1].push([place, value]);
    else if (pieces[pieces.length - 1].length) pieces.push([]);
  }
  return pieces.filter((piece) => piece.length);
}

/** A value that stands alone. @param {number[]} at */
function dot([x, y]) {
  const path = new Path2D();
  path.arc(x, y, 2.5, 0, 2 * Math.PI);
  return path;
}

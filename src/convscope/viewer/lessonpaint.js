// Paints a lesson's maps: places in a colour table, and numbers into cells.

import { colorTable, packedColor } from "./colors.js";
import { sizedCanvas } from "./dom.js";
import { paintMap, paintPhoto } from "./paint.js";

const GREY = [[255, 245, 0], ...Array.from({ length: 255 }, (_, place) => Array(3).fill(Math.round((place * 255) / 254)))];
/** Pixels a cell must be wide to hold a number. */
const WRITTEN = 18;
const SIZES = { most: 17, least: 8 };

/** 256 colours of a role; place 0 is what is not finite, 128 of `signed` is zero. @param {string} role @param {"paper"|"night"} ground */
export function roleTable(role, ground) {
  return role === "grey" ? GREY : colorTable(role === "signed", ground);
}

/**
 * Places of values in the table of their role; the same as the server's for large maps.
 * @param {ArrayLike<number>} values @param {string} role @param {number} low @param {number} high
 */
export function placesOf(values, role, low, high) {
  const places = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at];
    if (!Number.isFinite(value)) continue;
    const place = role === "signed" ? 128 + (value / (high || 1)) * 127 : 1 + ((value - low) / (high - low || 1)) * 254;
    places[at] = Math.min(255, Math.max(1, Math.round(place)));
  }
  return places;
}

/** One canvas pixel a cell. @param {HTMLCanvasElement} canvas @param {import("./lessonanswer.js").LessonMap} map @param {"paper"|"night"} ground */
export function paintLessonMap(canvas, map, ground) {
  const { shape: [rows, columns], data } = map.array;
  if (map.role === "rgb") {
    paintPhoto(canvas, data, rows, columns);
    return;
  }
  const places = data instanceof Uint8Array ? data : placesOf(data, map.role, map.range[0], map.range[1]);
  paintMap(canvas, places, 0, rows, columns, Uint32Array.from(roleTable(map.role, ground), packedColor));
}

/** The value of a cell: exact where numbers came, else read from its colour. @returns {{value: number|null, exact: boolean}} */
export function valueAt(map, row, column) {
  const { shape: [rows, columns], data } = map.array;
  const at = Math.min(rows - 1, Math.floor((row * rows) / map.shape[0])) * columns + Math.min(columns - 1, Math.floor((column * columns) / map.shape[1]));
  if (map.role === "rgb") return { value: null, exact: true };
  if (!(data instanceof Uint8Array)) return { value: Number.isFinite(data[at]) ? data[at] : null, exact: true };
  if (data[at] === 0) return { value: null, exact: true };
  const [low, high] = map.range;
  return { value: map.role === "signed" ? ((data[at] - 128) / 127) * high : low + ((data[at] - 1) / 254) * (high - low), exact: false };
}

/**
 * A number in about `room` signs.
 * @param {number} value
 */
export function cellNumber(value, room = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "?" : value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (Number.isInteger(size) && size < 10 ** room) return sign + size;
  for (let digits = room; digits > 0; digits -= 1) {
    const text = String(Number(size.toPrecision(digits)));
    if (!text.includes("e") && text.length <= room + 1) return sign + text;
  }
  return sign + size.toExponential(0).replace("+", "");
}

/**
 * Cells in colours with lines between them and, where there is room, their numbers.
 * @param {HTMLCanvasElement} canvas
 * @param {Object} what
 * @param {ArrayLike<number>} what.values row by row
 * @param {number} what.rows
 * @param {number} what.columns
 * @param {string} what.role
 * @param {number} what.low
 * @param {number} what.high
 * @param {"paper"|"night"} what.ground
 * @param {number} what.cell CSS pixels a cell
 * @param {string} what.line colour of the lines
 * @param {(row: number, column: number) => boolean} [what.faded] which cells are no part of the image
 * @param {number} [what.filled] how many cells are shown; the others stay empty
 * @param {number[][]} [what.colors] colours of the cells, where they are not told by the values
 * @param {string} [what.paper] colour of empty cells, and of what fades
 * @param {string} [what.ink] colour of the numbers in faded cells
 */
export function paintCells(canvas, what) {
  const { values, rows, columns, role, low, high, ground, cell, line, faded, filled = rows * columns, colors, paper = "#fff", ink = "#555" } = what;
  const ratio = Math.max(1, devicePixelRatio);
  const [width, height] = [columns * cell, rows * cell];
  const context = sizedCanvas(canvas, Math.round(width * ratio), Math.round(height * ratio));
  canvas.style.inlineSize = `${width}px`;
  canvas.style.blockSize = `${height}px`;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  const table = roleTable(role, ground);
  const places = placesOf(values, role, low, high);
  const texts = cell >= WRITTEN && !colors ? Array.from({ length: filled }, (_, at) => cellNumber(values[at])) : [];
  const size = texts.length ? letterSize(context, texts, cell) : 0;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let at = 0; at < filled; at += 1) {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const color = colors ? colors[at] : table[places[at]];
    const pale = faded?.(row, column) ?? false;
    context.globalAlpha = pale ? 0.22 : 1;
    context.fillStyle = `rgb(${color.join(" ")})`;
    context.fillRect(column * cell, row * cell, cell, cell);
    context.globalAlpha = pale ? 0.75 : 1;
    if (size) {
      context.fillStyle = pale ? ink : inkOn(color);
      context.fillText(texts[at], (column + 0.5) * cell, (row + 0.54) * cell);
    }
  }
  context.globalAlpha = 1;
  if (cell >= 6) lines(context, rows, columns, cell, line);
}

function lines(context, rows, columns, cell, line) {
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.beginPath();
  for (let row = 0; row <= rows; row += 1) {
    context.moveTo(0, Math.min(rows * cell - 0.5, row * cell + 0.5));
    context.lineTo(columns * cell, Math.min(rows * cell - 0.5, row * cell + 0.5));
  }
  for (let column = 0; column <= columns; column += 1) {
    context.moveTo(Math.min(columns * cell - 0.5, column * cell + 0.5), 0);
    context.lineTo(Math.min(columns * cell - 0.5, column * cell + 0.5), rows * cell);
  }
  context.stroke();
}

/** Sets the font in which the widest text fits a cell; its size, 0 where none does. */
function letterSize(context, texts, cell) {
  context.font = "12px system-ui, sans-serif";
  const widest = Math.max(...[...new Set(texts)].map((text) => context.measureText(text).width)) || 1;
  const size = Math.min(SIZES.most, Math.floor((12 * (cell - 5)) / widest), cell - 6);
  context.font = `${size}px system-ui, sans-serif`;
  return size >= SIZES.least ? size : 0;
}

/** Dark or light ink, whichever reads better on a colour. @param {number[]} color */
export function inkOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#1a1d21" : "#ffffff";
}

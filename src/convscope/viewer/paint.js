// Draws bytes onto canvases through a 256-entry table.

import { sizedCanvas } from "./dom.js";

/** Draws one map at one canvas pixel a cell; CSS makes it larger. */
export function paintMap(canvas, bytes, start, rows, columns, pixels) {
  const context = sizedCanvas(canvas, columns, rows);
  const image = context.createImageData(columns, rows);
  const target = new Uint32Array(image.data.buffer);
  for (let cell = 0; cell < target.length; cell += 1) target[cell] = pixels[bytes[start + cell]];
  context.putImageData(image, 0, 0);
}

/** Draws an RGB photo, `bytes` of shape [rows, columns, 3]. */
export function paintPhoto(canvas, bytes, rows, columns) {
  const context = sizedCanvas(canvas, columns, rows);
  const image = context.createImageData(columns, rows);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    image.data[to] = bytes[from];
    image.data[to + 1] = bytes[from + 1];
    image.data[to + 2] = bytes[from + 2];
    image.data[to + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * How a map of `rows` x `columns` fits a tile of about `side` pixels: each cell becomes
 * `grow` x `grow` pixels, or each block of `shrink` x `shrink` cells one pixel.
 */
export function tileFit(rows, columns, side) {
  const longest = Math.max(rows, columns);
  const grow = Math.max(1, Math.floor(side / longest));
  const shrink = Math.max(1, Math.ceil(longest / side));
  return {
    grow,
    shrink,
    width: Math.ceil(columns / shrink) * grow,
    height: Math.ceil(rows / shrink) * grow,
  };
}

/**
 * Draws one map into a large picture. Shrinking averages the blocks' bytes (zero stays zero);
 * a block with a value that is not finite is drawn as not finite.
 */
export function paintTile(target, width, x, y, fit, bytes, start, rows, columns, pixels) {
  const { grow, shrink } = fit;
  const height = target.length / width;
  for (let row = 0; row < fit.height; row += 1) {
    const line = y + row;
    if (line < 0 || line >= height || x + fit.width > width) continue;
    let at = line * width + x;
    if (shrink === 1) {
      const from = start + Math.floor(row / grow) * columns;
      for (let column = 0; column < columns; column += 1) {
        const pixel = pixels[bytes[from + column]];
        for (let copy = 0; copy < grow; copy += 1) target[at++] = pixel;
      }
    } else {
      for (let column = 0; column < fit.width; column += 1) {
        target[at++] = pixels[blockMean(bytes, start, rows, columns, row * shrink, column * shrink, shrink)];
      }
    }
  }
}

function blockMean(bytes, start, rows, columns, top, left, side) {
  const bottom = Math.min(rows, top + side);
  const right = Math.min(columns, left + side);
  let sum = 0;
  for (let row = top; row < bottom; row += 1) {
    for (let column = left; column < right; column += 1) {
      const byte = bytes[start + row * columns + column];
      if (byte === 0) return 0;
      sum += byte;
    }
  }
  return Math.round(sum / ((bottom - top) * (right - left)));
}

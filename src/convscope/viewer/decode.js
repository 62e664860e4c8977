// Undoes how a report writes its arrays (convscope.exhibits.report_data).

const ARRAY_TYPES = { uint8: Uint8Array, uint32: Uint32Array, float32: Float32Array, int32: Int32Array };

/** Printable ASCII that means nothing in HTML: two characters say 13 bits (convscope.exhibits.report_text). */
const PLACES = new Uint8Array(128);
Array.from({ length: 94 }, (_, place) => place + 33).filter((code) => !"<>&".includes(String.fromCharCode(code))).forEach((code, place) => (PLACES[code] = place));

/** The bytes of a chunk's text. @param {string} text */
export function bytesOfText(text) {
  const bytes = new Uint8Array(((text.length - 1) / 16) * 13);
  let bits = 0;
  let held = 0;
  let to = 0;
  for (let from = 1; from < text.length; from += 2) {
    bits |= (PLACES[text.charCodeAt(from)] * 91 + PLACES[text.charCodeAt(from + 1)]) << held;
    for (held += 13; held >= 8; held -= 8) {
      bytes[to++] = bits;
      bits >>>= 8;
    }
  }
  return bytes.subarray(0, bytes.length - PLACES[text.charCodeAt(0)]);
}

/** @returns {Promise<ArrayBuffer>} */
export function unzipped(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** One array of a chunk, as its place in the index says. */
export function decodedArray(buffer, { dtype, shape, offset, coding, step = 1 }) {
  const length = sizeOf(shape);
  const Numbers = ARRAY_TYPES[dtype];
  if (coding === "planes") {
    const planes = new Uint8Array(buffer, offset, length * 4);
    return { data: new Numbers(fromPlanes(planes, shape.length === 2 ? shape[1] : 1).buffer), shape };
  }
  if (coding === "statistics") {
    const table = fromPlanes(new Uint8Array(buffer, offset, length * 4), shape[1]);
    return { data: fromStatistics(new Float32Array(table.buffer), new Uint32Array(table.buffer), shape[1]), shape };
  }
  if (coding === "pixels") return { data: fromPixels(new Uint8Array(buffer, offset, length), shape), shape };
  const data = new Numbers(buffer, offset, length);
  if (coding === "residuals") fromResiduals(data, shape);
  if (step > 1) fromCoarse(data, step);
  return { data, shape };
}

/**
 * The same, also where it is a picture to be decoded by the browser.
 * @returns {Promise<import("./types.js").NumberArray>}
 */
export async function decodedPlace(buffer, place) {
  if (place.coding !== "jpeg") return decodedArray(buffer, place);
  const picture = await createImageBitmap(new Blob([new Uint8Array(buffer, place.offset, place.bytes)], { type: "image/jpeg" }));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, picture.width, picture.height).data;
  const data = new Uint8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) data.set(pixels.subarray(from, from + 3), to);
  return { data, shape: [picture.height, picture.width, 3] };
}

export function sizeOf(shape) {
  return shape.reduce((product, side) => product * side, 1);
}

/** In place: each byte was written less the mean of those left of it and above it, 128 outside. */
function fromResiduals(data, [channels, rows, columns]) {
  let at = 0;
  for (let line = 0; line < channels * rows; line += 1) {
    const top = line % rows === 0;
    let left = 128;
    for (let column = 0; column < columns; column += 1, at += 1) {
      left = (data[at] + ((left + (top ? 128 : data[at - columns])) >> 1)) & 255;
      data[at] = left;
    }
  }
}

/** Red, green and blue of each pixel together again. */
function fromPixels(planes, [rows, columns, colors]) {
  fromResiduals(planes, [colors, rows, columns]);
  const area = rows * columns;
  const pixels = new Uint8Array(planes.length);
  for (let color = 0; color < colors; color += 1) {
    for (let place = 0; place < area; place += 1) pixels[place * colors + color] = planes[color * area + place];
  }
  return pixels;
}

/** Scales were written less their expected bits. */
function fromStatistics(numbers, bits, columns) {
  const expected = new Float32Array(1);
  const pattern = new Uint32Array(expected.buffer);
  for (let row = 0; row < numbers.length; row += columns) {
    const largest = numbers[row + 1] > -numbers[row] ? numbers[row + 1] : -numbers[row];
    expected[0] = largest / 127;
    bits[row + 7] ^= pattern[0];
  }
  return numbers;
}

/** In place: bytes that were kept in larger steps. */
function fromCoarse(data, step) {
  const table = Uint8Array.from({ length: 256 }, (_, code) => (code ? Math.min(255, Math.max(1, 128 + (code - 128) * step)) : 0));
  for (let at = 0; at < data.length; at += 1) data[at] = table[data[at]];
}

/** The bytes of a table of 4-byte numbers, which were written column by column, lowest bytes first. */
function fromPlanes(planes, columns) {
  const bytes = new Uint8Array(planes.length);
  const rows = planes.length / 4 / columns;
  for (let column = 0, from = 0; column < columns; column += 1) {
    for (let plane = 0; plane < 4; plane += 1) {
      for (let row = 0; row < rows; row += 1, from += 1) bytes[(row * columns + column) * 4 + plane] = planes[from];
    }
  }
  return bytes;
}

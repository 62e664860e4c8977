// The filter that made a channel: as an RGB picture where it reads the photo, by input channel
// in signed colour elsewhere, as bars where a kernel is a single weight.

import { cssColor, pixelTable } from "./colors.js";
import { element, sizedCanvas } from "./dom.js";
import { pairText, signedNumber } from "./format.js";
import { paintMap } from "./paint.js";

/** @returns {Node|null} a figure, or nothing where the op has no filters */
export function filterFigure(context, node, arrays, channel) {
  const filters = arrays.get("filters");
  if (!filters) return null;
  const [, count, rows, columns] = filters.shape;
  const scale = arrays.get("filter_scales")?.data[channel] ?? 0;
  const start = channel * count * rows * columns;
  const names = inputNames(node, arrays, channel, count);
  const from = context.scene.byId.get(node.inputs[0]);
  const readsPhoto = count === 3 && from?.kind === "input" && (node.attributes.groups ?? 1) === 1;
  const figure = element("figure", {});
  const heading = element("figcaption", {}, element("b", {}, "Filter "), `${pairText([rows, columns])}, largest weight ±${signedNumber(scale * 127, 3).replace("+", "")}`);
  const body = element("div", { class: rows * columns === 1 ? "weights" : "kernels" });
  if (readsPhoto && rows * columns > 1) body.append(kernelFigure(rgbKernel(filters.data, start, rows, columns), "RGB together"));
  for (let place = 0; place < count; place += 1) {
    const at = start + place * rows * columns;
    const name = readsPhoto ? ["red", "green", "blue"][place] : String(names[place]);
    if (rows * columns === 1) body.append(weightBar(context, name, (filters.data[at] - 128) / 127, scale * 127));
    else {
      const canvas = element("canvas", {});
      paintMap(canvas, filters.data, at, rows, columns, pixelTable(true, context.ground(), 1));
      body.append(kernelFigure(canvas, name));
    }
  }
  figure.append(heading, body);
  if (!readsPhoto && from) {
    const which = count === 1 ? "its one input channel" : arrays.get("filter_inputs") ? `the ${count} input channels with the largest kernels` : `its ${count} input channels`;
    figure.append(element("p", { class: "dim" }, `By input channel: ${which}, from ${from.name}`));
  }
  return figure;
}

/** Input channels a filter is kept for, in its order. */
export function inputNames(node, arrays, channel, count) {
  const named = arrays.get("filter_inputs")?.data;
  if (named) return Array.from(named.subarray(channel * count, (channel + 1) * count));
  const groups = Number(node.attributes.groups ?? 1);
  const first = Math.floor(channel / (node.channels / groups)) * count;
  return Array.from({ length: count }, (_, place) => (groups > 1 ? first + place : place));
}

function kernelFigure(canvas, name) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `kernel over ${name}`);
  return element("div", { class: "kernel" }, canvas, element("span", { class: "dim" }, name));
}

function rgbKernel(bytes, start, rows, columns) {
  const canvas = element("canvas", {});
  const context = sizedCanvas(canvas, columns, rows);
  const image = context.createImageData(columns, rows);
  const area = rows * columns;
  for (let cell = 0; cell < area; cell += 1) {
    for (let color = 0; color < 3; color += 1) image.data[cell * 4 + color] = bytes[start + color * area + cell];
    image.data[cell * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function weightBar(context, name, share, largest) {
  const bar = element("i", { class: share < 0 ? "below" : "above" });
  bar.style.inlineSize = `${Math.abs(share) * 50}%`;
  bar.style.backgroundColor = cssColor(true, context.ground(), share < 0 ? -0.75 : 0.75);
  return element("div", { class: "weight" }, element("span", {}, name), element("span", { class: "axis", "aria-hidden": "true" }, bar),
    element("span", { class: "value" }, `≈ ${signedNumber(share * largest, 3)}`));
}

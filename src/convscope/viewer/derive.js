// Maps a report leaves out because they follow from others: batch normalisation, ReLU, addition
// (convscope.exhibits.report_derive tried each of them before leaving it out).

import { statistic } from "./statistics.js";

/**
 * @typedef {{rule: "affine"|"clamp"|"sum", inputs: number[], own: number[], low?: number, high?: number}} Rule
 * @typedef {{arrays: (id: number) => Promise<Map<string, any>>, rule: (id: number) => Rule|undefined}} Store
 */

/** Bytes of a derived map. @param {Store} store */
export async function derivedMaps(id, shape, store) {
  const values = await valuesOf(id, store, new Map());
  const arrays = await store.arrays(id);
  const stats = arrays.get("stats").data;
  const [channels, rows, columns] = shape;
  const cells = rows * columns;
  const bytes = new Uint8Array(values.length);
  for (let channel = 0; channel < channels; channel += 1) {
    const scale = statistic(stats, channel, "scale");
    const inverse = scale > 0 ? 1 / scale : 0;
    for (let place = channel * cells; place < (channel + 1) * cells; place += 1) {
      bytes[place] = Math.min(255, Math.max(1, Math.floor(values[place] * inverse + 128.5)));
    }
  }
  return { data: bytes, shape };
}

/** Values of an op's maps, as exactly as they can be had. */
async function valuesOf(id, store, known) {
  if (known.has(id)) return known.get(id);
  const rule = store.rule(id);
  const arrays = await store.arrays(id);
  const stats = arrays.get("stats").data;
  let values;
  if (rule) {
    const inputs = [];
    for (const input of rule.inputs) inputs.push(await valuesOf(input, store, known));
    const before = (await store.arrays(rule.inputs[0])).get("stats").data;
    values = RULES[rule.rule](inputs, rule, before, stats);
    if (rule.own.length) keepOwn(values, arrays.get("own").data, rule.own, stats);
  } else {
    values = new Float32Array(arrays.get("maps").data.length);
    keepOwn(values, arrays.get("maps").data, null, stats);
  }
  known.set(id, values);
  return values;
}

/** Each takes the values of its inputs and gives new ones. */
const RULES = {
  affine([before], rule, statsBefore, stats) {
    const values = new Float32Array(before.length);
    const channels = stats.length / 8;
    const cells = values.length / channels;
    for (let channel = 0; channel < channels; channel += 1) {
      const [factor, shift] = affineOf(statsBefore, stats, channel);
      const end = (channel + 1) * cells;
      for (let place = channel * cells; place < end; place += 1) values[place] = before[place] * factor + shift;
    }
    return values;
  },
  clamp([before], { low, high }) {
    const values = new Float32Array(before.length);
    const floor = low ?? -Infinity;
    const ceiling = high ?? Infinity;
    for (let place = 0; place < values.length; place += 1) values[place] = Math.min(ceiling, Math.max(floor, before[place]));
    return values;
  },
  sum([one, other]) {
    const values = new Float32Array(one.length);
    for (let place = 0; place < values.length; place += 1) values[place] = one[place] + other[place];
    return values;
  },
};

/** Factor and shift that turn one channel's statistics into the other's: ends give the size, the mean the sign. */
function affineOf(before, after, channel) {
  const [low, high, mean] = ["minimum", "maximum", "mean"].map((name) => statistic(before, channel, name));
  const [newLow, newHigh, newMean] = ["minimum", "maximum", "mean"].map((name) => statistic(after, channel, name));
  const size = high > low ? (newHigh - newLow) / (high - low) : 0;
  const upright = Math.abs(newLow + (mean - low) * size - newMean);
  const turned = Math.abs(newHigh - (mean - low) * size - newMean);
  const factor = turned < upright ? -size : size;
  return [factor, newMean - mean * factor];
}

/** Values of the channels that are there as bytes: those named, or all. */
function keepOwn(values, bytes, channels, stats) {
  const cells = (values.length * 8) / stats.length;
  const count = bytes.length / cells;
  for (let index = 0; index < count; index += 1) {
    const channel = channels ? channels[index] : index;
    const scale = statistic(stats, channel, "scale");
    for (let cell = 0; cell < cells; cell += 1) values[channel * cells + cell] = (bytes[index * cells + cell] - 128) * scale;
  }
}

// A small made-up scene with one of each: signed and one-signed maps, silent, constant and damaged channels, a
// skip, a list of values, class scores, a result without a picture. Every number follows from its place.

const [ROWS, COLUMNS] = [32, 48];

/** @param {(channel: number, row: number, column: number) => number} formula */
function plane(channels, rows, columns, formula) {
  const values = new Float32Array(channels * rows * columns);
  let place = 0;
  for (let channel = 0; channel < channels; channel += 1) {
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) values[place++] = formula(channel, row / rows, column / columns);
    }
  }
  return values;
}

/** Bytes and statistics as in a scene. */
function quantized(values, channels, rows, columns) {
  const cells = rows * columns;
  const maps = new Uint8Array(values.length);
  const stats = new Float32Array(channels * 8);
  for (let channel = 0; channel < channels; channel += 1) {
    const own = values.subarray(channel * cells, (channel + 1) * cells);
    const finite = own.filter(Number.isFinite);
    const size = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = size / 127;
    const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
    const spread = Math.sqrt(finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) / finite.length);
    const peak = own.findIndex((value) => Math.abs(value) === size);
    own.forEach((value, cell) => (maps[channel * cells + cell] = Number.isFinite(value) ? Math.round(128 + (scale ? value / scale : 0)) : 0));
    stats.set([Math.min(...finite), Math.max(...finite), mean, spread, finite.filter((value) => value === 0).length / cells, Math.floor(peak / columns), peak % columns, scale], channel * 8);
  }
  return { maps, stats };
}

const blob = (row, column, y, x, width) => Math.exp(-((row - y) ** 2 + (column - x) ** 2) / width);
const wave = (channel, row, column) => Math.sin((channel + 2) * 3 * column + channel) * Math.cos((channel + 1) * 2 * row) + 1.5 * blob(row, column, 0.4, 0.3 + channel / 40, 0.02);

/** @type {any[]} */
const NODES = [];
/** @type {Map<number, Map<string, any>>} */
const ARRAYS = new Map();
const FIRST = new Map();

function add(name, kind, values, shape, more = {}) {
  const [channels, rows, columns] = shape;
  const id = NODES.length;
  const { maps, stats } = quantized(values, channels, rows, columns);
  if (rows * columns === 1) {
    // A list has one scale for all.
    const scale = Math.max(...values.map(Math.abs)) / 127;
    stats.forEach((_, place) => place % 8 === 7 && (stats[place] = scale));
    values.forEach((value, channel) => (maps[channel] = Math.round(128 + value / scale)));
  }
  const order = Array.from({ length: channels }, (_, channel) => channel);
  order.sort((a, b) => Math.abs(stats[b * 8 + 7]) - Math.abs(stats[a * 8 + 7]) || a - b);
  const strongest = order.slice(0, 8);
  const view = rows * columns > 1 ? "map" : "vector";
  const broken = values.filter((value) => !Number.isFinite(value)).length;
  const finite = values.filter(Number.isFinite);
  NODES.push({
    id, name, kind, path: name, type: more.type ?? kind, groups: more.groups ?? [], inputs: more.inputs ?? [], shape: view === "map" ? [1, channels, rows, columns] : [1, channels],
    dtype: "float32", attributes: more.attributes ?? {}, parameters: more.parameters ?? 0, multiply_adds: 0, milliseconds: 0.2,
    field: more.field ?? null, view, channels, rows, columns,
    statistics: { min: Math.min(...finite), max: Math.max(...finite), mean: 0, std: 1, not_finite: broken, silent: more.silent ?? 0, constant: 0 },
    signed: finite.some((value) => value < 0), strongest, arrays: { maps: `maps/${id}`, stats: `stats/${id}`, ...(view === "map" ? { strip: `strip/${id}` } : {}) }, notes: [],
  });
  ARRAYS.set(id, new Map([["maps", { data: maps, shape }], ["stats", { data: stats, shape: [channels, 8] }], ...Object.entries(more.filters ?? {})]));
  if (view === "map") {
    const cells = rows * columns;
    const strip = new Uint8Array(strongest.length * cells);
    strongest.forEach((channel, place) => strip.set(maps.subarray(channel * cells, (channel + 1) * cells), place * cells));
    FIRST.set(`strip/${id}`, { data: strip, shape: [strongest.length, rows, columns] });
    FIRST.set(`strip_scales/${id}`, { data: Float32Array.from(strongest, (channel) => stats[channel * 8 + 7]), shape: [strongest.length] });
  }
  return id;
}

function filters(channels, count, side, inputs) {
  const data = Uint8Array.from({ length: channels * count * side * side }, (_, place) => 128 + Math.round(120 * Math.sin(place * 1.7)));
  const found = { filters: { data, shape: [channels, count, side, side] }, filter_scales: { data: new Float32Array(channels).fill(0.002), shape: [channels] } };
  return inputs ? { ...found, filter_inputs: { data: Int32Array.from({ length: channels * count }, (_, place) => (place * 5) % inputs), shape: [channels, count] } } : found;
}

const photo = plane(3, ROWS, COLUMNS, (color, row, column) => 0.5 + 0.4 * Math.sin(9 * column + color * 2) * Math.cos(7 * row) - 0.3 * blob(row, column, 0.45, 0.55, 0.03));
const stemValues = plane(12, ROWS, COLUMNS, (channel, row, column) => (channel === 5 ? 0 : channel === 6 ? 0.75 : wave(channel, row, column)));
const conv = { kernel_size: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
const near = { size: [3, 3], stride: [1, 1], start: [-1, -1] };
const far = { size: [7, 7], stride: [2, 2], start: [-3, -3] };
add("input", "input", photo.map((value) => 2 * value - 1), [3, ROWS, COLUMNS], { type: "", field: { size: [1, 1], stride: [1, 1], start: [0, 0] } });
add("stem", "conv2d", stemValues, [12, ROWS, COLUMNS], { inputs: [0], type: "Conv2d", attributes: conv, parameters: 336, field: near, filters: filters(12, 3, 3, 0), silent: 1 });
add("stem.relu", "relu", stemValues.map((value) => Math.max(0, value)), [12, ROWS, COLUMNS], { inputs: [1], type: "ReLU", field: near, silent: 1 });
const wide = plane(24, 16, 24, wave);
add("block.wide", "conv2d", wide, [24, 16, 24], { inputs: [2], type: "Conv2d", groups: ["block"], attributes: { ...conv, stride: [2, 2] }, parameters: 2592, field: far, filters: filters(24, 8, 3, 12) });
add("block.narrow", "conv2d", wide.map((value) => value / 2), [24, 16, 24], { inputs: [3], type: "Conv2d", groups: ["block"], attributes: { ...conv, kernel_size: [1, 1], padding: [0, 0] }, parameters: 576, field: far, filters: filters(24, 8, 1, 24) });
add("block.log", "log", wide.map((value) => Math.log(value)), [24, 16, 24], { inputs: [4], type: "Block", groups: ["block"], field: far });
add("block.add", "add", wide.map((value) => value * 1.5), [24, 16, 24], { inputs: [3, 4], type: "Block", groups: ["block"], field: far });
add("pool", "mean", plane(24, 1, 1, (channel) => Math.cos(channel) + 0.2), [24, 1, 1], { inputs: [6], type: "Net" });
const scores = plane(10, 1, 1, (channel) => 4 * Math.sin(channel * 1.3 + 1));
add("head", "linear", scores, [10, 1, 1], { inputs: [7], type: "Linear", parameters: 250 });
NODES.push({ ...NODES[8], id: 9, name: "boxes", kind: "stack", inputs: [8], shape: [1, 5, 2, 2, 2], view: "none", channels: 0, rows: 0, columns: 0, statistics: null, arrays: {}, strongest: [], notes: ["not drawn: its shape is neither that of maps nor that of a vector"] });

const exponents = Array.from(scores, Math.exp);
const shares = exponents.map((part) => part / exponents.reduce((sum, value) => sum + value, 0));
const ranked = shares.map((share, index) => ({ share, index })).sort((a, b) => b.share - a.share).slice(0, 5);
const pixels = new Uint8Array(ROWS * COLUMNS * 3);
photo.forEach((value, place) => (pixels[(place % (ROWS * COLUMNS)) * 3 + Math.floor(place / (ROWS * COLUMNS))] = Math.max(0, Math.min(255, 255 * value))));
for (const name of ["photo", "input"]) FIRST.set(name, { data: pixels, shape: [ROWS, COLUMNS, 3] });
FIRST.set("logits", { data: Float32Array.from(scores), shape: [10] });

export const MANIFEST = {
  schema: "convscope.scene/1", made_with: { convscope: "0", torch: "0", model_library: "" },
  model: { name: "pattern_net", source: "patterns", weights: "made up", random: true, type: "Net", parameters: 3754, multiply_adds: 1200000, input: [3, ROWS, COLUMNS], mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], reference: "A net that never ran", notes: ["fixed data, to look at the parts of the page"] },
  image: { name: "waves", width: COLUMNS * 8, height: ROWS * 8, photo: "photo", input: "input", scale: [7, 7], offset: [16, 24], notes: ["made by a formula"] },
  predictions: ranked.map(({ share, index }) => ({ index, label: ["heron", "tench", "tabby", "kelpie", "a name that is much longer than the room there is for it"][index % 5], probability: share, logit: scores[index] })),
  softmax_of: 10, nodes: NODES,
  groups: [{ name: "block", path: "block", type: "Sequential", parent: null, first: 3, last: 7, output: 6, repeats: "Bottleneck × 2" }],
  layers: { maps: "one scale a channel, 128 = zero" }, notes: ["a note on the whole scene"],
};

/** @param {number} node @param {number} channel */
function cell(node, channel, row = 4, column = 9) {
  const { view, name } = NODES[node];
  return { node, name, channel, row: view === "map" ? row : null, column: view === "map" ? column : null };
}

const matrix = (seed) => [0, 1, 2].map((row) => [0, 1, 2].map((column) => Math.sin(seed + row * 3 + column)));

/** Arithmetic by node: a sum with patches, a copy, a sum of two, one that does not agree, a mean, a linear layer. */
const EXPLAINED = {
  1: (channel) => {
    const patches = [0, 1, 2].map((own) => ({ channel: own, input: matrix(own), kernel: matrix(own + 4), products: matrix(own).map((line, row) => line.map((value, column) => value * matrix(own + 4)[row][column])) }));
    const terms = patches.map(({ channel: own, products }) => ({ label: `channel ${own}`, value: products.flat().reduce((sum, value) => sum + value, 0), input: null, weight: null, cell: cell(0, own) }));
    const total = terms.reduce((sum, { value }) => sum + value, 0.125);
    return { cell: cell(1, channel), kind: "conv2d", formula: "Σ input · weight + bias", total, value: Math.fround(total), tolerance: 1e-6, agrees: true, bias: 0.125, terms, patches, places: [[3, 4, 5], [8, 9, 10]] };
  },
  2: (channel) => ({ cell: cell(2, channel), kind: "relu", formula: "max(0, x)", total: 0, value: 0, tolerance: 0, agrees: true, quantities: { x: -0.4213 }, terms: [{ label: "x", value: 0, input: -0.4213, weight: null, cell: cell(1, channel) }] }),
  3: (channel) => {
    const terms = Array.from({ length: 12 }, (_, own) => ({ label: `channel ${own}`, value: (own % 2 ? -1 : 1) * (0.9 / (own + 1)), input: 0.9, weight: 1 / (own + 1), cell: cell(2, own) }));
    return { cell: cell(3, channel), kind: "conv2d", formula: "Σ input · weight", total: 0.61, value: 0.75, tolerance: 1e-5, agrees: false, terms, rest: { count: 500, sum: 0.21 } };
  },
  5: (channel) => ({ cell: cell(5, channel), kind: "log", formula: "log(x)", total: null, value: null, tolerance: 0, agrees: true, quantities: { x: -0.25 }, terms: [{ label: "x", value: null, input: -0.25, weight: null, cell: null }] }),
  6: (channel) => ({ cell: cell(6, channel), kind: "add", formula: "input + other", total: 1.5, value: 1.5, tolerance: 1e-7, agrees: true, terms: [{ label: "block.wide", value: 1, input: 1, weight: 1, cell: cell(3, channel) }, { label: "block.narrow", value: 0.5, input: 0.5, weight: 1, cell: cell(4, channel) }] }),
};

/** @typedef {import("./types.js").LiveAnswers} LiveAnswers */

/** Reads the made-up scene, as other sources read real ones. @implements {LiveAnswers} */
export class PatternSource {
  constructor() {
    this.manifest = MANIFEST;
  }

  async first() {
    return FIRST;
  }

  async node(id) {
    return ARRAYS.get(id) ?? new Map();
  }

  origin() {
    return "made up";
  }

  async value(node, channel) {
    const found = EXPLAINED[node]?.(channel);
    if (!found) throw new Error("there is no pattern of this");
    return { bias: null, quantities: {}, patches: [], places: [], rest: { count: 0, sum: 0 }, notes: [], ...found, parents: found.terms.map(({ cell: at }) => at).filter(Boolean) };
  }

  async channel(node, channel) {
    const { rows, columns } = NODES[node];
    return plane(1, rows, columns, (_, row, column) => wave(channel, row, column));
  }

  async box() {
    return [[3, 7, 0.81], [1, 2, 0.64], [6, 11, 0.4]].map(([node, channel, share]) => ({ node, name: NODES[node].name, channel, share, chance: 0.09, score: 8 * share }));
  }

  async attribution(target) {
    const rows = Array.from({ length: 16 }, (_, row) => Array.from({ length: 24 }, (__, column) => Math.max(0, blob(row / 16, column / 24, 0.45, 0.55, 0.04) - 0.1)));
    return { map: rows, target, node: 6, name: "block.add", label: MANIFEST.predictions[0].label, score: MANIFEST.predictions[0].logit };
  }

  async file(what) {
    return { name: `pattern.${what}`, blob: new Blob(["pattern"]) };
  }
}

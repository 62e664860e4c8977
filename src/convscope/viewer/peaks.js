// The arithmetic of a channel's peak, from what a scene holds of it (`proof/ID`, ARCHITECTURE.md), in the form
// in which a live host answers for any cell.

/**
 * @typedef {{rule: string, formula: string, columns: string[], reads: string, operands: {label: string, node: number|null, first?: number}[],
 *   label?: string, terms?: number, window?: {kernel: number[], stride: number[], padding: number[], dilation: number[]},
 *   group?: {first: number, of: number}, quantities?: Object<string, number>, weights?: number[], notes?: string[]}} ProofEntry
 * @typedef {import("./types.js").Arrays} Arrays
 * @typedef {{node: import("./types.js").SceneNode, entry: ProofEntry, arrays: Arrays, channel: number, at: {row: number, column: number}|null,
 *   byId: Map<number, import("./types.js").SceneNode>, columns: Object<string, number>}} PeakContext
 */

/**
 * @param {import("./types.js").SceneNode} node
 * @param {ProofEntry} entry
 * @param {Arrays} arrays `proof`, `proof_terms`, ... of the op
 * @param {{row: number, column: number}|null} at the peak's cell, nothing for a list of values
 * @param {Map<number, import("./types.js").SceneNode>} byId nodes of the manifest
 * @returns {import("./types.js").Answer}
 */
export function peakArithmetic(node, entry, arrays, channel, at, byId) {
  const table = arrays.get("proof").data;
  const width = entry.columns.length;
  const columns = Object.fromEntries(entry.columns.map((name, place) => [name, table[channel * width + place]]));
  const context = { node, entry, arrays, channel, at, byId, columns };
  const { value, difference, tolerance } = columns;
  const total = value + difference;
  const patches = patchesOf(context);
  const terms = (PEAK_RULES[entry.rule] ?? PEAK_RULES.sum)(context, patches);
  const bias = "bias" in columns ? columns.bias : null;
  const count = entry.terms ?? columns.terms ?? terms.length;
  const shown = terms.reduce((sum, term) => sum + term.value, 0);
  const formula = entry.formula === "copied from" ? `copied from ${cellText(terms[0]?.cell) ?? terms[0]?.label ?? ""}` : entry.formula;
  const cells = terms.map(({ cell }) => cell).filter(Boolean);
  return {
    cell: { node: node.id, name: node.name, channel, row: at?.row ?? null, column: at?.column ?? null },
    kind: node.kind, dtype: node.dtype, formula, bias,
    value: finite(value), total: finite(total), tolerance, agrees: difference === 0 || Math.abs(difference) <= tolerance,
    quantities: quantitiesOf(context), terms,
    rest: { count: count - terms.length, sum: entry.rule === "pick" ? null : count > terms.length ? total - (bias ?? 0) - shown : 0 },
    patches, places: patches.length ? windowPlaces(context) : [],
    first_channel: 0, source: entry.operands[0]?.node ?? null, parents: cells.slice(0, 16), field: null, notes: entry.notes ?? [],
  };
}

/** Terms of each rule. @type {Object<string, (context: PeakContext, patches: import("./types.js").Patch[]) => import("./types.js").Term[]>} */
const PEAK_RULES = {
  given: () => [],
  norm(context) {
    const { columns, entry } = context;
    const scale = (columns.weight ?? 1) / Math.sqrt(columns.var + entry.quantities.eps);
    const terms = [{ label: "x · scale", value: columns.x * scale, input: columns.x, weight: scale, cell: operandCell(context, 0) }];
    if (columns.mean) terms.push({ label: "−mean · scale", value: -columns.mean * scale, input: -columns.mean, weight: scale, cell: null });
    return terms.sort(bySize);
  },
  function(context) {
    const { value, difference, x } = context.columns;
    return [{ label: "x", value: value + difference, input: x, weight: null, cell: operandCell(context, 0) }];
  },
  cells(context) {
    const { entry, columns } = context;
    return entry.operands.map(({ label }, place) => {
      const input = columns[String(place)];
      const weight = entry.weights?.[place] ?? null;
      return { label, value: input * (weight ?? 1), input, weight, cell: operandCell(context, place) };
    }).sort(bySize);
  },
  joined(context) {
    const { operands } = context.entry;
    const place = operands.findLastIndex(({ first }) => first <= context.channel);
    const { x } = context.columns;
    return [{ label: operands[place].label, value: x, input: x, weight: null, cell: operandCell(context, place) }];
  },
  sum: (context, patches) => placedTerms(context, patches),
  pick: (context) => placedTerms(context, []),
  copy: (context) => placedTerms(context, []),
};

/** Terms that stand at places of their own. @param {PeakContext} context @param {import("./types.js").Patch[]} patches @returns {import("./types.js").Term[]} */
function placedTerms(context, patches) {
  const { arrays, channel, entry, columns } = context;
  const places = arrays.get("proof_places");
  const kept = places.shape[1];
  const [values, inputs, weights] = ["terms", "inputs", "weights"].map((name) => arrays.get(`proof_${name}`)?.data);
  const terms = [];
  for (let place = 0; place < kept; place += 1) {
    const at = channel * kept + place;
    if (places.data[at] < 0) continue;
    const { label, cell } = placed(context, places.data[at]);
    const input = inputs ? inputs[at] : null;
    const weight = weights ? weights[at] : columns.divisor ? 1 / columns.divisor : null;
    const product = columns.divisor ? input / columns.divisor : input * (weight ?? 1);
    const value = patches.length ? sumOf(patches[place].products) : values ? values[at] : product;
    terms.push({ label: entry.rule === "copy" ? entry.operands[0].label : label, value, input, weight, cell });
  }
  return terms;
}

/** What a place of the terms means: its label and its cell upstream. @param {PeakContext} context @param {number} place */
function placed({ entry, byId, channel, at }, place) {
  const operand = entry.operands[0];
  const source = operand.node === null ? null : byId.get(operand.node);
  const cellAt = (own, row, column) => source && { node: source.id, name: source.name, channel: own, row: source.view === "map" ? row : null, column: source.view === "map" ? column : null };
  if (entry.reads === "window") {
    const [, across] = entry.window.kernel;
    const area = entry.window.kernel[0] * across;
    const own = Math.floor(place / area) + Math.floor(channel / entry.group.of) * entry.group.first;
    const step = [Math.floor((place % area) / across), place % across];
    const [row, column] = [0, 1].map((axis) => windowStart(entry.window, at, axis) + step[axis] * entry.window.dilation[axis]);
    return { label: `${entry.label} ${own}`, cell: cellAt(own, row, column) };
  }
  if (!source) return { label: operand.label, cell: null };
  const area = source.rows * source.columns;
  const [row, column] = [Math.floor((place % area) / source.columns), place % source.columns];
  return { label: `at ${row}, ${column}`, cell: cellAt(Math.floor(place / area), row, column) };
}

function windowStart(window, at, axis) {
  const cell = at ? [at.row, at.column][axis] : 0;
  return cell * window.stride[axis] - window.padding[axis];
}

/** Rows and columns a patch stands on. @param {PeakContext} context */
function windowPlaces({ entry: { window }, at }) {
  return [0, 1].map((axis) => Array.from({ length: window.kernel[axis] }, (_, step) => windowStart(window, at, axis) + step * window.dilation[axis]));
}

/** Patch, kernel and products of the terms that have them. @param {PeakContext} context @returns {import("./types.js").Patch[]} */
function patchesOf(context) {
  const { arrays, channel } = context;
  const patches = arrays.get("proof_patches");
  if (!patches) return [];
  const [, kept, , rows, columns] = patches.shape;
  const matrix = (start) => Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (__, column) => patches.data[start + row * columns + column]));
  return Array.from({ length: kept }, (_, place) => {
    const start = (channel * kept + place) * 2 * rows * columns;
    const [input, kernel] = [matrix(start), matrix(start + rows * columns)];
    const products = input.map((line, row) => line.map((number, column) => number * kernel[row][column]));
    const { label } = placed(context, arrays.get("proof_places").data[channel * kept + place]);
    return { channel: Number(label.split(" ")[1]), input, kernel, products };
  });
}

/** The cell of an operand that is read where the result stands. @param {PeakContext} context @param {number} place */
function operandCell({ entry, byId, channel, at }, place) {
  const { node, first = 0 } = entry.operands[place];
  if (node === null) return null;
  const source = byId.get(node);
  const isMap = source.view === "map";
  if (source.view === "none" || (isMap && !at)) return null;
  return {
    node, name: source.name, channel: source.channels === 1 ? 0 : channel - first,
    row: isMap ? (source.rows === 1 ? 0 : at.row) : null, column: isMap ? (source.columns === 1 ? 0 : at.column) : null,
  };
}

const NAMED = ["x", "mean", "var", "divisor"];

/** @param {PeakContext} context */
function quantitiesOf({ entry, columns }) {
  if (entry.rule === "joined") return {};
  const named = NAMED.filter((name) => name in columns).map((name) => [name, columns[name]]);
  const weight = entry.rule === "norm" && "weight" in columns ? [["weight", columns.weight]] : [];
  return Object.fromEntries([...named, ...Object.entries(entry.quantities ?? {}), ...weight]);
}

function cellText(cell) {
  if (!cell) return null;
  return `${cell.name} channel ${cell.channel}${cell.row === null ? "" : ` at ${cell.row}, ${cell.column}`}`;
}

function bySize(one, other) {
  return Math.abs(other.value) - Math.abs(one.value);
}

function sumOf(matrix) {
  return matrix.flat().reduce((sum, number) => sum + number, 0);
}

function finite(number) {
  return Number.isFinite(number) ? number : null;
}

/**
 * In place: columns of `proof/ID` were written as bits less those expected (convscope.exhibits.report_proofs).
 * @param {Float32Array} table @param {ProofEntry} entry @param {(channel: number, name: string) => number} statisticOf
 */
export function unexpected(table, entry, statisticOf) {
  const bits = new Uint32Array(table.buffer, table.byteOffset, table.length);
  const names = entry.columns;
  const width = names.length;
  const expected = new Float32Array(1);
  const pattern = new Uint32Array(expected.buffer);
  const wanted = ["value", ...(FOLLOWING[entry.rule] ?? [])];
  for (let row = 0; row < table.length / width; row += 1) {
    const given = (name, otherwise = 0) => (names.includes(name) ? table[row * width + names.indexOf(name)] : otherwise);
    for (const name of wanted) {
      expected[0] = expectation(name, entry, given, (statistic) => statisticOf(row, statistic));
      if (!Number.isFinite(expected[0])) expected[0] = 0;
      if (name === "difference") pattern[0] = ((pattern[0] + 0x8000) & 0xffff0000) >>> 0;
      bits[row * width + names.indexOf(name)] ^= pattern[0];
    }
  }
}

const FOLLOWING = { norm: ["x", "difference"], cells: ["1", "difference"], function: ["x"], joined: ["x"] };

/**
 * The same float64 steps, in the same order, as where it was written.
 * @param {string} name @param {ProofEntry} entry @param {(name: string, otherwise?: number) => number} given @param {(name: string) => number} statistic
 */
function expectation(name, { rule, quantities, weights }, given, statistic) {
  const value = given("value");
  if (name === "value") {
    const [low, high] = [statistic("minimum"), statistic("maximum")];
    return Math.abs(high) >= Math.abs(low) ? high : low;
  }
  if (rule === "norm") {
    const scale = given("weight", 1) / Math.sqrt(given("var") + quantities.eps);
    if (name === "x") return (value - given("bias")) / scale + given("mean");
    return (given("x") - given("mean")) * scale + given("bias") - value;
  }
  if (rule === "cells") {
    const left = given("0");
    if (name === "1") return weights ? (value - weights[0] * left) / weights[1] : value / left;
    const right = given("1");
    return (weights ? weights[0] * left + weights[1] * right : left * right) - value;
  }
  return value;
}

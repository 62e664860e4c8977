// The arithmetic of one cell, from its last operation back to the one that sums many terms, each step beside
// the model's own value.

import { cssColor } from "./colors.js";
import { element, fill } from "./dom.js";
import { grouped, kindText, plainNumber, signedNumber } from "./format.js";
import { errorText } from "./trouble.js";

const TERMS_SHOWN = 12;
const TERMS_MORE = 512;
/** Operations in a row that each read one cell: as long a chain is one proof. */
const CHAIN = 6;
const DIGITS = 8;
/** Milliseconds after which it is said that the answer is awaited. */
const LATE = 150;

/**
 * @typedef {{node: number|null, name: string, channel: number, row: number|null, column: number|null}} ProofCell
 * @typedef {Object} Arithmetic what the server's `value` answers; `terms` by column or one by one, `upstream` the next step
 */

/** @typedef {(text: string, ...places: any[]) => string} Say a phrase with what stands in its `{}` */
/** @type {Say} */
const phrased = (text, ...places) => text.replace(/\{\}/g, () => String(places.shift()));

/** Works for anything that can answer `value(node, channel, cell)` as the live server does. */
export class ProofPanel {
  /**
   * @param {Object} options
   * @param {(node: number, channel: number, cell: {row: number, column: number}|null) => Promise<any>} options.value
   * @param {(cell: ProofCell) => void} options.go to a cell upstream or downstream
   * @param {(arithmetic: any) => void} options.found told of each cell whose arithmetic has come
   * @param {() => void} options.opened told when it is there to be seen
   * @param {() => void} options.back
   * @param {() => void} options.close
   * @param {() => "night"|"paper"} options.ground
   * @param {(cell: ProofCell) => number} options.factor what the cell's value was multiplied by, 1 where it is as it was
   * @param {(node: number) => import("./types.js").SceneNode[]} options.readers ops of the same size that read this cell on
   * @param {string} [options.whose] value the sum is held against; "model" if not told
   * @param {Say} [options.say] the same in another language
   */
  constructor(options) {
    this.options = options;
    this.say = options.say ?? phrased;
    this.title = element("h3", { tabindex: -1 });
    this.body = element("div", { class: "steps" });
    this.node = element("section", { class: "proof", "aria-label": this.say("the arithmetic of a cell"), hidden: true },
      element("header", {}, this.title,
        element("button", { type: "button", class: "quiet", title: "the way back (Backspace)", data: { key: "back" }, on: { click: options.back } }, "‹ Back"),
        element("button", { type: "button", class: "quiet", title: "to the channels (x)", data: { key: "close-proof" }, on: { click: options.close } }, "Close")),
      this.body);
    this.turn = 0;
  }

  hide() {
    this.turn += 1;
    this.node.hidden = true;
    this.node.dataset.ready = "";
  }

  /**
   * What was shown stays until the answer is there: nearly always so soon that a frame in between would
   * only put it off.
   * @param {{id: number, name: string}} node @param {{row: number, column: number}|null} cell
   */
  async show(node, channel, cell) {
    const turn = (this.turn += 1);
    this.node.dataset.ready = "";
    const draw = (...parts) => {
      fill(this.title, element("b", {}, `${node.name}`), " ", this.say("channel {}", grouped(channel)), cell ? this.say(", row {}, column {}", cell.row, cell.column) : "");
      fill(this.body, ...parts);
      this.node.hidden = false;
      this.options.opened();
    };
    const late = setTimeout(() => turn === this.turn && draw(element("p", { class: "dim" }, this.say("Asking …"))), LATE);
    try {
      const { chain, trouble, at } = await this.chainOf({ node: node.id, channel, cell });
      if (turn !== this.turn) return;
      this.chain = chain;
      this.options.found(chain[0]);
      draw(...chain.map((found, place) => this.step(found, place)), trouble && this.sorry(trouble, at), this.onward(node));
      this.node.dataset.ready = "true";
    } catch (error) {
      if (turn === this.turn) draw(this.sorry(error, { node: node.id, channel }));
    } finally {
      clearTimeout(late);
    }
  }

  /** Why there is no arithmetic of a cell; where a host has that of another cell of the channel, the way there. */
  sorry(error, { node, channel }) {
    const { peak } = error;
    const text = element("p", { class: peak ? "dim elsewhere" : "warning", role: "alert" }, errorText(error));
    if (peak) text.append(" ", element("button", { type: "button", class: "link", on: { click: () => this.options.go({ node, name: "", channel, ...peak }) } }, "To the peak"));
    return text;
  }

  /** The cell's arithmetic and, where it reads one cell alone, that cell's, and so on; of a sum of two, the larger's. */
  async chainOf(at) {
    const chain = [];
    while (at && chain.length < CHAIN) {
      try {
        let answer = await this.options.value(at.node, at.channel, at.cell);
        // A host may send several steps in one answer.
        for (; answer && chain.length < CHAIN; answer = answer.upstream) chain.push(withTerms(answer));
      } catch (trouble) {
        if (!chain.length) throw trouble;
        return { chain, trouble, at };
      }
      at = nextParent(chain[chain.length - 1]);
    }
    return { chain, trouble: null, at };
  }

  step(found, place) {
    const word = place && SUMS_OF_TWO.includes(this.chain[place - 1].kind) ? "where the larger, " : "where ";
    const heading = place ? element("p", { class: "whence" }, element("span", { class: "dim" }, word), this.cellLink(found.cell)) : null;
    /** @type {HTMLElement[]} */
    const body = [this.verdict(switchedBy(found, this.options.factor(found.cell)))];
    const named = Object.entries(found.quantities ?? {});
    body.push(element("p", { class: "formula" }, element("span", { class: "kind" }, this.say(kindText(found.kind))), " ", this.say(found.formula)));
    if (named.length) body.push(element("dl", { class: "quantities" }, ...named.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, plainNumber(value, 6))))));
    for (const note of found.notes ?? []) body.push(element("p", { class: "dim" }, note));
    // One value read by a formula has no parts worth a table.
    if (found.terms.length > 1 || !onlyParent(found)) body.push(this.table(found));
    return element("article", { class: "step", data: { node: found.cell.node, kind: found.kind } }, heading, ...body);
  }

  /** The sum, the model's own value, and whether they are the same. */
  verdict({ value, total, agrees, tolerance, factor }) {
    const difference = value === null || total === null ? null : Math.abs(value - total * (factor ?? 1));
    const { say } = this;
    const allowed = tolerance ? say("rounding allows {}", plainNumber(tolerance, 2)) : say("copied, so no rounding is allowed");
    const why = difference === null ? say("not finite") : say("off by {}, {}", difference ? plainNumber(difference, 2) : say("nothing"), allowed);
    return element("p", { class: `verdict ${agrees ? "agrees" : "differs"}`, data: { agrees: String(agrees), total: String(total), value: String(value) } },
      element("span", {}, element("span", { class: "dim" }, say("sum"), " "), element("b", {}, exact(total))),
      factor === undefined ? null : element("span", { class: "factor" }, `× ${plainNumber(factor)}, ${factor ? "scaled" : "switched off"} here, = `, element("b", {}, exact(total * factor))),
      element("span", {}, element("span", { class: "dim" }, `${say(this.options.whose ?? "model")} `), element("b", {}, exact(value))),
      element("span", { class: "tick", role: "img", "aria-label": say(agrees ? "they agree" : "they differ") }, agrees ? "✓" : "✗"),
      element("span", { class: "dim why" }, why));
  }

  table(found) {
    const rows = element("div", { class: "terms", role: "list" });
    const all = found.bias === null || found.bias === undefined ? found.terms : [...found.terms, { label: "bias", value: found.bias, cell: null, bias: true }];
    const largest = Math.max(...all.map(({ value }) => Math.abs(value ?? 0))) || 1;
    const shown = found.terms.slice(0, TERMS_SHOWN);
    const bias = all.length > found.terms.length ? [all[all.length - 1]] : [];
    const patches = new Map((found.patches ?? []).map((patch) => [`channel ${patch.channel}`, patch]));
    const line = (term) => this.term(term, largest, patches.get(term.label), found);
    const rest = (from) => {
      const left = found.terms.slice(from);
      // Candidates of which one is picked have no sum.
      const sum = found.rest?.sum === null ? null : left.reduce((total, { value }) => total + (value ?? 0), 0) + (found.rest?.sum ?? 0);
      const count = left.length + (found.rest?.count ?? 0);
      if (!count) return null;
      const label = left.length
        ? element("button", { type: "button", class: "link", on: { click: more } }, this.further(count))
        : this.further(count);
      return element("div", { class: "term rest", role: "listitem" }, element("span", {}, label), this.bar(sum, largest), element("span", { class: "value" }, sum === null ? "" : signedNumber(sum, 5)), element("span", { class: "dim" }, this.say(sum === null ? "none is larger" : "together")));
    };
    const more = () => {
      const count = Math.min(found.terms.length, rows.querySelectorAll(".term:not(.rest)").length - bias.length + TERMS_MORE);
      fill(rows, ...found.terms.slice(0, count).map(line), rest(count), ...bias.map(line));
    };
    fill(rows, ...shown.map(line), rest(TERMS_SHOWN), ...bias.map(line));
    return rows;
  }

  further(count) {
    return this.say(count === 1 ? "{} further term" : "{} further terms", grouped(count));
  }

  term(term, largest, patch, found) {
    const label = term.cell ? this.cellLink(term.cell, term.label, found) : element("span", {}, this.say(term.label));
    const factors = patch ? this.patch(patch, found)
      : term.weight !== null && term.weight !== undefined ? element("span", { class: "factors dim" }, `${plainNumber(term.input, 5)} × ${plainNumber(term.weight, 5)}`) : element("span", {});
    return element("div", { class: `term${patch && patch.products.length > 1 ? " drawn" : ""}`, role: "listitem", data: { term: term.label, value: String(term.value) } },
      label, this.bar(term.value, largest), element("span", { class: "value", title: String(term.value) }, signedNumber(term.value, 5)), factors);
  }

  bar(value, largest) {
    const bar = element("i", { class: value < 0 ? "below" : "above" });
    // The sum of many small terms may be larger than each that is shown.
    bar.style.inlineSize = `${Math.min(50, (50 * Math.abs(value ?? 0)) / largest)}%`;
    bar.style.backgroundColor = cssColor(true, this.options.ground(), value < 0 ? -0.75 : 0.75);
    return element("span", { class: "axis", "aria-hidden": "true" }, bar);
  }

  /** Patch × kernel = products, as pictures; as numbers where there is but one, or when asked. */
  patch({ channel, input, kernel, products }, found) {
    if (input.length === 1 && input[0].length === 1) return element("span", { class: "factors dim" }, `${plainNumber(input[0][0], 5)} × ${plainNumber(kernel[0][0], 5)}`);
    const names = ["patch", "kernel", "product"];
    const figures = [input, kernel, products].map((matrix, place) => this.picture(matrix, this.say("{} of channel {}", this.say(names[place]), channel)));
    const summary = element("summary", { title: this.say("patch × kernel = products; open for the numbers") }, figures[0], "×", figures[1], "=", figures[2]);
    const details = element("details", { class: "patch" }, summary);
    details.addEventListener("toggle", () => {
      if (!details.open || details.childElementCount > 1) return;
      const matrices = [input, kernel, products].map((matrix, place) => this.numbers(matrix, names[place], found));
      details.append(element("div", { class: "matrices" }, ...matrices));
    });
    return details;
  }

  picture(matrix, label) {
    const largest = Math.max(...matrix.flat().map(Math.abs)) || 1;
    const ground = this.options.ground();
    const picture = element("i", { role: "img", "aria-label": label });
    picture.style.aspectRatio = `${matrix[0].length} / ${matrix.length}`;
    picture.style.background = checkered(matrix.map((line) => line.map((value) => cssColor(true, ground, (value ?? 0) / largest))));
    return picture;
  }

  numbers(matrix, name, { places }) {
    const rows = matrix.map((line, row) => element("tr", {}, name === "patch" && places?.[0] ? element("th", { scope: "row" }, places[0][row]) : null,
      ...line.map((value) => element("td", {}, plainNumber(value, 4)))));
    const head = name === "patch" && places?.[1] ? [element("tr", {}, element("td", {}), ...places[1].map((column) => element("th", { scope: "col" }, column)))] : [];
    return element("table", {}, element("caption", {}, this.say(name)), ...head, ...rows);
  }

  cellLink(cell, label, found) {
    const text = label && (label.startsWith("channel") || label.startsWith("input") || label.startsWith("at ") || label === cell.name) ? label : label ?? `${cell.name} channel ${grouped(cell.channel)}`;
    const place = cell.row === null ? "" : `row ${cell.row}, column ${cell.column}`;
    const several = found?.patches?.length ? "; the cell of its largest product" : "";
    if (cell.node === null) return element("span", {}, this.say(text));
    return element("button", { type: "button", class: "link", title: `to ${cell.name}, channel ${cell.channel}${place ? `, ${place}` : ""}${several}`, on: { click: () => this.options.go(cell) } }, text);
  }

  /** The ops that read this very cell. */
  onward(node) {
    const readers = this.options.readers(node.id);
    if (!readers.length) return null;
    const { cell } = this.chain[0];
    return element("p", { class: "onward" }, element("span", { class: "dim" }, "goes on to "), ...readers.map((reader) =>
      element("button", { type: "button", class: "link", on: { click: () => this.options.go({ ...cell, node: reader.id, name: reader.name }) } }, reader.name)));
  }
}

/**
 * A picture of few cells as a background: dozens of canvases would take several times as long to make.
 * Each row reaches under all rows above it, so that no gap shows between them.
 * @param {string[][]} colors
 */
function checkered(colors) {
  return colors.map((line, row) => {
    const stops = line.map((color, column) => `${color} ${(100 * column) / line.length}% ${(100 * (column + 1)) / line.length}%`);
    return `linear-gradient(90deg, ${stops.join(", ")}) 0 0 / 100% ${(100 * (row + 1)) / colors.length}% no-repeat`;
  }).join(", ");
}

/** A value that was scaled after it was computed: its sum is right where sum times factor is the value. */
function switchedBy(found, factor) {
  if (factor === 1 || found.value === null || found.total === null) return found;
  const { value, total, tolerance } = found;
  const allowed = (tolerance ?? 0) * Math.abs(factor) + Math.abs(value) * 2 ** -23;
  return { ...found, factor, tolerance: allowed, agrees: Math.abs(total * factor - value) <= allowed };
}

/** Terms come as columns of numbers; here each is one thing again. */
function withTerms(found) {
  if (Array.isArray(found.terms)) return found;
  const { label, value, input, weight, node, channel, row, column, names } = found.terms;
  const terms = label.map((text, at) => ({
    label: text, value: value[at], input: input?.[at] ?? null, weight: weight?.[at] ?? null,
    cell: node[at] === null ? null : { node: node[at], name: names[node[at]], channel: channel[at], row: row[at], column: column[at] },
  }));
  return { ...found, terms };
}

const SUMS_OF_TWO = ["add", "sub", "rsub"];

/** The cell to walk on to: the only one that is read, or that of the larger summand. */
function nextParent(found) {
  const cells = SUMS_OF_TWO.includes(found.kind) ? found.terms.filter(({ cell, value }) => cell?.node !== undefined && cell.node !== null && value !== null) : [];
  if (cells.length < 2) return onlyParent(found);
  const { cell } = cells.reduce((one, other) => (Math.abs(other.value) > Math.abs(one.value) ? other : one));
  return { node: cell.node, channel: cell.channel, cell: cell.row === null ? null : { row: cell.row, column: cell.column } };
}

/** The one cell an operation reads, if it reads but one. */
function onlyParent({ terms, parents, patches }) {
  if (patches?.length || parents.length !== 1 || terms.filter(({ cell }) => cell).length !== 1) return null;
  const [{ node, channel, row, column }] = parents;
  return node === null ? null : { node, channel, cell: row === null ? null : { row, column } };
}

function exact(value) {
  return value === null ? "not finite" : signedNumber(value, DIGITS);
}

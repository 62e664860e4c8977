// What a lesson gave, laid out as it asks: maps, charts and tables side by side; figures stay where they are while
// their numbers change.

import { element, fill } from "./dom.js";
import { ChartFigure } from "./lessonchart.js";
import { MapFigure } from "./lessonmap.js";
import { said } from "./lessonwords.js";

/** From so many on, maps of a row are small multiples. */
const MULTIPLES = 6;
/** What the player shows already. */
const PLAYED = /^(input|kernel|result)\b/;

/** Charts whose marker is a control's value: what the controls then stand on. */
const DRAGGED = {
  threshold: { histogram: (x) => ({ bias: rounded(-x) }) },
  softmax: { losses: (x, values) => ({ [values.target]: rounded(x) }) },
};

export class LessonStage {
  /**
   * @param {{ground: () => "night"|"paper", language: () => string, color: (name: string) => string, value: (name: string) => any, change: (changes: Object<string, any>, done: boolean) => void}} context
   * @param {string} lesson
   */
  constructor(context, lesson) {
    this.context = context;
    this.lesson = lesson;
    this.node = element("div", { class: "lessonrows" });
    /** @type {Map<string, MapFigure>} */
    this.maps = new Map();
    /** @type {Map<string, ChartFigure>} */
    this.charts = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.tables = new Map();
    this.laid = "";
  }

  /** @param {import("./lessonanswer.js").Answer} answer */
  show(answer) {
    const rows = answer.layout.filter((row) => !(answer.player && row.every((name) => PLAYED.test(name) && name in answer.maps)));
    const laid = JSON.stringify(rows);
    if (laid !== this.laid) {
      this.laid = laid;
      fill(this.node, ...this.blocks(rows, answer));
    }
    for (const name of rows.flat()) {
      if (name in answer.maps) this.maps.get(name).show(answer.maps[name]);
      else if (name in answer.charts) this.charts.get(name).show(answer.charts[name]);
      else fillTable(this.tables.get(name), answer.tables[name], this.context.language());
    }
  }

  /** Rows one below the other; blocks of small multiples side by side where there is room. */
  blocks(rows, answer) {
    const blocks = [];
    let group = null;
    for (const names of rows) {
      const many = names.filter((name) => name in answer.maps).length >= MULTIPLES;
      const alone = names.every((name) => name in answer.maps);
      const row = element("div", { class: many ? "multiples" : alone ? "lessonrow mapsonly" : "lessonrow" }, ...names.map((name) => this.figure(name, answer)));
      row.style.setProperty("--count", String(names.length));
      // A photo has to be large enough to draw a box on.
      row.style.setProperty("--least", names.includes("photo") ? "14rem" : "9rem");
      if (many) {
        row.style.setProperty("--across", String([3, 4, 5].find((across) => names.length % across === 0) ?? 3));
        if (!group) blocks.push((group = element("div", { class: "multiplesrow" })));
        group.append(row);
      } else {
        group = null;
        blocks.push(row);
      }
    }
    return blocks;
  }

  figure(name, answer) {
    if (name in answer.maps) {
      if (!this.maps.has(name)) {
        this.maps.set(name, new MapFigure(this.context));
        this.maps.get(name).node.dataset.map = name;
      }
      return this.maps.get(name).node;
    }
    if (name in answer.charts) {
      if (!this.charts.has(name)) {
        const dragged = DRAGGED[this.lesson]?.[name];
        const values = new Proxy({}, { get: (_, control) => this.context.value(String(control)) });
        this.charts.set(name, new ChartFigure(this.context, dragged ? (x, done) => this.context.change(dragged(x, values), done) : null));
        this.charts.get(name).node.dataset.chart = name;
      }
      return this.charts.get(name).node;
    }
    if (!this.tables.has(name)) this.tables.set(name, element("div", { class: "lessontable", data: { table: name }, tabindex: 0, role: "region" }));
    return this.tables.get(name);
  }
}

function fillTable(node, { caption, head, rows }, language) {
  const written = rows.map((row) => row.map((cell) => cellWords(cell, language)));
  const numeric = head.map((_, column) => written.every((row) => /^[-+−]?[\d,.]*%?$|^-$/.test(row[column])));
  const cell = (tag, text, column) => element(tag, { class: numeric[column] ? "number" : null, ...(tag === "th" ? { scope: "col" } : {}) }, text);
  node.setAttribute("aria-label", caption[language]);
  fill(node, element("table", {}, element("caption", {}, caption[language]),
    element("thead", {}, element("tr", {}, ...head.map((text, column) => cell("th", text[language], column)))),
    element("tbody", {}, ...written.map((row) => element("tr", {}, ...row.map((text, column) => cell("td", text, column)))))));
}

function cellWords(cell, language) {
  if (typeof cell === "boolean") return said(language, cell ? "yes" : "no");
  if (cell && typeof cell === "object") return cell[language];
  return typeof cell === "number" ? cell.toLocaleString("en", { maximumFractionDigits: 4 }) : String(cell ?? "");
}

/** Two figures after the point are fine enough for a hand. */
function rounded(x) {
  return Math.round(x * 20) / 20;
}

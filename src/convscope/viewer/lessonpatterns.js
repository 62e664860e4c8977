// The parts of the Lessons tab with fixed data, for the page of patterns.

import { ApiError } from "./api.js";
import { ChartFigure } from "./lessonchart.js";
import { LessonForm } from "./lessonform.js";
import { MapFigure } from "./lessonmap.js";
import { LessonPlayer } from "./lessonplayer.js";

/** @typedef {import("./lessonanswer.js").Text} Text */
/** @typedef {"light"|"dark"} Theme */

/** @returns {Text} */
const inBoth = (en, zh) => ({ en, zh });

/** What a part of a lesson is given on the page; colours by name are read where the part stands. @returns {any} */
function lessonContext(theme, language, more = {}) {
  const frame = () => document.querySelector(`convscope-pattern[data-theme=${theme}]`)?.shadowRoot.querySelector(".viewer") ?? document.body;
  return { ground: () => (theme === "dark" ? "night" : "paper"), language: () => language, color: (name) => getComputedStyle(frame()).getPropertyValue(name), ...more };
}

/** A vertical edge, and the answers of the kernel 1 0 -1 to it. */
const PATTERN_IMAGE = { shape: [1, 5, 5], data: Float32Array.from({ length: 25 }, (_, at) => (at % 5 < 2 ? 9 : 0)) };
const PATTERN_KERNEL = { shape: [1, 1, 3, 3], data: Float32Array.of(1, 0, -1, 1, 0, -1, 1, 0, -1) };
const PATTERN_ANSWERS = { shape: [1, 3, 3], data: Float32Array.of(27, 27, 0, 27, 27, 0, 27, 27, 0) };
const PATTERN_WAVES = Uint8Array.from({ length: 48 * 64 }, (_, at) => 128 + Math.round(120 * Math.sin((at % 64) / 5) * Math.cos(Math.floor(at / 64) / 9)));
const PATTERN_MARKS = [{ kind: "box", top: 10, left: 12, bottom: 22, right: 28, tone: "accent", label: "1" }];
/** @type {import("./lessonanswer.js").LessonMap[]} */
const PATTERN_MAPS = [
  { role: "signed", shape: [3, 3], range: [-27, 27], caption: inBoth("numbers in the cells", "格内的数"), marks: [], cells: true, array: PATTERN_ANSWERS },
  { role: "signed", shape: [48, 64], range: [-1, 1], caption: inBoth("both signs, a place marked", "正负皆有，标出一处"), marks: PATTERN_MARKS, cells: false, array: { shape: [48, 64], data: PATTERN_WAVES } },
  { role: "sequential", shape: [48, 64], range: [0, 1], caption: inBoth("from zero up", "自零而上"), marks: [], cells: false, array: { shape: [48, 64], data: PATTERN_WAVES.map((value) => 1 + Math.abs(value - 128)) } },
];
const PATTERN_TENS = Array.from({ length: 21 }, (_, at) => at - 10);
/** @type {import("./lessonanswer.js").LessonChart[]} */
const PATTERN_CHARTS = [
  {
    kind: "lines", marker: 2, log: "", caption: inBoth("two lines and a marker to drag", "两条线与可拖动的标记"), across: inBoth("input", "输入"), up: inBoth("output", "输出"), names: [],
    series: [{ label: inBoth("ReLU", "ReLU"), x: PATTERN_TENS, y: PATTERN_TENS.map((x) => Math.max(0, x)) }, { label: inBoth("square", "平方"), x: PATTERN_TENS, y: PATTERN_TENS.map((x) => (x * x) / 10) }],
  },
  {
    kind: "bars", marker: null, log: "", caption: inBoth("bars by name", "各名之柱"), across: inBoth("stride", "步幅"), up: inBoth("cells", "格数"), names: [1, 2, 4].map((stride) => inBoth(`${stride}`, `${stride}`)),
    series: [{ label: inBoth("cells", "格数"), x: [0, 1, 2], y: [144, 36, 9] }],
  },
];
/** @type {import("./lessonform.js").ControlTold[]} */
const PATTERN_CONTROLS = [
  { kind: "number", name: "stride", label: inBoth("stride", "步幅"), default: 2, when: {}, low: 1, high: 8, step: 1 },
  { kind: "choice", name: "border", label: inBoth("padding", "填充"), default: "zeros", when: {}, options: { zeros: inBoth("zeros", "零"), reflect: inBoth("reflect", "镜像") } },
  { kind: "switch", name: "bias", label: inBoth("bias", "偏置"), default: true, when: {} },
];

/** @type {import("./lessonanswer.js").Played} */
const PATTERN_PLAYED = {
  padded: PATTERN_IMAGE, kernel: PATTERN_KERNEL, maps: PATTERN_ANSWERS, origins: [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]], offset: [0, 0], image: [5, 5], spread_image: [5, 5],
  stride: [1, 1], dilation: [1, 1], spread: [1, 1], window: [3, 3], groups: 1, count: 9,
  steps: { first: 0, sum: [...PATTERN_ANSWERS.data], sums: [...PATTERN_ANSWERS.data].map((sum) => [sum]), bias: Array(9).fill(0), output: [...PATTERN_ANSWERS.data], agrees: Array(9).fill(true) },
};

function patternForm(theme, language) {
  const values = Object.fromEntries(PATTERN_CONTROLS.map((control) => [control.name, control.default]));
  const told = new LessonForm(lessonContext(theme, language, { value: (name) => values[name], change() {}, pictures: () => [], upload: async () => "" }), PATTERN_CONTROLS);
  return [told.node, () => {
    told.fill();
    told.complain(new ApiError(422, { code: "control", control: "stride", message: "`stride` must be a whole number at least 1; got 0" }));
  }];
}

/** As `Pattern` of patterns.js: name, what is to be seen, column of the page, and what makes it. */
export const LESSON_PATTERNS = [
  ...["en", "zh"].map((language) => ["LessonPlayer", `a step of a convolution, in ${language === "en" ? "English" : "Chinese"}`, "chosen", (theme) => {
    const player = new LessonPlayer(lessonContext(theme, language, { steps: async () => PATTERN_PLAYED.steps, proof: async () => null, stepped() {} }));
    player.index = 1;
    return [player.node, () => player.show(PATTERN_PLAYED, false)];
  }]),
  ...PATTERN_MAPS.map((map) => ["MapFigure", map.caption.en, "chosen", (theme) => {
    const figure = new MapFigure(lessonContext(theme, "en"));
    return [figure.node, () => figure.show(map)];
  }]),
  ...PATTERN_CHARTS.map((chart) => ["ChartFigure", chart.caption.en, "chosen", (theme) => {
    const figure = new ChartFigure(lessonContext(theme, "en"), () => {});
    return [figure.node, () => figure.show(chart)];
  }]),
  ["LessonForm", "controls, one with a complaint", "subject", (theme) => patternForm(theme, "en")],
  ["LessonForm", "the same in Chinese", "subject", (theme) => patternForm(theme, "zh")],
];

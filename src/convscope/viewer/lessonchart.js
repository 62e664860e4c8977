// A chart of a lesson: lines, bars or a histogram; its marker can be dragged where it is a control's value.

import { element, fill, svg } from "./dom.js";
import { grouped, plainNumber } from "./format.js";
import { said } from "./lessonwords.js";

/** Powers of two up to this are round numbers to a reader; above it 1, 2 and 5 are. */
const LARGEST_TWO = 8192;
const HEIGHT = 260;
const EDGE = { top: 14, right: 24, bottom: 44, left: 58 };
const UNITS = [{ limit: 1e9, unit: 1e9, sign: "G" }, { limit: 1e6, unit: 1e6, sign: "M" }, { limit: 1e4, unit: 1e3, sign: "k" }];
const SERIES = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5"];
/** Of the marker's way for one press of an arrow key. */
const KEY_STEP = 1 / 100;

export class ChartFigure {
  /**
   * @param {{language: () => string}} context
   * @param {((x: number, done: boolean) => void)|null} onMarker told where the marker is dragged to
   */
  constructor(context, onMarker = null) {
    this.context = context;
    this.onMarker = onMarker;
    this.caption = element("figcaption");
    this.key = element("p", { class: "chartkey" });
    this.plot = svg("svg", { class: "chart", role: "img" });
    this.grip = element("div", {
      class: "chartgrip", role: "slider", tabindex: 0, hidden: true,
      on: { pointerdown: (event) => this.begin(event), pointermove: (event) => this.drag(event, false), pointerup: (event) => this.end(event), pointercancel: (event) => this.end(event), keydown: (event) => this.press(event) },
    }, element("i"));
    this.node = element("figure", { class: "lessonchart" }, this.caption, this.key, element("div", { class: "chartplate" }, this.plot, this.grip));
    this.held = false;
    new ResizeObserver(() => this.chart && this.draw()).observe(this.node);
  }

  /** @param {import("./lessonanswer.js").LessonChart} chart */
  show(chart) {
    this.chart = chart;
    this.draw();
  }

  draw() {
    const { chart } = this;
    const language = this.context.language();
    const width = Math.max(220, this.node.clientWidth || 420);
    fill(this.caption, chart.caption[language]);
    fill(this.key, ...(chart.series.length > 1 ? chart.series.map(({ label }, place) => {
      const sample = element("i");
      sample.style.backgroundColor = `var(${SERIES[place % SERIES.length]})`;
      return element("span", {}, sample, label[language]);
    }) : [element("span", {}, chart.up[language])]));
    const bars = chart.kind === "bars";
    const xs = chart.series.flatMap(({ x }) => x);
    const ys = chart.series.flatMap(({ y }) => y);
    this.across = bars ? new Axis(-0.5, Math.max(...xs) + 0.5, false) : new Axis(Math.min(...xs), Math.max(...xs), chart.log === "xy");
    const up = new Axis(chart.log ? Math.min(...ys) : Math.min(0, ...ys), Math.max(...ys) || 1, Boolean(chart.log));
    this.inner = { left: EDGE.left, right: width - EDGE.right };
    const bottom = HEIGHT - EDGE.bottom;
    const x = (value) => this.inner.left + this.across.share(value) * (this.inner.right - this.inner.left);
    const y = (value) => bottom - up.share(value) * (bottom - EDGE.top);
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.plot.setAttribute("width", String(width));
    this.plot.setAttribute("height", String(HEIGHT));
    this.plot.setAttribute("aria-label", `${chart.caption[language]}: ${chart.across[language]}, ${chart.up[language]}`);
    const text = (words, at, down, anchor) => svg("text", { x: at, y: down, "text-anchor": anchor }, words);
    const parts = up.ticks().flatMap((tick) => [svg("line", { class: "gridline", x1: this.inner.left, x2: this.inner.right, y1: y(tick), y2: y(tick) }), text(tickText(tick), this.inner.left - 7, y(tick) + 4, "end")]);
    const below = bars ? chart.names.map((name, place) => [place, name[language]]) : fewer(this.across.ticks(), (this.inner.right - this.inner.left) / 52).map((tick) => [tick, tickText(tick)]);
    for (const [at, words] of below) parts.push(text(words, x(at), bottom + 16, "middle"));
    chart.series.forEach((series, place) => parts.push(...this.marks(series, place, { x, y, bottom, up })));
    parts.push(svg("line", { class: "axisline", x1: this.inner.left, x2: this.inner.right, y1: y(Math.max(0, up.low)), y2: y(Math.max(0, up.low)) }),
      text(chart.across[language], (this.inner.left + this.inner.right) / 2, HEIGHT - 8, "middle"));
    const marked = chart.marker !== null && chart.marker >= this.across.low && chart.marker <= this.across.high;
    if (marked) parts.push(svg("line", { class: "marker", x1: x(chart.marker), x2: x(chart.marker), y1: EDGE.top - 6, y2: bottom }));
    fill(this.plot, ...parts);
    this.grip.hidden = !this.onMarker || chart.marker === null;
    if (!this.grip.hidden) this.showGrip(x);
  }

  marks(series, place, { x, y, bottom, up }) {
    const { chart } = this;
    const style = `series-${(place % SERIES.length) + 1}`;
    if (chart.kind === "lines") {
      const points = series.x.map((value, at) => `${x(value).toFixed(1)},${y(series.y[at]).toFixed(1)}`);
      const dots = points.length <= 16 ? series.x.map((value, at) => svg("circle", { class: `spotdot ${style}`, cx: x(value), cy: y(series.y[at]), r: 3.2 }, svg("title", {}, `${tickText(value)}: ${plainNumber(series.y[at])}`))) : [];
      return [svg("polyline", { class: `curve ${style}`, points: points.join(" ") }), ...dots];
    }
    if (chart.kind === "histogram") {
      return series.y.slice(0, -1).map((count, at) => {
        const [left, right] = [x(series.x[at]), x(series.x[at + 1])];
        const kept = chart.marker === null || series.x[at] >= chart.marker;
        return svg("rect", { class: kept ? `block ${style}` : "block lost", x: left, width: Math.max(0.5, right - left - 0.6), y: y(count), height: Math.max(0, bottom - y(count)) }, svg("title", {}, `${plainNumber(series.x[at])} … ${plainNumber(series.x[at + 1])}: ${grouped(count)}`));
      });
    }
    const slot = (this.inner.right - this.inner.left) / (this.across.high - this.across.low);
    const thick = Math.max(2, (slot * 0.8) / chart.series.length);
    return series.y.map((value, at) => svg("rect", {
      class: `block ${style}`, x: x(series.x[at]) - (thick * chart.series.length) / 2 + place * thick, width: Math.max(1, thick - 1),
      y: Math.min(y(value), y(Math.max(0, up.low))), height: Math.abs(y(value) - y(Math.max(0, up.low))),
    }, svg("title", {}, `${series.label[this.context.language()]}: ${plainNumber(value)}`)));
  }

  showGrip(x) {
    const { chart, across } = this;
    const kept = Math.min(across.high, Math.max(across.low, chart.marker));
    this.grip.style.insetInlineStart = `${x(kept)}px`;
    const words = `${chart.across[this.context.language()]}, ${said(this.context.language(), "drag")}`;
    for (const [name, value] of Object.entries({ "aria-label": words, "aria-valuemin": across.low, "aria-valuemax": across.high, "aria-valuenow": chart.marker, title: words })) this.grip.setAttribute(name, String(value));
  }

  begin(event) {
    event.preventDefault();
    this.grip.focus({ preventScroll: true });
    this.grip.setPointerCapture(event.pointerId);
    this.held = true;
  }

  drag(event, done) {
    if (!this.held) return;
    const { left } = this.plot.getBoundingClientRect();
    const share = (event.clientX - left - this.inner.left) / (this.inner.right - this.inner.left);
    this.onMarker(this.across.value(Math.min(1, Math.max(0, share))), done);
  }

  end(event) {
    this.drag(event, true);
    this.held = false;
  }

  press(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.onMarker(this.across.value(this.across.share(this.chart.marker) + step * KEY_STEP * (event.shiftKey ? 5 : 1)), true);
  }
}

class Axis {
  constructor(low, high, log) {
    this.log = log && low > 0;
    this.low = low;
    this.high = high > low ? high : low + 1;
  }

  /** Where a value lies between the ends, 0 to 1. */
  share(value) {
    return this.log ? Math.log(Math.max(value, this.low) / this.low) / Math.log(this.high / this.low) : (value - this.low) / (this.high - this.low);
  }

  value(share) {
    return this.log ? this.low * (this.high / this.low) ** share : this.low + share * (this.high - this.low);
  }

  /** A few round numbers between the ends. */
  ticks() {
    if (this.log) {
      const decades = span(Math.ceil(Math.log10(this.low) - 1e-9), Math.floor(Math.log10(this.high) + 1e-9));
      if (decades.length > 2) return decades.filter((_, place) => place % Math.max(1, Math.floor(decades.length / 4)) === 0).map((power) => 10 ** power);
      if (this.high > LARGEST_TWO) {
        const low = Math.floor(Math.log10(this.low));
        const round = span(low, low + decades.length + 1).flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
        return round.filter((value) => value >= this.low && value <= this.high);
      }
      const twos = span(Math.ceil(Math.log2(this.low) - 1e-9), Math.floor(Math.log2(this.high) + 1e-9)).map((power) => 2 ** power);
      return twos.length ? twos : [this.low];
    }
    const rough = (this.high - this.low) / 5;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((n) => n * unit).find((n) => n >= rough);
    return span(Math.ceil(this.low / step - 1e-9), Math.floor(this.high / step + 1e-9)).map((n) => n * step);
  }
}

function span(first, last) {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => first + place);
}

function fewer(ticks, most) {
  const skip = Math.max(1, Math.ceil(ticks.length / Math.max(1, most)));
  return ticks.filter((_, place) => place % skip === 0);
}

function tickText(value) {
  for (const { limit, unit, sign } of UNITS) if (Math.abs(value) >= limit) return `${plainNumber(value / unit, 3)}${sign}`;
  return Number.isInteger(value) ? plainNumber(value) : String(Number(value.toPrecision(4))).replace("-", "−");
}

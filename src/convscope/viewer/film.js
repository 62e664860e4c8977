// A training seen again: filters, maps and answers of the step chosen, under a slider over all kept steps.

import { choiceBar } from "./choice.js";
import { colorTable, packedColor, pixelTable } from "./colors.js";
import { element, fill } from "./dom.js";
import { CurvePanel, TilePanel } from "./filmpanels.js";
import { counted, grouped, plainNumber } from "./format.js";
import { paintPhoto } from "./paint.js";
import { Trouble, errorText } from "./trouble.js";

const RANGE_CHOICES = [
  ["film", "whole film", "each tile by its largest absolute value in the whole film"],
  ["step", "this step", "each tile by its largest absolute value at this step"],
];
/** A frame stays as long; a film longer than a minute would be is played in one. */
const PLAY_MILLISECONDS = 220;
const MOST_MILLISECONDS = 60000;
/** Between two frames of a long film, of which some are left out. */
const LEAST_MILLISECONDS = 50;
/** @type {[string, string][]} */
const FILM_KEYS = [["← →", "step"], ["Home End", "first, last"], ["space", "play"], ["i", "image"], ["l", "layer"], ["r", "range"]];

/** The keys of a film, in a line. */
export function filmKeys() {
  const parts = FILM_KEYS.map(([keys, text]) => element("span", {}, ...keys.split(" ").map((key) => element("kbd", {}, key)), text));
  return element("span", { class: "dim keys" }, ...parts);
}

/** Fires `change` when something was chosen; `chosen` says what. */
export class FilmView extends EventTarget {
  /** @param {import("./filmsource.js").FilmSource} source @param {() => "paper"|"night"} ground */
  constructor(source, ground) {
    super();
    this.source = source;
    this.ground = ground;
    this.node = element("div", { class: "film" });
    this.index = 0;
    this.layer = 0;
    this.image = 0;
    this.range = "film";
    /** @type {number|null} */
    this.timer = null;
    /** Set by a host that starts it later. @type {Promise<void>|undefined} */
    this.started = undefined;
    /** What the source opened. @type {any} */
    this.film = null;
  }

  /** Shows the film; `wished` may name a step, a layer, an image and a range. @param {Object<string, string>} [wished] */
  async start(wished = {}) {
    await this.open(wished);
    await this.draw();
  }

  /** @param {Object<string, string>} wished */
  async open(wished) {
    const film = await this.source.open();
    this.shown = (await this.source.pictures()).get("pictures");
    this.film = film;
    this.layOut();
    this.index = film.frames.length - 1;
    this.take(film.first);
    this.take(wished);
  }

  /** Its training has gone on, or begun anew, since it was opened: what is chosen stays. */
  async reopen() {
    if (this.reopening) return;
    this.reopening = true;
    this.play(false);
    const held = this.node.contains(/** @type {ShadowRoot} */ (this.node.getRootNode()).activeElement);
    const failure = await this.open(this.chosen).then(() => null, (cause) => cause);
    this.reopening = false;
    if (failure) {
      this.refuse(failure);
      return;
    }
    if (held) this.slider.focus();
    await this.draw();
  }

  /** What is chosen, as text. */
  get chosen() {
    return {
      step: String(this.film.frames[this.index].step), layer: this.film.layers[this.layer].name,
      image: String(this.image), range: this.range,
    };
  }

  /** Takes over choices written as text, of the steps the nearest; what does not exist is left. @param {Object<string, string>} wished */
  take({ step, layer, image, range }) {
    const { frames, layers, images } = this.film;
    if (step && Number.isFinite(Number(step))) this.index = nearest(frames.map((frame) => frame.step), Number(step));
    const number = layers.findIndex(({ name }) => name === layer);
    if (number >= 0) this.layer = number;
    if (images[Number(image)]) this.image = Number(image);
    if (RANGE_CHOICES.some(([name]) => name === range)) this.range = range;
  }

  layOut() {
    const { film } = this;
    const last = film.frames.length - 1;
    this.where = element("output", { class: "where", "aria-live": "off" });
    this.score = element("span", { class: "score" });
    this.layers = element("select", { "aria-label": "layer", on: { change: () => this.choose({ layer: this.layers.selectedIndex }) } },
      ...film.layers.map(({ name }) => element("option", {}, name)));
    this.ranges = choiceBar("range of the colours", /** @type {any} */ (RANGE_CHOICES), (range) => this.choose({ range }));
    this.thumbs = element("div", { class: "thumbs", role: "group", "aria-label": "images" }, ...film.images.map((image, number) => this.thumb(image, number)));
    this.photo = element("canvas", { class: "picture", role: "img" });
    this.caption = element("p", { class: "dim" });
    this.answers = element("ol", { class: "shares" });
    this.kernels = new TilePanel("filters at this step", (tile) => this.point(tile));
    this.maps = new TilePanel("maps of the image at this step", (tile) => this.point(tile));
    this.told = element("p", { class: "told dim" });
    this.curves = new CurvePanel(film, (index) => this.choose({ index }));
    this.series = element("dl", { class: "series" });
    this.slider = element("input", { type: "range", min: 0, max: last, step: 1, "aria-label": "step of the training", on: { input: () => this.choose({ index: Number(this.slider.value) }) } });
    this.button = element("button", { type: "button", class: "quiet play", title: "play or stop (space)", on: { click: () => this.play(this.timer === null) } }, "Play");
    fill(this.node,
      element("div", { class: "stage" },
        element("aside", { class: "cast" }, this.thumbs, this.photo, this.caption, this.answers),
        this.kernels.node, this.maps.node),
      element("div", { class: "choices" }, element("label", { class: "layers" }, element("span", { class: "dim" }, "layer "), this.layers), this.ranges.node, this.told),
      element("div", { class: "reel" },
        element("div", { class: "now" }, this.where, this.score, this.series, this.button),
        element("div", { class: "track-of-steps" }, this.curves.canvas, this.slider)));
    this.node.classList.toggle("without-kernels", film.layers.every(({ kernels }) => !kernels));
  }

  thumb(image, number) {
    const canvas = element("canvas", {});
    const [, rows, columns] = this.shown.shape;
    const area = rows * columns * 3;
    paintPhoto(canvas, this.shown.data.subarray(number * area, (number + 1) * area), rows, columns);
    const name = this.imageName(image);
    return element("button", { type: "button", title: name, "aria-label": name, on: { click: () => this.choose({ image: number }) } }, canvas);
  }

  imageName({ name, label }) {
    const called = this.film.classes[label];
    return called === undefined ? name : `${name}, class ${called}`;
  }

  /** @param {Partial<{index: number, layer: number, image: number, range: string}>} changes */
  choose(changes) {
    Object.assign(this, changes);
    this.draw();
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} by */
  turn(by) {
    const index = Math.min(this.film.frames.length - 1, Math.max(0, this.index + by));
    if (index !== this.index) this.choose({ index });
  }

  /** @param {boolean} on */
  play(on) {
    const played = this.timer !== null;
    if (played) clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = on ? "Stop" : "Play";
    if (!on) {
      if (played) this.dispatchEvent(new Event("change"));
      return;
    }
    const last = this.film.frames.length - 1;
    if (this.index === last) this.choose({ index: 0 });
    const each = Math.min(PLAY_MILLISECONDS, MOST_MILLISECONDS / last);
    let shown = performance.now();
    this.timer = window.setInterval(() => {
      if (this.index === last) this.play(false);
      if (this.timer === null || this.drawn !== this.index) return;
      const due = each < PLAY_MILLISECONDS ? Math.floor((performance.now() - shown) / each) : 1;
      const by = Math.max(1, due);
      shown += by * each;
      this.turn(by);
    }, Math.max(LEAST_MILLISECONDS, each));
  }

  async draw() {
    if (this.reopening) return;
    const { index, film } = this;
    // Another view of the same source has opened it anew.
    if (film !== this.source.manifest) {
      await this.reopen();
      return;
    }
    const arrays = await this.source.frame(index).catch((cause) => film === this.film && this.refuse(cause));
    // Another step may have been chosen while this one was unpacked.
    if (!arrays || index !== this.index || film !== this.film) return;
    this.arrays = arrays;
    this.drawTiles();
    this.drawImage();
    this.drawPlace();
    this.drawn = index;
    this.node.dataset.step = String(this.film.frames[index].step);
  }

  refuse(cause) {
    this.play(false);
    if (cause.code === "outdated") this.reopen();
    else if (cause instanceof Trouble) fill(this.told, errorText(cause));
    else {
      fill(this.told, typeof DecompressionStream === "undefined"
        ? "This browser is too old to unpack the film: it lacks DecompressionStream."
        : `This step of the film is damaged and cannot be read (${cause.message}).`);
    }
    return null;
  }

  drawTiles() {
    const layer = this.film.layers[this.layer];
    const { arrays } = this;
    this.layers.selectedIndex = this.layer;
    this.ranges.set(this.range);
    this.kernels.node.hidden = !layer.kernels;
    this.broken = false;
    if (layer.kernels) {
      const [count, rows, columns] = layer.kernels;
      const { data } = arrays.get(`kernels/${this.layer}`);
      const area = rows * columns;
      fill(this.kernels.heading, layer.words);
      const colours = layer.kind === "rgb";
      const gains = Array.from({ length: count }, (_, tile) => this.kernelGain(data, tile, area * (colours ? 3 : 1)));
      const tables = colours ? null : gains.map((gain) => pixelTable(true, this.ground(), gain));
      const broken = packedColor(colorTable(true, this.ground())[0]);
      this.kernels.show(count, rows, columns, colours
        ? (tile, cell) => rgbPixel(data, (tile * area + cell) * 3, gains[tile], broken)
        : (tile, cell) => tables[tile][data[tile * area + cell]]);
      this.broken = data.includes(0);
    }
    const [count, rows, columns] = layer.maps;
    const area = rows * columns;
    const { data } = arrays.get(`maps/${this.layer}`);
    const tables = Array.from({ length: count }, (_, tile) => pixelTable(true, this.ground(), this.mapGain(tile)));
    const first = this.image * count * area;
    this.maps.show(count, rows, columns, (tile, cell) => tables[tile][data[first + tile * area + cell]]);
    const [channels, ...size] = layer.map_shape;
    const seen = this.maps.shape.count;
    this.broken ||= data.subarray(first, first + seen * area).includes(0);
    const some = seen < channels ? `${seen} of ` : "";
    const averaged = isAveraged(layer) ? `, averaged to ${rows} × ${columns}` : "";
    fill(this.maps.heading, `maps of the image: ${some}${counted(channels, "channel")}, ${size.join(" × ")}${averaged}`);
    this.point(this.kernels.marked);
  }

  /** How the bytes of a filter, kept by its largest weight of the film, are stretched. */
  kernelGain(data, tile, size) {
    if (this.range === "film") return 1;
    const largest = largestStep(data, tile * size, size);
    return largest ? 127 / largest : 1;
  }

  mapLargest(tile) {
    return this.arrays.get(`scales/${this.layer}`).data[this.image * this.film.layers[this.layer].maps[0] + tile] * 127;
  }

  mapGain(tile) {
    const limit = this.film.layers[this.layer].limits[this.image][tile];
    return this.range === "film" && limit ? this.mapLargest(tile) / limit : 1;
  }

  /** A tile under the pointer: filter and map of one channel are marked together. @param {number|null} tile */
  point(tile) {
    this.kernels.mark(tile);
    this.maps.mark(tile);
    const layer = this.film.layers[this.layer];
    if (tile === null) {
      fill(this.told, [this.meaning(layer), this.film.left_out].filter(Boolean).join("; "));
      return;
    }
    const parts = [`filter ${tile}`];
    if (layer.kernels && tile < layer.kernels[0]) {
      const { data } = this.arrays.get(`kernels/${this.layer}`);
      const size = layer.kernels[1] * layer.kernels[2] * (layer.kind === "rgb" ? 3 : 1);
      parts.push(`weights within ±${plainNumber((largestStep(data, tile * size, size) / 127) * layer.kernel_limits[tile], 3)}`);
    }
    if (tile < layer.maps[0]) parts.push(`its ${isAveraged(layer) ? "averaged " : ""}map within ±${plainNumber(this.mapLargest(tile), 3)}`);
    fill(this.told, parts.join(", "));
  }

  /** What the colours mean in what is shown. */
  meaning(layer) {
    const filters = layer.kind === "rgb" ? "grey is zero in the filters; in the maps " : "";
    const broken = this.broken ? `; ${this.ground() === "night" ? "green" : "yellow"} is not finite` : "";
    return `${filters}warm colours are above zero, blue is below${broken}`;
  }

  drawImage() {
    const { film, image } = this;
    const [, rows, columns] = this.shown.shape;
    const area = rows * columns * 3;
    paintPhoto(this.photo, this.shown.data.subarray(image * area, (image + 1) * area), rows, columns);
    const name = this.imageName(film.images[image]);
    this.photo.setAttribute("aria-label", name);
    fill(this.caption, name);
    [...this.thumbs.children].forEach((thumb, number) => thumb.setAttribute("aria-pressed", String(number === image)));
    const shares = film.shares[this.index]?.[image] ?? [];
    const longest = Math.max(0, ...(film.bars[image] ?? []).map((number) => film.names[number].length));
    this.answers.style.setProperty("--label", `${Math.min(7, longest * 0.5 + 0.3)}rem`);
    const best = Math.max(...shares.map((share) => share ?? 0));
    fill(this.answers, ...(film.bars[image] ?? []).map((number, place) => {
      const share = shares[place];
      const bar = element("i", {});
      bar.style.inlineSize = `${(share ?? 0) * 100}%`;
      const marks = [number === film.images[image].label ? "true" : "", share === best ? "best" : ""];
      return element("li", { class: marks.join(" ").trim() || null }, element("span", { class: "label", title: film.names[number] }, film.names[number]),
        element("span", { class: "axis" }, bar), element("span", { class: "share" }, share === null ? "none" : `${Math.round(share * 100)} %`));
    }));
  }

  drawPlace() {
    const frame = this.film.frames[this.index];
    const { epoch } = frame.told;
    const place = epoch === undefined ? "" : `epoch ${Number.isInteger(epoch) ? epoch : epoch.toFixed(2)}, `;
    fill(this.where, `${place}step ${grouped(frame.step)}`);
    const words = ["test accuracy", "training accuracy"].find((name) => name in frame.told);
    fill(this.score, words ? `${words} ${saidOf(words, frame.told[words])}` : "");
    fill(this.series, ...Object.keys(this.film.curves).flatMap((name, number) => {
      const text = name in frame.told ? saidOf(name, frame.told[name]) : "";
      return [element("dt", { data: { series: String(number) } }, name), element("dd", {}, text)];
    }));
    this.slider.value = String(this.index);
    this.slider.setAttribute("aria-valuetext", `${place}step ${grouped(frame.step)}, ${this.index + 1} of ${this.film.frames.length}`);
    this.curves.show(this.index);
  }

  /** Works a key; whether it meant something here. @param {KeyboardEvent} event @returns {boolean} */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const last = this.film.frames.length - 1;
    const actions = {
      ArrowLeft: () => this.turn(-1),
      ArrowRight: () => this.turn(1),
      Home: () => this.turn(-last),
      End: () => this.turn(last),
      " ": () => this.play(this.timer === null),
      i: () => this.choose({ image: (this.image + 1) % this.film.images.length }),
      l: () => this.choose({ layer: (this.layer + 1) % this.film.layers.length }),
      r: () => this.choose({ range: this.range === "film" ? "step" : "film" }),
    };
    const action = actions[event.key];
    if (!action) return false;
    if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") this.play(false);
    action();
    return true;
  }
}

/** The largest distance from zero among bytes, in steps. */
function largestStep(data, start, size) {
  let largest = 0;
  for (let at = start; at < start + size; at += 1) {
    if (data[at]) largest = Math.max(largest, Math.abs(data[at] - 128));
  }
  return largest;
}

/** @param {number} broken the colour of what is not finite */
function rgbPixel(data, at, gain, broken) {
  if (!data[at] || !data[at + 1] || !data[at + 2]) return broken;
  const part = (color) => Math.min(255, Math.max(0, Math.round(128 + (data[at + color] - 128) * gain)));
  return packedColor([part(0), part(1), part(2)]);
}

/** Whether what is kept of a layer's maps was averaged from larger ones. */
function isAveraged({ maps, map_shape: shape }) {
  return maps[1] !== shape[1] || maps[2] !== shape[2];
}

/** The place of the number nearest to `wanted`. @param {number[]} numbers @param {number} wanted */
function nearest(numbers, wanted) {
  const away = numbers.map((number) => Math.abs(number - wanted));
  return away.indexOf(Math.min(...away));
}

/** A loss or an accuracy in words; null is what JSON makes of a number that is not finite. @param {string} name @param {number|null} value */
function saidOf(name, value) {
  if (value === null) return "not finite";
  return name.includes("loss") ? plainNumber(value, 3) : `${(value * 100).toFixed(1)} %`;
}

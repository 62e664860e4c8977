// A training seen again: filters, maps and answers of the step chosen, under a slider over all kept steps.

import { choiceBar } from "./choice.js";
import { packedColor, pixelTable } from "./colors.js";
import { element, fill } from "./dom.js";
import { CurvePanel, TilePanel } from "./filmpanels.js";
import { counted, grouped, plainNumber } from "./format.js";
import { paintPhoto } from "./paint.js";

const RANGE_CHOICES = [
  ["film", "whole film", "each tile by its largest absolute value in the whole film"],
  ["step", "this step", "each tile by its largest absolute value at this step"],
];
const PLAY_MILLISECONDS = 220;

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
    this.film = await this.source.open();
    this.shown = (await this.source.pictures()).get("pictures");
    this.layOut();
    this.index = this.film.frames.length - 1;
    this.take(wished);
    await this.draw();
  }

  /** What is chosen, as text. */
  get chosen() {
    return {
      step: String(this.film.frames[this.index].step), layer: this.film.layers[this.layer].name,
      image: String(this.image), range: this.range,
    };
  }

  /** Takes over choices written as text; what does not exist is left. @param {Object<string, string>} wished */
  take({ step, layer, image, range }) {
    const { frames, layers, images } = this.film;
    const place = frames.findIndex((frame) => String(frame.step) === step);
    if (place >= 0) this.index = place;
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
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = on ? "Stop" : "Play";
    if (!on) return;
    if (this.index === this.film.frames.length - 1) this.choose({ index: 0 });
    this.timer = window.setInterval(() => {
      if (this.index === this.film.frames.length - 1) this.play(false);
      else if (this.drawn === this.index) this.turn(1);
    }, PLAY_MILLISECONDS);
  }

  async draw() {
    const { index } = this;
    const arrays = await this.source.frame(index).catch((cause) => this.refuse(cause));
    // Another step may have been chosen while this one was unpacked.
    if (!arrays || index !== this.index) return;
    this.arrays = arrays;
    this.drawTiles();
    this.drawImage();
    this.drawPlace();
    this.drawn = index;
    this.node.dataset.step = String(this.film.frames[index].step);
  }

  refuse(cause) {
    this.play(false);
    this.told.textContent = typeof DecompressionStream === "undefined"
      ? "This browser is too old to unpack the film: it lacks DecompressionStream."
      : `This step of the film is damaged and cannot be read (${cause.message}).`;
    return null;
  }

  drawTiles() {
    const layer = this.film.layers[this.layer];
    const { arrays } = this;
    this.layers.selectedIndex = this.layer;
    this.ranges.set(this.range);
    this.kernels.node.hidden = !layer.kernels;
    if (layer.kernels) {
      const [count, rows, columns] = layer.kernels;
      const { data } = arrays.get(`kernels/${this.layer}`);
      const area = rows * columns;
      fill(this.kernels.heading, layer.words);
      const colours = layer.kind === "rgb";
      const gains = Array.from({ length: count }, (_, tile) => this.kernelGain(data, tile, area * (colours ? 3 : 1)));
      const tables = colours ? null : gains.map((gain) => pixelTable(true, this.ground(), gain));
      this.kernels.show(count, rows, columns, colours
        ? (tile, cell) => rgbPixel(data, (tile * area + cell) * 3, gains[tile])
        : (tile, cell) => tables[tile][data[tile * area + cell]]);
    }
    const [count, rows, columns] = layer.maps;
    const area = rows * columns;
    const { data } = arrays.get(`maps/${this.layer}`);
    const tables = Array.from({ length: count }, (_, tile) => pixelTable(true, this.ground(), this.mapGain(tile)));
    const first = this.image * count * area;
    this.maps.show(count, rows, columns, (tile, cell) => tables[tile][data[first + tile * area + cell]]);
    const [channels, high, wide] = layer.map_shape;
    const seen = this.maps.shape.count;
    const some = seen < channels ? `${seen} of ` : "";
    fill(this.maps.heading, `maps of the image: ${some}${counted(channels, "channel")}, ${high} × ${wide}`);
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
    if (tile === null) {
      fill(this.told, ["warm colours are above zero, blue is below", this.film.left_out].filter(Boolean).join("; "));
      return;
    }
    const layer = this.film.layers[this.layer];
    const parts = [`filter ${tile}`];
    if (layer.kernels && tile < layer.kernels[0]) {
      const { data } = this.arrays.get(`kernels/${this.layer}`);
      const size = layer.kernels[1] * layer.kernels[2] * (layer.kind === "rgb" ? 3 : 1);
      parts.push(`weights within ±${plainNumber((largestStep(data, tile * size, size) / 127) * layer.kernel_limits[tile], 3)}`);
    }
    if (tile < layer.maps[0]) parts.push(`its map within ±${plainNumber(this.mapLargest(tile), 3)}`);
    fill(this.told, parts.join(", "));
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
    this.answers.style.setProperty("--label", `${Math.min(5.2, longest * 0.5 + 0.3)}rem`);
    const best = Math.max(...shares.map((share) => share ?? 0));
    fill(this.answers, ...(film.bars[image] ?? []).map((number, place) => {
      const share = shares[place];
      const bar = element("i", {});
      bar.style.inlineSize = `${(share ?? 0) * 100}%`;
      const marks = [number === film.images[image].label ? "true" : "", share === best ? "best" : ""];
      return element("li", { class: marks.join(" ").trim() || null }, element("span", { class: "label" }, film.names[number]),
        element("span", { class: "axis" }, bar), element("span", { class: "share" }, share === null ? "none" : `${Math.round(share * 100)} %`));
    }));
  }

  drawPlace() {
    const frame = this.film.frames[this.index];
    const { epoch } = frame.told;
    const place = epoch === undefined ? "" : `epoch ${Number.isInteger(epoch) ? epoch : epoch.toFixed(2)}, `;
    fill(this.where, `${place}step ${grouped(frame.step)}`);
    const words = ["test accuracy", "training accuracy"].find((name) => name in frame.told);
    fill(this.score, words ? `${words} ${(frame.told[words] * 100).toFixed(1)} %` : "");
    fill(this.series, ...Object.keys(this.film.curves).flatMap((name, number) => {
      const value = frame.told[name];
      const text = value === undefined ? "" : name.includes("loss") ? plainNumber(value, 3) : `${(value * 100).toFixed(1)} %`;
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

function rgbPixel(data, at, gain) {
  const part = (color) => Math.min(255, Math.max(0, Math.round(128 + (data[at + color] - 128) * gain)));
  return packedColor([part(0), part(1), part(2)]);
}

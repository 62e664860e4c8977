// Takes away what is seen: pictures drawn here, exact numbers and the report from the server, a link.

import { cssColor, pixelTable } from "./colors.js";
import { element } from "./dom.js";
import { plainNumber, signedNumber } from "./format.js";
import { paintMap, paintTile, tileFit } from "./paint.js";
import { statistic } from "./statistics.js";
import { errorText } from "./trouble.js";

const LEAST_SIDE = 512;
const TILE = 112;
const SHEET_GAP = 4;

export class ExportMenu {
  /** @param {import("./desk.js").Desk} desk @param {import("./types.js").LiveContext} context @param {import("./app.js").ConvscopeViewer} viewer */
  constructor(desk, context, viewer) {
    this.desk = desk;
    this.context = context;
    this.viewer = viewer;
    context.shown.push((node, arrays) => {
      this.layer = node;
      this.arrays = arrays;
      for (const button of buttons.filter(({ dataset }) => "map" in dataset || "grid" in dataset)) button.disabled = node.view !== "map" || !arrays.get("maps");
    });
    const item = (text, title, data, run) => element("button", { type: "button", title, data, on: { click: () => this.run(run) } }, text);
    const buttons = [
      item("Map of this channel (.png)", "each cell a square of whole pixels", { map: "", what: "map" }, () => this.save(this.mapPicture(), this.fileName(`channel-${context.state.channel}`))),
      item("Channel view (.png)", "map, legend, statistics, histogram", { map: "", what: "channel" }, () => this.save(this.channelPicture(), this.fileName(`channel-${context.state.channel}-view`))),
      item("All channels (.png)", "the grid, every channel of the layer", { grid: "", what: "grid" }, () => this.save(this.gridPicture(), this.fileName("channels"))),
      item("Exact values of the layer (.npz)", "as the network computed them", { what: "values" }, () => this.fetch("values")),
      item("Exact values of the layer (.csv)", "one row a value", { what: "csv" }, () => this.fetch("csv")),
      item("Report (.html)", "one file that opens from disk", { what: "report" }, () => this.fetch("report")),
      item("Scene", "what every exhibit is made of", { what: "scene" }, () => this.fetch("scene")),
      ...(desk.host.link ? [item("Copy a link to this sight", "opens while this server runs; it holds the key to it", { what: "link" }, () => this.copyLink())] : []),
    ];
    this.list = element("div", { class: "list" }, ...buttons);
    this.said = element("p", { class: "dim", role: "status" });
    this.node = element("details", { class: "menu" }, element("summary", { class: "quiet", title: "what can be taken away (w)" }, "Export"), element("div", { class: "sheet" }, this.list, this.said));
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.node.open) return;
      event.stopPropagation();
      this.node.open = false;
      this.node.querySelector("summary").focus();
    });
    this.node.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.node.contains(relatedTarget)) this.node.open = false;
    });
    context.keys.push({ keys: "w", press: "w", text: "what can be taken away: pictures, numbers, report", run: () => {
      this.node.open = true;
      buttons.find(({ disabled }) => !disabled)?.focus();
    } });
  }

  async run(what) {
    this.said.textContent = "…";
    this.said.className = "dim";
    try {
      this.said.textContent = (await what()) ?? "";
    } catch (error) {
      this.said.textContent = errorText(error);
      this.said.className = "warning";
    }
  }

  fileName(end) {
    const { manifest } = this.context.scene;
    return `${manifest.image.name}-${manifest.model.name}-${this.layer.name}-${end}.png`.replace(/[^\w.-]+/g, "_");
  }

  async save(canvas, name) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    return handOver(blob, name);
  }

  async fetch(what) {
    const { name, blob } = await this.context.source.file(what, ["values", "csv"].includes(what) ? this.layer.id : undefined);
    return handOver(blob, name);
  }

  async copyLink() {
    await navigator.clipboard.writeText(this.desk.host.link(this.desk.written));
    return "The link is copied. It holds the key to this server.";
  }

  pixels(channel) {
    const { scene, state, ground } = this.context;
    const scale = statistic(this.arrays.get("stats").data, channel, "scale");
    const limit = scene.limit(this.layer, state.range, scale);
    return { pixels: pixelTable(this.layer.signed, ground(), limit ? (scale * 127) / limit : 1), limit };
  }

  /** The map at a whole number of pixels a cell. */
  mapPicture(channel = this.context.state.channel) {
    const { rows, columns } = this.layer;
    const grow = Math.max(1, Math.ceil(LEAST_SIDE / Math.max(rows, columns)));
    const small = document.createElement("canvas");
    paintMap(small, this.arrays.get("maps").data, channel * rows * columns, rows, columns, this.pixels(channel).pixels);
    return enlarged(small, columns * grow, rows * grow);
  }

  gridPicture() {
    const { rows, columns, channels } = this.layer;
    const order = this.viewer.grid.sorted;
    const fit = tileFit(rows, columns, TILE);
    const across = Math.ceil(Math.sqrt((channels * fit.height) / fit.width) * 1.2);
    const canvas = document.createElement("canvas");
    canvas.width = across * (fit.width + SHEET_GAP) + SHEET_GAP;
    canvas.height = Math.ceil(channels / across) * (fit.height + SHEET_GAP) + SHEET_GAP;
    const context = canvas.getContext("2d");
    context.fillStyle = this.color("--paper");
    context.fillRect(0, 0, canvas.width, canvas.height);
    const image = context.getImageData(0, 0, canvas.width, canvas.height);
    const target = new Uint32Array(image.data.buffer);
    order.forEach((channel, place) => {
      const x = SHEET_GAP + (place % across) * (fit.width + SHEET_GAP);
      const y = SHEET_GAP + Math.floor(place / across) * (fit.height + SHEET_GAP);
      paintTile(target, canvas.width, x, y, fit, this.arrays.get("maps").data, channel * rows * columns, rows, columns, this.pixels(channel).pixels);
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  color(name) {
    return getComputedStyle(this.viewer.frame).getPropertyValue(name);
  }

  /** Title, map, legend, statistics and histogram on one sheet. */
  channelPicture() {
    const { state, scene, ground } = this.context;
    const { channel } = state;
    const map = this.mapPicture();
    const { limit } = this.pixels(channel);
    const side = 340;
    const canvas = document.createElement("canvas");
    canvas.width = map.width + side + 72;
    canvas.height = Math.max(map.height, 420) + 120;
    const context = canvas.getContext("2d");
    context.fillStyle = this.color("--paper");
    context.fillRect(0, 0, canvas.width, canvas.height);
    const text = (words, x, y, { font = "15px system-ui, sans-serif", color = "--ink", align = "left" } = {}) => {
      Object.assign(context, { font, fillStyle: this.color(color), textAlign: align });
      context.fillText(words, x, y);
    };
    const { model, image } = scene.manifest;
    text(`${this.layer.name}, channel ${channel}`, 24, 38, { font: "600 20px ui-monospace, monospace" });
    text(`${model.name} looking at ${image.name}${model.random ? ", random weights" : ""}`, 24, 62, { color: "--soft" });
    context.imageSmoothingEnabled = false;
    context.drawImage(map, 24, 80);
    const left = 24 + map.width + 24;
    const numbers = this.viewer.glass.numbers(channel);
    [["minimum", numbers.minimum], ["maximum", numbers.maximum], ["mean", numbers.mean], ["deviation", numbers.deviation]].forEach(([name, value], line) => {
      text(name, left, 96 + line * 24, { color: "--soft" });
      text(plainNumber(value, 5), left + side, 96 + line * 24, { align: "right" });
    });
    const { histogram } = this.viewer.glass;
    if (!histogram.hidden) context.drawImage(histogram, left, 200, side, 110);
    for (let step = 0; step < side; step += 1) {
      const share = step / (side - 1);
      context.fillStyle = cssColor(this.layer.signed, ground(), this.layer.signed ? share * 2 - 1 : share);
      context.fillRect(left + step, 340, 1, 16);
    }
    text(this.layer.signed ? signedNumber(-limit, 3) : "0", left, 376);
    if (this.layer.signed) text("0", left + side / 2, 376, { align: "center" });
    text(signedNumber(limit, 3), left + side, 376, { align: "right" });
    return canvas;
  }
}

function enlarged(small, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, width, height);
  return canvas;
}

/** Hands a file to the browser. */
export function handOver(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  return `${name} is saved.`;
}

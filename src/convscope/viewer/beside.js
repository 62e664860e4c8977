// What is held beside the chosen channel: pinned channels, and the same channel of a second look with the
// difference. All of them follow the cursor.

import { pixelTable } from "./colors.js";
import { element, fill } from "./dom.js";
import { grouped, plainNumber, signedNumber } from "./format.js";
import { paintMap } from "./paint.js";
import { statistic } from "./statistics.js";

const MOST_PINS = 6;

export class BesidePanel {
  /**
   * @param {import("./types.js").LiveContext} context
   * @param {{name: string, short: string, source: import("./types.js").LiveAnswers, scene: import("./scene.js").SceneView}|null} other the second look
   */
  constructor(context, other) {
    this.context = context;
    this.other = other;
    this.node = element("div", { class: "beside", role: "group", "aria-label": "held beside", hidden: true });
    this.pinButton = element("button", { type: "button", class: "quiet switch", title: "hold this channel beside others (p)", data: { key: "pin" }, on: { click: () => this.pin() } }, "Pin");
    context.keys.push({ keys: "p", press: "p", text: "pin the channel beside others, or take it away again", run: () => this.pin() });
    context.shown.push((node, arrays) => {
      this.arrays = arrays;
      this.layer = node;
      this.draw();
    });
    context.state.addEventListener("point", () => this.point());
    context.state.watch((detail) => {
      if (!detail.has("layer") && !(detail.size === 1 && detail.has("proof"))) this.draw();
    });
  }

  /** @returns {{name: string, channel: number}[]} */
  get pins() {
    return this.context.state.pins.split("|").map((text) => {
      const cut = text.lastIndexOf(":");
      return { name: text.slice(0, cut), channel: Number(text.slice(cut + 1)) };
    }).filter(({ name, channel }) => channel < (this.context.scene.byName.get(name)?.channels ?? 0) && this.context.scene.byName.get(name).view === "map");
  }

  pin(name = this.context.state.layer, channel = this.context.state.channel) {
    const kept = this.pins.filter((pin) => pin.name !== name || pin.channel !== channel);
    if (kept.length === this.pins.length && this.context.scene.byName.get(name).view === "map") kept.push({ name, channel });
    this.context.state.update({ pins: kept.slice(-MOST_PINS).map((pin) => `${pin.name}:${pin.channel}`).join("|") });
  }

  async draw() {
    const { state, scene, source } = this.context;
    const { node, channel } = state;
    if (this.layer !== node) return;
    const pinned = this.pins.some((pin) => pin.name === node.name && pin.channel === channel);
    this.pinButton.textContent = pinned ? "Unpin" : "Pin";
    this.pinButton.setAttribute("aria-pressed", String(pinned));
    const turn = (this.turn = {});
    const figures = this.other ? await this.versus(node, channel) : [];
    for (const pin of this.pins) figures.push(await this.figure(pin, scene, source, scene.byName.get(pin.name)));
    if (turn !== this.turn) return;
    this.figures = figures.filter(Boolean);
    fill(this.node, ...this.figures.map((figure) => figure.node));
    this.node.hidden = !this.figures.length;
    this.node.dataset.ready = `${node.name}:${channel}`;
    this.point();
  }

  /** A pinned channel. */
  async figure({ name, channel }, scene, source, node) {
    const arrays = await source.node(node.id).catch(() => null);
    const maps = arrays?.get("maps")?.data;
    if (!maps) return null;
    const remove = element("button", { type: "button", class: "quiet", title: "take it away", "aria-label": `unpin channel ${channel} of ${name}`, on: { click: () => this.pin(name, channel) } }, "×");
    const link = element("button", { type: "button", class: "link", on: { click: () => this.visit(node, channel) } }, `${name} `, element("b", {}, grouped(channel)));
    const scale = statistic(arrays.get("stats").data, channel, "scale");
    return this.plate(node, maps, channel, scale, this.pixels(scene, node, scale), [link, remove]);
  }

  pixels(scene, node, scale) {
    const limit = scene.limit(node, this.context.state.range, scale);
    return pixelTable(node.signed, this.context.ground(), limit ? (scale * 127) / limit : 1);
  }

  visit(node, channel) {
    const { state } = this.context;
    if (node.groups.some((name) => !state.isOpen(name))) state.fold(node.groups, true);
    state.update({ layer: node.name, channel });
  }

  /** One map with a cross and a readout; `value` reads a cell. */
  plate(node, maps, channel, scale, pixels, caption) {
    const { rows, columns } = node;
    const start = channel * rows * columns;
    const canvas = element("canvas", { role: "img", "aria-label": `map of channel ${channel} of ${node.name}` });
    paintMap(canvas, maps, start, rows, columns, pixels);
    const cross = element("i", { class: "cross", "aria-hidden": "true" });
    const readout = element("output", {});
    const plate = element("div", { class: "plate" }, canvas, cross);
    plate.style.aspectRatio = `${columns} / ${rows}`;
    return {
      rows, columns, cross, readout,
      /** Of a cell's place, where the values themselves are there. @type {((cell: number) => number)|null} */
      exact: null,
      value: (row, column) => (maps[start + row * columns + column] - 128) * scale,
      node: element("figure", {}, element("figcaption", {}, ...caption), plate, readout),
    };
  }

  /** The same channel of the second look, and the difference where both are of one size. */
  async versus(node, channel) {
    const { scene, source, name } = this.other;
    const twin = scene.byName.get(node.name);
    const head = (text, title) => [element("span", { title }, text)];
    const none = (text) => [{ node: element("figure", { class: "none" }, element("figcaption", {}, ...head("B", name)), element("p", { class: "dim" }, text)) }];
    if (!twin) return none(`${name} has no layer ${node.name}.`);
    if (node.view !== "map" || twin.view !== "map") return node.view === "vector" && twin.view === "vector" ? this.versusValue(twin, channel) : [];
    if (channel >= twin.channels) return none(`There this layer has ${twin.channels} channels.`);
    const arrays = await source.node(twin.id).catch(() => null);
    const [own, maps] = [this.arrays.get("maps")?.data, arrays?.get("maps")?.data];
    if (!own || !maps) return none("The maps of this layer are not there.");
    const scale = statistic(arrays.get("stats").data, channel, "scale");
    const second = this.plate(twin, maps, channel, scale, this.pixels(scene, twin, scale), head(`B ${this.other.short}`, name));
    second.node.dataset.kind = "second";
    if (twin.rows !== node.rows || twin.columns !== node.columns) return [second];
    // Two maps of 8 bits differ by rounding alone: the difference is of the values themselves.
    const values = await Promise.all([this.context.source.channel(node.id, channel), source.channel(twin.id, channel)]).catch(() => null);
    if (!values) return [second];
    const [a, b] = values;
    second.exact = (cell) => b[cell];
    const parts = Float64Array.from(a, (value, cell) => value - b[cell]);
    const most = parts.reduce((largest, part) => (Number.isFinite(part) ? Math.max(largest, Math.abs(part)) : largest), 0);
    const bytes = Uint8Array.from(parts, (part) => (Number.isFinite(part) ? 128 + (most ? Math.round((127 * part) / most) : 0) : 0));
    const difference = this.plate(node, bytes, 0, most / 127, pixelTable(true, this.context.ground(), 1),
      head(most ? `A − B, up to ±${plainNumber(most, 4)}` : "A − B: none", "red: larger in A; blue: larger in B"));
    difference.exact = (cell) => parts[cell];
    difference.node.dataset.kind = "difference";
    difference.node.dataset.most = String(most);
    return [second, difference];
  }

  async versusValue(twin, channel) {
    const arrays = await this.other.source.node(twin.id).catch(() => null);
    const stats = arrays?.get("stats")?.data;
    const own = this.arrays.get("stats")?.data;
    if (!stats || !own || channel >= twin.channels) return [];
    const [a, b] = [own, stats].map((of) => statistic(of, channel, "maximum"));
    return [{ node: element("figure", { class: "none" }, element("figcaption", {}, `B ${this.other.name}`), element("output", {}, signedNumber(b, 5)), element("p", { class: "dim" }, `A − B ${signedNumber(a - b, 4)}`)) }];
  }

  /** The cell under the cursor, at the same part of every map. */
  point() {
    const { state, glass } = this.context;
    const cell = state.node.view === "map" ? state.cell ?? glass.rest : null;
    for (const { rows, columns, cross, readout, value, exact } of this.figures ?? []) {
      if (!cross) continue;
      cross.hidden = !cell;
      if (!cell) continue;
      const row = Math.min(rows - 1, Math.floor(((cell.row + 0.5) * rows) / state.node.rows));
      const column = Math.min(columns - 1, Math.floor(((cell.column + 0.5) * columns) / state.node.columns));
      cross.style.insetInlineStart = `${(100 * column) / columns}%`;
      cross.style.insetBlockStart = `${(100 * row) / rows}%`;
      cross.style.inlineSize = `${100 / columns}%`;
      cross.style.blockSize = `${100 / rows}%`;
      cross.classList.toggle("resting", !state.cell);
      readout.textContent = exact ? signedNumber(exact(row * columns + column), 5) : `≈ ${signedNumber(value(row, column), 3)}`;
    }
  }
}

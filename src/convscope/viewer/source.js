// Where a scene's numbers come from. Everything the viewer draws it asks of a Source; this file
// has the one that reads a scene out of the page itself.

import { bytesOfText, decodedPlace, sizeOf, unzipped } from "./decode.js";
import { derivedMaps } from "./derive.js";
import { peakArithmetic, unexpected } from "./peaks.js";
import { channelStatistics, statistic } from "./statistics.js";
import { Trouble } from "./trouble.js";

/**
 * @typedef {import("./types.js").NumberArray} NumberArray
 * @typedef {import("./types.js").Arrays} Arrays
 *
 * @typedef {Object} Source
 * @property {import("./types.js").SceneManifest} manifest the scene's manifest
 * @property {() => Promise<Map<string, NumberArray>>} first photo, input, logits, strip/ID, strip_scales/ID
 * @property {(id: number) => Promise<Map<string, NumberArray>>} node maps, stats, filters ... of one op,
 *   named without the id; no maps where the scene neither has nor can derive them
 * @property {(id: number) => string} origin how near the op's maps are to the true values, in words
 * @property {(node: number, channel: number, cell: import("./types.js").CellAt|null) => Promise<import("./types.js").Answer>} value
 *   the arithmetic of one value, the channel's peak where no cell is named
 * @property {(node: number, channel: number, cell: import("./types.js").CellAt) => Promise<void>} [foresee] told of a
 *   value that may be asked for next
 * @property {(cause: any) => string} [refusal] what is said where data could not be read
 */

const LIVE = "For any other cell ask the live page: convscope serve.";

/** A cell whose terms are not held; `peak` is the one whose are. */
export class NotThePeak extends Trouble {
  constructor(message, hint, peak) {
    super(message, hint);
    this.peak = peak;
  }
}

const KEPT_BYTES = 96 * 1024 * 1024;

/** Reads a scene inlined in a document. @implements {Source} */
export class InlineSource {
  /** @param {Document} page */
  constructor(page) {
    this.page = page;
    this.manifest = JSON.parse(page.getElementById("convscope-manifest").textContent);
    /** Known once something has been asked for. @type {any} */
    this.index = null;
    /** @type {Promise<void>|undefined} */
    this.opened = undefined;
    this.nodes = new Map(this.manifest.nodes.map((node) => [node.id, node]));
    this.shapes = new Map(this.manifest.nodes.map((node) => [node.id, [node.channels, node.rows, node.columns]]));
    /** @type {Map<string, {promise: Promise<any>, bytes: number}>} */
    this.kept = new Map();
  }

  async open() {
    const bytes = bytesOfText(this.page.getElementById("convscope-index").textContent);
    this.index ??= JSON.parse(new TextDecoder().decode(await unzipped(bytes)));
  }

  first() {
    return this.chunk("first");
  }

  async node(id) {
    const arrays = await this.stored(id);
    const rule = (other) => this.index.derived[other];
    if (!rule(id)) return arrays;
    const shape = this.shapes.get(id);
    const maps = await this.remembered(`derived/${id}`, sizeOf(shape), () =>
      derivedMaps(id, shape, { rule, arrays: (other) => this.stored(other) }));
    return new Map([...arrays, ["maps", maps]]);
  }

  origin(id) {
    const bits = this.index.step > 1 ? 7 : 8;
    return this.index.derived[id]
      ? `worked out by this page from the maps before it, which are kept in ${bits} bits`
      : `read from the map, kept in ${bits} bits`;
  }

  /** The terms of a peak. No other cell's are here, and none is made up. */
  async value(id, channel, cell) {
    const [arrays, terms] = await Promise.all([this.stored(id), this.terms(id)]);
    const node = this.nodes.get(id);
    const stats = arrays.get("stats")?.data;
    const peak = stats && node.view === "map" ? channelStatistics(stats, channel) : null;
    if (!terms) throw new Trouble(`the arithmetic of ${node.name} (${node.kind}) is not in this report`, LIVE);
    if (peak && !(peak.row >= 0)) throw new Trouble(`channel ${channel} of ${node.name} has no finite value`);
    if (cell && peak && (cell.row !== peak.row || cell.column !== peak.column)) {
      throw new NotThePeak(`this report holds the exact terms of channel ${channel} of ${node.name} at its peak alone, row ${peak.row}, column ${peak.column}`, LIVE, peak);
    }
    return peakArithmetic(node, this.index.proofs[id], terms, channel, peak ? { row: peak.row, column: peak.column } : null, this.nodes);
  }

  /** What is held of an op's peaks, nothing where there is nothing. */
  async terms(id) {
    const chunk = await this.chunk(`proof/${id}`);
    if (!chunk.size) return null;
    return this.remembered(`terms/${id}`, 0, async () => {
      const arrays = new Map([...chunk].map(([name, array]) => [name.split("/")[0], array]));
      const stats = (await this.stored(id)).get("stats").data;
      const table = new Float32Array(new Uint32Array(arrays.get("proof").data).buffer);
      unexpected(table, this.index.proofs[id], (channel, name) => statistic(stats, channel, name));
      return arrays.set("proof", { data: table, shape: arrays.get("proof").shape });
    });
  }

  async stored(id) {
    const chunk = await this.chunk(`node/${id}`);
    return new Map([...chunk].map(([name, array]) => [name.split("/")[0], array]));
  }

  async chunk(name) {
    await (this.opened ??= this.open());
    const places = this.index.chunks[name];
    if (!places) return new Map();
    const bytes = Object.values(places).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return this.remembered(name, bytes, async () => {
      const holder = this.page.querySelector(`script[data-chunk="${name}"]`);
      const buffer = await unzipped(bytesOfText(holder.textContent));
      const read = Object.entries(places).map(async ([array, place]) => /** @type {[string, NumberArray]} */ ([array, await decodedPlace(buffer, place)]));
      return new Map(await Promise.all(read));
    });
  }

  /** Makes a thing once; those longest unused are forgotten when many megabytes are held. */
  remembered(name, bytes, make) {
    const entry = this.kept.get(name) ?? { promise: make(), bytes };
    this.kept.delete(name);
    this.kept.set(name, entry);
    let held = 0;
    for (const [other, { bytes: size }] of [...this.kept].reverse()) {
      held += size;
      if (held > KEPT_BYTES && other !== "first") this.kept.delete(other);
    }
    return entry.promise;
  }
}

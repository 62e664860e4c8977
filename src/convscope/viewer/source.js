// Where a scene's numbers come from. Everything the viewer draws it asks of a Source; this file
// has the one that reads a scene out of the page itself.

import { bytesOfText, decodedArray, sizeOf, unzipped } from "./decode.js";
import { derivedMaps } from "./derive.js";

/**
 * @typedef {{data: Uint8Array|Float32Array|Int32Array, shape: number[]}} NumberArray
 *
 * @typedef {Object} Source
 * @property {Object} manifest the scene's manifest
 * @property {() => Promise<Map<string, NumberArray>>} first photo, input, logits, strip/ID, strip_scales/ID
 * @property {(id: number) => Promise<Map<string, NumberArray>>} node maps, stats, filters ... of one op,
 *   named without the id; no maps where the scene neither has nor can derive them
 * @property {(id: number) => string} origin how near the op's maps are to the true values, in words
 */

const KEPT_BYTES = 96 * 1024 * 1024;

/** Reads a scene inlined in a document. @implements {Source} */
export class InlineSource {
  /** @param {Document} page */
  constructor(page) {
    this.page = page;
    this.manifest = JSON.parse(page.getElementById("convscope-manifest").textContent);
    this.index = JSON.parse(page.getElementById("convscope-index").textContent);
    this.shapes = new Map(this.manifest.nodes.map((node) => [node.id, [node.channels, node.rows, node.columns]]));
    /** @type {Map<string, {promise: Promise<any>, bytes: number}>} */
    this.kept = new Map();
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

  async stored(id) {
    const chunk = await this.chunk(`node/${id}`);
    return new Map([...chunk].map(([name, array]) => [name.split("/")[0], array]));
  }

  chunk(name) {
    const places = this.index.chunks[name];
    if (!places) return Promise.resolve(new Map());
    const bytes = Object.values(places).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return this.remembered(name, bytes, async () => {
      const holder = this.page.querySelector(`script[data-chunk="${name}"]`);
      const buffer = await unzipped(bytesOfText(holder.textContent));
      return new Map(Object.entries(places).map(([array, place]) => [array, decodedArray(buffer, place)]));
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

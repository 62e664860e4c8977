// Where a scene's numbers come from. Everything the viewer draws it asks of a Source; this file
// has the one that reads a scene out of the page itself.

/**
 * @typedef {{data: Uint8Array|Float32Array|Int32Array, shape: number[]}} NumberArray
 *
 * @typedef {Object} Source
 * @property {Object} manifest the scene's manifest
 * @property {() => Promise<Map<string, NumberArray>>} first photo, input, logits, strip/ID, strip_scales/ID
 * @property {(id: number) => Promise<Map<string, NumberArray>>} node maps, stats, filters ... of one op,
 *   named without the id
 */

const ARRAY_TYPES = { uint8: Uint8Array, float32: Float32Array, int32: Int32Array };
const KEPT_BYTES = 64 * 1024 * 1024;

/** Reads a scene inlined in a document. @implements {Source} */
export class InlineSource {
  /** @param {Document} page */
  constructor(page) {
    this.page = page;
    this.manifest = JSON.parse(page.getElementById("convscope-manifest").textContent);
    this.index = JSON.parse(page.getElementById("convscope-index").textContent);
    /** @type {Map<string, Promise<Map<string, NumberArray>>>} */
    this.kept = new Map();
  }

  first() {
    return this.chunk("first");
  }

  async node(id) {
    const chunk = await this.chunk(`node/${id}`);
    return new Map([...chunk].map(([name, array]) => [name.split("/")[0], array]));
  }

  /** Decoded once; the chunks longest unused are forgotten when many megabytes are held. */
  chunk(name) {
    if (!(name in this.index)) return Promise.resolve(new Map());
    let promise = this.kept.get(name);
    if (promise) this.kept.delete(name);
    else promise = this.decode(name);
    this.kept.set(name, promise);
    this.forget();
    return promise;
  }

  forget() {
    let bytes = 0;
    for (const name of [...this.kept.keys()].reverse()) {
      bytes += Object.values(this.index[name]).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      if (bytes > KEPT_BYTES && name !== "first") this.kept.delete(name);
    }
  }

  async decode(name) {
    const holder = this.page.querySelector(`script[data-chunk="${name}"]`);
    const stream = new Blob([bytesOfBase64(holder.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    const arrays = new Map();
    for (const [array, { dtype, shape, offset }] of Object.entries(this.index[name])) {
      const length = shape.reduce((a, b) => a * b, 1);
      arrays.set(array, { data: new ARRAY_TYPES[dtype](buffer, offset, length), shape });
    }
    return arrays;
  }
}

function bytesOfBase64(text) {
  if (typeof (/** @type {any} */ (Uint8Array).fromBase64) === "function") {
    return /** @type {any} */ (Uint8Array).fromBase64(text);
  }
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = binary.charCodeAt(place);
  return bytes;
}

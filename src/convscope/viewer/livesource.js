// A scene on the live server: arrays are fetched when a layer is looked at, exact terms when a cell is.

import { ApiError } from "./api.js";
import { decodedPlace, sizeOf } from "./decode.js";
import { errorText } from "./trouble.js";

const HELD_BYTES = 128 * 1024 * 1024;
const VALUE_BYTES = 20000;
const NUMBERS = { uint8: Uint8Array, float32: Float32Array, int32: Int32Array };

/** @typedef {import("./types.js").LiveAnswers} LiveAnswers */

/** @implements {LiveAnswers} */
export class LiveSource {
  /**
   * @param {import("./api.js").Api} api
   * @param {{id: string}} look its id changes when the server had forgotten it
   * @param {() => Promise<void>} renew begins the look again
   */
  constructor(api, look, renew) {
    this.api = api;
    this.look = look;
    this.renew = renew;
    /** @type {Map<string, {promise: Promise<any>, bytes: number}>} */
    this.kept = new Map();
    /** @type {Promise<Map<string, import("./types.js").NumberArray>>|undefined} */
    this.sight = undefined;
    /** What is being asked ahead. @type {{path: string, answer: Promise<any>}|null} */
    this.early = null;
  }

  /** Reads manifest and index; to be awaited before anything else. */
  async open() {
    const packed = this.fetched("/first").then((answer) => answer.arrayBuffer());
    packed.catch(() => {});
    this.packed = packed;
    const { manifest, index, first } = await (await this.fetched("/scene")).json();
    this.manifest = manifest;
    this.places = first;
    this.index = index;
    this.byNode = new Map();
    index.forEach(({ name, dtype, shape }, number) => {
      const [kind, id] = name.split("/");
      if (id === undefined || kind === "strip") return;
      if (!this.byNode.has(Number(id))) this.byNode.set(Number(id), []);
      this.byNode.get(Number(id)).push({ kind, number, dtype, shape });
    });
    return this;
  }

  first() {
    this.sight ??= this.readFirst();
    return this.sight;
  }

  async readFirst() {
    const buffer = await this.packed;
    this.packed = null;
    const entries = Object.entries(this.places).map(async ([name, place]) => /** @type {[string, import("./types.js").NumberArray]} */ ([name, await decodedPlace(buffer, place)]));
    return new Map(await Promise.all(entries));
  }

  async node(id) {
    const parts = this.byNode.get(id) ?? [];
    /** @type {Promise<[string, import("./types.js").NumberArray]>[]} */
    const read = parts.map(async ({ kind, number, dtype, shape }) => [kind, { data: await this.array(number, dtype, shape), shape }]);
    return new Map(await Promise.all(read));
  }

  origin() {
    return "read from the map, kept in 8 bits; a click asks for the exact value";
  }

  /** What is said where an array could not be fetched. */
  refusal(cause) {
    return `The maps of this layer could not be fetched. ${errorText(cause)}`;
  }

  array(number, dtype, shape) {
    const Numbers = NUMBERS[dtype];
    return this.remembered(`array/${number}`, sizeOf(shape) * Numbers.BYTES_PER_ELEMENT, async () =>
      new Numbers(await (await this.fetched(`/arrays/${number}`)).arrayBuffer()));
  }

  /** The arithmetic of one value, and of the one it was read from, up to the sum of many. */
  value(node, channel, cell) {
    const path = valuePath(node, channel, cell);
    const { early } = this;
    return this.remembered(path, VALUE_BYTES, async () =>
      (early?.path === path ? await early.answer : null) ?? (await this.fetched(path)).json());
  }

  /** Asks ahead for a value that may be asked for next: one at a time, and only where nothing else is to be done. */
  async foresee(node, channel, cell) {
    const path = valuePath(node, channel, cell);
    if (this.early || this.kept.has(path)) return;
    const answer = this.api.json(`/api/looks/${this.look.id}${path}&early=true`).catch(() => null);
    this.early = { path, answer };
    const found = await answer;
    this.early = null;
    if (found) this.remembered(path, VALUE_BYTES, async () => found);
  }

  /** One channel as the network computed it. @returns {Promise<Float32Array>} row by row */
  channel(node, channel) {
    const { rows, columns } = this.manifest.nodes[node];
    return this.remembered(`channel/${node}/${channel}`, rows * columns * 4, async () =>
      new Float32Array(await (await this.fetched(`/channel?node=${node}&channel=${channel}`)).arrayBuffer()));
  }

  /** Channels that look at a box of the input, most telling first. */
  async box(box, count) {
    return (await this.posted("/box", { ...box, count })).json();
  }

  async attribution(target, node) {
    const asked = { target, node, method: "grad_cam" };
    return this.remembered(`cam/${target}/${node}`, 50000, async () => (await this.posted("/attribution", asked)).json());
  }

  /** A file to keep, and the name the server gives it. */
  async file(what, node) {
    const response = await this.fetched(`/export?what=${what}${node === undefined ? "" : `&node=${node}`}`);
    const [, name = what] = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "") ?? [];
    return { name, blob: await response.blob() };
  }

  posted(path, value) {
    return this.fetched(path, { method: "POST", body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });
  }

  /** Asks about this look; where the server has forgotten it, the look is begun anew, once. */
  async fetched(path, options) {
    const { id } = this.look;
    try {
      return await this.api.send(`/api/looks/${id}${path}`, options);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "no_such_look") throw error;
      if (this.look.id === id) await this.renew();
      return this.api.send(`/api/looks/${this.look.id}${path}`, options);
    }
  }

  /** Makes a thing once; failures are not remembered, those longest unused are forgotten. */
  remembered(name, bytes, make) {
    const entry = this.kept.get(name) ?? { promise: make().catch((cause) => this.lose(name, cause)), bytes };
    this.kept.delete(name);
    this.kept.set(name, entry);
    let held = 0;
    for (const [other, { bytes: size }] of [...this.kept].reverse()) {
      held += size;
      if (held > HELD_BYTES) this.kept.delete(other);
    }
    return entry.promise;
  }

  lose(name, cause) {
    this.kept.delete(name);
    throw cause;
  }
}

function valuePath(node, channel, cell) {
  const place = cell ? `&row=${cell.row}&column=${cell.column}` : "";
  return `/value?node=${node}&channel=${channel}${place}&steps=6`;
}

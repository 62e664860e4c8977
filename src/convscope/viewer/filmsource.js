// Where a film's numbers come from: here, the page itself (convscope.exhibits.film_page).

import { bytesOfText, decodedArray, unzipped } from "./decode.js";

/** Bytes of frames that are kept decoded. */
const FILM_BYTES = 96 * 1024 * 1024;

/**
 * @typedef {Object} FilmSource
 * @property {any} manifest that of the film opened last
 * @property {() => Promise<any>} open the film's manifest
 * @property {() => Promise<Map<string, any>>} pictures how the images are shown
 * @property {(index: number) => Promise<Map<string, any>>} frame kernels/N, maps/N and scales/N of one kept step
 */

/** A film whose frames come as text: each unpacked once, those longest unused forgotten. @implements {FilmSource} */
export class PackedFilm {
  constructor() {
    /** @type {any} */
    this.manifest = null;
    /** @type {Map<string, Promise<Map<string, any>>>} */
    this.kept = new Map();
  }

  /** @returns {Promise<any>} */
  open() {
    throw new Error("a film must say where it comes from");
  }

  /** @param {string} name @returns {Promise<string>} of the pictures or a step */
  text(name) {
    throw new Error(`a film must say where ${name} comes from`);
  }

  pictures() {
    return this.chunk("pictures", this.manifest.picture_places);
  }

  /** @param {number} index */
  frame(index) {
    return this.chunk(String(this.manifest.frames[index].step), this.manifest.places);
  }

  /** @param {string} name @param {Object<string, any>} places */
  chunk(name, places) {
    const found = this.kept.get(name) ?? this.decoded(name, places);
    this.kept.delete(name);
    this.kept.set(name, found);
    // What could not be had is asked for again.
    found.catch(() => this.kept.delete(name));
    const most = Math.max(8, Math.floor(FILM_BYTES / this.manifest.frame_bytes));
    for (const old of this.kept.keys()) {
      if (this.kept.size <= most) break;
      this.kept.delete(old);
    }
    return found;
  }

  /** @param {string} name @param {Object<string, any>} places */
  async decoded(name, places) {
    const buffer = await unzipped(bytesOfText(await this.text(name)));
    return new Map(Object.entries(places).map(([array, place]) => [array, decodedArray(buffer, place)]));
  }
}

/** Reads a film inlined in a document. */
export class InlineFilm extends PackedFilm {
  /** @param {Document} page */
  constructor(page) {
    super();
    this.page = page;
  }

  /** Whether the document holds one. */
  get exists() {
    return Boolean(this.page.getElementById("convscope-film")?.textContent);
  }

  async open() {
    const bytes = bytesOfText(this.page.getElementById("convscope-film").textContent);
    this.manifest = JSON.parse(new TextDecoder().decode(await unzipped(bytes)));
    return this.manifest;
  }

  /** @param {string} name */
  async text(name) {
    return this.page.querySelector(`script[data-chunk="film/${name}"]`).textContent;
  }
}

// Where a film's numbers come from: here, the page itself (convscope.exhibits.film_page).

import { bytesOfText, decodedArray, unzipped } from "./decode.js";

/** Bytes of frames that are kept decoded. */
const FILM_BYTES = 96 * 1024 * 1024;

/**
 * @typedef {Object} FilmSource
 * @property {() => Promise<any>} open the film's manifest
 * @property {() => Promise<Map<string, any>>} pictures how the images are shown
 * @property {(index: number) => Promise<Map<string, any>>} frame kernels/N, maps/N and scales/N of one kept step
 */

/** Reads a film inlined in a document. @implements {FilmSource} */
export class InlineFilm {
  /** @param {Document} page */
  constructor(page) {
    this.page = page;
    /** @type {any} */
    this.manifest = null;
    /** @type {Map<string, Promise<Map<string, any>>>} */
    this.kept = new Map();
  }

  async open() {
    const bytes = bytesOfText(this.page.getElementById("convscope-film").textContent);
    this.manifest = JSON.parse(new TextDecoder().decode(await unzipped(bytes)));
    return this.manifest;
  }

  pictures() {
    return this.chunk("film/pictures", this.manifest.picture_places);
  }

  /** @param {number} index */
  frame(index) {
    return this.chunk(`film/${index}`, this.manifest.places);
  }

  /** @param {string} name @param {Object<string, any>} places */
  chunk(name, places) {
    const found = this.kept.get(name) ?? this.decoded(name, places);
    this.kept.delete(name);
    this.kept.set(name, found);
    const most = Math.max(8, Math.floor(FILM_BYTES / this.manifest.frame_bytes));
    for (const old of this.kept.keys()) {
      if (this.kept.size <= most) break;
      this.kept.delete(old);
    }
    return found;
  }

  /** @param {string} name @param {Object<string, any>} places */
  async decoded(name, places) {
    const holder = this.page.querySelector(`script[data-chunk="${name}"]`);
    const buffer = await unzipped(bytesOfText(holder.textContent));
    return new Map(Object.entries(places).map(([array, place]) => [array, decodedArray(buffer, place)]));
  }
}

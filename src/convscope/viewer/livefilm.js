// The film of a run that the server was started with, frame by frame as it is asked for.

import { PackedFilm } from "./filmsource.js";

export class LiveFilm extends PackedFilm {
  /** @param {import("./api.js").Api} api @param {string} model its id */
  constructor(api, model) {
    super();
    this.api = api;
    this.path = `/api/films/${encodeURIComponent(model)}`;
  }

  async open() {
    const found = await this.api.json(this.path);
    if (found.version === this.manifest?.version) return this.manifest;
    this.manifest = found;
    // Frames of the film as it was before are of other ranges.
    this.kept.clear();
    return found;
  }

  /** @param {string} name */
  async text(name) {
    return new TextDecoder().decode(await this.api.buffer(`${this.path}/${this.manifest.version}/${name}`));
  }
}

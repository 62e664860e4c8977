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
    this.manifest = await this.api.json(this.path);
    return this.manifest;
  }

  /** @param {string} name */
  async text(name) {
    return (await this.api.send(`${this.path}/${name}`)).text();
  }
}

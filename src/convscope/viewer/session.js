// What one tab knows: photos, looks begun, and how to come to a look: at a model, a photo, and edits.

import { ApiError } from "./api.js";
import { LiveFilm } from "./livefilm.js";
import { LiveSource } from "./livesource.js";

const WORDS = { waiting: "waiting for the model", loading: "loading the model", running: "running the model", drawing: "drawing", first: "fetching", done: "done" };

/**
 * @typedef {import("./liveaddress.js").Wish} Wish
 * @typedef {{id: string, key: string, wish: Wish, source: LiveSource, base: Look|null, abort: AbortController, opened: Promise<Look>}} Look
 */
export class Session {
  constructor(api, start) {
    this.api = api;
    this.start = start;
    this.photos = new Map(start.photos.map((photo) => [photo.id, photo]));
    this.samples = new Map();
    /** The films of runs, by the id of the model. */
    this.films = new Map(start.models.filter((model) => model.film).map(({ id }) => [id, new LiveFilm(api, id)]));
    this.modelNames = new Map(start.models.map(({ id, name }) => [id, name]));
    /** @type {Map<string, Look>} */
    this.looks = new Map();
    this.thumbnails = new Map();
    /** @type {Set<Look>} begun, without a first sight yet */
    this.going = new Set();
  }

  /** What is shown where the address says nothing. */
  get standard() {
    return { model: this.start.default_model ?? "", photo: this.start.default_photo ?? "" };
  }

  /** Takes a photo in; its id. */
  async upload(file) {
    const name = encodeURIComponent(file.name || "pasted photo");
    const photo = await this.api.json("/api/photos", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream", "X-Name": name } });
    this.photos.set(photo.id, photo);
    // What came from here need not come back to be shown; what this browser cannot read does.
    const own = createImageBitmap(file, { resizeHeight: 112, resizeQuality: "medium" });
    this.thumbnails.set(photo.id, own.catch(() => this.fetchedThumbnail(photo.id)));
    return photo.id;
  }

  photoName(photo) {
    return photo.startsWith("sample:") ? photo.slice(7) : this.photos.get(photo)?.name ?? "photo";
  }

  /** The film of a model's training, where it is a run that has one. */
  film(model) {
    return this.films.get(model);
  }

  modelName(model) {
    return this.modelNames.get(model) ?? model;
  }

  /** A name of a photo in an address is an id of this server, or `sample:NAME`, which outlives it. */
  async photoId(photo) {
    if (!photo.startsWith("sample:")) return photo;
    if (!this.samples.has(photo)) {
      const taken = this.api.post("/api/photos", { sample: photo.slice(7) });
      this.samples.set(photo, taken);
      taken.catch(() => this.samples.delete(photo));
    }
    return (await this.samples.get(photo)).id;
  }

  /** A small picture of a photo, as a canvas's source. */
  thumbnail(photo) {
    if (!this.thumbnails.has(photo)) {
      const made = this.fetchedThumbnail(photo);
      made.catch(() => this.thumbnails.delete(photo));
      this.thumbnails.set(photo, made);
    }
    return this.thumbnails.get(photo);
  }

  async fetchedThumbnail(photo) {
    const blob = await this.api.blob(`/api/photos/${await this.photoId(photo)}`);
    return createImageBitmap(blob, { resizeHeight: 112, resizeQuality: "medium" });
  }

  models(search) {
    return this.api.json(`/api/models?search=${encodeURIComponent(search)}&limit=300`);
  }

  /**
   * A look, ready for its first sight.
   * @param {Wish} wish
   * @param {(line: {text: string, fraction: number, glimpse?: import("./status.js").Glimpse}) => void} tell how far it is
   * @returns {Promise<Look>}
   */
  async look(wish, tell) {
    const key = JSON.stringify([wish.model, wish.weights, wish.photo, wish.edits]);
    const known = this.looks.get(key);
    if (known) {
      this.looks.delete(key);
      this.looks.set(key, known);
      return known.opened;
    }
    const base = wish.edits.length ? await this.look({ ...wish, edits: [] }, tell) : null;
    const look = /** @type {Look} */ ({ id: "", key, wish, base, abort: new AbortController() });
    look.source = new LiveSource(this.api, look, () => this.begin(look, () => {}));
    look.opened = this.begin(look, tell).then(() => look.source.open()).then(() => look);
    this.looks.set(key, look);
    this.going.add(look);
    look.opened.catch(() => this.looks.delete(key)).finally(() => this.going.delete(look));
    return look.opened;
  }

  /** Asks for the look and waits until there is something to see. */
  async begin(look, tell) {
    const { model, weights, photo, edits } = look.wish;
    tell({ text: WORDS.waiting, fraction: 0 });
    const byName = look.base && new Map(look.base.source.manifest.nodes.map((node) => [node.name, node.id]));
    const known = edits.filter(({ node }) => byName?.has(node));
    if (known.length < edits.length) throw new ApiError(404, { code: "no_such_layer", message: `this model has no layer ${edits.find((edit) => !known.includes(edit)).node}` });
    const told = known.map(({ node, channels, factor }) => ({ node: byName.get(node), channels, factor }));
    const body = { model, weights, photo: await this.photoId(photo), edits: told };
    look.id = (await this.api.post("/api/looks", look.base ? { ...body, base: look.base.id } : body)).id;
    for await (const { stage, fraction, error, glimpse } of this.api.lines(`/api/looks/${look.id}/progress`, look.abort.signal)) {
      if (error) throw new ApiError(error.status ?? 422, error);
      tell({ text: WORDS[stage] ?? stage, fraction, glimpse });
      if (stage === "first" || stage === "done") return;
    }
  }

  /** Gives up all looks that have not come to their first sight. */
  cancel() {
    for (const look of this.going) {
      look.abort.abort();
      if (look.id) this.api.send(`/api/looks/${look.id}`, { method: "DELETE" }).catch(() => {});
    }
  }
}

// Chooses photo and model, and goes back to looks that were made before.

import { choiceBar } from "./choice.js";
import { element, fill, sizedCanvas } from "./dom.js";
import { counted } from "./format.js";
import { LiveAddress } from "./liveaddress.js";
import { errorText } from "./trouble.js";

const SOURCES = { given: "given at the start", package: "with its weights", article: "a teaching net" };

/** Two buttons in the title, and the sheet they open. */
export class Chooser {
  /** @param {import("./desk.js").Desk} desk */
  constructor(desk, context) {
    this.desk = desk;
    this.context = context;
    const { wish } = desk;
    const { model, image } = context.scene.manifest;
    const button = (kind, text, key) => element("button", {
      type: "button", class: "choose", title: `choose another ${kind} (${key})`, "aria-haspopup": "dialog", data: { kind }, on: { click: () => this.open(kind) },
    }, text);
    this.title = [button("model", element("b", {}, desk.session.modelName(wish.model) || model.name), "m"), element("span", { class: "dim" }, " looking at "), button("photo", image.name, "o")];
    this.file = element("input", { type: "file", accept: "image/*", class: "unseen", "aria-label": "choose a photo file", on: { change: () => this.take(this.file.files[0]) } });
    this.trouble = element("p", { class: "warning", role: "alert" });
    this.drop = element("label", { class: "drop" }, this.file, element("b", {}, "Drop, paste or choose"), " a photo", element("span", { class: "dim" }, desk.host.words.stays));
    this.kept = element("div", { class: "kept", role: "group", "aria-label": "photos so far" });
    this.samples = element("div", { class: "samples", role: "group", "aria-label": "sample photos" },
      ...desk.session.start.samples.map((name) => this.photoButton(`sample:${name}`, name)));
    this.search = element("input", {
      type: "search", placeholder: "resnet50, mobilenet, timm:…", "aria-label": "find a model", autocomplete: "off", spellcheck: "false",
      on: { input: () => this.findSoon(), keydown: (event) => this.key(event) },
    });
    this.list = element("ul", { class: "models", "aria-label": "models" });
    this.weights = choiceBar("weights", [
      ["default", "trained", "the weights the model was trained to; fetched if this machine does not have them"],
      ["none", "random", "weights as before any training: the answers then mean nothing"],
    ], (weights) => {
      this.wanted = weights;
      this.weights.set(weights);
      if (weights !== desk.wish.weights) this.go({ weights });
    });
    this.wanted = wish.weights;
    this.weights.set(wish.weights);
    this.looks = element("div", { class: "looks" });
    this.node = element("dialog", { class: "chooser", "aria-label": "photo and model", on: { click: (event) => event.target === this.node && this.node.close() } },
      element("form", { method: "dialog" }, element("button", { "aria-label": "close" }, "Close")),
      this.trouble,
      element("div", { class: "columns" },
        element("section", { "aria-label": "photo" }, element("h2", {}, "Photo"), this.drop, this.kept, element("h3", { class: "dim" }, "Samples"), this.samples),
        element("section", { "aria-label": "model" }, element("h2", {}, "Model"), element("div", { class: "line" }, this.search, this.weights.node), this.list)),
      element("section", { class: "so-far", "aria-label": "looks so far" }, element("h2", {}, "Looks so far"), this.looks));
  }

  open(kind) {
    this.trouble.textContent = "";
    this.fillKept();
    this.fillLooks();
    if (!this.node.open) this.node.showModal();
    this.find();
    (kind === "model" ? this.search : kind === "photo" ? this.file : this.looks.querySelector("button")).focus();
  }

  /** @param {Partial<import("./liveaddress.js").Wish>} change */
  async go(change) {
    this.node.close();
    const kept = "model" in change ? { edits: [], weights: this.wanted } : {};
    const error = await this.desk.go({ ...kept, ...change });
    if (!error || error.name === "AbortError") return;
    // The viewer may have been changed meanwhile for another look; its own chooser is asked.
    this.desk.status.clear();
    this.desk.chooser.sorry(error, "model" in change || "weights" in change ? "model" : "photo");
  }

  async take(file) {
    if (!file) return;
    this.trouble.textContent = "";
    this.drop.classList.add("busy");
    try {
      await this.go({ photo: await this.desk.session.upload(file) });
    } catch (error) {
      this.sorry(error);
    }
    this.drop.classList.remove("busy");
    this.file.value = "";
  }

  sorry(error, kind = "photo") {
    if (!this.node.open) this.open(kind);
    this.trouble.textContent = errorText(error);
  }

  photoButton(photo, name) {
    const chosen = photo === this.desk.wish.photo;
    return element("button", { type: "button", class: "quiet", "aria-pressed": String(chosen), on: { click: () => this.go({ photo }) } }, name);
  }

  fillKept() {
    const { session } = this.desk;
    fill(this.kept, ...[...session.photos.values()].reverse().map(({ id, name, width, height }) => {
      const canvas = element("canvas", { "aria-hidden": "true" });
      session.thumbnail(id).then((picture) => sizedCanvas(canvas, picture.width, picture.height).drawImage(picture, 0, 0), () => {});
      const button = this.photoButton(id, "");
      button.title = `${name}, ${width} × ${height}`;
      button.append(canvas, element("span", {}, name));
      return button;
    }));
  }

  fillLooks() {
    const { session } = this.desk;
    const said = ({ wish: other }) => [`${session.modelName(other.model)} looking at ${session.photoName(other.photo)}`, other.weights === "none" ? "random weights" : "", other.edits.length ? counted(other.edits.length, "layer changed", "layers changed") : ""].filter(Boolean).join(", ");
    const all = [...session.looks.values()].filter(({ source }) => source.manifest).reverse();
    fill(this.looks, ...all.map((look) => {
      const shown = look.key === this.desk.shown?.key;
      return element("p", { class: "look" },
        element("button", { type: "button", class: "link", "aria-current": shown ? "true" : null, on: { click: () => this.go({ ...look.wish, versus: "" }) } }, said(look)),
        shown ? element("span", { class: "dim" }, "shown") : element("button", { type: "button", class: "quiet", title: "both in lockstep, with the difference", on: { click: () => this.go({ versus: LiveAddress.secondText(look.wish) }) } }, "beside"));
    }));
  }

  findSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.find(), 120);
  }

  async find() {
    const text = this.search.value.trim();
    try {
      const found = await this.desk.session.models(text);
      if (text !== this.search.value.trim()) return;
      this.names = found.map(({ id }) => id);
      fill(this.list, ...found.map((model) => this.modelLine(model)));
      if (!found.length) this.list.append(element("li", { class: "dim" }, `No model of that name. ${this.desk.host.words.own}`));
    } catch (error) {
      this.trouble.textContent = errorText(error);
    }
  }

  modelLine({ id, name, source, weights, note }) {
    const said = [SOURCES[source] ?? source, note, weights === false ? "no trained weights" : ""].filter(Boolean);
    return element("li", {}, element("button", { type: "button", "aria-current": id === this.desk.wish.model ? "true" : null, on: { click: () => this.choose(id, weights), keydown: (event) => this.walk(event) } },
      element("span", { class: "name" }, name), element("span", { class: "dim" }, [...new Set(said)].join(", "))));
  }

  /** A net without trained weights is shown with random ones, which the page then says. */
  choose(id, weights) {
    if (weights === false) this.wanted = "none";
    this.go({ model: id });
  }

  key(event) {
    if (event.key === "Enter") this.list.querySelector("button")?.click();
    else if (event.key === "ArrowDown") this.list.querySelector("button")?.focus();
    else return;
    event.preventDefault();
  }

  walk(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step) return;
    event.preventDefault();
    const line = event.currentTarget.parentElement[step];
    (line?.querySelector("button") ?? this.search).focus();
  }
}

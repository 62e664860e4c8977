// Puts the viewer together: one custom element, one shadow root, one state.

import { cssColor } from "./colors.js";
import { element, fill } from "./dom.js";
import { answersPanel, factsPanel, notesPanel } from "./facts.js";
import { MapGlass } from "./glass.js";
import { ChannelGrid } from "./grid.js";
import { helpSheet } from "./help.js";
import { LayerHead } from "./layerhead.js";
import { Legend } from "./legend.js";
import { PhotoPanel } from "./photo.js";
import { SceneView } from "./scene.js";
import { SearchBox } from "./search.js";
import { SpinePanel } from "./spine.js";
import { State } from "./state.js";
import { VectorGlass } from "./vector.js";

const THEMES = { auto: "as the system", light: "light", dark: "dark" };

/** Fires `sighted` when photo, answers and strips are drawn, and `theme` when it turns light or dark (`dataset.theme`), so that its host can follow. */
export class ConvscopeViewer extends HTMLElement {
  /**
   * @param {import("./source.js").Source} source
   * @param {{read: () => string, write: (text: string, step: boolean) => void}} address
   * @param {string} style text of the style sheet
   * @param {((context: any, viewer: ConvscopeViewer) => void)[]} [fittings] what a host adds to the page: parts into
   *   `viewer.places`, keys into `context.keys`, `context.prove`; what follows is told by `state` and `context.shown`
   * @param {EventTarget & {matches: boolean}} [dark] whether the surroundings are dark; fires `change`
   */
  start(source, address, style, fittings = [], dark = matchMedia("(prefers-color-scheme: dark)")) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [sheet];
    this.source = source;
    this.scene = new SceneView(source.manifest);
    this.state = new State(this.scene, address);
    this.dark = dark;
    const context = /** @type {import("./types.js").Context} */ ({
      scene: this.scene, source, state: this.state, ground: () => (this.isDark() ? "night" : "paper"),
      arrive: () => this.arrive(), enterGrid: () => this.enterGrid(), enterSpine: () => this.enterSpine(),
      /** Of the host: `{keys, text, press, run}`. */
      keys: [],
      /** Called when a layer's arrays have come: `(node, arrays)`. */
      shown: [],
      /** Called when they could not be had. */
      refused: [],
    });
    this.context = context;
    this.legend = context.legend = new Legend(context);
    this.glass = context.glass = new MapGlass(context);
    this.vector = new VectorGlass(context);
    this.grid = new ChannelGrid(context);
    this.photo = new PhotoPanel(context);
    this.glass.stage.append(this.photo.inset.node);
    this.head = new LayerHead(context);
    this.search = new SearchBox(context);
    this.layOut(context, fittings);
    this.spine = new SpinePanel(context);
    this.places.spine.append(this.spine.node);
    this.state.watch((detail) => {
      if (detail.has("theme")) this.theme();
      if (detail.has("layer")) this.showLayer();
    });
    this.dark.addEventListener("change", () => this.theme(true));
    this.addEventListener("keydown", (event) => this.key(event));
    this.theme();
    this.ready = this.load();
  }

  layOut(context, fittings) {
    const { model, image } = this.scene.manifest;
    this.themeButton = element("button", { type: "button", class: "quiet theme", on: { click: () => this.nextTheme() } }, element("i", {}));
    this.empty = element("p", { class: "empty dim", hidden: true });
    const bar = element("header", { class: "bar" },
      this.heading = element("h1", {}, element("b", {}, model.name), element("span", { class: "dim" }, " looking at "), element("span", {}, image.name)),
      model.random ? element("span", { class: "badge" }, "random weights") : null,
      this.legend.node, this.search.node, this.themeButton,
      element("button", { type: "button", class: "quiet", "aria-label": "help", title: "keys and meanings (?)", on: { click: () => this.help.showModal() } }, "?"));
    this.places = {
      subject: element("aside", { class: "subject", id: "subject" }, this.photo.node, answersPanel(this.scene), notesPanel(this.scene), factsPanel(this.scene)),
      spine: element("div", { class: "middle", id: "network" }),
      layer: element("main", { class: "chosen", id: "layer" }, this.head.node, this.glass.node, this.vector.node, this.empty, this.grid.node),
    };
    this.jumps = element("nav", { class: "jumps", "aria-label": "parts of the page" },
      ...[["subject", "Photo"], ["layer", "Channel"], ["spine", "Network"]].map(([place, text]) =>
        element("button", { type: "button", on: { click: () => this.places[place].scrollIntoView() } }, text)));
    this.frame = element("div", { class: "viewer" }, bar, this.places.subject, this.places.spine, this.places.layer, this.jumps);
    fill(this.root, this.frame);
    for (const fit of fittings) fit(context, this);
    this.help = helpSheet(context.keys);
    this.frame.append(this.help);
  }

  async load() {
    const first = await this.source.first().catch((cause) => this.refuse(cause));
    if (!first) return;
    this.first = first;
    this.photo.show(first);
    this.spine.show(first);
    this.spine.mark(true);
    const { node } = this.state;
    if (this.state.open && node === this.scene.start) {
      this.state.apply({ channel: this.scene.tellingChannel(node, first.get(`strip/${node.id}`)) });
    }
    this.dispatchEvent(new CustomEvent("sighted"));
    await this.showLayer();
    this.dataset.ready = "true";
  }

  async showLayer() {
    const { node } = this.state;
    this.head.show(node);
    const arrays = await this.source.node(node.id).catch((cause) => this.refuse(cause));
    if (!arrays || node !== this.state.node) return;
    this.glass.show(node, arrays);
    this.vector.show(node, arrays, this.first?.get("logits"));
    this.grid.show(node, arrays);
    this.empty.hidden = node.view !== "none";
    this.empty.textContent = `The result of ${node.name} has no picture: its shape is ${node.shape.join(" × ") || "a single value"}. ${(node.notes ?? []).join(". ")}`;
    this.photo.drawField();
    for (const tell of this.context.shown) tell(node, arrays);
    this.dataset.layer = node.name;
  }

  /** Says that data could not be read, instead of showing the last layer as if it were this one. */
  refuse(cause) {
    for (const part of [this.glass, this.vector, this.grid]) part.node.hidden = true;
    for (const tell of this.context.refused) tell();
    this.empty.hidden = false;
    this.empty.textContent = this.source.refusal?.(cause) ?? (typeof DecompressionStream === "undefined"
      ? "This browser is too old to unpack the report: it lacks DecompressionStream."
      : `This part of the report is damaged and cannot be read (${cause.message}).`);
    this.dataset.ready = "damaged";
  }

  isDark() {
    return this.state.theme === "auto" ? this.dark.matches : this.state.theme === "dark";
  }

  theme(redraw = false) {
    this.frame.dataset.theme = this.isDark() ? "dark" : "light";
    this.dataset.theme = this.frame.dataset.theme;
    this.dispatchEvent(new CustomEvent("theme"));
    const said = `colours: ${THEMES[this.state.theme]} (t)`;
    this.themeButton.title = said;
    this.themeButton.setAttribute("aria-label", said);
    this.themeButton.dataset.theme = this.state.theme;
    if (redraw) this.state.dispatchEvent(new CustomEvent("change", { detail: new Set(["theme-drawn", "range"]) }));
  }

  /** The CSS colour of `share` of the range, -1 to 1. */
  colorOf(signed, share) {
    return cssColor(signed, this.isDark() ? "night" : "paper", share);
  }

  nextTheme() {
    this.state.update({ theme: after(Object.keys(THEMES), this.state.theme) });
  }

  /** After a choice: on a narrow page, brings what was chosen into sight. */
  arrive() {
    if (getComputedStyle(this.jumps).display !== "none") this.places.layer.scrollIntoView();
  }

  enterGrid() {
    const { view } = this.state.node;
    (view === "vector" ? this.vector.plate : this.grid.view).focus();
  }

  enterSpine() {
    this.spine.elements[this.spine.current]?.focus();
  }

  key(event) {
    const inside = this.root.activeElement;
    if (event.ctrlKey || event.metaKey || event.altKey || inside === this.search.input || inside?.matches("input:not([type=checkbox]), select, textarea") || inside?.closest("dialog") || this.help.open) return;
    const { state } = this;
    const actions = {
      "/": () => this.search.input.focus(),
      "?": () => this.help.showModal(),
      j: () => this.stepLayer(1),
      k: () => this.stepLayer(-1),
      ArrowDown: () => this.spine.step(1),
      ArrowUp: () => this.spine.step(-1),
      "[": () => this.glass.turn(-1),
      "]": () => this.glass.turn(1),
      c: () => (state.node.view === "vector" ? this.vector.plate : this.glass.plate).focus(),
      r: () => state.update({ range: after(["channel", "layer", "net"], state.range) }),
      s: () => state.update({ sort: after(["index", "strongest", "varied"], state.sort) }),
      t: () => this.nextTheme(),
      Escape: () => this.enterSpine(),
    };
    const action = this.context.keys.find(({ press }) => press === event.key)?.run ?? actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  stepLayer(by) {
    const { nodes } = this.scene;
    const next = nodes[nodes.indexOf(this.state.node) + by];
    if (next) this.state.reveal(next);
  }
}

function after(values, now) {
  return values[(values.indexOf(now) + 1) % values.length];
}

// Every part of the page with fixed data, on light and on dark: to look at while changing one, and to take
// pictures of. It asks the server for nothing but these files.

import { AttributionPanel } from "./attribution.js";
import { BelowPanel } from "./below.js";
import { BesidePanel } from "./beside.js";
import { BoxPanel } from "./boxes.js";
import { choiceBar } from "./choice.js";
import { Chooser } from "./chooser.js";
import { element, fill } from "./dom.js";
import { comparedAnswers, EditPanel } from "./edits.js";
import { ExportMenu } from "./exporting.js";
import { answersPanel, factsPanel, notesPanel } from "./facts.js";
import { MapGlass } from "./glass.js";
import { ChannelGrid } from "./grid.js";
import { helpSheet } from "./help.js";
import { LayerHead } from "./layerhead.js";
import { Legend } from "./legend.js";
import { LESSON_PATTERNS } from "./lessonpatterns.js";
import { MemoryAddress } from "./memoryaddress.js";
import { PatternSource } from "./patterndata.js";
import { PhotoPanel } from "./photo.js";
import { ProofPanel } from "./proof.js";
import { SceneView } from "./scene.js";
import { SearchBox } from "./search.js";
import { SpinePanel } from "./spine.js";
import { State } from "./state.js";
import { StatusLine } from "./status.js";
import { Trouble } from "./trouble.js";
import { VectorGlass } from "./vector.js";

/** @type {Object<string, import("./types.js").Ground>} */
const PATTERN_GROUNDS = { light: "paper", dark: "night" };

/** What a part is given on the page, made anew for each. */
function makeContext(theme, layer = "stem", more = "") {
  const source = new PatternSource();
  const scene = new SceneView(source.manifest);
  const state = new State(scene, new MemoryAddress());
  state.apply(state.parsed(`layer=${layer}&channel=2${more}`));
  /** @type {any} */
  const context = { scene, source, state, ground: () => PATTERN_GROUNDS[theme], arrive() {}, enterGrid() {}, enterSpine() {}, keys: [], shown: [], refused: [], prove() {} };
  context.legend = new Legend(context);
  context.glass = new MapGlass(context);
  return context;
}

/** A desk on which nothing ever happens. */
function makeDesk(edits = []) {
  const wish = { model: "pattern_net", photo: "waves", weights: "none", versus: "", edits };
  const source = new PatternSource();
  const look = { id: "0", key: "0", wish, base: null, source };
  const names = ["pattern_net", "resnet50", "mobilenet_v3_small", "timm:a_name_that_is_longer_than_most_others_are"];
  const session = {
    start: { samples: ["cat", "coffee", "rocket"] }, photos: new Map([["waves", { id: "waves", name: "waves.png", width: 384, height: 256 }]]), looks: new Map([["0", look]]),
    modelName: (name) => name, photoName: () => "waves", thumbnail: () => new Promise(() => {}),
    models: async () => names.map((id, place) => ({ id, name: id, source: ["given", "torchvision", "torchvision", "timm"][place], weights: place !== 3, note: "" })),
  };
  const desk = { session, wish, undone: [], shown: look, host: { words: { own: "", stays: "It stays on this machine." }, link: null }, written: "", go: async () => undefined, status: { clear() {} } };
  return { desk, look };
}

const proofOptions = (context, more = {}) => ({
  value: (node, channel, cell) => context.source.value(node, channel, cell), go() {}, found() {}, opened() {}, back() {}, close() {},
  ground: context.ground, factor: () => 1, readers: () => [], ...more,
});

/** Shows a part's layer, as the viewer does when a layer is chosen. */
async function shown(context, ...parts) {
  const { node } = context.state;
  const [arrays, first] = await Promise.all([context.source.node(node.id), context.source.first()]);
  for (const part of parts) part.show(node, arrays, first.get("logits"));
  for (const tell of context.shown) tell(node, arrays);
}

/**
 * Name, what is to be seen, column of the page, and what makes it: its nodes, and what is to be done when they are
 * in their place.
 * @typedef {[string, string, string, (theme: string) => (Node|(() => any))[]]} Pattern
 * @type {Pattern[]}
 */
const PATTERNS = [
  ["Legend", "what white, red and blue mean", "bar", (theme) => ["stem", "stem.relu", "block.log"].map((layer) => {
    const context = makeContext(theme, layer);
    context.legend.show(context.state.node, 0.0123);
    return context.legend.node;
  })],
  ["choiceBar", "one of several", "bar", () => {
    const bar = choiceBar("sides", [["left", "left", ""], ["middle", "middle", ""], ["right", "right", ""]], (side) => bar.set(side));
    bar.set("middle");
    return [bar.node];
  }],
  ["SearchBox", "found layers", "bar", (theme) => {
    const search = new SearchBox(makeContext(theme));
    Object.assign(search.node.style, { marginBlockEnd: "9rem", marginInlineStart: "15rem" });
    return [search.node, () => {
      search.input.value = "block";
      search.find();
    }];
  }],
  ["SpinePanel", "the network: open group, skip, silent channels, not a number", "middle", (theme) => {
    const context = makeContext(theme, "block.log", "&open=block");
    const spine = new SpinePanel(context);
    return [spine.node, async () => spine.show(await context.source.first())];
  }],
  ["LayerHead", "a layer's name and facts", "chosen", (theme) => {
    const head = new LayerHead(makeContext(theme, "block.add"));
    head.show(head.context.state.node);
    return [head.node];
  }],
  ...[["stem", "a channel of the photo's own layer"], ["stem.relu", "values of one sign"], ["block.narrow", "a filter of single weights"], ["block.log", "values that are not finite"]].map(([layer, note]) => pattern("MapGlass", note, (theme) => {
    const context = makeContext(theme, layer);
    return [context.glass.node, () => shown(context, context.glass)];
  })),
  ...[["5", "silent"], ["6", "constant"]].map(([channel, note]) => pattern("MapGlass", `a ${note} channel`, (theme) => {
    const context = makeContext(theme);
    context.state.apply({ channel: Number(channel) });
    return [context.glass.node, () => shown(context, context.glass)];
  })),
  ["VectorGlass", "a list of values", "chosen", (theme) => {
    const glass = new VectorGlass(makeContext(theme, "pool"));
    return [glass.node, () => shown(glass.context, glass)];
  }],
  ["VectorGlass", "class scores", "chosen", (theme) => {
    const glass = new VectorGlass(makeContext(theme, "head"));
    return [glass.node, () => shown(glass.context, glass)];
  }],
  ["ChannelGrid", "all channels, one switched off", "chosen", (theme) => {
    const context = makeContext(theme, "block.wide");
    context.switched = (name, channel) => (channel === 4 ? 0 : 1);
    const grid = new ChannelGrid(context);
    grid.node.style.blockSize = "20rem";
    return [grid.node, () => shown(context, grid)];
  }],
  ["PhotoPanel", "photo, what the model saw, receptive field", "subject", (theme) => {
    const context = makeContext(theme, "block.wide");
    const photo = new PhotoPanel(context);
    return [photo.node, async () => {
      photo.show(await context.source.first());
      await shown(context, context.glass);
      photo.drawField();
    }];
  }],
  ["answersPanel", "random weights", "subject", (theme) => [answersPanel(makeContext(theme).scene)]],
  ["notesPanel", "what must be known", "subject", (theme) => [notesPanel(makeContext(theme).scene)]],
  ["factsPanel", "model and image", "subject", (theme) => [factsPanel(makeContext(theme).scene)]],
  ["comparedAnswers", "before and after", "subject", () => {
    const place = element("section", { class: "answers" });
    return [place, async () => fill(place, ...(await comparedAnswers({ source: new PatternSource() }, { source: new PatternSource() })))];
  }],
  ["EditPanel", "what is switched off", "subject", (theme) => {
    const { desk, look } = makeDesk([{ node: "stem", channels: [1, 2, 3, 4, 5, 7, 9], factor: 0 }, { node: "block.add", channels: null, factor: 0.5 }]);
    const panel = new EditPanel(/** @type {any} */ (desk), /** @type {any} */ (look), makeContext(theme));
    return [panel.node, panel.channelButton, panel.layerButton];
  }],
  ["BoxPanel", "which channels look at a box", "subject", (theme) => {
    const context = makeContext(theme, "block.wide", "&box=8,10,20,30");
    const photo = new PhotoPanel(context);
    const box = new BoxPanel(context, photo.main);
    return [photo.node, box.node, async () => photo.show(await context.source.first()), () => shown(context, context.glass)];
  }],
  ["AttributionPanel", "Grad-CAM over the photo", "subject", (theme) => {
    const context = makeContext(theme, "stem", "&cam=1");
    const photo = new PhotoPanel(context);
    const panel = new AttributionPanel(context, [photo.main]);
    return [photo.node, panel.node, async () => photo.show(await context.source.first()), () => shown(context, context.glass)];
  }],
  ["BelowPanel", "the window on the layer below", "subject", (theme) => {
    const context = makeContext(theme, "block.wide");
    const panel = new BelowPanel(context);
    return [panel.node, () => shown(context, context.glass)];
  }],
  ["BesidePanel", "pins, a second look and the difference", "chosen", (theme) => {
    const context = makeContext(theme, "stem", "&pins=stem:7|block.wide:3");
    const other = new PatternSource();
    const panel = new BesidePanel(context, { name: "the same", short: "as it is", source: other, scene: new SceneView(other.manifest) });
    return [panel.pinButton, panel.node, () => shown(context, context.glass)];
  }],
  ...[["stem.relu", "an activation and the sum behind it"], ["block.wide", "a sum that is not the model's value"], ["block.add", "a sum of two"], ["block.log", "not finite"], ["pool", "what cannot be shown"]].map(([layer, note]) => pattern("ProofPanel", note, (theme) => {
    const context = makeContext(theme, layer);
    const panel = new ProofPanel(proofOptions(context));
    return [panel.node, () => panel.show(context.state.node, 2, context.state.node.view === "map" ? { row: 4, column: 9 } : null)];
  })),
  ["ProofPanel", "terms held elsewhere; a channel switched off", "chosen", (theme) => {
    const context = makeContext(theme);
    const elsewhere = Object.assign(new Trouble("this report holds the exact terms of channel 2 of stem at its peak alone, row 7, column 3", "For any other cell ask the live page: convscope serve."), { peak: { row: 7, column: 3 } });
    const panels = [new ProofPanel(proofOptions(context, { value: () => Promise.reject(elsewhere) })), new ProofPanel(proofOptions(context, { factor: ({ name }) => (name === "stem" ? 0 : 1) }))];
    return [...panels.map(({ node }) => node), () => Promise.all(panels.map((panel) => panel.show(context.state.node, 2, { row: 4, column: 9 })))];
  }],
  ["ExportMenu", "what can be taken away", "bar", (theme) => {
    const context = makeContext(theme);
    const menu = new ExportMenu(/** @type {any} */ (makeDesk().desk), context, /** @type {any} */ ({}));
    menu.node.style.marginBlockEnd = "17rem";
    menu.node.style.marginInlineStart = "14rem";
    return [menu.node, () => {
      menu.node.open = true;
      return shown(context);
    }];
  }],
  ["Chooser", "photo and model", "chosen", (theme) => {
    const chooser = new Chooser(/** @type {any} */ (makeDesk().desk), makeContext(theme));
    return [...chooser.title, chooser.node, () => {
      unfolded(chooser.node);
      chooser.fillKept();
      chooser.fillLooks();
      chooser.trouble.textContent = "This file is no picture.";
      return chooser.find();
    }];
  }],
  ["StatusLine", "going on, nearly there, and failed", "chosen", (theme) => {
    const lines = [new StatusLine(() => {}), new StatusLine(() => {}), new StatusLine(() => {})];
    const bytes = btoa(String.fromCharCode(...Array.from({ length: 96 }, (_, place) => 128 + Math.round(120 * Math.sin(place / 7)))));
    const glimpse = { answers: [{ label: "heron", probability: 0.41 }, { label: "tench", probability: 0.28 }], maps: [0, 1, 2].map((channel) => ({ layer: "stem", channel, signed: true, rows: 8, columns: 12, bytes })) };
    lines[0].going("pattern_net looking at waves", { text: "running the model", fraction: 0.4 }, PATTERN_GROUNDS[theme]);
    lines[1].going("pattern_net looking at waves", { text: "drawing", fraction: 0.8, glimpse }, PATTERN_GROUNDS[theme]);
    lines[2].error(new Trouble("the model needs 3 channels, the picture has 4", "Choose another picture."));
    for (const { node } of lines) node.style.position = "static";
    return lines.map(({ node }) => node);
  }],
  ["helpSheet", "keys and meanings", "chosen", () => {
    const sheet = helpSheet([{ keys: "b", text: "a key of the host" }]);
    return [sheet, () => unfolded(sheet)];
  }],
  .../** @type {Pattern[]} */ (LESSON_PATTERNS),
];

/** One of several of a kind. @param {string} name @param {string} note @param {Pattern[3]} make @returns {Pattern} */
function pattern(name, note, make) {
  return [name, note, "chosen", make];
}

/** A dialog as a part among others. */
function unfolded(dialog) {
  dialog.setAttribute("open", "");
  dialog.style.position = "static";
}

/** One part in a shadow root of its own, with the viewer's style. */
class PatternFrame extends HTMLElement {
  /** @param {CSSStyleSheet} sheet */
  draw(sheet, theme, place, make) {
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    this.dataset.theme = theme;
    const parts = make(theme);
    const column = element("div", { class: place }, ...parts.filter((part) => typeof part !== "function"));
    const viewer = element("div", { class: "viewer", data: { theme } }, column);
    // A part alone: neither the page's columns nor its height.
    Object.assign(viewer.style, { display: "block", blockSize: "auto", minBlockSize: "0", padding: "0" });
    Object.assign(column.style, { overflow: "visible", border: "0" });
    root.append(viewer);
    return Promise.all(parts.filter((part) => typeof part === "function").map((after) => after()));
  }
}

async function showPatterns() {
  customElements.define("convscope-pattern", PatternFrame);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(await (await fetch("/viewer/style.css")).text());
  const main = element("main", { class: "patterns" }, element("h1", {}, "Patterns"), element("p", {}, "Every part of the page with fixed data, on light and on dark."));
  document.body.append(main);
  for (const [name, note, place, make] of PATTERNS) {
    const themes = Object.keys(PATTERN_GROUNDS);
    const frames = themes.map(() => /** @type {PatternFrame} */ (document.createElement("convscope-pattern")));
    main.append(element("section", { data: { pattern: name } }, element("h2", {}, name, element("span", {}, ` ${note}`)), element("div", { class: "pair" }, ...frames)));
    for (const [at, theme] of themes.entries()) await frames[at].draw(sheet, theme, place, make);
  }
  main.dataset.ready = "true";
}

showPatterns();

// Starts the viewer on the live server: keeps the address, the looks, and one viewer for the look that is shown.

import { Api, errorText, takeToken } from "./api.js";
import { ConvscopeViewer } from "./app.js";
import { AttributionPanel } from "./attribution.js";
import { BelowPanel } from "./below.js";
import { BesidePanel } from "./beside.js";
import { BoxPanel } from "./boxes.js";
import { Chooser } from "./chooser.js";
import { element, fill } from "./dom.js";
import { comparedAnswers, EditPanel } from "./edits.js";
import { ProofPanel } from "./proof.js";
import { ExportMenu } from "./exporting.js";
import { LiveAddress } from "./liveaddress.js";
import { Session } from "./session.js";
import { SceneView } from "./scene.js";
import { StatusLine } from "./status.js";

const COLUMNS = [".subject", ".middle", ".chosen", ".tiles"];

/** What is on the table: one look shown, others remembered. */
export class Desk {
  constructor(session, style) {
    this.session = session;
    this.style = style;
    this.wish = LiveAddress.wished(session.standard);
    this.address = new LiveAddress(this.wish);
    this.status = new StatusLine(() => session.cancel());
    this.turn = 0;
    this.coming = false;
    /** Lists of edits as they were, for undo. */
    this.undone = [];
    /** @type {import("./session.js").Look|null} */
    this.shown = null;
    /** @type {any} */
    this.viewer = null;
  }

  /** What a link holds: the key, the look, and the viewer's own state. */
  static link(desk) {
    return `token=${encodeURIComponent(desk.session.api.token)}&${LiveAddress.whole(desk.wish, desk.viewer.state.written())}`;
  }

  nameOf(wish) {
    const { session } = this;
    return `${session.modelName(wish.model)} looking at ${session.photoName(wish.photo)}${wish.edits.length ? ", changed" : ""}${wish.weights === "none" ? ", random weights" : ""}`;
  }

  /** Changes what is looked at, as a step in the history. @param {Partial<import("./liveaddress.js").Wish>} change */
  async go(change) {
    const wish = { ...this.wish, ...change };
    const before = this.address.read();
    location.hash = LiveAddress.whole(wish, before);
    return this.follow();
  }

  /** Shows what the address asks for. @returns {Promise<Error|undefined>} what went wrong, which has been said */
  async follow() {
    const wish = LiveAddress.wished(this.session.standard);
    const same = JSON.stringify(wish) === JSON.stringify(this.wish);
    // What the viewer that is coming writes into the address is no new wish.
    if (same && this.coming) return undefined;
    if (same && this.viewer) return this.viewer.state.reread();
    const turn = (this.turn += 1);
    const what = `${this.session.modelName(wish.model)} looking at ${this.session.photoName(wish.photo)}`;
    const tell = (line) => turn === this.turn && this.status.going(what, line);
    try {
      if (!wish.model) throw new Error("no model is installed to begin with; name one: convscope serve resnet18");
      if (!wish.photo) throw new Error("there is no photo to begin with; name one: convscope serve MODEL photo.jpg");
      if (!this.shown) this.await(wish);
      const look = await this.session.look(wish, tell);
      const second = LiveAddress.second(wish.versus);
      const other = second && await this.session.look(second, tell);
      if (turn !== this.turn) return undefined;
      this.status.clear();
      await this.show(look, wish, other);
    } catch (error) {
      if (turn === this.turn) this.sorry(error);
      return error;
    }
    return undefined;
  }

  /** Says what failed; the address goes back to what is shown. */
  sorry(error) {
    if (error.name === "AbortError") this.status.clear();
    else this.status.error(error);
    if (this.shown) this.address.write(this.viewer.state.written(), false);
    else if (error.name === "AbortError") this.status.say("Given up. Reload the page to begin again.");
  }

  /** Before anything is drawn: the photo, and how far the model is. */
  await(wish) {
    const picture = element("canvas", { "aria-hidden": "true" });
    this.session.thumbnail(wish.photo).then((bitmap) => {
      [picture.width, picture.height] = [bitmap.width, bitmap.height];
      picture.getContext("2d").drawImage(bitmap, 0, 0);
    }, () => {});
    this.waiting = element("main", { class: "awaited" }, picture);
    document.body.append(this.waiting, this.status.node);
  }

  async show(look, wish, other) {
    this.wish = wish;
    this.address.wish = wish;
    this.coming = true;
    const old = this.viewer;
    const viewer = /** @type {any} */ (document.createElement("convscope-viewer"));
    if (old) viewer.classList.add("coming");
    document.body.append(viewer);
    viewer.addEventListener("theme", () => (document.documentElement.dataset.theme = viewer.dataset.theme));
    try {
      viewer.start(look.source, this.address, this.style, this.fittings(look, other));
      await viewer.ready;
    } catch (error) {
      viewer.remove();
      throw error;
    } finally {
      this.coming = false;
    }
    document.title = `${this.session.modelName(wish.model)} looking at ${look.source.manifest.image.name}`;
    if (old) moveOver(old, viewer);
    this.waiting?.remove();
    this.viewer = viewer;
    this.shown = look;
    this.address.write(viewer.state.written(), false);
    viewer.classList.remove("coming");
    viewer.frame.append(this.status.node);
  }

  /** What the live page adds to the viewer. */
  fittings(look, other) {
    return [
      (context, viewer) => {
        const chooser = new Chooser(this, context);
        this.chooser = chooser;
        fill(viewer.heading, ...chooser.title);
        viewer.frame.append(chooser.node);
        fitProof(context, viewer);
        const box = new BoxPanel(context, viewer.photo.main);
        const attribution = new AttributionPanel(context, [viewer.photo.main, viewer.photo.inset]);
        viewer.photo.node.append(new BelowPanel(context).node, box.node);
        viewer.places.subject.querySelector(".answers").after(attribution.node);
        fitEdits(this, look, context, viewer);
        fitSecond(this, look, other, context, viewer);
        viewer.exports = new ExportMenu(this, context, viewer);
        viewer.themeButton.before(viewer.exports.node);
        context.keys.push({ keys: "m", press: "m", text: "choose a model", run: () => chooser.open("model") },
          { keys: "o", press: "o", text: "open a photo; or drop it, or paste it", run: () => chooser.open("photo") });
      },
    ];
  }

  /** A photo dropped or pasted anywhere. */
  async receive(file) {
    if (!file || !this.chooser) return;
    this.status.show("going", "Cancel", `taking in ${file.name || "the pasted photo"}`);
    await this.chooser.take(file);
    if (this.status.node.dataset.kind === "going" && !this.session.going.size) this.status.clear();
  }
}

/** Pins, and the second look where there is one. */
function fitSecond(desk, look, other, context, viewer) {
  const name = other ? desk.nameOf(other.wish) : "";
  const beside = new BesidePanel(context, other && { name, short: secondName(look.wish, other.wish, desk.session), source: other.source, scene: new SceneView(other.source.manifest) });
  viewer.glass.node.append(beside.node);
  viewer.glass.node.querySelector("header .said").after(beside.pinButton);
  const plain = look.base && LiveAddress.secondText(look.base.wish);
  context.keys.push({ keys: "v", press: "v", text: "a second look beside this one; with something switched off, the network as it is", run: () => {
    if (other) desk.go({ versus: "" });
    else if (plain) desk.go({ versus: plain });
    else desk.chooser.open("looks");
  } });
  if (plain && !other) viewer.places.subject.querySelector(".edits .line").append(element("button", { type: "button", class: "quiet", title: "maps as they are beside these (v)", data: { key: "versus" }, on: { click: () => desk.go({ versus: plain }) } }, "Compare maps"));
  if (!other) return;
  viewer.heading.append(element("span", { class: "versus" }, element("span", { class: "dim" }, "beside "), element("span", { title: name }, "B ", secondName(look.wish, other.wish, desk.session)), " ",
    element("button", { type: "button", class: "quiet", title: "look at one alone (v)", "aria-label": "take the second look away", on: { click: () => desk.go({ versus: "" }) } }, "×")));
  const answers = viewer.places.subject.querySelector(".answers");
  if (other.source.manifest.softmax_of === look.source.manifest.softmax_of) comparedAnswers(other, look, ["B", "A"]).then((parts) => parts && fill(answers, ...parts));
}

/** What is different about the second look, in few words. */
function secondName(wish, other, session) {
  const parts = [];
  if (other.model !== wish.model) parts.push(session.modelName(other.model));
  if (other.photo !== wish.photo) parts.push(session.photoName(other.photo));
  if (other.weights !== wish.weights) parts.push(other.weights === "none" ? "random weights" : "trained weights");
  if (JSON.stringify(other.edits) !== JSON.stringify(wish.edits)) parts.push(other.edits.length ? "with other changes" : "as it is, nothing off");
  return parts.join(", ") || "the same";
}

/** Buttons that switch off, the list of what is, and the answers before and after. */
function fitEdits(desk, look, context, viewer) {
  const panel = new EditPanel(desk, look, context);
  viewer.glass.node.querySelector("header .said").after(panel.channelButton);
  viewer.head.node.prepend(panel.layerButton);
  const answers = viewer.places.subject.querySelector(".answers");
  answers.after(panel.node);
  if (look.base && !desk.wish.versus) comparedAnswers(look.base, look).then((parts) => parts && fill(answers, ...parts));
}

/** A click on a cell opens its arithmetic in place of the grid. */
function fitProof(context, viewer) {
  const { state, scene, source } = context;
  const go = (cell) => {
    const node = scene.byId.get(cell.node);
    const proof = node.view === "map" && cell.row !== null ? `${cell.row},${cell.column}` : node.view === "vector" ? "value" : null;
    if (node.groups.some((name) => !state.isOpen(name))) state.fold(node.groups, true);
    state.update({ layer: node.name, channel: cell.channel, proof });
  };
  const exact = new Map();
  context.exactValue = (node, channel, { row, column }) => exact.get(`${node} ${channel} ${row} ${column}`);
  const panel = new ProofPanel({
    go,
    value: (node, channel, cell) => source.value(node, channel, cell),
    found: ({ cell, value }) => {
      exact.set(`${cell.node} ${cell.channel} ${cell.row} ${cell.column}`, value);
      viewer.glass.point();
    },
    back: () => history.back(),
    close: () => state.update({ proof: null }),
    ground: context.ground,
    factor: ({ name, channel }) => (context.switched?.(name) ?? 1) * (context.switched?.(name, channel) ?? 1),
    readers: (id) => {
      const { rows, columns, view } = scene.byId.get(id);
      return scene.consumers.get(id).map((other) => scene.byId.get(other)).filter((other) => other.view === view && other.rows === rows && other.columns === columns && other.kind !== "conv2d" && other.kind !== "linear");
    },
  });
  viewer.places.layer.insertBefore(panel.node, viewer.grid.node);
  const draw = () => {
    const open = state.proof !== null && state.node.view !== "none";
    viewer.places.layer.classList.toggle("proving", open);
    if (open) panel.show(state.node, state.channel, state.proven);
    else panel.hide();
  };
  context.prove = (cell) => state.update({ proof: cell ? `${cell.row},${cell.column}` : "value" });
  context.keys.push({ keys: "Enter", press: null, text: "on a cell of the map: where its value comes from" },
    { keys: "x", press: "x", text: "close the arithmetic", run: () => state.update({ proof: null }) },
    { keys: "Backspace", press: "Backspace", text: "the way back", run: () => history.back() });
  state.addEventListener("change", ({ detail }) => {
    if (["layer", "channel", "proof", "theme"].some((key) => detail.has(key))) draw();
  });
  draw();
}

/** Scrolls the new viewer to where the old one was, puts the focus in its place, and takes the old one away. */
function moveOver(old, viewer) {
  for (const column of COLUMNS) {
    const [from, to] = [old.root.querySelector(column), viewer.root.querySelector(column)];
    if (from && to) to.scrollTop = from.scrollTop;
  }
  const focused = old.root.activeElement;
  const place = focused && (focused.id ? `#${focused.id}` : focused.dataset?.key ? `[data-key="${focused.dataset.key}"]` : focused.matches?.(".row") ? ".row[aria-selected=true]" : null);
  old.remove();
  if (place) viewer.root.querySelector(place)?.focus({ preventScroll: true });
}

function listen(desk) {
  addEventListener("hashchange", () => desk.follow());
  addEventListener("keydown", (event) => {
    if (event.target === document.body) desk.viewer?.key(event);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => !event.relatedTarget && document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    desk.receive(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) desk.receive(file);
  });
}

async function begin() {
  customElements.define("convscope-viewer", ConvscopeViewer);
  const api = new Api(takeToken());
  try {
    const [start, style] = await Promise.all([api.json("/api/start"), fetch("/viewer/style.css").then((answer) => answer.text())]);
    const desk = new Desk(new Session(api, start), style);
    /** @type {any} */ (globalThis).desk = desk;
    listen(desk);
    await desk.follow();
  } catch (error) {
    fill(document.body, element("p", { class: "plain", role: "alert" }, errorText(error)));
  }
}

begin();

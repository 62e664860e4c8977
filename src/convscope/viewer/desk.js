// A desk: one look shown, others remembered, and what turns one into another. Where it stands is its host's.

import { AttributionPanel } from "./attribution.js";
import { BelowPanel } from "./below.js";
import { BesidePanel } from "./beside.js";
import { BoxPanel } from "./boxes.js";
import { Chooser } from "./chooser.js";
import { element, fill } from "./dom.js";
import { comparedAnswers, EditPanel } from "./edits.js";
import { ExportMenu } from "./exporting.js";
import { fitFilm } from "./filmfitting.js";
import { LiveAddress } from "./liveaddress.js";
import { fitProof } from "./proving.js";
import { SceneView } from "./scene.js";
import { StatusLine } from "./status.js";

/**
 * @typedef {Object} Host where a desk stands
 * @property {import("./state.js").HashAddress|import("./memoryaddress.js").MemoryAddress} bar keeps what is looked at
 * @property {string} tag name of the viewer's element
 * @property {HTMLElement} place what the viewer is put into
 * @property {(ground: string) => void} themed told when the viewer turns light or dark
 * @property {(title: string) => void} titled told what is looked at
 * @property {((written: string) => string)|null} link the address that opens this sight, where there can be one
 * @property {(EventTarget & {matches: boolean})|undefined} dark whether the surroundings are dark
 * @property {() => HTMLElement} [tabs] what leads to other parts of the page
 * @property {{model: string, photo: string, again: string, stays: string, own: string}} words how to do here what differs between hosts
 */

const COLUMNS = [".subject", ".middle", ".chosen", ".tiles"];

/** What is on the table: one look shown, others remembered. */
export class Desk {
  /**
   * @param {import("./session.js").Session} session
   * @param {string} style text of the style sheet
   * @param {Host} host
   */
  constructor(session, style, host) {
    this.session = session;
    this.style = style;
    this.host = host;
    this.wish = this.wished;
    this.address = new LiveAddress(this.wish, host.bar);
    this.status = new StatusLine(() => session.cancel());
    this.turn = 0;
    this.coming = false;
    /** @type {{asked: string, come: Promise<Error|undefined>}|null} what is being made */
    this.underway = null;
    /** Lists of edits as they were, for undo. */
    this.undone = [];
    /** @type {import("./session.js").Look|null} */
    this.shown = null;
    this.viewerTitle = "";
    /** @type {any} */
    this.viewer = null;
  }

  /** @returns {"night"|"paper"} */
  get ground() {
    const dark = this.host.dark ?? matchMedia("(prefers-color-scheme: dark)");
    return (this.viewer ? this.viewer.dataset.theme === "dark" : dark.matches) ? "night" : "paper";
  }

  get wished() {
    return LiveAddress.wished(this.host.bar.read(), this.session.standard);
  }

  /** What is looked at and how, as text. */
  get written() {
    return LiveAddress.whole(this.wish, this.viewer.state.written());
  }

  nameOf(wish) {
    const { session } = this;
    return `${session.modelName(wish.model)} looking at ${session.photoName(wish.photo)}${wish.edits.length ? ", changed" : ""}${wish.weights === "none" ? ", random weights" : ""}`;
  }

  /** Changes what is looked at, as a step in the history. @param {Partial<import("./liveaddress.js").Wish>} change */
  async go(change) {
    const wish = { ...this.wish, ...change };
    const before = this.address.read();
    this.host.bar.write(LiveAddress.whole(wish, before), true);
    return this.follow();
  }

  /** Shows what the address asks for. @returns {Promise<Error|undefined>} what went wrong, which has been said */
  async follow() {
    const wish = this.wished;
    const asked = JSON.stringify(wish);
    const same = asked === JSON.stringify(this.wish);
    // What the viewer that is coming writes into the address is no new wish.
    if (same && this.coming) return undefined;
    if (same && this.viewer) return this.viewer.state.reread();
    // A new address is told of again by the browser itself.
    if (this.underway?.asked === asked) return this.underway.come;
    const come = this.come(wish);
    this.underway = { asked, come };
    come.finally(() => {
      if (this.underway?.come === come) this.underway = null;
    });
    return come;
  }

  /** @param {import("./liveaddress.js").Wish} wish @returns {Promise<Error|undefined>} what went wrong */
  async come(wish) {
    const turn = (this.turn += 1);
    const what = `${this.session.modelName(wish.model)} looking at ${this.session.photoName(wish.photo)}`;
    const tell = (line) => turn === this.turn && this.status.going(what, line, this.ground);
    try {
      if (!wish.model) throw new Error(`no model is installed to begin with; name one: ${this.host.words.model}`);
      if (!wish.photo) throw new Error(`there is no photo to begin with; name one: ${this.host.words.photo}`);
      if (!this.shown) this.await(wish);
      else if (wish.photo !== this.wish.photo) {
        const still = () => turn === this.turn && !this.status.node.hidden;
        this.session.thumbnail(wish.photo).then((bitmap) => still() && this.status.looksAt(bitmap), () => {});
      }
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
    else if (error.name === "AbortError") this.status.say(`Given up. ${this.host.words.again}`);
  }

  /** Before anything is drawn: the photo, and how far the model is. */
  await(wish) {
    const picture = element("canvas", { "aria-hidden": "true" });
    this.session.thumbnail(wish.photo).then((bitmap) => {
      [picture.width, picture.height] = [bitmap.width, bitmap.height];
      picture.getContext("2d").drawImage(bitmap, 0, 0);
    }, () => {});
    this.waiting = element("main", { class: "awaited" }, picture);
    this.host.place.append(this.waiting, this.status.node);
  }

  async show(look, wish, other) {
    this.coming = true;
    const old = this.viewer;
    const viewer = /** @type {any} */ (document.createElement(this.host.tag));
    if (old) viewer.classList.add("coming");
    this.host.place.append(viewer);
    viewer.addEventListener("theme", () => this.host.themed(viewer.dataset.theme));
    const sighted = new Promise((go) => viewer.addEventListener("sighted", go, { once: true }));
    // What changes within one picture is shown whole; another picture as soon as there is something to see of it.
    const another = !old || wish.photo !== this.wish.photo || wish.model !== this.wish.model;
    this.wish = wish;
    this.address.wish = wish;
    try {
      viewer.start(look.source, this.address, this.style, this.fittings(look, other), this.host.dark);
      await (another ? Promise.race([sighted, viewer.ready]) : viewer.ready);
    } catch (error) {
      viewer.remove();
      throw error;
    } finally {
      this.coming = false;
    }
    this.viewerTitle = `${this.session.modelName(wish.model)} looking at ${look.source.manifest.image.name}`;
    this.host.titled(this.viewerTitle);
    // What is hidden takes no focus.
    viewer.classList.remove("coming");
    if (old) {
      const again = moveOver(old, viewer, this.host.place);
      // Columns that were still empty had nothing to scroll, and nothing to focus.
      if (another) viewer.ready.then(again);
    }
    this.waiting?.remove();
    this.viewer = viewer;
    this.shown = look;
    this.address.write(viewer.state.written(), false);
    viewer.frame.append(this.status.node);
  }

  /** What the live page adds to the viewer. */
  fittings(look, other) {
    return [
      (context, viewer) => {
        const chooser = new Chooser(this, context);
        this.chooser = chooser;
        fill(viewer.heading, ...chooser.title);
        if (this.host.tabs) viewer.heading.before(this.host.tabs());
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
        const film = this.session.film(this.wish.model);
        if (film) fitFilm(context, viewer, film);
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
  viewer.heading.append(element("span", { class: "versus" }, element("span", { class: "dim" }, "beside "), element("span", { title: name }, "B ", secondName(look.wish, other.wish, desk.session)),
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

/** Scrolls the new viewer to where the old one was, puts the focus in its place, and takes the old one away. */
function moveOver(old, viewer, around) {
  const tops = COLUMNS.map((column) => [column, old.root.querySelector(column)?.scrollTop ?? 0]);
  const scroll = () => {
    for (const [column, top] of tops) {
      const to = viewer.root.querySelector(column);
      if (to && !to.scrollTop) to.scrollTop = top;
    }
  };
  scroll();
  const focused = old.root.activeElement;
  const place = focused && (focused.id ? `#${focused.id}` : focused.dataset?.key ? `[data-key="${focused.dataset.key}"]` : focused.matches?.(".row") ? ".row[aria-selected=true]" : null);
  const focus = () => {
    const next = place && viewer.root.querySelector(place);
    (next ?? around).focus({ preventScroll: true });
  };
  old.remove();
  if (focused) focus();
  return () => {
    scroll();
    if (focused && !viewer.root.activeElement) focus();
  };
}

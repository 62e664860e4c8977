// A box dragged on the photo: which channels of the whole net look there.

import { element, fill, svg } from "./dom.js";
import { grouped, percent } from "./format.js";
import { boxPath } from "./photo.js";
import { errorText } from "./trouble.js";

const HITS_ASKED = 50;
const HITS_SHOWN = 6;
/** In pixels of the page: less is a click. */
const LEAST = 4;
const BOX_SIDES = ["top", "left", "bottom", "right"];

/** "10,20,30,40" as a box of input pixels, null where it is none. */
export function boxOfText(text) {
  const sides = text ? text.split(",").map(Number) : [];
  const [top, left, bottom, right] = sides;
  return sides.length === 4 && sides.every(Number.isFinite) && top < bottom && left < right ? { top, left, bottom, right } : null;
}

export class BoxPanel {
  constructor(context, frame) {
    this.context = context;
    this.frame = frame;
    this.path = svg("path", { class: "asked" });
    frame.overlay.append(this.path);
    frame.node.classList.add("asking");
    Object.assign(frame.node, { tabIndex: 0, id: "photo-frame" });
    frame.node.setAttribute("role", "application");
    frame.node.setAttribute("aria-label", "the photo: drag a box on it to see which channels look there; with the keyboard, arrows move the box, Shift and arrows size it");
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel", "keydown"]) {
      frame.node.addEventListener(kind, (event) => this[kind](event));
    }
    this.count = HITS_SHOWN;
    this.hint = element("p", { class: "dim hint" }, "Drag a box on the photo: which channels look there?");
    this.mode = element("button", { type: "button", class: "quiet touch", "aria-pressed": "false", data: { key: "box-mode" }, on: { click: () => this.boxing(!this.frame.node.classList.contains("boxing")) } }, "Draw a box on the photo");
    this.node = element("section", { class: "looking", "aria-label": "channels that look at the box" }, this.mode, this.hint);
    context.keys.push({ keys: "b", press: "b", text: "a box on the photo; arrows move it, Shift and arrows size it, Delete takes it away", run: () => frame.node.focus() });
    context.state.watch((detail) => {
      if (detail.has("box")) this.ask();
      else if (detail.has("layer") || detail.has("channel")) this.mark();
    });
    if (context.state.box) this.ask();
  }

  get box() {
    return boxOfText(this.context.state.box);
  }

  /** Row and column of the input under the mouse, inside it. */
  place(event) {
    const { scene } = this.context;
    const { image } = scene.manifest;
    const [rows, columns] = scene.inputSize;
    const area = this.frame.node.getBoundingClientRect();
    const photo = [((event.clientY - area.top) / area.height) * image.height, ((event.clientX - area.left) / area.width) * image.width];
    return photo.map((at, axis) => Math.min([rows, columns][axis], Math.max(0, (at - image.offset[axis]) / image.scale[axis])));
  }

  /** A finger on the photo scrolls the page, unless it was said that it is to draw. */
  boxing(on) {
    this.frame.node.classList.toggle("boxing", on);
    this.mode.setAttribute("aria-pressed", String(on));
  }

  pointerdown(event) {
    if (event.button || !this.context.scene.inputSize) return;
    if (event.pointerType === "touch" && !this.frame.node.classList.contains("boxing")) return;
    this.from = this.place(event);
    this.at = [event.clientX, event.clientY];
    this.frame.node.setPointerCapture(event.pointerId);
    event.preventDefault();
    this.frame.node.focus({ preventScroll: true });
  }

  dragged(event) {
    const [a, b] = [this.from, this.place(event)];
    const [top, bottom] = [a[0], b[0]].sort((x, y) => x - y).map(Math.round);
    const [left, right] = [a[1], b[1]].sort((x, y) => x - y).map(Math.round);
    return { top, left, bottom, right };
  }

  pointermove(event) {
    if (this.from) this.draw(this.dragged(event));
  }

  pointerup(event) {
    if (!this.from) return;
    const box = this.dragged(event);
    this.from = null;
    this.boxing(false);
    const moved = Math.hypot(event.clientX - this.at[0], event.clientY - this.at[1]);
    if (moved >= LEAST && box.top < box.bottom && box.left < box.right) this.put(box);
    else this.draw(this.box);
  }

  pointercancel() {
    this.from = null;
    this.draw(this.box);
  }

  keydown(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const { inputSize: size } = this.context.scene;
    if (event.key === "Delete" && this.box) this.put(null);
    else if ((step || event.key === "Enter") && size) {
      const [rows, columns] = size;
      const box = this.box ?? { top: rows >> 2, left: columns >> 2, bottom: rows - (rows >> 2), right: columns - (columns >> 2) };
      const [down, across] = (step ?? [0, 0]).map((by, axis) => by * Math.max(1, Math.round(size[axis] / 28)));
      const inside = (value, most, least = 0) => Math.min(most, Math.max(least, value));
      if (event.shiftKey) {
        box.bottom = inside(box.bottom + down, rows, box.top + 1);
        box.right = inside(box.right + across, columns, box.left + 1);
      } else {
        const [y, x] = [inside(down, rows - box.bottom, -box.top), inside(across, columns - box.right, -box.left)];
        Object.assign(box, { top: box.top + y, bottom: box.bottom + y, left: box.left + x, right: box.right + x });
      }
      this.draw(box);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.put(box), 250);
      this.context.state.box = BOX_SIDES.map((side) => box[side]).join(",");
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  put(box) {
    const { state } = this.context;
    const text = box ? BOX_SIDES.map((side) => box[side]).join(",") : "";
    // The keyboard has moved it already, but asked nothing.
    if (state.box === text) state.box = "";
    state.update({ box: text });
    if (!text) this.ask();
  }

  draw(box) {
    this.path.setAttribute("d", box ? boxPath(this.context.scene.onPhoto(box)) : "");
  }

  async ask() {
    const { box } = this;
    const { source, state } = this.context;
    const asked = state.box;
    this.draw(box);
    this.count = HITS_SHOWN;
    this.hits = null;
    this.node.dataset.ready = "";
    if (!box) {
      fill(this.node, this.mode, this.hint);
      return;
    }
    this.node.classList.add("busy");
    try {
      const hits = await source.box(box, HITS_ASKED);
      if (asked !== state.box) return;
      this.hits = hits;
      this.fillHits(box);
      this.node.dataset.ready = "true";
    } catch (error) {
      if (asked === state.box) fill(this.node, element("p", { class: "warning", role: "alert" }, errorText(error)));
    }
    this.node.classList.remove("busy");
  }

  fillHits(box) {
    const close = element("button", { type: "button", class: "quiet", title: "take the box away (Delete)", data: { key: "no-box" }, on: { click: () => this.put(null) } }, "Close");
    const size = `${box.right - box.left} × ${box.bottom - box.top} px`;
    const rows = this.hits.slice(0, this.count).map((hit) => this.line(hit));
    const left = this.hits.length - this.count;
    fill(this.node, element("header", {}, element("h2", {}, "Look at the box ", element("span", { class: "dim" }, size)), close),
      this.hits.length ? null : element("p", {}, "No channel has more of its activation in this box than chance would give it."),
      this.mode,
      element("ol", {}, ...rows),
      left > 0 ? element("button", { type: "button", class: "link", on: { click: () => { this.count = HITS_ASKED; this.fillHits(box); } } }, `${left} more`) : null);
    this.mark();
  }

  line({ node, name, channel, share, chance, score }) {
    const bar = element("i", { class: "inside" });
    bar.style.inlineSize = `${100 * share}%`;
    const tick = element("i", { class: "chance" });
    tick.style.insetInlineStart = `${100 * chance}%`;
    return element("li", { data: { node, channel, share: String(share), chance: String(chance) }, title: `score ${score.toFixed(2)} of at most 8: how far this is out of the ordinary` },
      element("button", { type: "button", class: "link", on: { click: () => this.go(node, channel) } }, `${name} `, element("b", {}, grouped(channel))),
      element("span", { class: "track", "aria-hidden": "true" }, bar, tick),
      element("span", { class: "dim" }, `${percent(share)} inside, by chance ${percent(chance)}`));
  }

  go(id, channel) {
    const { state, scene } = this.context;
    const node = scene.byId.get(id);
    if (node.groups.some((name) => !state.isOpen(name))) state.fold(node.groups, true);
    state.update({ layer: node.name, channel });
    this.context.arrive();
  }

  mark() {
    const { node, channel } = this.context.state;
    for (const line of this.node.querySelectorAll("li")) line.toggleAttribute("aria-current", line.dataset.node === String(node.id) && line.dataset.channel === String(channel));
  }
}

// The spine: the graph from top to bottom, one row an op or a folded group of ops.

import { element, fill, sizedCanvas, svg } from "./dom.js";
import { counted, kindText, sizeText } from "./format.js";
import { laneLayout } from "./lanes.js";
import { paintTile, tileFit } from "./paint.js";
import { pixelTable } from "./colors.js";
import { spineRows } from "./rows.js";

const THUMBS = 8;
/** In canvas pixels, of which the page shows two as one. */
const THUMB_SIDE = 56;
const THUMB_GAP = 6;
const MOST_LANES = 16;
/** In rem: a longer one is cut, and told by its title. */
const WIDEST_SIZE = 7;

/** Module types that say nothing of what they hold. */
const CONTAINERS = new Set(["Sequential", "ModuleList", "ModuleDict", "BlockList"]);

/** "Bottleneck × 6" for a container of six, "Bottleneck" for one. */
function groupText(group) {
  return (CONTAINERS.has(group.type) && group.repeats) || group.type;
}

export class SpinePanel {
  /** @param {import("./types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.tree = element("div", {
      class: "rows", role: "tree", "aria-label": "layers",
      on: { keydown: (event) => this.key(event), click: (event) => this.click(event), dblclick: (event) => this.twist(event) },
    });
    const heads = ["Layer", "Kind", "Size", "Strongest", "Silent"];
    const head = element("div", { class: "row head", "aria-hidden": "true" }, element("span", { class: "graph" }),
      ...heads.map((text) => element("span", { class: text.split(" ")[0].toLowerCase() }, text)));
    this.node = element("section", { class: "spine", "aria-label": "the network", id: "spine" }, head, this.tree);
    this.head = head;
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.paint(entry.target);
    }, { rootMargin: "200px" });
    context.state.watch((detail) => {
      if (detail.has("opened") || detail.has("shut")) this.build();
      else if (detail.has("layer")) this.mark(true);
      if (detail.has("range") || detail.has("theme")) this.repaint();
    });
    this.build();
  }

  show(first) {
    this.first = first;
    this.repaint();
  }

  build() {
    const { scene, state } = this.context;
    const focused = this.tree.contains(/** @type {ShadowRoot} */ (this.tree.getRootNode()).activeElement);
    this.seen.disconnect();
    this.rows = spineRows(scene, (name) => state.isOpen(name));
    const lanes = laneLayout(this.rows, scene);
    // Detection models keep hundreds of values waiting: lines beyond the last lane share it.
    const shown = Math.min(lanes.width, MOST_LANES);
    const pitch = Math.max(4, Math.min(12, 52 / shown));
    this.graphWidth = Math.round(14 + shown * pitch);
    this.node.style.setProperty("--graph", `${this.graphWidth}px`);
    const longest = Math.max(...this.rows.map(({ type, node }) => (type === "heading" ? 0 : sizeText(node).length)));
    this.node.style.setProperty("--size", `${Math.min(WIDEST_SIZE, Math.max(4.9, 0.46 * longest)).toFixed(2)}rem`);
    this.elements = this.rows.map((row, index) => this.rowElement(row, lanes.rows[index], pitch));
    fill(this.tree, ...this.elements);
    this.elements.forEach((line) => this.seen.observe(line));
    this.mark(false);
    if (focused) this.elements[this.current]?.focus();
  }

  rowElement(row, lane, pitch) {
    const { node, group } = row;
    const graph = this.graphElement(row, lane, pitch);
    const name = element("span", { class: "layer" }, element("span", { class: "name" }, row.label));
    name.style.setProperty("--depth", String(row.depth));
    const kind = group ? groupText(group) : kindText(node.kind);
    if (group) {
      name.append(element("span", { class: "dim repeats" }, kind));
      name.prepend(element("button", {
        type: "button", class: "twist", tabindex: -1,
        "aria-label": `${row.type === "group" ? "unfold" : "fold"} ${row.name}`,
      }));
    }
    const line = element(
      "div",
      {
        class: `row ${row.type}`, role: "treeitem", tabindex: -1, "aria-level": row.depth + 1, title: row.name,
        "aria-expanded": group ? String(row.type === "heading") : null,
        data: { name: row.name },
      },
      graph, name, group ? null : element("span", { class: "kind" }, kind),
    );
    if (row.type === "heading") {
      return line;
    }
    const silent = node.statistics?.silent ?? 0;
    const broken = node.statistics?.not_finite ?? 0;
    line.append(
      element("span", { class: "size", title: sizeText(node) }, sizeText(node)),
      element("span", { class: "strongest" }, node.arrays.strip ? element("canvas", { "aria-hidden": "true" }) : null),
      element("span", { class: broken ? "silent broken" : "silent", title: broken ? counted(broken, "value") + " not finite" : null },
        broken ? "NaN" : silent && node.view === "map" ? String(silent) : ""),
    );
    const said = [row.name, kind, row.type === "group" ? counted(row.members.length, "operation") : null, sizeText(node), silent ? `${silent} silent` : null];
    line.setAttribute("aria-label", said.filter(Boolean).join(", "));
    return line;
  }

  graphElement(row, { lane, above, below, through }, pitch) {
    const at = (place) => 12 + Math.min(place, MOST_LANES - 1) * pitch;
    const half = (from, to, top, bottom) => {
      const middle = (top + bottom) / 2;
      return from === to ? `M${at(from)} ${top}V${bottom}` : `M${at(from)} ${top}C${at(from)} ${middle} ${at(to)} ${middle} ${at(to)} ${bottom}`;
    };
    const path = [
      ...above.map(([from, to]) => half(from, to, 0, 50)),
      ...below.map(([from, to]) => half(from, to, 50, 100)),
      ...new Set(through.map(([from]) => `M${at(from)} 0V100`)),
    ].join("");
    const lines = svg("svg", { viewBox: `0 0 ${this.graphWidth} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: path, "vector-effect": "non-scaling-stroke" }));
    const cell = element("span", { class: "graph" }, lines);
    if (lane >= 0) {
      const many = new Set(row.node.inputs).size > 1 && row.type === "op";
      const mark = element("i", { class: `dot ${row.type} ${many ? "join" : ""} ${row.node.parameters && row.type === "op" ? "learned" : ""}` }, many && row.node.kind.includes("add") ? "+" : "");
      mark.style.insetInlineStart = `${at(lane)}px`;
      cell.append(mark);
    }
    return cell;
  }

  /** Marks the row that shows the chosen layer, or the folded group it is in. */
  mark(scroll) {
    const { state } = this.context;
    const id = state.node.id;
    this.elements[this.current]?.setAttribute("aria-selected", "false");
    if (this.elements[this.current]) this.elements[this.current].tabIndex = -1;
    this.current = this.rows.findIndex((row) => row.type !== "heading" && row.members.includes(id));
    const line = this.elements[this.current];
    line?.setAttribute("aria-selected", "true");
    if (line) line.tabIndex = 0;
    if (scroll && line) this.bringIn(line);
  }

  /** Scrolls the spine alone, never the page around it. */
  bringIn(line) {
    const frame = this.node.parentElement;
    const inner = line.getBoundingClientRect();
    const outer = frame.getBoundingClientRect();
    const top = outer.top + this.head.offsetHeight;
    const bottom = outer.top + frame.clientHeight;
    if (inner.top < top) frame.scrollTop -= top - inner.top;
    else if (inner.bottom > bottom) frame.scrollTop += inner.bottom - bottom;
  }

  repaint() {
    for (const line of this.elements) {
      delete line.dataset.painted;
      this.seen.unobserve(line);
      this.seen.observe(line);
    }
  }

  paint(line) {
    const canvas = line.querySelector("canvas");
    if (!canvas || !this.first || line.dataset.painted) return;
    line.dataset.painted = "true";
    const { scene, state, ground } = this.context;
    const { node } = this.rows[this.elements.indexOf(line)];
    const strip = this.first.get(`strip/${node.id}`);
    const scales = this.first.get(`strip_scales/${node.id}`);
    if (!strip) return;
    const [count, rows, columns] = strip.shape;
    const width = THUMBS * (THUMB_SIDE + THUMB_GAP) - THUMB_GAP;
    const context = sizedCanvas(canvas, width, THUMB_SIDE);
    const image = context.createImageData(width, THUMB_SIDE);
    const target = new Uint32Array(image.data.buffer);
    const fit = tileFit(rows, columns, THUMB_SIDE);
    for (let place = 0; place < Math.min(count, THUMBS); place += 1) {
      const scale = scales ? scales.data[place] : 0;
      const limit = scene.limit(node, state.range, scale);
      const pixels = pixelTable(node.signed, ground(), limit && scales ? (scale * 127) / limit : 1);
      const left = place * (THUMB_SIDE + THUMB_GAP) + ((THUMB_SIDE - fit.width) >> 1);
      paintTile(target, width, left, (THUMB_SIDE - fit.height) >> 1, fit, strip.data, place * rows * columns, rows, columns, pixels);
    }
    context.putImageData(image, 0, 0);
  }

  click(event) {
    const line = event.target.closest(".row");
    if (!line) return;
    const { state } = this.context;
    const row = this.rows[this.elements.indexOf(line)];
    if (event.target.closest(".twist") || row.type === "heading") return this.turn(row);
    const canvas = event.target.closest("canvas");
    const box = canvas?.getBoundingClientRect();
    const place = canvas ? Math.floor(((event.clientX - box.left) / box.width) * THUMBS) : -1;
    state.look(row.node, row.node.strongest?.[place] ?? undefined);
    this.elements[this.current]?.focus({ preventScroll: true });
    this.context.arrive();
  }

  twist(event) {
    const line = event.target.closest(".row.group");
    if (line && !event.target.closest(".twist, canvas")) this.turn(this.rows[this.elements.indexOf(line)]);
  }

  turn(row) {
    this.context.state.fold([row.name], row.type === "group");
  }

  key(event) {
    const { state } = this.context;
    const row = this.rows[this.current];
    if (event.ctrlKey || event.metaKey || event.altKey || !row) return;
    if (event.key === "ArrowRight" && row.type === "group") this.turn(row);
    else if (event.key === "ArrowLeft") {
      const parents = row.type === "group" ? row.group.parent : row.node.groups[row.node.groups.length - 1];
      if (parents) state.fold([parents], false);
    } else if (event.key === "ArrowDown") this.step(1);
    else if (event.key === "ArrowUp") this.step(-1);
    else if (event.key === "Home") this.step(-this.rows.length);
    else if (event.key === "End") this.step(this.rows.length);
    else if (event.key === "Enter" || event.key === " ") this.context.enterGrid();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Moves to the next row that is an op or a folded group. */
  step(by) {
    const places = this.rows.map((row, index) => (row.type === "heading" ? -1 : index)).filter((index) => index >= 0);
    const now = places.indexOf(this.current);
    const next = this.rows[places[Math.min(places.length - 1, Math.max(0, now + by))]];
    this.context.state.look(next.node);
    this.elements[this.current]?.focus();
  }
}

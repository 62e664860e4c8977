// What a person has chosen. All of it can be written as the fragment of an address, so that
// reload, back and a copied link show the same sight.

const RANGES = ["channel", "layer", "net"];
const SORTS = ["index", "strongest", "varied"];
const CARRIED = ["box", "cam", "pins"];
const GROUNDS = ["auto", "light", "dark"];

/**
 * Fires `change` (detail: the set of changed keys) and `point` (the cell under the cursor).
 */
export class State extends EventTarget {
  /**
   * @param {import("./scene.js").SceneView} scene
   * @param {{read: () => string, write: (text: string, step: boolean) => void}} address
   */
  constructor(scene, address) {
    super();
    this.scene = scene;
    this.address = address;
    /** Under the cursor. @type {import("./types.js").PointedCell|null} */
    this.cell = null;
    /** Whether the address named no channel, so that a telling one may be chosen. */
    this.open = !new URLSearchParams(address.read().replace(/^#/, "")).has("channel");
    /** Names of the layer and of what is chosen of the colours, the order, the ground. */
    this.layer = "";
    this.channel = 0;
    this.range = RANGES[0];
    this.sort = SORTS[0];
    this.theme = GROUNDS[0];
    /** The cell whose arithmetic is shown, as text. @type {string|null} */
    this.proof = null;
    // Of a host's own parts, as text.
    this.box = "";
    this.cam = "";
    this.pins = "";
    /** Groups opened and folded by hand. @type {Set<string>} */
    this.opened = new Set();
    /** @type {Set<string>} */
    this.shut = new Set();
    Object.assign(this, this.parsed(address.read()));
  }

  /** Calls back after each change. @param {(changed: Set<string>) => void} run with the names of what has changed */
  watch(run) {
    this.addEventListener("change", (event) => run(/** @type {CustomEvent<Set<string>>} */ (event).detail));
  }

  get node() {
    return this.scene.byName.get(this.layer);
  }

  parsed(text) {
    const fields = new URLSearchParams(text.replace(/^#/, ""));
    const node = this.scene.byName.get(fields.get("layer")) ?? this.scene.start;
    const wanted = fields.has("channel") ? Number(fields.get("channel")) : NaN;
    const inside = Number.isInteger(wanted) && wanted >= 0 && wanted < (node.channels ?? 0);
    const names = (key) => new Set(fields.getAll(key).filter((name) => this.scene.groups.has(name)));
    const folded = fields.has("open") || fields.has("shut");
    return {
      layer: node.name,
      channel: inside ? wanted : firstChannel(node),
      range: oneOf(RANGES, fields.get("range")),
      sort: oneOf(SORTS, fields.get("sort")),
      theme: oneOf(GROUNDS, fields.get("theme")),
      proof: provenCell(node, fields.get("proof")),
      // What a host's own parts keep here, as text.
      ...Object.fromEntries(CARRIED.map((key) => [key, fields.get(key) ?? ""])),
      opened: folded ? names("open") : new Set(node.groups.filter((name) => !this.scene.openAtFirst(name))),
      shut: names("shut"),
    };
  }

  written() {
    const fields = new URLSearchParams({ layer: this.layer, channel: String(this.channel) });
    if (this.range !== RANGES[0]) fields.set("range", this.range);
    if (this.sort !== SORTS[0]) fields.set("sort", this.sort);
    if (this.theme !== GROUNDS[0]) fields.set("theme", this.theme);
    if (this.proof !== null) fields.set("proof", this.proof);
    for (const key of CARRIED) if (this[key]) fields.set(key, this[key]);
    for (const name of this.opened) fields.append("open", name);
    for (const name of this.shut) fields.append("shut", name);
    // A link that says nothing of folds shows its layer; where the layer is folded away, say so.
    const hidden = this.node.groups.find((name) => !this.isOpen(name));
    if (hidden && !this.opened.size && !this.shut.size) fields.append("shut", hidden);
    return fields.toString();
  }

  /** Takes over what the address says (after Back, or a link pasted into the bar). */
  reread() {
    if (this.address.read().replace(/^#/, "") !== this.written()) this.apply(this.parsed(this.address.read()));
  }

  /** @param {Object} changes a step back in the history follows a change of layer, channel or proof */
  update(changes) {
    const leaves = "layer" in changes && changes.layer !== this.layer;
    const changed = this.apply(leaves ? { proof: null, ...changes } : changes);
    if (changed.size) this.address.write(this.written(), ["layer", "channel", "proof"].some((key) => changed.has(key)));
  }

  /** The cell whose arithmetic is shown; nothing for a list of values, or where none is. */
  get proven() {
    if (this.proof === null || this.node.view !== "map") return null;
    const [row, column] = this.proof.split(",").map(Number);
    return { row, column };
  }

  apply(changes) {
    const changed = new Set();
    for (const [key, value] of Object.entries(changes)) {
      if (this[key] === value) continue;
      this[key] = value;
      changed.add(key);
    }
    if (changed.has("layer") || changed.has("channel")) this.point(null);
    if (changed.size) this.dispatchEvent(new CustomEvent("change", { detail: changed }));
    return changed;
  }

  /** Looks at a layer, at its strongest channel unless one is named. */
  look(node, channel = firstChannel(node)) {
    this.update({ layer: node.name, channel });
  }

  /** @param {{channel: number, row: number, column: number}|null} cell under the cursor, of the chosen layer */
  point(cell) {
    this.cell = cell;
    this.dispatchEvent(new CustomEvent("point"));
  }

  isOpen(name) {
    if (this.opened.has(name)) return true;
    return !this.shut.has(name) && this.scene.openAtFirst(name);
  }

  /** Opens or folds groups, `names` at once. */
  fold(names, open) {
    const opened = new Set(this.opened);
    const shut = new Set(this.shut);
    for (const name of names) {
      opened.delete(name);
      shut.delete(name);
      if (this.scene.openAtFirst(name) !== open) (open ? opened : shut).add(name);
    }
    this.update({ opened, shut });
  }

  /** Opens every group around an op and looks at it. */
  reveal(node) {
    this.fold(node.groups, true);
    this.look(node);
  }
}

function firstChannel(node) {
  return node.strongest?.[0] ?? 0;
}

/** "3,5" for a cell of a map, "value" for one of a list; null where there is no such cell. */
function provenCell(node, text) {
  if (node.view === "vector") return text === "value" ? text : null;
  const [, row, column] = /^(\d+),(\d+)$/.exec(text ?? "") ?? [];
  return node.view === "map" && Number(row) < node.rows && Number(column) < node.columns ? text : null;
}

function oneOf(allowed, value) {
  return allowed.includes(value) ? value : allowed[0];
}

/** Keeps the state in the page's own address. */
export class HashAddress {
  read() {
    return location.hash;
  }

  write(text, step) {
    if (step) location.hash = text;
    else location.replace(`#${text}`);
  }

  back() {
    history.back();
  }
}

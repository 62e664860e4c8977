// The manifest made easy to ask: ops by id and name, groups as a tree, ranges, receptive fields.

/** Share of all ops above which a group is only a wrapper and stays open. */
const WRAPPER = 0.6;

export class SceneView {
  /** @param {import("./types.js").SceneManifest} manifest */
  constructor(manifest) {
    this.manifest = manifest;
    this.nodes = manifest.nodes;
    this.byId = new Map(this.nodes.map((node) => [node.id, node]));
    this.byName = new Map(this.nodes.map((node) => [node.name, node]));
    this.groups = new Map(manifest.groups.map((group) => [group.name, group]));
    this.consumers = new Map(this.nodes.map((node) => [node.id, []]));
    this.counts = new Map();
    for (const node of this.nodes) {
      for (const id of node.inputs) this.consumers.get(id)?.push(node.id);
      for (const name of node.groups) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    }
    this.netLimit = Math.max(0, ...this.nodes.filter((node) => node.view === "map").map(layerLimit));
    const { input } = manifest.model;
    /** Rows and columns of the input; nothing where it is no picture. @type {number[]|null} */
    this.inputSize = input?.length === 3 ? input.slice(1) : null;
    this.drawn = this.nodes.filter((node) => node.view !== "none");
    this.start = this.firstSight();
  }

  /** Largest |value| of the range `choice` for a layer, `scale` being the channel's own. */
  limit(node, choice, scale) {
    if (choice === "net" && node.view === "map") return this.netLimit;
    return choice === "channel" && node.view === "map" ? scale * 127 : layerLimit(node);
  }

  /** An activation about a quarter down the net, after its first pooling: neither pixels nor riddles. */
  firstSight() {
    const maps = this.nodes.filter((node) => node.view === "map" && node.arrays.stats && node.kind !== "input");
    if (!maps.length) return this.drawn[0] ?? this.nodes[0];
    const height = this.inputSize?.[0] ?? 0;
    const telling = maps.filter((node) => !node.signed && node.rows * 4 <= height && node.rows * 10 >= height);
    return telling[Math.min(telling.length - 1, 1)] ?? maps[Math.floor(maps.length / 4)];
  }

  /**
   * Of a layer's strongest channels the one whose picture is most distinct.
   * @param {import("./types.js").SceneNode} node
   * @param {import("./types.js").NumberArray|undefined} strip
   */
  tellingChannel(node, strip) {
    if (!strip || node.view !== "map") return node.strongest?.[0] ?? 0;
    const [count, rows, columns] = strip.shape;
    const scores = Array.from({ length: count }, (_, place) => distinctness(strip.data.subarray(place * rows * columns), rows, columns));
    return node.strongest[scores.indexOf(Math.max(...scores))];
  }

  /** Whether a group is open before anyone has folded anything. */
  openAtFirst(name) {
    const count = this.counts.get(name) ?? 0;
    return count > this.nodes.length * WRAPPER || this.start.groups.includes(name);
  }

  /** Name within the innermost of `groups`: "conv1" for layer1.0.conv1 in layer1.0. */
  shortName(name, parent) {
    return parent && name.startsWith(`${parent}.`) ? name.slice(parent.length + 1) : name;
  }

  isLogits(node) {
    return node.view === "vector" && node === this.drawn[this.drawn.length - 1] && node.channels === this.manifest.softmax_of;
  }

  /**
   * The part of the input one cell can see, and where it lies on the photo; ends exclusive.
   * `whole` says that it reaches past every edge of the input.
   */
  fieldBox(node, row, column) {
    const size = this.inputSize;
    const [rows, columns] = size;
    const input = { top: 0, left: 0, bottom: rows, right: columns };
    if (node.field) {
      const starts = [row, column].map((cell, axis) => node.field.start[axis] + node.field.stride[axis] * cell);
      const ends = starts.map((start, axis) => start + node.field.size[axis]);
      [input.top, input.left] = starts.map((start, axis) => Math.min(size[axis], Math.max(0, start)));
      [input.bottom, input.right] = ends.map((end, axis) => Math.max(0, Math.min(size[axis], end)));
    }
    const whole = input.top === 0 && input.left === 0 && input.bottom === rows && input.right === columns;
    return { input, photo: this.onPhoto(input), whole };
  }

  onPhoto({ top, left, bottom, right }) {
    const { scale, offset } = this.manifest.image;
    return {
      top: offset[0] + scale[0] * top,
      left: offset[1] + scale[1] * left,
      bottom: offset[0] + scale[0] * bottom,
      right: offset[1] + scale[1] * right,
    };
  }
}

/** How much a picture is alike from cell to cell, times its variance by the square of its mean size. */
function distinctness(bytes, rows, columns) {
  const cells = rows * columns;
  let sum = 0;
  let size = 0;
  for (let cell = 0; cell < cells; cell += 1) {
    sum += bytes[cell] - 128;
    size += Math.abs(bytes[cell] - 128);
  }
  const mean = sum / cells + 128;
  let variance = 0;
  let alike = 0;
  for (let cell = columns + 1; cell < cells; cell += 1) {
    const here = bytes[cell] - mean;
    variance += here * here;
    alike += (here * (bytes[cell - 1] - mean + (bytes[cell - columns] - mean))) / 2;
  }
  return variance && size ? (alike / variance) * Math.min(4, (variance * cells) / size ** 2) : 0;
}

function layerLimit(node) {
  const { min, max } = node.statistics ?? {};
  return Math.max(Math.abs(min ?? 0), Math.abs(max ?? 0));
}

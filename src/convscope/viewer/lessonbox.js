// A box drawn on a picture by mouse, touch or keys: dragged anew, moved, or resized at its corner.

import { element } from "./dom.js";

/** CSS pixels around the corner that take hold of it. */
const HANDLE = 14;

/** @typedef {{top: number, left: number, rows: number, columns: number}} Box */

/** Lies over whatever shows `rows` x `columns` pixels; tells `onBox(box, done)` in those. */
export class BoxDrag {
  /**
   * @param {string} label
   * @param {(box: Box, done: boolean) => void} onBox
   */
  constructor(label, onBox) {
    this.onBox = onBox;
    this.frame = element("i", { class: "boxframe" }, element("i", { class: "corner" }));
    this.node = element("div", {
      class: "boxdrag", tabindex: 0, role: "application", "aria-label": label,
      on: {
        pointerdown: (event) => this.begin(event), pointermove: (event) => this.move(event),
        pointerup: () => this.end(), pointercancel: () => this.end(), keydown: (event) => this.key(event),
      },
    }, this.frame);
    /** @type {Box|null} */
    this.box = null;
    this.size = [1, 1];
    this.bounds = { smallest: 1, largest: 4096 };
    /** @type {((row: number, column: number) => Box)|null} */
    this.drag = null;
  }

  /** @param {Box|null} box @param {number[]} size rows and columns of the whole @param {{smallest: number, largest: number}} bounds */
  show(box, size, bounds) {
    this.size = size;
    this.bounds = bounds;
    this.box = box;
    this.frame.hidden = !box;
    if (!box) return;
    const { style } = this.frame;
    style.insetBlockStart = `${(100 * box.top) / size[0]}%`;
    style.insetInlineStart = `${(100 * box.left) / size[1]}%`;
    style.blockSize = `${(100 * box.rows) / size[0]}%`;
    style.inlineSize = `${(100 * box.columns) / size[1]}%`;
  }

  at(event) {
    const { left, top, width, height } = this.node.getBoundingClientRect();
    return [((event.clientY - top) / height) * this.size[0], ((event.clientX - left) / width) * this.size[1]];
  }

  begin(event) {
    if (event.button > 0) return;
    event.preventDefault();
    this.node.focus({ preventScroll: true });
    this.node.setPointerCapture(event.pointerId);
    const [row, column] = this.at(event);
    const { box } = this;
    const scale = this.node.getBoundingClientRect().width / this.size[1];
    if (box && Math.hypot(row - box.top - box.rows, column - box.left - box.columns) * scale < HANDLE) {
      this.drag = (r, c) => this.spanned(box.top, box.left, r, c);
    } else if (box && row >= box.top && row < box.top + box.rows && column >= box.left && column < box.left + box.columns) {
      this.drag = (r, c) => this.kept({ ...box, top: box.top + Math.round(r - row), left: box.left + Math.round(c - column) });
    } else {
      this.drag = (r, c) => this.spanned(row, column, r, c);
    }
  }

  move(event) {
    if (!this.drag) return;
    const [row, column] = this.at(event);
    this.tell(this.drag(row, column), false);
  }

  end() {
    if (!this.drag) return;
    this.drag = null;
    if (this.box) this.tell(this.box, true);
  }

  /** The box between two places. @returns {Box} */
  spanned(row, column, otherRow, otherColumn) {
    const span = (one, other, whole) => {
      const [low, high] = [Math.min(one, other), Math.max(one, other)].map((n) => Math.min(whole, Math.max(0, n)));
      const count = Math.min(this.bounds.largest, whole, Math.max(this.bounds.smallest, Math.round(high) - Math.round(low)));
      return [Math.max(0, Math.min(whole - count, one <= other ? Math.round(low) : Math.round(high) - count)), count];
    };
    const [top, rows] = span(row, otherRow, this.size[0]);
    const [left, columns] = span(column, otherColumn, this.size[1]);
    return { top, left, rows, columns };
  }

  /** The same box, moved inside. @param {Box} box @returns {Box} */
  kept(box) {
    return keptBox(box, this.size, this.bounds);
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !this.box || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [down, across] = step.map((n) => n * Math.max(1, Math.round(Math.max(...this.size) / 128)));
    const { top, left, rows, columns } = this.box;
    this.tell(this.kept(event.shiftKey ? { top, left, rows: rows + down, columns: columns + across } : { top: top + down, left: left + across, rows, columns }), true);
  }

  tell(box, done) {
    this.show(box, this.size, this.bounds);
    this.onBox(box, done);
  }
}

/** A box brought inside a picture of `size`. @param {Box} box @param {number[]} size @param {{smallest: number, largest: number}} bounds @returns {Box} */
export function keptBox({ top, left, rows, columns }, size, { smallest, largest }) {
  const fit = (count, whole) => Math.max(Math.min(smallest, whole), Math.min(count, largest, whole));
  const [high, wide] = [fit(rows, size[0]), fit(columns, size[1])];
  return { top: Math.max(0, Math.min(top, size[0] - high)), left: Math.max(0, Math.min(left, size[1] - wide)), rows: high, columns: wide };
}

/** @returns {Box|null} */
export function typedBox(text) {
  const numbers = String(text).split(/[\s,]+/).filter(Boolean).map(Number);
  if (numbers.length !== 4 || numbers.some((n) => !Number.isInteger(n) || n < 0)) return null;
  const [top, left, rows, columns] = numbers;
  return { top, left, rows, columns };
}

/** @param {Box} box */
export function boxTyped({ top, left, rows, columns }) {
  return [top, left, rows, columns].join(",");
}

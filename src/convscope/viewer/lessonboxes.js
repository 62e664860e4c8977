// The boxes of a lesson's controls on its pictures: which picture each lies on, and drawing them there.

import { choiceBar } from "./choice.js";
import { element, fill, sizedCanvas } from "./dom.js";
import { BoxDrag, typedBox, boxTyped, keptBox } from "./lessonbox.js";
import { said } from "./lessonwords.js";

export class LessonBoxes {
  /** @param {any} context @param {import("./lessonform.js").ControlTold[]} controls */
  constructor(context, controls) {
    this.context = context;
    this.controls = controls;
    this.turn = 0;
    /** Whether a picture is still awaited. */
    this.busy = false;
    this.boxes = controls.filter(({ kind }) => kind === "box");
    /** Which box a drag on the photo draws. */
    this.active = this.boxes.filter(({ of }) => of === "picture").at(-1) ?? null;
    this.drags = new Map(this.boxes.map((control) => [control.name, new BoxDrag(control.label[context.language()], (box, done) => context.change({ [control.name]: boxTyped(box) }, done))]));
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.plate = element("div", { class: "mapplate" }, this.canvas);
    this.caption = element("figcaption");
    this.figure = element("figure", { class: "lessonmap ownphoto", hidden: true }, this.caption, this.plate);
    const language = context.language();
    const several = this.boxes.filter(({ of }) => of === "picture");
    this.chooser = several.length > 1 ? choiceBar(said(language, "shown"), several.map(({ name, label }) => [name, label[language].split(/[:：]/)[0], label[language]]), (name) => {
      this.active = this.boxes.find((control) => control.name === name);
      this.chooser.set(name);
      this.attach();
    }) : null;
    this.chooser?.set(this.active.name);
    this.node = element("div", { class: "lessonboxes" }, this.figure, this.chooser && element("p", { class: "line" }, element("span", { class: "dim" }, said(language, "shown")), this.chooser.node));
  }

  matters({ when }) {
    return Object.entries(when).every(([name, values]) => values.includes(this.context.value(name)));
  }

  /** Takes out of an answer's marks the box that can be dragged itself. @param {import("./lessonanswer.js").Answer} answer */
  strip(answer) {
    const field = answer.maps["level 0"];
    if (field) field.marks = field.marks.filter(({ tone }) => tone !== "accent");
    const photo = answer.maps.photo;
    const box = this.active && typedBox(answer.values[this.active.name]);
    if (!photo || !box || !this.matters(this.active)) return;
    photo.marks = photo.marks.filter((mark) => mark.label || mark.kind !== "box" || !this.same(mark, box, photo.shape));
  }

  /** Whether a mark is this box, also on a smaller copy of the picture. */
  same(mark, box, shape) {
    const scale = (mark.bottom - mark.top) / box.rows;
    const near = (one, other) => Math.abs(one - other * scale) < 2.5;
    return scale <= 1.01 && shape[0] > 0 && near(mark.left, box.left) && near(mark.top, box.top) && near(mark.right - mark.left, box.columns);
  }

  /** @param {import("./lessonanswer.js").Answer} answer @param {import("./lessonstage.js").LessonStage} stage @param {import("./lessonplayer.js").LessonPlayer} player */
  show(answer, stage, player) {
    this.answer = answer;
    this.stage = stage;
    this.player = player;
    this.attach();
  }

  async attach() {
    const { answer, stage, player } = this;
    const turn = (this.turn += 1);
    this.busy = true;
    for (const control of this.boxes) {
      const drag = this.drags.get(control.name);
      const bounds = { smallest: control.smallest ?? 1, largest: control.largest ?? 4096 };
      const box = typedBox(this.context.value(control.name));
      if (!this.matters(control) || (control.of === "picture" && control !== this.active)) {
        drag.node.remove();
      } else if (control.of === "picture") {
        const plate = answer.maps.photo ? stage.maps.get("photo")?.plate : this.plate;
        if (!plate) continue;
        const photo = await this.context.photo(this.context.value("picture")).catch(() => null);
        if (!photo || turn !== this.turn) continue;
        // Before its size is known nothing can be drawn on it.
        if (drag.node.parentNode !== plate) plate.append(drag.node);
        if (!drag.drag) drag.show(typedBox(this.context.value(control.name)), [photo.height, photo.width], bounds);
        if (plate === this.plate) this.drawPhoto(photo, control);
      } else if (control.of === "image" && answer.player) {
        player.overlay(drag.node);
        if (!drag.drag) drag.show(box, answer.player.image, bounds);
      } else {
        const figure = stage.maps.get("level 0");
        if (!figure) continue;
        if (drag.node.parentNode !== figure.plate) figure.plate.append(drag.node);
        if (!drag.drag) drag.show(box, answer.maps["level 0"].shape, bounds);
      }
    }
    if (turn !== this.turn) return;
    this.busy = false;
    this.figure.hidden = Boolean(answer.maps.photo) || !this.active || !this.matters(this.active);
  }

  /** The photo itself, where the lesson shows but a part of it. */
  drawPhoto({ bitmap, width, height }, control) {
    fill(this.caption, control.label[this.context.language()]);
    this.plate.style.inlineSize = `min(100%, ${(16 * width) / height}rem)`;
    this.plate.style.aspectRatio = `${width} / ${height}`;
    if (this.drawn === bitmap) return;
    this.drawn = bitmap;
    sizedCanvas(this.canvas, bitmap.width, bitmap.height).drawImage(bitmap, 0, 0);
  }

  /** Boxes brought inside a picture of `size`, those that were not. */
  fitted(size, value) {
    const changes = {};
    for (const control of this.boxes) {
      const box = control.of === "picture" && typedBox(value(control.name));
      if (!box) continue;
      const kept = boxTyped(keptBox(box, size, { smallest: control.smallest ?? 1, largest: control.largest ?? 4096 }));
      if (kept !== boxTyped(box)) changes[control.name] = kept;
    }
    return changes;
  }
}

// The Lessons tab: convolution itself on a person's own numbers and pictures. Which lesson, what its controls
// stand on and the step are in the address.

import { choiceBar } from "./choice.js";
import { element, fill } from "./dom.js";
import { addressOfLesson, lessonOfAddress } from "./lessonaddress.js";
import { decodeAnswer, SentPictures } from "./lessonanswer.js";
import { LessonBoxes } from "./lessonboxes.js";
import { LessonExports } from "./lessonexports.js";
import { LessonForm } from "./lessonform.js";
import { LessonPlayer } from "./lessonplayer.js";
import { LessonStage } from "./lessonstage.js";
import { rememberedLanguage, rememberLanguage, said } from "./lessonwords.js";

const LESSON_THEMES = ["auto", "light", "dark"];
/** Milliseconds without a change after which a preview is followed by the whole. */
const REST = 300;
/** Parts that are made anew with a lesson, and what in them takes the focus then. */
const FOCUSED = { ".lessonlist": ".lessonlist [aria-current]", ".lessonpick": ".lessonpick select", ".bar .choice": ".bar .choice [aria-checked=true]", ".lessoncontrols header": ".lessoncontrols header button", ".tabs": ".tabs [aria-current]" };

/**
 * @typedef {Object} LessonHost
 * @property {import("./state.js").HashAddress} bar
 * @property {(ground: string) => void} themed
 * @property {(title: string) => void} titled
 * @property {(language: string) => void} spoken
 * @property {(written: string) => string} link
 * @property {(language: string) => HTMLElement} tabs
 */

export class ConvscopeLessons extends HTMLElement {
  /** @type {any[]|null} as the server lists them */
  lessons = null;
  /** Photos by what a picture control says. @type {Map<string, Promise<{bitmap: ImageBitmap, width: number, height: number}>>} */
  seen = new Map();
  sent = new SentPictures();
  /** What an address asked for in vain. @type {any[]} */
  fell = [];

  /**
   * @param {import("./session.js").Session} session
   * @param {string} style
   * @param {LessonHost} host
   */
  start(session, style, host) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [sheet];
    this.session = session;
    this.host = host;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.isConnected && this.wish && this.theme(true));
    this.frame = element("div", { class: "viewer lessons" });
    this.root.append(this.frame);
    this.rest = 0;
    /** @type {AbortController|null} of the run at full size that is under way */
    this.thorough = null;
    this.resting = false;
    /** What was computed last, and whole, as text. */
    this.whole = "";
    this.context = {
      ground: () => (this.isDark() ? "night" : "paper"), language: () => this.language,
      color: (name) => getComputedStyle(this.frame).getPropertyValue(name), value: (name) => this.value(name), change: (changes, done) => this.change(changes, done),
      pictures: () => this.pictures(), upload: (file) => this.upload(file),
      steps: (step) => this.ask("steps", { step }), proof: (step) => this.ask("proof", { step }), stepped: (step, settled) => this.stepped(step, settled),
      photo: (value) => this.photo(value),
    };
  }

  /** Shows what the address asks for. */
  async follow() {
    const wish = lessonOfAddress(this.host.bar.read());
    if (!wish) return;
    this.lessons ??= await this.session.api.json("/api/lessons");
    const lesson = this.lessons.find(({ name }) => name === wish.lesson) ?? this.lessons[0];
    const language = wish.language ?? this.wish?.language ?? rememberedLanguage();
    const values = Object.fromEntries(Object.entries(wish.values).filter(([name]) => lesson.controls.some((control) => control.name === name)));
    const given = values.picture === "given";
    if (given) values.picture = this.session.start.default_photo ?? "sample:cat";
    const next = { ...wish, lesson: lesson.name, language, values };
    const before = this.wish;
    if (before && addressOfLesson(before) === addressOfLesson(next) && this.lesson) return;
    this.wish = next;
    this.lesson = lesson;
    this.language = language;
    rememberLanguage(language);
    this.theme(false);
    if (before?.lesson !== lesson.name || before?.language !== language) this.layOut(before?.lesson === lesson.name);
    else this.form.fill();
    this.player.index = next.step;
    if (given) await this.fitBoxes();
    // Another language, theme or step is another sight of the same numbers.
    if (this.whole === this.asking && this.answer && !this.running) this.show(this.answer);
    else await this.run(false);
    if (addressOfLesson(wish) !== this.written) this.write(false);
  }

  get written() {
    return addressOfLesson(this.wish);
  }

  write(step) {
    this.host.bar.write(this.written, step);
  }

  isDark() {
    return this.wish?.theme === "auto" ? this.dark.matches : this.wish?.theme === "dark";
  }

  theme(redraw) {
    this.dataset.theme = this.frame.dataset.theme = this.isDark() ? "dark" : "light";
    this.host.themed(this.dataset.theme);
    if (redraw && this.answer) this.show(this.answer);
    if (this.themeButton) this.themeButton.dataset.theme = this.wish.theme;
  }

  layOut(same) {
    const { lesson, language, host } = this;
    const focused = this.root.activeElement;
    const focus = focused && Object.entries(FOCUSED).find(([part]) => focused.closest(part))?.[1];
    const scrolled = same ? this.root.querySelector(".lesson")?.scrollTop ?? 0 : 0;
    this.lang = language;
    this.frame.setAttribute("lang", language === "zh" ? "zh-Hans" : "en");
    host.spoken(language);
    host.titled(`${lesson.title[language]}, convscope`);
    const languages = choiceBar("language / 语言", [["en", "English", "English"], ["zh", "中文", "简体中文"]], (value) => this.go({ language: value }));
    languages.set(language);
    this.exports = new LessonExports(language, (what) => this.file(what), () => host.link(this.written));
    this.themeButton = element("button", { type: "button", class: "quiet theme", "aria-label": said(language, "theme"), title: said(language, "theme"), data: { theme: this.wish.theme }, on: { click: () => this.go({ theme: LESSON_THEMES[(LESSON_THEMES.indexOf(this.wish.theme) + 1) % 3] }) } }, element("i", {}));
    const link = (one) => element("li", {}, element("a", { href: `#${this.addressOf(one.name)}`, "aria-current": one === lesson ? "page" : null }, one.title[language]));
    const pick = element("select", { on: { change: () => this.go({ lesson: pick.value, values: {}, step: 0 }) } }, ...this.lessons.map((one) => element("option", { value: one.name, selected: one === lesson }, one.title[language])));
    this.form = new LessonForm(this.context, lesson.controls);
    this.boxes = new LessonBoxes(this.context, lesson.controls);
    if (!same) this.fell = [];
    if (!same || !this.player) {
      this.player?.stop();
      this.player = new LessonPlayer(this.context);
    }
    this.stage = new LessonStage(this.context, lesson.name);
    this.sentences = element("div", { class: "sentences", role: "status" });
    this.trouble = element("p", { class: "warning", role: "alert", hidden: true });
    this.busy = element("span", { class: "dim busyword", "aria-hidden": "true" });
    this.player.node.hidden = true;
    const reset = element("button", { type: "button", class: "quiet", on: { click: () => this.reset() } }, said(language, "reset"));
    fill(this.frame,
      element("header", { class: "bar" }, host.tabs(language), element("h1", {}, element("span", { class: "unseen" }, said(language, "lessons"))), this.busy, languages.node, this.exports.node, this.themeButton),
      element("nav", { class: "lessonlist", "aria-label": said(language, "lessons") }, element("ol", {}, ...this.lessons.map(link))),
      element("main", { class: "lesson" },
        element("label", { class: "lessonpick" }, element("span", { class: "dim" }, said(language, "lesson")), " ", pick),
        element("button", { type: "button", class: "quiet tocontrols", on: { click: () => this.toControls() } }, said(language, "toControls")),
        element("h2", {}, lesson.title[language]), element("p", { class: "lessontext" }, lesson.text[language]),
        this.trouble, this.player.node, this.boxes.node, this.sentences, this.stage.node),
      element("aside", { class: "lessoncontrols", "aria-label": said(language, "controls") }, element("header", {}, element("h3", {}, said(language, "controls")), reset), this.form.node));
    this.root.querySelector(".lesson").scrollTop = scrolled;
    if (focus) /** @type {HTMLElement|null} */ (this.root.querySelector(focus))?.focus({ preventScroll: true });
  }

  /** On a narrow page the controls stand below all there is to see. */
  toControls() {
    const aside = this.root.querySelector(".lessoncontrols");
    aside.scrollIntoView({ block: "start" });
    /** @type {HTMLElement|null} */ (aside.querySelector("input:not([hidden]), select, textarea, button"))?.focus({ preventScroll: true });
  }

  reset() {
    this.form.clear();
    this.trouble.hidden = true;
    this.go({ values: {}, step: 0 });
  }

  addressOf(lesson) {
    return addressOfLesson({ lesson, language: this.language, theme: this.wish.theme, step: 0, values: {} });
  }

  /** Another sight, as a step in the history. */
  go(changes) {
    const text = addressOfLesson({ ...this.wish, ...changes });
    this.host.bar.write(text, true);
  }

  control(name) {
    return this.lesson.controls.find((control) => control.name === name);
  }

  /** What a control stands on. */
  value(name) {
    const control = this.control(name);
    const value = this.wish.values[name] ?? control?.default;
    return control?.kind === "switch" ? value === true || value === "true" : value;
  }

  /** @param {Object<string, any>} changes @param {boolean} done false while it is dragged or typed */
  change(changes, done) {
    for (const [name, value] of Object.entries(changes)) {
      if (String(value) === String(this.control(name).default)) delete this.wish.values[name];
      else this.wish.values[name] = String(value);
    }
    this.form.fill();
    if ("picture" in changes) this.fitBoxes();
    clearTimeout(this.rest);
    this.resting = true;
    this.rest = setTimeout(() => this.settle(), done ? 0 : REST);
    if (!done) this.run(true);
  }

  /** After a change the whole is computed, and the address says it. */
  settle() {
    this.resting = false;
    // A preview of a small picture was the whole already.
    if (this.running || this.whole !== this.asking) this.run(false);
    if (lessonOfAddress(this.host.bar.read())) this.write(false);
  }

  /** Another picture may be smaller than what the boxes were drawn on. */
  async fitBoxes() {
    const changes = await this.boxesWithin();
    if (Object.keys(changes).length) this.change(changes, true);
  }

  async boxesWithin() {
    try {
      const { height, width } = await this.photo(this.value("picture"));
      return this.boxes.fitted([height, width], (name) => this.value(name));
    } catch {
      // What is wrong with the picture is said by the run itself.
      return {};
    }
  }

  pictures() {
    const { start, photos } = this.session;
    return [...start.samples.map((name) => ({ value: `sample:${name}`, name })), ...[...photos.values()].map(({ id, name }) => ({ value: id, name }))];
  }

  async upload(file) {
    try {
      return await this.session.upload(file);
    } catch (error) {
      this.complain(Object.assign(error, { control: "picture" }));
      throw error;
    }
  }

  /** A photo dropped or pasted. */
  async receive(file) {
    if (!file || !this.control("picture")) return;
    const changes = { picture: await this.upload(file) };
    this.change(this.control("source") ? { source: "photo", ...changes } : changes, true);
  }

  /** Size and picture of what a picture control stands on. */
  async photo(value) {
    if (!this.seen.has(value)) {
      const { api, samples, photos } = this.session;
      const found = (async () => {
        const id = await this.session.photoId(value);
        const told = photos.get(id) ?? (await samples.get(value));
        const bitmap = await createImageBitmap(await api.blob(`/api/photos/${id}`));
        return { bitmap, width: told?.width ?? bitmap.width, height: told?.height ?? bitmap.height };
      })();
      found.catch(() => this.seen.delete(value));
      this.seen.set(value, found);
    }
    return this.seen.get(value);
  }

  stepped(step, settled) {
    this.wish.step = step;
    clearTimeout(this.stepTimer);
    if (settled) this.stepTimer = setTimeout(() => lessonOfAddress(this.host.bar.read()) && this.write(false), 250);
  }

  /** What the controls stand on, for the server. */
  get asked() {
    return Object.fromEntries(Object.entries(this.wish.values).map(([name, value]) => [name, this.control(name).kind === "switch" ? String(value) === "true" : value]));
  }

  /** Which numbers are asked for, as text. */
  get asking() {
    return JSON.stringify([this.lesson.name, this.asked]);
  }

  async ask(task, more) {
    return this.session.api.post(`/api/lessons/${this.lesson.name}/${task}`, { values: this.asked, ...more });
  }

  async file(what) {
    const body = { values: this.asked, what, language: this.language, per_second: this.player.speed };
    const answer = await this.session.api.send(`/api/lessons/${this.lesson.name}/file`, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? `lesson.${what}`;
    return { name, blob: await answer.blob() };
  }

  /** Has the lesson computed; one run at a time, and of those that wait only the newest. A drag waits for no whole. */
  async run(preview) {
    this.wanted = { preview };
    if (preview) this.thorough?.abort();
    if (this.running) return this.running;
    this.running = this.pump();
    try {
      await this.running;
    } finally {
      this.running = null;
    }
    return undefined;
  }

  async pump() {
    const late = setTimeout(() => (this.busy.textContent = said(this.language, "working")), 300);
    this.dataset.ready = "";
    while (this.wanted) {
      const { preview } = this.wanted;
      this.wanted = null;
      const { lesson } = this;
      const values = this.asked;
      const body = JSON.stringify({ values, preview, known: this.sent.ids });
      this.thorough = preview ? null : new AbortController();
      try {
        const answer = await this.session.api.send(`/api/lessons/${lesson.name}`, { method: "POST", body, signal: this.thorough?.signal, headers: { "Content-Type": "application/json" } });
        const found = decodeAnswer(await answer.arrayBuffer(), this.sent);
        if (lesson !== this.lesson) continue;
        this.whole = found.preview ? "" : JSON.stringify([lesson.name, values]);
        this.show(found);
        if (this.fell.length) this.form.explain(this.fell);
        this.fell = [];
      } catch (error) {
        this.whole = "";
        if (lesson !== this.lesson || error.name === "AbortError") continue;
        if (this.answer?.lesson === lesson.name || !(await this.fallBack(error))) this.complain(error);
      }
    }
    clearTimeout(late);
    this.busy.textContent = "";
    this.dataset.ready = "true";
  }

  /** Whether nothing more is on its way that was asked for. */
  get isIdle() {
    return !this.running && !this.wanted && !this.resting && !this.boxes?.busy;
  }

  /**
   * Where an address asks for what cannot be and nothing of the lesson is shown yet: without what is wrong. That
   * is said beside the control all the same.
   */
  async fallBack(error) {
    const { values } = this.wish;
    const control = this.control(error.control);
    if (!control) return false;
    const asked = JSON.stringify(values);
    if (control.name in values) delete values[control.name];
    else if (control.kind === "box") Object.assign(values, await this.boxesWithin());
    if (JSON.stringify(values) === asked) this.wish.values = {};
    if (JSON.stringify(this.wish.values) === asked) return false;
    this.fell.push(error);
    this.form.fill();
    this.wanted ??= { preview: false };
    return true;
  }

  complain(error) {
    const beside = this.form.complain(error);
    this.trouble.hidden = beside;
    if (!beside) fill(this.trouble, this.form.sentence(error));
    this.frame.classList.add("stale");
    this.dataset.failed = "true";
  }

  show(answer) {
    this.answer = answer;
    this.form.clear();
    this.trouble.hidden = true;
    this.frame.classList.remove("stale");
    delete this.dataset.failed;
    fill(this.sentences, ...answer.sentences[this.language].map((sentence) => element("p", {}, sentence)));
    this.player.node.hidden = !answer.player;
    if (answer.player) this.player.show(answer.player, answer.maps.input?.role === "rgb");
    this.boxes.strip(answer);
    this.stage.show(answer);
    this.boxes.show(answer, this.stage, this.player);
    this.exports.show(Boolean(answer.player));
    this.dataset.preview = String(answer.preview);
    this.dataset.shown = `${answer.lesson} ${JSON.stringify(answer.values)}`;
  }
}

// Starts the viewer on the live server, with its state in the page's own address.

import { Api, ApiError, takeToken } from "./api.js";
import { ConvscopeViewer } from "./app.js";
import { Desk } from "./desk.js";
import { element, fill } from "./dom.js";
import { lessonOfAddress } from "./lessonaddress.js";
import { rememberedLanguage, said } from "./lessonwords.js";
import { Session } from "./session.js";
import { HashAddress } from "./state.js";
import { errorText } from "./trouble.js";

const PAGE_WORDS = {
  model: "convscope serve resnet18",
  photo: "convscope serve MODEL photo.jpg",
  again: "Reload the page to begin again.",
  stays: "It stays on this machine.",
  own: "A class or a weights file of your own is named when the server is started: convscope serve net.py:Class.",
};

/** @typedef {import("./lessons.js").ConvscopeLessons} Lessons */

/** The two tabs: a network on a photo, and the lessons. What each showed last is where its tab leads. */
class Tabs {
  /**
   * @param {Desk} desk
   * @param {() => Promise<Lessons>} fetchLessons their modules are not needed for a network's first sight
   * @param {HashAddress} bar
   */
  constructor(desk, fetchLessons, bar) {
    this.desk = desk;
    this.fetchLessons = fetchLessons;
    /** @type {Lessons|null} */
    this.lessons = null;
    /** @type {Promise<Lessons>|undefined} */
    this.coming = undefined;
    this.bar = bar;
    this.kept = { network: "", lessons: "" };
  }

  get atLessons() {
    return lessonOfAddress(this.bar.read()) !== null;
  }

  /** @param {string} [language] of the words */
  node(language = "en") {
    const link = (tab) => element("a", {
      href: "#", data: { tab }, "aria-current": (tab === "lessons") === this.atLessons ? "page" : null,
      on: { click: (event) => this.turn(event, tab) },
    }, said(language, tab));
    return element("nav", { class: "tabs", "aria-label": "convscope" }, link("network"), link("lessons"));
  }

  turn(event, tab) {
    event.preventDefault();
    if ((tab === "lessons") === this.atLessons) return;
    if (this.atLessons) this.kept.lessons = this.lessons?.written ?? "";
    else if (this.desk.viewer) this.kept.network = this.desk.written;
    const { theme } = Object.fromEntries(new URLSearchParams(this.bar.read().replace(/^#/, "")));
    const fields = new URLSearchParams(this.kept[tab] || (tab === "lessons" ? `lesson=steps&lang=${rememberedLanguage()}` : ""));
    fields.delete("theme");
    if (theme) fields.set("theme", theme);
    this.bar.write(fields.toString(), true);
  }

  async follow() {
    const { desk } = this;
    document.body.dataset.tab = this.atLessons ? "lessons" : "network";
    if (this.lessons) this.lessons.hidden = !this.atLessons;
    if (this.atLessons) return this.followLessons();
    speaks("en");
    if (desk.viewer) {
      desk.host.themed(desk.viewer.dataset.theme);
      desk.host.titled(desk.viewerTitle);
    }
    return desk.follow();
  }

  async followLessons() {
    this.coming ??= this.fetchLessons();
    try {
      this.lessons = await this.coming;
    } catch {
      this.coming = undefined;
      const gone = new ApiError(0, { code: "gone", message: "the lessons could not be fetched", hint: "Is convscope serve still running?" });
      if (!this.desk.viewer) throw gone;
      this.bar.write(this.kept.network, false);
      document.body.dataset.tab = "network";
      this.desk.status.error(gone);
      return undefined;
    }
    this.lessons.hidden = !this.atLessons;
    return this.atLessons ? this.lessons.follow() : undefined;
  }
}

/** Says the page's language; said again, it would have every element's style worked out anew. */
function speaks(language) {
  if (document.documentElement.lang !== language) document.documentElement.lang = language;
}

/** @param {Desk} desk @param {Tabs} tabs */
function listen(desk, tabs) {
  const receive = (file) => (tabs.atLessons ? tabs.lessons?.receive(file) : desk.receive(file));
  addEventListener("hashchange", () => tabs.follow());
  addEventListener("keydown", (event) => {
    if (event.target === document.body && !tabs.atLessons) desk.viewer?.key(event);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => !event.relatedTarget && document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    receive(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) receive(file);
  });
}

async function begin() {
  customElements.define("convscope-viewer", ConvscopeViewer);
  const api = new Api(takeToken());
  try {
    const [start, style] = await Promise.all([api.json("/api/start"), fetch("/viewer/style.css").then((answer) => answer.text())]);
    const bar = new HashAddress();
    const session = new Session(api, start);
    const page = {
      bar, themed: (ground) => (document.documentElement.dataset.theme = ground), titled: (title) => (document.title = title),
      link: (written) => `${location.origin}${location.pathname}#token=${encodeURIComponent(api.token)}&${written}`,
    };
    const desk = new Desk(session, style, { ...page, tag: "convscope-viewer", place: document.body, dark: undefined, words: PAGE_WORDS, tabs: () => tabs.node() });
    const tabs = new Tabs(desk, async () => {
      const { ConvscopeLessons } = await import("./lessons.js");
      customElements.define("convscope-lessons", ConvscopeLessons);
      const lessons = /** @type {Lessons} */ (document.createElement("convscope-lessons"));
      lessons.start(session, style, { ...page, tabs: (language) => tabs.node(language), spoken: (language) => speaks(language === "zh" ? "zh-Hans" : "en") });
      document.body.append(lessons);
      Object.assign(globalThis, { lessons });
      return lessons;
    }, bar);
    Object.assign(globalThis, { desk });
    listen(desk, tabs);
    await tabs.follow();
  } catch (error) {
    fill(document.body, element("p", { class: "plain", role: "alert" }, errorText(error)));
  }
}

begin();

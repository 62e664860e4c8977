// Starts the viewer on the live server, with its state in the page's own address.

import { Api, takeToken } from "./api.js";
import { ConvscopeViewer } from "./app.js";
import { Desk } from "./desk.js";
import { element, fill } from "./dom.js";
import { lessonOfAddress } from "./lessonaddress.js";
import { ConvscopeLessons } from "./lessons.js";
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

/** The two tabs: a network on a photo, and the lessons. What each showed last is where its tab leads. */
class Tabs {
  /** @param {Desk} desk @param {ConvscopeLessons} lessons @param {HashAddress} bar */
  constructor(desk, lessons, bar) {
    this.desk = desk;
    this.lessons = lessons;
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
    if (this.atLessons) this.kept.lessons = this.lessons.written;
    else if (this.desk.viewer) this.kept.network = this.desk.written;
    const { theme } = Object.fromEntries(new URLSearchParams(this.bar.read().replace(/^#/, "")));
    const fields = new URLSearchParams(this.kept[tab] || (tab === "lessons" ? `lesson=steps&lang=${rememberedLanguage()}` : ""));
    fields.delete("theme");
    if (theme) fields.set("theme", theme);
    this.bar.write(fields.toString(), true);
  }

  async follow() {
    const { desk, lessons } = this;
    lessons.hidden = !this.atLessons;
    document.body.dataset.tab = this.atLessons ? "lessons" : "network";
    if (this.atLessons) return lessons.follow();
    speaks("en");
    if (desk.viewer) {
      desk.host.themed(desk.viewer.dataset.theme);
      desk.host.titled(desk.viewerTitle);
    }
    return desk.follow();
  }
}

/** Says the page's language; said again, it would have every element's style worked out anew. */
function speaks(language) {
  if (document.documentElement.lang !== language) document.documentElement.lang = language;
}

/** @param {Desk} desk @param {ConvscopeLessons} lessons @param {Tabs} tabs */
function listen(desk, lessons, tabs) {
  const receive = (file) => (tabs.atLessons ? lessons.receive(file) : desk.receive(file));
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
  customElements.define("convscope-lessons", ConvscopeLessons);
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
    const lessons = /** @type {ConvscopeLessons} */ (document.createElement("convscope-lessons"));
    const tabs = new Tabs(desk, lessons, bar);
    lessons.start(session, style, { ...page, tabs: (language) => tabs.node(language), spoken: (language) => speaks(language === "zh" ? "zh-Hans" : "en") });
    document.body.append(lessons);
    Object.assign(globalThis, { desk, lessons });
    listen(desk, lessons, tabs);
    await tabs.follow();
  } catch (error) {
    fill(document.body, element("p", { class: "plain", role: "alert" }, errorText(error)));
  }
}

begin();

// Starts the viewer on the live server, with its state in the page's own address.

import { Api, takeToken } from "./api.js";
import { ConvscopeViewer } from "./app.js";
import { Desk } from "./desk.js";
import { element, fill } from "./dom.js";
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

function listen(desk) {
  addEventListener("hashchange", () => desk.follow());
  addEventListener("keydown", (event) => {
    if (event.target === document.body) desk.viewer?.key(event);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => !event.relatedTarget && document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    desk.receive(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) desk.receive(file);
  });
}

async function begin() {
  customElements.define("convscope-viewer", ConvscopeViewer);
  const api = new Api(takeToken());
  try {
    const [start, style] = await Promise.all([api.json("/api/start"), fetch("/viewer/style.css").then((answer) => answer.text())]);
    const desk = new Desk(new Session(api, start), style, {
      bar: new HashAddress(), tag: "convscope-viewer", place: document.body, dark: undefined, words: PAGE_WORDS,
      themed: (ground) => (document.documentElement.dataset.theme = ground),
      titled: (title) => (document.title = title),
      link: (written) => `${location.origin}${location.pathname}#token=${encodeURIComponent(api.token)}&${written}`,
    });
    /** @type {any} */ (globalThis).desk = desk;
    listen(desk);
    await desk.follow();
  } catch (error) {
    fill(document.body, element("p", { class: "plain", role: "alert" }, errorText(error)));
  }
}

begin();

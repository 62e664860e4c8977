// Starts the viewer in a notebook: the kernel is its server, its address is kept in memory.

import { ConvscopeViewer } from "./app.js";
import { Desk } from "./desk.js";
import { element, fill } from "./dom.js";
import { KernelApi } from "./kernel.js";
import { MemoryAddress } from "./memoryaddress.js";
import { Session } from "./session.js";
import { errorText } from "./trouble.js";

const HOST_WORDS = {
  model: "convscope.show(\"resnet18\", photo)",
  photo: "convscope.show(model, \"photo.jpg\")",
  again: "Run the cell again to begin anew.",
  stays: "It goes to this notebook's kernel alone.",
  own: "A model of your own is shown by convscope.show(model, photo).",
};

/** Whether the notebook is dark; where it does not say, whether the system is. */
class NotebookGround extends EventTarget {
  constructor() {
    super();
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.tell = () => this.dispatchEvent(new Event("change"));
    this.system.addEventListener("change", this.tell);
    this.watch = new MutationObserver(this.tell);
    this.watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  }

  get matches() {
    const { dataset, classList } = document.body;
    if (dataset.jpThemeLight) return dataset.jpThemeLight === "false";
    if (classList.contains("vscode-light")) return false;
    if (classList.contains("vscode-dark") || classList.contains("vscode-high-contrast")) return true;
    return this.system.matches;
  }

  close() {
    this.system.removeEventListener("change", this.tell);
    this.watch.disconnect();
  }
}

/** A name of its own for each time this text is run: a notebook may run it again, and may run another version. */
function defined() {
  const tag = `convscope-viewer-${Math.random().toString(36).slice(2)}`;
  customElements.define(tag, ConvscopeViewer);
  return tag;
}

let viewerTag = "";

/** What a notebook calls for each view of the widget. @returns {() => void} called when the view is gone */
export function renderWidget({ model, el }, style) {
  viewerTag ||= defined();
  const outer = element("div", { class: "convscope" });
  el.append(outer);
  const root = outer.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style);
  root.adoptedStyleSheets = [sheet];
  const place = element("div", { class: "notebook", tabindex: -1 }, element("p", { class: "plain late" }, "Waiting for the kernel …"));
  place.style.blockSize = `${model.get("height")}px`;
  root.append(place);
  const ground = new NotebookGround();
  const themed = (name) => (outer.dataset.theme = name);
  themed(ground.matches ? "dark" : "light");
  // The notebook's own keys would cut and merge cells while a person walks the layers.
  outer.dataset.lmSuppressShortcuts = "true";
  outer.addEventListener("keydown", (event) => event.stopPropagation());
  let desk = null;
  place.addEventListener("keydown", (event) => event.target === place && desk?.viewer?.key(event));
  let said = false;
  const api = new KernelApi(model, (silent) => {
    if (silent && desk?.status.node.hidden) desk.status.say("The kernel does not answer yet. If it is not busy with a cell, run this cell again.");
    else if (said && !silent) desk.status.clear();
    else return;
    said = silent;
  });
  const begin = async () => {
    try {
      const start = await api.json("/api/start");
      fill(place);
      desk = new Desk(new Session(api, start), style, {
        bar: new MemoryAddress(() => desk.follow()), tag: viewerTag, place, themed, titled: (title) => place.setAttribute("aria-label", title), link: null, dark: ground, words: HOST_WORDS,
      });
      if (start.versus) desk.host.bar.write(new URLSearchParams({ versus: new URLSearchParams(start.versus).toString() }).toString(), false);
      /** @type {any} */ (place).desk = desk;
      await desk.follow();
    } catch (error) {
      if (error.name !== "AbortError") fill(place, element("p", { class: "plain", role: "alert" }, errorText(error)));
    }
  };
  receiveFiles(place, () => desk);
  begin();
  return () => {
    api.close();
    ground.close();
    outer.remove();
  };
}

/** Photos dropped on the widget, or pasted while it has the focus. */
function receiveFiles(place, desk) {
  const dropping = (on) => place.classList.toggle("dropping", on);
  place.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    dropping(true);
  });
  place.addEventListener("dragleave", (event) => !place.contains(event.relatedTarget) && dropping(false));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    dropping(false);
    desk()?.receive(event.dataTransfer.files[0]);
  });
  place.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file) return;
    event.stopPropagation();
    desk()?.receive(file);
  });
}

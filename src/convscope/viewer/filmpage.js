// Starts the film in a file of its own: frames and style are in the page itself.

import { element } from "./dom.js";
import { FilmView, filmKeys } from "./film.js";
import { InlineFilm } from "./filmsource.js";

const FILM_THEMES = ["auto", "light", "dark"];

export class ConvscopeFilm extends HTMLElement {
  /** @param {string} style text of the style sheet */
  async start(style) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.view = new FilmView(new InlineFilm(document), () => (this.isDark() ? "night" : "paper"));
    const wished = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    this.theme = FILM_THEMES.includes(wished.theme) ? wished.theme : "auto";
    this.button = element("button", { type: "button", class: "quiet theme", on: { click: () => this.nextTheme() } }, element("i", {}));
    this.heading = element("h1", {});
    this.frame = element("div", { class: "film-page" }, element("header", { class: "bar" }, this.heading, filmKeys(), this.button), this.view.node);
    root.append(this.frame);
    this.paint();
    await this.view.start(wished);
    this.heading.textContent = this.view.film.title;
    // While it plays, more often than browsers allow.
    this.view.addEventListener("change", () => this.view.timer === null && this.write());
    this.dark.addEventListener("change", () => this.paint(true));
    addEventListener("hashchange", () => {
      this.view.take(Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
      this.view.draw();
    });
    addEventListener("keydown", (event) => this.key(event));
    this.dataset.ready = "true";
  }

  isDark() {
    return this.theme === "auto" ? this.dark.matches : this.theme === "dark";
  }

  nextTheme() {
    this.theme = FILM_THEMES[(FILM_THEMES.indexOf(this.theme) + 1) % FILM_THEMES.length];
    this.paint(true);
    this.write();
  }

  /** @param {boolean} [again] */
  paint(again = false) {
    this.dataset.theme = this.isDark() ? "dark" : "light";
    document.documentElement.dataset.theme = this.dataset.theme;
    this.button.dataset.theme = this.theme;
    this.button.title = `colours: ${this.theme} (t)`;
    this.button.setAttribute("aria-label", this.button.title);
    if (again) this.view.draw();
  }

  write() {
    const fields = new URLSearchParams(this.view.chosen);
    if (this.theme !== "auto") fields.set("theme", this.theme);
    try {
      history.replaceState(null, "", `#${fields}`);
    } catch {
      // Too many in a short time, or a page that has no address of its own: the film goes on.
    }
  }

  key(event) {
    const inside = this.shadowRoot.activeElement;
    // A list, and a button under the space bar, have their own use for these keys.
    if (inside?.matches("select") || (event.key === " " && inside?.matches("button"))) return;
    if (inside?.closest("[role=radiogroup]") && event.key.startsWith("Arrow")) return;
    if (event.key === "t" && !event.ctrlKey && !event.metaKey && !event.altKey) this.nextTheme();
    else if (!this.view.key(event)) return;
    event.preventDefault();
  }
}

customElements.define("convscope-film", ConvscopeFilm);
const convscopeFilm = /** @type {ConvscopeFilm} */ (document.querySelector("convscope-film"));
convscopeFilm.start(document.querySelector("style").textContent);

// The film of a run beside its network: a button in the bar opens it over the page.

import { element, fill } from "./dom.js";
import { FilmView, filmKeys } from "./film.js";
import { errorText } from "./trouble.js";

/** @param {import("./filmsource.js").FilmSource} source of the training of the network that is looked at */
export function fitFilm(context, viewer, source) {
  const view = new FilmView(source, context.ground);
  const close = element("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Close");
  let heading;
  const dialog = element("dialog", { class: "film-sheet", "aria-label": "film of the training" },
    element("header", {}, (heading = element("h2", {}, "Training")), filmKeys(), close), view.node);
  dialog.addEventListener("keydown", (event) => {
    const inside = viewer.root.activeElement;
    const own = inside?.matches("select") || (event.key === " " && inside?.matches("button")) || (inside?.closest("[role=radiogroup]") && event.key.startsWith("Arrow"));
    if (!own && view.film && view.key(event)) event.preventDefault();
    if (event.key !== "Escape") event.stopPropagation();
  });
  dialog.addEventListener("close", () => view.film && view.play(false));
  const open = async () => {
    if (dialog.open) return;
    dialog.showModal();
    view.started ??= view.start();
    try {
      await view.started;
    } catch (cause) {
      view.started = undefined;
      fill(view.node, element("p", { class: "warning", role: "alert" }, errorText(cause)));
      return;
    }
    heading.textContent = `Training: ${view.film.title}`;
    // Otherwise the space bar would press Close.
    view.slider.focus();
    view.draw();
  };
  const button = element("button", { type: "button", class: "quiet training", title: "filters forming, step by step (f)", on: { click: open } }, "Training");
  viewer.themeButton.before(button);
  viewer.frame.append(dialog);
  viewer.film = view;
  context.keys.push({ keys: "f", press: "f", text: "the film of the training", run: open });
  viewer.addEventListener("theme", () => view.film && view.draw());
}

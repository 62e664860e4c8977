// The film of a run in the report of its network: a button in the bar opens it over the page.

import { element } from "./dom.js";
import { FilmView } from "./film.js";
import { InlineFilm } from "./filmsource.js";

/** Adds the film where the page holds one. */
export function fitFilm(context, viewer) {
  if (!document.getElementById("convscope-film")?.textContent) return;
  const view = new FilmView(new InlineFilm(document), context.ground);
  const close = element("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Close");
  let heading;
  const dialog = element("dialog", { class: "film-sheet", "aria-label": "film of the training" },
    element("header", {}, (heading = element("h2", {}, "Training")), close), view.node);
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
    await (view.started ??= view.start());
    heading.textContent = `Training: ${view.film.title}`;
    view.draw();
  };
  const button = element("button", { type: "button", class: "quiet training", title: "filters forming, step by step (f)", on: { click: open } }, "Training");
  viewer.themeButton.before(button);
  viewer.frame.append(dialog);
  viewer.film = view;
  context.keys.push({ keys: "f", press: "f", text: "the film of the training", run: open });
  viewer.addEventListener("theme", () => view.film && view.draw());
}

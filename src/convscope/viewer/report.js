// Starts the viewer in a report: the scene and the style are in the page itself.

import { ConvscopeViewer } from "./app.js";
import { fitFilm } from "./filmfitting.js";
import { InlineFilm } from "./filmsource.js";
import { MemoryAddress } from "./memoryaddress.js";
import { fitProof } from "./proving.js";
import { InlineSource } from "./source.js";
import { HashAddress } from "./state.js";

customElements.define("convscope-viewer", ConvscopeViewer);
const viewer = /** @type {ConvscopeViewer} */ (document.querySelector("convscope-viewer"));
viewer.addEventListener("theme", () => (document.documentElement.dataset.theme = viewer.dataset.theme));
const film = new InlineFilm(document);
const fittings = film.exists ? [fitProof, (context, within) => fitFilm(context, within, film)] : [fitProof];
// Inside another page the address is that page's.
const address = location.protocol === "about:" ? new MemoryAddress(() => viewer.state.reread()) : new HashAddress();
viewer.start(new InlineSource(document), address, document.querySelector("style").textContent, fittings);
addEventListener("hashchange", () => viewer.state.reread());
addEventListener("keydown", (event) => {
  if (event.target === document.body) viewer.key(event);
});

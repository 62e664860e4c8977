// The keys, and what the colours and words mean.

import { element } from "./dom.js";

export const KEYS = [
  ["/", "find a layer"],
  ["↑ ↓", "previous, next row of the network"],
  ["j k", "next, previous layer, folded or not"],
  ["→ ←", "unfold, fold a group"],
  ["Enter", "from a row to its channels"],
  ["[ ]", "previous, next channel"],
  ["c", "to the channel's map; arrows then walk its cells"],
  ["r", "range of the colours: channel, layer, net"],
  ["s", "order of the channels"],
  ["t", "light, dark, as the system"],
  ["?", "this sheet"],
  ["Escape", "close, or back to the network"],
];

const MEANINGS = [
  ["Zero", "is always the neutral colour. Red is above zero, blue below; values of one sign run from neutral to the end colour."],
  ["Range", "says which value has the end colour: the largest of the channel, of the layer or of the net. The legend shows it."],
  ["≈", "marks a value read from a map, which is kept in few bits: right to about a hundredth of the channel's largest value. Statistics and peaks are exact."],
  ["Silent", "means all zero on this image. Another image may wake the channel."],
  ["Receptive field", "is the part of the input a cell can see at all, drawn on the photo in yellow. The dimmed part of the photo was never seen by the model."],
];

/** @param {{keys: string, text: string}[]} further keys of the host */
export function helpSheet(further = []) {
  const list = (pairs, tag) => element("dl", { class: tag }, ...pairs.flatMap(([term, text]) => [
    element("dt", {}, ...(tag === "keys" ? term.split(" ").map((key) => element("kbd", {}, key)) : [term])), element("dd", {}, text)]));
  const dialog = element("dialog", { class: "help", "aria-label": "help" },
    element("form", { method: "dialog" }, element("button", { "aria-label": "close help" }, "Close")),
    element("h2", {}, "Keys"), list([...KEYS.slice(0, -2), ...further.map(({ keys, text }) => [keys, text]), ...KEYS.slice(-2)], "keys"), element("h2", {}, "What is shown"), list(MEANINGS, "meanings"));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

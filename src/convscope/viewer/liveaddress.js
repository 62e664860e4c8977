// What a live page keeps in its address: which photo and model are looked at, what is switched off, and after that
// what the viewer keeps there.

/**
 * @typedef {{node: string, channels: number[]|null, factor: number}} NamedEdit an edit by the layer's name
 * @typedef {{model: string, weights: string, photo: string, edits: NamedEdit[], versus: string}} Wish
 */

const OWN = ["model", "weights", "photo", "edit", "versus"];

/** "blocks.1.conv:3.17:0" for channels 3 and 17 of a layer times 0; "all" for a whole layer. */
export function editText({ node, channels, factor }) {
  return `${node}:${channels ? channels.join(".") : "all"}:${factor}`;
}

/** @returns {NamedEdit|null} */
export function editOfText(text) {
  const [, node, list, number] = /^(.+):(all|[\d.]+):(-?[\d.eE+-]+)$/.exec(text) ?? [];
  const factor = Number(number);
  if (!node || !Number.isFinite(factor)) return null;
  return { node, factor, channels: list === "all" ? null : list.split(".").map(Number) };
}

export class LiveAddress {
  /**
   * @param {Wish} wish what is looked at now
   * @param {import("./desk.js").Host["bar"]} bar
   */
  constructor(wish, bar) {
    this.wish = wish;
    this.bar = bar;
  }

  /** What the address asks for, on top of what is shown by default. @returns {Wish} */
  static wished(text, standard) {
    const fields = new URLSearchParams(text.replace(/^#/, ""));
    return {
      model: fields.get("model") ?? standard.model,
      weights: fields.get("weights") === "none" ? "none" : "default",
      photo: fields.get("photo") ?? standard.photo,
      edits: fields.getAll("edit").map(editOfText).filter(Boolean),
      versus: fields.get("versus") ?? "",
    };
  }

  read() {
    const fields = new URLSearchParams(this.bar.read().replace(/^#/, ""));
    for (const name of OWN) fields.delete(name);
    return fields.toString();
  }

  /** The whole fragment for `wish` and the viewer's own part. */
  static whole({ model, weights, photo, edits, versus }, text) {
    const fields = new URLSearchParams({ model, photo });
    if (weights !== "default") fields.set("weights", weights);
    for (const edit of edits) fields.append("edit", editText(edit));
    if (versus) fields.set("versus", versus);
    return [fields.toString(), text].filter(Boolean).join("&");
  }

  /** A second look as text; empty fields are as in the first. */
  static secondText({ model, weights, photo, edits }) {
    return LiveAddress.whole({ model, weights, photo, edits, versus: "" }, "");
  }

  /** @returns {Wish|null} */
  static second(text) {
    const fields = new URLSearchParams(text);
    if (!fields.get("model") || !fields.get("photo")) return null;
    return {
      model: fields.get("model"), photo: fields.get("photo"), weights: fields.get("weights") === "none" ? "none" : "default",
      edits: fields.getAll("edit").map(editOfText).filter(Boolean), versus: "",
    };
  }

  write(text, step) {
    this.bar.write(LiveAddress.whole(this.wish, text), step);
  }

  back() {
    this.bar.back();
  }
}

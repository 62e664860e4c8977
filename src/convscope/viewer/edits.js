// Switches channels and layers off, or scales them: what is changed, and the answers before and after.

import { element, fill } from "./dom.js";
import { grouped, plainNumber } from "./format.js";

const CHANNELS_LISTED = 6;

/** Probabilities in double precision: by softmax, or as the network gave them. @param {string} [scores] what they are */
export function probabilities(logits, scores = "logits") {
  if (scores !== "logits") return Float64Array.from(logits);
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const parts = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

/**
 * A list of edits with one more: channels of one layer and factor stand together, each channel has one factor.
 * @param {import("./liveaddress.js").NamedEdit[]} edits
 * @param {import("./liveaddress.js").NamedEdit} wanted factor 1 takes an edit away
 */
export function edited(edits, { node, channels, factor }) {
  const kept = edits.flatMap((edit) => {
    if (edit.node !== node || Boolean(edit.channels) !== Boolean(channels)) return [edit];
    if (!channels) return [];
    const left = edit.channels.filter((channel) => !channels.includes(channel));
    return left.length ? [{ ...edit, channels: left }] : [];
  });
  if (factor === 1) return kept;
  const same = channels && kept.find((edit) => edit.node === node && edit.channels && edit.factor === factor);
  if (!same) return [...kept, { node, channels, factor }];
  const all = [...same.channels, ...channels].sort((a, b) => a - b);
  return kept.map((edit) => (edit === same ? { ...same, channels: all } : edit));
}

export class EditPanel {
  /** @param {import("./desk.js").Desk} desk @param {import("./session.js").Look} look */
  constructor(desk, look, context) {
    this.desk = desk;
    this.look = look;
    this.context = context;
    this.channelButton = element("button", { type: "button", class: "quiet switch", data: { key: "switch-channel" }, on: { click: () => this.toggle() } });
    this.layerButton = element("button", { type: "button", class: "quiet switch", data: { key: "switch-layer" }, on: { click: () => this.toggle(true) } });
    this.node = element("section", { class: "edits", "aria-label": "what is switched off", hidden: !look.wish.edits.length });
    this.fillList();
    this.label();
    context.state.addEventListener("change", () => this.label());
    context.switched = (name, channel) => this.factor(name, channel);
    context.toggle = (channel) => this.toggle(false, channel);
    context.keys.push(
      { keys: "e", press: "e", text: "switch the channel off, or on again; so does Shift and a click on its tile", run: () => this.toggle() },
      { keys: "E", press: "E", text: "switch the whole layer off, or on again", run: () => this.toggle(true) },
      { keys: "u", press: "u", text: "undo the last switching", run: () => this.undo() },
    );
  }

  get edits() {
    return this.look.wish.edits;
  }

  /** What a channel (a whole layer, if none is named) is multiplied by; 1 where it is as it was. */
  factor(name, channel) {
    const found = this.edits.find((edit) => edit.node === name && (channel === undefined ? !edit.channels : edit.channels?.includes(channel)));
    return found ? found.factor : 1;
  }

  label() {
    const { state } = this.context;
    const { node, channel } = state;
    const off = (at) => this.factor(node.name, at) !== 1;
    this.channelButton.textContent = off(channel) ? "Switch on" : "Switch off";
    this.channelButton.title = "the channel's values times zero, and the forward pass from there on again (e)";
    this.layerButton.textContent = off(undefined) ? "switch the layer on" : "switch the layer off";
    this.layerButton.title = "all its values times zero (E)";
    this.layerButton.hidden = node.kind === "input" || node.view === "none";
  }

  toggle(whole = false, channel = this.context.state.channel) {
    const { node } = this.context.state;
    if (node.view === "none") return;
    const at = whole ? undefined : channel;
    const factor = this.factor(node.name, at) === 1 ? 0 : 1;
    this.change({ node: node.name, channels: whole ? null : [channel], factor });
  }

  change(edit) {
    this.put(edited(this.edits, edit));
  }

  put(edits) {
    this.desk.undone.push(this.edits);
    this.desk.go({ edits });
  }

  undo() {
    const edits = this.desk.undone.pop();
    if (edits) this.desk.go({ edits });
  }

  fillList() {
    if (!this.edits.length) return;
    const button = (text, title, key, run) => element("button", { type: "button", class: "quiet", title, data: { key }, on: { click: run } }, text);
    fill(this.node, element("h2", {}, this.edits.every(({ factor }) => factor === 0) ? "Switched off" : "Changed"),
      element("ul", {}, ...this.edits.map((edit, place) => this.line(edit, place))),
      element("p", { class: "line" }, button("Undo", "the last change (u)", "undo", () => this.undo()), button("All on again", "the network as it is", "all-on", () => this.put([]))));
  }

  line(edit, place) {
    const { node, channels, factor } = edit;
    const listed = channels?.slice(0, CHANNELS_LISTED).map(grouped).join(", ");
    const which = !channels ? "the whole layer" : `channel${channels.length > 1 ? "s" : ""} ${listed}${channels.length > CHANNELS_LISTED ? ` and ${channels.length - CHANNELS_LISTED} more` : ""}`;
    const times = element("input", {
      type: "number", step: "0.1", value: String(factor), "aria-label": `factor of ${which} of ${node}`, data: { key: `factor-${place}` },
      on: { change: () => Number.isFinite(times.valueAsNumber) && this.change({ ...edit, factor: times.valueAsNumber }) },
    });
    const found = this.context.scene.byName.get(node);
    return element("li", {},
      element("button", { type: "button", class: "link", on: { click: () => found && this.visit(found, channels) } }, node),
      element("span", { class: "which" }, which), element("label", {}, "×", times),
      element("button", { type: "button", class: "quiet", "aria-label": `${which} of ${node} as it was`, title: "as it was", data: { key: `restore-${place}` }, on: { click: () => this.change({ ...edit, factor: 1 }) } }, "×"));
  }

  visit(node, channels) {
    this.context.state.fold(node.groups, true);
    this.context.state.look(node, channels?.[0]);
  }
}

/** The answers of a look beside those of the network as it is. */
export async function comparedAnswers(base, look, words = ["before", "after"]) {
  const [before, after] = await Promise.all([base, look].map(async ({ source }) => ({
    logits: (await source.first()).get("logits")?.data, answers: source.manifest.predictions, scores: source.manifest.scores_are,
  })));
  if (!before.logits || !after.logits) return null;
  const shares = [before, after].map(({ logits, scores }) => probabilities(logits, scores));
  const labels = new Map([...before.answers, ...after.answers].map(({ index, label }) => [index, label]));
  const order = [...new Set([...after.answers, ...before.answers].map(({ index }) => index))];
  const largest = Math.max(...order.flatMap((index) => shares.map((of) => of[index]))) || 1;
  const list = element("ol", { class: "compared" });
  for (const index of order) {
    const [old, now] = shares.map((of) => of[index]);
    const bars = [old, now].map((share, place) => {
      const bar = element("i", { class: place ? "bar" : "bar old" });
      bar.style.inlineSize = `${(100 * share) / largest}%`;
      return bar;
    });
    const [from, to] = [before, after].map(({ logits }) => plainNumber(logits[index], 5));
    list.append(element("li", { title: `class ${index}, logit ${from} → ${to}`, data: { index, before: String(old), after: String(now) } },
      element("span", { class: "label" }, labels.get(index)), element("span", { class: "value" }, `${shareText(old)} → ${shareText(now)}`),
      element("span", { class: "track", "aria-hidden": "true" }, ...bars)));
  }
  const [first, second] = [before, after].map(({ answers }) => answers[0]);
  const same = first?.index === second?.index;
  const shown = words[0] === "B"
    ? same ? "Both have the same first answer." : `The first answer of B is ${first?.label}, that of A ${second?.label}.`
    : same ? "The first answer stays the same." : `The first answer was ${first?.label}; it is ${second?.label}.`;
  return [element("h2", {}, "Answers ", element("span", { class: "dim" }, words.join(" → "))), list, element("p", { class: "dim" }, shown)];
}

function shareText(share) {
  return share < 0.00005 ? "~0" : share.toFixed(share < 0.01 ? 4 : 2);
}

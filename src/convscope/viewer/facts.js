// What the model answered, and what a person must know of model and image before believing it.

import { element } from "./dom.js";
import { compact, grouped, plainNumber } from "./format.js";

/** The top answers with bars. */
export function answersPanel(scene) {
  const { predictions, softmax_of: classes, scores_are: scores, model } = scene.manifest;
  const section = element("section", { class: "answers", "aria-label": "answers" }, element("h2", {}, "Answers"));
  if (model.random) section.append(element("p", { class: "warning" }, "Random weights: these answers mean nothing."));
  if (!predictions.length) {
    section.append(element("p", { class: "dim" }, classes
      ? "The scores are not finite numbers, so no class can be named."
      : "The output is not a list of classes, so there is no answer to show."));
    return section;
  }
  const list = element("ol", {});
  const largest = Math.max(...predictions.map((answer) => answer.probability ?? 0)) || 1;
  for (const { label, index, probability, logit } of predictions) {
    const bar = element("i", { class: "bar" });
    bar.style.inlineSize = `${(100 * (probability ?? 0)) / largest}%`;
    list.append(
      element(
        "li",
        { title: `class ${index}, logit ${plainNumber(logit)}` },
        element("span", { class: "label" }, label),
        element("span", { class: "value" }, probability === null ? "not a number" : probability.toFixed(probability < 0.01 ? 4 : 2)),
        element("span", { class: "track", "aria-hidden": "true" }, bar),
      ),
    );
  }
  section.append(list, element("p", { class: "dim" }, probabilityText(scores, classes)));
  return section;
}

/** Where the probabilities come from. @param {string|undefined} scores @param {number} classes */
function probabilityText(scores, classes) {
  if (scores === "sigmoid") return "Each class by itself: the network ends in a sigmoid.";
  if (scores === "softmax") return `The network's own softmax over ${grouped(classes)} classes.`;
  return `Probability by softmax over ${grouped(classes)} classes.`;
}

/** What was done to the photo, the model or the scene that a person must know. */
export function notesPanel(scene) {
  const { model, image, notes = [] } = scene.manifest;
  const all = [...(model.notes ?? []), ...(image.notes ?? []), ...notes];
  return all.length ? element("ul", { class: "notes", "aria-label": "notes" }, ...all.map((note) => element("li", {}, note))) : null;
}

/** Facts of model and image. */
export function factsPanel(scene) {
  const { model, image, made_with: made } = scene.manifest;
  const facts = [
    ["Model", `${model.name}${model.type && model.type !== model.name ? ` (${model.type})` : ""}`],
    ["Source", model.source],
    ["Weights", model.random ? "random" : model.weights],
    ["Parameters", grouped(model.parameters)],
    ["Multiply-adds", compact(model.multiply_adds)],
    ["Operations", grouped(scene.nodes.length)],
    ["Input", model.input.join(" × ")],
    ["Mean", numbers(model.mean)],
    ["Deviation", numbers(model.std)],
    ["Photo", `${image.name}, ${image.width} × ${image.height}`],
    ["Reference", model.reference],
    ["Made with", Object.entries(made ?? {}).map(([name, version]) => (name === "model_library" ? version : `${name} ${version}`)).join(", ")],
  ];
  const list = element("dl", {});
  for (const [name, value] of facts) if (value) list.append(element("dt", {}, name), element("dd", {}, value));
  return element("section", { class: "facts", "aria-label": "model and image" }, element("h2", {}, "Model and image"), list);
}

function numbers(values) {
  return values?.length ? values.map((value) => plainNumber(value, 3)).join(", ") : "";
}

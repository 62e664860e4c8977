// What can be changed in a lesson: one field for each control, with what is wrong with it beside it.

import { choiceBar } from "./choice.js";
import { element, fill } from "./dom.js";
import { typedBox } from "./lessonbox.js";
import { lessonErrorText } from "./lessonerrors.js";
import { said } from "./lessonwords.js";

/** Numbers with so many steps between their ends have a slider. */
const SLIDER_STEPS = 1000;
const PADDINGS = ["none", "same", "1", "2", "3"];

/**
 * @typedef {Object} ControlTold as the server tells it
 * @property {string} kind
 * @property {string} name
 * @property {Object<string, string>} label
 * @property {any} default
 * @property {Object<string, any[]>} when
 * @property {number} [low]
 * @property {number} [high]
 * @property {number} [step]
 * @property {boolean} [slider]
 * @property {Object<string, Object<string, string>>} [options]
 * @property {Object<string, {text: string, label: Object<string, string>}>} [named]
 * @property {string} [cut]
 * @property {boolean} [models]
 * @property {string} [of]
 * @property {number} [smallest]
 * @property {number} [largest]
 */

/**
 * @typedef {Object} FormContext
 * @property {() => string} language
 * @property {(name: string) => any} value what a control stands on
 * @property {(changes: Object<string, any>, done: boolean) => void} change
 * @property {() => {value: string, name: string}[]} pictures
 * @property {(file: File) => Promise<string>} upload
 */

export class LessonForm {
  /** @param {FormContext} context @param {ControlTold[]} controls */
  constructor(context, controls) {
    this.context = context;
    this.controls = controls;
    this.fields = new Map(controls.map((control) => [control.name, this.field(control)]));
    this.node = element("form", { class: "lessonform", on: { submit: (event) => event.preventDefault() } }, ...[...this.fields.values()].map(({ node }) => node));
    this.fill();
  }

  /** Shows what the controls stand on, but not over what is being typed. */
  fill() {
    const active = /** @type {Document|ShadowRoot} */ (this.node.getRootNode()).activeElement ?? null;
    for (const control of this.controls) {
      const field = this.fields.get(control.name);
      field.node.hidden = !this.matters(control);
      field.set(this.context.value(control.name), active);
    }
  }

  matters({ when }) {
    return Object.entries(when).every(([name, values]) => {
      const other = this.controls.find((control) => control.name === name);
      return values.includes(other.kind === "kernel" ? kernelKind(this.context.value(name), other) : this.context.value(name));
    });
  }

  /** Puts an error beside the control it names; whether there is one. */
  complain(error) {
    this.clear();
    const field = this.fields.get(error.control);
    if (!field) return false;
    // What nobody sees cannot be put right.
    field.node.hidden = false;
    fill(field.trouble, this.sentence(error));
    field.trouble.hidden = false;
    for (const input of field.node.querySelectorAll("input, select, textarea")) input.setAttribute("aria-invalid", "true");
    return true;
  }

  /** Says of values that an address asked for why the usual ones are shown instead. @param {any[]} errors */
  explain(errors) {
    this.clear();
    for (const error of errors) {
      const { trouble, node } = this.fields.get(error.control);
      node.hidden = trouble.hidden = false;
      fill(trouble, this.sentence(error), " ", said(this.context.language(), "usual"));
    }
  }

  /** What went wrong, in the page's language, controls called as they are here. */
  sentence(error) {
    const language = this.context.language();
    const names = Object.fromEntries(this.controls.map(({ kind, name, label }) => [name, kind === "box" ? label[language].split(/[:：]/)[0] : label[language]]));
    return lessonErrorText(error, language, names);
  }

  clear() {
    for (const { trouble, node } of this.fields.values()) {
      trouble.hidden = true;
      for (const input of node.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    }
  }

  field(control) {
    const trouble = element("p", { class: "warning", role: "alert", id: `trouble-${control.name}`, hidden: true });
    const made = (MAKERS[control.kind] ?? lineField)(control, this.context, control === this.controls.find(({ kind }) => kind === control.kind));
    for (const input of [made.node, ...made.node.querySelectorAll("*")]) if (input.matches("input, select, textarea")) input.setAttribute("aria-describedby", trouble.id);
    const label = control.label[this.context.language()];
    const node = made.group
      ? element("fieldset", { class: "control", data: { control: control.name } }, element("legend", {}, label), made.node, trouble)
      : element("div", { class: "control", data: { control: control.name } }, element("label", { for: `control-${control.name}` }, label), made.node, trouble);
    return { node, trouble, set: made.set };
  }
}

/** What a kernel control stands on: `named`, `cut`, `model` or `typed`. */
export function kernelKind(text, control) {
  const words = String(text).trim().split(/\s+/);
  if (control.named[words[0]] && words.length === 1) return "named";
  if (text === "cut" && control.cut) return "cut";
  return control.models && words.length === 3 && !/^[\d.+-]/.test(words[0]) && /^\d+$/.test(words[2]) ? "model" : "typed";
}

const MAKERS = { number: numberField, choice: choiceField, switch: switchField, matrix: matrixField, padding: paddingField, box: boxField, picture: pictureField, kernel: kernelField };

function inputOf(control, properties, run) {
  return element("input", { id: `control-${control.name}`, autocomplete: "off", spellcheck: "false", ...properties, on: { input: (event) => run(event.target.value, false), change: (event) => run(event.target.value, true) } });
}

function setter(input, shown = String) {
  return (value, active) => {
    if (input !== active) input.value = shown(value);
  };
}

function numberField(control, { change, language, value: current }) {
  const step = Number(control.step);
  const tell = (value, done) => {
    if (value !== "") change({ [control.name]: value }, done);
    else if (done) input.value = String(current(control.name));
  };
  const input = inputOf(control, { type: "number", min: control.low, max: control.high, step: "any", inputmode: "decimal" }, tell);
  input.step = String(Number.isInteger(step) ? step : "any");
  const slides = control.slider && (control.high - control.low) / step <= SLIDER_STEPS;
  const slider = slides ? element("input", { type: "range", min: control.low, max: control.high, step, "aria-label": control.label[language()], on: { input: () => tell(slider.value, false), change: () => tell(slider.value, true) } }) : null;
  return {
    node: element("div", { class: "numberfield" }, slider, input),
    set(value, active) {
      if (input !== active) input.value = value;
      if (slider && slider !== active) slider.value = value;
      if (slider && slider === active && Number(slider.value) !== Number(value)) slider.value = value;
    },
  };
}

function choiceField(control, { change, language }) {
  const options = Object.entries(control.options);
  if (options.length > 3 || options.some(([, text]) => text[language()].length > 18)) {
    const select = element("select", { id: `control-${control.name}`, on: { change: () => change({ [control.name]: select.value }, true) } }, ...options.map(([value, text]) => element("option", { value }, text[language()])));
    return { node: select, set: setter(select) };
  }
  const bar = choiceBar(control.label[language()], options.map(([value, text]) => [value, text[language()], text[language()]]), (value) => change({ [control.name]: value }, true));
  return { node: bar.node, group: true, set: (value) => bar.set(String(value)) };
}

function switchField(control, { change }) {
  const input = element("input", { type: "checkbox", id: `control-${control.name}`, on: { change: () => change({ [control.name]: input.checked }, true) } });
  return { node: input, set: (value) => (input.checked = value === true || value === "true") };
}

/** Rows as lines: `1 2; 3 4` as two of them. */
function lined(text) {
  return String(text).split("|").map((layer) => layer.split(";").map((row) => row.trim()).join("\n").trim()).join("\n|\n");
}

function unlined(text) {
  return text.split("|").map((layer) => layer.trim().split(/\s*\n\s*/).join("; ")).join(" | ");
}

function matrixArea(control, language, tell) {
  const area = element("textarea", { id: `control-${control.name}`, rows: 4, spellcheck: "false", autocapitalize: "off", wrap: "off", title: said(language, "rowsHint"), on: { input: () => tell(unlined(area.value), false), change: () => tell(unlined(area.value), true) } });
  return { area, set(value, active) {
    if (area === active) return;
    area.value = lined(value);
    area.rows = Math.min(12, Math.max(3, area.value.split("\n").length));
  } };
}

function matrixField(control, { change, language }) {
  const { area, set } = matrixArea(control, language(), (value, done) => change({ [control.name]: value }, done));
  return { node: area, set };
}

function lineField(control, { change }) {
  const input = inputOf(control, { type: "text" }, (value, done) => change({ [control.name]: value }, done));
  return { node: input, set: setter(input) };
}

function paddingField(control, { change, language, value: current }) {
  const list = element("datalist", { id: `list-${control.name}` }, ...PADDINGS.map((value) => element("option", { value }, value === "none" ? said(language(), "none") : value)));
  const input = inputOf(control, { type: "text", list: list.id }, (value, done) => {
    if (value) change({ [control.name]: value }, done);
    else if (done) input.value = String(current(control.name));
  });
  return { node: element("div", {}, input, list), set: setter(input) };
}

function boxField(control, { change, language }, first) {
  const names = ["top", "left", "rows", "columns"];
  const inputs = names.map((name, place) => element("input", {
    type: "number", min: place < 2 ? 0 : control.smallest, step: 1, inputmode: "numeric", id: place ? null : `control-${control.name}`, "aria-label": said(language(), name),
    on: { change: () => change({ [control.name]: inputs.map(({ value }) => value || "0").join(",") }, true) },
  }));
  const hint = element("p", { class: "dim hint", hidden: !first }, said(language(), "dragHint"));
  const node = element("div", {}, element("div", { class: "boxfield" }, ...names.map((name, place) => element("label", {}, element("span", {}, said(language(), name)), inputs[place]))), hint);
  return { node, group: true, set(value, active) {
    const box = typedBox(value);
    if (box) names.forEach((name, place) => inputs[place] !== active && (inputs[place].value = box[name]));
  } };
}

function pictureField(control, { change, pictures, upload, language }) {
  const select = element("select", { id: `control-${control.name}`, on: { change: () => change({ [control.name]: select.value }, true) } });
  const file = element("input", { type: "file", accept: "image/*", class: "unseen", on: { change: async () => {
    if (file.files[0]) change({ [control.name]: await upload(file.files[0]) }, true);
    file.value = "";
  } } });
  const node = element("div", { class: "picturefield" }, select, element("label", { class: "quiet filebutton" }, file, said(language(), "upload")));
  return { node, set(value) {
    const known = pictures();
    const all = known.some((picture) => picture.value === value) ? known : [...known, { value, name: String(value).replace(/^sample:/, "") }];
    fill(select, ...all.map((picture) => element("option", { value: picture.value }, picture.name)));
    select.value = value;
  } };
}

function kernelField(control, { change, language, value }) {
  const words = (word) => said(language(), word);
  const select = element("select", { id: `control-${control.name}`, on: { change: () => choose(select.value) } },
    ...Object.entries(control.named).map(([name, { label }]) => element("option", { value: name }, label[language()])),
    control.cut ? element("option", { value: "cut" }, words("cut")) : null,
    control.models ? element("option", { value: ":model" }, words("model")) : null,
    element("option", { value: ":typed" }, words("typed")));
  const tell = (text, done) => change({ [control.name]: text }, done);
  const { area, set } = matrixArea({ ...control, name: `${control.name}-numbers` }, language(), tell);
  const model = element("input", { type: "text", hidden: true, spellcheck: "false", autocapitalize: "off", placeholder: "resnet18 conv1 12", title: words("modelHint"), "aria-label": words("modelHint"), on: { change: () => model.value.trim() && tell(model.value, true) } });
  const hint = element("p", { class: "dim hint" }, words("modelHint"));
  area.setAttribute("aria-label", words("typed"));
  let numbers = control.named[Object.keys(control.named)[0]].text;
  const choose = (kind) => {
    if (kind === ":typed") tell(numbers, true);
    else if (kind === ":model") tell(model.value || "efficientnet_lite0 conv_stem 0", true);
    else tell(kind, true);
  };
  return { node: element("div", { class: "kernelfield" }, select, area, model, hint), set(text, active) {
    // What is being typed for a network stays where it is typed, also while it names none.
    const naming = !model.hidden && String(text) === model.value && text !== "cut" && !control.named[String(text)];
    const kind = naming ? "model" : kernelKind(text, control);
    select.value = kind === "typed" || kind === "model" ? `:${kind}` : String(text);
    area.hidden = kind === "cut" || kind === "model";
    model.hidden = hint.hidden = kind !== "model";
    if (kind === "model" && model !== active) model.value = String(text);
    if (kind === "named") numbers = control.named[String(text)].text;
    if (kind === "typed") numbers = String(text);
    // A named kernel's numbers are there to be changed: then it is a typed one.
    if (kind === "named" || kind === "typed") set(numbers, active);
  } };
}


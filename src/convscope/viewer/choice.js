// A row of exclusive choices, worked by click and by arrow keys.

import { element } from "./dom.js";

/**
 * @param {string} label read out before the choices
 * @param {[string, string, string][]} options value, text, explanation
 * @param {(value: string) => void} onChoose
 */
export function choiceBar(label, options, onChoose) {
  const buttons = options.map(([value, text, title]) =>
    element("button", { type: "button", role: "radio", title, data: { value }, on: { click: () => onChoose(value) } }, text),
  );
  const node = element("div", { class: "choice", role: "radiogroup", "aria-label": label, on: { keydown: walk } }, ...buttons);

  function walk(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const now = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
    const next = buttons[(now + step + buttons.length) % buttons.length];
    onChoose(next.dataset.value);
    next.focus();
  }

  return {
    node,
    set(value) {
      for (const button of buttons) {
        const on = button.dataset.value === value;
        button.setAttribute("aria-checked", String(on));
        button.tabIndex = on ? 0 : -1;
      }
    },
  };
}

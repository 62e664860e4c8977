// Makes elements. Text goes in as text nodes only, so no name from a scene is ever read as HTML.

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Object<string, any>} [properties] `class`, `on` (listeners by event), `data` (dataset),
 *   anything else an attribute; `true` sets an empty attribute, `false` and `null` none.
 * @param {...import("./types.js").Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Object<string, any>} [properties]
 * @param {...import("./types.js").Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/**
 * @template {HTMLElement|SVGElement} Made
 * @param {Made} node
 * @param {Object<string, any>} properties
 * @param {import("./types.js").Child[]} children
 * @returns {Made}
 */
function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(node.dataset, value);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  node.append(...textsAndNodes(children));
  return node;
}

/** @param {import("./types.js").Child[]} children */
function textsAndNodes(children) {
  return children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/** Replaces all children. @param {Element|ShadowRoot} node @param {...import("./types.js").Child} children */
export function fill(node, ...children) {
  node.replaceChildren(...textsAndNodes(children));
}

/**
 * The 2D context of a canvas sized in device pixels.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height
 * @returns {CanvasRenderingContext2D}
 */
export function sizedCanvas(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

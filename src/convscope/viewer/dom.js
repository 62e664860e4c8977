// Makes elements. Text goes in as text nodes only, so no name from a scene is ever read as HTML.

/**
 * @param {string} tag
 * @param {Object<string, any>} [properties] `class`, `on` (listeners by event), `data` (dataset),
 *   anything else an attribute; `true` sets an empty attribute, `false` and `null` none.
 * @param {...(Node|string|number|null|undefined)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. @returns {any} */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

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
  node.append(...children.filter((child) => child !== null && child !== undefined).map(textOrNode));
  return node;
}

function textOrNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** Replaces all children. @param {Element} node */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined).map(textOrNode));
}

/** A canvas with its 2D context, sized in device pixels. */
export function sizedCanvas(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return canvas.getContext("2d");
}

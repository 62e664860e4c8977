// Which rows the spine shows: ops, folded groups as one row, and a heading for each open group.

/**
 * @typedef {Object} SpineRow
 * @property {"op"|"group"|"heading"} type
 * @property {import("./types.js").SceneNode} [node] the op, or the op whose output a folded group hands on
 * @property {import("./types.js").SceneGroup} [group]
 * @property {string} name
 * @property {string} label name within its group
 * @property {number} depth
 * @property {number[]} members ids of the ops it stands for
 */

/** @param {import("./scene.js").SceneView} scene @param {(name: string) => boolean} isOpen @returns {SpineRow[]} */
export function spineRows(scene, isOpen) {
  /** @type {SpineRow[]} */
  const rows = [];
  /** @type {Map<string, SpineRow>} */
  const groups = new Map();
  /** @type {string[]} */
  let open = [];
  for (const node of scene.nodes) {
    const shut = node.groups.findIndex((name) => scene.groups.has(name) && !isOpen(name));
    const path = (shut < 0 ? node.groups : node.groups.slice(0, shut)).filter((name) => scene.groups.has(name));
    for (let depth = 0; depth < path.length; depth += 1) {
      if (open[depth] === path[depth]) continue;
      const name = path[depth];
      const group = scene.groups.get(name);
      rows.push({ type: "heading", group, name, depth, label: scene.shortName(name, path[depth - 1]), members: [] });
      open = path.slice(0, depth + 1);
    }
    open = path;
    const parent = path[path.length - 1];
    if (shut < 0) {
      const label = scene.shortName(node.name, parent);
      rows.push({ type: "op", node, name: node.name, depth: path.length, label, members: [node.id] });
      continue;
    }
    const name = node.groups[shut];
    const last = groups.get(name);
    if (last) {
      last.members.push(node.id);
      if (last.group.output === null) last.node = node;
      continue;
    }
    const group = scene.groups.get(name);
    const output = scene.byId.get(group.output) ?? node;
    const label = scene.shortName(name, parent);
    /** @type {SpineRow} */
    const row = { type: "group", node: output, group, name, depth: path.length, label, members: [node.id] };
    groups.set(name, row);
    rows.push(row);
  }
  return rows;
}

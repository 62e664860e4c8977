// Puts the arithmetic of a cell into the viewer: a click on a map opens it in place of the grid.

import { ProofPanel } from "./proof.js";

/** Milliseconds after which a pointer rests on a cell, and may be about to click. */
const RESTS = 30;

/** A click on a cell opens its arithmetic in place of the grid. */
export function fitProof(context, viewer) {
  const { state, scene, source } = context;
  const back = () => state.address.back();
  const go = (cell) => {
    const node = scene.byId.get(cell.node);
    const proof = node.view === "map" && cell.row !== null ? `${cell.row},${cell.column}` : node.view === "vector" ? "value" : null;
    if (node.groups.some((name) => !state.isOpen(name))) state.fold(node.groups, true);
    state.update({ layer: node.name, channel: cell.channel, proof });
  };
  const exact = new Map();
  context.exactValue = (node, channel, { row, column }) => exact.get(`${node} ${channel} ${row} ${column}`);
  const panel = new ProofPanel({
    go,
    value: (node, channel, cell) => source.value(node, channel, cell),
    found: ({ cell, value }) => {
      exact.set(`${cell.node} ${cell.channel} ${cell.row} ${cell.column}`, value);
      viewer.glass.point();
    },
    opened: () => viewer.places.layer.classList.add("proving"),
    back,
    close: () => state.update({ proof: null }),
    ground: context.ground,
    factor: ({ name, channel }) => (context.switched?.(name) ?? 1) * (context.switched?.(name, channel) ?? 1),
    readers: (id) => {
      const { rows, columns, view } = scene.byId.get(id);
      return scene.consumers.get(id).map((other) => scene.byId.get(other)).filter((other) => other.view === view && other.rows === rows && other.columns === columns && other.kind !== "conv2d" && other.kind !== "linear");
    },
  });
  viewer.places.layer.insertBefore(panel.node, viewer.grid.node);
  const draw = () => {
    const open = state.proof !== null && state.node.view !== "none";
    if (open) {
      panel.show(state.node, state.channel, state.proven);
      return;
    }
    viewer.places.layer.classList.remove("proving");
    panel.hide();
  };
  context.foresee = ({ row, column }) => void source.value(state.node.id, state.channel, { row, column }).catch(() => {});
  let resting = 0;
  state.addEventListener("point", () => {
    clearTimeout(resting);
    const { cell, node } = state;
    if (!cell || !source.foresee || cell.channel !== state.channel || node.view !== "map") return;
    resting = setTimeout(() => source.foresee(node.id, cell.channel, cell), RESTS);
  });
  context.prove = (cell) => state.update({ proof: cell ? `${cell.row},${cell.column}` : "value" });
  context.keys.push({ keys: "Enter", press: null, text: "on a cell of the map: where its value comes from" },
    { keys: "x", press: "x", text: "close the arithmetic", run: () => state.update({ proof: null }) },
    { keys: "Backspace", press: "Backspace", text: "the way back", run: back });
  state.watch((detail) => {
    if (["layer", "channel", "proof", "theme"].some((key) => detail.has(key))) draw();
  });
  draw();
}

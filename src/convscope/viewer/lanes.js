// Lays the graph's edges out in lanes, as a history of commits is drawn: the path a value takes
// first goes straight on, other uses of the same value branch off to the right and come back in.

/**
 * @param {import("./rows.js").SpineRow[]} rows from top to bottom
 * @returns {{width: number, rows: {lane: number, above: number[][], below: number[][], through: number[][]}[]}}
 *   for each row its lane (-1 for headings) and its lines: `above` end in it, `below` start in
 *   it, `through` pass by; each line is [lane at its upper end, lane at its lower end].
 */
export function laneLayout(rows, scene) {
  const place = new Map();
  rows.forEach((row, index) => row.members.forEach((id) => place.set(id, index)));
  const uses = rows.map(() => new Set());
  const sources = rows.map(() => new Set());
  rows.forEach((row, index) => {
    for (const id of row.members) {
      for (const input of scene.byId.get(id).inputs) {
        const from = place.get(input);
        if (from === undefined || from >= index) continue;
        uses[from].add(index);
        sources[index].add(from);
      }
    }
  });
  // A strand is one line on its way down: where it comes from and which rows still wait for it.
  let strands = [];
  let width = 1;
  const freeLane = (taken) => {
    let lane = 0;
    while (taken.has(lane)) lane += 1;
    return lane;
  };
  const laid = rows.map((row, index) => {
    const drawn = { lane: -1, above: [], below: [], through: [] };
    if (row.type === "heading") {
      drawn.through = strands.map(({ lane }) => [lane, lane]);
      return drawn;
    }
    const arriving = strands.filter((strand) => strand.targets.has(index));
    const ending = arriving.filter((strand) => strand.targets.size === 1);
    const kept = strands.filter((strand) => !ending.includes(strand));
    const taken = new Set(kept.map(({ lane }) => lane));
    drawn.lane = ending.length ? Math.min(...ending.map(({ lane }) => lane)) : freeLane(taken);
    drawn.above = arriving.map(({ lane }) => [lane, drawn.lane]);
    drawn.through = kept.map(({ lane }) => [lane, lane]);
    for (const strand of arriving) strand.targets.delete(index);
    strands = kept;
    const targets = [...uses[index]].sort((a, b) => a - b);
    if (targets.length) {
      strands.push({ lane: drawn.lane, targets: new Set([targets[0]]) });
      drawn.below.push([drawn.lane, drawn.lane]);
    }
    if (targets.length > 1) {
      taken.add(drawn.lane);
      const lane = freeLane(taken);
      strands.push({ lane, targets: new Set(targets.slice(1)) });
      drawn.below.push([drawn.lane, lane]);
    }
    width = Math.max(width, drawn.lane + 1, ...strands.map(({ lane }) => lane + 1));
    return drawn;
  });
  return { width, rows: laid };
}

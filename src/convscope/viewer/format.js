// How numbers and sizes are written for people.

const MINUS = "\u2212";
const SUPERSCRIPT_TWO = "\u00b2";

/** Four significant digits unless told; the sign of a negative number is a real minus. */
export function plainNumber(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "infinite" : `${MINUS}infinite`;
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value < 0 ? MINUS + grouped(-value) : grouped(value);
  const size = Math.abs(value);
  let text;
  if (size >= 1e6 || size < 1e-4) {
    const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
    text = `${mantissa}e${exponent.replace("+", "").replace("-", MINUS)}`;
  } else {
    const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    text = size.toFixed(decimals);
  }
  return value < 0 ? MINUS + text : text;
}

export function signedNumber(value, digits = 4) {
  return value > 0 ? `+${plainNumber(value, digits)}` : plainNumber(value, digits);
}

/** 25557032 as 25,557,032. */
export function grouped(count) {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** 4089184256 as 4.09 G. */
export function compact(count) {
  /** @type {[number, string][]} */
  const units = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  for (const [size, unit] of units) {
    if (count >= size) return `${(count / size).toPrecision(3)} ${unit}`;
  }
  return String(count);
}

export function percent(share) {
  if (share === 0 || share === 1) return share ? "100 %" : "0 %";
  if (share > 0.9995) return "> 99.9 %";
  return share < 0.0005 ? "< 0.1 %" : `${(share * 100).toFixed(1)} %`;
}

/** 64 channels of 56 x 56 as 64 × 56². */
export function sizeText(node) {
  if (node.view === "none") return node.shape.slice(1).map(grouped).join(" × ") || "one value";
  if (node.view === "vector") return grouped(node.channels);
  const area = node.rows === node.columns ? `${node.rows}${SUPERSCRIPT_TWO}` : `${node.rows} × ${node.columns}`;
  return `${grouped(node.channels)} × ${area}`;
}

/** One element of a pair or both: [3, 3] as 3 × 3. */
export function pairText(value) {
  if (Array.isArray(value)) return value.join(" × ");
  return typeof value === "number" ? plainNumber(value) : String(value);
}

/** "1 channel", "3 channels". */
export function counted(count, one, many = `${one}s`) {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** Words for an op's kind: batch_norm as "batch norm", conv2d as "conv". */
export function kindText(kind) {
  return kind.replace(/^(conv|conv_transpose|max_pool|avg_pool|adaptive_avg_pool|adaptive_max_pool)\dd$/, "$1").replaceAll("_", " ");
}

// Colour tables by formula. In all of them zero is neutral and strength is distance from neutral:
// on paper the neutral is near white and strength is darkness, at night it is near black and
// strength is light. Byte 128 of signed data is zero; byte 0 marks values that are not finite.
// The paper tables are the same as convscope.raster.colormaps.

const PAPER = { neutral: 0.965, diverging: 0.36, sequential: 0.24, broken: [255, 245, 0] };
const NIGHT = { neutral: 0.2, diverging: 0.9, sequential: 0.95, broken: [0, 220, 90] };
const BLUE = 255;
const RED = 27;
const CEILING = 0.175;

/** OKLCH to linear sRGB (Bjorn Ottosson, OKLab, 2020). */
function linearColor(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function colorBytes(lightness, chroma, hue) {
  return linearColor(lightness, chroma, hue).map((part) => {
    const kept = Math.min(1, Math.max(0, part));
    return Math.round(255 * (kept <= 0.0031308 ? 12.92 * kept : 1.055 * kept ** (1 / 2.4) - 0.055));
  });
}

/** Largest chroma sRGB can show, by bisection. */
function mostChroma(lightness, hue) {
  let low = 0;
  let high = 0.4;
  for (let step = 0; step < 24; step += 1) {
    const middle = (low + high) / 2;
    if (linearColor(lightness, middle, hue).every((part) => part >= 0 && part <= 1)) low = middle;
    else high = middle;
  }
  return low;
}

function divergingTable(neutral, end, turn) {
  const table = new Array(256);
  table[128] = colorBytes(neutral, 0, 0);
  for (let step = 1; step <= 127; step += 1) {
    const strength = step / 127;
    const lightness = neutral + (end - neutral) * strength;
    const blue = BLUE - turn * strength;
    const red = RED + turn * strength;
    // The smaller of the two hues' limits serves both, so that neither sign looks stronger.
    const chroma = Math.min(0.97 * Math.min(mostChroma(lightness, blue), mostChroma(lightness, red)), CEILING);
    table[128 - step] = colorBytes(lightness, chroma, blue);
    table[128 + step] = colorBytes(lightness, chroma, red);
  }
  return table;
}

function sequentialTable(neutral, end, from, to) {
  const table = [[0, 0, 0], colorBytes(neutral, 0, 0)];
  for (let step = 1; step <= 254; step += 1) {
    const strength = step / 254;
    const lightness = neutral + (end - neutral) * strength;
    const hue = from + (to - from) * strength;
    const chroma = Math.min(0.97 * mostChroma(lightness, hue), CEILING * Math.min(1, 4 * strength));
    table.push(colorBytes(lightness, chroma, hue));
  }
  return table;
}

const COLOR_TABLES = new Map();

/**
 * 256 colours `[red, green, blue]`.
 * @param {boolean} signed diverging if true, else sequential (byte 1 is zero)
 * @param {"paper"|"night"} ground
 */
export function colorTable(signed, ground) {
  const key = `${signed} ${ground}`;
  if (!COLOR_TABLES.has(key)) {
    const { neutral, diverging, sequential, broken } = ground === "night" ? NIGHT : PAPER;
    const [from, to] = ground === "night" ? [-20, 100] : [55, -30];
    const table = signed ? divergingTable(neutral, diverging, ground === "night" ? 50 : 0) : sequentialTable(neutral, sequential, from, to);
    table[0] = broken;
    COLOR_TABLES.set(key, table);
  }
  return COLOR_TABLES.get(key);
}

/**
 * What a byte of a map is painted, as 32-bit pixels of an ImageData.
 * @param {boolean} signed
 * @param {"paper"|"night"} ground
 * @param {number} gain how far the channel's own range fills the range shown, 0 to 1
 * @returns {Uint32Array} 256 entries
 */
export function pixelTable(signed, ground, gain) {
  const table = colorTable(signed, ground);
  const pixels = new Uint32Array(256);
  for (let byte = 1; byte < 256; byte += 1) {
    const share = ((byte - 128) / 127) * gain;
    const place = signed ? 128 + Math.round(share * 127) : 1 + Math.round(Math.max(0, share) * 254);
    pixels[byte] = packedColor(table[Math.min(255, Math.max(1, place))]);
  }
  pixels[0] = packedColor(table[0]);
  return pixels;
}

export function packedColor([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** @returns {string} the CSS colour of `share` of the range, -1 to 1 */
export function cssColor(signed, ground, share) {
  const place = signed ? 128 + Math.round(share * 127) : 1 + Math.round(Math.max(0, share) * 254);
  return `rgb(${colorTable(signed, ground)[Math.min(255, Math.max(1, place))].join(" ")})`;
}

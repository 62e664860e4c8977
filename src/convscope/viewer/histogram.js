// The histogram of one channel, each bar in the colour its values have on the map.

import { cssColor } from "./colors.js";
import { sizedCanvas } from "./dom.js";

/** Odd, so that zero sits in the middle of a bar of its own width. */
const BARS = 51;

/** Counts of the 8-bit values by bar, exact zeros and values that are not finite left out. */
export function histogramCounts(bytes, start, length, low, high) {
  const counts = new Array(BARS).fill(0);
  for (let place = start; place < start + length; place += 1) {
    const byte = bytes[place];
    if (byte === 0 || byte === 128) continue;
    const share = (byte - 128) / 127;
    counts[Math.min(BARS - 1, Math.max(0, Math.floor(((share - low) / (high - low)) * BARS)))] += 1;
  }
  return counts;
}

/** Draws it from the channel's minimum to its maximum, zero included. */
export function drawHistogram(canvas, bytes, start, length, numbers, signed, ground, gain) {
  const ratio = Math.max(1, Math.round(devicePixelRatio));
  const width = Math.max(60, Math.round((canvas.clientWidth || 200) * ratio));
  const height = Math.max(30, Math.round((canvas.clientHeight || 48) * ratio));
  const context = sizedCanvas(canvas, width, height);
  context.clearRect(0, 0, width, height);
  const full = numbers.scale * 127 || 1;
  const low = Math.min(0, numbers.minimum / full);
  const high = Math.max(0, numbers.maximum / full);
  const counts = histogramCounts(bytes, start, length, low, high);
  const most = Math.max(1, ...counts);
  const ink = getComputedStyle(canvas).color;
  const room = height - 2 * ratio;
  counts.forEach((count, bar) => {
    if (!count) return;
    const left = Math.round((bar * width) / BARS);
    const tall = Math.max(ratio, (count / most) * room);
    const wide = Math.round(((bar + 1) * width) / BARS) - left - ratio;
    context.fillStyle = cssColor(signed, ground, (low + ((bar + 0.5) / BARS) * (high - low)) * gain);
    context.fillRect(left, room - tall, Math.max(1, wide), tall);
    context.strokeStyle = ink;
    context.globalAlpha = 0.35;
    context.lineWidth = ratio / 2;
    context.strokeRect(left, room - tall, Math.max(1, wide), tall);
    context.globalAlpha = 1;
  });
  context.fillStyle = ink;
  context.fillRect(0, room, width, ratio);
  context.fillRect(Math.min(width - ratio, Math.round((-low / (high - low)) * width)), room - 3 * ratio, ratio, 5 * ratio);
}

// The exact numbers of one channel, eight in a row of `stats/ID`.

/** What each column is called, in the scene's order. */
const STATISTICS = ["minimum", "maximum", "mean", "deviation", "zeros", "row", "column", "scale"];

/** @param {Float32Array} data @param {number} channel @param {string} name one of the columns' names */
export function statistic(data, channel, name) {
  return data[channel * STATISTICS.length + STATISTICS.indexOf(name)];
}

/** All numbers of a channel by name. @returns {Object<string, number>} */
export function channelStatistics(data, channel) {
  return Object.fromEntries(STATISTICS.map((name) => [name, statistic(data, channel, name)]));
}

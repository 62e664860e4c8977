// The exact numbers of one channel, eight in a row of `stats/ID`.

/** What each column is called, in the scene's order. */
const STATISTICS = ["minimum", "maximum", "mean", "deviation", "zeros", "row", "column", "scale"];

/** @param {ArrayLike<number>} data @param {number} channel @param {string} name one of the columns' names */
export function statistic(data, channel, name) {
  return data[channel * STATISTICS.length + STATISTICS.indexOf(name)];
}

/**
 * All numbers of a channel by name.
 * @param {ArrayLike<number>} data @param {number} channel
 * @returns {{minimum: number, maximum: number, mean: number, deviation: number, zeros: number, row: number, column: number, scale: number}}
 */
export function channelStatistics(data, channel) {
  return /** @type {any} */ (Object.fromEntries(STATISTICS.map((name) => [name, statistic(data, channel, name)])));
}

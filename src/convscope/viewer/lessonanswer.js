// What the server answers to a run of a lesson: a JSON head and, behind it, arrays.

const ANSWER_ARRAYS = { uint8: Uint8Array, float32: Float32Array, float64: Float64Array };
/** Those of a preview and of the whole, of the last few pictures looked at. */
const KEPT_PICTURES = 6;

/**
 * @typedef {{shape: number[], data: Uint8Array|Float32Array|Float64Array}} Numbers
 * @typedef {Object<string, string>} Text in each language
 * @typedef {{kind: string, top: number, left: number, bottom: number, right: number, tone: string, label: string}} Mark
 * @typedef {{role: string, shape: number[], range: number[], caption: Text, marks: Mark[], cells: boolean, array: Numbers}} LessonMap
 * @typedef {{label: Text, x: number[], y: number[]}} Series
 * @typedef {{kind: string, marker: number|null, log: string, caption: Text, across: Text, up: Text, series: Series[], names: Text[]}} LessonChart
 * @typedef {{caption: Text, head: Text[], rows: any[][]}} LessonTable
 * @typedef {{first: number, sum: number[], sums: number[][], bias: number[], output: number[], agrees: boolean[]}} Steps
 * @typedef {Object} Played what a player needs; rows and columns of `padded` are those the window moves over
 * @property {Numbers} padded of shape [channels, rows, columns]
 * @property {Numbers} kernel of shape [maps, channels of a group, rows, columns], as it is laid on the image
 * @property {Numbers} maps of shape [maps, rows, columns]
 * @property {number[][]} origins which row (column) of the image each padded one is, -1 for none
 * @property {number[]} offset where the image begins
 * @property {number[]} image
 * @property {number[]} spread_image
 * @property {number[]} stride
 * @property {number[]} dilation
 * @property {number[]} spread
 * @property {number[]} window
 * @property {number} groups
 * @property {number} count
 * @property {Steps} steps
 * @typedef {{lesson: string, values: Object<string, any>, numbers: any, sentences: Object<string, string[]>, layout: string[][], maps: Object<string, LessonMap>, charts: Object<string, LessonChart>, tables: Object<string, LessonTable>, steps: number, preview: boolean, player: Played|null}} Answer
 */

/** Pictures the server sent before, by their ids; it need not send them again. */
export class SentPictures {
  constructor() {
    /** @type {Map<string, Numbers>} */
    this.kept = new Map();
  }

  get ids() {
    return [...this.kept.keys()];
  }

  /** @param {string} id @param {() => Numbers} read @returns {Numbers} the same object for the same picture */
  take(id, read) {
    const found = this.kept.get(id) ?? read();
    this.kept.delete(id);
    this.kept.set(id, found);
    if (this.kept.size > KEPT_PICTURES) this.kept.delete(this.kept.keys().next().value);
    return found;
  }
}

/** @param {ArrayBuffer} buffer @param {SentPictures} sent @returns {Answer} */
export function decodeAnswer(buffer, sent) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const numbers = ({ dtype, shape, offset, bytes }) => ({ shape, data: new ANSWER_ARRAYS[dtype](buffer, 4 + length + offset, bytes / ANSWER_ARRAYS[dtype].BYTES_PER_ELEMENT) });
  // What is kept for later must not keep the whole answer.
  const copied = (place) => ({ shape: place.shape, data: numbers(place).data.slice() });
  const read = new Map();
  for (const map of Object.values(head.maps)) {
    const { id, bytes } = map.array;
    if (id && bytes !== undefined && !read.has(id)) read.set(id, copied(map.array));
  }
  for (const map of Object.values(head.maps)) map.array = map.array.id ? sent.take(map.array.id, () => read.get(map.array.id)) : numbers(map.array);
  if (head.player) for (const name of ["padded", "kernel", "maps"]) head.player[name] = numbers(head.player[name]);
  return head;
}

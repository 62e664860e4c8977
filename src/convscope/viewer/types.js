// The shapes of what the parts hand to each other, for the type checker alone: no module imports this when it runs.

/**
 * @typedef {"night"|"paper"} Ground whether colours go from dark or from light
 * @typedef {{row: number, column: number}} CellAt
 * @typedef {{channel: number, row: number, column: number}} PointedCell
 * @typedef {{top: number, left: number, bottom: number, right: number}} Box ends exclusive
 * @typedef {{data: Uint8Array|Float32Array|Int32Array|Uint32Array, shape: number[]}} NumberArray
 * @typedef {Map<string, NumberArray>} Arrays by what they are: maps, stats, strip, filters ...
 * @typedef {string|number|Node|null|undefined} Child
 */

/**
 * A scene's manifest, schema convscope.scene/1 (ARCHITECTURE.md).
 *
 * @typedef {{min: number|null, max: number|null, mean: number|null, std: number|null, not_finite: number, silent: number, constant: number}} Statistics
 * @typedef {{size: number[], stride: number[], start: number[]}} Field rows first
 * @typedef {Object} SceneNode
 * @property {number} id
 * @property {string} name
 * @property {string} kind
 * @property {string} path
 * @property {string} type
 * @property {string[]} groups
 * @property {number[]} inputs
 * @property {number[]} shape
 * @property {string} dtype
 * @property {Object<string, any>} attributes short, printable
 * @property {number} parameters
 * @property {number} multiply_adds
 * @property {number|null} milliseconds
 * @property {Field|null} field
 * @property {"map"|"vector"|"none"} view
 * @property {number} channels
 * @property {number} rows
 * @property {number} columns
 * @property {Statistics|null} statistics
 * @property {boolean} signed
 * @property {number[]} strongest
 * @property {Object<string, string>} arrays
 * @property {string[]} notes
 *
 * @typedef {{name: string, path: string, type: string, parent: string|null, first: number, last: number, output: number|null, repeats?: string}} SceneGroup
 * @typedef {{index: number, label: string, probability: number|null, logit: number|null}} Prediction
 * @typedef {{name: string, source: string, weights: string, random: boolean, type: string, parameters: number, multiply_adds: number,
 *   input: number[], mean: number[], std: number[], reference: string, notes: string[]}} ModelFacts
 * @typedef {{name: string, width: number, height: number, photo?: string, input?: string, scale: number[], offset: number[], notes: string[]}} ImageFacts
 * @typedef {{schema: string, made_with: Object<string, string>, model: ModelFacts, image: ImageFacts, predictions: Prediction[],
 *   softmax_of: number|null, scores_are?: "logits"|"softmax"|"sigmoid", nodes: SceneNode[], groups: SceneGroup[], layers: Object<string, string>, notes: string[]}} SceneManifest
 */

/**
 * The arithmetic of one value, as a host answers `value`.
 *
 * @typedef {{node: number|null, name: string, channel: number, row: number|null, column: number|null}} ProofCell
 * @typedef {{label: string, value: number|null, input: number|null, weight: number|null, cell: ProofCell|null}} Term
 * @typedef {{label: string[], value: (number|null)[], input: (number|null)[]|null, weight: (number|null)[]|null, node: (number|null)[],
 *   channel: (number|null)[], row: (number|null)[], column: (number|null)[], names: Object<string, string>}} TermColumns
 * @typedef {{channel: number, input: number[][], kernel: number[][], products: number[][]}} Patch
 * @typedef {Object} Arithmetic
 * @property {ProofCell} cell
 * @property {string} kind
 * @property {string} [dtype]
 * @property {string} formula
 * @property {number|null} value the network's own
 * @property {number|null} total the same, summed anew
 * @property {boolean} agrees
 * @property {number} tolerance
 * @property {number|null} bias
 * @property {Object<string, number|null>} quantities
 * @property {Term[]} terms largest first
 * @property {{count: number, sum: number|null}} rest
 * @property {Patch[]} patches
 * @property {number[][]} places rows and columns a patch stands on
 * @property {number} [first_channel] of the patches
 * @property {number|null} [source] the op the inputs come from, where they come from one
 * @property {number[]|null} [field]
 * @property {ProofCell[]} parents
 * @property {string[]} notes
 * @property {number} [factor] what the value was multiplied by afterwards
 *
 * @typedef {Omit<Arithmetic, "terms"> & {terms: Term[]|TermColumns, upstream?: Answer}} Answer terms one by one or by
 *   column, and what the only cell it reads comes from
 */

/**
 * What every part of the page is given.
 *
 * @typedef {{keys: string, press: string|null, text: string, run?: () => void}} HostKey
 * @typedef {Object} Context
 * @property {import("./scene.js").SceneView} scene
 * @property {import("./source.js").Source} source
 * @property {import("./state.js").State} state
 * @property {() => Ground} ground
 * @property {import("./legend.js").Legend} legend
 * @property {import("./glass.js").MapGlass} glass
 * @property {HostKey[]} keys of the host
 * @property {((node: SceneNode, arrays: Arrays) => void)[]} shown called when a layer's arrays have come
 * @property {(() => void)[]} refused called when they could not be had
 * @property {() => void} arrive
 * @property {() => void} enterGrid
 * @property {() => void} enterSpine
 * @property {(cell: CellAt|null) => void} [prove] shows the arithmetic of a cell
 * @property {(node: number, channel: number, cell: CellAt) => number|null|undefined} [exactValue] values a host has asked for
 * @property {(name: string, channel?: number) => number} [switched] what a channel or a layer is multiplied by
 * @property {(cell: CellAt) => void} [foresee] asks for what will be asked for when the button is let go
 * @property {(channel: number) => void} [toggle] switches a channel off, or on again
 */

/**
 * What a live host answers besides.
 *
 * @typedef {{node: number, name: string, channel: number, share: number, chance: number, score: number}} BoxHit
 * @typedef {{map: number[][], target: number, node: number, name: string, label: string, score: number}} Attribution
 * @typedef {Object} Answers
 * @property {(node: number, channel: number) => Promise<Float32Array>} channel
 * @property {(box: Box, count: number) => Promise<BoxHit[]>} box
 * @property {(target: number, node: number|null) => Promise<Attribution>} attribution
 * @property {(what: string, node?: number) => Promise<{name: string, blob: Blob}>} file
 *
 * @typedef {import("./source.js").Source & Answers} LiveAnswers
 * @typedef {Omit<Context, "source"> & {source: LiveAnswers}} LiveContext
 */

export {};

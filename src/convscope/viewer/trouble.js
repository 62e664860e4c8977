// What went wrong, as a person reads it.

/** Something that is no fault of the page: its message and hint are shown as they are. */
export class Trouble extends Error {
  /** @param {string} message a sentence @param {string} [hint] the way out */
  constructor(message, hint = "") {
    super(message);
    this.hint = hint;
  }
}

/** What a person reads of an error: one sentence, and the way out where there is one. @param {any} error */
export function errorText(error) {
  const said = error instanceof Trouble ? error.message : `this page failed: ${error.message}`;
  const sentence = said.charAt(0).toUpperCase() + said.slice(1);
  // Hints of the command line name its options; the page has a control for the same.
  const hint = error.hint?.includes("--weights") ? "Choose random weights, or a model whose weights are on this machine." : error.hint;
  return [sentence.replace(/\.?$/, "."), hint].filter(Boolean).join(" ");
}

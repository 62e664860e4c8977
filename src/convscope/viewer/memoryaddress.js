// An address for where there is none of its own: kept in memory, with its steps back.

export class MemoryAddress {
  /** @param {() => void} [returned] told when a step back was taken */
  constructor(returned = () => {}) {
    this.returned = returned;
    this.steps = [""];
  }

  read() {
    return this.steps[this.steps.length - 1];
  }

  write(text, step) {
    if (step && text !== this.read()) this.steps.push(text);
    else this.steps[this.steps.length - 1] = text;
  }

  back() {
    if (this.steps.length === 1) return;
    this.steps.pop();
    this.returned();
  }
}

// Asks the kernel of a notebook, in the words of the live server: a request goes out as a message of the
// widget, its answer comes back as one. Nothing goes over the network but through the notebook itself.

import { Api, ApiError } from "./api.js";
import { unzipped } from "./decode.js";

/** A notebook server takes messages of 10 MB at most; photos go in pieces. */
const PIECE_BYTES = 1024 * 1024;
const SILENT_AFTER = 8000;

/**
 * @typedef {Object} Channel what a widget gives to speak to its kernel
 * @property {(message: Object, callbacks?: any, buffers?: ArrayBuffer[]) => void} send
 * @property {(name: string, listener: (...parts: any[]) => void) => void} on
 * @property {(name: string, listener: (...parts: any[]) => void) => void} off
 */

/** `send` and `lines` as the live server's; a message is `{id, method, path, body}`, bytes go as buffers. */
export class KernelApi extends Api {
  /** @param {Channel} channel @param {(silent: boolean) => void} [silence] told when no answer comes, and when one does again */
  constructor(channel, silence = () => {}) {
    super("");
    this.channel = channel;
    this.silence = silence;
    // A notebook may show a widget several times; all of them hear every answer.
    this.name = Math.random().toString(36).slice(2);
    this.count = 0;
    /** @type {Map<string, {answer: (message: any, bytes: DataView|undefined) => void, fail: (error: Error) => void}>} */
    this.asked = new Map();
    this.hear = (message, buffers) => this.heard(message, buffers);
    this.gone = () => this.fail(goneError());
    channel.on("msg:custom", this.hear);
    channel.on("comm:close", this.gone);
  }

  heard(message, buffers) {
    const asked = this.asked.get(message?.id);
    if (!asked) return;
    this.silence(false);
    asked.answer(message, buffers?.[0]);
  }

  /** Ends all that is asked; for when the kernel is gone, or the widget is. */
  fail(error) {
    for (const { fail } of [...this.asked.values()]) fail(error);
  }

  close() {
    this.channel.off("msg:custom", this.hear);
    this.channel.off("comm:close", this.gone);
    this.fail(new DOMException("the widget was taken away", "AbortError"));
  }

  /**
   * Asks, and hands each message that comes to `answer` until it says that this was the last.
   * @param {(message: any, bytes: DataView|undefined) => boolean} answer
   */
  async ask(method, path, body, signal, answer) {
    const id = `${this.name}-${(this.count += 1)}`;
    const blob = body instanceof Blob ? await body.arrayBuffer() : null;
    if (signal?.aborted) throw new DOMException("given up", "AbortError");
    return new Promise((resolve, reject) => {
      const end = (finish, value) => {
        this.asked.delete(id);
        clearTimeout(timer);
        finish(value);
      };
      const timer = setTimeout(() => this.silence(true), SILENT_AFTER);
      this.asked.set(id, {
        fail: (error) => end(reject, error),
        answer: (message, bytes) => {
          clearTimeout(timer);
          if (message.error) end(reject, new ApiError(message.status, message.error));
          else if (answer(message, bytes)) end(resolve, undefined);
        },
      });
      signal?.addEventListener("abort", () => end(reject, new DOMException("given up", "AbortError")), { once: true });
      try {
        this.dispatch({ id, method, path }, body, blob);
      } catch {
        end(reject, goneError());
      }
    });
  }

  dispatch(message, body, blob) {
    if (!blob) {
      this.channel.send({ ...message, body: typeof body === "string" ? JSON.parse(body) : null });
      return;
    }
    const pieces = Math.max(1, Math.ceil(blob.byteLength / PIECE_BYTES));
    for (let piece = 0; piece < pieces; piece += 1) {
      const part = blob.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
      this.channel.send({ ...message, body: null, piece, pieces }, undefined, [part]);
    }
  }

  /** @returns {Promise<Response>} */
  async send(path, { method = "GET", body = undefined, headers = {}, signal = undefined } = {}) {
    const name = headers["X-Name"] ? `${path}?name=${headers["X-Name"]}` : path;
    /** @type {any} */
    let found = null;
    let data = new ArrayBuffer(0);
    await this.ask(method, name, body, signal, (message, bytes) => {
      found = message;
      // A view of the whole message; what is asked for is a part of it.
      if (bytes) data = /** @type {ArrayBuffer} */ (bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      return true;
    });
    if (found.packed) data = await unzipped(data);
    return new Response(found.status === 204 ? null : data, { status: found.status, headers: found.headers });
  }

  async *lines(path, signal) {
    const waiting = [];
    /** @type {(value?: any) => void} */
    let wake = () => {};
    let failed = null;
    let over = false;
    const done = this.ask("GET", path, undefined, signal, (message) => {
      if (message.line) waiting.push(message.line);
      over = Boolean(message.over);
      wake();
      return over;
    });
    done.catch((error) => {
      failed = error;
      wake();
    });
    for (;;) {
      while (waiting.length) yield waiting.shift();
      if (failed) throw failed;
      if (over) return;
      await new Promise((resolve) => (wake = resolve));
    }
  }
}

function goneError() {
  return new ApiError(0, { code: "gone", message: "the kernel does not answer any more", hint: "Run the cell again." });
}

// Asks the live server. Every request carries the token; what goes wrong comes back as one sentence.

import { Trouble } from "./trouble.js";

const TOKEN_KEY = "convscope-token";
const MOST_TRIES = 6;
/** Seconds between two tries, at most. */
const LONGEST_WAIT = 3;

/** A sentence of the server, or of the way to it. `code` says which. */
export class ApiError extends Trouble {
  constructor(status, { code = "failed", message = "the server gave no reason", hint = "", control = "" } = {}) {
    super(message, hint ?? "");
    this.status = status;
    this.code = code;
    /** Of a lesson: which of its controls the sentence belongs to. */
    this.control = control;
  }
}

/**
 * What a body that ends before its end becomes; large ones are kept on the browser's disk, which can be full. What
 * was given up, or cannot be read as JSON, is another kind of error.
 */
function brokenOff(cause) {
  if (!(cause instanceof TypeError)) return cause;
  const hint = "Is convscope serve still running, and is there room on this machine's disk?";
  return new ApiError(0, { code: "broken", message: "an answer broke off before its end", hint });
}

/** The answer, whose body tells in a sentence where it breaks off. @param {Response} response */
function telling(response) {
  /** @template T @param {() => Promise<T>} read @returns {() => Promise<T>} */
  const told = (read) => () => read.call(response).catch((cause) => Promise.reject(brokenOff(cause)));
  response.json = told(response.json);
  response.blob = told(response.blob);
  response.arrayBuffer = told(response.arrayBuffer);
  return response;
}

/**
 * Takes the token out of the address, so that it neither stands in the bar nor in the history, and keeps it
 * for this tab alone.
 */
export function takeToken() {
  const fields = new URLSearchParams(location.hash.replace(/^#/, ""));
  if (fields.has("token")) {
    sessionStorage.setItem(TOKEN_KEY, fields.get("token"));
    fields.delete("token");
    history.replaceState(null, "", fields.size ? `#${fields}` : location.pathname);
  }
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

export class Api {
  constructor(token) {
    this.token = token;
  }

  /**
   * Who is told to come again, since much is waiting or a worker is only starting, does so a few times.
   * @param {{method?: string, body?: BodyInit, headers?: Object<string, string>, signal?: AbortSignal}} [options]
   * @returns {Promise<Response>} of a request that went well
   */
  async send(path, options = {}) {
    for (let tries = 1; ; tries += 1) {
      const response = await this.once(path, options);
      if (response.ok) return telling(response);
      const seconds = response.status === 503 ? Number(response.headers.get("Retry-After")) : 0;
      if (!seconds || tries === MOST_TRIES) {
        const told = await response.json().catch(() => ({}));
        throw new ApiError(response.status, told.error);
      }
      await new Promise((go) => setTimeout(go, 1000 * Math.min(seconds, LONGEST_WAIT)));
    }
  }

  /** @returns {Promise<Response>} */
  async once(path, { method = "GET", body = undefined, headers = {}, signal = undefined }) {
    try {
      return await fetch(path, { method, body, signal, headers: { Authorization: `Bearer ${this.token}`, ...headers } });
    } catch (cause) {
      if (cause.name === "AbortError") throw cause;
      throw new ApiError(0, { code: "gone", message: "the server does not answer", hint: "Is convscope serve still running?" });
    }
  }

  async json(path, options) {
    return (await this.send(path, options)).json();
  }

  async post(path, value) {
    return this.json(path, { method: "POST", body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });
  }

  async buffer(path) {
    return (await this.send(path)).arrayBuffer();
  }

  async blob(path) {
    return (await this.send(path)).blob();
  }

  /** Each line of a stream of JSON lines, as it comes. */
  async *lines(path, signal) {
    const reader = (await this.send(path, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read().catch((cause) => Promise.reject(brokenOff(cause)));
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) if (part) yield JSON.parse(part);
    }
  }
}

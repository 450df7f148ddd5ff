// Talks to the server: requests, their errors, and what the page knows.

import { byId } from "./elements.js";

const DELAY = 350; // milliseconds without a key press before a text is sent

export const state = { directions: [], names: {}, limits: {}, key: "", served: [], files: [] };

export class Refused extends Error {
  constructor(message, status, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

export async function send(path, options = {}) {
  const headers = { ...options.headers };
  if (state.key) headers.Authorization = `${path.startsWith("/v2/") ? "DeepL-Auth-Key" : "Bearer"} ${state.key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is it still running?", 0);
  }
  if (answer.ok) return answer;
  const found = await answer.json().catch(() => ({}));
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  const said = found.error || found.message || `The server answered with status ${answer.status}.`;
  throw new Refused(said, answer.status, wait);
}

export const call = async (path, options) => (await send(path, options)).json();

export const jsonOptions = (fields, signal) =>
  ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields), signal });

export const post = (path, fields, signal) => call(path, jsonOptions(fields, signal));

// Runs the newest of several tasks: after a pause, and cancelling the one before it.
export function newest(task) {
  let timer, running;
  return (pause = DELAY) => {
    clearTimeout(timer);
    if (running) running.abort();
    running = new AbortController();
    const { signal } = running;
    const start = async () => {
      const wait = await task(signal);
      if (wait && !signal.aborted) timer = setTimeout(start, wait * 1000);
    };
    timer = setTimeout(start, pause);
  };
}

// Runs a step and shows its errors in a status line. Returns the seconds after which to try again, if that helps.
export async function reporting(line, step) {
  try {
    await step();
  } catch (error) {
    if (error.name === "AbortError") return 0;
    line.textContent = error.message;
    if (error.status === 403) askForKey();
    if (error.status === 429) {
      const wait = error.wait || 2;
      line.textContent = `The server is busy. Trying again in ${wait} s.`;
      return wait;
    }
  }
  return 0;
}

export function askForKey() {
  byId("access").hidden = false;
  byId("key").focus();
}

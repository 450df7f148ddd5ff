// Translates while a text is typed, compares versions, sends files, and shows what is served.
"use strict";

const DELAY = 350; // milliseconds without a key press before a text is sent
const ALTERNATIVES = 2;
const FLAGS = {
  copied: "Some parts were copied",
  split: "A long sentence was translated in parts",
  looped: "Translated again, as the model repeated itself",
  cut: "The text was too long and was cut",
  placeholders: "Placeholders differ from the text",
  low_confidence: "The model is unsure",
};
const WARNINGS = new Set(["cut", "placeholders", "low_confidence"]);

const byId = (id) => document.getElementById(id);
const state = { directions: [], names: {}, limits: {}, key: "", served: [] };

// Talking to the server

class Refused extends Error {
  constructor(message, status, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

async function send(path, options = {}) {
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

const call = async (path, options) => (await send(path, options)).json();

const jsonOptions = (fields, signal) =>
  ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields), signal });

const post = (path, fields, signal) => call(path, jsonOptions(fields, signal));

// Runs the newest of several tasks: after a pause, and cancelling the one before it.
function newest(task) {
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
async function reporting(line, step) {
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

// Small helpers for elements

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => element("option", text, { value })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

const percent = (share) => `${Math.round(share * 100)}%`;
const nameOf = (code) => state.names[code] || code;
const unique = (values) => [...new Set(values)];

// Languages

function fillSources(select, chosen = select.value) {
  const sources = unique(state.directions.map((each) => each.source));
  const known = sources.map((code) => [code, nameOf(code)]);
  fill(select, sources.length > 1 ? [["", "Detect"], ...known] : known, chosen);
}

function fillTargets(select, source, chosen = select.value) {
  const possible = state.directions.filter((each) => !source || each.source === source);
  fill(select, unique(possible.map((each) => each.target)).map((code) => [code, nameOf(code)]), chosen);
}

function connectLanguages(source, target, changed) {
  source.addEventListener("change", () => {
    fillTargets(target, source.value);
    changed();
  });
  target.addEventListener("change", changed);
}

// The page "Text"

const text = byId("text");
let shown = null; // the last answer, with the text that it translates

const translateText = newest(async (signal) => {
  const typed = text.value;
  if (!typed.trim()) return show(null);
  if (!state.directions.length) return 0; // the state is not there yet; `start` calls this again
  byId("result").parentElement.classList.add("waiting");
  byId("status").textContent = "Translating…";
  return reporting(byId("status"), async () => {
    const answer = await post("/page/translate", {
      text: typed,
      source: byId("source").value,
      target: byId("target").value,
      alternatives: Math.min(ALTERNATIVES, state.limits.alternatives),
    }, signal);
    byId("status").textContent = "";
    show({ ...answer, typed });
  }).finally(() => signal.aborted || byId("result").parentElement.classList.remove("waiting"));
});

function show(answer) {
  shown = answer;
  const best = answer ? answer.translations[0] : null;
  const result = byId("result");
  result.textContent = best ? best.text : "";
  result.lang = answer ? answer.target : "";
  byId("flags").replaceChildren(...(best ? best.flags : []).map(flag));
  const sure = best && best.confidence !== null ? ` · confidence ${percent(best.confidence)}` : "";
  byId("version").textContent = answer && answer.version ? `${answer.version}${sure}` : "";
  const guess = answer && answer.detected !== null;
  byId("detected").textContent = guess ? `${nameOf(answer.source)} detected (${percent(answer.detected)})` : "";
  byId("copy").hidden = byId("improve").hidden = !best;
  byId("improve").hidden ||= !state.suggestions;
  if (!answer) byId("status").textContent = "";
  if (!best || byId("better").dataset.of !== answer.typed) openCorrection(false);
  const others = answer ? answer.translations.slice(1) : [];
  byId("more").hidden = others.length === 0;
  byId("alternatives").replaceChildren(...others.map(alternative));
}

function flag(name) {
  return element("li", FLAGS[name] || name, WARNINGS.has(name) ? { class: "warn" } : {});
}

function alternative(found) {
  const item = element("li", "");
  item.append(element("span", found.text, { dir: "auto", lang: shown.target }));
  if (found.confidence !== null) item.append(element("small", `confidence ${percent(found.confidence)}`));
  return item;
}

function count() {
  const size = [...text.value].length;
  const most = state.limits.characters;
  byId("counted").textContent = most ? `${size.toLocaleString("en")} of ${most.toLocaleString("en")} characters` : "";
  byId("clear").hidden = size === 0;
}

function openCorrection(open) {
  byId("correction").hidden = !open;
  byId("improve").setAttribute("aria-expanded", String(open));
}

function prepareText() {
  const languages = () => translateText(0);
  connectLanguages(byId("source"), byId("target"), languages);
  text.addEventListener("input", () => {
    count();
    translateText();
  });
  byId("clear").addEventListener("click", () => {
    text.value = "";
    count();
    translateText(0);
    text.focus();
  });
  byId("swap").addEventListener("click", () => {
    const from = byId("source").value || (shown ? shown.source : "");
    const to = byId("target").value;
    if (!state.directions.some((each) => each.source === to && (!from || each.target === from))) {
      byId("status").textContent = `${nameOf(to)} cannot be translated${from ? ` into ${nameOf(from)}` : ""} here.`;
      return;
    }
    byId("source").value = to;
    fillTargets(byId("target"), to, from);
    if (shown) text.value = shown.translations[0].text;
    count();
    translateText(0);
  });
  byId("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId("result").textContent);
    byId("status").textContent = "Copied.";
  });
  byId("improve").addEventListener("click", () => {
    const open = byId("correction").hidden;
    byId("better").value = byId("result").textContent;
    byId("better").dataset.of = shown.typed;
    openCorrection(open);
    if (open) byId("better").focus();
  });
  byId("correction").addEventListener("submit", (event) => {
    event.preventDefault();
    reporting(byId("status"), async () => {
      const fields = { q: shown.typed, s: byId("better").value, source: shown.source, target: shown.target };
      await post("/suggest", { ...fields, api_key: state.key });
      openCorrection(false);
      byId("status").textContent = "Thank you, your translation is stored.";
    });
  });
}

// The page "File"

function prepareFile() {
  connectLanguages(byId("file-source"), byId("file-target"), () => {});
  const drop = byId("drop");
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", state.files.length > 0);
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (state.files.length) byId("document").files = event.dataTransfer.files;
  });
  byId("upload").addEventListener("submit", (event) => {
    event.preventDefault();
    const line = byId("file-status");
    line.textContent = "Translating…";
    reporting(line, () => translateFile(byId("document").files[0], line));
  });
}

async function translateFile(file, line) {
  const body = new FormData();
  body.append("file", file);
  body.append("source_lang", byId("file-source").value);
  body.append("target_lang", byId("file-target").value);
  const { document_id: id, document_key: key } = await call("/v2/document", { method: "POST", body });
  let found = { status: "queued" };
  while (found.status === "queued" || found.status === "translating") {
    await new Promise((done) => setTimeout(done, 700));
    found = await post(`/v2/document/${id}`, { document_key: key });
  }
  if (found.status === "error") throw new Refused(found.error_message, 400);
  const content = await send(`/v2/document/${id}/result`, jsonOptions({ document_key: key }));
  const url = URL.createObjectURL(await content.blob());
  const link = element("a", `Download ${file.name}`, { href: url, download: file.name });
  line.replaceChildren(element("span", `Translated by ${found.model_version || "copying"}. `), link);
  link.focus();
}

// The page "Compare"

const versionsOf = (direction) =>
  state.served.filter((each) => each.directions.includes(direction)).map((each) => each.version);
const directionOf = (each) => `${each.source}-${each.target}`;

const compare = newest(async (signal) => {
  const typed = byId("compared").value;
  const outputs = ["first", "second"];
  if (!typed.trim()) {
    for (const each of outputs) byId(`${each}-result`).textContent = byId(`${each}-facts`).textContent = "";
    return 0;
  }
  byId("compare-status").textContent = "Translating…";
  return reporting(byId("compare-status"), async () => {
    const direction = state.directions.find((each) => directionOf(each) === byId("direction").value);
    const fields = { text: typed, source: direction.source, target: direction.target };
    const answers = await Promise.all(
      outputs.map((each) => post("/page/translate", { ...fields, version: byId(each).value }, signal)));
    const [one, two] = answers.map((answer) => answer.translations[0]);
    const [ones, twos] = differences(one.text, two.text);
    for (const [output, parts, best] of [["first", ones, one], ["second", twos, two]]) {
      byId(`${output}-result`).replaceChildren(...parts.map(([word, differs]) => element(differs ? "mark" : "span", word)));
      byId(`${output}-result`).lang = direction.target;
      const sure = best.confidence === null ? [] : [`confidence ${percent(best.confidence)}`];
      byId(`${output}-facts`).textContent = [...sure, ...best.flags.map((name) => FLAGS[name] || name)].join(" · ");
    }
    byId("compare-status").textContent = one.text === two.text ? "Both translations are the same." : "The differences are marked.";
  });
});

// Returns the words of both texts, each with whether it is missing in the other: their longest common subsequence.
function differences(one, two) {
  const [a, b] = [one, two].map((each) => each.match(/\s+|[^\s]+/g) || []);
  if (a.length * b.length > 1e6) return [a.map((word) => [word, false]), b.map((word) => [word, false])];
  const common = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const found = [[], []];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found[0].push([a[i++], false]);
      found[1].push([b[j++], false]);
    } else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) {
      found[0].push([a[i], a[i++].trim() !== ""]);
    } else {
      found[1].push([b[j], b[j++].trim() !== ""]);
    }
  }
  return found;
}

function fillVersions() {
  const versions = versionsOf(byId("direction").value).map((each) => [each, each]);
  fill(byId("first"), versions, byId("first").value);
  fill(byId("second"), versions, byId("second").value || (versions[1] || versions[0])[0]);
  if (byId("first").value === byId("second").value && versions[1]) byId("second").value = versions[1][0];
}

function fillComparison() {
  const pairs = state.directions.filter((each) => versionsOf(directionOf(each)).length > 1);
  byId("comparison").hidden = pairs.length === 0;
  byId("no-pair").hidden = pairs.length > 0;
  if (!pairs.length) return;
  fill(byId("direction"), pairs.map((each) => [directionOf(each), `${nameOf(each.source)} → ${nameOf(each.target)}`]),
    byId("direction").value);
  fillVersions();
}

function prepareComparison() {
  byId("compared").addEventListener("input", () => compare());
  byId("direction").addEventListener("change", () => {
    fillVersions();
    compare(0);
  });
  for (const each of ["first", "second"]) byId(each).addEventListener("change", () => compare(0));
}

// The page "Models"

const SCORES = { bleu: "BLEU", chrf: "chrF", ter: "TER", rougeL: "ROUGE-L" };

function model(served) {
  const card = element("article", "");
  const facts = [
    ["Directions", served.directions.join(", ")],
    ...Object.entries(served.scores).map(([name, value]) => [SCORES[name] || name, value.toFixed(1)]),
    ["Since", new Date(served.since).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })],
  ];
  const list = element("dl", "");
  for (const [name, value] of facts) list.append(element("dt", name), element("dd", value));
  card.append(element("h3", served.version), list);
  return card;
}

async function loadModels() {
  return reporting(byId("models-status"), async () => {
    state.served = (await call("/page/served")).served;
    byId("models-status").textContent = state.served.length ? "" : "No model is served yet.";
    byId("served").replaceChildren(...state.served.map(model));
    fillComparison();
  });
}

// The whole page

function openPage() {
  const pages = [...document.querySelectorAll("main > section")];
  const wanted = pages.find((each) => `#${each.id}` === location.hash) || pages[0];
  for (const each of pages) each.hidden = each !== wanted;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${wanted.id}`) {
      link.setAttribute("aria-current", "page");
      document.title = `${link.textContent} · seqloom`;
    } else {
      link.removeAttribute("aria-current");
    }
  }
  if (wanted.id === "models" || wanted.id === "compare") loadModels();
  if (wanted.id === "translate") text.focus();
}

function askForKey() {
  byId("access").hidden = false;
  byId("key").focus();
}

async function start() {
  prepareText();
  prepareFile();
  prepareComparison();
  byId("access").addEventListener("submit", (event) => {
    event.preventDefault();
    state.key = byId("key").value;
    byId("access").hidden = true;
    loadModels();
    translateText(0);
  });
  window.addEventListener("hashchange", openPage);
  await reporting(byId("problem"), async () => Object.assign(state, await call("/page/state")));
  byId("problem").hidden = !byId("problem").textContent;
  for (const prefix of ["", "file-"]) {
    fillSources(byId(`${prefix}source`), "");
    fillTargets(byId(`${prefix}target`), byId(`${prefix}source`).value);
  }
  const files = state.files || (state.files = []);
  byId("no-files").hidden = files.length > 0;
  byId("upload-fields").disabled = files.length === 0;
  byId("formats").textContent = files.length ? `Formats: ${files.join(" ")}` : "";
  byId("document").accept = files.join(",");
  count();
  openPage();
  if (state.key_required) askForKey();
  else if (text.value.trim()) translateText(0); // typed while the page was loading, or kept by the browser
}

start();

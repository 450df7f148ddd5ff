// The page "Text": translates while a text is typed.

import { closePicture, offerPicture, preparePicture } from "./attention.js";
import { byId, element, percent } from "./elements.js";
import { flag } from "./flags.js";
import { connectLanguages, fillTargets, nameOf } from "./languages.js";
import { newest, post, reporting, state } from "./server.js";

const ALTERNATIVES = 2;

export const text = byId("text");
let shown = null; // the last answer, with the text that it translates

export const translateText = newest(async (signal) => {
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
  if (best) offerPicture();
  else closePicture();
  const others = answer ? answer.translations.slice(1) : [];
  byId("more").hidden = others.length === 0;
  byId("alternatives").replaceChildren(...others.map(alternative));
}

function alternative(found) {
  const item = element("li", "");
  item.append(element("span", found.text, { dir: "auto", lang: shown.target }));
  if (found.confidence !== null) item.append(element("small", `confidence ${percent(found.confidence)}`));
  return item;
}

export function count() {
  const size = [...text.value].length;
  const most = state.limits.characters;
  byId("counted").textContent = most ? `${size.toLocaleString("en")} of ${most.toLocaleString("en")} characters` : "";
  byId("clear").hidden = size === 0;
}

function openCorrection(open) {
  byId("correction").hidden = !open;
  byId("improve").setAttribute("aria-expanded", String(open));
}

export function prepareText() {
  preparePicture(() => shown);
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

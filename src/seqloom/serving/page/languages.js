// The fields of languages.

import { fill, unique } from "./elements.js";
import { state } from "./server.js";

export const nameOf = (code) => state.names[code] || code;

export function fillSources(select, chosen = select.value) {
  const sources = unique(state.directions.map((each) => each.source));
  const known = sources.map((code) => [code, nameOf(code)]);
  fill(select, sources.length > 1 ? [["", "Detect"], ...known] : known, chosen);
}

export function fillTargets(select, source, chosen = select.value) {
  const possible = state.directions.filter((each) => !source || each.source === source);
  fill(select, unique(possible.map((each) => each.target)).map((code) => [code, nameOf(code)]), chosen);
}

export function connectLanguages(source, target, changed) {
  source.addEventListener("change", () => {
    fillTargets(target, source.value);
    changed();
  });
  target.addEventListener("change", changed);
}

// The page "Compare": two versions side by side.

import { differences } from "./differences.js";
import { byId, element, fill, percent } from "./elements.js";
import { FLAGS } from "./flags.js";
import { nameOf } from "./languages.js";
import { newest, post, reporting, state } from "./server.js";

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

function fillVersions() {
  const versions = versionsOf(byId("direction").value).map((each) => [each, each]);
  fill(byId("first"), versions, byId("first").value);
  fill(byId("second"), versions, byId("second").value || (versions[1] || versions[0])[0]);
  if (byId("first").value === byId("second").value && versions[1]) byId("second").value = versions[1][0];
}

export function fillComparison() {
  const pairs = state.directions.filter((each) => versionsOf(directionOf(each)).length > 1);
  byId("comparison").hidden = pairs.length === 0;
  byId("no-pair").hidden = pairs.length > 0;
  if (!pairs.length) return;
  fill(byId("direction"), pairs.map((each) => [directionOf(each), `${nameOf(each.source)} → ${nameOf(each.target)}`]),
    byId("direction").value);
  fillVersions();
}

export function prepareComparison() {
  byId("compared").addEventListener("input", () => compare());
  byId("direction").addEventListener("change", () => {
    fillVersions();
    compare(0);
  });
  for (const each of ["first", "second"]) byId(each).addEventListener("change", () => compare(0));
}

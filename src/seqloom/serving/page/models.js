// The page "Models": what is served, with scores and drift.

import { fillComparison } from "./compare.js";
import { byId, element } from "./elements.js";
import { call, reporting, state } from "./server.js";

const SCORES = { bleu: "BLEU", chrf: "chrF", ter: "TER", rougeL: "ROUGE-L" };
const FEATURES = {
  characters: "Drift: length",
  pieces: "Drift: pieces per character",
  unknown: "Drift: unknown pieces",
  language: "Drift: language",
};

function model(served, drift) {
  const card = element("article", "");
  const facts = [
    ["Directions", served.directions.join(", ")],
    ...Object.entries(served.scores).map(([name, value]) => [SCORES[name] || name, value.toFixed(1)]),
    ["Since", new Date(served.since).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })],
    ...(drift ? driftFacts(drift) : []),
  ];
  const list = element("dl", "");
  for (const [name, value] of facts) list.append(element("dt", name), element("dd", value));
  card.append(element("h3", served.version), list);
  if (drift && drift.drifted) {
    card.append(element("p", "The texts of requests differ from those of training.", { class: "notice" }));
  }
  return card;
}

function driftFacts(drift) {
  if (drift.reason) return [["Drift", drift.reason]];
  const indices = Object.entries(drift.indices).map(([name, value]) => [FEATURES[name] || name, value.toFixed(2)]);
  return [["Texts compared", drift.texts.toLocaleString("en")], ...indices];
}

export async function loadModels() {
  return reporting(byId("models-status"), async () => {
    const [{ served }, drift] = await Promise.all([call("/page/served"), call("/seqloom/drift")]);
    state.served = served;
    byId("models-status").textContent = served.length ? "" : "No model is served yet.";
    byId("drift-hint").hidden = drift.models.every((each) => each.reason);
    byId("drift-bound").textContent = drift.bound;
    const driftOf = (each) => drift.models.find((found) => found.version === each.version);
    byId("served").replaceChildren(...served.map((each) => model(each, driftOf(each))));
    fillComparison();
  });
}

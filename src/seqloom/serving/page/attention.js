// The picture of a model's attention: a table of pieces of the translation by pieces of the text.

import { byId, element, percent } from "./elements.js";
import { post, reporting } from "./server.js";

const piece = (written) => (written === "</s>" ? "end" : written);

// Offers a picture of the translation that is shown now; an older one is removed.
export function offerPicture() {
  closePicture();
  byId("attention").hidden = false;
}

export function closePicture() {
  byId("attention").hidden = true;
  show(false);
}

function show(open) {
  byId("picture").hidden = !open;
  byId("draw").textContent = open ? "Hide attention" : "Show attention";
  byId("draw").setAttribute("aria-expanded", String(open));
}

// `shown` returns the answer that is shown now.
export function preparePicture(shown) {
  byId("draw").addEventListener("click", () => {
    if (!byId("picture").hidden) return offerPicture();
    const answer = shown();
    return reporting(byId("status"), async () => {
      byId("status").textContent = "Drawing…";
      const { typed, source, target, version, translations } = answer;
      const fields = { text: typed, translation: translations[0].text, source, target, version };
      const seen = await post("/seqloom/attention", fields);
      byId("status").textContent = "";
      if (shown() !== answer) return; // another text has been translated meanwhile
      draw(seen);
    });
  });
}

function draw(seen) {
  const head = element("tr", "");
  head.append(element("td", ""), ...seen.source.map((each) => heading(each, "col")));
  const rows = seen.target.map((each, row) => {
    const line = element("tr", "");
    line.append(heading(each, "row"), ...seen.weights[row].map(cell));
    return line;
  });
  byId("weights").replaceChildren(head, ...rows);
  byId("weights-text").replaceChildren(...seen.target.map((each, row) => element("li", inWords(each, seen, row))));
  show(true);
}

function heading(written, scope) {
  const made = element("th", "", { scope });
  made.append(element("span", piece(written), { dir: "auto" }));
  return made;
}

function cell(share) {
  const made = element("td", share >= 0.01 ? String(Math.round(share * 100)) : "");
  made.style.setProperty("--share", percent(share));
  return made;
}

// Returns the pieces of the text that a piece of the translation attends to most.
function inWords(written, seen, row) {
  const found = seen.weights[row].map((share, at) => [share, seen.source[at]]);
  const most = found.sort((one, other) => other[0] - one[0]).slice(0, 3).filter(([share]) => share >= 0.1);
  return `${piece(written)}: ${most.map(([share, each]) => `${piece(each)} ${percent(share)}`).join(", ") || "spread evenly"}`;
}

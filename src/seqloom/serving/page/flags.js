// The flags of translations, in words.

import { element } from "./elements.js";

export const FLAGS = {
  copied: "Some parts were copied",
  split: "A long sentence was translated in parts",
  looped: "Translated again, as the model repeated itself",
  cut: "The text was too long and was cut",
  placeholders: "Placeholders differ from the text",
  low_confidence: "The model is unsure",
};
const WARNINGS = new Set(["cut", "placeholders", "low_confidence"]);

export function flag(name) {
  return element("li", FLAGS[name] || name, WARNINGS.has(name) ? { class: "warn" } : {});
}

// The whole page: its sections, and what happens when it opens.

import { prepareComparison } from "./compare.js";
import { prepareFile } from "./documents.js";
import { byId } from "./elements.js";
import { fillSources, fillTargets } from "./languages.js";
import { loadModels } from "./models.js";
import { askForKey, call, reporting, state } from "./server.js";
import { count, prepareText, text, translateText } from "./text.js";

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
  const { files } = state;
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

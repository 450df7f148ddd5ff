// The page "File": translates a file.

import { byId, element } from "./elements.js";
import { connectLanguages } from "./languages.js";
import { call, jsonOptions, post, Refused, reporting, send, state } from "./server.js";

export function prepareFile() {
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

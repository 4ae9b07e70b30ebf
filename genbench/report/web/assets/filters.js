"use strict";
// One filter for the whole page: models, dataset, and whether to show failures.
const filter = { words: [], dataset: "", failed: "all", followed: "" };

function matches(name) {
  return filter.words.length === 0 || filter.words.some((word) => name.toLowerCase().includes(word));
}

function hideFiltered(table) {
  for (const row of table.tBodies[0].rows) {
    const { m, d, failed } = row.dataset, lost = failed !== undefined;
    row.hidden = (m !== undefined && !matches(m)) || (d !== undefined && filter.dataset !== "" && d !== filter.dataset) ||
      (m !== undefined && ((filter.failed === "only" && !lost) || (filter.failed === "without" && lost)));
  }
  [...table.tHead.rows[0].cells].forEach((heading, place) => {
    if (heading.dataset.m === undefined) return;
    const hidden = !matches(heading.dataset.m);
    for (const row of table.rows) if (row.cells[place]) row.cells[place].hidden = hidden;
  });
}

function applyFilter() {
  for (const section of document.querySelectorAll("main > section[data-d]")) {
    section.hidden = filter.dataset !== "" && section.dataset.d !== filter.dataset;
  }
  for (const table of document.querySelectorAll(".table > table")) if (!("rows" in table.dataset)) hideFiltered(table);
  for (const made of document.querySelectorAll(".made")) {
    made.hidden = made.dataset.m !== "data" && !matches(made.dataset.m);
  }
  for (const panel of document.querySelectorAll(".panel[data-m]")) panel.hidden = !matches(panel.dataset.m);
  if (filter.words.join() !== filter.followed) for (const follow of followers) follow();
  filter.followed = filter.words.join();
  const rows = [...document.querySelectorAll("main tbody tr[data-m]")];
  say(`${rows.filter((row) => !row.hidden).length} of ${rows.length} rows shown`);
}

function filterBar() {
  const words = el("input", {
    type: "search", id: "models", placeholder: "gan, vae", autocomplete: "off", spellcheck: "false",
    oninput: () => {
      filter.words = words.value.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
      clearTimeout(filter.timer);
      filter.timer = setTimeout(applyFilter, 120);
    },
  });
  const names = [...new Set([...document.querySelectorAll("main [data-d]")].map((each) => each.dataset.d))];
  const set = (field) => (value) => { filter[field] = value; applyFilter(); };
  return el(
    "form", { class: "filters", role: "search", "aria-label": "Filter", onsubmit: (event) => event.preventDefault() },
    el("label", {}, "Models ", words),
    names.length > 1 ? choice("Dataset", [["", "all"], ...names.map((name) => [name, name])], set("dataset")) : null,
    document.querySelector("tr[data-failed]")
      ? choice("Failed", [["all", "shown"], ["only", "only"], ["without", "hidden"]], set("failed")) : null,
    status,
  );
}

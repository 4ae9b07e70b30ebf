"use strict";
// Details of a number on demand: its value for each seed, the error of one evaluation, its recipe and its curve.
function showNumber(cell) {
  const [place, row, column] = cell.dataset.n.split(",").map(Number);
  const section = facts.sections[place], held = section.rows[row], { name, axis, recipe } = section.columns[column];
  const body = el("div", { class: "number" }, el("p", { class: "value" }, cell.textContent));
  const table = el(
    "table", {},
    el("thead", {}, el("tr", {}, ...["seed", axis, "standard error of one evaluation", "record"].map(
      (heading) => el("th", { scope: "col" }, heading)))),
    el("tbody", {}, ...held.seeds.map((seed) => el(
      "tr", {}, el("th", { scope: "row" }, String(seed.seed)), el("td", {}, plain(seed.values[column])),
      el("td", {}, plain(seed.errors[column])), el("td", { class: "l" }, el("code", {}, seed.id))))),
  );
  const more = held.of - held.seeds.length;
  body.append(el("div", { class: "table" }, table), more > 0 ? el("p", {}, `and ${more} more seeds, in results.csv`) : "", el("h3", {}, "Recipe ", el("code", {}, recipe)));
  const fields = el("dl", {});
  for (const [field, value] of Object.entries(section.recipes[recipe] ?? {})) {
    fields.append(el("dt", {}, field), el("dd", {}, value));
  }
  body.append(fields);
  let drawn = null;
  const shown = dialog(`${axis} of ${held.name} on ${section.name}`, body, () => drawn?.destroy());
  const line = lineOf(held, "numbers", name, "items");
  if (line.seeds.length && line.mean.y.length > 1) {
    const host = el("div", { class: "plot" });
    body.append(el("h3", {}, "Over training"), host);
    drawn = plot(host, {
      lines: [{ ...line, label: held.name, colour: held.colour ?? "#767676" }], levels: [], label: `${axis} of ${held.name}`,
      xLabel: `training ${section.noun}`, yLabel: axis, unit: section.noun, seeds: true, logY: spreads([held], { name }),
    }, CURVES);
  }
  return shown;
}

document.addEventListener("click", (event) => {
  const cell = event.target.closest("button.n");
  if (cell) showNumber(cell);
});

"use strict";
// Legends that switch a chart's lines on and off. While the page is filtered by model, a chart shows the first that match.
const followers = new Set();

function swatchOf({ colour: shade, shape }) {
  const swatch = el("span", { class: shape ? `swatch ${shape}` : "swatch" });
  swatch.style.background = shade === "#000000" ? "var(--text)" : shade ?? "#767676";
  return swatch;
}

// Args: rows with name, colour and perhaps shape; how many are shown at first; what to call after a change; and whether a
// row can be shown now. Returns the legend, and the set of rows that are shown.
function legendOf(rows, first, changed, able = () => true) {
  const shown = new Set();
  const entries = rows.map((row) => {
    const entry = button("", () => {
      if (!shown.delete(row)) shown.add(row);
      pressed();
      changed();
    }, { "data-m": row.name });
    entry.append(swatchOf(row), row.name);
    return entry;
  });
  const pressed = () => rows.forEach((row, place) => entries[place].setAttribute("aria-pressed", shown.has(row)));
  const show = (chosen) => {
    shown.clear();
    for (const row of chosen) shown.add(row);
    pressed();
  };
  const matching = () => rows.filter(({ name }) => matches(name));
  const follow = () => {
    rows.forEach(({ name }, place) => { entries[place].hidden = !matches(name); });
    show(matching().filter(able).slice(0, first));
  };
  const legend = el("div", { class: "legend", role: "group", "aria-label": "Lines" });
  if (rows.length > 2) {
    legend.append(...[["all", matching], ["none", () => []]].map(([label, chosen]) => button(label, () => { show(chosen()); changed(); }, { class: "plain" })));
  }
  legend.append(...entries);
  follow();
  followers.add(() => { follow(); changed(); });
  return { legend, shown };
}

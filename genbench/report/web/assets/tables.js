"use strict";
// Sortable tables. Large ones are kept as text until they are visible.
const AT_ONCE = 1000;

function whole(table) {
  if (!("rows" in table.dataset)) return;
  // Each row was escaped when the page was written, like the rows that are already in it.
  table.tBodies[0].innerHTML = facts.stored[table.dataset.rows].join("");
  delete table.dataset.rows;
  table.parentElement.querySelector(".more")?.remove();
  hideFiltered(table);
}

function firstRows(table) {
  if (!("rows" in table.dataset)) return;
  const rows = facts.stored[table.dataset.rows];
  if (rows.length <= AT_ONCE) return whole(table);
  table.tBodies[0].innerHTML = rows.slice(0, AT_ONCE).join("");
  const count = rows.length.toLocaleString("en");
  table.after(button(`Show all ${count} rows`, () => whole(table), { class: "more" }));
  hideFiltered(table);
}

function keyOf(cell) {
  if (!cell) return null;
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  const shown = cell.textContent.trim();
  return shown === "" || shown === "–" ? null : shown;
}

// Missing values come last in either sort order.
function compared(one, other, sign) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return sign * (typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true }));
}

function sortBy(table, place) {
  whole(table);
  const headings = [...table.tHead.rows[0].cells];
  const up = headings[place].getAttribute("aria-sort") !== "ascending";
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[place].setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row.cells[place]), row]);
  rows.sort((one, other) => compared(one[0], other[0], up ? 1 : -1));
  table.tBodies[0].append(...rows.map((pair) => pair[1]));
  say(`Sorted by ${headings[place].textContent.trim()}, ${up ? "smallest" : "largest"} first`);
}

function equip(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, place) => {
    const label = [...heading.childNodes];
    const named = heading.textContent.trim() !== "";
    const sort = el("button", { type: "button", class: "sort", "aria-label": named ? null : "first column" }, ...label);
    sort.addEventListener("click", () => sortBy(table, place));
    heading.replaceChildren(sort);
  });
  table.parentElement.before(copyTools(table));
  if ("rows" in table.dataset) whenSeen(table.parentElement, () => firstRows(table));
}

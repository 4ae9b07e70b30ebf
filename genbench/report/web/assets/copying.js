"use strict";
// A table as shown, sorted and filtered, as Markdown, LaTeX (booktabs) or CSV.
function shownCells(table) {
  whole(table);
  const rows = [table.tHead.rows[0], ...table.tBodies[0].rows].filter((row) => !row.hidden);
  return rows.map((row) => [...row.cells].filter((cell) => !cell.hidden).map((cell) => {
    const shown = cell.textContent.trim().replace(/\s+/g, " ");
    return { shown, left: cell.classList.contains("l"), name: cell.querySelector("code")?.textContent === shown };
  }));
}

function asMarkdown(rows) {
  const cell = ({ shown, name }) =>
    name && !/[`|\\]/.test(shown) ? `\`${shown}\`` : shown.replace(/[\\`*_[\]~#<>$]/g, "\\$&").replaceAll("|", "&#124;");
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const [head, ...body] = rows;
  return [line(head.map(cell)), line(head.map(({ left }) => (left ? ":---" : "---:"))), ...body.map((row) => line(row.map(cell)))]
    .join("\n") + "\n";
}

const LATEX = {
  "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", $: "\\$", "&": "\\&", "#": "\\#", _: "\\_", "%": "\\%",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}",
  '"': "\\textquotedbl{}", "`": "\\textasciigrave{}", "±": "$\\pm$", "−": "$-$", "–": "--", "÷": "$\\div$", "×": "$\\times$",
  "↓": "$\\downarrow$", "↑": "$\\uparrow$", "→": "$\\to$", "∞": "$\\infty$", "†": "\\dag{}", "…": "\\ldots{}", "²": "$^2$",
};

function asLatex(rows) {
  const escaped = (text) => text.replace(/[\\{}$&#_%~^<>|"`±−–÷×↓↑→∞†…²]/g, (found) => LATEX[found]);
  const cell = ({ shown, name }) => {
    if (name) return `\\texttt{${escaped(shown)}}`;
    return /^-\d/.test(shown) ? `$-$${escaped(shown.slice(1))}` : escaped(shown);
  };
  const line = (cells) => `  ${cells.map(cell).join(" & ")} \\\\`;
  const [head, ...body] = rows;
  return [
    `\\begin{tabular}{${head.map(({ left }) => (left ? "l" : "r")).join("")}}`, "  \\toprule", line(head), "  \\midrule",
    ...body.map(line), "  \\bottomrule", "\\end{tabular}", "",
  ].join("\n");
}

// A value and its ± are two columns, because CSV is for further computation.
function asCsv(rows) {
  const [head, ...body] = rows;
  const wide = head.map((_, place) => body.some((row) => row[place]?.shown.includes(" ± ")));
  const number = (text) => (/^-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?$/.test(text) ? text.replaceAll(",", "") : text === "–" ? "" : text);
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (row, split) => row.flatMap(({ shown }, place) => split(shown, wide[place])).map(quoted).join(",");
  const values = (shown, two) => {
    const [value, error = ""] = two ? shown.split(" ± ") : [shown];
    return two ? [number(value), number(error)] : [number(value)];
  };
  return [
    line(head, (shown, two) => (two ? [shown, `${shown} ±`] : [shown])), ...body.map((row) => line(row, values)), "",
  ].join("\n");
}

// Any page may copy its selection immediately. The Clipboard API may be denied to a page opened from disk, or wait
// forever for a permission prompt that never appears, so it is only the fallback.
async function copyText(text) {
  const focused = document.activeElement;
  const held = el("textarea", { "aria-hidden": "true", class: "held" });
  held.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(held);
  held.select();
  const copied = document.execCommand("copy");
  held.remove();
  focused?.focus();
  if (!copied) await navigator.clipboard.writeText(text);
}

function copyTools(table) {
  const tools = el("div", { class: "tools" }, "Copy as ");
  for (const [label, write] of [["Markdown", asMarkdown], ["LaTeX", asLatex], ["CSV", asCsv]]) {
    tools.append(button(label, async () => {
      const rows = shownCells(table);
      await copyText(write(rows));
      say(`Copied ${rows.length - 1} ${rows.length === 2 ? "row" : "rows"} as ${label}`);
    }));
  }
  return tools;
}

"use strict";
// Interactive curves: uPlot draws; this file adds point labels, seeds, controls, keyboard access and a legend.
const AT_FIRST = 7; // lines, as in the figure of report.md
const MOST_THIN = 5; // seeds drawn individually; more become a band from lowest to highest
const PANELS = 12;
const LOSS_COLOURS = ["#7B5EA7", "#8C6D31", "#1B9AAA", "#B5446E", "#6B8E23", "#A0522D", "#708090"];
const WHERE = { step: "training steps", items: "training {noun}", elapsed_s: "training seconds", flops: "training FLOPs" };
const plots = new Set();

function redrawAll() {
  for (const each of plots) each.redraw(false);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A model that is black on paper takes the text colour, so that it stays visible on a dark screen.
const visibleColour = (given) => (given === "#000000" ? colour("--text") : given);

// One line: the curve of each seed, and the mean of their k-th points.
function lineOf(row, kind, name, where) {
  const seeds = [];
  for (const { seed, curve } of row.seeds) {
    const [places, values] = curve?.[kind]?.[name] ?? [[], []];
    const x = [], y = [];
    places.forEach((place, k) => {
      if (curve[where][place] === null || values[k] === null) return;
      if (x.length && curve[where][place] <= x.at(-1)) return;
      x.push(curve[where][place]);
      y.push(values[k]);
    });
    if (x.length) seeds.push({ seed, x, y });
  }
  const length = Math.min(...seeds.map(({ x }) => x.length), Infinity);
  const mean = { x: [], y: [], half: [] };
  for (let k = 0; k < (seeds.length ? length : 0); k++) {
    const held = seeds.map(({ y }) => y[k]), n = held.length;
    const middle = held.reduce((sum, value) => sum + value, 0) / n;
    const variance = held.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (n - 1);
    mean.x.push(seeds.reduce((sum, { x }) => sum + x[k], 0) / n);
    mean.y.push(middle);
    mean.half.push(n > 1 ? facts.t[n] * Math.sqrt(variance / n) : null);
  }
  return { seeds, mean, of: row.of };
}

function joined(lines, seeds, logX, logY) {
  const tables = [], series = [{}], bands = [];
  const add = (x, y, drawn) => {
    const kept = x.map((_, k) => k).filter((k) => (!logX || x[k] > 0) && (!logY || y[k] > 0));
    tables.push([kept.map((k) => x[k]), kept.map((k) => y[k])]);
    series.push({ spanGaps: true, ...drawn });
  };
  for (const { mean, seeds: held, label, colour: given } of lines) {
    const stroke = () => visibleColour(given);
    if (seeds && held.length > 1 && held.length <= MOST_THIN) {
      for (const { x, y } of held) add(x, y, { label, stroke, width: 1, alpha: 0.45, points: { show: false } });
    } else if (seeds && held.length > MOST_THIN) {
      const at = (k, of) => of(...held.map(({ y }) => y[k]));
      const none = { label, stroke, width: 0, points: { show: false } };
      add(mean.x, mean.x.map((_, k) => at(k, Math.max)), none);
      add(mean.x, mean.x.map((_, k) => at(k, Math.min)), none);
      bands.push({ series: [series.length - 2, series.length - 1], fill: `${given}2e` });
    }
    add(mean.x, mean.y, { label, stroke, width: 2.5, points: { show: mean.x.length < 40, size: 6, fill: stroke } });
  }
  return { data: tables.length ? uPlot.join(tables) : [[]], series, bands };
}

function compact(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 }).format(value);
}

function tick(value) {
  if (value === null) return "";
  const size = Math.abs(value);
  return size >= 1e4 || (value !== 0 && size < 1e-3) ? (size < 1 ? value.toExponential(0) : compact(value)) : String(+value.toPrecision(6));
}

// Draws a chart; returns functions that change or remove it.
function plot(host, given) {
  const note = el("div", { class: "note", hidden: true }), heard = el("p", { class: "heard", "aria-live": "polite" });
  const wrap = el("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": described(given) }, note);
  host.append(wrap, heard);
  let chart = null, chosen = 0, at = null;

  function draw(next = given) {
    given = next;
    if (chart) { plots.delete(chart); chart.destroy(); }
    wrap.setAttribute("aria-label", described(given));
    const { data, series, bands } = joined(given.lines, given.seeds, given.logX, given.logY);
    const axis = (label) => ({
      label, stroke: () => colour("--text"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { stroke: () => colour("--grid") },
      values: (_, ticks) => ticks.map(tick), font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif",
    });
    chart = new uPlot({
      width: Math.max(wrap.clientWidth, 200), height: given.height ?? 340, series, bands, legend: { show: false },
      scales: { x: { time: false, distr: given.logX ? 3 : 1 }, y: { distr: given.logY ? 3 : 1, range: ranged } },
      axes: [axis(given.xLabel), { ...axis(given.yLabel), size: 62 }],
      cursor: { drag: { x: true, y: true, uni: 24 }, points: { show: false } },
      hooks: { draw: [drawLevels], setCursor: [hovered] },
    }, data, wrap);
    plots.add(chart);
  }

  // The controls' lines are part of the chart, so the axis leaves room for them.
  function ranged(_, low, high) {
    const held = given.levels.map(({ value }) => value).filter((value) => !given.logY || value > 0);
    const least = Math.min(low ?? Infinity, ...held), most = Math.max(high ?? -Infinity, ...held);
    if (!Number.isFinite(least + most)) return given.logY ? [1, 10] : [0, 1];
    if (given.logY) return uPlot.rangeLog(least, most, 10, false);
    const room = 0.05 * (most - least || Math.abs(most) || 1);
    return [least - room, most + room];
  }

  function drawLevels(u) {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--dim");
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    let lowest = Infinity; // names that would overlap are moved up
    for (const { name, value } of [...given.levels].sort((one, other) => one.value - other.value)) {
      if (given.logY && value <= 0) continue;
      const y = u.valToPos(value, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      lowest = Math.min(y - 4 * ratio, lowest - 12 * ratio);
      ctx.fillText(name, bbox.left + bbox.width - 4 * ratio, lowest);
    }
    ctx.restore();
  }

  function nearest(values, value) {
    let best = 0;
    values.forEach((each, k) => { if (Math.abs(each - value) < Math.abs(values[best] - value)) best = k; });
    return best;
  }

  function hovered(u) {
    const { left, top } = u.cursor;
    if (at !== null) return;
    if (left == null || left < 0) { note.hidden = true; return; }
    const value = u.posToVal(left, "x");
    let best = null;
    given.lines.forEach((line, place) => {
      if (!line.mean.x.length) return;
      const k = nearest(line.mean.x, value);
      const heights = [line.mean.y[k], ...line.seeds.map(({ y }) => y[k])];
      const apart = Math.min(...heights.map((y) => Math.hypot(u.valToPos(line.mean.x[k], "x") - left, u.valToPos(y, "y") - top)));
      if (!best || apart < best.apart) best = { place, k, apart };
    });
    if (best) tell(best.place, best.k);
  }

  function tell(place, k) {
    const { label, mean, seeds, of, colour: shade } = given.lines[place];
    const where = `${plain(mean.x[k])} ${given.unit ?? given.xLabel.replace("training ", "")}`;
    const value = interval(mean.y[k], mean.half[k]);
    const over = seeds.length > 1 ? `mean of ${seeds.length}${of > seeds.length ? ` of ${of}` : ""} seeds, 95% interval` : `seed ${seeds[0].seed}`;
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = visibleColour(shade);
    note.replaceChildren(
      el("strong", {}, swatch, label), el("div", {}, `at ${where}`), el("div", {}, value), el("div", { class: "dim" }, over),
      ...(seeds.length > 1 && seeds.length < 9 ? seeds.map(({ seed, x, y }) => el("div", { class: "dim" }, `seed ${seed}: ${plain(y[k])}`)) : []),
    );
    note.hidden = false;
    const x = chart.valToPos(mean.x[k], "x") + chart.over.offsetLeft, y = chart.valToPos(mean.y[k], "y") + chart.over.offsetTop;
    note.style.left = `${Math.max(4, x + 14 + note.offsetWidth > wrap.clientWidth ? x - 14 - note.offsetWidth : x + 14)}px`;
    note.style.top = `${Math.max(4, Math.min(y - 20, wrap.clientHeight - note.offsetHeight - 4))}px`;
    return `${label} at ${where}: ${value}, ${over}`;
  }

  function zoom(factor) {
    const { min, max } = chart.scales.x;
    const to = given.logX ? Math.log : (value) => value, back = given.logX ? Math.exp : (value) => value;
    const middle = at === null ? (to(min) + to(max)) / 2 : to(given.lines[chosen].mean.x[at]);
    const half = (factor * (to(max) - to(min))) / 2;
    chart.setScale("x", { min: back(middle - half), max: back(middle + half) });
  }

  function key(event) {
    const drawn = given.lines.filter(({ mean }) => mean.x.length);
    if (!drawn.length) return;
    if (event.key === "+" || event.key === "=") zoom(0.5);
    else if (event.key === "-") zoom(2);
    else if (event.key === "0") draw();
    else if (event.key === "Escape") { at = null; note.hidden = true; return; }
    else if (event.key.startsWith("Arrow")) {
      const by = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      chosen = (chosen + by[0] + given.lines.length) % given.lines.length;
      while (!given.lines[chosen].mean.x.length) chosen = (chosen + 1) % given.lines.length;
      const last = given.lines[chosen].mean.x.length - 1;
      at = at === null ? last : Math.max(0, Math.min(last, at + by[1]));
      heard.textContent = tell(chosen, at);
    } else return;
    event.preventDefault();
  }

  wrap.addEventListener("keydown", key);
  wrap.addEventListener("pointermove", () => { at = null; });
  wrap.addEventListener("blur", () => { at = null; note.hidden = true; });
  draw();
  const sized = new ResizeObserver(() => {
    if (chart && wrap.clientWidth && Math.abs(wrap.clientWidth - chart.width) > 1) chart.setSize({ width: wrap.clientWidth, height: given.height ?? 340 });
  });
  sized.observe(wrap);
  return {
    draw: (changes) => draw({ ...given, ...changes }), zoom,
    destroy: () => { sized.disconnect(); plots.delete(chart); chart.destroy(); },
  };
}

// A chart's text alternative: the first, last, lowest and highest value of each line.
function described({ label, lines, xLabel }) {
  const said = lines.filter(({ mean }) => mean.y.length).slice(0, 12).map(({ label: name, mean }) =>
    `${name} from ${plain(mean.y[0])} to ${plain(mean.y.at(-1))}, minimum ${plain(Math.min(...mean.y))}, maximum ${plain(Math.max(...mean.y))}`);
  return `${label} against ${xLabel}: ${said.join("; ") || "nothing was recorded"}. Arrow keys read the values, + and - zoom, 0 resets the view.`;
}

function axisTools(section, state, change) {
  return [
    choice("Against", section.where.map((name) => [name, WHERE[name].replace("{noun}", section.noun)]), (value) => { state.where = value; change(); }, state.where),
    check("log x", (value) => { state.logX = value; change(); }),
    check("log y", (value) => { state.logY = value; change(); }, state.logY),
  ];
}

function asTable(lines, xLabel, yLabel) {
  const heading = (words, left) => el("th", { scope: "col", class: left ? "l" : null }, words);
  const body = el("tbody", {});
  for (const { label, mean } of lines) {
    mean.x.forEach((x, k) => body.append(el(
      "tr", { "data-m": label }, el("th", { scope: "row", class: "l" }, label), el("td", { "data-v": x }, plain(x)),
      el("td", { "data-v": mean.y[k] }, interval(mean.y[k], mean.half[k])))));
  }
  return el("table", {}, el("thead", {}, el("tr", {}, heading("line", true), heading(xLabel), heading(yLabel))), body);
}

function tableBelow(figure, made) {
  const fold = el("details", {}, el("summary", {}, "These curves as a table"));
  fold.addEventListener("toggle", () => {
    for (const old of fold.querySelectorAll(":scope > :not(summary)")) old.remove();
    if (!fold.open) return;
    const box = el("div", { class: "table", role: "region", tabindex: "0", "aria-label": "the curves as a table" }, made());
    fold.append(box);
    equip(box.firstChild);
  });
  figure.append(fold);
}

// Whether a number spans so wide a range that a linear axis would squeeze the interesting part against the bottom.
function spreads(rows, { name }) {
  const values = rows.flatMap(({ seeds }) => seeds.flatMap(({ curve }) => curve?.numbers[name]?.[1] ?? [])).filter((value) => value !== null);
  const [least, most] = values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  return least > 0 && most > 30 * least;
}

function qualityChart(figure, section) {
  const rows = section.rows.filter(({ model, seeds }) => model && seeds.some(({ curve }) => curve));
  const names = Object.entries(section.numbers);
  if (!names.length) return;
  const state = { name: names[0][0], where: section.where.includes("items") ? "items" : section.where[0], seeds: true };
  state.logY = spreads(rows, state);
  const has = (row) => row.seeds.some(({ curve }) => curve?.numbers[state.name]);
  const shown = new Set(rows.filter(has).slice(0, AT_FIRST));
  const made = () => {
    const lines = rows.filter((row) => shown.has(row) && has(row)).map((row) => ({ ...lineOf(row, "numbers", state.name, state.where), label: row.name, colour: row.colour ?? "#767676" }));
    const column = section.columns.findIndex(({ name }) => name === state.name);
    const levels = column < 0 ? [] : section.rows.filter(({ model }) => !model).map(({ name, seeds }) => {
      const held = seeds.map(({ values }) => values[column]).filter((value) => value !== null);
      return { name, value: held.reduce((sum, value) => sum + value, 0) / held.length };
    }).filter(({ value }) => Number.isFinite(value));
    return {
      ...state, lines, levels, label: section.numbers[state.name], yLabel: section.numbers[state.name],
      xLabel: WHERE[state.where].replace("{noun}", section.noun), unit: state.where === "items" ? section.noun : undefined,
    };
  };
  const legend = el("div", { class: "legend", role: "group", "aria-label": "Lines" });
  const host = el("div", { class: "plot" });
  const redraw = () => drawn.draw(made());
  const entries = rows.map((row) => {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = row.colour === "#000000" ? "var(--text)" : row.colour ?? "#767676";
    const entry = button("", () => {
      if (!shown.delete(row)) shown.add(row);
      entry.setAttribute("aria-pressed", shown.has(row));
      redraw();
    }, { "aria-pressed": String(shown.has(row)), "data-m": row.name });
    entry.append(swatch, row.name);
    return entry;
  });
  const all = (on) => () => {
    rows.forEach((row, place) => {
      if (on && !entries[place].hidden) shown.add(row); else shown.delete(row);
      entries[place].setAttribute("aria-pressed", shown.has(row));
    });
    redraw();
  };
  if (rows.length > 2) legend.append(button("all", all(true), { class: "plain" }), button("none", all(false), { class: "plain" }));
  legend.append(...entries);
  figure.append(
    el("div", { class: "tools" },
      names.length > 1 ? choice("Number", names, (value) => { state.name = value; redraw(); }) : null,
      ...axisTools(section, state, redraw), check("seeds", (value) => { state.seeds = value; redraw(); }, true),
      button("Zoom in", () => drawn.zoom(0.5)), button("Zoom out", () => drawn.zoom(2)), button("Show all", redraw)),
    legend, host);
  const drawn = plot(host, made());
  tableBelow(figure, () => { const { lines, xLabel, yLabel } = made(); return asTable(lines, xLabel, yLabel); });
}

function lossCharts(figure, section) {
  const lossesOf = (row) => [...new Set(row.seeds.flatMap(({ curve }) => Object.keys(curve?.losses ?? {})))];
  const rows = section.rows.filter((row) => row.model && lossesOf(row).length);
  const state = { where: section.where.includes("items") ? "items" : section.where[0] };
  const drawn = [], panels = el("div", { class: "panels" });
  const made = (row) => ({
    ...state, seeds: true, levels: [], height: 230, label: `losses of ${row.name}`, xLabel: WHERE[state.where].replace("{noun}", section.noun), yLabel: "loss",
    unit: state.where === "items" ? section.noun : undefined,
    lines: lossesOf(row).map((name, place) => ({ ...lineOf(row, "losses", name, state.where), label: name, colour: LOSS_COLOURS[place % LOSS_COLOURS.length] })),
  });
  const add = (row) => {
    const host = el("div", { class: "plot" });
    const names = lossesOf(row).map((name, place) => {
      const swatch = el("span", { class: "swatch" });
      swatch.style.background = LOSS_COLOURS[place % LOSS_COLOURS.length];
      return el("span", {}, swatch, name);
    });
    const panel = el("div", { class: "panel", "data-m": row.name }, el("h4", {}, row.name), el("div", { class: "legend" }, ...names), host);
    panels.append(panel);
    whenSeen(panel, () => drawn.push([plot(host, made(row)), row]));
  };
  rows.slice(0, PANELS).forEach(add);
  const more = rows.length > PANELS ? button(`Show the losses of all ${rows.length} models`, () => { more.remove(); rows.slice(PANELS).forEach(add); }, { class: "more" }) : null;
  figure.append(el("div", { class: "tools" }, ...axisTools(section, state, () => drawn.forEach(([each, row]) => each.draw(made(row))))), panels);
  if (more) figure.append(more);
  tableBelow(figure, () => {
    const every = rows.slice(0, PANELS).flatMap((row) => made(row).lines.map((line) => ({ ...line, label: `${row.name}: ${line.label}` })));
    return asTable(every, WHERE[state.where].replace("{noun}", section.noun), "loss");
  });
}

"use strict";
// Curves over training: quality of all models in one chart, and the losses of each in its own.
const AT_FIRST = 7; // lines, as in the figure of report.md
const MOST_THIN = 5; // seeds drawn individually; more become a band from lowest to highest
const PANELS = 12;
const LOSS_COLOURS = ["#7B5EA7", "#8C6D31", "#1B9AAA", "#B5446E", "#6B8E23", "#A0522D", "#708090"];
const WHERE = { step: "training steps", items: "training {noun}", elapsed_s: "training seconds", flops: "training FLOPs" };

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

const CURVES = {
  series(given) {
    const { data, series, bands } = joined(given.lines, given.seeds, given.logX, given.logY);
    return { data, series, bands, rangeY: (_, low, high) => ranged(given, low, high) };
  },

  // What was measured before the first step is at zero, which a logarithmic axis does not have: it stands at its edge.
  after(u, given) {
    if (!given.logX) return;
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    ctx.save();
    for (const { mean, colour: shade } of given.lines) {
      const y = mean.x[0] === 0 && !(given.logY && mean.y[0] <= 0) ? u.valToPos(mean.y[0], "y", true) : NaN;
      if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
      ctx.beginPath();
      ctx.arc(bbox.left, y, 4 * ratio, 0, 2 * Math.PI);
      ctx.fillStyle = colour("--back");
      ctx.fill();
      ctx.strokeStyle = visibleColour(shade);
      ctx.lineWidth = 2 * ratio;
      ctx.stroke();
    }
    ctx.restore();
  },

  nearest(u, given, { mean, seeds }, left, top) {
    const k = nearest(mean.x, u.posToVal(left, "x"));
    const x = u.valToPos(mean.x[k], "x"), heights = [mean.y[k], ...seeds.map(({ y }) => y[k])];
    const apart = Math.min(...heights.map((y) => Math.hypot(x - left, u.valToPos(y, "y") - top)));
    return { k, apart };
  },

  words({ unit, xLabel }, { mean, seeds, of }, k) {
    const over = seeds.length > 1 ? `mean of ${seeds.length}${of > seeds.length ? ` of ${of}` : ""} seeds, 95% interval` : `seed ${seeds[0].seed}`;
    const where = `at ${plain(mean.x[k])} ${unit ?? xLabel.replace("training ", "")}`;
    return { said: [where, interval(mean.y[k], mean.half[k])], over, seeds: seeds.map(({ seed, y }) => `seed ${seed}: ${plain(y[k])}`) };
  },

  // The text alternative: the first, last, lowest and highest value of each line.
  described({ label, lines, xLabel }) {
    const said = lines.filter(({ mean }) => mean.y.length).slice(0, 12).map(({ label: name, mean }) =>
      `${name} from ${plain(mean.y[0])} to ${plain(mean.y.at(-1))}, minimum ${plain(Math.min(...mean.y))}, maximum ${plain(Math.max(...mean.y))}`);
    return `${label} against ${xLabel}: ${said.join("; ") || "nothing was recorded"}`;
  },
};

// The controls' lines are part of the chart, so the axis leaves room for them.
function ranged({ levels, logY }, low, high) {
  const held = levels.map(({ value }) => value).filter((value) => !logY || value > 0);
  const least = Math.min(low ?? Infinity, ...held), most = Math.max(high ?? -Infinity, ...held);
  if (!Number.isFinite(least + most)) return logY ? [1, 10] : [0, 1];
  if (logY) return uPlot.rangeLog(least, most, 10, false);
  const room = 0.05 * (most - least || Math.abs(most) || 1);
  return [least - room, most + room];
}

function axisTools(section, state, change) {
  return [
    choice("Against", section.where.map((name) => [name, WHERE[name].replace("{noun}", section.noun)]), (value) => { state.where = value; change(); }, state.where),
    check("log x", (value) => { state.logX = value; change(); }),
    check("log y", (value) => { state.logY = value; change(); }, state.logY),
  ];
}

function asTable(lines, xLabel, yLabel) {
  const body = el("tbody", {});
  for (const { label, mean } of lines) {
    mean.x.forEach((x, k) => body.append(el(
      "tr", { "data-m": label }, el("th", { scope: "row", class: "l" }, label), el("td", { "data-v": x }, plain(x)),
      el("td", { "data-v": mean.y[k] }, interval(mean.y[k], mean.half[k])))));
  }
  return el("table", {}, el("thead", {}, el("tr", {}, heading("line", true), heading(xLabel), heading(yLabel))), body);
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
  state.logY = state.name === section.main ? section.log : spreads(rows, state);
  const has = (row) => row.seeds.some(({ curve }) => curve?.numbers[state.name]);
  const { legend, shown } = legendOf(rows, AT_FIRST, () => redraw(), has);
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
  const host = el("div", { class: "plot" });
  const redraw = () => drawn.draw(made());
  figure.append(
    el("div", { class: "tools" },
      names.length > 1 ? choice("Number", names, (value) => { state.name = value; redraw(); }) : null,
      ...axisTools(section, state, redraw), check("seeds", (value) => { state.seeds = value; redraw(); }, true),
      button("Zoom in", () => drawn.zoom(0.5)), button("Zoom out", () => drawn.zoom(2)), button("Show all", redraw)),
    legend, host);
  const drawn = plot(host, made(), CURVES);
  tableBelow(figure, () => { const { lines, xLabel, yLabel } = made(); return [asTable(lines, xLabel, yLabel)]; });
}

function lossCharts(figure, section) {
  const lossesOf = (row) => [...new Set(row.seeds.flatMap(({ curve }) => Object.keys(curve?.losses ?? {})))];
  const rows = section.rows.filter((row) => row.model && lossesOf(row).length);
  const state = { where: section.where.includes("items") ? "items" : section.where[0] };
  const names = [...new Set(rows.flatMap(lossesOf))]; // a loss has one colour in all panels
  const colourOf = (name) => LOSS_COLOURS[names.indexOf(name) % LOSS_COLOURS.length];
  const drawn = [], panels = el("div", { class: "panels" });
  const made = (row) => ({
    ...state, seeds: true, levels: [], height: 230, label: `losses of ${row.name}`, xLabel: WHERE[state.where].replace("{noun}", section.noun), yLabel: "loss",
    unit: state.where === "items" ? section.noun : undefined,
    lines: lossesOf(row).map((name) => ({ ...lineOf(row, "losses", name, state.where), label: name, colour: colourOf(name) })),
  });
  const add = (row) => {
    const host = el("div", { class: "plot" });
    const key = lossesOf(row).map((name) => el("span", {}, swatchOf({ colour: colourOf(name) }), name));
    const panel = el("div", { class: "panel", "data-m": row.name }, el("h4", {}, row.name), el("div", { class: "legend" }, ...key), host);
    panels.append(panel);
    whenSeen(panel, () => drawn.push([plot(host, made(row), CURVES), row]));
  };
  rows.slice(0, PANELS).forEach(add);
  const more = rows.length > PANELS ? button(`Show the losses of all ${rows.length} models`, () => { more.remove(); rows.slice(PANELS).forEach(add); }, { class: "more" }) : null;
  figure.append(el("div", { class: "tools" }, ...axisTools(section, state, () => drawn.forEach(([each, row]) => each.draw(made(row))))), panels);
  if (more) figure.append(more);
  tableBelow(figure, () => {
    const every = rows.slice(0, PANELS).flatMap((row) => made(row).lines.map((line) => ({ ...line, label: `${row.name}: ${line.label}` })));
    return [asTable(every, WHERE[state.where].replace("{noun}", section.noun), "loss")];
  });
}

"use strict";
// Charts of single values, as `web/charted.py` writes them: bars, points with intervals, ranks, and steps.
const ROW = 26; // pixels from one row to the next
const MOST_TALL = 8000; // pixels: browsers do not draw on a larger canvas
const OUTLINES = {
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  up: [[0, -1.1], [1.1, 0.9], [-1.1, 0.9]],
  down: [[0, 1.1], [1.1, -0.9], [-1.1, -0.9]],
  diamond: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  plus: [[-0.4, -1.1], [0.4, -1.1], [0.4, -0.4], [1.1, -0.4], [1.1, 0.4], [0.4, 0.4], [0.4, 1.1], [-0.4, 1.1], [-0.4, 0.4], [-1.1, 0.4], [-1.1, -0.4], [-0.4, -0.4]],
};
OUTLINES.cross = OUTLINES.plus.map(([x, y]) => [0.71 * (x - y), 0.71 * (x + y)]);

const withoutArrow = (label) => label.replace(/ [←→↑↓]$/, "");

// The ends of an axis that holds all of these values with room to spare, a share of their range.
function around(values, log, room) {
  const held = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (!held.length) return log ? [1, 10] : [0, 1];
  const to = log ? Math.log : (value) => value, back = log ? Math.exp : (value) => value;
  const low = to(Math.min(...held)), high = to(Math.max(...held));
  const more = room * (high - low) || (log ? 0.5 : 0.1 * Math.abs(high)) || 1;
  return [back(low - more), back(high + more)];
}

// What a panel draws now: its lines for the models that are shown, and the rows that these have values in.
function arranged(panel, models, shown, state) {
  const lines = models.flatMap((model, place) => (shown.has(model) && panel.marks[place].length ? [{ ...model, label: model.name, marks: panel.marks[place] }] : []));
  const kept = panel.most === null ? lines : lines.slice(0, panel.most);
  const used = panel.rows.map((_, row) => kept.filter(({ marks }) => marks.some((mark) => mark.row === row)));
  const places = new Map(used.flatMap((held, row) => (held.length ? [row] : [])).map((row, place) => [row, place]));
  const apart = panel.kind === "ranks" ? () => 0 : (line, row) => 0.76 * ((used[row].indexOf(line) + 0.5) / used[row].length - 0.5);
  for (const line of kept) {
    line.mean = {
      x: line.marks.map(({ x }) => x[0]),
      y: line.marks.map(({ y, row }) => (row === undefined ? y[0] : places.get(row) + apart(line, row))),
    };
  }
  const rows = [...places.keys()].map((row) => panel.rows[row]);
  const most = Math.max(1, ...used.map((held) => held.length));
  const each = panel.kind === "ranks" ? ROW : Math.max(ROW, 9 * most + 8);
  const height = rows.length ? Math.min(MOST_TALL, each * rows.length + 70) : 340;
  const { kind, levels, uprights, interval: means } = panel;
  return {
    kind, lines: kept, rows, levels, uprights, means, height, each, seeds: state.seeds, logX: panel.logX, logY: panel.logY,
    xLabel: panel.x, yLabel: panel.y, byRow: panel.rows.length > 0,
  };
}

// A name cut to a width in pixels.
function fitted(ctx, name, width) {
  if (ctx.measureText(name).width <= width) return name;
  let length = name.length;
  while (length > 1 && ctx.measureText(`${name.slice(0, length)}…`).width > width) length--;
  return `${name.slice(0, length)}…`;
}

// The vertical axis of a chart by row: the rows' names.
function sideOf({ rows, each }, width) {
  const ctx = el("canvas").getContext("2d");
  ctx.font = "12px system-ui, sans-serif";
  const names = rows.map((row) => fitted(ctx, row, 0.36 * width));
  const every = Math.ceil(rows.length * each / MOST_TALL);
  return {
    size: Math.ceil(Math.max(20, ...names.map((name) => ctx.measureText(name).width))) + 12, gap: 6,
    splits: (u, _, low, high) => names.map((__, place) => place).filter((place) => place >= low && place <= high && place % every === 0),
    values: (_, places) => places.map((place) => names[place]), grid: { show: false }, ticks: { show: false },
  };
}

const MARKS = {
  series(given, width) {
    const { kind, lines, rows, logX, logY, byRow } = given;
    const marks = lines.flatMap((line) => line.marks), seeds = given.seeds ? marks.flatMap((mark) => mark.seeds ?? []) : [];
    const side = byRow ? sideOf(given, width) : undefined;
    const across = [...marks.flatMap(({ x }) => x), ...seeds.map(([, x]) => x)];
    let x = around(across, logX, kind === "steps" ? 0 : 0.12);
    if (kind === "bars" && !logX) x = [0, (1 + 62 / Math.max(120, width - side.size)) * Math.max(0, ...across) || 1];
    if (kind === "steps" && logX) x = [Math.max(x[0], 1e-9), x[1]];
    const up = [...marks.flatMap(({ y }) => y ?? []), ...seeds.map((seed) => seed[2]), ...given.levels.map(({ value }) => value)];
    let y = byRow ? [-0.6, Math.max(rows.length, 1) - 0.4] : around(up, logY, 0.1);
    if (kind === "steps") y = [-0.03, 1.03];
    const asAsked = (_, low, high) => [low, high];
    // What uPlot sees are the corners only, so that it scales and zooms; `after` draws the marks.
    return { data: [x, y], series: [{}, { width: 0, points: { show: false } }], bands: [], rangeX: asAsked, rangeY: asAsked, side };
  },

  after(u, given) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const ratio = devicePixelRatio, low = u.scales.x.min, bottom = u.scales.y.min;
    const at = {
      x: (value) => u.valToPos(given.logX && !(value > 0) ? low : value, "x", true),
      y: (value) => u.valToPos(given.logY && !(value > 0) ? bottom : value, "y", true),
    };
    if (given.byRow && given.each > ROW) parted(ctx, given, at, bbox);
    given.lines.forEach((line, place) => (given.kind === "steps" ? drawSteps : drawMarks)(ctx, given, line, at, ratio, place));
    if (given.kind === "bars") nameBars(ctx, given, at, ratio);
    else if (!given.byRow && given.kind === "points") namePoints(ctx, given, at, ratio, bbox);
    ctx.restore();
  },

  nearest(u, { kind, byRow }, { mean }, left, top) {
    if (kind === "steps") {
      const value = u.posToVal(left, "x"), k = Math.max(0, mean.x.findLastIndex((x) => x <= value));
      return { k, apart: Math.abs(u.valToPos(mean.y[k], "y") - top) };
    }
    const away = mean.x.map((x, k) => Math.hypot((byRow ? 0.05 : 1) * (u.valToPos(x, "x") - left), u.valToPos(mean.y[k], "y") - top));
    const k = nearest(away, 0);
    return Number.isFinite(away[k]) ? { k, apart: away[k] } : null;
  },

  words({ kind, byRow, rows, xLabel, yLabel, means }, { label, mean, marks }, k) {
    const { x, y, seeds = [], of } = marks[k], said = [];
    const row = byRow ? rows[Math.round(mean.y[k])] : label;
    if (row !== label) said.push(row);
    said.push(`${withoutArrow(xLabel)}: ${spanned(x)}`);
    if (!byRow) said.push(`${withoutArrow(yLabel)}: ${spanned(y)}`);
    const over = seeds.length > 1 ? `mean of ${of} seeds` : seeds.length ? `seed ${seeds[0][0]}` : "";
    const each = ([seed, a, b]) => `seed ${seed}: ${plain(a)}${byRow ? "" : `, ${plain(b)}`}`;
    return { said, over: [over, x.length > 1 || y?.length > 1 ? means : ""].filter(Boolean).join(", "), seeds: seeds.map(each) };
  },

  described(given) {
    const said = given.lines.slice(0, 12).map((line) => {
      const every = line.marks.map((_, k) => MARKS.words(given, line, k).said.join(", "));
      return `${line.label} ${given.kind === "steps" ? `from ${every[0]} to ${every.at(-1)}` : every.slice(0, 6).join("; ")}`;
    });
    return `${withoutArrow(given.yLabel || "values")} against ${withoutArrow(given.xLabel)}: ${said.join("; ") || "nothing is shown"}`;
  },
};

// Lines between rows that hold several points each.
function parted(ctx, { rows }, at, { left, width }) {
  ctx.strokeStyle = colour("--grid");
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  rows.slice(1).forEach((_, place) => {
    ctx.moveTo(left, at.y(place + 0.5));
    ctx.lineTo(left + width, at.y(place + 0.5));
  });
  ctx.stroke();
}

function drawSteps(ctx, given, { colour: shade, marks }, at, ratio, place) {
  const raised = 0.004 * place; // moves lines apart that coincide
  const last = marks.length - 1;
  // The corners of a line through one part of the marks: each value holds up to the next mark.
  const corners = (part) => marks.flatMap(({ x, y }, k) => {
    const height = at.y((y[part] ?? y[0]) + (part ? 0 : raised));
    return k < last ? [[at.x(x[0]), height], [at.x(marks[k + 1].x[0]), height]] : [[at.x(x[0]), height]];
  });
  const path = (points) => {
    ctx.beginPath();
    for (const point of points) ctx.lineTo(...point);
  };
  ctx.fillStyle = ctx.strokeStyle = visibleColour(shade ?? "#767676");
  if (marks.some(({ y }) => y.length > 1)) {
    ctx.globalAlpha = 0.1;
    path([...corners(2), ...corners(1).reverse()]);
    ctx.fill();
    ctx.globalAlpha = 1;
  }
  ctx.lineWidth = 2 * ratio;
  path(corners(0));
  ctx.stroke();
}

function drawMarks(ctx, { kind, seeds: withSeeds, each }, line, at, ratio) {
  const shade = visibleColour(line.colour ?? "#767676");
  const size = 5 * ratio;
  line.marks.forEach(({ x, y, seeds = [] }, k) => {
    const here = [at.x(x[0]), at.y(line.mean.y[k])];
    ctx.fillStyle = ctx.strokeStyle = shade;
    if (kind === "bars") {
      const tall = Math.min(0.66 * each, 0.66 * ROW) * ratio, from = at.x(0);
      ctx.globalAlpha = 0.9;
      ctx.fillRect(from, here[1] - tall / 2, here[0] - from, tall);
      ctx.globalAlpha = 1;
      ctx.strokeStyle = colour("--text");
    }
    if (kind === "ranks") ctx.strokeStyle = colour("--dim");
    ctx.lineWidth = (kind === "ranks" ? 4 : 1.5) * ratio;
    if (x.length > 1) whisker(ctx, [at.x(x[1]), here[1]], [at.x(x[2]), here[1]], kind === "ranks" ? 0 : 3 * ratio);
    if (y?.length > 1) whisker(ctx, [here[0], at.y(y[1])], [here[0], at.y(y[2])], 3 * ratio);
    if (withSeeds) {
      ctx.fillStyle = kind === "bars" ? colour("--text") : shade;
      for (const [, a, b] of seeds) disc(ctx, at.x(a), b === null ? here[1] : at.y(b), 2.2 * ratio);
      ctx.fillStyle = shade;
    }
    if (kind !== "bars") shaped(ctx, line.shape, here, size);
  });
}

function whisker(ctx, from, to, cap) {
  const upright = from[0] === to[0];
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(...to);
  for (const [x, y] of cap ? [from, to] : []) {
    ctx.moveTo(x - (upright ? cap : 0), y - (upright ? 0 : cap));
    ctx.lineTo(x + (upright ? cap : 0), y + (upright ? 0 : cap));
  }
  ctx.stroke();
}

function disc(ctx, x, y, radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
}

function shaped(ctx, shape, [x, y], size) {
  if (!(shape in OUTLINES)) return disc(ctx, x, y, size);
  ctx.beginPath();
  for (const [right, down] of OUTLINES[shape]) ctx.lineTo(x + size * right, y + size * down);
  ctx.fill();
}

// The value of each bar, behind the end of its interval.
function nameBars(ctx, { lines }, at, ratio) {
  ctx.font = font(11);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { marks, mean } of lines) {
    marks.forEach(({ x }, k) => written(ctx, amount(x[0]), at.x(Math.max(...x)) + 6 * ratio, at.y(mean.y[k]), colour("--text")));
  }
}

function amount(value) {
  return new Intl.NumberFormat("en", { notation: "compact", minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).format(value);
}

// The models' names, each beside its point where it covers no other; one that fits nowhere is left to the legend.
function namePoints(ctx, { lines }, at, ratio, bbox) {
  ctx.font = font(11);
  ctx.textBaseline = "middle";
  const points = lines.flatMap(({ label, mean }) => mean.x.map((x, k) => ({ label, x: at.x(x), y: at.y(mean.y[k]) })));
  const room = 7 * ratio, tall = 13 * ratio;
  const taken = points.map(({ x, y }) => [x - room, y - room, x + room, y + room]);
  for (const { x, y } of lines.flatMap(({ marks }) => marks)) { // the intervals
    if (x.length > 1) taken.push([at.x(x[1]), at.y(y[0]) - ratio, at.x(x[2]), at.y(y[0]) + ratio]);
    if (y.length > 1) taken.push([at.x(x[0]) - ratio, at.y(y[2]), at.x(x[0]) + ratio, at.y(y[1])]);
  }
  const meets = ([a, b, c, d]) => ([left, top, right, bottom]) => a < right && c > left && b < bottom && d > top;
  for (const { label, x, y } of points) {
    const name = fitted(ctx, label, 0.4 * bbox.width), width = ctx.measureText(name).width;
    for (const [across, down] of [[9, -9], [9, 9], [-9, -9], [-9, 9], [0, -16], [0, 16], [9, -22], [-9, -22], [9, 22], [-9, 22]]) {
      const left = x + across * ratio - (across < 0 ? width : across === 0 ? width / 2 : 0), middle = y + down * ratio;
      const box = [left, middle - tall / 2, left + width, middle + tall / 2];
      if (left < bbox.left || box[2] > bbox.left + bbox.width || box[1] < bbox.top || box[3] > bbox.top + bbox.height) continue;
      if (taken.some(meets(box))) continue;
      taken.push(box);
      ctx.textAlign = "left";
      written(ctx, name, left, middle, colour("--text"));
      break;
    }
  }
}

function marksTable({ kind, lines, xLabel, yLabel, byRow, rows, means }) {
  const body = el("tbody", {});
  for (const { label, marks, mean } of lines) {
    marks.forEach(({ x, y, seeds = [] }, k) => body.append(el(
      "tr", { "data-m": label }, el("th", { scope: "row", class: "l" }, label), byRow ? el("td", { class: "l" }, rows[Math.round(mean.y[k])]) : null,
      el("td", { "data-v": x[0] }, spanned(x)), byRow ? null : el("td", { "data-v": y[0] }, spanned(y)),
      kind === "steps" ? null : el("td", { class: "l" }, seeds.map(([seed, a, b]) => `${seed}: ${plain(a)}${byRow ? "" : `, ${plain(b)}`}`).join("; ") || "–"))));
  }
  const span = `${withoutArrow(byRow ? xLabel : yLabel)} (${means})`;
  return el("table", {}, el("thead", {}, el(
    "tr", {}, heading("model", true), byRow ? heading("row", true) : null, heading(byRow ? span : withoutArrow(xLabel)),
    byRow ? null : heading(span), kind === "steps" ? null : heading("by seed", true))), body);
}

function marksChart(figure, { models, panels, first }) {
  const state = { seeds: false }, drawn = [];
  const { legend, shown } = legendOf(models, first, () => redraw());
  const made = () => panels.map((panel) => arranged(panel, models, shown, state));
  const redraw = () => made().forEach((given, place) => drawn[place].draw(given));
  const logs = (name, of) => {
    const able = panels.filter((panel) => panel.kind !== "ranks" && (name === "logX" || panel.kind === "points") && of(panel));
    if (!able.length) return [];
    const set = (value) => { for (const panel of able) panel[name] = value; redraw(); };
    return [check(name === "logX" ? "log x" : "log y", set, able.some((panel) => panel[name]))];
  };
  const positive = (part) => (panel) => panel.marks.flat().every((mark) => mark[part]?.[0] > 0);
  const host = el("div", { class: "panels wide" });
  figure.append(
    el("div", { class: "tools" },
      ...logs("logX", positive("x")), ...logs("logY", positive("y")),
      panels.some(({ marks }) => marks.flat().some(({ seeds }) => seeds)) ? check("seeds", (value) => { state.seeds = value; redraw(); }) : null,
      button("Zoom in", () => drawn.forEach((each) => each.zoom(0.5))), button("Zoom out", () => drawn.forEach((each) => each.zoom(2))), button("Show all", redraw)),
    legend, host);
  const inside = panels.map(() => el("div", { class: "plot" }));
  host.append(...inside); // all before the first is drawn: they share the width
  made().forEach((given, place) => drawn.push(plot(inside[place], given, MARKS)));
  tableBelow(figure, () => made().map(marksTable));
}

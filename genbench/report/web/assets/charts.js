"use strict";
// Interactive charts: uPlot draws axes and lines; this file adds levels, point labels, zoom and keyboard access.
const plots = new Set();

// Adapts every chart to a change of the theme or of the room for it, at once.
function redrawAll() {
  for (const each of plots) each();
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A model that is black on paper takes the text colour, so that it stays visible on a dark screen.
const visibleColour = (given) => (given === "#000000" ? colour("--text") : given);

function compact(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 }).format(value);
}

// The labels of an axis: all of them short if one of them would be long.
function ticked(values) {
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  return values.map((value) => {
    if (value === null) return "";
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(0);
    return most >= 1e4 ? compact(value) : String(+value.toPrecision(6));
  });
}

// Which lines of a logarithmic axis are labelled: the fewer powers of ten it spans, the more between them.
function labelled(scale, values) {
  const powers = Math.log10(scale.max / scale.min);
  const digits = powers < 0.6 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] : powers < 1.6 ? [1, 2, 5] : powers < 3 ? [1, 3] : [1];
  const every = Math.ceil(powers / 6);
  return values.map((value) => {
    const power = Math.floor(Math.log10(value) + 1e-9);
    return digits.includes(+(value / 10 ** power).toPrecision(3)) && power % every === 0 ? value : null;
  });
}

// Text on a canvas, with a halo so that lines behind it do not cross its letters.
function written(ctx, words, x, y, shade) {
  ctx.save();
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.strokeStyle = colour("--back");
  ctx.fillStyle = shade;
  ctx.strokeText(words, x, y);
  ctx.fillText(words, x, y);
  ctx.restore();
}

function font(size) {
  return `${size * devicePixelRatio}px system-ui, sans-serif`;
}

function nearest(values, value) {
  let best = 0;
  values.forEach((each, k) => { if (Math.abs(each - value) < Math.abs(values[best] - value)) best = k; });
  return best;
}

// Draws a chart; returns functions that change or remove it.
// `given` is what to draw. `manner` is how: `series` and ranges for uPlot, what to draw beyond them (`after`), the point of
// a line that is nearest to the pointer, and what a point and the whole chart say.
function plot(host, given, manner) {
  const note = el("div", { class: "note", hidden: true }), heard = el("p", { class: "heard", "aria-live": "polite" });
  const wrap = el("div", { class: "canvas", tabindex: "0", role: "group" }, note);
  host.append(wrap, heard);
  let chart = null, chosen = 0, at = null;

  function axis(label, scale, log) {
    return {
      label: label || null, stroke: () => colour("--text"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { stroke: () => colour("--grid") },
      values: (_, ticks) => ticked(ticks), font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif",
      size: 36, labelSize: 24, ...(log ? { filter: (u, ticks) => labelled(u.scales[scale], ticks) } : {}),
    };
  }

  function draw(next = given) {
    given = next;
    if (chart) chart.destroy();
    at = null;
    note.hidden = true;
    wrap.setAttribute("aria-label", `${manner.described(given)}. Arrow keys read the values, + and - zoom, 0 resets the view.`);
    const { data, series, bands, rangeX, rangeY, side } = manner.series(given, wrap.clientWidth);
    chart = new uPlot({
      width: Math.max(wrap.clientWidth, 200), height: given.height ?? 340, series, bands, legend: { show: false },
      scales: {
        x: { time: false, distr: given.logX ? 3 : 1, range: rangeX },
        y: { distr: given.logY ? 3 : 1, dir: side ? -1 : 1, range: rangeY },
      },
      axes: [axis(given.xLabel, "x", given.logX), { ...axis(given.yLabel, "y", given.logY), size: 54, ...side }],
      cursor: { drag: { x: true, y: true, uni: 24 }, points: { show: false } },
      hooks: { draw: [drawLevels, (u) => manner.after(u, given)], setCursor: [hovered] },
    }, data, wrap);
  }

  function fit() {
    if (!wrap.clientWidth || Math.abs(wrap.clientWidth - chart.width) <= 1) return;
    if (given.byRow) draw(); // names and values take their share of the width
    else chart.setSize({ width: wrap.clientWidth, height: chart.height });
  }

  function adapt() {
    fit();
    chart.redraw(false);
  }

  function drawLevels(u) {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    const line = (...ends) => { ctx.beginPath(); ctx.moveTo(...ends.slice(0, 2)); ctx.lineTo(...ends.slice(2)); ctx.stroke(); };
    ctx.save();
    ctx.strokeStyle = colour("--dim");
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.font = font(11);
    ctx.textAlign = "right";
    ctx.textBaseline = "alphabetic";
    let lowest = Infinity; // names that would overlap are moved up
    for (const { name, value } of [...given.levels].sort((one, other) => one.value - other.value)) { // from the lowest line
      if (given.logY && value <= 0) continue;
      const y = u.valToPos(value, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      line(bbox.left, y, bbox.left + bbox.width, y);
      lowest = Math.min(y - 4 * ratio, lowest - 12 * ratio);
      written(ctx, name, bbox.left + bbox.width - 4 * ratio, lowest, colour("--dim"));
    }
    for (const { name, value } of given.uprights ?? []) {
      const x = u.valToPos(value, "x", true), right = x > bbox.left + bbox.width / 2;
      if ((given.logX && value <= 0) || x < bbox.left || x > bbox.left + bbox.width) continue;
      line(x, bbox.top, x, bbox.top + bbox.height);
      ctx.textAlign = right ? "right" : "left";
      written(ctx, name, x + (right ? -4 : 4) * ratio, bbox.top + 11 * ratio, colour("--dim"));
    }
    ctx.restore();
  }

  function hovered(u) {
    const { left, top } = u.cursor;
    if (at !== null) return;
    if (left == null || left < 0) { note.hidden = true; return; }
    let best = null;
    given.lines.forEach((line, place) => {
      if (!line.mean.x.length) return;
      const found = manner.nearest(u, given, line, left, top);
      if (found && (!best || found.apart < best.apart)) best = { place, ...found };
    });
    if (best) tell(best.place, best.k);
  }

  function tell(place, k) {
    const { label, mean, colour: shade } = given.lines[place];
    const { said, over, seeds } = manner.words(given, given.lines[place], k);
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = visibleColour(shade);
    note.replaceChildren(
      el("strong", {}, swatch, label), ...said.map((words) => el("div", {}, words)), el("div", { class: "dim" }, over),
      ...(seeds.length > 1 && seeds.length < 9 ? seeds.map((words) => el("div", { class: "dim" }, words)) : []),
    );
    note.hidden = false;
    const x = chart.valToPos(mean.x[k], "x") + chart.over.offsetLeft, y = chart.valToPos(mean.y[k], "y") + chart.over.offsetTop;
    const left = x + 14 + note.offsetWidth > wrap.clientWidth ? x - 14 - note.offsetWidth : x + 14;
    note.style.left = `${Math.max(4, Math.min(left, wrap.clientWidth - note.offsetWidth - 4))}px`;
    note.style.top = `${Math.max(4, Math.min(y - 20, wrap.clientHeight - note.offsetHeight - 4))}px`;
    return [`${label} ${said.join(": ")}`, over].filter(Boolean).join(", ");
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
  plots.add(adapt);
  const sized = new ResizeObserver(fit);
  sized.observe(wrap);
  return {
    draw: (changes) => draw({ ...given, ...changes }), zoom,
    destroy: () => { sized.disconnect(); plots.delete(adapt); chart.destroy(); },
  };
}

function tableBelow(figure, made) {
  const fold = el("details", {}, el("summary", {}, "This chart as a table"));
  fold.addEventListener("toggle", () => {
    for (const old of fold.querySelectorAll(":scope > :not(summary)")) old.remove();
    if (!fold.open) return;
    for (const table of made()) {
      fold.append(el("div", { class: "table", role: "region", tabindex: "0", "aria-label": "this chart as a table" }, table));
      equip(table);
    }
  });
  figure.append(fold);
}

function heading(words, left) {
  return el("th", { scope: "col", class: left ? "l" : null }, words);
}

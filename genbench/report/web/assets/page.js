"use strict";
// Runs once, when the page has loaded.
document.querySelectorAll(".table > table").forEach(equip);
document.querySelector("main").prepend(filterBar());
document.querySelectorAll("figure.chart").forEach((figure) => whenSeen(figure, () => {
  figure.classList.add("drawn");
  const { chart, n, s } = figure.dataset;
  if (n !== undefined) marksChart(figure, facts.charts[n]);
  else (chart === "losses" ? lossCharts : qualityChart)(figure, facts.sections[s]);
}));

// Print always uses the light theme, and draws everything that would otherwise wait until it is visible.
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printed");
  for (const draw of waiting) draw();
  redrawAll();
});
addEventListener("afterprint", () => { document.documentElement.classList.remove("printed"); redrawAll(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawAll());

// The page of a running benchmark is rewritten as records arrive; it reloads while nobody is using it.
const watched = document.querySelector(".watched");
if (watched) {
  let used = 0;
  for (const kind of ["pointermove", "keydown", "scroll", "wheel"]) addEventListener(kind, () => { used = Date.now(); });
  setInterval(() => {
    const playing = [...document.querySelectorAll("audio")].some((clip) => !clip.paused);
    const filtered = filter.words.length || filter.dataset || filter.failed !== "all";
    if (Date.now() - used < 20000 || playing || filtered || document.querySelector("dialog[open]")) return;
    location.reload();
  }, 1000 * Number(watched.dataset.again));
}

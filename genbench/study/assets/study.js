"use strict";

// ---- Decided by the seed: the same hashes as in genbench/study/order.py, so that the answers can be checked.

const ROUNDS = new Int32Array(64), START = new Int32Array(8);
for (let candidate = 2, found = 0; found < 64; candidate++) {
  let prime = true;
  for (let factor = 2; factor * factor <= candidate; factor++) if (candidate % factor === 0) prime = false;
  if (!prime) continue;
  if (found < 8) START[found] = (Math.sqrt(candidate) % 1) * 4294967296;
  ROUNDS[found++] = (Math.cbrt(candidate) % 1) * 4294967296;
}

// Not crypto.subtle, which some browsers deny to a page opened from disk.
function sha256(text) {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6);
  padded.set(bytes);
  padded[bytes.length] = 128;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 536870912));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const state = START.slice(), words = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 16; t++) words[t] = view.getInt32(block + 4 * t);
    for (let t = 16; t < 64; t++) {
      const x = words[t - 15], y = words[t - 2];
      words[t] = (turned(x, 7) ^ turned(x, 18) ^ (x >>> 3)) + (turned(y, 17) ^ turned(y, 19) ^ (y >>> 10)) +
        words[t - 16] + words[t - 7];
    }
    let a = state[0], b = state[1], c = state[2], d = state[3];
    let e = state[4], f = state[5], g = state[6], h = state[7];
    for (let t = 0; t < 64; t++) {
      const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[t] + words[t]) | 0;
      const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

function turned(word, by) {
  return (word >>> by) | (word << (32 - by));
}

const token = (...parts) => sha256(parts.join("/"));
const first = (...parts) => parseInt(token(...parts).slice(0, 8), 16);

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

const source = document.getElementById("study").textContent;
const study = JSON.parse(source);
const hash = sha256(source);

const formOf = (rater) => study.forms[first(hash, rater, "form") % study.forms.length];

function questionsOf(rater) {
  const placed = formOf(rater).map((question) => [token(hash, rater, "order", question), question]);
  return placed.sort((one, other) => (one[0] < other[0] ? -1 : 1)).map((pair) => pair[1]);
}

const isSwapped = (rater, place) => (first(hash, rater, "side") + place) % 2 === 1;

// ---- What persists when the tab is closed.

const kept = `genbench-study-${hash}`;
let keeps = true;
let state = null;

function load() {
  try {
    const found = JSON.parse(localStorage.getItem(kept));
    if (found && typeof found.rater === "string" && Array.isArray(found.answers)) return found;
  } catch { keeps = false; }
  return null;
}

function save() {
  try {
    localStorage.setItem(kept, JSON.stringify(state));
  } catch { keeps = false; }
}

function forget() {
  try { localStorage.removeItem(kept); } catch { keeps = false; }
  state = null;
}

// ---- The content of the page.

const main = document.getElementById("main");
let keys = {};

function made(name, content = [], properties = {}) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...[content].flat());
  return element;
}

function button(text, key, act, properties = {}) {
  const element = made("button", text, { type: "button", ...properties });
  if (key.names.length) {
    const shown = made("kbd", key.shown);
    shown.setAttribute("aria-hidden", "true"); // announced by the next line, and not part of the button's name
    element.setAttribute("aria-keyshortcuts", key.names.map((name) => (name === " " ? "Space" : name)).join(" "));
    element.append(shown);
  }
  element.addEventListener("click", act);
  for (const name of key.names) keys[name] = act;
  return element;
}

const ENTER = { shown: "Enter", names: ["Enter"] };
const PLAY = { text: "Play", shown: "Space", names: [" "] };
const PLAY_TWO = [
  { text: "Play the left one", shown: "1", names: ["1"] },
  { text: "Play the right one", shown: "2", names: ["2"] },
];

function show(...parts) {
  keys = {};
  main.replaceChildren(...parts);
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault(); // so that Enter does not also press a focused button
  act();
});

function footer() {
  const said = keeps
    ? "Your answers are kept in this browser until you delete them; you can close the page and continue later."
    : "This browser stores nothing: do not close the page before you have downloaded your answers.";
  document.getElementById("footer").textContent = `${said} Nothing is sent anywhere.`;
}

window.addEventListener("beforeunload", (event) => {
  if (!keeps && state && state.answers.length) event.preventDefault();
});

function words(...paragraphs) {
  return made("div", paragraphs.map((text) => made("p", text)), { className: "words" });
}

function opening() {
  footer();
  if (state) {
    const total = questionsOf(state.rater).length;
    show(made("h1", "Welcome back"), words(`${state.rater} has answered ${state.answers.length} of ${total} questions.`));
    main.append(made("div", [
      button("Continue", ENTER, () => { state.sessions += 1; save(); next(); }, { className: "first" }),
      button("Delete the answers and start as someone else", { shown: "", names: [] }, () => {
        if (window.confirm("Delete these answers?")) { forget(); opening(); }
      }),
    ], { className: "choices" }));
    return;
  }
  const name = made("input", [], { id: "rater", maxLength: 60, autocomplete: "off", required: true });
  const form = made("form", [
    made("p", [made("label", "A name, or any code that nobody else uses", { htmlFor: "rater" }), made("br"), name]),
    made("button", "Start", { type: "submit", className: "first" }),
  ]);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const rater = name.value.trim().replace(/\s+/g, " ");
    if (!rater) return;
    state = { rater, started: new Date().toISOString(), trained: 0, sessions: 1, answers: [] };
    save();
    footer();
    next();
  });
  show(made("h1", study.prompt), words(...study.instructions), form);
  name.focus();
}

function next() {
  if (state.trained < study.training.length) { train(study.training[state.trained]); return; }
  const questions = questionsOf(state.rater);
  if (state.answers.length < questions.length) { ask(questions[state.answers.length], questions.length); return; }
  closing();
}

// ---- One item, and one question.

// On a narrow screen two items stand one above the other, so each says which side it is.
const SIDES = ["left", "right"];

function item(id, play, side) {
  const { media, content } = study.items[id];
  if (media.startsWith("image/")) {
    const image = made("img", [], { alt: side ? `the ${side} one` : "the item to judge", src: `data:${media};base64,${content}` });
    const ready = image.decode().then(() => {
      image.width = image.naturalWidth * study.magnification;
      image.height = image.naturalHeight * study.magnification;
    });
    return { element: made("div", image, { className: "item" }), ready, hide: () => image.replaceWith(mask(image)) };
  }
  if (media.startsWith("audio/")) {
    const clip = made("audio", [], { src: `data:${media};base64,${content}`, preload: "auto" });
    const player = button(play.text, play, () => { clip.currentTime = 0; clip.play(); });
    const hide = () => { clip.pause(); clip.removeAttribute("src"); player.disabled = true; };
    return { element: made("div", [clip, player], { className: "item" }), ready: Promise.resolve(), hide };
  }
  const text = made("pre", content || "(an empty text)");
  text.style.fontSize = `${16 * study.magnification}px`;
  const element = made("div", text, { className: "item" });
  return { element, ready: Promise.resolve(), hide: () => { text.textContent = "·".repeat(8); } };
}

function mask(image) {
  const side = Math.max(1, study.magnification);
  const canvas = made("canvas", [], { width: image.width, height: image.height });
  const brush = canvas.getContext("2d");
  for (let y = 0; y < image.height; y += side)
    for (let x = 0; x < image.width; x += side) {
      const grey = Math.floor(256 * Math.random());
      brush.fillStyle = `rgb(${grey},${grey},${grey})`;
      brush.fillRect(x, y, side, side);
    }
  return canvas;
}

function pose(question, place, heading, done, answered) {
  const swapped = isSwapped(state.rater, place);
  const ids = study.questions[question].slice();
  if (swapped) ids.reverse();
  const plays = ids.length === 1 ? [PLAY] : PLAY_TWO;
  show(made("h1", heading));
  const sides = ids.length === 1 ? [] : SIDES;
  const items = ids.map((id, number) => item(id, plays[number], sides[number]));
  items.forEach((one, number) => {
    if (sides.length) one.element.prepend(made("p", sides[number], { className: "side" }));
  });
  const box = made("div", items.map((one) => one.element), { className: "items" });
  const choices = made("div", [], { className: "choices" });
  const said = made("p", "", { className: "said", role: "status" });
  main.append(box, choices, said, ...answered);
  let began = null, timer = null;
  const choose = (choice) => {
    const now = performance.now();
    if (began === null || now - began < study.least_ms) return; // too fast to be a decision: meant for the item before
    const taken = Math.round(now - began);
    began = null;
    clearTimeout(timer);
    done(choice, taken, swapped, said, choices);
  };
  for (const { choice, text, key, names } of study.choices) {
    choices.append(button(text, { shown: key, names }, () => choose(choice), { name: choice }));
  }
  Promise.all(items.map((one) => one.ready)).then(() => {
    requestAnimationFrame(() => requestAnimationFrame(() => { // by then the items have been painted
      began = performance.now();
      main.dataset.ready = question;
      if (study.time_limit_ms) timer = setTimeout(() => items.forEach((one) => one.hide()), study.time_limit_ms);
    }));
  });
}

function train({ question, right }) {
  const heading = `Practice ${state.trained + 1} of ${study.training.length}: ${study.prompt}`;
  pose(question, state.trained, heading, (choice, taken, swapped, said, choices) => {
    const sides = swapped ? { first: "right", second: "left" } : { first: "left", second: "right" };
    const answer = sides[right] ?? right;
    const { text } = study.choices.find((one) => one.choice === answer);
    said.textContent = `${choice === answer ? "Right." : "Not quite."} The answer is: ${text}.`;
    keys = {};
    choices.replaceChildren(button("Next", ENTER, () => { state.trained += 1; save(); next(); }, { className: "first" }));
    choices.firstChild.focus();
  }, []);
}

function ask(question, total) {
  const done = state.answers.length;
  const bar = made("progress", [], { max: total, value: done });
  bar.setAttribute("aria-label", "answered questions");
  pose(question, formOf(state.rater).indexOf(question), study.prompt, (choice, ms) => {
    state.answers.push({ question, choice, ms });
    save();
    footer();
    next();
  }, [bar, made("p", `${done} of ${total} answered`)]);
}

function closing() {
  if (!state.finished) { state.finished = new Date().toISOString(); save(); }
  const body = {
    genbench_answers: 1, study: hash, rater: state.rater, started: state.started, finished: state.finished,
    sessions: state.sessions, answers: state.answers,
    screen: {
      width: screen.width, height: screen.height, window_width: innerWidth, window_height: innerHeight,
      pixel_ratio_percent: Math.round(100 * devicePixelRatio),
    },
  };
  const file = JSON.stringify({ ...body, sha256: sha256(canonical(body)) }, null, 1);
  const link = made("a", [], {
    href: URL.createObjectURL(new Blob([file], { type: "application/json" })),
    download: `answers-${state.rater.replace(/[^A-Za-z0-9]+/g, "-") || "rater"}-${hash.slice(0, 8)}.json`,
  });
  show(made("h1", "Thank you"), words("Download your answers and send the file to whoever invited you."));
  main.append(made("div", [
    button("Download the answers", ENTER, () => link.click(), { className: "first", name: "download" }),
    button("Delete the answers and start as someone else", { shown: "", names: [] }, () => {
      if (window.confirm("Delete these answers from this browser?")) { forget(); opening(); }
    }),
  ], { className: "choices" }));
}

state = load();
try { // whether this browser stores anything
  localStorage.setItem(`${kept}-trial`, "1");
  localStorage.removeItem(`${kept}-trial`);
} catch { keeps = false; }
opening();

"use strict";
// Shared by all other scripts: the page's facts, and elements built from text, never from markup.
const facts = JSON.parse(document.getElementById("facts").textContent);

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

function choice(label, options, onchange, value) {
  const select = el("select", { onchange: () => onchange(select.value) });
  for (const [key, shown] of options) select.append(el("option", { value: key, selected: key === value }, shown));
  return el("label", {}, label, " ", select);
}

function check(label, onchange, checked = false) {
  const box = el("input", { type: "checkbox", checked, onchange: () => onchange(box.checked) });
  return el("label", { class: "check" }, box, " ", label);
}

const status = el("p", { class: "said", role: "status", "aria-live": "polite" });

function say(words) {
  status.textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { status.textContent = ""; }, 6000);
}

// Four significant digits, as in the report's tables, with thousands separators.
function plain(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(3);
  return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? Math.ceil(Math.log10(size + 1)) : 4 });
}

// Returns a function that writes numbers to the decimal place of an interval's half-width, which has two significant digits.
function roundedBy(half) {
  const places = 1 - Math.floor(Math.log10(+half.toPrecision(2)));
  return (number) => (places >= 0 && places < 20
    ? number.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places })
    : (Math.round(number / 10 ** -places) * 10 ** -places).toLocaleString("en"));
}

// A value to the decimal place of its ±, as in the report's tables.
function interval(value, half) {
  if (half === null || !(half > 0)) return plain(value) + (half === 0 ? " ± 0" : "");
  const shown = roundedBy(half);
  return `${shown(value)} ± ${shown(+half.toPrecision(2))}`;
}

// A value with the ends of its interval: with ± if both are equally far away, otherwise in parentheses.
function spanned([value, low, high]) {
  if (low === undefined || low === null || high === null) return plain(value);
  const half = (high - low) / 2;
  if (Math.abs(high + low - 2 * value) <= 1e-3 * half || half === 0) return interval(value, half);
  const shown = roundedBy(half);
  return `${shown(value)} (${shown(low)} to ${shown(high)})`;
}

function dialog(title, body, onclose) {
  const heading = el("h2", {}, title);
  const made = el(
    "dialog", { "aria-label": title },
    el("div", { class: "bar" }, heading, button("Close", () => made.close(), { class: "close" })), body,
  );
  made.addEventListener("close", () => { if (onclose) onclose(); made.remove(); });
  made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
  document.body.append(made);
  made.showModal();
  return made;
}

// Calls once, when the element comes close to the viewport: a page of hundreds of models draws only what is visible.
const waiting = new Set();

function whenSeen(element, call) {
  const once = () => {
    seen.disconnect();
    if (waiting.delete(once)) call();
  };
  const seen = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) once();
  }, { rootMargin: "300px" });
  waiting.add(once);
  seen.observe(element);
}

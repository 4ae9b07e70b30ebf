"use strict";
// Enlarges pictures by integer factors without smoothing: a reader must see the pixels that the model drew.
function showLarger(pressed) {
  const every = [...pressed.closest(".gallery").querySelectorAll(".made:not([hidden]) button.larger")];
  let place = every.indexOf(pressed);
  const picture = el("img", { class: "large", alt: "" }), label = el("p", { "aria-live": "polite" });
  const move = (by) => {
    place = (place + by + every.length) % every.length;
    const from = every[place].querySelector("img");
    picture.src = from.src;
    picture.alt = label.textContent = from.alt;
    const room = Math.min((0.9 * innerWidth - 60) / from.naturalWidth, (0.9 * innerHeight - 170) / from.naturalHeight);
    picture.width = from.naturalWidth * (room >= 1 ? Math.floor(room) : room);
  };
  const body = el(
    "div", { class: "view" }, picture, label,
    el("div", { class: "bar" }, button("← Previous", () => move(-1)), button("Next →", () => move(1))),
  );
  const made = dialog("Larger view", body, () => every[place].focus());
  made.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) move(by);
  });
  move(0);
}

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("button.larger");
  if (pressed) showLarger(pressed);
});

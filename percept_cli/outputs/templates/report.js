"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const pairs = data.pairs;
const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const narrow = matchMedia("(max-width: 760px)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const ROW = 60;
const BEYOND = 6; // Rows made above and below the visible ones.
const BLINK = 700; // Milliseconds an image stands; slow enough for those whom flashing harms.
const SMALLEST_TOP = 0.1; // The colour scale of a map never ends lower.

const list = byId("list");
const stage = byId("stage");
const rows = new Map(); // Position in the list → its element.
let shown = []; // Indices of the pairs that the filters leave, sorted.
let chosen = -1; // Index of the pair that is shown.
let mode = "side";
let frame = -1; // Index among the frames that differ, of an animation.
let region = -1;
let blinking = 0;
const filters = { text: "", statuses: new Set(), sort: data.measure };
const view = { z: 1, x: 0, y: 0, w: 1, h: 1, paneWidth: 1, paneHeight: 1 };

/** An element with properties and children; text never becomes markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A distance as the tables of percept show it. */
function figure(value) {
  if (value === null || value === undefined) return "–";
  return value >= 0.001 || value === 0 ? value.toFixed(4) : value.toExponential(1);
}

function number(value) {
  return value.toLocaleString("en");
}

function measured(pair, measure) {
  if (measure === "total" || measure === "peak") return pair[measure];
  if (measure === "jnd") return pair.jnd?.value ?? null;
  return pair.layers[measure] ?? null;
}

function limitOf(pair, measure) {
  if (!pair.thresholds) return null;
  const { peak, total, jnd, layers } = pair.thresholds;
  return { peak, total, jnd }[measure] ?? layers[measure] ?? null;
}

/** The chosen pair; of several frames with what is said of the one that is shown. */
function current() {
  const pair = pairs[chosen];
  if (frame < 0) return pair;
  const one = pair.frames[frame];
  const { reference, candidate, overlay } = pair.pictures.frames[frame];
  return { ...pair, ...one, marks: one.regions, pictures: { reference, candidate, overlay } };
}

/* The list. */

function applyFilters() {
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (pair) =>
    (!filters.statuses.size || filters.statuses.has(pair.status)) &&
    words.every((word) => pair.id.toLowerCase().includes(word));
  shown = pairs.map((_, index) => index).filter((index) => fits(pairs[index]));
  if (filters.sort !== "name") shown.sort(byMeasure);
  byId("shown").textContent =
    shown.length === pairs.length
      ? `${number(pairs.length)} ${pairs.length === 1 ? "pair" : "pairs"}`
      : `${number(shown.length)} of ${number(pairs.length)} pairs`;
  forgetRows();
  byId("sizer").style.height = `${shown.length * ROW}px`;
  list.scrollTop = 0;
  drawRows();
  drawNone();
  drawPlace();
}

/** Largest first; before them what fails without a number, or whatever its number is. */
function byMeasure(a, b) {
  const rank = (index) => {
    const { failing, bands } = pairs[index];
    const value = measured(pairs[index], filters.sort);
    return failing && (value === null || bands.length) ? Infinity : (value ?? -1);
  };
  return rank(b) - rank(a) || a - b;
}

function forgetRows() {
  for (const row of rows.values()) row.remove();
  rows.clear();
}

function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - BEYOND);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + BEYOND);
  for (const [position, row] of rows) {
    if (position >= first && position < last) continue;
    row.remove();
    rows.delete(position);
  }
  for (let position = first; position < last; position++) {
    if (rows.has(position)) continue;
    const row = rowOf(position);
    rows.set(position, row);
    byId("sizer").append(row);
  }
}

function rowOf(position) {
  const index = shown[position];
  const pair = pairs[index];
  const cut = pair.label.lastIndexOf("/") + 1;
  const measure = filters.sort === "name" ? data.measure : filters.sort;
  const value = measured(pair, measure);
  const picture = pair.pictures.thumbnail
    ? make("img", { className: "thumb", src: pair.pictures.thumbnail, alt: "", decoding: "async" })
    : make("span", { className: "thumb" });
  const row = make(
    "div",
    { className: "row", id: `row-${position}`, role: "option", title: pair.id },
    picture,
    make(
      "div",
      { style: "min-width:0" },
      make("div", { className: "name" }, make("bdi", {}, pair.label.slice(cut))),
      cut ? make("div", { className: "folder" }, make("bdi", {}, pair.label.slice(0, cut))) : null,
    ),
    make(
      "div",
      { className: "figures" },
      make("span", { className: pair.failing ? "failing" : "" }, value === null ? "" : figure(value)),
      make("small", { className: pair.failing ? "failing" : "" }, pair.status),
    ),
  );
  row.setAttribute("aria-setsize", shown.length);
  row.setAttribute("aria-posinset", position + 1);
  row.setAttribute("aria-selected", index === chosen);
  row.style.top = `${position * ROW}px`;
  row.addEventListener("click", () => go(index));
  return row;
}

function drawNone() {
  list.querySelector(".none")?.remove();
  if (shown.length) return;
  const all = make("button", { type: "button" }, "Show all");
  all.addEventListener("click", () => {
    filters.text = byId("search").value = "";
    filters.statuses.clear();
    for (const chip of document.querySelectorAll(".chip")) press(chip, false);
    applyFilters();
  });
  list.append(make("div", { className: "none", role: "presentation" }, "No pair matches.", make("br"), all));
}

/** Bring the chosen pair's row into view. */
function revealRow() {
  const position = shown.indexOf(chosen);
  if (position < 0) return list.removeAttribute("aria-activedescendant");
  const top = position * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  drawRows();
  for (const [place, row] of rows) row.setAttribute("aria-selected", place === position);
  list.setAttribute("aria-activedescendant", `row-${position}`);
}

function step(by) {
  if (!shown.length) return;
  const position = shown.indexOf(chosen);
  const next = position < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, position + by));
  go(shown[next]);
}

/* The distribution of scores. */

const svg = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

function drawHistogram() {
  const measure = filters.sort === "name" ? data.measure : filters.sort;
  const scored = pairs.filter((pair) => measured(pair, measure) !== null);
  const differing = scored.filter((pair) => measured(pair, measure) > 0);
  const threshold = commonest(scored.map((pair) => limitOf(pair, measure)).filter((v) => v !== null));
  const values = differing.map((pair) => measured(pair, measure));
  const top = values.reduce((a, b) => Math.max(a, b), (threshold ?? 0) * 1.15 || 1e-9);
  const plot = byId("histogram");
  plot.replaceChildren(...bars(differing, measure, top), svg("line", { class: "axis", x1: 0, x2: 340, y1: 72, y2: 72 }));
  plot.append(svg("text", { x: 0, y: 93 }, "0"), svg("text", { x: 340, y: 93, "text-anchor": "end" }, figure(top)));
  if (threshold !== null) {
    const x = (threshold / top) * 340;
    plot.append(svg("line", { class: "threshold", x1: x, x2: x, y1: 2, y2: 76 }));
    const end = x > 250 ? "end" : "start";
    const text = `threshold ${threshold}`;
    plot.append(svg("text", { class: "threshold-text", x: x + (end === "end" ? -5 : 5), y: 10, "text-anchor": end }, text));
  }
  plot.append(svg("path", { class: "here", id: "here", d: "" }));
  const same = scored.length - differing.length;
  const above = threshold === null ? 0 : values.filter((value) => value > threshold).length;
  const text = [
    `${measure} of ${number(differing.length)} ${differing.length === 1 ? "pair" : "pairs"} that differ`,
    ...(threshold === null ? [] : [`${number(above)} above the threshold ${threshold}`]),
    ...(same ? [`${number(same)} at 0, not drawn`] : []),
  ].join("; ");
  byId("histogram-text").textContent = text;
  plot.setAttribute("aria-label", `Histogram: ${text}`);
  plot.dataset.top = top;
  drawHere();
}

function bars(differing, measure, top) {
  const bins = Array.from({ length: 34 }, () => [0, 0]);
  for (const pair of differing) {
    const bin = Math.min(33, Math.floor((measured(pair, measure) / top) * 34));
    bins[bin][pair.failing ? 1 : 0]++;
  }
  const most = Math.max(...bins.map(([fine, failing]) => fine + failing), 1);
  const height = (count) => (count ? Math.max(1.5, (count / most) * 58) : 0);
  return bins.flatMap(([fine, failing], bin) => {
    const x = bin * 10 + 0.75;
    const lower = height(fine);
    return [
      svg("rect", { class: "bar", x, width: 8.5, y: 72 - lower, height: lower }),
      svg("rect", { class: "bar failing", x, width: 8.5, y: 72 - lower - height(failing), height: height(failing) }),
    ];
  });
}

/** The threshold that most pairs have; some may have their own. */
function commonest(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

/** Mark where the chosen pair stands in the distribution. */
function drawHere() {
  const measure = filters.sort === "name" ? data.measure : filters.sort;
  const value = chosen < 0 ? null : measured(pairs[chosen], measure);
  const x = value === null ? 0 : (value / byId("histogram").dataset.top) * 340;
  byId("here").setAttribute("d", value === null ? "" : `M${x} 73l4 7h-8z`);
}

/* One pair. */

function address(index) {
  return `#${encodeURIComponent(pairs[index].id).replaceAll("%2F", "/")}`;
}

function go(index) {
  if (location.hash === address(index)) show(index);
  else if (narrow.matches || chosen < 0) location.hash = address(index);
  else {
    // Steps through the list are no places to come back to.
    history.replaceState(null, "", address(index));
    show(index);
  }
}

function fromAddress() {
  const text = location.hash.slice(1);
  let id = text;
  try {
    id = decodeURIComponent(text);
  } catch {
    // Not encoded by us: take it as it stands.
  }
  const index = text ? pairs.findIndex((pair) => pair.id === id) : -1;
  root.classList.toggle("viewing", index >= 0);
  if (index >= 0) show(index);
  else if (chosen < 0 && shown.length && !narrow.matches) show(shown[0]);
}

function show(index) {
  chosen = index;
  region = -1;
  const pair = pairs[index];
  frame = pair.frames.findIndex(({ number }) => number === pair.frame);
  byId("name").textContent = pair.id;
  byId("status").textContent = pair.status;
  byId("status").className = `badge ${pair.status}`;
  byId("reason").textContent = pair.error ?? pair.failures.join("; ");
  byId("link").href = address(index);
  document.title = `${pair.label} · percept report`;
  drawPlace();
  drawFrame();
  setZoom(1, 0, 0);
  drawStage();
  drawLayers(pair);
  drawDetails(pair);
  drawHere();
  revealRow();
}

function stepFrame(by) {
  const count = pairs[chosen].frames.length;
  if (frame < 0) return;
  frame = (frame + by + count) % count;
  region = -1;
  drawFrame();
  drawStage();
}

/** Which of the frames that differ is shown. */
function drawFrame() {
  const { frames } = pairs[chosen];
  byId("frame-tools").hidden = frames.length < 2;
  const { number: one, jnd } = frames[frame] ?? {};
  const visible = jnd ? `: jnd ${jnd.value.toFixed(2)}` : "";
  byId("frame").textContent = frame < 0 ? "" : `Frame ${one}${visible}`;
  drawModes(current());
}

function drawPlace() {
  const position = shown.indexOf(chosen);
  byId("place").textContent = position < 0 ? "" : `${number(position + 1)} of ${number(shown.length)}`;
  byId("previous-pair").disabled = position <= 0;
  byId("next-pair").disabled = position === shown.length - 1;
}

/** Offer only views for which there are pictures. */
function drawModes(pair) {
  const { reference, candidate, overlay } = pair.pictures;
  const both = Boolean(reference && candidate);
  const able = { side: true, swipe: both, blink: both, overlay: Boolean(candidate && overlay) };
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.disabled = !able[button.dataset.mode];
  }
  if (!able[mode]) setMode("side");
  byId("region-tools").hidden = !pair.marks.length;
}

function setMode(next) {
  if (document.querySelector(`[data-mode="${next}"]`).disabled) return;
  mode = next;
  for (const button of document.querySelectorAll("[data-mode]")) press(button, button.dataset.mode === mode);
  if (chosen >= 0) drawStage();
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", pressed);
}

function isPressed(button) {
  return button.getAttribute("aria-pressed") === "true";
}

/* The images. */

const picture = (side, className = "") => ({ side, className: `picture ${className}` });

/** The panes of a view: a title and, from below to above, what lies in it. */
function panesOf(pair) {
  if (mode === "swipe") {
    return [{ title: "Reference | candidate", layers: [[picture("reference")], [picture("candidate")]] }];
  }
  if (mode === "blink") {
    return [{ title: "Reference", layers: [[picture("reference"), picture("candidate", "blinks")]] }];
  }
  if (mode === "overlay") {
    return [{ title: "Heat map over candidate", scale: true, layers: [[picture("candidate"), { side: "overlay", className: "map" }]] }];
  }
  const map = pair.pictures.overlay
    ? [picture("candidate", "under-map"), { side: "overlay", className: "map" }]
    : [{ side: "heatmap", className: "heat" }];
  return [
    { title: "Reference", layers: [[picture("reference")]] },
    { title: "Candidate", layers: [[picture("candidate")]] },
    { title: "Heat map", layers: [map], scale: true },
  ];
}

function drawStage() {
  const pair = current();
  stage.className = `stage ${mode}`;
  stage.replaceChildren(...panesOf(pair).map((pane) => paneOf(pair, pane)));
  byId("split-label").hidden = mode !== "swipe";
  byId("opacity-label").hidden = mode !== "overlay";
  byId("pause").hidden = mode !== "blink";
  if (mode === "swipe") stage.querySelector(".view").append(swipeHandle());
  fit();
  restartBlinking();
  drawRegion();
}

function paneOf(pair, pane) {
  const stack = make("div", { className: "view" });
  const found = pane.layers.flat().some(({ side }) => pair.pictures[side]);
  pane.layers.forEach((images, number) => {
    const layer = make("div", { className: "layer" }, ...images.map((image) => imageOf(pair, image)));
    if (found) layer.style.background = pair.background ?? data.background;
    stack.append(make("div", { className: number ? "clip over" : "clip" }, layer));
  });
  if (found) {
    const outlines = make("div", { className: "layer outlines" }, ...pair.marks.map((mark) => outlineOf(pair, mark)));
    stack.append(make("div", { className: "clip" }, outlines));
  } else {
    stack.append(make("div", { className: "absent" }, absence(pair, pane.title)));
  }
  const scale = pane.scale && pair.pictures.overlay && pair.peak !== null;
  const title = make("span", { className: "pane-title" }, pane.title);
  const range = scale ? make("span", {}, `0 to ${figure(Math.max(pair.peak, SMALLEST_TOP))}`) : null;
  addPanning(stack);
  return make("figure", { className: "pane" }, make("figcaption", {}, title, range), stack);
}

function absence(pair, title) {
  if (title === "Heat map") return pair.total === 0 ? "Nothing differs" : "No heat map";
  const path = title === "Reference" ? pair.reference : pair.candidate;
  return path ? `${title}: no picture can be shown` : `There is no ${title.toLowerCase()}`;
}

/** The preview at once; the original in its place when it has come. */
function imageOf(pair, { side, className }) {
  const preview = pair.pictures[side];
  if (!preview) return null;
  const alt = { reference: "Reference", candidate: "Candidate" }[side] ?? "Heat map";
  const image = make("img", { className, alt, src: preview, draggable: false });
  const original = pair.pictures[`${side}_original`];
  // Of an animation it would move, and aligned pictures have room for what only one has.
  if (original && pair.frame === null && !pair.bands.length) {
    const whole = new Image();
    whole.addEventListener("load", () => (image.src = whole.src));
    whole.src = original;
  }
  return image;
}

function outlineOf(pair, box) {
  const outline = make("div", { className: `region ${box.kind ?? ""}` });
  const [width, height] = pair.canvas;
  outline.style.left = `${(box.x / width) * 100}%`;
  outline.style.top = `${(box.y / height) * 100}%`;
  outline.style.width = `${(box.width / width) * 100}%`;
  outline.style.height = `${(box.height / height) * 100}%`;
  return outline;
}

/** The size of what the pictures show, or of the one picture there is. */
function sizeOf(pair) {
  if (pair.width) return pair.canvas;
  const image = stage.querySelector("img");
  return [image?.naturalWidth || 4, image?.naturalHeight || 3];
}

/** Give all panes the height and the scale at which the whole image is seen. */
function fit() {
  if (chosen < 0) return;
  const views = [...stage.querySelectorAll(".view")];
  if (!views.length || !views[0].clientWidth) return;
  const [width, height] = sizeOf(pairs[chosen]);
  const most = innerHeight * (narrow.matches && mode === "side" ? 0.36 : 0.62);
  view.paneWidth = views[0].clientWidth;
  view.paneHeight = Math.round(Math.min(most, Math.max(140, (view.paneWidth * height) / width)));
  for (const element of views) element.style.height = `${view.paneHeight}px`;
  const scale = Math.min(view.paneWidth / width, view.paneHeight / height);
  view.w = width * scale;
  view.h = height * scale;
  stage.style.setProperty("--w", `${view.w}px`);
  stage.style.setProperty("--h", `${view.h}px`);
  if (!pairs[chosen].width) {
    for (const image of stage.querySelectorAll("img")) {
      if (!image.complete) image.addEventListener("load", fit, { once: true });
    }
  }
  setZoom(view.z, view.x, view.y);
}

/** Screen pixels per image pixel when the whole image is seen. */
function fitted() {
  return view.w / sizeOf(pairs[chosen])[0];
}

/** A zoom between the whole image, or its actual size if that is smaller, and large pixels. */
function zoomed(z) {
  const scale = fitted();
  return Math.min(Math.max(8, 16 / scale), Math.max(Math.min(1, 1 / scale), z));
}

function setZoom(z, x, y) {
  view.z = zoomed(z);
  const reach = (length) => (view.z > 1 ? (length * view.z) / 2 : 0);
  view.x = Math.min(reach(view.w), Math.max(-reach(view.w), x));
  view.y = Math.min(reach(view.h), Math.max(-reach(view.h), y));
  stage.style.setProperty("--z", view.z);
  stage.style.setProperty("--x", `${view.x}px`);
  stage.style.setProperty("--y", `${view.y}px`);
  stage.classList.toggle("zoomed", view.z > 1);
  stage.classList.toggle("crisp", view.z * fitted() >= 2);
  byId("zoom").textContent = `${Math.round(view.z * fitted() * 100)}%`;
  byId("zoom-out").disabled = view.z <= Math.min(1, 1 / fitted());
}

/** Zoom so that the point, from the middle of its pane, stays where it is. */
function zoomAt(factor, x = 0, y = 0) {
  const z = zoomed(view.z * factor);
  setZoom(z, x - ((x - view.x) * z) / view.z, y - ((y - view.y) * z) / view.z);
}

function fromMiddle(event, element) {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
}

function addPanning(element) {
  const fingers = new Map();
  element.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest(".handle")) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    element.setPointerCapture(event.pointerId);
    element.classList.add("dragging");
  });
  element.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const others = [...fingers].filter(([id]) => id !== event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (others.length) {
      const [ax, ay] = others[0][1];
      const apart = (x, y) => Math.hypot(x - ax, y - ay) || 1;
      zoomAt(apart(event.clientX, event.clientY) / apart(...before), ...fromMiddle(event, element));
    } else setZoom(view.z, view.x + event.clientX - before[0], view.y + event.clientY - before[1]);
  });
  const release = (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) element.classList.remove("dragging");
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  element.addEventListener("dblclick", (event) => zoomAt(2, ...fromMiddle(event, element)));
  element.addEventListener(
    "wheel",
    (event) => {
      // The wheel alone scrolls the page; once zoomed in, it zooms, as with Ctrl and a pinch.
      if (!event.ctrlKey && !event.metaKey && view.z === 1) return;
      event.preventDefault();
      zoomAt(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...fromMiddle(event, element));
    },
    { passive: false },
  );
}

function setSplit(percent) {
  const value = Math.min(100, Math.max(0, percent));
  byId("split").value = value;
  stage.style.setProperty("--split", `${value}%`);
}

function swipeHandle() {
  const handle = make("div", { className: "handle" });
  const move = (event) => {
    const box = handle.parentElement.getBoundingClientRect();
    setSplit(((event.clientX - box.left) / box.width) * 100);
  };
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
  });
  handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", move));
  return handle;
}

function blink() {
  const image = stage.querySelector(".blinks");
  if (!image) return;
  image.hidden = !image.hidden;
  stage.querySelector(".pane-title").textContent = image.hidden ? "Reference" : "Candidate";
}

function restartBlinking() {
  clearInterval(blinking);
  if (mode !== "blink") return;
  blink();
  if (!isPressed(byId("pause"))) blinking = setInterval(blink, BLINK);
}

/* The regions. */

function stepRegion(by) {
  const { marks, canvas } = current();
  if (!marks.length) return;
  region = region < 0 && by < 0 ? marks.length - 1 : (region + by + marks.length) % marks.length;
  const box = marks[region];
  const scale = fitted();
  const z = Math.min(
    (0.45 * view.paneWidth) / (box.width * scale),
    (0.45 * view.paneHeight) / (box.height * scale),
    4 / scale,
  );
  const middle = [(box.x + box.width / 2) / canvas[0] - 0.5, (box.y + box.height / 2) / canvas[1] - 0.5];
  const zoom = Math.max(1, z);
  setZoom(zoom, -middle[0] * view.w * zoom, -middle[1] * view.h * zoom);
  drawRegion();
}

function drawRegion() {
  const { marks, regions, bands } = current();
  for (const layer of stage.querySelectorAll(".outlines")) {
    [...layer.querySelectorAll(".region")].forEach((outline, number) =>
      outline.classList.toggle("current", number === region),
    );
  }
  stage.classList.toggle("outlines-off", !isPressed(byId("outlines")));
  const many = (count, what) => (count ? [`${count} ${what}${count === 1 ? "" : "s"}`] : []);
  const counts = [...many(bands.length, "band"), ...many(regions.length, "changed region")].join(", ");
  if (region < 0) byId("region-line").textContent = marks.length ? `${counts}; n shows ${marks.length === 1 ? "it" : "the next"}` : "";
  else byId("region-line").textContent = markInWords(marks[region], `${region + 1} of ${marks.length}`);
}

function markInWords({ words, at, x, y, width, height, peak }, which) {
  if (words) return `Band ${which}: ${words}`;
  return `Region ${which}: ${at ?? `at ${x},${y}, ${width}×${height}`}, peak ${figure(peak)}`;
}

/* The figures. */

function drawLayers(pair) {
  const names = Object.keys(pair.layers);
  if (!names.length) return byId("bars").replaceChildren("Not compared.");
  const limits = names.map((name) => limitOf(pair, name) ?? 0);
  const top = Math.max(...Object.values(pair.layers), ...limits, pair.total, 1e-9);
  const sums = ["total", "peak", "jnd"].filter((name) => measured(pair, name) !== null);
  const weight = (name) => (data.weights[name] === 1 || !(name in data.weights) ? "" : ` ×${data.weights[name]}`);
  byId("bars").replaceChildren(
    ...names.map((name) => bar(name + weight(name), pair.layers[name], limitOf(pair, name), top, "")),
    ...sums.map((name) => {
      const value = measured(pair, name);
      const limit = limitOf(pair, name);
      // Just noticeable differences are on a scale of their own.
      return bar(name, value, limit, Math.max(name === "jnd" ? 3 : top, value, limit ?? 0), "sum");
    }),
  );
}

function bar(name, value, limit, top, className) {
  const over = limit !== null && value > limit;
  const fill = make("div", { className: over ? "fill over" : "fill" });
  fill.style.width = `${(value / top) * 100}%`;
  const track = make("div", { className: "track" }, fill);
  if (limit !== null) {
    const mark = make("div", { className: "limit", title: `threshold ${limit}` });
    mark.style.left = `${(limit / top) * 100}%`;
    track.append(mark);
  }
  const told = limit === null ? null : make("small", {}, ` / ${limit}`);
  return make(
    "div",
    { className: `layer-bar ${className}` },
    make("span", {}, name),
    track,
    make("span", { className: "value" }, figure(value), told),
  );
}

function drawDetails(pair) {
  const overrides = Object.entries(pair.overrides).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const facts = [
    ["reference", linked(pair, "reference")],
    ["candidate", linked(pair, "candidate")],
    ["size", pair.width ? `${pair.width}×${pair.height}` : null],
    ["peak at", pair.peak_at ? pair.peak_at.join(",") : null],
    ["peak of", partsOf(pair)],
    ...pair.marks.filter(({ words }) => words).map(({ words }) => ["band", words]),
    ["worst frame", pair.frame],
    ["background", pair.background],
    ["jnd", pair.visibility],
    ["floor", pair.floor ? pair.floor.toFixed(4) : null],
    ...Object.entries(pair.also).map(([name, value]) => [name, value === null ? null : figure(value)]),
    ...pair.notes.map((note) => ["note", note]),
    ...overrides.map((text) => ["own setting", text]),
    ...Object.entries(pair.extra).map(([name, value]) => [name, value === null ? null : String(value)]),
  ];
  byId("details").replaceChildren(
    ...facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
  byId("approve").hidden = !pair.approve;
  byId("command").textContent = pair.approve ?? "";
  byId("copy").textContent = "Copy";
}

/** What each layer, and the colour, has in the cell of the peak, the largest first. */
function partsOf(pair) {
  const parts = Object.entries(pair.peak_parts).sort((a, b) => b[1] - a[1]);
  return parts.map(([name, value]) => `${name} ${figure(value)}`).join(", ");
}

function linked(pair, side) {
  const path = pair[side];
  const original = pair.pictures[`${side}_original`];
  if (!path) return "none";
  return original ? make("a", { href: original }, make("bdi", {}, path)) : make("bdi", {}, path);
}

async function copyCommand() {
  const text = byId("command").textContent;
  if (!text) return;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Some browsers allow a page from disk only the old way.
    getSelection().selectAllChildren(byId("command"));
    done = document.execCommand("copy");
  }
  byId("copy").textContent = done ? "Copied" : "Press Ctrl+C";
}

/* What the user does. */

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(theme) {
  if (theme) root.dataset.theme = theme;
  press(byId("theme"), isDark());
}

function toggleTheme() {
  setTheme(isDark() ? "light" : "dark");
  try {
    localStorage.setItem("percept-theme", root.dataset.theme);
  } catch {
    // A browser that keeps nothing for pages from disk.
  }
}

function toggleOutlines() {
  press(byId("outlines"), !isPressed(byId("outlines")));
  drawRegion();
}

function actualSize() {
  zoomAt(1 / (fitted() * view.z));
}

function back() {
  history.replaceState(null, "", location.pathname + location.search);
  root.classList.remove("viewing");
  drawRows();
  revealRow();
  list.focus();
}

function togglePause() {
  press(byId("pause"), !isPressed(byId("pause")));
  restartBlinking();
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => stepRegion(1),
  p: () => stepRegion(-1),
  ",": () => stepFrame(-1),
  ".": () => stepFrame(1),
  s: () => setMode("side"),
  w: () => setMode("swipe"),
  b: () => setMode(mode === "blink" ? "side" : "blink"),
  o: () => setMode("overlay"),
  r: toggleOutlines,
  c: copyCommand,
  t: toggleTheme,
  "+": () => zoomAt(1.5),
  "=": () => zoomAt(1.5),
  "-": () => zoomAt(1 / 1.5),
  0: () => setZoom(1, 0, 0),
  1: actualSize,
  "/": () => byId("search").focus(),
  "?": () => byId("keys").showModal(),
};

const pans = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const { target, key } = event;
  if (target.matches("input[type=search]")) {
    if (key === "Enter" && shown.length) go(shown[0]);
    if (key !== "Escape") return;
    event.preventDefault(); // Browsers would empty it.
    return list.focus();
  }
  if (target.matches("select") || (target.matches("input") && key.startsWith("Arrow"))) return;
  let action = keys[key];
  if (target === list && key in steps) action = () => step(steps[key]);
  if (target === list && key === "Enter") action = () => chosen >= 0 && (root.classList.add("viewing"), fit());
  if (target === stage && key in pans) action = () => setZoom(view.z, view.x + pans[key][0], view.y + pans[key][1]);
  if (key === " " && mode === "blink" && !target.matches("button, a, summary")) {
    action = () => (isPressed(byId("pause")) ? blink() : togglePause());
  }
  if (!action || (chosen < 0 && target !== list && !"/?t".includes(key))) return;
  event.preventDefault();
  action();
}

function listen() {
  const click = (id, action) => byId(id).addEventListener("click", action);
  click("theme", toggleTheme);
  click("keys-button", () => byId("keys").showModal());
  click("settings-button", () => byId("settings").showModal());
  click("back", back);
  click("previous-pair", () => step(-1));
  click("next-pair", () => step(1));
  click("previous-region", () => stepRegion(-1));
  click("next-region", () => stepRegion(1));
  click("previous-frame", () => stepFrame(-1));
  click("next-frame", () => stepFrame(1));
  click("outlines", toggleOutlines);
  click("zoom-in", () => zoomAt(1.5));
  click("zoom-out", () => zoomAt(1 / 1.5));
  click("fit", () => setZoom(1, 0, 0));
  click("actual", actualSize);
  click("pause", togglePause);
  click("copy", copyCommand);
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => setMode(button.dataset.mode));
  }
  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      press(chip, !isPressed(chip));
      filters.statuses[isPressed(chip) ? "add" : "delete"](chip.dataset.status);
      applyFilters();
    });
  }
  byId("search").addEventListener("input", (event) => {
    filters.text = event.target.value;
    applyFilters();
  });
  byId("sort").addEventListener("change", (event) => {
    filters.sort = event.target.value;
    applyFilters();
    drawHistogram();
  });
  byId("split").addEventListener("input", (event) => setSplit(event.target.value));
  byId("opacity").addEventListener("input", (event) => stage.style.setProperty("--opacity", event.target.value / 100));
  list.addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", fromAddress);
  new ResizeObserver(() => {
    drawRows();
    fit();
  }).observe(document.body);
}

function start() {
  try {
    setTheme(localStorage.getItem("percept-theme"));
  } catch {
    setTheme(null);
  }
  press(byId("pause"), calm.matches);
  byId("sort").value = filters.sort;
  byId("distribution").open = !narrow.matches && innerHeight >= 760;
  listen();
  drawHistogram();
  applyFilters();
  fromAddress();
}

start();

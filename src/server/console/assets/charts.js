// Charts as SVG: lines, bars, stacks, heat maps. Each takes plain numbers and draws once; a label comes up
// where the pointer or the focus is, and a table with the same numbers is behind each for who cannot see it.

import { h, s, number, text } from "./dom.js";

const W = 640, H = 240, LEFT = 62, RIGHT = 10, TOP = 10, BOTTOM = 26;
export const COLOURS = 8;
export const colour = (i) => `var(--c${i % COLOURS})`;

let tipBox;
export const tip = (node, content) => {
  const show = (event) => {
    tipBox ??= document.body.appendChild(h("div", { class: "tip", role: "status" }));
    tipBox.textContent = typeof content === "function" ? content() : content;
    tipBox.hidden = false;
    const at = event.clientX ? { x: event.clientX, y: event.clientY } : (({ left, bottom }) => ({ x: left, y: bottom }))(node.getBoundingClientRect());
    tipBox.style.left = `${Math.min(at.x + 12, innerWidth - tipBox.offsetWidth - 8)}px`;
    tipBox.style.top = `${Math.min(at.y + 12, innerHeight - tipBox.offsetHeight - 8)}px`;
  };
  const hide = () => { if (tipBox) tipBox.hidden = true; };
  node.addEventListener("pointermove", show);
  node.addEventListener("focus", show);
  for (const end of ["pointerleave", "blur"]) node.addEventListener(end, hide);
  return node;
};

// Steps of 1, 2 or 5 times a power of ten, about so many.
export const ticks = (low, high, about = 4) => {
  if (!(high > low)) return [low];
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toPrecision(12)));
  return found;
};

const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
const frame = (label, low, high, format = (v) => short.format(v)) => {
  const y = (v) => H - BOTTOM - ((v - low) / (high - low || 1)) * (H - TOP - BOTTOM);
  const root = s("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  for (const at of ticks(low, high)) {
    root.append(s("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: y(at), y2: y(at) }),
      s("text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, format(at)));
  }
  return { root, y };
};

// Some of the labels below, as many as there is room for.
const below = (root, labels, x) => {
  const room = Math.max(1, Math.ceil((labels.length * (Math.max(...labels.map((l) => l.length), 1) * 6.2 + 16)) / (W - LEFT - RIGHT)));
  labels.forEach((label, i) => {
    if (i % room === 0) root.append(s("text", { x: Math.min(x(i), W - label.length * 3.3), y: H - 8, "text-anchor": "middle" }, label));
  });
};

export const legend = (names, colours = names.map((_, i) => colour(i))) =>
  h("div", { class: "legend" }, names.map((name, i) => h("span", { class: "row", style: { margin: 0, gap: "5px" } }, h("i", { style: { background: colours[i] } }), name)));

// The same numbers as a table, for screen readers and for copying.
export const numbers = (heads, rows) => h("details", { class: "small" }, h("summary", {}, "Numbers"),
  h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "numbers" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.slice(0, 500).map((row) => h("tr", {}, row.map((v) => h("td", { class: typeof v === "number" ? "num" : undefined }, typeof v === "number" ? number(v) : text(v)))))))));

const finite = (values) => values.filter((v) => typeof v === "number" && Number.isFinite(v));

// series: [{name, values}], one value a label; null leaves a gap.
export const line = (title, labels, series, { format, zero = true } = {}) => {
  const all = finite(series.flatMap((one) => one.values));
  // Where there is nothing but zeros, zero is all that the axis says.
  const flat = zero && all.every((v) => v === 0);
  const low = flat ? 0 : Math.min(zero ? 0 : Infinity, ...all), high = flat ? 1 : Math.max(...all);
  const { root, y } = frame(title, all.length ? low : 0, all.length ? high : 1, flat ? (v) => (v === 0 ? (format?.(0) ?? "0") : "") : format);
  const x = (i) => LEFT + (labels.length < 2 ? 0.5 : i / (labels.length - 1)) * (W - LEFT - RIGHT);
  series.forEach((one, n) => {
    let d = "", gap = true;
    one.values.forEach((v, i) => {
      if (typeof v !== "number" || !Number.isFinite(v)) { gap = true; return; }
      d += `${gap ? "M" : "L"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      gap = false;
    });
    root.append(s("path", { class: "line", d, style: { stroke: colour(n) } }));
    if (labels.length === 1 && d) root.append(s("circle", { cx: x(0), cy: y(one.values[0]), r: 3, style: { fill: colour(n) } }));
  });
  below(root, labels, x);
  const cursor = s("line", { class: "axis", y1: TOP, y2: H - BOTTOM, visibility: "hidden" });
  let at = 0;
  const hit = s("rect", { x: LEFT, y: TOP, width: W - LEFT - RIGHT, height: H - TOP - BOTTOM, fill: "transparent", tabindex: "0", role: "slider", "aria-label": `${title}, values`, "aria-valuemin": 0, "aria-valuemax": Math.max(0, labels.length - 1), "aria-valuenow": 0 });
  const say = () => [labels[at], ...series.map((one) => `${one.name}: ${one.values[at] === null || one.values[at] === undefined ? "–" : (format ?? number)(one.values[at])}`)].join("\n");
  const move = (to) => {
    at = Math.max(0, Math.min(labels.length - 1, to));
    cursor.setAttribute("x1", x(at)); cursor.setAttribute("x2", x(at)); cursor.setAttribute("visibility", "visible");
    hit.setAttribute("aria-valuenow", at); hit.setAttribute("aria-valuetext", labels.length ? say() : "");
  };
  hit.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    move(Math.round(((((event.clientX - box.left) / box.width) * W - LEFT) / (W - LEFT - RIGHT)) * (labels.length - 1)));
  }, { capture: true });
  hit.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { move(at + by); hit.dispatchEvent(new Event("focus")); event.preventDefault(); }
  });
  if (labels.length) { root.append(cursor, hit); tip(hit, say); }
  return h("div", {}, root, series.length > 1 && legend(series.map((one) => one.name)), numbers(["", ...series.map((one) => one.name)], labels.map((label, i) => [label, ...series.map((one) => one.values[i])])));
};

// One bar a label; with several series the values stand on each other.
export const stacked = (title, labels, series) => {
  const sums = labels.map((_, i) => finite(series.map((one) => one.values[i])).reduce((a, b) => a + Math.max(0, b), 0));
  const { root, y } = frame(title, 0, Math.max(...sums, 1e-9));
  const step = (W - LEFT - RIGHT) / Math.max(1, labels.length);
  const x = (i) => LEFT + step * (i + 0.5);
  labels.forEach((label, i) => {
    let base = 0;
    series.forEach((one, n) => {
      const v = one.values[i];
      if (!(v > 0)) return;
      const bar = s("rect", { x: LEFT + step * (i + 0.08), width: Math.max(0.6, step * 0.84), y: y(base + v), height: Math.max(0, y(base) - y(base + v)), style: { fill: colour(n) } });
      root.append(tip(bar, `${label}\n${one.name}: ${number(v)}\n${series.length > 1 ? `all: ${number(sums[i])}` : ""}`.trim()));
      base += v;
    });
  });
  below(root, labels, x);
  return h("div", {}, root, series.length > 1 && legend(series.map((one) => one.name)), numbers(["", ...series.map((one) => one.name)], labels.map((label, i) => [label, ...series.map((one) => one.values[i])])));
};

// Bars that lie, with their names before them: for names that are words. high: the end of the scale.
export const bars = (title, rows, { high, format = number } = {}) => {
  const most = high ?? Math.max(...finite(rows.map((row) => row.value)), 1e-9);
  const row = 22, left = 170;
  const root = s("svg", { class: "chart", viewBox: `0 0 ${W} ${Math.max(row, rows.length * row)}`, role: "img", "aria-label": title });
  rows.forEach(({ name, value }, i) => {
    const width = typeof value === "number" ? Math.max(0, Math.min(1, value / most)) * (W - left - 76) : 0;
    root.append(s("text", { class: "strong", x: left - 8, y: i * row + 15, "text-anchor": "end" }, name.length > 25 ? `${name.slice(0, 24)}…` : name),
      tip(s("rect", { x: left, y: i * row + 4, width: Math.max(1, width), height: row - 8, rx: 2, style: { fill: colour(0) } }), `${name}: ${value === null ? "–" : format(value)}`),
      s("text", { x: left + width + 6, y: i * row + 15 }, value === null ? "–" : format(value)));
  });
  return h("div", {}, root, numbers(["", "value"], rows.map((one) => [one.name, one.value])));
};

// cells: [{x, y, value}]; xs and ys in the order in which they are shown. Darker is more.
export const heat = (title, xs, ys, cells) => {
  const left = 84, cell = (W - left - RIGHT) / Math.max(1, xs.length), row = 22;
  const values = finite(cells.map((one) => one.value));
  const low = Math.min(...values, Infinity), high = Math.max(...values, -Infinity);
  const root = s("svg", { class: "chart", viewBox: `0 0 ${W} ${ys.length * row + 22}`, role: "img", "aria-label": title });
  ys.forEach((label, i) => root.append(s("text", { x: left - 6, y: i * row + 15, "text-anchor": "end" }, label)));
  const every = Math.ceil(xs.length / 24);
  xs.forEach((label, i) => i % every === 0 && root.append(s("text", { x: left + cell * (i + 0.5), y: ys.length * row + 16, "text-anchor": "middle" }, label)));
  for (const { x, y, value } of cells) {
    const share = high > low ? (value - low) / (high - low) : 1;
    root.append(tip(s("rect", { x: left + xs.indexOf(x) * cell + 0.5, y: ys.indexOf(y) * row + 0.5, width: Math.max(1, cell - 1), height: row - 1, style: { fill: colour(0), "fill-opacity": (0.08 + 0.92 * share).toFixed(3) } }), `${y} ${x}: ${number(value)}`));
  }
  return h("div", {}, root, values.length > 0 && h("p", { class: "dim small" }, `from ${number(low)} (light) to ${number(high)} (dark)`), numbers(["", "", "value"], cells.map((one) => [one.y, one.x, one.value])));
};

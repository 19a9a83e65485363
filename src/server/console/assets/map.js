// A map without tiles: points in Web Mercator as SVG, an outline from GeoJSON where one is given, a bar for
// the scale. It keeps its frame while points come and go, unless one lies outside of it.

import { h, s, number } from "./dom.js";
import { numbers, tip } from "./charts.js";

const W = 640, H = 460, EDGE = 44, LABELS_MAX = 24;
const EARTH_KM = 40075.017;

// Into the unit square; y grows to the south.
const project = (lon, lat) => {
  const phi = (Math.max(-85, Math.min(85, lat)) * Math.PI) / 180;
  return [lon / 360 + 0.5, 0.5 - Math.log(Math.tan(Math.PI / 4 + phi / 2)) / (2 * Math.PI)];
};

export const isPlace = (lat, lon) => typeof lat === "number" && typeof lon === "number" && Math.abs(lat) <= 90 && Math.abs(lon) <= 180;

const view = (places, before) => {
  const xs = places.map(([x]) => x), ys = places.map(([, y]) => y);
  const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  if (before && box[0] >= before.box[0] && box[1] >= before.box[1] && box[2] <= before.box[2] && box[3] <= before.box[3]) return before;
  // A single point gets some hundred metres around it.
  const width = Math.max(box[2] - box[0], 2e-5), height = Math.max(box[3] - box[1], 2e-5);
  const scale = Math.min((W - 2 * EDGE) / width, (H - 2 * EDGE) / height);
  const middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const at = ([x, y]) => [W / 2 + (x - middle[0]) * scale, H / 2 + (y - middle[1]) * scale];
  return { box, scale, middle, at };
};

const rings = (shape) => {
  if (!shape) return [];
  if (shape.type === "FeatureCollection") return shape.features.flatMap(rings);
  if (shape.type === "Feature") return rings(shape.geometry);
  if (shape.type === "GeometryCollection") return shape.geometries.flatMap(rings);
  const depth = { LineString: 1, Polygon: 2, MultiLineString: 2, MultiPolygon: 3 }[shape.type] ?? 0;
  return depth ? [shape.coordinates].flat(depth - 1 ? depth - 1 : 0).map((ring) => (depth === 1 ? shape.coordinates : ring)).slice(0, depth === 1 ? 1 : undefined) : [];
};

// Red where there is none left, over yellow, to green: with a number beside it, so that the colour is not
// all that tells.
const shade = (share) => `hsl(${Math.round(Math.max(0, Math.min(1, share)) * 130)} 70% 42%)`;

const bar = (frame) => {
  const lat = (Math.atan(Math.sinh(Math.PI * (1 - 2 * frame.middle[1]))) * 180) / Math.PI;
  const km = (EARTH_KM * Math.cos((lat * Math.PI) / 180)) / frame.scale;
  const nice = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].findLast((one) => one / km < 160) ?? 0.05;
  const width = nice / km;
  return [s("path", { class: "land", d: `M14 ${H - 22}v6h${width}v-6` }), s("text", { x: 14, y: H - 26 }, nice < 1 ? `${nice * 1000} m` : `${nice} km`)];
};

// points: [{name, lat, lon, size, colour, label}], colour and size as shares from 0 to 1 or null.
export const map = (title, points, { outline, before, sizeName = "", colourName = "" } = {}) => {
  const shown = points.filter((p) => isPlace(p.lat, p.lon));
  if (!shown.length) return { node: h("p", { class: "dim" }, "There are no places to show."), frame: before };
  const land = rings(outline);
  const frame = view(shown.map((p) => project(p.lon, p.lat)), before);
  const root = s("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": title });
  for (const ring of land) {
    const d = ring.map(([lon, lat], i) => `${i ? "L" : "M"}${frame.at(project(lon, lat)).map((v) => v.toFixed(1)).join(" ")}`).join("");
    root.append(s("path", { class: "land", d }));
  }
  // Small ones lie above large ones.
  const placed = shown.map((p) => ({ ...p, at: frame.at(project(p.lon, p.lat)), r: 5 + 19 * Math.sqrt(Math.max(0, Math.min(1, p.size ?? 0.15))) })).sort((a, b) => b.r - a.r);
  for (const p of placed) {
    root.append(tip(s("circle", { cx: p.at[0].toFixed(1), cy: p.at[1].toFixed(1), r: p.r.toFixed(1), tabindex: "0", role: "img", "aria-label": p.label.replaceAll("\n", ", "), style: { fill: p.colour === null ? "var(--topic)" : shade(p.colour), "fill-opacity": "0.78", stroke: "var(--panel)" } }), p.label));
  }
  const taken = [];
  for (const p of placed.slice(0, LABELS_MAX)) {
    const width = p.name.length * 6, y = p.at[1] + p.r + 11;
    // What is at the rim has its name inside.
    const x = Math.max(width / 2 + 2, Math.min(W - width / 2 - 2, p.at[0]));
    if (taken.some(([a, b, w]) => Math.abs(a - x) < (w + width) / 2 && Math.abs(b - y) < 12)) continue;
    taken.push([x, y, width]);
    root.append(s("text", { class: "strong", x: x.toFixed(1), y: y.toFixed(1), "text-anchor": "middle" }, p.name));
  }
  root.append(...bar(frame));
  const missing = points.length - shown.length;
  const words = [sizeName && `size: ${sizeName}`, colourName && `colour: ${colourName}, red to green`, missing && `${missing} without a place`].filter(Boolean).join(" · ");
  return { frame, node: h("div", {}, root, words && h("p", { class: "dim small" }, words), numbers(["name", "latitude", "longitude", "label"], shown.map((p) => [p.name, p.lat, p.lon, p.label.replaceAll("\n", ", ")]))) };
};
export { number };

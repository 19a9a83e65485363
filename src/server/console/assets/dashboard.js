// A dashboard: panels that ask their queries again and again, or whose rows come as they change.

import { fill, h, count, duration, grid, name, number, string, text, time } from "./dom.js";
import { get, query } from "./api.js";
import { bars, heat, line, stacked } from "./charts.js";
import { map } from "./map.js";

const FUNCTIONS = {
  median: (all) => { const sorted = all.filter((v) => typeof v === "number").sort((a, b) => a - b); const m = sorted.length / 2; return sorted.length ? (sorted[Math.floor(m)] + sorted[Math.ceil(m - 1)]) / 2 : null; },
  average: (all) => { const values = all.filter((v) => typeof v === "number"); return values.length ? values.reduce((a, b) => a + b, 0) / values.length : null; },
};
const many = (v) => (v === null || v === undefined ? [] : Array.isArray(v) ? v : [v]);

// A column of an answer by its name; an error names it.
const reader = (answer, given) => {
  const [, fn, inner] = /^(\w+)\((.*)\)$/.exec(given) ?? [];
  const at = answer.columns.findIndex((c) => c.name === (inner ?? given));
  if (at < 0) throw new Error(`the query has no column ${inner ?? given}; it has ${answer.columns.map((c) => c.name).join(", ")}`);
  return fn ? (row) => FUNCTIONS[fn](row[at] ?? []) : (row) => row[at];
};
const numeric = (v) => (typeof v === "number" ? v : v === null || v === undefined || v === "" || Number.isNaN(Number(v)) ? null : Number(v));
const sorted = (panel, answer, rows) => {
  let all = rows;
  if (panel.sort) {
    const by = reader(answer, panel.sort);
    all = [...rows].sort((a, b) => { const [x, y] = [by(a), by(b)]; return (x === y ? 0 : x === null ? 1 : y === null ? -1 : x < y ? -1 : 1) * (panel.descending && x !== null && y !== null ? -1 : 1); });
  }
  return panel.limit ? all.slice(0, panel.limit) : all;
};
const unique = (values) => [...new Set(values)];
const naturally = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));

const DRAW = {
  number(panel, answer) {
    const value = reader(answer, panel.value);
    const values = answer.rows.map(value).map(numeric).filter((v) => v !== null);
    const shown = answer.rows.length === 0 ? "–" : number(values.reduce((a, b) => a + b, 0));
    return h("p", { class: "big", "data-value": shown }, shown, panel.unit && h("span", { class: "dim", style: { "font-size": "18px" } }, ` ${panel.unit}`));
  },
  table(panel, answer) {
    const rounded = answer.columns.map((column) => ({ ...column, show: (v) => cellText(v) }));
    return grid(rounded, sorted(panel, answer, answer.rows), { caption: panel.title });
  },
  line(panel, answer) {
    const x = reader(answer, panel.x);
    const rows = [...answer.rows].sort((a, b) => naturally(x(a), x(b)));
    const series = many(panel.y).map((one) => ({ name: one, values: rows.map(reader(answer, one)).map(numeric) }));
    return line(panel.title, rows.map((row) => label(x(row))), series);
  },
  bars(panel, answer) {
    const [who, value] = [reader(answer, panel.name), reader(answer, panel.value)];
    return bars(panel.title, sorted(panel, answer, answer.rows).map((row) => ({ name: text(who(row)), value: numeric(value(row)) })), { high: panel.high ?? undefined, format: (v) => `${number(v)}${panel.unit ?? ""}` });
  },
  stacked(panel, answer) {
    const [x, value] = [reader(answer, panel.x), reader(answer, panel.value)];
    const by = panel.by ? reader(answer, panel.by) : () => panel.value;
    const xs = unique(answer.rows.map((row) => x(row))).sort(naturally), names = unique(answer.rows.map((row) => text(by(row)))).sort();
    const cells = new Map();
    answer.rows.forEach((row) => { const key = `${x(row)}\u0000${text(by(row))}`; cells.set(key, (cells.get(key) ?? 0) + (numeric(value(row)) ?? 0)); });
    return stacked(panel.title, xs.map(label), names.map((one) => ({ name: one, values: xs.map((at) => cells.get(`${at}\u0000${one}`) ?? 0) })));
  },
  heat(panel, answer) {
    const [x, y, value] = [panel.x, many(panel.y)[0], panel.value].map((one) => reader(answer, one));
    const order = (all) => unique(all).sort(naturally).map(String);
    return heat(panel.title, order(answer.rows.map(x)), order(answer.rows.map(y)), answer.rows.map((row) => ({ x: String(x(row)), y: String(y(row)), value: numeric(value(row)) })).filter((one) => one.value !== null));
  },
  map(panel, answer, state) {
    const who = reader(answer, panel.name), size = panel.size && reader(answer, panel.size), shade = panel.colour && reader(answer, panel.colour);
    const part = (place, key) => place?.[Object.keys(place).find((k) => k.toLowerCase() === key)];
    const at = panel.place ? ((place) => (row) => [part(place(row), "lat"), part(place(row), "lon")])(reader(answer, panel.place)) : ((lat, lon) => (row) => [lat(row), lon(row)])(reader(answer, panel.lat), reader(answer, panel.lon));
    const labels = many(panel.label).map((one) => [one, reader(answer, one)]);
    const values = (of) => answer.rows.map((row) => numeric(of(row))).filter((v) => v !== null);
    const most = size ? Math.max(...values(size), 1e-9) : 1, [low, high] = shade ? [Math.min(...values(shade)), Math.max(...values(shade))] : [0, 1];
    const points = answer.rows.map((row) => {
      const [lat, lon] = at(row), value = shade ? numeric(shade(row)) : null;
      return { name: text(who(row)), lat: numeric(lat), lon: numeric(lon), size: size ? (numeric(size(row)) ?? 0) / most : null,
        colour: value === null ? null : high > low ? (value - low) / (high - low) : 1, label: [text(who(row)), ...labels.map(([one, of]) => `${one}: ${cellText(of(row))}`)].join("\n") };
    });
    const drawn = map(panel.title, points, { outline: panel.outline, before: state.frame, sizeName: panel.size, colourName: panel.colour });
    state.frame = drawn.frame;
    return drawn.node;
  },
};
const cellText = (v) => (typeof v === "number" ? number(v) : text(v));
const label = (v) => (typeof v === "number" && v > 1e11 && v < 1e13 ? time(v).slice(0, 16) : text(v));

const stored = (key) => { try { return JSON.parse(sessionStorage.getItem(key)) ?? {}; } catch { return {}; } };

export const show = async (main, board) => {
  const spec = await get(`/dashboards/${encodeURIComponent(board)}/spec`);
  document.title = `${spec.title} – Wharfe`;
  const key = `board:${board}`, chosen = stored(key), stops = [];
  // {{source}} becomes what is chosen; nothing chosen is what always holds.
  const conditions = () => {
    const found = Object.fromEntries(spec.filters.map((f) => [f.name, chosen[f.name] ? `${name(f.column)} = ${string(chosen[f.name])}` : "1 = 1"]));
    const [from, to] = ["from", "to"].map((end) => (chosen[end] ? Date.parse(`${chosen[end]}Z`) : NaN));
    found.time = [Number.isNaN(from) ? undefined : `${name(spec.time)} >= ${from}`, Number.isNaN(to) ? undefined : `${name(spec.time)} < ${to}`].filter(Boolean).join(" AND ") || "1 = 1";
    return found;
  };
  const sql = (panel) => { const all = conditions(); return `${panel.sql.trim().replace(/;$/, "")};`.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, n) => `(${all[n]})`); };
  const panels = spec.panels.map((panel) => {
    const box = h("div", {}, h("p", { class: "dim" }, "…")), said = h("p", { class: "dim small" }), problem = h("div", {}, panel.problem && h("div", { class: "error" }, panel.problem));
    const node = h("section", { class: `panel w${panel.width ?? 6}`, "aria-label": panel.title, "data-kind": panel.kind }, h("h2", {}, panel.title), problem, box, said);
    const state = {};
    let stop = new AbortController(), timer, busy = false;
    const draw = (answer, took) => {
      // What somebody holds or reads just now stays as it is.
      if (box.contains(document.activeElement) || box.querySelector("details[open]")) return;
      try {
        fill(box, DRAW[panel.kind](panel, answer, state));
        fill(problem);
      } catch (error) { fill(problem, h("div", { class: "error" }, `panel ${panel.title}: ${error.message}`)); }
      said.textContent = took === undefined ? `${count(answer.rows.length)} rows, as they change` : answer.rows.length === 0 ? "no rows" : `${count(answer.rows.length)} rows in ${duration(took)}`;
    };
    const pull = async () => {
      if (busy || document.hidden) return;
      busy = true;
      const began = performance.now();
      try { draw(await query(sql(panel), { signal: stop.signal }), performance.now() - began); }
      catch (error) { if (!stop.signal.aborted) fill(problem, h("div", { class: "error" }, `panel ${panel.title}: ${error.message}`)); }
      busy = false;
    };
    // The rows of a table by what its first column names, as they change.
    const push = async () => {
      const rows = new Map();
      let answer = { columns: [], rows: [] };
      const redraw = setInterval(() => { answer.rows = [...rows.values()]; if (answer.columns.length) draw(answer); }, 500);
      stops.push(() => clearInterval(redraw));
      const by = (row) => text(panel.name ? reader(answer, panel.name)(row) : row[0]);
      try { await query(sql(panel), { signal: stop.signal, properties: { "auto.offset.reset": "earliest" }, onHeader: (a) => { answer = a; }, onRow: (row, gone) => { if (gone) rows.delete(by(row)); else rows.set(by(row), row); } }); }
      catch (error) { if (!stop.signal.aborted) fill(problem, h("div", { class: "error" }, `panel ${panel.title}: ${error.message}`)); }
    };
    const start = () => {
      stop.abort();
      stop = new AbortController();
      clearInterval(timer);
      busy = false;
      if (panel.problem) return;
      if (panel.push) { push(); return; }
      pull();
      timer = setInterval(pull, (panel.refresh ?? spec.refresh) * 1000);
    };
    stops.push(() => { stop.abort(); clearInterval(timer); });
    return { node, start };
  });
  const changed = () => { sessionStorage.setItem(key, JSON.stringify(chosen)); panels.forEach((panel) => panel.start()); };
  const choice = (filter) => {
    const select = h("select", { onchange: () => { chosen[filter.name] = select.value; changed(); } }, h("option", { value: "" }, "all"));
    query(`${filter.options.trim().replace(/;$/, "")};`).then((answer) => {
      unique(answer.rows.map((row) => text(row[0]))).sort().forEach((value) => select.append(h("option", { value }, value)));
      select.value = chosen[filter.name] ?? "";
    }, (error) => select.replaceWith(h("span", { class: "bad" }, error.message)));
    return h("label", { class: "field" }, filter.label ?? filter.name, select);
  };
  const moment = (end, words) => h("label", { class: "field" }, words, h("input", { type: "datetime-local", value: chosen[end] ?? "", onchange: (event) => { chosen[end] = event.target.value; changed(); } }));
  fill(main, h("div", { class: "row" }, h("h1", {}, spec.title)), (spec.filters.length > 0 || spec.time) && h("form", { class: "row", "aria-label": "filters", onsubmit: (event) => event.preventDefault() }, spec.filters.map(choice), spec.time && [moment("from", "from (UTC)"), moment("to", "to (UTC)")]),
    h("div", { class: "board" }, panels.map((panel) => panel.node)));
  panels.forEach((panel) => panel.start());
  return () => stops.forEach((stop) => stop());
};

export const list = async (main) => {
  const all = await get("/dashboards");
  fill(main, h("h1", {}, "Dashboards"), all.length === 0 ? h("p", { class: "dim" }, "There are none: a file SCRIPT.dashboard.toml beside the script makes one.") : h("ul", {}, all.map((one) => h("li", {}, h("a", { href: `/dashboards/${encodeURIComponent(one.name)}` }, one.title)))));
};

// The flow: what feeds what, with records a second on each edge and the books beside each node.

import { fill, h, s, count, rate, duration, bytes } from "./dom.js";
import { get, live, speed, watch } from "./api.js";

const NAME_LETTERS = 24, DETAIL_LETTERS = 33;
const short = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);
const split = (id) => [id.slice(0, id.indexOf(":")), id.slice(id.indexOf(":") + 1)];
const radius = { query: 24, topic: 2, sink: 2, stream: 8, table: 8 };

export const link = (id) => {
  const [kind, name] = split(id);
  const view = { stream: "sources", table: "sources", query: "queries", topic: "topics", sink: "sinks" }[kind];
  return `#/${view}/${encodeURIComponent(name)}`;
};

const curve = (points) => {
  let d = `M${points[0][0]} ${points[0][1]}`;
  for (let i = 1; i < points.length; i += 1) {
    const [[x0, y0], [x, y]] = [points[i - 1], points[i]];
    const m = (x0 + x) / 2;
    d += y === y0 ? `L${x} ${y}` : `C${m} ${y0} ${m} ${y} ${x} ${y}`;
  }
  return d;
};

// What a query's stages took in, let out, and lost, all together: `transform` is where rows come in.
export const booksOf = (stages = []) => {
  const first = stages.filter((stage) => stage.stage === "transform");
  const sum = (from, key) => from.reduce((total, stage) => total + stage[key], 0);
  return { in: sum(first, "in"), out: sum(first, "out"), filtered: sum(first, "filtered"), rejected: sum(stages, "rejected"), rate: sum(first, "rate") };
};

const query = (name) => (measures) => booksOf(measures.queries[name] ?? []);
const sourceOf = (graph, topic) => graph.edges.filter((edge) => edge.from === `topic:${topic}`).map((edge) => split(edge.to)[1]);

// Rows a second over an edge.
const flowing = (graph, edge) => {
  const [[from, name], [to, target]] = [split(edge.from), split(edge.to)];
  if (from === "topic") return speed((m) => m.sources[target]?.in);
  if (to === "query") return speed((m) => query(target)(m).in);
  if (from === "query") return speed((m) => query(name)(m).out);
  if (to === "topic" || to === "sink") {
    const writers = graph.edges.filter((e) => e.to === edge.from && e.from.startsWith("query:"));
    const rates = writers.map((e) => flowing(graph, e)).filter((r) => r !== undefined);
    return rates.length ? rates.reduce((a, b) => a + b, 0) : undefined;
  }
  return undefined;
};

// Why a source is behind, as far as can be told from outside.
export const why = (source, measures) => {
  const behind = source.lagRecords > 0 || source.lagBytes > 0;
  if (!behind) return undefined;
  const undelivered = Object.entries(measures.undelivered).filter(([, n]) => n > 0);
  const amount = source.lagRecords > 0 ? `${count(source.lagRecords)} records` : bytes(source.lagBytes);
  const age = source.lagMs > 0 ? `, ${duration(source.lagMs)}` : "";
  if (source.rate < 1 && undelivered.length) return `${amount}${age} behind: waiting for delivery to ${undelivered[0][0]}`;
  if (source.rate < 1 && measures.inflightBytes.some((b) => b > 0)) return `${amount}${age} behind: held back by a slow query`;
  if (source.rate < 1) return `${amount}${age} behind: nothing is read`;
  return `${amount}${age} behind, catching up`;
};

// The line under a node, and whether something is wrong with it.
const state = (graph, node, measures) => {
  const [kind, name] = split(node.id);
  if (kind === "query") {
    const books = booksOf(measures.queries[name]);
    const lost = [books.filtered && `${count(books.filtered)} filtered`, books.rejected && `${count(books.rejected)} rejected`].filter(Boolean);
    return { line: `${count(books.in)} in · ${count(books.out)} out`, more: lost.join(" · "), bad: false };
  }
  if (kind === "topic") {
    const waiting = measures.undelivered[name];
    if (waiting > 0) return { line: `${count(waiting)} not delivered`, bad: true };
    const read = sourceOf(graph, name).map((source) => measures.sources[source]).filter(Boolean);
    const reason = read.map((source) => why(source, measures)).find(Boolean);
    if (reason) return { line: reason, bad: read.some((source) => source.rate < 1), title: reason };
    return { line: read.length ? `${count(read[0].in)} records · ${bytes(read[0].bytes)}` : node.detail };
  }
  const source = measures.sources[name];
  if (kind === "stream" && source) {
    const more = source.rejected ? `${count(source.rejected)} rejected` : "";
    return { line: `${count(source.out)} rows`, more, bad: source.rejected > 0 && source.rejected > source.out };
  }
  const writers = graph.edges.filter((e) => e.to === node.id && e.from.startsWith("query:")).map((e) => query(split(e.from)[1])(measures));
  return { line: writers.length ? `${count(writers.reduce((n, books) => n + books.out, 0))} rows in` : node.detail };
};

const draw = (graph, scale) => {
  const parts = { nodes: new Map(), edges: [] };
  const root = s("svg", { width: graph.width * scale, height: graph.height * scale, viewBox: `0 0 ${graph.width || 1} ${graph.height || 1}`, role: "group", "aria-label": "the flow of records" },
    s("defs", {}, s("marker", { id: "arrow", viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "8", markerHeight: "8", orient: "auto" }, s("path", { d: "M0 0L8 4L0 8z" }))));
  for (const edge of graph.edges) {
    const path = s("path", { d: curve(edge.points), "marker-end": "url(#arrow)" });
    const [[x0, y0], [x1, y1]] = [edge.points.at(-2), edge.points.at(-1)];
    const label = s("text", { class: "rate", x: (x0 + x1) / 2, y: (y0 + y1) / 2 - 4, "text-anchor": "middle" });
    parts.edges.push({ edge, path, label });
    root.append(path);
  }
  parts.edges.forEach(({ label }) => root.append(label));
  for (const node of graph.nodes) {
    const middle = node.x + node.width / 2;
    const line = s("text", { class: "d", x: middle, y: node.y + 35, "text-anchor": "middle" }, short(node.detail || node.kind, DETAIL_LETTERS));
    const more = s("text", { class: "d bad", x: middle, y: node.y + node.height + 12, "text-anchor": "middle" });
    const title = s("title", {}, `${node.kind} ${node.name}`);
    const anchor = s("a", { href: link(node.id), class: node.kind, "aria-label": `${node.kind} ${node.name}` }, title,
      s("rect", { class: "box", x: node.x, y: node.y, width: node.width, height: node.height, rx: radius[node.kind] }),
      s("text", { x: middle, y: node.y + 19, "text-anchor": "middle" }, short(node.name, NAME_LETTERS)), line, more);
    parts.nodes.set(node.id, { node, anchor, line, more, title });
    root.append(anchor);
  }
  return { root, ...parts };
};

const update = (graph, drawn) => {
  const { measures } = live;
  if (!measures) return;
  for (const { edge, path, label } of drawn.edges) {
    const flow = flowing(graph, edge);
    const text = flow === undefined || flow === 0 ? "" : `${rate(flow)}/s`;
    if (label.textContent !== text) label.textContent = text;
    path.classList.toggle("live", flow > 0);
  }
  for (const { node, anchor, line, more, title } of drawn.nodes.values()) {
    const now = state(graph, node, measures);
    line.textContent = short(now.line ?? "", DETAIL_LETTERS);
    more.textContent = now.more ?? "";
    title.textContent = `${node.kind} ${node.name}: ${now.title ?? now.line} ${now.more ?? ""}`;
    anchor.classList.toggle("slow", now.bad === true);
  }
};

export const show = async (main) => {
  let graph, drawn, scale = 1;
  const box = h("div", { class: "flow" });
  const zoom = (factor) => () => { scale = Math.min(2, Math.max(0.35, scale * factor)); redraw(); };
  const fit = () => { scale = Math.min(1.2, Math.max(0.35, (box.clientWidth - 4) / graph.width)); redraw(); };
  const slow = h("div");
  const redraw = () => {
    drawn = draw(graph, scale);
    fill(box, graph.nodes.length ? drawn.root : h("p", { class: "dim" }, "Nothing runs yet. ", h("a", { href: "#/editor" }, "Create a stream.")));
    refresh();
  };
  const refresh = () => {
    update(graph, drawn);
    const behind = Object.entries(live.measures?.sources ?? {}).map(([name, source]) => [name, why(source, live.measures)]).filter(([, reason]) => reason);
    fill(slow, behind.slice(0, 6).map(([name, reason]) => h("p", { class: "note" }, h("a", { href: link(`stream:${name}`) }, name), `: ${reason}`)));
  };
  const load = async () => { graph = await get("/flow"); redraw(); };
  fill(main, h("div", { class: "row" }, h("h1", {}, "Flow"),
    h("button", { class: "quiet", type: "button", onclick: zoom(1.25), "aria-label": "larger" }, "+"),
    h("button", { class: "quiet", type: "button", onclick: zoom(0.8), "aria-label": "smaller" }, "−"),
    h("button", { class: "quiet", type: "button", onclick: fit }, "Fit"),
    h("a", { class: "button quiet", href: "/flow.svg", download: "flow.svg" }, "SVG")), slow, box);
  await load();
  fit();
  return watch((kind) => (kind === "catalog" ? load() : refresh()));
};

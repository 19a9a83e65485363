// Streams and tables: what there is, and one of them with its messages or rows as they come.

import { fill, h, bytes, count, duration, grid, name, rate, string, text, time, toast } from "./dom.js";
import { live, query, sources, speed, watch } from "./api.js";
import { booksOf, link, why } from "./flow.js";

const SAMPLE_ROWS = 20, KEPT_ROWS = 100, SAMPLE_MS = 1000, PATIENCE_MS = 1500, PULL_ROWS = 500;

const statistic = (source, key) => source.statistics.split("\n").map((line) => line.split(": ")).find(([k]) => k === key)?.slice(1).join(": ");
export const typeText = (schema) => {
  if (schema.type === "ARRAY") return `ARRAY<${typeText(schema.memberSchema)}>`;
  if (schema.type === "MAP") return `MAP<VARCHAR, ${typeText(schema.memberSchema)}>`;
  if (schema.type === "STRUCT") return `STRUCT<${schema.fields.map((f) => `${f.name} ${typeText(f.schema)}`).join(", ")}>`;
  if (schema.type === "DECIMAL" && schema.parameters) return `DECIMAL(${schema.parameters.precision}, ${schema.parameters.scale})`;
  return schema.type;
};

// Rows so far, and rows a second lately.
const rowsOf = (source, measures) => {
  const read = measures.sources[source.name];
  const written = source.writeQueries.map((q) => booksOf(measures.queries[q.id]).out);
  return (read?.out ?? 0) + written.reduce((a, b) => a + b, 0);
};

const list = async (main) => {
  const all = await sources();
  const cells = new Map();
  const row = (source) => {
    const total = h("td", { class: "num" }), second = h("td", { class: "num" });
    cells.set(source, { total, second });
    return h("tr", {}, h("td", {}, h("a", { href: link(`${source.type.toLowerCase()}:${source.name}`) }, source.name)),
      h("td", {}, source.type.toLowerCase()), h("td", {}, source.valueFormat), h("td", {}, source.topic), total, second,
      h("td", { class: "num" }, String(source.readQueries.length)), h("td", { class: "num" }, String(source.writeQueries.length)));
  };
  fill(main, h("h1", {}, "Streams and tables"), all.length === 0 ? h("p", { class: "dim" }, "There are none yet.") :
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "streams and tables" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Name", "Kind", "Format", "Topic"].map((t) => h("th", { scope: "col" }, t)), ["Total rows", "Updates/s", "Read by", "Written by"].map((t) => h("th", { scope: "col", class: "num" }, t)))),
      h("tbody", {}, all.map(row)))));
  return watch((kind) => {
    if (kind === "catalog") { list(main); return; }
    for (const [source, { total, second }] of cells) {
      total.textContent = count(rowsOf(source, live.measures));
      second.textContent = rate(speed((m) => rowsOf(source, m)));
    }
  });
};

// Some messages a second: each second a query that ends with so many rows is asked, so that a fast stream
// costs no more than a slow one, in the engine and here.
const preview = (source) => {
  let paused = false, stop = new AbortController(), rows = [], columns = [], seen = 0, over = false;
  const body = h("tbody"), head = h("thead"), said = h("p", { class: "dim small", role: "status" });
  const contains = h("input", { type: "search", placeholder: "contains…", "aria-label": "messages that contain" });
  const where = h("input", { class: "mono", placeholder: "WHERE …", "aria-label": "condition", size: 26 });
  const problem = h("div");
  const pause = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => { paused = !paused; pause.textContent = paused ? "Resume" : "Pause"; pause.setAttribute("aria-pressed", paused); } }, "Pause");
  const draw = () => {
    const wanted = contains.value.toLowerCase();
    const shown = rows.filter((row) => !wanted || row.some((v) => text(v).toLowerCase().includes(wanted)));
    fill(head, h("tr", {}, columns.map((c) => h("th", { scope: "col", title: c.type }, c.name))));
    fill(body, shown.slice(0, KEPT_ROWS).map((row) => h("tr", {}, row.map((v, i) => h("td", { class: typeof v === "number" ? "num" : undefined }, columns[i]?.name === "ROWTIME" ? time(v) : text(v))))));
    said.textContent = rows.length ? `${count(seen)} messages were seen here${paused ? "; paused" : ""}; the newest is above.` : "Waiting for messages…";
  };
  const sql = () => `SELECT ROWTIME, * FROM ${name(source.name)}${where.value.trim() ? ` WHERE ${where.value.trim()}` : ""}`;
  const take = (row) => { if (!paused) { rows.unshift(row); rows.length = Math.min(rows.length, KEPT_ROWS); } seen += 1; };
  const ask = (statement, properties, signal) => query(statement, { properties, signal, onHeader: (answer) => { columns = answer.columns; }, onRow: (row) => { take(row); } });
  const run = async (signal) => {
    // What is there already, when nothing new comes.
    const early = setTimeout(() => { if (!seen && !signal.aborted) ask(`${sql()} EMIT CHANGES LIMIT ${SAMPLE_ROWS};`, { "auto.offset.reset": "earliest" }, signal).then(draw, () => {}); }, PATIENCE_MS);
    const drawing = setInterval(draw, 250);
    try {
      while (!signal.aborted) {
        const next = new Promise((done) => setTimeout(done, SAMPLE_MS));
        if (!paused) await ask(`${sql()} EMIT CHANGES LIMIT ${SAMPLE_ROWS};`, {}, signal);
        await next;
      }
    } catch (error) {
      if (!signal.aborted) fill(problem, h("div", { class: "error" }, error.message));
    } finally {
      clearTimeout(early);
      clearInterval(drawing);
    }
  };
  const restart = () => { stop.abort(); stop = new AbortController(); rows = []; seen = 0; fill(problem); if (!over) run(stop.signal); };
  where.addEventListener("change", restart);
  contains.addEventListener("input", draw);
  draw();
  restart();
  const node = h("section", { class: "panel", "aria-label": "messages" }, h("div", { class: "row" }, h("h2", {}, "Messages"), pause, contains, where), problem,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "latest messages" }, h("table", { id: "messages" }, head, body)), said);
  return { node, leave: () => { over = true; stop.abort(); } };
};

const rowsOfTable = (source) => {
  const keys = source.fields.filter((field) => field.type === "KEY");
  const inputs = keys.map((field) => [field, h("input", { "aria-label": `${field.name} equals`, placeholder: field.name })]);
  const box = h("div"), said = h("span", { class: "dim small", role: "status" });
  const literal = (field, value) => (/^(INTEGER|INT|BIGINT|DOUBLE|DECIMAL|BOOLEAN)/.test(field.schema.type) ? value : string(value));
  const load = async () => {
    const given = inputs.filter(([, input]) => input.value !== "");
    const conditions = given.map(([field, input]) => `${name(field.name)} = ${literal(field, input.value)}`);
    const began = performance.now();
    try {
      const answer = await query(`SELECT * FROM ${name(source.name)}${conditions.length ? ` WHERE ${conditions.join(" AND ")}` : ""} LIMIT ${PULL_ROWS};`);
      fill(box, grid(answer.columns, answer.rows, { caption: `rows of ${source.name}` }));
      said.textContent = `${count(answer.rows.length)} rows in ${duration(performance.now() - began)}`;
    } catch (error) {
      fill(box, h("div", { class: "error" }, error.message));
    }
  };
  const timer = setInterval(() => { if (auto.checked) load(); }, 2000);
  const auto = h("input", { type: "checkbox", checked: true });
  load();
  const node = h("section", { class: "panel", "aria-label": "rows" }, h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); load(); } },
    h("h2", {}, "Rows"), inputs.map(([, input]) => input), inputs.length > 0 && h("button", { type: "submit" }, "Search by key"), h("label", {}, auto, "keep up to date"), said), box);
  return { node, leave: () => clearInterval(timer) };
};

const queriesOf = (all) => (all.length ? all.map((q) => h("div", {}, h("a", { href: link(`query:${q.id}`) }, q.id))) : "nobody");

const one = async (main, wanted) => {
  const source = (await sources()).find((found) => found.name === wanted);
  if (!source) throw new Error(`there is no stream or table ${wanted}`);
  const total = h("dd"), second = h("dd"), lag = h("dd"), lost = h("dd");
  const rows = source.type === "TABLE" ? rowsOfTable(source) : preview(source);
  const facts = h("section", { class: "panel" }, h("h2", {}, "About"), h("dl", {}, h("dt", {}, "Total rows"), total, h("dt", {}, "Updates/s"), second,
    h("dt", {}, "Lag"), lag, h("dt", {}, "Rejected"), lost,
    h("dt", {}, "Topic"), h("dd", {}, h("a", { href: link(`topic:${source.topic}`) }, source.topic)),
    h("dt", {}, "Place"), h("dd", {}, [statistic(source, "connector"), statistic(source, "place")].filter(Boolean).join(" ")),
    h("dt", {}, "Partitions"), h("dd", {}, String(source.partitions)), h("dt", {}, "Formats"), h("dd", {}, `key ${source.keyFormat}, value ${source.valueFormat}`),
    source.timestamp && [h("dt", {}, "Timestamp"), h("dd", {}, source.timestamp)],
    h("dt", {}, "Read by"), h("dd", {}, queriesOf(source.readQueries)), h("dt", {}, "Written by"), h("dd", {}, queriesOf(source.writeQueries))));
  const columns = [{ name: "Column" }, { name: "Type" }, { name: "Part" }];
  fill(main, h("div", { class: "row" }, h("h1", {}, source.name), h("span", { class: "badge" }, source.type.toLowerCase()),
    h("a", { class: "button quiet", href: `#/editor/${encodeURIComponent(`SELECT * FROM ${name(source.name)}${source.type === "TABLE" ? "" : " EMIT CHANGES"};`)}` }, "Query it"),
    h("button", { type: "button", class: "quiet", onclick: () => navigator.clipboard?.writeText(source.name).then(() => toast("The name is copied.")) }, "Copy the name")),
    h("div", { class: "split" }, h("div", {}, rows.node, h("section", { class: "panel" }, h("h2", {}, "Statement"), h("pre", {}, source.statement))),
      h("div", {}, facts, h("section", { class: "panel" }, h("h2", {}, "Schema"), grid(columns, source.fields.map((f) => [f.name, typeText(f.schema), f.type ?? ""]), { caption: "columns" })))));
  const unwatch = watch((kind) => {
    if (kind !== "measures") return;
    const read = live.measures.sources[source.name];
    total.textContent = count(rowsOf(source, live.measures));
    second.textContent = rate(speed((m) => rowsOf(source, m)));
    lag.textContent = read ? why(read, live.measures) ?? "none" : "–";
    lost.textContent = read ? count(read.rejected) : "–";
    if (read?.bytes) total.title = bytes(read.bytes);
  });
  return () => { unwatch(); rows.leave(); };
};

export const show = (main, [wanted]) => (wanted ? one(main, wanted) : list(main));

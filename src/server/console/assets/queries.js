// Persistent and push queries: their books, plans and ends.

import { confirm, fill, h, bytes, count, duration, grid, name, rate, toast } from "./dom.js";
import { ksql, live, sources, speed, watch } from "./api.js";
import { booksOf, link, why } from "./flow.js";

const all = async () => (await ksql("SHOW QUERIES;"))[0].queries;

const change = async (verb, id, done) => {
  try {
    await ksql(`${verb} ${id.startsWith("transient") ? id : name(id)};`);
    toast(`${id}: ${verb.toLowerCase()} done`);
    done();
  } catch (error) {
    toast(error.message, true);
  }
};

const terminate = async (id, done) => {
  if (await confirm(`Terminate ${id}?`, "It ends for good. What it wrote stays; nothing more is added to it.", "Terminate")) await change("TERMINATE", id, done);
};

const stopAndGo = (query, done) => {
  const verb = query.state === "PAUSED" ? "Resume" : "Pause";
  return h("button", { type: "button", "aria-label": `${verb.toLowerCase()} ${query.id}`, onclick: () => change(verb.toUpperCase(), query.id, done) }, verb);
};

const buttons = (query, done) => h("span", { class: "row", style: { margin: 0 } },
  query.queryType === "PERSISTENT" ? stopAndGo(query, done) : "",
  h("button", { type: "button", class: "danger", "aria-label": `terminate ${query.id}`, onclick: () => terminate(query.id, done) }, "Terminate"));

const list = async (main) => {
  const queries = await all();
  const rows = new Map();
  const row = (query) => {
    const cells = Array.from({ length: 5 }, () => h("td", { class: "num" }));
    rows.set(query.id, cells);
    return h("tr", {}, h("td", {}, query.queryType === "PERSISTENT" ? h("a", { href: link(`query:${query.id}`) }, query.id) : query.id),
      h("td", {}, h("span", { class: `badge ${query.state === "RUNNING" ? "good" : "warn"}` }, query.state)),
      h("td", {}, query.sinks.join(", ") || "a client"), cells, h("td", {}, buttons(query, () => list(main))));
  };
  fill(main, h("h1", {}, "Queries"), queries.length === 0 ? h("p", { class: "dim" }, "None runs.") :
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "queries" }, h("table", {}, h("thead", {}, h("tr", {}, ["Query", "State", "Writes"].map((t) => h("th", { scope: "col" }, t)),
      ["Rows/s", "In", "Out", "Filtered", "Rejected"].map((t) => h("th", { scope: "col", class: "num" }, t)), h("th", { scope: "col" }, "Do"))), h("tbody", {}, queries.map(row)))));
  return watch((kind) => {
    if (kind === "catalog") { list(main); return; }
    for (const [id, cells] of rows) {
      const stages = live.measures.queries[id];
      const books = booksOf(stages);
      const shown = stages ? [rate(speed((m) => booksOf(m.queries[id]).in) ?? books.rate), count(books.in), count(books.out), count(books.filtered), count(books.rejected)] : ["–", "–", "–", "–", "–"];
      cells.forEach((td, i) => { td.textContent = shown[i]; });
    }
  });
};

// All sources whose rows reach a query.
const feeds = (id, described) => {
  const found = new Set(), open = described.filter((d) => d.readQueries.some((q) => q.id === id)).map((d) => d.name);
  while (open.length) {
    const next = open.pop();
    if (found.has(next)) continue;
    found.add(next);
    const writers = described.find((d) => d.name === next)?.writeQueries.map((q) => q.id) ?? [];
    open.push(...described.filter((d) => d.readQueries.some((q) => writers.includes(q.id))).map((d) => d.name));
  }
  return [...found];
};

const one = async (main, id) => {
  const [entity] = await ksql(`EXPLAIN ${name(id)};`);
  const described = await sources();
  const plan = entity.queryDescription;
  const upstream = feeds(id, described);
  const stages = h("div"), numbers = h("dl");
  fill(main, h("div", { class: "row" }, h("h1", {}, plan.id), h("span", { class: "badge good" }, plan.state ?? ""),
    buttons({ id: plan.id, queryType: plan.queryType, state: plan.state }, () => { location.hash = "#/queries"; })),
    h("div", { class: "split" },
      h("div", {}, h("section", { class: "panel" }, h("h2", {}, "Statement"), h("pre", {}, plan.statementText)),
        h("section", { class: "panel" }, h("h2", {}, "Plan"), h("pre", { tabindex: "0" }, plan.executionPlan)),
        h("section", { class: "panel" }, h("h2", {}, "Books of its stages"), stages)),
      h("div", {}, h("section", { class: "panel" }, h("h2", {}, "Now"), numbers),
        h("section", { class: "panel" }, h("h2", {}, "Reads"), plan.sources.map((n) => h("div", {}, h("a", { href: link(`stream:${n}`) }, n))), h("h3", {}, "Writes"), plan.sinks.map((n) => h("div", {}, h("a", { href: link(`stream:${n}`) }, n)))))));
  return watch((kind) => {
    if (kind !== "measures") return;
    const { measures } = live;
    const books = booksOf(measures.queries[id]);
    const behind = upstream.map((n) => measures.sources[n]).filter(Boolean);
    const records = behind.reduce((n, source) => n + (source.lagRecords ?? 0), 0), inBytes = behind.reduce((n, source) => n + (source.lagBytes ?? 0), 0);
    const reasons = upstream.map((n) => [n, measures.sources[n] && why(measures.sources[n], measures)]).filter(([, reason]) => reason);
    const { checkpoint } = measures;
    const facts = [["Rows/s", rate(speed((m) => booksOf(m.queries[id]).in) ?? books.rate)], ["In", count(books.in)], ["Out", count(books.out)], ["Filtered", count(books.filtered)], ["Rejected", count(books.rejected)],
      ["Lag", [records && `${count(records)} records`, inBytes && bytes(inBytes)].filter(Boolean).join(", ") || "none"], ["Lag in time", duration(Math.max(0, ...behind.map((source) => source.lagMs ?? 0)))],
      ["Behind", reasons.map(([n, reason]) => `${n}: ${reason}`).join("; ") || "nothing"],
      ["Checkpoint", checkpoint ? `number ${checkpoint.number}, ${bytes(checkpoint.bytes)}, ${duration(checkpoint.ageMs)} ago` : "none: there is no --data-dir"]];
    fill(numbers, facts.map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]));
    const columns = ["Source", "Stage"].map((n) => ({ name: n })).concat(["In", "Out", "Filtered", "Rejected", "Rows/s"].map((n) => ({ name: n, num: true })));
    fill(stages, grid(columns, (measures.queries[id] ?? []).map((t) => [t.source, t.stage, t.in, t.out, t.filtered, t.rejected, t.rate]), { caption: "in = out + filtered + rejected" }));
  });
};

export const show = (main, [id]) => (id ? one(main, id) : list(main));

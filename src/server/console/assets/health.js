// Health: how the engine is, and how it was over the last hour.

import { fill, h, bytes, count, duration } from "./dom.js";
import { get, live, watch } from "./api.js";
import { line } from "./charts.js";

const RELOAD_MS = 10000;
const clock = (at) => new Date(at).toISOString().slice(11, 19);

// How far subscriptions and archives are behind, where a gateway runs beside.
const showLags = async (panel) => {
  const lags = await get("/lag").catch(() => []);
  if (!lags.length) return fill(panel);
  const row = (lag) => h("tr", {}, [lag.kind, lag.name, lag.event, lag.lag_records == null ? "" : count(lag.lag_records), duration(lag.lag_seconds * 1000)]
    .map((cell) => h("td", {}, cell)));
  const head = ["", "Name", "Event", "Events behind", "Oldest waits"].map((name) => h("th", {}, name));
  fill(panel, h("section", { class: "panel" }, h("h2", {}, "Subscriptions and archives"),
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, lags.map(row)))));
};

export const show = async (main) => {
  const facts = h("dl"), charts = h("div", { class: "grid" }), events = h("div");
  const load = async () => {
    const { samples } = await get("/health/history");
    const labels = samples.map((one) => clock(one.at));
    const of = (key) => samples.map((one) => one[key]);
    const panel = (title, node) => h("section", { class: "panel" }, h("h2", {}, title), node);
    const workers = Math.max(0, ...samples.map((one) => one.load.length));
    const load = Array.from({ length: workers }, (_, w) => ({ name: `worker ${w}`, values: samples.map((one) => (one.load[w] ?? 0) * 100) }));
    fill(charts, panel("Rows read a second", line("rows a second", labels, [{ name: "rows/s", values: of("rowsPerSecond") }])),
      panel("Load of the workers, % of a core", line("load", labels, load)),
      panel("Age of the newest closed tick", line("tick age", labels, [{ name: "tick age", values: of("tickAgeMs") }], { format: duration })),
      panel("Memory", line("memory", labels, [{ name: "resident", values: of("memoryBytes") }], { format: bytes })),
      panel("Bytes in flight", line("in flight", labels, [{ name: "in flight", values: of("inflightBytes") }], { format: bytes })),
      panel("Checkpoints", line("checkpoint duration", labels, [{ name: "took", values: of("checkpointMs") }], { format: duration })));
  };
  fill(main, h("h1", {}, "Health"), h("section", { class: "panel" }, facts), events, charts);
  await load();
  await showLags(events);
  const timer = setInterval(() => { load().catch(() => {}); showLags(events); }, RELOAD_MS);
  const unwatch = watch((kind) => {
    if (kind !== "measures") return;
    const m = live.measures;
    const sum = (all) => all.reduce((a, b) => a + b, 0);
    const known = [["Tick age", duration(m.tickAgeMs)], ["Memory", bytes(sum(m.memoryBytes))], ["In flight", m.inflightBytes.map(bytes).join(", ")],
      ["Checkpoint", m.checkpoint ? `number ${m.checkpoint.number}: ${bytes(m.checkpoint.bytes)} in ${duration(m.checkpoint.tookMs)}, ${duration(m.checkpoint.ageMs)} ago` : "none"],
      ["Not delivered", Object.entries(m.undelivered).map(([topic, n]) => `${topic}: ${count(n)}`).join(", ") || "nothing"], ["Push queries", `${count(m.answers)}, ${count(m.answerRows)} rows wait for clients`], ["Expressions that failed", count(m.notes)]];
    fill(facts, known.map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));
  });
  return () => { clearInterval(timer); unwatch(); };
};

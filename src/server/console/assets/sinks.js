// Sinks: other systems that rows are sent on to.

import { fill, h, count, duration, rate, text, time } from "./dom.js";
import { get, live, speed, watch } from "./api.js";

export const show = async (main, [wanted]) => {
  const box = h("div", { class: "grid" });
  const all = () => Object.entries(live.measures?.sinks ?? {}).filter(([name]) => !wanted || name === wanted);
  const draw = () => fill(box, all().map(([name, sink]) => h("section", { class: "panel" }, h("div", { class: "row" }, h("h2", {}, name), h("span", { class: `badge ${sink.state === "RUNNING" ? "good" : "bad"}` }, sink.state)),
    sink.error && h("div", { class: "error" }, sink.error),
    h("dl", {}, [["To", sink.to], ["Takes", sink.reads.join(", ")], ["Written", `${count(sink.written)}, ${rate(speed((m) => m.sinks?.[name]?.written))}/s`], ["Waiting", count(sink.waiting)], ["Deleted", count(sink.deleted)], ["There already", count(sink.known)], ["Rejected", count(sink.rejected)], ["Tried again", count(sink.retries)], ["Last written", sink.lastMs ? time(sink.lastMs) : "–"]].map(([k, v]) => [h("dt", {}, k), h("dd", {}, text(v))]),
      sink.pausedMs > 0 && [h("dt", {}, "Next try in"), h("dd", {}, duration(sink.pausedMs))]))), all().length === 0 && h("p", { class: "dim" }, "There are none: [sinks.NAME] in the topology, or CREATE SINK CONNECTOR, makes one."));
  fill(main, h("h1", {}, wanted ? `Sink ${wanted}` : "Sinks"), box);
  live.measures ??= await get("/health/now");
  draw();
  return watch((kind) => kind === "measures" && draw());
};

// Topics: where they are, and their messages from any offset.

import { fill, h, count, grid, name } from "./dom.js";
import { ksql, query, sources } from "./api.js";
import { link } from "./flow.js";

const list = async (main) => {
  const [entity] = await ksql("SHOW TOPICS EXTENDED;");
  const topics = entity.topics.filter((t) => !t.name.startsWith("wharfe_"));
  const columns = [{ name: "Topic", show: (v) => h("a", { href: link(`topic:${v}`) }, v) }, { name: "Connector" }, { name: "Place" }, { name: "Partitions", num: true }, { name: "Readers", num: true }, { name: "Queries", num: true }];
  fill(main, h("h1", {}, "Topics"), grid(columns, topics.map((t) => [t.name, t.connector, t.place, t.replicaInfo.length, t.consumerCount, t.consumerGroupCount]), { caption: "topics" }));
};

const one = async (main, topic) => {
  const readers = (await sources()).filter((s) => s.topic === topic);
  const as = h("select", { "aria-label": "decoded as" }, readers.map((s) => h("option", { value: s.name }, `decoded as ${s.name}`)), h("option", { value: "" }, "as PRINT shows it"));
  const partition = h("input", { type: "number", min: 0, value: "0", "aria-label": "partition", style: { width: "90px" } });
  const offset = h("input", { type: "number", min: 0, value: "0", "aria-label": "from offset", style: { width: "140px" } });
  const limit = h("input", { type: "number", min: 1, max: 1000, value: "50", "aria-label": "messages at most", style: { width: "90px" } });
  const box = h("div"), said = h("p", { class: "dim small", role: "status" });
  let stop = new AbortController();
  const load = async () => {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    fill(box, h("p", { class: "dim" }, "Reading…"));
    try {
      if (as.value) {
        const sql = `SELECT ROWPARTITION, ROWOFFSET, ROWTIME, * FROM ${name(as.value)} WHERE ROWPARTITION = ${Number(partition.value)} AND ROWOFFSET >= ${Number(offset.value)} EMIT CHANGES LIMIT ${Number(limit.value)};`;
        const rows = [];
        let columns = [];
        const draw = () => { fill(box, grid(columns, rows, { caption: `messages of ${topic}` })); said.textContent = `${count(rows.length)} messages`; };
        const timer = setTimeout(() => { draw(); if (rows.length < Number(limit.value)) said.textContent += "; there are no more, or they are further on"; stop.abort(); }, 4000);
        await query(sql, { signal, properties: { "auto.offset.reset": "earliest" }, onHeader: (a) => { columns = a.columns; }, onRow: (row) => { rows.push(row); } });
        clearTimeout(timer);
        draw();
      } else {
        const lines = [];
        const timer = setTimeout(() => stop.abort(), 4000);
        const draw = () => { fill(box, h("pre", { tabindex: "0" }, lines.join("\n") || "nothing yet")); said.textContent = `${count(lines.length)} lines`; };
        try { await query(`PRINT ${name(topic)} FROM BEGINNING LIMIT ${Number(limit.value)};`, { signal, onRow: ([line]) => { lines.push(line); } }); } finally { clearTimeout(timer); draw(); }
      }
    } catch (error) { if (!signal.aborted) fill(box, h("div", { class: "error" }, error.message)); }
  };
  fill(main, h("h1", {}, `Topic ${topic}`), h("section", { class: "panel" }, h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); load(); } }, as,
    h("label", { class: "field" }, "partition", partition), h("label", { class: "field" }, "from offset", offset), h("label", { class: "field" }, "at most", limit), h("button", { type: "submit" }, "Read")), box, said),
    readers.map((s) => h("p", {}, "Declared by ", h("a", { href: link(`${s.type.toLowerCase()}:${s.name}`) }, s.name))));
  load();
  return () => stop.abort();
};

export const show = (main, [topic]) => (topic ? one(main, topic) : list(main));

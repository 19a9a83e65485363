// Rejects: what could not be taken, why, and how it goes back in.

import { fill, h, bytes, count, string, text, time, toast } from "./dom.js";
import { query, send } from "./api.js";

const SHOWN = 200, READ = 5000;
const COLUMNS = "ROWPARTITION, ROWOFFSET, KIND, SOURCE_NAME, TOPIC, TOPIC_PARTITION, TOPIC_OFFSET, STAGE, COLUMN_NAME, REASON, RAW, AT";

const decode = (base64) => Uint8Array.from(atob(base64 ?? ""), (c) => c.charCodeAt(0));
const encode = (data) => btoa(Array.from(data, (b) => String.fromCharCode(b)).join(""));
const asText = (data) => new TextDecoder().decode(data);
const hex = (data) => {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const row = [...data.slice(at, at + 16)];
    const codes = row.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(48);
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes} ${row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join("")}`);
  }
  return lines.join("\n");
};

const load = async () => {
  const { rows } = await query(`SELECT ${COLUMNS} FROM WHARFE_REJECTS LIMIT ${READ};`);
  return rows.map(([partition, offset, kind, source, topic, topicPartition, topicOffset, stage, column, reason, raw, at]) =>
    ({ partition, offset, kind, source, topic, topicPartition, topicOffset, stage, column, reason, raw, at }));
};

// Reasons differ in values: what is in quotes, and numbers, are left out of a group's name.
const group = (reject) => [reject.source, reject.stage, reject.column ?? "", reject.reason.replace(/'[^']*'|"[^"]*"|`[^`]*`/g, "…").replace(/\d+/g, "n")].join("\u0000");

const replay = async (body, done) => {
  try {
    const { replayed, refused } = await send("POST", "/rejects/replay", body);
    toast(`${count(replayed)} went back in${refused.length ? `; ${count(refused.length)} did not: ${refused[0].message}` : ""}`, refused.length > 0 && !replayed);
    done();
  } catch (error) {
    toast(error.message, true);
  }
};

const fixing = (reject, done) => {
  const data = decode(reject.raw);
  const edited = h("textarea", { rows: Math.min(14, 3 + asText(data).split("\n").length), "aria-label": "the record, to be changed" });
  edited.value = asText(data);
  const send = h("button", { type: "button", onclick: () => { send.disabled = true; replay({ partition: reject.partition, offset: reject.offset, value: encode(new TextEncoder().encode(edited.value)) }, done).finally(() => { send.disabled = false; }); } }, "Replay at its source");
  return h("div", {}, h("p", {}, h("strong", {}, "Expected: "), reject.reason), reject.column && h("p", {}, `Column ${reject.column}`),
    h("div", { class: "grid" }, h("div", {}, h("h3", {}, "As text"), edited, h("div", { class: "row" }, send)),
      h("div", {}, h("h3", {}, `As bytes (${bytes(data.length)})`), h("pre", { tabindex: "0" }, hex(data)))));
};

const whole = (members, done) => {
  const { source, stage, column } = members[0];
  const field = h("input", { class: "mono", size: 60, "aria-label": "expression over RAW", placeholder: "REPLACE(RAW, 'n/a', '')" });
  const preview = h("div");
  const where = [`SOURCE_NAME = ${string(source)}`, `STAGE = ${string(stage)}`, column ? `COLUMN_NAME = ${string(column)}` : "COLUMN_NAME IS NULL"].join(" AND ");
  const body = () => ({ where, expression: field.value });
  const tryIt = async () => {
    try {
      const { records } = await send("POST", "/rejects/preview", body());
      fill(preview, records.slice(0, 5).map((one) => h("pre", {}, `${one.before}\n→ ${one.after === null ? "NULL: it would stay" : one.after}`)));
    } catch (error) { fill(preview, h("div", { class: "error" }, error.message)); }
  };
  return h("details", {}, h("summary", {}, `Change all ${count(members.length)} by an expression`), h("p", { class: "dim small" }, "RAW is the record as text; what the expression gives goes in for it, NULL leaves it where it is."),
    h("div", { class: "row" }, field, h("button", { type: "button", class: "quiet", onclick: tryIt }, "Try"), h("button", { type: "button", onclick: () => replay(body(), done) }, "Replay all")), preview);
};

export const show = async (main) => {
  const draw = async () => {
    const all = await load();
    const groups = new Map();
    all.forEach((reject) => groups.set(group(reject), [...(groups.get(group(reject)) ?? []), reject]));
    const filter = h("input", { type: "search", "aria-label": "rejects that contain", placeholder: "contains…" });
    const list = h("div");
    const draw1 = () => fill(list, [...groups.values()].filter((members) => !filter.value || members.some((m) => text(m.reason).includes(filter.value) || m.source.includes(filter.value) || asText(decode(m.raw)).includes(filter.value)))
      .sort((a, b) => b.length - a.length).map((members) => section(members, draw)));
    filter.addEventListener("input", draw1);
    draw1();
    fill(main, h("div", { class: "row" }, h("h1", {}, "Rejects"), filter, h("button", { type: "button", class: "quiet", onclick: draw }, "Reload"), h("span", { class: "dim" }, `${count(all.length)} rejects and notes`)),
      all.length === 0 ? h("p", { class: "good" }, "Nothing was rejected.") : list);
  };
  await draw();
};

const section = (members, done) => {
  const [first] = members;
  const canReplay = first.kind === "reject" && first.raw !== null;
  const item = (reject) => {
    const box = h("details", {}, h("summary", {}, `${reject.topic} ${reject.topicPartition ?? "–"}:${reject.topicOffset ?? "–"}, ${time(reject.at)}: ${reject.raw === null ? reject.reason : asText(decode(reject.raw)).slice(0, 120)}`));
    // Built when it is opened: there may be thousands.
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(canReplay ? fixing(reject, done) : h("p", {}, reject.reason)); });
    return box;
  };
  return h("section", { class: "panel" }, h("h2", {}, `${first.source}: ${first.reason}`), h("p", { class: "dim small" }, `${count(members.length)} at ${first.stage}${first.column ? `, column ${first.column}` : ""}${first.kind === "note" ? "; the rows went on" : ""}`),
    canReplay && whole(members, done), members.slice(0, SHOWN).map(item), members.length > SHOWN && h("p", { class: "dim small" }, `${count(SHOWN)} are shown.`));
};

// Schemas: subjects and their versions, what differs between two, whether another one could follow.

import { fill, h, toast } from "./dom.js";
import { get, send } from "./api.js";

const pretty = (schema) => { try { return JSON.stringify(JSON.parse(schema), null, 2); } catch { return schema; } };
const path = (subject) => `/subjects/${encodeURIComponent(subject)}`;

// Lines that both have, and those that one has: by the longest common part.
export const difference = (before, after) => {
  const [a, b] = [before.split("\n"), after.split("\n")];
  const long = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1) long[i][j] = a[i] === b[j] ? long[i + 1][j + 1] + 1 : Math.max(long[i + 1][j], long[i][j + 1]);
  const found = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) { found.push([" ", a[i]]); i += 1; j += 1; }
    else if (i < a.length && (j >= b.length || long[i + 1][j] >= long[i][j + 1])) { found.push(["-", a[i]]); i += 1; }
    else { found.push(["+", b[j]]); j += 1; }
  }
  return found;
};
const CLASSES = { " ": "same", "-": "del", "+": "add" };

const list = async (main) => {
  const subjects = await get("/subjects");
  fill(main, h("h1", {}, "Schemas"), subjects.length === 0 ? h("p", { class: "dim" }, "The registry has none yet: formats such as AVRO and PROTOBUF register theirs when something is written.") :
    h("section", { class: "panel" }, h("ul", {}, subjects.map((subject) => h("li", {}, h("a", { href: `#/schemas/${encodeURIComponent(subject)}` }, subject))))));
};

const one = async (main, subject) => {
  const versions = await get(`${path(subject)}/versions`);
  const all = await Promise.all(versions.map((v) => get(`${path(subject)}/versions/${v}`)));
  const level = await get(`/config/${encodeURIComponent(subject)}`).catch(() => get("/config"));
  const pick = (chosen, label) => { const node = h("select", { "aria-label": label }, versions.map((v) => h("option", { value: String(v) }, `version ${v}`))); node.value = String(chosen); return node; };
  const newest = all.at(-1);
  const left = pick(versions.at(-2) ?? versions.at(-1), "before"), right = pick(versions.at(-1), "after"), shown = h("pre", { class: "diff", tabindex: "0" });
  const of = (v) => pretty(all.find((one) => String(one.version) === v.value).schema);
  const compare = () => fill(shown, difference(of(left), of(right)).map(([sign, line]) => h("span", { class: CLASSES[sign] }, `${sign} ${line}\n`)));
  [left, right].forEach((node) => node.addEventListener("change", compare));
  compare();
  const draft = h("textarea", { rows: 14, "aria-label": "a new version" }), verdict = h("div", { role: "status" });
  draft.value = pretty(newest.schema);
  const body = () => ({ schema: draft.value, schemaType: newest.schemaType ?? "AVRO", references: newest.references ?? [] });
  const register = h("button", { type: "button", disabled: true, onclick: async () => {
    try { const { id } = await send("POST", `${path(subject)}/versions`, body()); toast(`registered with id ${id}`); one(main, subject); } catch (error) { toast(error.message, true); }
  } }, "Register");
  draft.addEventListener("input", () => { register.disabled = true; fill(verdict); });
  const tryIt = async () => {
    try {
      const answer = await send("POST", `/compatibility${path(subject)}/versions/latest?verbose=true`, body());
      fill(verdict, answer.is_compatible ? h("p", { class: "good" }, "It can follow the latest version.") : h("div", { class: "error" }, ["It cannot follow:", ...(answer.messages ?? [])].join("\n")));
      register.disabled = !answer.is_compatible;
    } catch (error) { fill(verdict, h("div", { class: "error" }, error.message)); }
  };
  fill(main, h("h1", {}, subject), h("p", { class: "dim" }, `${newest.schemaType ?? "AVRO"} · compatibility ${level.compatibilityLevel ?? level.compatibility} · ids ${all.map((v) => v.id).join(", ")}`),
    h("div", { class: "grid" }, h("section", { class: "panel" }, h("h2", {}, "Versions"), h("div", { class: "row" }, left, "→", right), shown),
      h("section", { class: "panel" }, h("h2", {}, "A new version"), draft, h("div", { class: "row" }, h("button", { type: "button", class: "quiet", onclick: tryIt }, "Try compatibility"), register), verdict)));
};

export const show = (main, [subject]) => (subject ? one(main, subject) : list(main));

// SQL as it is typed: colours, what could come next, and where something is wrong.

import { fill, h } from "./dom.js";
import { get, send, sources } from "./api.js";

const TOKEN = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*(?:'|$))|("(?:[^"]|"")*(?:"|$)|`(?:[^`]|``)*(?:`|$))|(\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|([A-Za-z_][A-Za-z0-9_]*)|(\s+|.)/g;
const CLASSES = [, "c", "s", undefined, "n"];

let known;
// Keywords, functions and names, once; names anew when asked for.
export const words = async (anew = false) => {
  if (!known || anew) {
    const [fixed, described] = await Promise.all([known?.fixed ?? get("/words"), sources()]);
    known = { fixed, keywords: new Set(fixed.keywords), functions: new Set(fixed.functions.map((f) => f.name)), described };
  }
  return known;
};

// [{start, end}] of what is wrong, as places in the text.
export const colour = (pre, source, faults) => {
  const nodes = [];
  let at = 0;
  for (const match of source.matchAll(TOKEN)) {
    const group = match.findIndex((part, i) => i > 0 && part !== undefined);
    const word = match[0].toUpperCase();
    let kind = CLASSES[group];
    if (group === 5 && known?.keywords.has(word)) kind = "k";
    else if (group === 5 && known?.functions.has(word)) kind = "f";
    const wrong = faults.some((f) => at < Math.max(f.end, f.start + 1) && at + match[0].length > f.start);
    const style = [kind, wrong && match[0].trim() !== "" && "wavy"].filter(Boolean).join(" ");
    nodes.push(style ? h("span", { class: style }, match[0]) : match[0]);
    at += match[0].length;
  }
  // An error behind the end has no text to stand under.
  if (faults.some((f) => f.start >= source.trimEnd().length)) nodes.push(h("span", { class: "wavy" }, "  "));
  fill(pre, nodes, "\n");
};

export const before = (source, caret) => /[A-Za-z_`"][A-Za-z0-9_`"]*$/.exec(source.slice(0, caret))?.[0] ?? "";

// What could stand where the caret is: columns of what the statement names first.
export const suggest = (source, caret) => {
  const prefix = before(source, caret).replace(/^[`"]/, "").toUpperCase();
  if (!known || !prefix) return [];
  const statement = source.slice(source.lastIndexOf(";", caret - 1) + 1);
  const named = known.described.filter((d) => new RegExp(`\\b${d.name.replace(/\W/g, "\\$&")}\\b`, "i").test(statement));
  const columns = named.flatMap((d) => d.fields.map((field) => field.name));
  const all = [...columns, ...known.described.map((d) => d.name), ...known.keywords, ...known.functions];
  return [...new Set(all)].filter((word) => word.toUpperCase().startsWith(prefix) && word.toUpperCase() !== prefix).slice(0, 14);
};

// The statements of a text and what is wrong with it, as the server reads it.
export const check = (source) => send("POST", "/check", { ksql: source });

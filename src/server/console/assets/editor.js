// The editor: statements, what became of them, answers as they come, side by side.

import { append, csv, fill, h, count, duration, grid, name, save, text } from "./dom.js";
import { Failed, ksql, query } from "./api.js";
import { before, check, colour, suggest, words } from "./sqltext.js";

const KEPT_ROWS = 1000, PER_FRAME = 200, HISTORY = 100, RESULTS = 12;
const SET = /^\s*SET\s+'([^']+)'\s*=\s*'([^']*)'\s*;?\s*$/i, UNSET = /^\s*UNSET\s+'([^']+)'\s*;?\s*$/i;

const stored = (key, otherwise) => { try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; } };
const keep = (key, value) => localStorage.setItem(key, JSON.stringify(value));
const frame = () => new Promise((done) => requestAnimationFrame(done));

// Of an answer: its rows as they come. A table's row replaces the one of the same key.
const answerCard = (statement, properties) => {
  const stop = new AbortController();
  const rows = [];
  let columns = [], seen = 0, fresh = 0, open = true, drawn = 0;
  const said = h("p", { class: "dim small", role: "status" }), box = h("div"), problem = h("div");
  const end = h("button", { type: "button", class: "danger", onclick: () => stop.abort() }, "Stop");
  const close = h("button", { type: "button", class: "quiet", onclick: () => { stop.abort(); card.remove(); } }, "Close");
  const file = (type) => () => (type === "csv" ? save("answer.csv", "text/csv", csv(columns, rows)) :
    save("answer.json", "application/json", JSON.stringify(rows.map((row) => Object.fromEntries(columns.map((c, i) => [c.name, row[i]]))), null, 1)));
  const began = performance.now();
  const card = h("section", { class: "panel result", "aria-label": "answer" }, h("div", { class: "row" }, end, h("button", { type: "button", class: "quiet", onclick: file("csv") }, "CSV"), h("button", { type: "button", class: "quiet", onclick: file("json") }, "JSON"), close),
    h("pre", {}, statement), problem, box, said);
  const draw = () => {
    drawn = performance.now();
    fill(box, columns.length > 0 && grid(columns, rows, { caption: "answer", limit: 300 }));
    said.textContent = `${count(seen)} rows${rows.length < seen ? `, the last ${count(rows.length)} are kept` : ""}${open ? "; more may come" : ` in ${duration(performance.now() - began)}`}`;
  };
  const take = async (row, gone) => {
    seen += 1;
    fresh += 1;
    rows.push(gone ? row.map((v, i) => (i === 0 ? `${text(v)} (gone)` : v)) : row);
    if (rows.length > KEPT_ROWS) rows.splice(0, rows.length - KEPT_ROWS);
    // Waiting for the screen is what holds a fast answer back.
    if (fresh >= PER_FRAME) { fresh = 0; await frame(); if (performance.now() - drawn > 250) draw(); }
  };
  const timer = setInterval(draw, 250);
  const done = query(statement, { properties, signal: stop.signal, onHeader: (answer) => { columns = answer.columns; }, onRow: take })
    .catch((error) => { if (!stop.signal.aborted) { fill(problem, h("div", { class: "error" }, error.message)); throw error; } })
    .finally(() => { open = false; clearInterval(timer); end.disabled = true; draw(); });
  return { card, done, stop };
};

const listOf = (entity) => {
  const [key, rows] = Object.entries(entity).find(([k, v]) => Array.isArray(v) && v.length && typeof v[0] === "object" && !["warnings", "fields"].includes(k)) ?? [];
  if (!key) return undefined;
  const names = Object.keys(rows[0]);
  return grid(names.map((n) => ({ name: n })), rows.map((row) => names.map((n) => row[n])), { caption: key });
};

const statusCard = (statement, entities) => h("section", { class: "panel result", "aria-label": "outcome" },
  h("div", { class: "row" }, h("button", { type: "button", class: "quiet", onclick: (event) => event.target.closest("section").remove() }, "Close")),
  h("pre", {}, statement), entities.length === 0 && h("p", { class: "good" }, "Done."),
  entities.map((entity) => (entity.commandStatus ? h("p", { class: "good" }, entity.commandStatus.message)
    : entity.queryDescription ? h("pre", {}, entity.queryDescription.executionPlan)
    : entity.sourceDescription ? grid([{ name: "Column" }, { name: "Type" }, { name: "Part" }], entity.sourceDescription.fields.map((f) => [f.name, f.schema.type, f.type ?? ""]), { caption: entity.sourceDescription.name })
    : listOf(entity) ?? h("pre", {}, JSON.stringify(entity, null, 1)))));

export const show = async (main, [given]) => {
  const text = h("textarea", { id: "sql", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-label": "statements", "aria-describedby": "faults", rows: 9 });
  text.value = given ?? stored("sql", "SHOW STREAMS;");
  const pre = h("pre", { "aria-hidden": "true" }), hints = h("ul", { class: "complete", "aria-label": "completions" });
  const faultBox = h("div", { id: "faults", role: "status" }), results = h("div", { class: "grid" }), open = new Set();
  const reset = h("select", { "aria-label": "auto.offset.reset" }, ["latest", "earliest"].map((v) => h("option", { value: v }, v)));
  reset.value = stored("reset", "latest");
  reset.addEventListener("change", () => keep("reset", reset.value));
  const more = h("textarea", { rows: 2, "aria-label": "more properties, one a line: name=value", placeholder: "name=value" });
  let checked = { statements: [], errors: [] }, turn = 0, problems = [];
  const paint = () => { colour(pre, text.value, [...checked.errors, ...problems]); pre.scrollTop = text.scrollTop; };
  const complete = () => fill(hints, suggest(text.value, text.selectionStart).map((word) => h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => insert(word) }, word))));
  const insert = (word) => {
    const at = text.selectionStart, typed = before(text.value, at);
    text.focus();
    text.setRangeText(known(word) ? word : name(word), at - typed.length, at, "end");
    changed();
  };
  const known = (word) => /^[A-Z_][A-Z0-9_]*$/.test(word);
  const inspect = async () => {
    const mine = (turn += 1);
    const found = await check(text.value).catch((error) => ({ statements: [], errors: [{ start: 0, end: 0, message: error.message }] }));
    if (mine !== turn) return checked;
    checked = found;
    fill(faultBox, found.errors.map((error) => h("div", { class: "error" }, error.message)));
    paint();
    return checked;
  };
  let waiting;
  const changed = () => { keep("sql", text.value); problems = []; checked.errors = []; paint(); complete(); clearTimeout(waiting); waiting = setTimeout(inspect, 350); };
  text.addEventListener("input", changed);
  text.addEventListener("scroll", () => { pre.scrollTop = text.scrollTop; });
  text.addEventListener("keydown", (event) => {
    const [first] = hints.querySelectorAll("button");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
    // Tab takes a completion only where one is offered, so that it leaves the field otherwise.
    else if (event.key === "Tab" && !event.shiftKey && first) { event.preventDefault(); first.click(); }
    else if (event.key === "Escape") fill(hints);
  });
  const add = (card) => { results.prepend(card); while (results.children.length > RESULTS) results.lastChild.remove(); };
  const properties = () => Object.fromEntries([["auto.offset.reset", reset.value], ...more.value.split("\n").map((l) => l.split("=").map((p) => p.trim())).filter(([k, v]) => k && v !== undefined)]);
  // The place of an error in a statement, in the whole text.
  const located = (error, statement) => {
    const place = /<statement>:(\d+):(\d+)/.exec(error.message);
    if (!place) return { start: statement.start, end: statement.end };
    const lines = statement.text.split("\n").slice(0, Number(place[1]) - 1);
    const start = statement.start + lines.reduce((n, l) => n + l.length + 1, 0) + Number(place[2]) - 1;
    return { start, end: start + 1 };
  };
  const run = async () => {
    fill(hints);
    await inspect();
    if (checked.errors.length) return;
    const chosen = text.selectionEnd > text.selectionStart ? checked.statements.filter((s) => s.start < text.selectionEnd && s.end > text.selectionStart) : checked.statements;
    keep("history", [text.value, ...stored("history", []).filter((t) => t !== text.value)].slice(0, HISTORY));
    history();
    const session = properties();
    for (const statement of chosen) {
      try {
        const set = SET.exec(statement.text), unset = UNSET.exec(statement.text);
        if (set) session[set[1]] = set[2];
        if (unset) delete session[unset[1]];
        if (statement.query) {
          const answer = answerCard(statement.text, { ...session });
          open.add(answer);
          add(answer.card);
          answer.done.catch((error) => fault(error, statement)).finally(() => open.delete(answer));
        } else {
          add(statusCard(statement.text, await ksql(`${statement.text};`, session)));
        }
      } catch (error) {
        fault(error, statement);
        return;
      }
    }
    if (chosen.some((s) => !s.query)) words(true).then(paint, () => {});
  };
  const fault = (error, statement) => {
    if (!(error instanceof Failed)) throw error;
    problems.push(located(error, statement));
    append(faultBox, [h("div", { class: "error" }, error.message)]);
    paint();
  };
  const past = h("details", { class: "panel" });
  const history = () => fill(past, h("summary", {}, "History"), stored("history", []).map((one) => h("button", { type: "button", class: "quiet", style: { display: "block", "text-align": "left", margin: "4px 0", "max-width": "100%", overflow: "hidden", "text-overflow": "ellipsis" }, onclick: () => { text.value = one; changed(); text.focus(); } }, one.slice(0, 120))));
  fill(main, h("h1", {}, "Editor"), h("div", { class: "split" },
    h("div", {}, h("div", { class: "editor" }, pre, text), hints,
      h("div", { class: "row" }, h("button", { type: "button", id: "run", onclick: run }, "Run"), h("span", { class: "dim small" }, "Ctrl+Enter runs; Tab takes the first completion; a selection runs alone")), faultBox),
    h("div", {}, h("section", { class: "panel" }, h("h2", {}, "Properties"), h("label", { class: "field" }, "auto.offset.reset", reset), h("label", { class: "field" }, "more", more)), past)), results);
  history();
  paint();
  await words(true).catch(() => {});
  paint();
  inspect();
  return () => { clearTimeout(waiting); open.forEach((answer) => answer.stop.abort()); };
};

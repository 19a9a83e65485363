// Elements, texts and numbers. All that comes from records goes in as text nodes: never as markup.

const SVG = "http://www.w3.org/2000/svg";

const build = (node, props, children) => {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name === "value") node.value = value;
    else if (name === "style") Object.entries(value).forEach(([k, v]) => node.style.setProperty(k, v));
    else node.setAttribute(name, value === true ? "" : value);
  }
  append(node, children);
  return node;
};

export const append = (node, children) => {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
};

export const h = (tag, props, ...children) => build(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => build(document.createElementNS(SVG, tag), props, children);
export const fill = (node, ...children) => { node.replaceChildren(); return append(node, children); };
export const $ = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const parts = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });
export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
export const number = (n) => (typeof n !== "number" ? text(n) : Number.isInteger(n) ? whole.format(n) : parts.format(n));
export const rate = (n) => (n === undefined || n === null ? "–" : n >= 10 ? whole.format(n) : parts.format(n));
export const bytes = (n) => {
  if (n === null || n === undefined) return "–";
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024 || unit === "GiB") return `${unit === "B" ? n : n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
};
export const duration = (ms) => {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120e3) return `${(ms / 1e3).toFixed(1)} s`;
  if (ms < 7200e3) return `${Math.round(ms / 60e3)} min`;
  return `${Math.round(ms / 3600e3)} h`;
};
export const time = (ms) => new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
export const text = (value) => (value === null || value === undefined ? "NULL" : typeof value === "object" ? JSON.stringify(value) : String(value));
export const isNumeric = (type) => /^(INT|INTEGER|BIGINT|DOUBLE|DECIMAL)/.test(type ?? "");
export const name = (n) => (/^[A-Z_][A-Z0-9_]*$/.test(n) ? n : `\`${n.replaceAll("`", "``")}\``);
export const string = (t) => `'${String(t).replaceAll("'", "''")}'`;

export const toast = (message, bad = false) => {
  const node = h("div", { class: bad ? "toast bad" : "toast" }, message);
  $("toasts").append(node);
  setTimeout(() => node.remove(), bad ? 9000 : 4000);
};

// Asks before something is done that cannot be undone; true when it is to be done.
export const confirm = (title, what, verb) => new Promise((done) => {
  const close = (answer) => { dialog.close(); dialog.remove(); done(answer); };
  const dialog = h("dialog", { "aria-labelledby": "ask", oncancel: () => close(false) },
    h("h2", { id: "ask" }, title), h("p", {}, what),
    h("div", { class: "row" },
      h("button", { class: "quiet", type: "button", onclick: () => close(false) }, "Cancel"),
      h("button", { class: "danger", type: "button", onclick: () => close(true) }, verb)));
  document.body.append(dialog);
  dialog.showModal();
});

// A table that sorts by a click on its heads. columns: [{name, type, show}]
export const grid = (columns, rows, { caption, onrow, limit = 500 } = {}) => {
  let by = -1, down = false;
  const body = h("tbody");
  const draw = () => {
    const ordered = by < 0 ? rows : [...rows].sort((a, b) => compare(a[by], b[by]) * (down ? -1 : 1));
    fill(body, ordered.slice(0, limit).map((row) => h("tr", {}, columns.map((column, i) =>
      h("td", { class: column.num || isNumeric(column.type) ? "num" : undefined }, column.show ? column.show(row[i], row) : column.num ? number(row[i]) : column.name === "ROWTIME" && typeof row[i] === "number" ? time(row[i]) : cell(row[i]))))));
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== by ? "none" : down ? "descending" : "ascending"));
    if (onrow) [...body.children].forEach((tr, i) => onrow(tr, ordered[i]));
  };
  const heads = columns.map((column, i) => h("th", { scope: "col", class: column.num || isNumeric(column.type) ? "num" : undefined },
    h("button", { type: "button", title: column.type, onclick: () => { down = by === i && !down; by = i; draw(); } }, column.name)));
  draw();
  const more = rows.length > limit ? h("p", { class: "dim small" }, `${count(limit)} of ${count(rows.length)} rows are shown.`) : undefined;
  return h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption ?? "rows" },
    h("table", {}, caption && h("caption", { class: "dim small" }, caption), h("thead", {}, h("tr", {}, heads)), body)), more);
};
export const cell = (value) => (value === null || value === undefined ? h("span", { class: "dim" }, "NULL") : text(value));
const compare = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : typeof a === "number" && typeof b === "number" ? a - b : text(a) < text(b) ? -1 : 1);

export const save = (file, type, content) => {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
};
export const csv = (columns, rows) => {
  const field = (v) => { const t = v === null || v === undefined ? "" : text(v); return /[",\r\n]/.test(t) ? `"${t.replaceAll('"', '""')}"` : t; };
  return [columns.map((c) => c.name), ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
};

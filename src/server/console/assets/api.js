// The server's interface, as docs/rest.md has it: statements, answers as streams, and the events.

export class Failed extends Error {
  constructor(message, code) { super(message); this.code = code; }
}

const JSON_TYPE = { "content-type": "application/json", "x-requested-with": "wharfe" };

const failure = async (response) => {
  const body = await response.text();
  try {
    const error = JSON.parse(body);
    return new Failed(error.message ?? body, error.error_code ?? response.status);
  } catch {
    return new Failed(body || `the server answered ${response.status}`, response.status);
  }
};

export const get = async (path) => {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (!response.ok) throw await failure(response);
  return response.json();
};

export const send = async (method, path, body) => {
  const response = await fetch(path, { method, headers: JSON_TYPE, body: JSON.stringify(body) });
  if (!response.ok) throw await failure(response);
  return response.json();
};

// Statements; one entity each.
export const ksql = (statements, properties = {}) => send("POST", "/ksql", { ksql: statements, streamsProperties: properties });

// Streams and tables with all that is known of them, without the engine's own.
export const sources = async () => {
  const entities = await ksql("SHOW STREAMS EXTENDED; SHOW TABLES EXTENDED;");
  return entities.flatMap((e) => e.sourceDescriptions ?? []).filter((d) => !d.name.startsWith("WHARFE_"));
};

// A SELECT or PRINT. onRow(columns, gone) is told of each row, and may give a promise to be waited for.
// Returns {columns, rows} when it ends.
export const query = async (sql, { properties = {}, onHeader, onRow, signal } = {}) => {
  const response = await fetch("/query-stream", {
    method: "POST", signal, headers: { ...JSON_TYPE, accept: "application/vnd.ksql.v1+json" },
    body: JSON.stringify({ sql, properties }),
  });
  if (!response.ok) throw await failure(response);
  const answer = { columns: [], rows: [], id: "" };
  for await (const line of lines(response.body)) {
    const event = parse(line);
    if (!event) continue;
    if (event.header) {
      answer.columns = columnsOf(event.header.schema);
      answer.id = event.header.queryId;
      onHeader?.(answer);
    } else if (event.row) {
      if (onRow) await onRow(event.row.columns, event.row.tombstone === true);
      else answer.rows.push(event.row.columns);
    } else if (event.errorMessage) {
      throw new Failed(event.errorMessage.message, event.errorMessage.error_code);
    }
  }
  return answer;
};

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const found = (rest + value).split("\n");
      rest = found.pop();
      yield* found;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}

const parse = (line) => {
  let text = line.trim();
  if (text.startsWith("[{")) text = text.slice(1);
  if (text.endsWith(",")) text = text.slice(0, -1);
  if (text === "" || text === "]") return undefined;
  try { return JSON.parse(text); } catch { return JSON.parse(text.slice(0, -1)); }
};

// `ID` VARCHAR KEY, `AT` STRUCT<`lat` DOUBLE> → [{name, type, key}]
export const columnsOf = (schema) => {
  const columns = [];
  for (let i = 0; i < schema.length;) {
    let name = "";
    for (i += 1; i < schema.length; i += 1) {
      if (schema[i] !== "`") name += schema[i];
      else if (schema[i + 1] === "`") { name += "`"; i += 1; } else break;
    }
    const start = (i += 2);
    let depth = 0, quoted = false;
    for (; i < schema.length && (quoted || depth > 0 || schema[i] !== ","); i += 1) {
      if (schema[i] === "`") quoted = !quoted;
      else if (!quoted && "<(".includes(schema[i])) depth += 1;
      else if (!quoted && ">)".includes(schema[i])) depth -= 1;
    }
    const type = schema.slice(start, i);
    columns.push({ name, type: type.replace(/ KEY$/, "").replaceAll("`", ""), key: type.endsWith(" KEY") });
    i += 2;
  }
  return columns;
};

// ---- events ----

const watchers = new Set();
let source, last;
export const live = { measures: undefined, before: undefined, catalog: undefined, connected: false };

const tell = (kind) => watchers.forEach((watcher) => watcher(kind));

const listen = () => {
  source = new EventSource("/events");
  source.addEventListener("measures", (event) => {
    live.before = live.measures;
    live.measures = JSON.parse(event.data);
    live.connected = true;
    last = performance.now();
    tell("measures");
  });
  source.addEventListener("catalog", (event) => {
    const changed = live.catalog !== undefined && live.catalog !== event.data;
    live.catalog = event.data;
    if (changed) tell("catalog");
  });
  source.addEventListener("error", () => { live.connected = false; tell("measures"); });
};

// Tells of "measures" and "catalog" until it is undone by what is returned.
export const watch = (watcher) => {
  if (!source) listen();
  watchers.add(watcher);
  if (live.measures) watcher("measures");
  return () => watchers.delete(watcher);
};
export const sinceLast = () => (last === undefined ? undefined : performance.now() - last);

// Rows a second between the last two events, of a counter found by `pick`.
export const speed = (pick) => {
  const { measures: now, before } = live;
  if (!now || !before || now.at <= before.at) return undefined;
  const [a, b] = [pick(before), pick(now)];
  return a === undefined || b === undefined ? undefined : Math.max(0, ((b - a) * 1000) / (now.at - before.at));
};

// Which view is shown, by the address behind the #; the bar above them; the look.

import { $, fill, h, count, duration, rate } from "./dom.js";
import { live, sinceLast, watch } from "./api.js";
import * as flow from "./flow.js";

const VIEWS = {
  flow: ["Flow", async () => flow],
  sources: ["Streams", () => import("./sources.js")],
  queries: ["Queries", () => import("./queries.js")],
  editor: ["Editor", () => import("./editor.js")],
  topics: ["Topics", () => import("./topics.js")],
  rejects: ["Rejects", () => import("./rejects.js")],
  sinks: ["Sinks", () => import("./sinks.js")],
  schemas: ["Schemas", () => import("./schemas.js")],
  health: ["Health", () => import("./health.js")],
  dashboards: ["Dashboards", async () => ({ show: (await import("./dashboard.js")).list })],
};

let leave, shown = 0;

const nav = (current) => fill($("nav"), Object.entries(VIEWS).map(([name, [label]]) =>
  h("a", { href: `/console#/${name}`, "aria-current": name === current ? "page" : undefined }, label)));

// /dashboards/NAME is a page of its own.
const board = /^\/dashboards\/([^/]+)\/?$/.exec(location.pathname)?.[1];

const showBoard = async () => {
  nav("dashboards");
  try {
    const { show } = await import("./dashboard.js");
    await show($("main"), decodeURIComponent(board));
  } catch (error) {
    fill($("main"), h("h1", {}, "Dashboard"), h("div", { class: "error" }, error.message));
  }
};

const route = async () => {
  if (board) { await showBoard(); return; }
  const [view = "flow", ...rest] = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
  const name = VIEWS[view] ? view : "flow";
  const turn = (shown += 1);
  leave?.();
  leave = undefined;
  nav(name);
  // Of its own: a view that was left while it loaded draws where nobody sees it.
  const main = h("div");
  fill($("main"), main);
  document.title = `${rest[0] ?? VIEWS[name][0]} – Wharfe`;
  try {
    const module = await VIEWS[name][1]();
    // A view that was left while it loaded stops what it began.
    const done = await module.show(main, rest);
    if (turn !== shown) done?.();
    else leave = done;
  } catch (error) {
    if (turn === shown) fill(main, h("h1", {}, VIEWS[name][0]), h("div", { class: "error" }, error.message));
  }
};

const status = () => {
  const { measures, connected } = live;
  const box = $("status");
  const silent = !connected || sinceLast() > 5000;
  box.classList.toggle("off", silent);
  if (silent || !measures) { box.textContent = measures ? "not connected" : ""; return; }
  const rows = Object.values(measures.sources).reduce((sum, source) => sum + source.rate, 0);
  box.textContent = `${rate(rows)} rows/s · tick ${duration(measures.tickAgeMs)} · ${count(measures.answers)} watching`;
};

const THEMES = ["auto", "light", "dark"];
const theme = (next) => {
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  $("theme").textContent = `Theme: ${next}`;
};

theme(localStorage.getItem("theme") ?? "auto");
$("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme")) + 1) % 3]));
addEventListener("hashchange", () => route().then(() => $("main").focus()));
route();
watch(status);
setInterval(status, 2000);

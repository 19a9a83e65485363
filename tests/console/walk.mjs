// Walks through the console and a dashboard in a real Chromium as somebody would, and says what is wrong.
//
//   node walk.mjs URL PLAYWRIGHT_CORE CHROMIUM SCREENSHOTS
//
// Each step prints its name when it has passed; the first that fails ends the walk with exit code 1.

import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import assert from "node:assert/strict";

const [url, playwright, chromium, shots] = process.argv.slice(2);
const browser = await createRequire(`${playwright}/`)(playwright).chromium.launch({ executablePath: chromium, args: ["--no-sandbox"] });
mkdirSync(shots, { recursive: true });

const problems = [], hosts = new Set();
const context = async (options) => {
  const made = await browser.newContext({ viewport: { width: 1300, height: 850 }, ...options });
  const page = await made.newPage();
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  return page;
};
const ask = async (sql) => {
  const response = await fetch(`${url}/query-stream`, { method: "POST", headers: { accept: "application/json" }, body: JSON.stringify({ sql }) });
  return (await response.json()).slice(1);
};
const step = async (name, work) => {
  try { await work(); console.log(`ok ${name}`); }
  catch (error) { console.log(`FAILED ${name}: ${error.stack}`); console.log(problems.join("\n")); await browser.close(); process.exit(1); }
};
const open = async (page, path) => { await page.goto(`${url}${path}`); await page.waitForSelector("h1"); };
const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });

// Names of controls, and the contrast of texts: by rule.
const accessible = (page) => page.evaluate(() => {
  const wrong = [];
  const nameOf = (e) => e.getAttribute("aria-label") || e.getAttribute("title") || e.closest("label")?.innerText || e.textContent?.trim();
  for (const e of document.querySelectorAll("button, a[href], input, select, textarea, [role=slider], [role=region], dialog")) if (!nameOf(e) && !e.getAttribute("aria-labelledby")) wrong.push(`${e.outerHTML.slice(0, 80)} has no name`);
  for (const e of document.querySelectorAll("svg:not([aria-hidden])")) if (!e.getAttribute("aria-label") && !e.closest("[aria-label]")) wrong.push("a picture has no name");
  if (document.querySelectorAll("h1").length !== 1) wrong.push("there is not one h1");
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const ground = (e) => { for (let at = e; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  for (const e of document.querySelectorAll("main *, header *")) {
    if (e.namespaceURI.endsWith("svg") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || e.disabled) continue;
    const style = getComputedStyle(e);
    if (style.color === "rgba(0, 0, 0, 0)") continue;
    const [a, b] = [light(parse(style.color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) wrong.push(`${e.tagName} "${e.textContent.trim().slice(0, 30)}" has a contrast of ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return wrong;
});

const page = await context({});

await step("the root leads a browser to the console", async () => {
  await page.goto(url);
  assert.equal(new URL(page.url()).pathname, "/console");
});

await step("the flow is drawn from what runs", async () => {
  await page.waitForSelector('a[aria-label="stream CARPARK_EVENTS"]');
  assert.equal(await page.locator(".flow a.query").count(), 6);
  await page.waitForFunction(() => document.querySelector('a[aria-label="query CSAS_CARPARK_EVENTS_1"]')?.textContent.includes("7,000 in"));
  await shot(page, "flow");
  const [paint] = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint").map((e) => Math.round(e.startTime)));
  console.log(`first paint ${paint} ms`);
});

await step("a node opens what it is", async () => {
  await page.locator('a[aria-label="stream CARPARK_EVENTS"]').click();
  await page.waitForSelector("#messages tbody tr");
  assert.match(await page.locator("main").innerText(), /14,000/);
  await page.getByLabel("messages that contain").fill("Broadway");
  await page.waitForFunction(() => [...document.querySelectorAll("#messages tbody tr")].every((tr) => tr.textContent.includes("Broadway")));
  await shot(page, "stream");
});

await step("a condition that is wrong is told", async () => {
  await page.getByLabel("condition").fill("NO_SUCH = 1");
  await page.getByLabel("condition").press("Enter");
  await page.getByText("NO_SUCH").last().waitFor();
  problems.length = 0;
});

await step("a table's rows are found by key", async () => {
  await open(page, "/console#/sources/SOURCE_COUNTS");
  await page.getByLabel("SOURCE equals").fill("v2/Council/CarParkHistoric");
  await page.getByRole("button", { name: "Search by key" }).click();
  await page.waitForFunction(() => document.querySelectorAll('[aria-label="rows of SOURCE_COUNTS"] tbody tr').length === 1);
  await shot(page, "table");
});

await step("a query shows its plan and its books", async () => {
  await open(page, "/console#/queries/CTAS_SOURCE_COUNTS_4");
  await page.getByText("14,000").first().waitFor();
  assert.match(await page.locator("main").innerText(), /group by|aggregate/i);
  await shot(page, "query");
});

await step("the editor answers, underlines and stops", async () => {
  await open(page, "/console#/editor");
  const text = page.locator("#sql");
  await text.fill("SELECT SOURCE, EVENT_CT FROM SOURCE_COUNTS;\nSHOW STREAMS;");
  await text.press("Control+Enter");
  await page.waitForFunction(() => document.querySelectorAll(".result").length === 2 && document.querySelectorAll('[aria-label="answer"] tbody tr').length === 3);
  await page.getByRole("button", { name: "EVENT_CT" }).click();
  const counts = await page.locator('[aria-label="answer"] tbody tr td:nth-child(2)').allInnerTexts();
  assert.deepEqual(counts, [...counts].sort((a, b) => Number(a) - Number(b)));
  await text.fill("SELECT * FROM CARPARK_EVENTS WHERE;");
  await page.waitForSelector(".wavy");
  await text.fill("SELECT * FROM NO_SUCH;");
  await page.locator("#run").click();
  await page.waitForFunction(() => document.querySelector("#faults").textContent.includes("NO_SUCH") && document.querySelector(".wavy"));
  problems.length = 0;
  await text.fill("SELECT NAME, EMPTY_PLACES FROM CARPARK_EVENTS EMIT CHANGES;");
  await page.getByLabel("auto.offset.reset").selectOption("earliest");
  await page.locator("#run").click();
  const stop = page.locator(".result").first().getByRole("button", { name: "Stop" });
  await page.waitForFunction(() => /more may come/.test(document.querySelector(".result")?.textContent) && document.querySelectorAll(".result tbody tr").length > 5);
  await stop.click();
  await page.waitForFunction(() => !/more may come/.test(document.querySelector(".result").textContent));
  await text.fill("SELECT EMPTY_PL");
  await page.getByLabel("completions").getByRole("button").first().waitFor({ timeout: 2000 }).catch(() => {});
  await shot(page, "editor");
});

await step("a sink whose server is away says so", async () => {
  await open(page, "/console#/sinks");
  await page.getByText("RETRYING").waitFor();
  assert.match(await page.locator("main").innerText(), /CARPARK_EVENTS, CARPARK_OCCUPANCY/);
  assert.equal(await page.locator("main .error").count(), 1);
  await shot(page, "sinks");
});

await step("what is in a record is never markup", async () => {
  await open(page, "/console#/sources/SPOILED");
  await page.waitForSelector("#messages tbody tr");
  assert.match(await page.locator("#messages").innerText(), /<script>/);
  await open(page, "/console#/topics/spoiled");
  await page.waitForSelector('[aria-label="messages of spoiled"] tbody tr');
  assert.equal(await page.evaluate(() => window.spoiled), undefined);
  assert.equal(await page.evaluate(() => document.querySelectorAll("script").length), 1);
});

await step("a reject is mended and goes back in once", async () => {
  const rows = async () => (await ask("SELECT EMPTY_PLACES FROM CARPARK_OCCUPANCY WHERE NAME = 'Mended'")).length;
  assert.equal(await rows(), 0);
  await open(page, "/console#/rejects");
  await page.locator("section summary").filter({ hasText: "Mended" }).click();
  const record = page.getByLabel("the record, to be changed");
  await record.fill((await record.inputValue()).replace("many", "12"));
  await shot(page, "rejects");
  await page.getByRole("button", { name: "Replay at its source" }).click();
  await page.getByText("1 went back in").waitFor();
  for (let i = 0; (await rows()) !== 1; i += 1) { assert.ok(i < 200, "it did not arrive"); await page.waitForTimeout(50); }
  await page.locator("section summary").filter({ hasText: "Mended" }).click();
  await page.getByLabel("the record, to be changed").waitFor();
  await page.getByRole("button", { name: "Replay at its source" }).click();
  await page.getByText("went back in already").waitFor();
  assert.equal((await ask("SELECT COUNT(*) FROM CARPARK_EVENTS WHERE NAME = 'Mended'"))[0][0], 1);
});

await step("the dashboard shows what pull queries answer", async () => {
  await page.goto(`${url}/dashboards/carparks`);
  const sum = (await ask("SELECT EMPTY_PLACES FROM CARPARK_OCCUPANCY")).reduce((n, [places]) => n + places, 0);
  await page.waitForFunction((shown) => document.querySelector("[data-value]")?.dataset.value.replaceAll(",", "") === String(shown), sum);
  await page.waitForFunction(() => document.querySelectorAll("section[data-kind] .chart").length >= 6, undefined, { timeout: 60000 });
  const bars = await page.locator('section[aria-label="Events per source"] td.num').allTextContents();
  const counts = (await ask("SELECT EVENT_CT FROM SOURCE_COUNTS")).map(([n]) => n);
  assert.deepEqual(bars.map((n) => Number(n.replaceAll(",", ""))).sort(), counts.sort());
  assert.equal(await page.locator(".error").count(), 0);
  await shot(page, "dashboard");
  await page.locator('form[aria-label="filters"] select').selectOption("v2/Council/CarParkHistoric");
  const some = (await ask("SELECT EMPTY_PLACES FROM CARPARK_OCCUPANCY WHERE SOURCE = 'v2/Council/CarParkHistoric'")).reduce((n, [places]) => n + places, 0);
  await page.waitForFunction((shown) => document.querySelector("[data-value]")?.dataset.value.replaceAll(",", "") === String(shown), some);
});

const VIEWS = ["flow", "sources", "sources/CARPARK_OCCUPANCY", "queries", "editor", "topics", "rejects", "sinks", "schemas", "health", "dashboards"];
for (const [scheme, width] of [["light", 1300], ["dark", 1300], ["light", 360]]) {
  await step(`all views, ${scheme}, ${width} wide`, async () => {
    const other = await context({ colorScheme: scheme, viewport: { width, height: 800 } });
    for (const view of VIEWS) {
      await open(other, `/console#/${view}`);
      await other.reload();
      await other.waitForSelector("h1");
      await other.waitForTimeout(600);
      assert.equal(await other.locator("main .error").count(), view === "sinks" ? 1 : 0, view);
      assert.deepEqual(await accessible(other), [], view);
      assert.ok(await other.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${view} is wider than the window`);
      await shot(other, `${view.replaceAll("/", "-")}-${scheme}-${width}`);
    }
    await other.context().close();
  });
}

await step("it is used by keyboard alone", async () => {
  await open(page, "/console#/flow");
  await page.reload();
  await page.waitForSelector(".flow a");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.locator(".flow a.table").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.hash.startsWith("#/sources/"));
});

await step("a query is terminated after a question", async () => {
  await open(page, "/console#/queries");
  const button = page.getByLabel("terminate CTAS_SOURCE_COUNTS_4");
  await button.click();
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await button.count(), 1);
  await button.click();
  await page.getByRole("dialog").getByRole("button", { name: "Terminate" }).click();
  await button.waitFor({ state: "detached" });
});

await step("nothing was asked of another host, and no page complained", async () => {
  assert.deepEqual([...hosts], [new URL(url).host]);
  assert.deepEqual(problems, []);
});
await browser.close();

// The harness: signs in, walks every page that the rooms list, and runs their journeys.
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import assert from "node:assert/strict";
import * as library from "./library.mjs";
import * as runs from "./runs.mjs";

// One entry a file of pages and journeys.
const rooms = [library, runs];

const [said, handaxe, chromium, pictures, only] = process.argv.slice(2);
const require = createRequire(`${process.env.HANDAXE_WEB_PLACE}/`);
const { chromium: browsers } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { web, login } = JSON.parse(readFileSync(said, "utf8"));
const WIDTHS = [390, 1024, 1600];
mkdirSync(pictures, { recursive: true });

const newLink = () => JSON.parse(execFileSync(handaxe, ["serve", "login", "--json"], { encoding: "utf8" })).login;

const browser = await browsers.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
const failures = [];
const step = async (name, work) => {
  if (only && !name.includes(only)) return;
  const begun = Date.now();
  try {
    await work();
    console.log(`  ok    ${name} (${Date.now() - begun} ms)`);
  } catch (error) {
    failures.push(name);
    console.log(`  FAIL  ${name}\n${String(error.stack ?? error).replace(/^/gm, "        ")}`);
  }
};

/** A browser of its own; every page error and every refused load of its pages is a failure. */
const visit = async (options = {}) => {
  const context = await browser.newContext({ baseURL: web, viewport: { width: 1024, height: 900 }, ...options });
  context.setDefaultTimeout(15_000);
  context.troubles = [];
  context.on("weberror", (e) => context.troubles.push(`script: ${e.error()}`));
  context.on("console", (m) => {
    if (m.type() === "error" && !/status of (4\d\d|5\d\d)/.test(m.text())) context.troubles.push(`console: ${m.text()}`);
  });
  context.on("request", (r) => {
    if (!r.url().startsWith(web)) context.troubles.push(`asked elsewhere: ${r.url()}`);
  });
  return context;
};
const signIn = async (context, link = newLink()) => {
  const page = await context.newPage();
  await page.goto(link);
  await page.waitForURL(web);
  return page;
};
const tool = { assert, web, visit, signIn, newLink, handaxe: (...args) => execFileSync(handaxe, args, { encoding: "utf8" }) };

/** Nothing sticks out to the side. */
const fits = async (page) => {
  const wide = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const name = (e) => `${e.tagName.toLowerCase()}.${e.className} ${Math.round(e.getBoundingClientRect().right)}`;
    return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > room + 1).slice(0, 5).map(name);
  });
  assert.deepEqual(wide, [], "wider than the window");
};
const accessible = async (page) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  assert.deepEqual(grave.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`), []);
};

await step("sign in with the link that the server printed, once", async () => {
  const context = await visit();
  const page = await signIn(context, login);
  assert.match(await page.textContent("h1"), /Gallery/);
  const again = await context.request.get(login);
  assert.equal(again.status(), 410);
  const other = await visit();
  const stranger = await other.newPage();
  await stranger.goto("/");
  assert.match(stranger.url(), /\/login$/);
  await context.close();
  await other.close();
});

for (const room of rooms) {
  for (const [name, journey] of Object.entries(room.journeysFirst ?? {})) await step(name, () => journey(tool));
}
for (const scheme of ["light", "dark"]) {
  const context = await visit({ colorScheme: scheme });
  const page = await signIn(context);
  for (const { name, path, open } of rooms.flatMap((r) => r.pages)) {
    for (const width of scheme === "light" ? WIDTHS : WIDTHS.slice(1, 2)) {
      await step(`page ${name}, ${scheme}, ${width}`, async () => {
        await page.setViewportSize({ width, height: 900 });
        if (open) await open(page);
        else assert.ok((await page.goto(path)).status() < 500);
        await page.screenshot({ path: `${pictures}/${name}-${width}${scheme === "dark" ? "-dark" : ""}.png`, fullPage: true });
        await fits(page);
        if (width !== 1600) await accessible(page);
        assert.deepEqual(context.troubles.splice(0), []);
      });
    }
  }
  await context.close();
}
for (const room of rooms) {
  for (const [name, journey] of Object.entries(room.journeys)) await step(name, () => journey(tool));
}
await browser.close();
if (failures.length) {
  console.log(`web: ${failures.length} failed: ${failures.join("; ")}`);
  process.exit(1);
}
console.log(`web: every page and journey passed; pictures are in ${pictures}`);

// Runs, insight, journal and the API's page: a question asked in the browser and watched as it is
// worked on, figures, the record.
import { readFileSync } from "node:fs";

export const pages = [
  { name: "runs", path: "/runs" },
  { name: "runs-none", path: "/runs?q=nothing+like+it" },
  {
    name: "run",
    open: async (page) => {
      // Two attempts: what changed is beside what was there.
      await page.goto("/runs?q=MCMXCIV");
      await page.locator("table a").first().click();
      await page.waitForURL(/\/runs\/r/);
      for (const d of await page.locator("details").all()) await d.evaluate((e) => { e.open = true; });
    },
  },
  {
    name: "run-waiting",
    open: async (page) => {
      await page.goto("/runs?state=waiting");
      await page.locator("table a").first().click();
      await page.waitForURL(/\/runs\/r/);
    },
  },
  {
    name: "run-provisional",
    open: async (page) => {
      await page.goto("/runs?q=cost+more+than");
      await page.locator("table a").first().click();
      await page.waitForURL(/\/runs\/r/);
    },
  },
  {
    name: "approval-provisional",
    open: async (page) => {
      await page.goto("/runs?q=cost+more+than");
      await page.locator("table a").first().click();
      await page.locator("#state a.button").click();
      await page.waitForURL(/\/approvals\/\d+$/);
    },
  },
  { name: "insight", path: "/insight" },
  { name: "insight-week", path: "/insight?days=7" },
  { name: "journal", path: "/journal" },
  { name: "journal-filtered", path: "/journal?kind=approval_granted" },
  { name: "journal-none", path: "/journal?actor=nobody+at+all" },
  { name: "journal-verification", path: "/journal/verification" },
  { name: "api-docs", path: "/api/docs" },
];

/** Asks a question about an example file; the run's page. */
const ask = async (page, question, want = "answer", file = "orders.csv") => {
  await page.goto("/runs");
  await page.fill("#question", question);
  await page.setInputFiles("#files", { name: file, mimeType: "text/plain", buffer: readFileSync(`examples/${file}`) });
  await page.selectOption("#want", want);
  await page.click("text=Ask >> nth=-1");
  await page.waitForURL(/\/runs\/r[0-9a-f]{16}$/);
};
/** Waits for a state; where it does not come, says what the run's page shows instead. */
const state = async (page, word) => {
  try {
    await page.locator("#state .status", { hasText: word }).waitFor({ timeout: 60_000 });
  } catch (error) {
    const shown = await page.locator("main").innerText().catch(() => "nothing");
    throw new Error(`not ${word}, but:\n${shown.slice(0, 3000)}\n${error.message}`);
  }
};

export const journeys = {
  "a question asked in the browser is seen to progress, approved, and answered": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await ask(page, "extract the IP addresses", "answer", "access.log");
    // What the page shows as the run goes on, with no page loaded again.
    const seen = new Set();
    let loads = 0;
    page.on("load", () => { loads += 1; });
    for (let n = 0; n < 600 && !seen.has("waiting"); n += 1) {
      seen.add((await page.textContent("#state .status")).trim());
      for (const text of await page.locator("#live strong, #live label").allTextContents()) seen.add(text.trim());
      await page.waitForTimeout(100);
    }
    assert.ok(seen.has("running") && seen.has("waiting"), [...seen].join(", "));
    assert.ok([...seen].some((s) => /Cases|Generated inputs|Mutants|writing/.test(s)), [...seen].join(", "));
    assert.equal(loads, 0);
    await page.locator("#attempt-1 .status", { hasText: "accepted" }).waitFor();
    await page.click("text=Look at approval");
    await page.click("button.primary:has-text('Approve')");
    const run = await page.locator("a[href^='/runs/r']").first();
    if (await run.count()) await run.click();
    else { await page.goto("/runs"); await page.click("text=extract the IP addresses"); }
    await page.click("text=Go on");
    await state(page, "done");
    assert.match(await page.textContent(".answer"), /\d+\.\d+\.\d+\.\d+/);
    assert.deepEqual(context.troubles, []);
    await context.close();
  },
  "what waits is used once, where a person asks, and its answer says so until the yes": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await ask(page, "How many lines contain POST?", "answer", "access.log");
    await state(page, "waiting");
    await page.click("text=Use it once, meanwhile");
    await page.locator(".answer", { hasText: "not approved yet" }).waitFor({ timeout: 60_000 });
    await state(page, "waiting");
    await page.locator(".answer .alert", { hasText: "used once while it waits" }).waitFor();
    assert.equal(await page.locator("text=Use it once, meanwhile").count(), 0);
    await page.click("text=Look at approval");
    await page.locator("dd", { hasText: "once while waiting, by run r" }).waitFor();
    await page.fill("#reason", "not what was meant");
    await page.click("button.danger:has-text('Reject')");
    await page.locator(".alert", { hasText: "rejected" }).waitFor();
    await page.click("text=its answer");
    await page.locator(".answer .alert", { hasText: "and then rejected" }).waitFor();
    assert.deepEqual(context.troubles, []);
    await context.close();
  },
  "a run is stopped, and goes on": async ({ visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await ask(page, "convert this to json lines", "make");
    await page.click("text=Stop it");
    await state(page, "failed");
    await page.locator(".alert", { hasText: "cancelled" }).waitFor();
    await page.click("text=Go on");
    await state(page, "waiting");
    await context.close();
  },
  "without scripts a question is asked, and its page tells how far it is": async ({ assert, visit, signIn }) => {
    const context = await visit({ javaScriptEnabled: false });
    const page = await signIn(context).catch(async () => (await context.pages())[0]);
    await ask(page, "Which city has the highest average price?", "plan");
    for (let n = 0; n < 100 && /running/.test(await page.textContent("#state")); n += 1) {
      await page.waitForTimeout(100);
      await page.reload();
    }
    assert.match(await page.textContent("#timeline"), /Plan:/);
    await context.close();
  },
  "an empty question is refused in words, and hostile ones are only text": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await page.goto("/runs");
    await page.evaluate(() => { document.getElementById("question").required = false; });
    await page.fill("#question", "  ");
    await page.click("text=Ask >> nth=-1");
    await page.locator(".problem", { hasText: "Say what" }).waitFor();
    const text = `<img src=x onerror="document.title='owned'"> {{7*7}} \u202eabc`;
    await ask(page, text, "plan");
    await state(page, /refused|done/);
    assert.match(await page.textContent("h1"), /<img src=x/);
    assert.notEqual(await page.title(), "owned");
    assert.deepEqual(context.troubles, []);
    await context.close();
  },
  "figures: what was used has calls, and the formula is on the page": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await page.goto("/insight");
    assert.match(await page.textContent("table.bars >> nth=0"), /word_counts@1/);
    assert.match(await page.textContent(".formula"), /occasions × tokens/);
    assert.ok(await page.locator("svg.chart rect").count());
    assert.match(await page.textContent("main"), /Never used/);
    await page.click("text=90 days");
    assert.equal(await page.textContent(".periods [aria-current]"), "90 days");
    await context.close();
  },
  "the journal is filtered, verified and exported": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await page.goto("/journal");
    await page.selectOption("#f-kind", "tool_registered");
    await page.click(".filters button");
    const kinds = new Set(await page.locator("tbody tr td:nth-child(3)").allTextContents());
    assert.deepEqual([...kinds], ["tool registered"]);
    await page.goto("/journal");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Export")]);
    const lines = readFileSync(await file.path(), "utf8").trim().split("\n");
    assert.equal(JSON.parse(lines[0]).seq, 1);
    await page.click("text=Is it whole?");
    assert.match(await page.textContent("h1"), /whole/);
    await context.close();
  },
};

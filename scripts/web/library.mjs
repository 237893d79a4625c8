// The gallery, the tools' pages and the approvals.

/** The page of the approval of a tool, by its name and version. */
const approval = async (page, title) => {
  await page.goto("/approvals");
  await page.getByRole("link", { name: title, exact: true }).first().click();
  await page.waitForURL(/\/approvals\/\d+$/);
};

export const pages = [
  { name: "login", path: "/login" },
  { name: "gallery", path: "/" },
  { name: "gallery-nothing", path: "/?q=zzzz+nothing" },
  { name: "tool", path: "/tools/word_counts" },
  { name: "tool-composed", path: "/tools/show_all" },
  { name: "tool-diff", path: "/tools/word_counts/diff?from=1&to=2" },
  { name: "approvals", path: "/approvals" },
  { name: "approval", open: (page) => approval(page, "word_counts@3") },
  { name: "approval-hostile", open: (page) => approval(page, "naughty_words@1") },
  { name: "missing", path: "/tools/nothing_here" },
];

export const journeys = {
  "search narrows the gallery, with and without a script": async ({ assert, visit, signIn }) => {
    for (const javaScriptEnabled of [true, false]) {
      const context = await visit({ javaScriptEnabled });
      const page = await signIn(context);
      await page.fill("#q", "count words");
      if (javaScriptEnabled) await page.waitForURL(/q=count/);
      else await page.click(".filters button");
      await page.getByRole("link", { name: "word_counts" }).waitFor();
      await page.selectOption("#f-domain", "formatting");
      if (!javaScriptEnabled) await page.click(".filters button");
      await page.getByText("Nothing fits").waitFor();
      assert.deepEqual(context.troubles, []);
      await context.close();
    }
  },

  "try a tool with every kind of field and a file": async ({ assert, visit, signIn }) => {
    for (const javaScriptEnabled of [true, false]) {
      const context = await visit({ javaScriptEnabled });
      const page = await signIn(context);
      await page.goto("/tools/show_all");
      await page.getByLabel("text").fill("<b>naughty</b> & \u202eturned");
      await page.getByLabel("way").selectOption({ label: "as it is" });
      await page.getByLabel("loud").selectOption("true");
      await page.getByLabel("rows").fill("[1, 2.5]");
      await page.getByLabel("path").setInputFiles({ name: "../a b.txt", mimeType: "text/plain", buffer: Buffer.from("12345") });
      await page.getByRole("button", { name: "Run in the sandbox" }).click();
      const tried = page.locator("#tried");
      await tried.getByText('"bytes": 5').waitFor();
      const text = await tried.innerText();
      assert.match(text, /<b>naughty<\/b> & \\u\{202e\}turned/);
      assert.match(text, /loud: <i>/);
      assert.equal(await tried.locator("b, i").count(), 0);
      assert.deepEqual(context.troubles, []);
      await context.close();
    }
  },

  "a field that cannot be read is said, and nothing runs": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await page.goto("/tools/show_all");
    await page.getByLabel("rows").fill("[1, 1");
    await page.getByRole("button", { name: "Run in the sandbox" }).click();
    assert.match(await page.locator("#tried .alert").innerText(), /rows: not JSON/);
    await context.close();
  },

  "hostile text is shown and not obeyed": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    page.on("dialog", () => assert.fail("a script ran"));
    await approval(page, "naughty_words@1");
    const text = await page.innerText("main");
    assert.match(text, /<script>alert\(1\)<\/script>/);
    assert.match(text, /\\u\{202e\}turned/);
    assert.equal(await page.locator("main script, main img").count(), 0);
    await page.goto("/?q=<script>alert(1)</script>");
    assert.equal(await page.inputValue("#q"), "<script>alert(1)</script>");
    assert.deepEqual(context.troubles, []);
    await context.close();
  },

  "the card is the terminal's": async ({ assert, visit, signIn, handaxe }) => {
    const context = await visit();
    const page = await signIn(context);
    await approval(page, "word_counts@3");
    const id = page.url().split("/").pop();
    const { card } = JSON.parse(handaxe("approvals", "show", id, "--json"));
    const text = await page.innerText("main");
    for (const row of card.verdict.card) assert.ok(text.includes(row.value), row.value);
    assert.ok(text.includes(card.request.subject));
    // The changed lines stand beside each other, and the risky one says why.
    assert.match(await page.innerText("#diff"), /while len\(counts\)/);
    assert.ok((await page.locator("#diff .why").count()) > 0);
    await context.close();
  },

  "keys walk the queue, open a card, and go to the word": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await page.goto("/approvals");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/approvals\/\d+$/);
    await page.keyboard.press("a");
    assert.match(await page.evaluate(() => document.activeElement.textContent), /^Approve /);
    await page.keyboard.press("r");
    assert.equal(await page.evaluate(() => document.activeElement.id), "reason");
    // A letter that is typed is a letter.
    await page.keyboard.type("au");
    assert.equal(await page.inputValue("#reason"), "au");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("u");
    await page.waitForURL(/\/approvals$/);
    await context.close();
  },

  "a request from elsewhere changes nothing": async ({ assert, visit, signIn, web }) => {
    const context = await visit();
    const page = await signIn(context);
    await approval(page, "naughty_words@1");
    const [path, csrf, digest] = await page.evaluate(() => {
      const form = document.querySelector(".yes");
      return [form.getAttribute("action"), form.csrf.value, form.digest.value];
    });
    const send = (form, headers = {}) => context.request.post(path, { form, headers, maxRedirects: 0 });
    assert.equal((await send({ digest })).status(), 403);
    assert.equal((await send({ digest, csrf: "0".repeat(64) })).status(), 403);
    assert.equal((await send({ digest, csrf }, { origin: "http://evil.example" })).status(), 403);
    assert.equal((await send({ digest, csrf }, { "sec-fetch-site": "cross-site" })).status(), 403);
    const stranger = await visit();
    assert.equal((await stranger.request.post(path, { form: { digest, csrf }, maxRedirects: 0 })).status(), 303);
    // A page of another origin whose form sends itself: the strict cookie stays at home.
    const other = await stranger.newPage();
    await other.goto(web.replace("127.0.0.1", "localhost") + "login");
    await page.reload();
    assert.match(await page.innerText("main"), /Nothing stands out|Look closely|Ordinary/);
    await context.close();
    await stranger.close();
  },

  "a digest that was not shown is refused": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await approval(page, "naughty_words@1");
    await page.evaluate(() => { document.querySelector(".yes").digest.value = "0".repeat(64); });
    await page.getByRole("button", { name: /^Approve/ }).click();
    await page.getByText("This is not what you were shown").waitFor();
    assert.match(await page.innerText("main"), /You were shown\s+0{64}/);
    await context.close();
  },

  "reject, with a reason": async ({ assert, visit, signIn, handaxe }) => {
    const context = await visit();
    const page = await signIn(context);
    await approval(page, "naughty_words@1");
    const id = page.url().split("/").pop();
    await page.getByLabel("Reason").fill("It gives back <what> it is given");
    await page.getByRole("button", { name: "Reject" }).click();
    await page.getByText("rejected by alice").waitFor();
    const { approval: found } = JSON.parse(handaxe("approvals", "show", id, "--json"));
    assert.deepEqual([found.state, found.reason], ["rejected", "It gives back <what> it is given"]);
    await context.close();
  },

  "approve, once, and a second page of the same is stale": async ({ assert, visit, signIn, handaxe }) => {
    const context = await visit();
    const page = await signIn(context);
    await approval(page, "word_counts@3");
    const id = page.url().split("/").pop();
    const second = await context.newPage();
    await second.goto(page.url());
    await page.getByRole("button", { name: /^Approve/ }).click();
    await page.getByText(/approved by alice \(browser\)/).waitFor();
    const { approval: found } = JSON.parse(handaxe("approvals", "show", id, "--json"));
    assert.deepEqual([found.state, found.method], ["approved", "browser"]);
    // The same word again is no error; another word is refused and says why.
    const events = () => JSON.parse(handaxe("audit", "log", "--json")).events.filter((e) => e.subject === `approval ${id}`).length;
    const before = events();
    const [yes, csrf, digest] = await second.evaluate(() => {
      const form = document.querySelector(".yes");
      return [form.getAttribute("action"), form.csrf.value, form.digest.value];
    });
    const twice = await context.request.post(yes, { form: { csrf, digest }, maxRedirects: 0 });
    assert.equal(twice.status(), 303);
    assert.equal(events(), before);
    await second.getByLabel("Reason").fill("too late");
    await second.getByRole("button", { name: "Reject" }).click();
    await second.getByText("This is not what you were shown").waitFor();
    assert.match(await second.innerText("main"), /word_counts@3 is approved already, by alice/);
    await page.getByRole("link", { name: "To the tool" }).click();
    await page.getByText("verified", { exact: true }).waitFor();
    await context.close();
  },

  "several that nothing stands out of are approved with one word": async ({ assert, visit, signIn }) => {
    const context = await visit({ javaScriptEnabled: false });
    const page = await signIn(context);
    await page.goto("/approvals");
    const boxes = page.getByRole("checkbox");
    const n = await boxes.count();
    assert.ok(n >= 2, `${n} to choose`);
    for (let i = 0; i < n; i++) await boxes.nth(i).check();
    await page.getByRole("button", { name: "Approve the chosen" }).click();
    assert.equal(await page.locator(".status.good").count(), n);
    await context.close();
  },

  "every export is an archive": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    await page.goto("/tools/word_counts?v=2");
    const links = await page.locator(".exports a").evaluateAll((all) => all.map((a) => a.href));
    assert.equal(links.length, 6);
    for (const link of links) {
      const reply = await context.request.get(link);
      const body = await reply.body();
      assert.equal(reply.status(), 200, `${link}: ${body}`);
      assert.match(reply.headers()["content-disposition"], /^attachment; filename="word_counts-2-[a-z]+\.tar"$/);
      assert.equal(body.subarray(257, 262).toString(), "ustar");
    }
    await context.close();
  },

  "signing out ends the session": async ({ assert, visit, signIn }) => {
    const context = await visit();
    const page = await signIn(context);
    const cookies = await context.cookies();
    assert.ok(cookies.every((c) => c.httpOnly && c.sameSite === "Strict"));
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/login$/);
    await context.addCookies(cookies);
    await page.goto("/");
    assert.match(page.url(), /\/login$/);
    await context.close();
  },
};

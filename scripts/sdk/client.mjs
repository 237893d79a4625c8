// The same on the TypeScript SDK: version 2 (`client`) over HTTP, version 1 (`sdk`) over stdio.
// usage: client.mjs HANDAXE ROOT [URL]   (HANDAXE_HOME names the home; TOKEN the bearer token)
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const [handaxe, root, url] = process.argv.slice(2);
const draft = JSON.parse(readFileSync(new URL("draft.json", import.meta.url)));
// The packages lie in the current directory, and not beside this file.
const here = createRequire(pathToFileURL(process.cwd() + "/"));
const load = (name) => import(pathToFileURL(here.resolve(name)));

const approve = (number) =>
  execFileSync(handaxe, ["approvals", "approve", String(number), "--json"], { stdio: ["ignore", "pipe", "inherit"] });

async function connected() {
  const info = { name: "typescript", version: "1" };
  if (url) {
    const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
    const client = new Client(info, { versionNegotiation: { mode: "auto" } });
    const headers = { Authorization: `Bearer ${process.env.TOKEN}` };
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    return { client, call: (params, options) => client.callTool(params, options) };
  }
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
  const client = new Client(info);
  const { HANDAXE_HOME, PATH } = process.env;
  const args = ["mcp", "--model", "composer", "--root", root];
  await client.connect(new StdioClientTransport({ command: handaxe, args, env: { HANDAXE_HOME, PATH } }));
  return { client, call: (params, options) => client.callTool(params, undefined, options) };
}

const { client, call } = await connected();
// The 2.x client keeps lists for as long as a server says that they are fresh.
const tools = async () => (await client.listTools(undefined, { cacheMode: "refresh" })).tools;

async function listed(name) {
  for (let i = 0; i < 300; i++) {
    const tool = (await tools()).find((t) => t.name === name);
    if (tool) return tool;
    await sleep(200);
  }
  assert.fail(`${name} was not listed`);
}

const names = (await tools()).map((t) => t.name);
assert(names.includes("make_tool") && !names.some((n) => n.includes("approve_")), names.join());

let heard = 0;
const task = { task: "Analyze the sentiment of these logs", data: ["logs.jsonl"] };
const made = await call({ name: "make_tool", arguments: task }, { onprogress: () => heard++ });
let state = made.structuredContent;
assert.equal(state.state, "waiting", JSON.stringify(made));
assert(heard > 0, "no progress came");
approve(state.approval);
const tool = await listed(state.tool.name);
assert(tool.inputSchema && tool.outputSchema);
const counted = await call({ name: tool.name, arguments: { data: "logs.jsonl" } });
assert.equal(counted.structuredContent.matched, 500);

state = (await call({ name: "propose_tool", arguments: draft })).structuredContent;
assert.equal(state.state, "waiting", JSON.stringify(state));
const refused = await call({ name: "run_tool", arguments: { name: "note_writer", input: { lines: [], pause: 0 } } });
assert(refused.isError && refused.content[0].text.includes("not_approved"));
approve(state.approval);
await listed("note_writer");
const wrote = await call({ name: "note_writer", arguments: { lines: ["milk", "eggs"], pause: 0 } });
assert.equal(wrote.structuredContent.count, 2, JSON.stringify(wrote));
const link = wrote.content.find((c) => c.type === "resource_link");
const note = (await client.readResource({ uri: link.uri })).contents[0];
assert.equal(note.text, "1 milk\n2 eggs\n");

const giveUp = AbortSignal.timeout(1000);
await assert.rejects(call({ name: "note_writer", arguments: { lines: [], pause: 50 } }, { signal: giveUp }));
const again = await call({ name: "note_writer", arguments: { lines: ["on"], pause: 0 } });
assert.equal(again.structuredContent.count, 1);
console.log(`revision ${client.getNegotiatedProtocolVersion?.() ?? "as version 1 of the SDK speaks it"}`);
await client.close();

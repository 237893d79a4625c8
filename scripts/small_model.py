"""A small language model at the maker's door: its server, and the asks. Run by scripts/small-model.

    small_model.py serve GGUF PORT        an OpenAI-compatible server around it
    small_model.py ask HANDAXE PORT DIR ASKS SEED

The model has 135 million parameters: it plans and writes badly, which is what it is here for. The
server offers it under two names. `free`: it says what it likes. `held`: a grammar keeps every role
to the form of its reply (which route, which fences, one `run` with one argument), so that what it
writes between them reaches a trial; the plan's words, the code's expressions (out of
the usual methods of strings), the cases and their expected values are its own. Nothing of the maker is told which of the two it speaks with.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The form of a reply, by the first words of a role's prompt.

PLAN = r"""
root ::= "{\"considered\": [], \"steps\": [" text ", " text "], \"route\": \"make\", \"name\": \"" name "\", \"purpose\": " text ", \"domain\": \"text\", \"needs\": []}"
text ::= "\"" [A-Za-z0-9 ,.()-]{8,40} "\""
name ::= [a-z] [a-z_]{3,20} [a-z]
"""
TOOL = r"""
root ::= "```json\n{\"spec\": {\"description\": " text ", \"input_schema\": {\"type\": \"object\", \"properties\": {\"text\": {\"type\": \"string\", \"maxLength\": 200}}, \"required\": [\"text\"], \"additionalProperties\": false}, \"output_schema\": {\"type\": \"object\", \"properties\": {\"result\": {\"type\": [\"integer\", \"string\", \"boolean\"]}}, \"required\": [\"result\"], \"additionalProperties\": false}, \"capabilities\": [], \"deterministic\": true}, \"invocation\": {\"text\": " text "}}\n```\n```python\n\"\"\"" words "\"\"\"\n\n\ndef run(*, text: str) -> dict:\n    \"\"\"" words "\"\"\"\n" line{0,2} "    return {\"result\": " expression "}\n```\n```jsonl\n" case{2} "```\n"
text ::= "\"" words "\""
words ::= [A-Za-z0-9 ,.()-]{6,30}
line ::= "    text = " chain "\n"
expression ::= term | term " " operator " " term
operator ::= "+" | "-" | "==" | "in"
term ::= chain | function "(" chain ")" | "len(" function "(" chain "))" | [0-9] | "\"" [a-z -]{0,3} "\""
function ::= "len" | "str" | "sorted" | "set" | "max" | "min" | "list" | "bool" | "any" | "sum"
chain ::= "text" step{0,3}
step ::= "." method "()" | "." pair "(\"" [a-zA-Z -]{0,2} "\")" | ".replace(\"" [a-z ] "\", \"" [a-z -]{0,1} "\")" | "[" ("0" | "-1" | "::-1" | "1:" | ":1") "]"
method ::= "upper" | "lower" | "strip" | "split" | "title" | "swapcase" | "isupper" | "isdigit" | "capitalize"
pair ::= "count" | "split" | "join" | "strip" | "startswith"
case ::= "{\"name\": " text ", \"input\": {\"text\": \"" [A-Za-z0-9 ,.-]{0,30} "\"}, \"expect\": {\"result\": " value "}}\n"
value ::= [0-9]{1,2} | "true" | "false" | "\"" [A-Za-z0-9 ,.-]{0,30} "\""
"""
TESTS = r"""
root ::= "{\"cases\": [" case ", " case "]}"
case ::= "{\"name\": \"" [a-z ]{4,20} "\", \"input\": {\"text\": \"" [A-Za-z0-9 ,.-]{0,30} "\"}, \"expect\": {\"result\": " value "}}"
value ::= [0-9]{1,2} | "true" | "false" | "\"" [A-Za-z0-9 ,.-]{0,30} "\""
"""
RULING = r"""
root ::= "{\"reason\": \"" [A-Za-z0-9 ,.()-]{8,50} "\", \"ruling\": \"" ("keep" | "withdraw") "\"}"
"""
FORMS = [
    ("You plan how", PLAN),
    ("You write one small Python tool", TOOL),
    ("You write tests for a tool", TESTS),
    ("A test case for a tool is disputed", RULING),
]
MOST_TOKENS = 420


def serve(gguf, port):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    # One slot for each role and ask: a prompt that a slot has read is not read again.
    params.n_parallel = 8
    params.n_ctx = 8 * 4096
    # One thread: more of them wait for each other in a busy loop, which is worse on a busy machine.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.verbosity = 0
    model = xllamacpp.Server(params)
    draws = random.Random(1)

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            system = asked["messages"][0]["content"].lstrip()
            wanted = {
                "messages": asked["messages"],
                "max_tokens": min(asked.get("max_completion_tokens", MOST_TOKENS), MOST_TOKENS),
                "temperature": 0.8,
                "seed": draws.randrange(1 << 31),
            }
            form = next((g for begins, g in FORMS if system.startswith(begins)), None)
            if form and asked["model"] == "held":
                wanted["grammar"] = form
            elif "response_format" in asked:
                wanted["response_format"] = asked["response_format"]
            said = model.handle_chat_completions(wanted)
            if isinstance(said, str):
                said = json.loads(said)
            status = said.get("code", 500) if "choices" not in said else 200
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    print("ready", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Door).serve_forever()


# The asks: what is wanted, and the function that says what is right.

WANTED = [
    ("Count the words of a text", lambda t: len(t.split())),
    ("How many characters does a text have?", len),
    ("Turn a text into upper case", str.upper),
    ("Turn a text into lower case", str.lower),
    ("Reverse a text", lambda t: t[::-1]),
    ("Count the vowels in a text", lambda t: sum(c in "aeiouAEIOU" for c in t)),
    ("Count the blanks in a text", lambda t: t.count(" ")),
    ("Is the text the same when it is read backwards?", lambda t: t == t[::-1]),
    ("Give the first word of a text", lambda t: (t.split() or [""])[0]),
    ("Give the last word of a text", lambda t: (t.split() or [""])[-1]),
    ("Remove all blanks from a text", lambda t: t.replace(" ", "")),
    ("Count the digits in a text", lambda t: sum(c.isdigit() for c in t)),
    ("Does the text begin with a capital letter?", lambda t: t[:1].isupper()),
    ("Give the longest word of a text", lambda t: max(t.split(), key=len, default="")),
    ("Join the words of a text with hyphens", lambda t: "-".join(t.split())),
    ("Capitalize every word of a text", str.title),
    ("How many different words are in a text?", lambda t: len(set(t.split()))),
    ("Strip the blanks at both ends of a text", str.strip),
    ("Count the capital letters in a text", lambda t: sum(c.isupper() for c in t)),
    ("Swap capital and small letters in a text", str.swapcase),
]
GOLDENS = ["one two three", "", "Level 42", "a  B c1"]
HIDDEN = ["The quick brown Fox", " x ", "noon", "7 up and 9 down"]
SETTINGS = """\
[roles.planner]
max_tokens = 220
[roles.author]
max_tokens = 420
[roles.tester]
max_tokens = 260
[roles.arbiter]
max_tokens = 80
[roles.reviewer]
max_tokens = 120
"""
# A short proof: the machine also runs the model.
POLICY_CHANGES = [("fuzz_inputs = 1000", "fuzz_inputs = 60"), ("mutants = 60", "mutants = 10")]
PATIENCE = 900


def handaxe(program, home, *words):
    begun = time.monotonic()
    ended = subprocess.run(
        [program, "--home", home, "--json", *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    try:
        said = json.loads(ended.stdout)
    except ValueError:
        said = None
    return ended.returncode, said, ended.stderr, time.monotonic() - begun


def prepared(program, home):
    os.makedirs(home, exist_ok=True)
    handaxe(program, home, "tools", "list")
    with open(f"{home}/config.toml", "w", encoding="utf-8") as out:
        out.write(SETTINGS)
    path = f"{home}/policy.toml"
    with open(path, encoding="utf-8") as old:
        text = old.read()
    for before, after in POLICY_CHANGES:
        text = text.replace(before, after)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def one(program, port, directory, n, seed):
    """One ask in a home of its own; kept, and not asked again."""
    home = f"{directory}/asks/{n:04}"
    kept = f"{home}/result.json"
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as old:
            return json.load(old)
    prepared(program, home)
    rng = random.Random(f"{seed}/{n}")
    question, right = WANTED[n % len(WANTED)]
    mode = "free" if n % 4 == 3 else "held"
    golden = f"{home}/golden.jsonl"
    with open(golden, "w", encoding="utf-8") as out:
        for text in GOLDENS:
            out.write(json.dumps({"input": {"text": text}, "expect": {"result": right(text)}}) + "\n")
    repairs = "1" if n % 10 == 0 else "0"
    code, said, complaint, seconds = handaxe(
        program, home, "ask", f"{question}: {rng.choice(HIDDEN)}", "--model", f"openai:{mode}",
        "--base-url", f"http://127.0.0.1:{port}/v1", "--golden", golden,
        "--max-repairs", repairs, "--max-tokens", "40000", "--max-seconds", "600", "--yes",
    )  # fmt: skip
    result = {"n": n, "mode": mode, "question": question, "exit": code, "seconds": round(seconds, 1)}
    result["panic"] = "panicked" in complaint or said is None and code not in (1, 2)
    if said is None:
        result["complaint"] = complaint[-300:]
    said = said or {}
    if "state" not in said:
        result["error"] = said.get("error") or said.get("message")
    stop = said.get("stopped_by") or {}
    result |= {"state": said.get("state"), "route": said.get("route"), "stopped_by": stop.get("kind"), "why": (stop.get("message") or "")[:200]}
    cost = said.get("cost") or {}
    result["tokens"] = (cost.get("tokens_in") or 0) + (cost.get("tokens_out") or 0)
    attempts = []
    if said.get("run"):
        _, run, _, _ = handaxe(program, home, "runs", "show", said["run"])
        attempts = (run or {}).get("attempts") or []
    result["drafts"] = len(attempts)
    verdicts = [a.get("verdict") or {} for a in attempts]
    result["tried"] = sum(any(of for _, of in ((v.get("scores") or {}).get("cases") or {}).values()) for v in verdicts)
    result["accepted"] = sum(bool(v.get("accepted")) for v in verdicts)
    result["reasons"] = [r[:160] for v in verdicts for r in (v.get("reasons") or [])[:2]]
    _, listed, _, _ = handaxe(program, home, "tools", "list", "--all")
    result["registered"] = []
    for tool in (listed or {}).get("tools") or []:
        if tool["state"] != "active":
            continue
        fine = True
        for text in HIDDEN:
            _, out, _, _ = handaxe(program, home, "run", tool["name"], "--input", json.dumps({"text": text}))
            fine = fine and (out or {}).get("output") == {"result": right(text)}
        result["registered"].append({"name": tool["name"], "right": fine})
    _, audit, _, _ = handaxe(program, home, "audit", "verify")
    result["journal"] = (audit or {}).get("ok")
    with open(kept, "w", encoding="utf-8") as out:
        json.dump(result, out)
    return result


def ask(program, port, directory, asks, seed):
    done, lock = [], threading.Lock()

    def work(n):
        try:
            result = one(program, port, directory, n, seed)
        except subprocess.TimeoutExpired:
            result = {"n": n, "mode": "?", "hang": True}
        with lock:
            done.append(result)
            print(f"{len(done)} of {asks}: {result.get('state')}, {result.get('tried')} tried", file=sys.stderr, flush=True)
        return result

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(int(asks))))
    print(json.dumps(summary(results), indent=1))


def summary(results):
    def of(mode):
        mine = [r for r in results if r["mode"] == mode]
        ends = {}
        for r in mine:
            key = f"{r.get('state')}: {r.get('stopped_by')}" if r.get("stopped_by") else str(r.get("state"))
            ends[key] = ends.get(key, 0) + 1
        tools = [t for r in mine for t in r.get("registered", [])]
        return {
            "asks": len(mine),
            "ends": dict(sorted(ends.items())),
            "exit codes": sorted({r.get("exit") for r in mine}, key=str),
            "drafts": sum(r.get("drafts", 0) for r in mine),
            "drafts whose cases ran": sum(r.get("tried", 0) for r in mine),
            "accepted": sum(r.get("accepted", 0) for r in mine),
            "registered": len(tools),
            "registered and wrong": sum(not t["right"] for t in tools),
            "tokens": sum(r.get("tokens", 0) for r in mine),
            "slowest s": max((r.get("seconds", 0) for r in mine), default=0),
        }

    return {
        "asks": len(results),
        "hung": sum(bool(r.get("hang")) for r in results),
        "crashed": sum(bool(r.get("panic")) for r in results),
        "journals that verify": sum(bool(r.get("journal")) for r in results),
        "most tokens of one ask": max(r.get("tokens", 0) for r in results),
        "held": of("held"),
        "free": of("free"),
    }


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])

"""Runs emitted tools on many inputs in one process; used by the equality tests only.

Reads a JSON document from standard input: {"assets": directory, "tools": {name: code},
"jobs": [{"tool", "input", "bytes" (hex, or null for no file), "other"}]}, and writes one result a line.
"""

import json
import os
import sys
import tempfile

todo = json.load(sys.stdin)
tools = {}
for name, code in todo["tools"].items():
    space = {}
    exec(compile(code.replace("/assets/", todo["assets"] + "/"), name, "exec"), space)
    tools[name] = space["run"]
os.chdir(tempfile.mkdtemp())
for job in todo["jobs"]:
    given = dict(job["input"])
    if job["bytes"] is not None:
        given["data"] = "data"
        with open("data", "wb") as file:
            file.write(bytes.fromhex(job["bytes"]))
    if job.get("other") is not None:
        with open("other", "wb") as file:
            file.write(bytes.fromhex(job["other"]))
    try:
        result = {"ok": tools[job["tool"]](**given)}
    except Exception as error:
        result = {"error": type(error).__name__, "message": str(error)}
    written = result.get("ok", {}).get("file")
    if written:
        with open(written, encoding="utf-8", newline="") as file:
            result["written"] = file.read()
    print(json.dumps(result, allow_nan=False, ensure_ascii=True))

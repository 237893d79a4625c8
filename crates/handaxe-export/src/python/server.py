"""An MCP server with one tool, over standard input and output, on the standard library alone.

Each call is a process of its own (call.py), ended at the tool's time limit. Nothing else of
Handaxe's sandbox is here: see README.md.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPEC = json.loads((HERE / "tool" / "spec.json").read_text(encoding="utf-8"))
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
MOST_BYTES = 4 << 20
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602


class Failed(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def wrapped():
    """MCP's structured results are objects; anything else travels under `result`."""
    return SPEC["output_schema"].get("type") != "object"


def tool():
    output = SPEC["output_schema"]
    if wrapped():
        output = {"type": "object", "properties": {"result": output}, "required": ["result"]}
        # References mean the place where they were written.
        for name in ("$defs", "definitions"):
            if name in SPEC["output_schema"]:
                output[name] = SPEC["output_schema"][name]
    return {
        "name": SPEC["name"],
        "description": SPEC["description"],
        "inputSchema": SPEC["input_schema"],
        "outputSchema": output,
        "annotations": {
            "readOnlyHint": "write_files" not in SPEC.get("capabilities", []),
            "destructiveHint": False,
            "idempotentHint": SPEC.get("deterministic", True),
            "openWorldHint": False,
        },
    }


def failed(text):
    return {"content": [{"type": "text", "text": text}], "isError": True}


def run(params):
    if params.get("name") != SPEC["name"]:
        raise Failed(BAD_PARAMS, "there is no such tool")
    arguments = params.get("arguments") or {}
    if not isinstance(arguments, dict):
        raise Failed(BAD_PARAMS, "arguments is an object")
    seconds = SPEC.get("limits", {}).get("wall_ms", 10_000) / 1000 + 1
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(HERE / "call.py")],
            input=json.dumps(arguments).encode(),
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return failed(f"the tool did not end within {seconds:g} s")
    if done.returncode != 0:
        return failed(done.stderr.decode("utf-8", "replace")[-4000:])
    text = done.stdout.decode("utf-8").rstrip("\n")
    result = json.loads(text)
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": {"result": result} if wrapped() else result,
        "isError": False,
    }


def answer(method, params):
    if method == "initialize":
        asked = params.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": SPEC["name"], "version": str(SPEC.get("version", 1))},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [tool()]}
    if method == "tools/call":
        return run(params)
    raise Failed(NO_METHOD, f"no method {method}")


def reply(line):
    """The answer to one message; None for a notification."""
    ident = None
    try:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise Failed(PARSE_ERROR, "not JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            raise Failed(INVALID_REQUEST, "not a request")
        if "id" not in message:
            return None
        ident = message["id"]
        params = message.get("params") or {}
        if not isinstance(params, dict):
            raise Failed(BAD_PARAMS, "params is an object")
        return {"jsonrpc": "2.0", "id": ident, "result": answer(message["method"], params)}
    except Failed as error:
        told = {"code": error.code, "message": str(error)}
        return {"jsonrpc": "2.0", "id": ident, "error": told}


def main():
    while line := sys.stdin.buffer.readline(MOST_BYTES):
        if not line.strip():
            continue
        said = reply(line)
        if said is not None:
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Calls each exported server with the official Python SDK: lists its tool and runs its first case
that expects a value and needs no file."""

import asyncio
import json
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters


async def check(folder):
    settings = json.loads((folder / "mcp.json").read_text(encoding="utf-8"))
    (name, server), = settings["mcpServers"].items()
    cases = map(json.loads, (folder / "tool" / "cases.jsonl").read_text(encoding="utf-8").splitlines())
    case = next((c for c in cases if "expect" in c and not c.get("files")), None)
    parameters = StdioServerParameters(command=server["command"], args=server["args"])
    async with Client(parameters) as client:
        tools = (await client.list_tools()).tools
        assert [t.name for t in tools] == [name], tools
        if case is None:
            return
        result = await client.call_tool(name, case["input"])
        assert not result.is_error, result
        got = result.structured_content
        if not isinstance(case["expect"], dict):
            got = got["result"]
        assert got == case["expect"], (got, case["expect"])
        print(f"{name}: called through the SDK")


for folder in sys.argv[1:]:
    asyncio.run(asyncio.wait_for(check(Path(folder)), 60))

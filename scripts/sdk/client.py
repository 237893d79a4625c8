"""An agent on the Python SDK: makes and proposes tools, has them approved by a person at another
terminal, lists, calls, reads what they wrote, and gives up on a call.

usage: client.py HANDAXE ROOT [URL]   (HANDAXE_HOME names the home; TOKEN the bearer token)
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

HANDAXE, ROOT = sys.argv[1], sys.argv[2]
URL = sys.argv[3] if len(sys.argv) > 3 else None
DRAFT = json.loads((Path(__file__).parent / "draft.json").read_text())
PATIENCE = 60


def approve(number):
    command = [HANDAXE, "approvals", "approve", str(number), "--json"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


async def listed(client, name):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        tools = (await client.list_tools(cache_mode="bypass")).tools
        for tool in tools:
            if tool.name == name:
                return tool
        await asyncio.sleep(0.2)
    raise AssertionError(f"{name} was not listed")


async def scenario(client):
    names = [tool.name for tool in (await client.list_tools()).tools]
    assert "make_tool" in names and not any("approve_" in n for n in names), names

    heard = []

    async def progress(done, total, message):
        heard.append(message)

    # Made by Handaxe.
    task = {"task": "Analyze the sentiment of these logs", "data": ["logs.jsonl"]}
    made = await client.call_tool("make_tool", task, progress_callback=progress)
    state = made.structured_content
    assert state["state"] == "waiting", made
    assert heard, "no progress came"
    assert state["tool"]["name"] not in [t.name for t in (await client.list_tools()).tools]
    approve(state["approval"])
    tool = await listed(client, state["tool"]["name"])
    assert tool.input_schema["type"] == "object" and tool.output_schema
    counted = await client.call_tool(tool.name, {"data": "logs.jsonl"})
    assert counted.structured_content["matched"] == 500, counted

    # Proposed by this client; the owner's golden is the independent evidence.
    proposed = await client.call_tool("propose_tool", DRAFT)
    state = proposed.structured_content
    assert state["state"] == "waiting", proposed
    refused = await client.call_tool("note_writer", {"lines": ["a"], "pause": 0})
    assert refused.is_error and "not_approved" in refused.content[0].text, refused
    approve(state["approval"])
    await listed(client, "note_writer")
    wrote = await client.call_tool("note_writer", {"lines": ["milk", "eggs"], "pause": 0})
    assert wrote.structured_content["count"] == 2, wrote
    (link,) = [c for c in wrote.content if c.type == "resource_link"]
    (note,) = (await client.read_resource(link.uri)).contents
    assert note.text == "1 milk\n2 eggs\n", note

    # A call given up: the server stops it and goes on.
    long = asyncio.create_task(client.call_tool("note_writer", {"lines": [], "pause": 50}))
    await asyncio.sleep(1)
    long.cancel()
    try:
        await long
        raise AssertionError("the call was not given up")
    except asyncio.CancelledError:
        pass
    again = await client.call_tool("note_writer", {"lines": ["on"], "pause": 0})
    assert again.structured_content["count"] == 1, again
    return client.protocol_version


async def main():
    if URL is None:
        environment = {"HANDAXE_HOME": os.environ["HANDAXE_HOME"], "PATH": os.environ["PATH"]}
        arguments = ["mcp", "--model", "composer", "--root", ROOT]
        server = StdioServerParameters(command=HANDAXE, args=arguments, env=environment)
        async with Client(server) as client:
            return await scenario(client)
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            return await scenario(client)


print(f"revision {asyncio.run(main())}")

"""The official client calls every tool: `mcp_client.py http URL TOKEN ERA` or `mcp_client.py stdio ERA COMMAND…`."""

import json
import sys

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def check(client, may_ask):
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    names = ["alerts", "case", "cases", "entity", "event", "investigate", "investigation", "search"]
    assert sorted(tools) == names, sorted(tools)
    assert all(tool.output_schema for tool in tools.values())

    async def call(name, **arguments):
        result = await client.call_tool(name, arguments)
        assert not result.is_error, (name, result)
        assert json.loads(result.content[0].text) == result.structured_content
        return result.structured_content

    async def refused(name, said, **arguments):
        result = await client.call_tool(name, arguments)
        assert result.is_error and said in result.content[0].text, (name, result)

    found = await call("search", query="process:powershell.exe AND NonInteractive", limit=3)
    assert found["total"] >= 1 and len(found["events"]) <= 3, found
    first = found["events"][0]
    event = await call("event", id=first["id"])
    assert event["id"] == first["id"] and "powershell" in event["raw"].lower()
    later = await call("search", query="powershell", after="2999-01-01")
    assert later["total"] == 0, later
    host = next(name for name in event["entities"] if name.startswith("host:"))
    about = await call("entity", entity=host)
    assert about["events"] >= 1 and 0 < about["rarity"]["share"] <= 1 and about["seen_with"], about
    alerts = await call("alerts", limit=5)
    assert 1 <= len(alerts["alerts"]) <= 5 <= alerts["total"], alerts["total"]
    cases = await call("cases", open=True)
    case = await call("case", id=cases["cases"][0]["id"])
    assert case["alerts"], case

    alert = alerts["alerts"][0]["id"]
    if may_ask:
        steps = []

        async def on_progress(progress, total, message):
            steps.append((progress, message))

        result = await client.call_tool(
            "investigate", {"alert": alert, "wait_seconds": 90}, progress_callback=on_progress
        )
        assert not result.is_error and result.structured_content["status"] == "done", result
        assert steps == sorted(steps) and any("evidence" in message for _, message in steps), steps
        report = await call("investigation", id=alert)
        assert report["verdict"] in ("malicious", "suspicious", "benign", "inconclusive"), report["verdict"]
        assert report["evidence"] and report["evidence"][0]["event"] >= 1
        assert report == result.structured_content
    else:
        await refused("investigate", "needs investigate", alert=alert)
    await refused("event", "no event", id=10**9)
    await refused("search", "limit", query="x", limit=1000)
    await refused("search", "inputSchema", query=7)
    await refused("entity", "", entity="nothing")
    try:
        await client.call_tool("no_such_tool", {})
    except Exception as error:
        assert "tool" in str(error), error
    else:
        raise AssertionError("a tool that is none was called")


async def main():
    transport, rest = sys.argv[1], sys.argv[2:]
    if transport == "http":
        url, token, era, may_ask = rest[0], rest[1], rest[2], rest[3] == "asks"
        headers = {"Authorization": f"Bearer {token}"}
        async with create_mcp_http_client(headers=headers) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=era) as client:
                await check(client, may_ask)
    else:
        era, command = rest[0], rest[1:]
        parameters = StdioServerParameters(command=command[0], args=command[1:])
        async with Client(stdio_client(parameters), mode=era) as client:
            await check(client, True)
    print("ok")


anyio.run(main)

"""What the Python clients do: pay the visits that they are told of, and print one line of JSON about each.

`visit.mjs` is the same for TypeScript.
"""

import asyncio
import json
import pathlib
import sys
import traceback

STEP_SECONDS = 20


def pay_visits(connect):
    """`connect(visit, note)` gives an asynchronous context with a connection: `python_sdk.py` shows what that has."""
    asyncio.run(pay_all(json.loads(pathlib.Path(sys.argv[1]).read_text()), connect))


async def pay_all(visits, connect):
    for visit in visits:
        try:
            account = await pay(visit, connect)
        except Exception as error:
            traceback.print_exc()
            error = cause_of(error)
            account = {"broken": f"{type(error).__name__}: {error}"}
        print(json.dumps(account), flush=True)


def cause_of(error):
    """SDKs run in task groups, which wrap what went wrong, sometimes several times."""
    while getattr(error, "exceptions", None):
        error = error.exceptions[0]
    return error


async def pay(visit, connect):
    session = SessionNote()
    async with connect(visit, session) as connection:
        account = {"protocol": connection.protocol, "server": connection.server}
        account["tools"] = await step("tools/list", connection.tools())
        account["answer"] = await step("a call", connection.call(visit["call"]))
        if "stream" in visit and connection.shows_progress:
            progress = account["progress"] = []

            async def note(value, _total, message):
                progress.append([value, message])

            account["streamed"] = await step("a call with progress", connection.call(visit["stream"], note))
        account["refused"] = await step("a call with a wrong argument", connection.call(visit["refused"]))
        account["unknown"] = await step("a call of no tool", error_of(connection, visit["unknown"]))
        account |= await read_others(visit, connection)
        account["session"] = session.known
    return account


async def read_others(visit, connection):
    """Resources and prompts, where they are offered. Last, because calls make resources."""
    seen = {}
    if "resources" in connection.offers:
        seen["resources"] = await step("resources/list", connection.resources())
        seen["templates"] = await step("resources/templates/list", connection.templates())
        seen["read"] = await step("resources/read", connection.read(seen["resources"][0]))
    if "prompts" in connection.offers:
        seen["prompts"] = await step("prompts/list", connection.prompts())
        seen["prompt"] = await step("prompts/get", connection.prompt(visit["prompt"]))
    return seen


async def error_of(connection, call):
    try:
        return await connection.call(call)
    except connection.protocol_error as error:
        return {"code": error.error.code, "message": error.error.message}


async def step(name, work):
    try:
        return await asyncio.wait_for(work, STEP_SECONDS)
    except Exception as error:
        raise RuntimeError(f"{name}: {type(error).__name__}: {error}") from error


def answer(result):
    """A result of SDK 1, SDK 2 or fastmcp: they differ in the names of Python, not in those of the protocol."""
    dumped = result.model_dump(by_alias=True, mode="json")
    text = "".join(block["text"] for block in dumped["content"])
    return {"failed": bool(dumped.get("isError")), "structured": dumped.get("structuredContent"), "text": text}


class SessionNote:
    """Where a message of a session would be refused once that has ended, as the HTTP client of an SDK sees it."""

    def __init__(self):
        self.known = None

    def http_client(self, *args, **settings):
        from mcp.shared._httpx_utils import create_mcp_http_client  # the one that the SDK would make by itself

        settings.pop("follow_redirects", None)
        client = create_mcp_http_client(*args, **settings)
        client.event_hooks = {"request": [self.note_request], "response": [self.note_response]}
        return client

    async def note_request(self, request):
        if "sessionId=" in str(request.url):
            self.known = {"url": str(request.url)}

    async def note_response(self, response):
        if session := response.headers.get("mcp-session-id"):
            self.known = {"header": session}

"""The Python SDK that is installed, 1 or 2, uses all that servers offer, and answers. usage: everything.py VISIT

The visit is a file of JSON, written by `gateway.py` or `search.py`; what was seen is printed as one line of JSON. It judges nothing.
"""

import contextlib
import json
import os
import pathlib
import sys

import anyio
from mcp import StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

try:
    from mcp import Client, MCPError as ProtocolError
except ImportError:  # SDK 1
    Client = None
    from mcp import ClientSession, McpError as ProtocolError

STEP_SECONDS = 60
PARTS = "tools calls resources prompts completions progress elicitation sampling changes".split()
FORM = {"name": "Ada", "integer": 7}


class Answers:
    """What this client says when a server asks, and what it was told."""

    def __init__(self):
        self.updated, self.lists, self.asked, self.told = [], set(), [], anyio.Event()

    async def elicit(self, _context, params):
        self.asked.append(params.mode)
        if params.mode == "url":
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content=FORM)

    async def sample(self, _context, params):
        self.asked.append("sampling")
        said = f"a model says: {params.messages[0].content.text}"
        return types.CreateMessageResult(role="assistant", model="a model", content={"type": "text", "text": said})

    async def roots(self, _context):
        self.asked.append("roots")
        return types.ListRootsResult(roots=[{"uri": "file:///a/root", "name": "a root"}])

    async def hear(self, message):
        notification = getattr(message, "root", message)
        if (method := getattr(notification, "method", "")).startswith("notifications/"):
            self.note(method, getattr(notification.params, "uri", None))

    def note(self, method, uri=None):
        if uri and method == "notifications/resources/updated":
            self.updated.append(str(uri))
        elif method.endswith("/list_changed"):
            self.lists.add(method.split("/")[1])
        else:
            return
        self.told.set()
        self.told = anyio.Event()

    async def wait_for(self, is_there):
        while not is_there():
            await self.told.wait()


@contextlib.asynccontextmanager
async def connect(visit, answers):
    callbacks = {
        "sampling_callback": answers.sample,
        "elicitation_callback": answers.elicit,
        "list_roots_callback": answers.roots,
        "message_handler": answers.hear,
    }
    with open(os.devnull, "w") as log:
        if "url" in visit:
            transport = streamable_http_client(visit["url"])
        else:
            transport = stdio_client(StdioServerParameters(**visit["process"]), errlog=log)
        if Client:
            async with Client(transport, mode=visit["mode"], **callbacks) as client:
                yield client, client.protocol_version, client.server_info.name
        else:
            async with transport as (read, write, *_), ClientSession(read, write, **callbacks) as client:
                about = await client.initialize()
                yield client, about.protocolVersion, about.serverInfo.name


def plain(value):
    return value.model_dump(by_alias=True, mode="json", exclude_none=True)


class Visit:
    """One connection and all that is done with it."""

    def __init__(self, wanted, client, protocol, answers):
        self.wanted, self.client, self.answers = wanted, client, answers
        self.is_modern = protocol == "2026-07-28"

    async def tools(self):
        names = []
        while not {name.split("__")[0] for name in names} >= self.wanted["calls"].keys():  # some are slow to start
            names = [tool.name for tool in (await self.client.list_tools()).tools]
            await anyio.sleep(0.1)
        return {"names": names, "unknown": await self.call("no_such_tool", {})}

    async def calls(self):
        """For each server its answers."""
        return {server: await self.call_all(calls) for server, calls in self.wanted["calls"].items()}

    async def call_all(self, calls):
        return [await self.call(tool, arguments) for tool, arguments in calls]

    async def call(self, tool, arguments):
        try:
            return plain(await self.client.call_tool(tool, arguments))
        except ProtocolError as error:
            return {"error": {"code": error.error.code, "message": error.error.message}}

    async def progress(self):
        seen = []

        async def note(value, total, _message):
            seen.append([value, total])

        await self.client.call_tool(*self.wanted["progress"], progress_callback=note)
        return seen

    async def elicitation(self):
        return await self.asking(self.wanted["elicitation"])

    async def sampling(self):
        return await self.asking(self.wanted["sampling"])

    async def asking(self, calls):
        """For each tool its answer, and what was asked meanwhile."""
        found = {}
        for tool, arguments in calls:
            self.answers.asked.clear()
            answer = await self.call(tool, arguments)
            found[tool] = {"answer": answer, "asked": list(self.answers.asked)}
        return found

    async def resources(self):
        listed = (await self.client.list_resources()).resources
        templates = plain(await self.client.list_resource_templates())["resourceTemplates"]
        return {
            "uris": [str(resource.uri) for resource in listed],
            "templates": [template["uriTemplate"] for template in templates],
            "read": {uri: plain(await self.client.read_resource(uri))["contents"] for uri in self.wanted["reads"]},
        }

    async def prompts(self):
        names = [prompt.name for prompt in (await self.client.list_prompts()).prompts]
        messages = {}
        for name, arguments in self.wanted["prompts"]:
            messages[name] = plain(await self.client.get_prompt(name, arguments))["messages"]
        return {"names": names, "messages": messages}

    async def completions(self):
        name, argument, start = self.wanted["completions"]
        reference = types.PromptReference(type="ref/prompt", name=name)
        found = await self.client.complete(reference, {"name": argument, "value": start})
        return found.completion.values

    async def changes(self):
        """Waits for what each call causes: a resource that has changed, and the list of them."""
        uri = self.wanted["changes"]["uri"]
        if self.is_modern:
            listening = self.client.listen(resources_list_changed=True, resource_subscriptions=[uri])
            async with listening as heard, anyio.create_task_group() as tasks:
                tasks.start_soon(self.note_all, heard)
                await self.cause(**self.wanted["changes"])
                tasks.cancel_scope.cancel()
        else:
            await self.client.subscribe_resource(uri)
            await self.cause(**self.wanted["changes"])
            await self.client.unsubscribe_resource(uri)
        return {"updated": self.answers.updated, "lists": sorted(self.answers.lists)}

    async def note_all(self, heard):
        async for event in heard:
            if uri := getattr(event, "uri", None):
                self.answers.note("notifications/resources/updated", uri)
            else:
                kind = type(event).__name__.removesuffix("ListChanged").lower()
                self.answers.note(f"notifications/{kind}/list_changed")

    async def cause(self, uri, update, list):
        await self.call(*update)
        await self.answers.wait_for(lambda: uri in self.answers.updated)
        await self.call(*list)
        await self.answers.wait_for(lambda: "resources" in self.answers.lists)


async def pay(wanted):
    answers = Answers()
    async with connect(wanted, answers) as (client, protocol, server):
        account = {"protocol": protocol, "server": server}
        visit = Visit(wanted, client, protocol, answers)
        for part in wanted.get("parts", PARTS):
            try:
                with anyio.fail_after(STEP_SECONDS):
                    account[part] = await getattr(visit, part)()
            except Exception as error:
                account[part] = {"broken": f"{type(error).__name__}: {error}"}
        return account


if __name__ == "__main__":
    print(json.dumps(anyio.run(pay, json.loads(pathlib.Path(sys.argv[1]).read_text()))))

"""The Python SDK that is installed, 1 or 2. usage: python_sdk.py VISITS"""

import contextlib
import os

import visit
from mcp import StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

try:
    from mcp import Client, MCPError as ProtocolError
except ImportError:  # SDK 1
    Client = None
    from mcp import ClientSession, McpError as ProtocolError


class Connection:
    """A session of SDK 1, or a client of SDK 2: their methods have the same names."""

    protocol_error = ProtocolError
    shows_progress = True

    def __init__(self, session, protocol, server, capabilities):
        self.sdk, self.protocol, self.server = session, protocol, server.name
        self.offers = capabilities.model_dump(exclude_none=True)

    async def tools(self):
        return [tool.name for tool in (await self.sdk.list_tools()).tools]

    async def resources(self):
        return [str(resource.uri) for resource in (await self.sdk.list_resources()).resources]

    async def templates(self):
        listed = (await self.sdk.list_resource_templates()).model_dump(by_alias=True)
        return [template["uriTemplate"] for template in listed["resourceTemplates"]]

    async def read(self, uri):
        return (await self.sdk.read_resource(uri)).contents[0].text

    async def prompts(self):
        return [prompt.name for prompt in (await self.sdk.list_prompts()).prompts]

    async def prompt(self, prompt):
        return (await self.sdk.get_prompt(prompt["name"], prompt["arguments"])).messages[0].content.text

    async def call(self, call, note=None):
        return visit.answer(await self.sdk.call_tool(call["name"], call["arguments"], progress_callback=note))


@contextlib.asynccontextmanager
async def connect(place, session):
    with open(os.devnull, "w") as log:
        transport = transport_to(place, session, log)
        if Client:
            async with Client(transport, mode=place["mode"]) as client:
                yield Connection(client, client.protocol_version, client.server_info, client.server_capabilities)
        else:
            async with transport as (read, write, *_), ClientSession(read, write) as client:
                about = await client.initialize()
                yield Connection(client, about.protocolVersion, about.serverInfo, about.capabilities)


def transport_to(place, session, log):
    match place["transport"]:
        case "stdio":
            return stdio_client(StdioServerParameters(**place["process"]), errlog=log)
        case "http":
            return streamable_http_client(place["url"], http_client=session.http_client())
        case "sse":
            return sse_client(place["url"], httpx_client_factory=session.http_client)
        case "websocket":
            from mcp.client.websocket import websocket_client  # of SDK 1 alone

            return websocket_client(place["url"])


if __name__ == "__main__":
    visit.pay_visits(connect)

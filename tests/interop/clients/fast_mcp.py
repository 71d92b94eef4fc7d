"""The client of fastmcp. usage: fast_mcp.py VISITS"""

import contextlib
import os
import pathlib

import visit
from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from mcp import MCPError


class Connection:
    protocol_error = MCPError
    shows_progress = True

    def __init__(self, client):
        self.client, self.protocol, self.server = client, client.protocol_version, client.server_info.name
        self.offers = client.server_capabilities.model_dump(exclude_none=True)

    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def resources(self):
        return [str(resource.uri) for resource in await self.client.list_resources()]

    async def templates(self):
        listed = await self.client.list_resource_templates()
        return [template.model_dump(by_alias=True)["uriTemplate"] for template in listed]

    async def read(self, uri):
        return (await self.client.read_resource(uri))[0].text

    async def prompts(self):
        return [prompt.name for prompt in await self.client.list_prompts()]

    async def prompt(self, prompt):
        return (await self.client.get_prompt(prompt["name"], prompt["arguments"])).messages[0].content.text

    async def call(self, call, note=None):
        return visit.answer(await self.client.call_tool_mcp(call["name"], call["arguments"], progress_handler=note))


@contextlib.asynccontextmanager
async def connect(place, session):
    async with Client(transport_to(place, session), mode=place["mode"]) as client:
        yield Connection(client)


def transport_to(place, session):
    match place["transport"]:
        case "stdio":
            return StdioTransport(**place["process"], keep_alive=False, log_file=pathlib.Path(os.devnull))
        case "http":
            return StreamableHttpTransport(place["url"], httpx_client_factory=session.http_client)
        case "sse":
            return SSETransport(place["url"], httpx_client_factory=session.http_client)


if __name__ == "__main__":
    visit.pay_visits(connect)

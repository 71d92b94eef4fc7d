"""Plays the story with the Python SDK that is installed.

usage: sdk.py LABEL [auto|legacy]    (the mode is of SDK 2 and later, which can speak both eras)
"""

import contextlib
import signal
import sys
import traceback

import anyio
from mcp import StdioServerParameters

from checks import Answer, Report, Story, check_ending
from servers import child_program, server_b, settings_of_server_a, temporary_folder, unused_port

STEP_SECONDS = 20
SESSION_SECONDS = 30


class Client:
    """A session of SDK 1 or of SDK 2: their names differ, their calls do not."""

    def __init__(self, session):
        self.session = session

    async def tools(self):
        listed = await self.session.list_tools()
        return [(tool.name, tool.description, *schemas(tool)) for tool in listed.tools]

    async def call(self, name, arguments, on_progress=None):
        result = await self.session.call_tool(name, arguments, progress_callback=on_progress)
        dumped = result.model_dump(by_alias=True)
        text = "".join(block["text"] for block in dumped["content"])
        return Answer(dumped["isError"], dumped["structuredContent"], text)


def schemas(tool):
    dumped = tool.model_dump(by_alias=True)
    return dumped["inputSchema"], dumped["outputSchema"]


@contextlib.asynccontextmanager
async def session_of(server_a, mode, log):
    """A session over stdio; leaving it closes the server's standard input."""
    parameters = StdioServerParameters(
        command=server_a.command, env=server_a.environment, cwd=server_a.folder
    )
    if mode:
        from mcp.client import Client as Connection
        from mcp.client.stdio import stdio_client

        async with Connection(stdio_client(parameters, errlog=log), mode=mode) as connection:
            yield Client(connection), connection.protocol_version
    else:
        from mcp import ClientSession
        from mcp.client.stdio import stdio_client

        async with stdio_client(parameters, errlog=log) as (read, write), ClientSession(read, write) as session:
            yield Client(session), (await session.initialize()).protocolVersion


async def play(report, mode, server_a, part):
    """Plays a part of the story in a session of its own, then looks at how server-a ended."""
    with open(server_a.folder / "server-a.log", "a+") as log, anyio.fail_after(6 * SESSION_SECONDS):
        async with session_of(server_a, mode, log) as (client, version):
            expected = "2026-07-28" if mode == "auto" else "2025-11-25"
            if version == expected:
                report.passed(f"speaks {version}")
            else:
                report.failure(f"speaks {expected}", ValueError(version))
            await part(Story(report, client, lambda: anyio.fail_after(STEP_SECONDS)))
    check_ending(report, "server-a ends with 0 when its input is closed", server_a)


async def main(report, mode):
    with temporary_folder() as folder:
        with server_b(folder) as url:
            await play(report, mode, server_a_in(folder, url), Story.with_server_b)
    with temporary_folder() as folder:
        url = f"http://127.0.0.1:{unused_port()}"
        server_a = server_a_in(folder, url, RETRY_ATTEMPTS="2", RETRY_BASE_MS="1")
        await play(report, mode, server_a, Story.without_server_b)


def server_a_in(folder, server_b_url, **settings):
    return child_program(folder, "server-a", **settings_of_server_a(folder, server_b_url), **settings)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    report = Report(sys.argv[1])
    try:
        anyio.run(main, report, sys.argv[2] if len(sys.argv) > 2 else None)
    except Exception as error:
        traceback.print_exc()
        report.failure("the story was broken off", error)
    report.end()

"""One client visits every server over every transport that both know. One line for each cell of the matrix.

usage: matrix.py list              prints the clients, one a line
       matrix.py tour CLIENT       one of those lines
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

from accounts import SERVERS, UNKNOWN, check_account, check_gone
from checks import Report, expect
from servers import (
    MCP_OF_SERVER_B,
    REST,
    child_program,
    clean_environment,
    run_program,
    settings_of_server_a,
    settings_of_server_b,
    temporary_folder,
)

HERE = pathlib.Path(__file__).parent
TOUR_SECONDS = 240
TRANSPORTS = {"stdio": None, "http": "http:/mcp", "sse": "http:/sse", "websocket": "ws:/ws"}
NAMES = {"stdio": "stdio", "http": "Streamable HTTP", "sse": "HTTP+SSE", "websocket": "WebSocket"}


class Client:
    """A client of another maker: how its program is started, and what it can do."""

    def __init__(self, name, mode, command, transports, **environment):
        self.name, self.mode, self.command, self.environment = name, mode, command, environment
        self.transports = transports.split()
        # Inspector shows no progress and no session, and says of itself that there is no such tool.
        self.shows_all = name != "Inspector"

    def label(self):
        return f"{self.name}, {self.mode}"

    def revision(self, transport):
        """The revision of the protocol that it must find. fastmcp never looks for the newer one over HTTP+SSE."""
        if self.mode == "legacy" or (self.name == "fastmcp" and transport == "sse"):
            return "2025-11-25"
        return "2026-07-28"


def clients():
    cache, node, inspector = (os.environ[f"INTEROP_{name}"] for name in ("CACHE", "NODE", "INSPECTOR"))

    def typescript(major):
        return [node, f"{cache}/node/typescript-{major}.mjs"]

    def python(environment, script):
        return [f"{cache}/{environment}/bin/python", str(HERE / "clients" / script)]

    sdk_1, sdk_2 = python("sdk-1", "python_sdk.py"), python("sdk-2", "python_sdk.py")
    fastmcp = python("fastmcp", "fast_mcp.py")
    command_line = [sys.executable, str(HERE / "clients/inspector.py")]
    installed = {"INTEROP_INSPECTOR": json.dumps([node, inspector])}
    return [
        Client("Inspector", "legacy", command_line, "stdio http sse", **installed),
        Client("Inspector", "modern", command_line, "stdio http sse", **installed),
        Client("TypeScript SDK 1", "legacy", typescript(1), "stdio http sse websocket"),
        Client("TypeScript SDK 2", "legacy", typescript(2), "stdio http sse"),
        Client("TypeScript SDK 2", "auto", typescript(2), "stdio http sse"),
        Client("Python SDK 1", "legacy", sdk_1, "stdio http sse websocket"),
        Client("Python SDK 2", "legacy", sdk_2, "stdio http sse"),
        Client("Python SDK 2", "auto", sdk_2, "stdio http sse"),
        Client("fastmcp", "auto", fastmcp, "stdio http sse"),
    ]


class Cell:
    """One server over one transport, as one client meets it."""

    def __init__(self, client, server, transport, place):
        self.client, self.server, self.transport, self.place = client, server, transport, place
        common = {"transport": transport, "mode": client.mode, "unknown": UNKNOWN}
        self.visit = common | SERVERS[server].visit
        if transport == "stdio":
            process = {"command": place.command, "args": [], "env": place.environment, "cwd": str(place.folder)}
            self.visit["process"] = process
        else:
            scheme, path = TRANSPORTS[transport].split(":")
            self.visit["url"] = f"{scheme}://127.0.0.1:{place}{path}"

    def name(self):
        return f"{self.server} over {NAMES[self.transport]}"

    def check(self, account):
        client = self.client
        unknown = -32602 if client.shows_all else "tool_not_found"
        check_account(self.server, client.revision(self.transport), client.shows_all, unknown, account)
        if self.transport == "stdio":
            check_endings(self.place, client)
            return
        has_session = self.transport == "sse" or (self.transport == "http" and client.mode == "legacy")
        expect(bool(account["session"]), has_session and client.shows_all, "whether there was a session")
        if account["session"]:
            check_gone(self.visit["url"], account["session"])

    def seen(self, account):
        parts = [f"{len(account['tools'])} tools", "a call", "isError", "an unknown tool"]
        parts += [word for word in ("progress", "resources", "prompts") if word in account]
        return f"{account['protocol']}: {', '.join(parts)}, the end"


def tour(client):
    """Everything that one client visits, with servers of its own."""
    report = Report(client.label())
    try:
        with temporary_folder() as folder, contextlib.ExitStack() as stack:
            servers, cells = cells_of(client, folder, stack)
            for cell, account in zip(cells, accounts(client, cells, folder), strict=True):
                judge(report, cell, account)
            for server in servers:
                check_stop(report, server)
    except Exception as error:
        report.failure("the tour was broken off", error)
    report.end()


def cells_of(client, folder, stack):
    at_b = settings_of_server_b(folder)
    b = stack.enter_context(run_program(folder, "server-b", "http", **at_b))
    at_a = settings_of_server_a(folder, f"http://127.0.0.1:{b.told(REST)}") | {"RUST_LOG": "info"}
    a = stack.enter_context(run_program(folder, "server-a", "http", **at_a, MCP_PORT_A="0"))
    tools = stack.enter_context(run_program(folder, "tool-server", "http", "--port", "0"))
    ports = {"server-a": a.told(REST), "server-b": b.told(MCP_OF_SERVER_B), "tool-server": tools.told(REST)}
    settings = {"server-a": at_a, "server-b": at_b, "tool-server": {}}

    cells = []
    for server in SERVERS:
        for transport in client.transports:
            place = ports[server]
            if transport == "stdio":
                alone = {"DATABASE_URL": f"sqlite://{folder}/{server}-stdio.db"}
                place = child_program(folder, server, "stdio", **(settings[server] | alone))
            cells.append(Cell(client, server, transport, place))
    return (a, b, tools), cells


def accounts(client, cells, folder):
    """Runs the client's program and gives its lines while they come: it goes on while they are judged."""
    visits = folder / "visits.json"
    visits.write_text(json.dumps([cell.visit for cell in cells]))
    environment = clean_environment(folder) | client.environment
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", "FASTMCP_CHECK_FOR_UPDATES": "off"}
    log_path = folder / "client.log"
    with (
        open(log_path, "w") as log,
        subprocess.Popen(
            ["timeout", "--kill-after=5", str(TOUR_SECONDS), *client.command, visits],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            for line in process.stdout:
                yield json.loads(line)
        finally:
            process.terminate()
    expect(process.wait(), 0, f"the exit code of the client (it says: {log_path.read_text()[-1000:]})")


def judge(report, cell, account):
    try:
        cell.check(account)
    except Exception as error:
        report.failure(cell.name(), error)
    else:
        report.passed(f"{cell.name()}, {cell.seen(account)}")


def check_endings(child, client):
    """Each start ended by itself, with 0, because its input was closed."""
    expected, endings = {"ended with 0"}, child.endings()
    if client.label() == "TypeScript SDK 2, auto":  # asks a process of its own first, and terminates that
        expect(endings.count("asked to end"), 1, f"the number of requests to end in {endings}")
        expected.add("asked to end")
    expect(set(endings), expected, "how the server ended")


def check_stop(report, server):
    """Nothing is left of the sessions: the server ends when asked to, and had nothing to warn of but wrong calls."""
    name = f"{server.name} stops after all of them, without a warning"
    wrong_calls = r"rmcp::service: response error|error\.code=\"invalid_arguments\""
    try:
        expect(server.stop(), 0, "its exit code")
        lines = [line for line in server.log().splitlines() if not re.search(wrong_calls, line)]
        warnings = [line for line in lines if " WARN " in line or " ERROR " in line]
        expect(warnings, [], "what it warned of")
    except AssertionError as error:
        report.failure(name, error)
    else:
        report.passed(name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    match sys.argv[1:]:
        case ["list"]:
            print("\n".join(client.label() for client in clients()))
        case ["tour", label]:
            tour(next(client for client in clients() if client.label() == label))
        case _:
            sys.exit(__doc__)

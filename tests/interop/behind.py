"""The servers behind the gateway, as its configuration tells them."""

import contextlib
import json

import peers
from servers import (
    REST,
    Child,
    Running,
    child_program,
    run_program,
    server_b,
    settings_of_server_a,
    unused_port,
)


def children(folder):
    """Those that are programs in each configuration. They keep books."""
    # Each process with a file of its own: it reads and writes it without a lock.
    memory = ["sh", "-c", 'MEMORY_FILE_PATH="$0/memory-$$.json" exec "$@"', folder, *peers.MEMORY]
    return {
        "files": Child(folder, "files", [*peers.FILESYSTEM, folder], {}),
        "memory": Child(folder, "memory", memory, {}),
        "time": Child(folder, "time", [peers.CACHE / "time/bin/mcp-server-time", "--local-timezone", "UTC"], {}),
    }


@contextlib.contextmanager
def on_the_network(folder, programs):
    """Runs the others, over three transports; gives the gateway's TOML."""
    with contextlib.ExitStack() as stack:

        def started(name, command, path):
            port = unused_port()
            command = [str(part).replace("{port}", str(port)) for part in command]
            stack.enter_context(Running(folder, name, command, {"PORT": str(port)})).accepts(port)
            return f"http://127.0.0.1:{port}{path}"

        at_a = settings_of_server_a(folder, stack.enter_context(server_b(folder)))
        at_a |= {"RUST_LOG": "info", "MCP_PORT_A": "0"}
        a = stack.enter_context(run_program(folder, "server-a", "http", **at_a))
        tools = stack.enter_context(run_program(folder, "tool-server", "http", "--port", "0"))
        urls = {
            "everything": started("everything", [*peers.EVERYTHING, "streamableHttp"], "/mcp"),
            "messenger": f"http://127.0.0.1:{a.told(REST)}/mcp",
            "small": started("small", [*peers.FASTMCP, "sse", "{port}"], "/sse"),
            "tools": f"ws://127.0.0.1:{tools.told(REST)}/ws",
        }
        document = [f"[upstream.{name}]\nurl = {json.dumps(url)}\n" for name, url in urls.items()]
        for name, child in programs.items():
            # server-memory loses what is written at the same time.
            document.append(f"[upstream.{name}]\ncommand = [{json.dumps(child.command)}]\nconcurrency = 1\n")
        yield "\n".join(document)


@contextlib.contextmanager
def as_programs(folder):
    """All of them as children of the gateway; gives the JSON that Claude Desktop and others have, and the children."""
    with server_b(folder) as b:
        programs = children(folder) | {
            "everything": Child(folder, "everything", [*peers.EVERYTHING, "stdio"], {}),
            "messenger": child_program(folder, "server-a", "stdio"),
            "small": Child(folder, "small", [*peers.FASTMCP, "stdio"], {}),
            "tools": child_program(folder, "tool-server", "stdio"),
        }
        servers = {name: {"command": child.command, "args": []} for name, child in programs.items()}
        servers["messenger"]["env"] = settings_of_server_a(folder, b)
        yield json.dumps({"mcpServers": servers}), programs

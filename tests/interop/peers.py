"""Our client and servers of other makers: `connect-probe` connects, lists the tools, calls one, and hangs up.

usage: peers.py
"""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

from checks import Report, expect
from servers import PROGRAMS, Child, Running, clean_environment, temporary_folder, unused_port

HERE = pathlib.Path(__file__).parent
PROBE_SECONDS = 60
CACHE, NODE = pathlib.Path(os.environ["INTEROP_CACHE"]), os.environ["INTEROP_NODE"]
MODULES = CACHE / "node/node_modules"
EVERYTHING, FILESYSTEM, MEMORY = (
    [NODE, str(MODULES / f"@modelcontextprotocol/server-{name}/dist/index.js")]
    for name in ("everything", "filesystem", "memory")
)
SUPERGATEWAY = [NODE, str(MODULES / "supergateway/dist/index.js")]
FASTMCP = [str(CACHE / "fastmcp/bin/python"), str(HERE / "fastmcp_server.py")]
LEGACY, MODERN = "2025-11-25", "2026-07-28"


class Peer:
    """A server: what it calls itself, how many tools it has, a call, and what the answer must contain."""

    def __init__(self, package, name, tools, call, answer, revision):
        self.package, self.name, self.tools, self.call, self.answer = package, name, tools, call, answer
        self.revision = revision


everything = Peer(
    "server-everything", "mcp-servers/everything", 13, ("echo", {"message": "hi"}), "Echo: hi", LEGACY
)
filesystem = Peer(
    "server-filesystem", "secure-filesystem-server", 14, ("list_directory", {"path": "."}), "[FILE]", LEGACY
)
memory = Peer("server-memory", "memory-server", 9, ("read_graph", {}), '"entities": []', LEGACY)
clock = Peer("mcp-server-time", "mcp-time", 2, ("get_current_time", {"timezone": "UTC"}), '"UTC"', MODERN)
small = Peer("fastmcp", "small", 1, ("add", {"a": 2, "b": 40}), "42", MODERN)
bridged = Peer(
    "supergateway", "mcp-servers/everything", 13, ("echo", {"message": "hi"}), "Echo: hi", LEGACY
)


def main():
    report = Report("our client")
    try:
        with temporary_folder() as folder:
            meet_all(report, folder)
    except Exception as error:
        report.failure("the tour was broken off", error)
    report.end()


def meet_all(report, folder):
    over_stdio(report, folder, everything, [*EVERYTHING, "stdio"])
    over_network(report, folder, everything, "Streamable HTTP", "http:/mcp", [*EVERYTHING, "streamableHttp"])
    over_network(report, folder, everything, "HTTP+SSE", "http:/sse", [*EVERYTHING, "sse"])
    over_stdio(report, folder, filesystem, [*FILESYSTEM, folder])
    over_stdio(report, folder, memory, ["env", f"MEMORY_FILE_PATH={folder}/memory.json", *MEMORY])
    over_stdio(report, folder, clock, [CACHE / "time/bin/mcp-server-time", "--local-timezone", "UTC"])
    over_stdio(report, folder, small, [*FASTMCP, "stdio"])
    over_network(report, folder, small, "Streamable HTTP", "http:/mcp", [*FASTMCP, "http", "{port}"])
    over_network(report, folder, small, "HTTP+SSE", "http:/sse", [*FASTMCP, "sse", "{port}"])
    bridge = [*SUPERGATEWAY, "--port", "{port}", "--stdio", shlex.join([*EVERYTHING, "stdio"])]
    over_network(report, folder, bridged, "HTTP+SSE", "http:/sse", bridge)
    bridge += ["--outputTransport", "ws", "--messagePath", "/ws"]
    over_network(report, folder, bridged, "WebSocket", "ws:/ws", bridge)


def over_stdio(report, folder, peer, command):
    child = Child(folder, f"{peer.package}-stdio", command, {})
    meet(report, folder, peer, "stdio", f"stdio:{child.command}", child)


def over_network(report, folder, peer, transport, place, command):
    port = unused_port()
    scheme, path = place.split(":")
    command = [str(part).replace("{port}", str(port)) for part in command]
    with Running(folder, f"{peer.package}-{transport}", command, {"PORT": str(port)}) as server:
        server.accepts(port)
        meet(report, folder, peer, transport, f"{scheme}://127.0.0.1:{port}{path}")


def meet(report, folder, peer, transport, address, child=None):
    """Connects to a server in both eras; one that was started for it must have ended by itself."""
    for era in ("auto", "legacy"):
        revision = peer.revision if era == "auto" else LEGACY
        name = f"{era}, with {peer.package} over {transport}"
        try:
            check(peer, revision, probe(folder, address, era, peer.call))
            if child:
                expect(set(child.endings()), {"ended with 0"}, "how the server ended")
        except Exception as error:
            report.failure(name, error)
        else:
            report.passed(f"{name}, {revision}: a list of {peer.tools}, a call, the end")


def check(peer, revision, found):
    expect(found["protocol"], revision, "the protocol")
    expect(found["server"], peer.name, "the name of the server")
    expect(found["tools"], peer.tools, "the number of tools")
    answer = found["called"]
    expect(answer.get("isError", False), False, f"isError of {answer}")
    expect(peer.answer in answer["content"][0]["text"], True, f"whether {peer.answer!r} is in {answer}")


def probe(folder, address, era, call):
    tool, arguments = call
    command = [PROGRAMS / "connect-probe", address, "--era", era, "--call", tool, json.dumps(arguments)]
    with subprocess.Popen(
        command, cwd=folder, env=clean_environment(folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            out, errors = process.communicate(timeout=PROBE_SECONDS)
        except BaseException:
            process.kill()
            raise
    expect(process.returncode, 0, f"the exit code (it says: {errors.strip()})")
    return json.loads(out)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    main()

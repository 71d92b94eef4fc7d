"""The matrix as tables, made of the lines of a run. docs/interop.md must show the same.

usage: table.py print RESULTS
       table.py check RESULTS    (prints one line of a report)
"""

import json
import pathlib
import re
import sys

from checks import Report

HERE = pathlib.Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs/interop.md"
SERVERS = ["server-a", "server-b", "tool-server"]
TRANSPORTS = ["stdio", "Streamable HTTP", "HTTP+SSE", "WebSocket"]
VISIT = re.compile(r"ok +(.+), (legacy|auto|modern): (server-a|server-b|tool-server) over ([^,]+), ([\d-]+):")
MEETING = re.compile(r"ok +our client: (auto|legacy), with (\S+) over ([^,]+), ([\d-]+):")
PARTS = ["tools", "calls", "resources", "prompts", "completions", "progress", "elicitation", "changes"]
PART = re.compile(rf"ok +our client's commands: ({'|'.join(PARTS)}), with (\S+) over (.+)")
GATEWAY_PARTS = [*PARTS[2:7], "sampling", "changes"]
USED = rf"(?:(calls|a call) of (\w+)|({'|'.join(GATEWAY_PARTS)})(?: of .+)?)"
VISITED = re.compile(rf"ok +gateway: (.+), (legacy|auto|modern), over (.+): {USED}$")
BEHIND = 7
# Where the pin of each name is: a package of package.json, or of a requirements file.
PINS = {
    "Inspector": "@modelcontextprotocol/inspector",
    "TypeScript SDK 1": "@modelcontextprotocol/sdk",
    "TypeScript SDK 2": "@modelcontextprotocol/client",
    "Python SDK 1": "requirements-sdk-1.txt mcp",
    "Python SDK 2": "requirements-sdk-2.txt mcp",
    "fastmcp": "requirements-fastmcp.txt fastmcp",
    "server-everything": "@modelcontextprotocol/server-everything",
    "server-filesystem": "@modelcontextprotocol/server-filesystem",
    "server-memory": "@modelcontextprotocol/server-memory",
    "mcp-server-time": "requirements-time.txt mcp-server-time",
    "supergateway": "supergateway",
}


def version(name):
    """The package behind a name, and its version."""
    file, _, package = PINS[name].rpartition(" ")
    if file:
        pin = re.search(rf"^{re.escape(package)}==(.+)$", (HERE / file).read_text(), re.MULTILINE)
        return f"`{package}` {pin[1]}"
    return f"`{package}` {json.loads((HERE / 'package.json').read_text())['dependencies'][package]}"


def clients(lines):
    """For each client and mode, what it spoke over each transport with each server."""
    rows = {}
    for client, mode, server, transport, revision in found(VISIT, lines):
        cells = rows.setdefault((client, mode), {})
        cells.setdefault(transport, {}).setdefault(revision, []).append(server)
    for (client, mode), cells in sorted(rows.items()):
        yield [client, version(client), mode, *(of_all_servers(cells.get(transport)) for transport in TRANSPORTS)]


def of_all_servers(revisions):
    """The revision alone when all three servers speak it."""
    if not revisions:
        return "–"
    parts = []
    for revision, servers in sorted(revisions.items()):
        whom = "" if sorted(servers) == SERVERS else f" ({', '.join(sorted(servers))} only)"
        parts.append(revision + whom)
    return "; ".join(parts)


def servers(lines):
    """For each server of another maker and each mode of our client, what they spoke over each transport."""
    rows = {}
    for mode, server, transport, revision in found(MEETING, lines):
        rows.setdefault((server, mode), {})[transport] = revision
    for (server, mode), cells in sorted(rows.items()):
        yield [server, version(server), mode, *(cells.get(transport, "–") for transport in TRANSPORTS)]


def commands(lines):
    """For each server of another maker and each transport, the parts of MCP that mcp-client was tried with."""
    rows = {}
    for part, server, transport in found(PART, lines):
        rows.setdefault((server, TRANSPORTS.index(transport)), set()).add(part)
    for (server, transport), parts in sorted(rows.items()):
        yield [server, TRANSPORTS[transport], *("✓" if part in parts else "–" for part in PARTS)]


def gateway(lines):
    """For each client and how it reaches the gateway, what it used of the servers behind it."""
    rows = {}
    for client, mode, transport, calls, server, part in found(VISITED, lines):
        seen = rows.setdefault((client, mode, transport), {})
        seen.setdefault(part or calls, set()).add(server)
    for (client, mode, transport), seen in sorted(rows.items()):
        calls = "every tool" if len(seen.get("calls", ())) == BEHIND else "–"
        calls = "one of each server" if len(seen.get("a call", ())) == BEHIND else calls
        yield [client, mode, transport, calls, *("✓" if part in seen else "–" for part in GATEWAY_PARTS)]


def found(pattern, lines):
    return [match.groups() for match in map(pattern.match, lines) if match]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(lines):
    return {
        "clients": table(["client", "package", "mode", *TRANSPORTS], clients(lines)),
        "servers": table(["server", "package", "mode", *TRANSPORTS], servers(lines)),
        "commands": table(["server", "transport", *PARTS], commands(lines)),
        "gateway": table(["client", "mode", "transport", "calls", *GATEWAY_PARTS], gateway(lines)),
    }


def check(lines):
    report, document = Report("docs/interop.md"), DOCUMENT.read_text()
    for name, made in tables(lines).items():
        shown = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", document, re.DOTALL)
        wrong = set(made.splitlines()) ^ set(shown[1].splitlines()) if shown else {"there is no such table"}
        if wrong:
            report.failure(f"its table of {name} is what this run saw", ValueError("; ".join(sorted(wrong))))
        else:
            report.passed(f"its table of {name} is what this run saw")
    report.end()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["print", results]:
            print("\n\n".join(tables(pathlib.Path(results).read_text().splitlines()).values()))
        case ["check", results]:
            check(pathlib.Path(results).read_text().splitlines())
        case _:
            sys.exit(__doc__)

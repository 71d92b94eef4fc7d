"""Two tools in place of more than five hundred: what is found, and called, at the servers of other makers.

usage: search.py
"""

import http.client
import json
import re
import signal
import sys

import commands
import peers
from checks import Report, expect
from many_tools import asked
from servers import PROGRAMS, REST, Child, Running, health_when, temporary_folder, unused_port
from visitors import (
    ELICITATION,
    HERE,
    INSPECTOR,
    LEGACY,
    LONG,
    MODERN,
    SAMPLING,
    Checks,
    Place,
    check_answer,
    judge,
    judge_calls,
    run,
)

GATEWAY = PROGRAMS / "mcp-gateway"
SHOWN = ["find_tool", "call_tool"]
GENERATED, REAL = 500, 36  # server-everything has more for clients that can do more
META = {f"io.modelcontextprotocol/{name}": value for name, value in
        {"protocolVersion": MODERN, "clientCapabilities": {}}.items()}  # fmt: skip
CALLS = [
    ("everything__echo", {"message": "hi"}, "Echo: hi"),
    ("everything__get-sum", {"a": 2, "b": 40}, "42"),
    ("filesystem__list_allowed_directories", {}, "Allowed directories"),
    ("memory__read_graph", {}, "entities"),
    ("drive__search_file", {}, "drive__search_file was called"),
]


def through(tool, arguments):
    """A call of `call_tool`."""
    return ["call_tool", {"name": tool, "arguments": arguments}]


class Asking:
    """A client of one era: each request of the newer one speaks for itself and comes on a connection of its own."""

    def __init__(self, port, era):
        self.port, self.is_modern, self.session = port, era == "modern", None
        if not self.is_modern:
            about = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "asking", "version": "1"}}
            self.ask("initialize", about)

    def ask(self, method, params, **headers):
        if self.is_modern:
            params = params | {"_meta": META}
            headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method} | headers
            if "name" in params:
                headers.setdefault("Mcp-Name", params["name"])
        elif self.session:
            headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": LEGACY}
        headers |= {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection.request("POST", "/mcp", body, headers)
        response = connection.getresponse()
        self.session = self.session or response.getheader("Mcp-Session-Id")
        text = response.read().decode()
        connection.close()
        if response.getheader("Content-Type", "").startswith("text/event-stream"):
            text = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")][-1]
        return json.loads(text)

    def called(self, tool, arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments})["result"]


def over_http(checks, folder):
    port = unused_port()
    with Running(folder, "everything", [*peers.EVERYTHING, "streamableHttp"], {"PORT": str(port)}) as everything:
        everything.accepts(port)
        # Over stdio it has no get-roots-list for the gateway.
        use_over_http(checks, folder, document(folder, f'url = "http://127.0.0.1:{port}/mcp"'))


def use_over_http(checks, folder, document):
    file = folder / "gateway.toml"
    file.write_text(document)
    checks.check("--check says how many tokens are saved", check_the_check, folder, file)
    command = [GATEWAY, "--config", file, "--listen", "127.0.0.1:0"]
    with Running(folder, "gateway", command, {"RUST_LOG": "info"}) as gateway:
        port = gateway.told(REST)
        checks.check("/health says how many tokens are saved", check_health, port)
        for era in ("modern", "legacy"):
            for words in ("questions", "other_words"):
                name = f"{era}: the 40 {words.replace('_', ' ')} find the right tool among the first five"
                checks.check(name, check_recall, port, era, asked()[words])
            checks.check(f"{era}: what is found is called", check_calls, port, era)
            checks.check(f"{era}: a wrong call says what is right", check_wrong, port, era)
        checks.check("modern: the header must name call_tool", check_header, port)
        http = Place(folder, "Streamable HTTP", url=f"http://127.0.0.1:{port}/mcp")
        for era in ("legacy", "modern"):
            visit_with_mcp_client(checks, http, era)
            visit_with_inspector(checks, http, era)
        for major, mode in ((1, "legacy"), (2, "legacy"), (2, "auto")):
            visit_with_sdk(checks, http, major, mode)
        checks.check("it stops after all of them with 0", lambda: expect(gateway.stop(), 0, "its exit code"))


def over_stdio(checks, folder):
    file = folder / "gateway.toml"
    file.write_text(document(folder, f"command = {json.dumps([*peers.EVERYTHING, 'stdio'])}"))
    child = Child(folder, "gateway", [GATEWAY, "--config", file, "stdio"], {"RUST_LOG": "info"})
    for major, mode in ((1, "legacy"), (2, "auto")):
        visit_with_sdk(checks, Place(folder, "stdio", child=child), major, mode)


def document(folder, everything):
    memory = ["env", f"MEMORY_FILE_PATH={folder}/memory.json", *peers.MEMORY]
    servers = {
        "filesystem": [*peers.FILESYSTEM, str(folder)],
        "memory": memory,
        "many": [sys.executable, str(HERE / "many_tools.py")],
    }
    places = {name: f"command = {json.dumps(command)}" for name, command in servers.items()}
    upstreams = ({"everything": everything} | places).items()
    return 'expose = "search"\n' + "".join(f"[upstream.{name}]\n{at}\n" for name, at in upstreams) + 'prefix = ""\n'


def check_the_check(folder, file):
    said = run(folder, GATEWAY, "--config", file, "--check")
    found = re.search(r"searching saves about (\d+) tokens: (\d+) tools", said)
    expect(bool(found), True, f"whether the tokens are in {said}")
    check_savings(int(found[2]), int(found[1]))


def check_savings(tools, tokens):
    expect(tools >= REAL + GENERATED, True, f"whether {tools} are all tools")
    expect(tokens > 40_000, True, f"whether {tokens} tokens are what more than 500 tools need")


def check_health(port):
    """Waits until all tools are known."""
    health = health_when(port, lambda health: health["search"]["tools"] >= REAL + GENERATED)
    check_savings(health["search"]["tools"], health["search"]["saved_approximate_tokens"])


def check_recall(port, era, questions):
    client, first, missed = Asking(port, era), 0, []
    for question, right in questions:
        found = client.called("find_tool", {"query": question})
        expect(json.loads(found["content"][0]["text"]), found["structuredContent"], "the text form")
        names = [tool["name"] for tool in found["structuredContent"]["tools"]]
        first += names[:1] != [] and names[0] in right
        if not set(names) & set(right):
            missed.append((question, names))
    print(f"        recall in the first five: {40 - len(missed)}/40; in the first place: {first}/40", flush=True)
    expect((len(questions), missed), (40, []), "how many were asked, and what was missed")


def check_calls(port, era):
    client = Asking(port, era)
    listed = client.ask("tools/list", {})["result"]["tools"]
    expect([tool["name"] for tool in listed], SHOWN, "what is listed")
    for tool, arguments, part in CALLS:
        check_answer(tool, client.called(*through(tool, arguments)), part)
        check_answer(tool, client.called(tool, arguments), part)
    found = client.called(*through("find_tool", {"query": "sum of two numbers", "limit": 1}))
    expect([tool["name"] for tool in found["structuredContent"]["tools"]], ["everything__get-sum"], "what is found")


def check_wrong(port, era):
    client = Asking(port, era)
    for arguments in ({}, {"name": "everything__echo", "message": "hi"}, {"name": "call_tool", "arguments": {}}):
        result = client.called("call_tool", arguments)
        expect(result["isError"], True, f"isError of {arguments}")
        expect('{"name": ' in result["content"][0]["text"], True, f"whether {result} says what is right")
    error = client.ask("tools/call", {"name": "call_tool", "arguments": {"name": "nothing"}})["error"]
    expect((error["data"]["code"], "find_tool" in error["message"]), ("TOOL_NOT_FOUND", True), "the error")


def check_header(port):
    call = dict(zip(("name", "arguments"), through("everything__echo", {"message": "hi"}), strict=True))
    error = Asking(port, "modern").ask("tools/call", call, **{"Mcp-Name": "everything__echo"})["error"]
    expect("Mcp-Name" in error["message"], True, f"whether {error} is about the header")


def visit_with_mcp_client(checks, place, era):
    client = commands.Client(place.folder, place.for_mcp_client(), "--era", era)

    def tools():
        expect([tool["name"] for tool in client.listed("tools")["tools"]], SHOWN, "what is listed")

    def calls():
        for tool, arguments, part in CALLS:
            name, arguments = through(tool, arguments)
            check_answer(tool, client.called(name, json.dumps(arguments)), part)

    checks.check(f"mcp-client, {era}: tools", tools)
    checks.check(f"mcp-client, {era}: calls", calls)


def visit_with_inspector(checks, place, era):
    command = [*INSPECTOR, "--protocol-era", era, *place.for_inspector()]

    def ask(*arguments):
        return json.loads(run(place.folder, *command, "--method", *arguments))["result"]

    def use():
        expect([tool["name"] for tool in ask("tools/list", "--strict")["tools"]], SHOWN, "what is listed")
        tool, arguments, part = CALLS[0]
        name, arguments = through(tool, arguments)
        arguments = ["--tool-args-json", json.dumps(arguments)]
        check_answer(tool, ask("tools/call", "--tool-name", name, *arguments), part)

    checks.check(f"Inspector, {era}: tools and a call", use)


def visit_with_sdk(checks, place, major, mode):
    """Calls, progress and questions through `call_tool`, in one connection."""
    name = f"Python SDK {major}, {mode}, over {place.name}"
    asking = {"elicitation": ELICITATION, "sampling": SAMPLING}
    for part, wanted in asking.items():
        for tool, (arguments, *_) in wanted.items():
            visit = place.for_sdk() | {
                "mode": mode,
                "parts": ["calls", "progress", part],
                "calls": {"all": [through(*call[:2]) for call in CALLS]},
                "progress": through(*LONG),
                part: [through(tool, arguments)],
            }
            checks.check(f"{name}: {tool}, and others", judge_visit, place.folder, major, visit, part, (tool, wanted))


def judge_visit(folder, major, visit, part, asked_for):
    path, (tool, wanted) = folder / "visit.json", asked_for
    path.write_text(json.dumps(visit))
    python = [peers.CACHE / f"sdk-{major}/bin/python", "-W", "ignore", HERE / "clients/everything.py"]
    account = json.loads(run(folder, *python, path))
    judge_calls(account["calls"]["all"], CALLS)
    judge("progress", account["progress"])
    seen, (_, asked_so, text) = account[part]["call_tool"], wanted[tool]
    expect(seen["asked"], [asked_so], f"what {tool} asked")
    check_answer(tool, seen["answer"], text)


def main():
    report = Report("search")
    checks = Checks(report)
    for part in (over_http, over_stdio):
        try:
            with temporary_folder() as folder:
                part(checks, folder)
        except Exception as error:
            report.failure(f"{part.__name__} was broken off", error)
    report.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    main()

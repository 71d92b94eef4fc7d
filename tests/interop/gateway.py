"""One gateway in front of all servers that there are here, used by our client, Inspector and the Python SDKs.

usage: gateway.py
"""

import concurrent.futures
import json
import re
import signal
import sys

import behind
from calls import CALLS
from checks import Report, expect
from servers import PROGRAMS, REST, Child, Running, health_when, temporary_folder
from visitors import (
    ASKING,
    INSPECTOR,
    OTHERS,
    Checks,
    Place,
    check_answer,
    run,
    visit_with_inspector,
    visit_with_mcp_client,
    visit_with_sdk,
)

GATEWAY = PROGRAMS / "mcp-gateway"
CLIENTS_AT_ONCE = 3


def over_http(checks, folder):
    programs = behind.children(folder)
    with behind.on_the_network(folder, programs) as document:
        file = folder / "gateway.toml"
        file.write_text(document)
        checks.check("--check finds all servers and counts their tools", check_the_check, folder, file)
        command = [GATEWAY, "--config", file, "--listen", "127.0.0.1:0"]
        with Running(folder, "gateway", command, {"RUST_LOG": "info"}) as gateway:
            port = gateway.told(REST)
            checks.check("/health tells of each upstream, and that it can be used", check_health, port)
            checks.check("explain asks the gateway that runs", check_explain, folder, file, port)
            http = Place(folder, "Streamable HTTP", url=f"http://127.0.0.1:{port}/mcp")
            visits = [
                (visit_with_mcp_client, http, "legacy"),
                (visit_with_mcp_client, http, "modern"),
                (visit_with_inspector, http, "legacy"),
                (visit_with_inspector, http, "modern"),
                (visit_with_sdk, http, 1, "legacy"),
                (visit_with_sdk, http, 2, "legacy"),
                (visit_with_sdk, http, 2, "auto"),
            ]
            pay(checks, visits)
            checks.check("/health tells of each upstream afterwards", check_health, port)
            checks.check("it stops after all of them with 0, without a warning", check_stop, gateway)
        for name, child in programs.items():
            checks.check(f"every {name} that it started has ended", check_endings, child)


def pay(checks, visits):
    with concurrent.futures.ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
        for done in [pool.submit(visit, checks, *arguments) for visit, *arguments in visits]:
            done.result()


def check_the_check(folder, file):
    said = run(folder, GATEWAY, "--config", file, "--check")
    for upstream, calls in CALLS.items():
        found = re.search(rf"✓ {upstream}: (\d+) tools", said)
        expect(bool(found), True, f"whether {upstream} is in {said}")
        others = len(ASKING | OTHERS) if upstream == "everything" else 0
        expect(int(found[1]), len({tool for tool, *_ in calls}) + others, f"the number of tools of {upstream}")


def check_health(port):
    """Waits until all are ready."""

    def are_ready(health):
        return {one["name"] for one in health["upstreams"] if one["state"] == "ready"} == set(CALLS)

    health = health_when(port, are_ready)
    expect(health["status"], "ok", "the status")
    expect([one["last_error"] for one in health["upstreams"]], [None] * len(CALLS), "the errors")


def check_explain(folder, file, port):
    command = [GATEWAY, "--config", file, "--listen", f"127.0.0.1:{port}", "explain"]
    said = run(folder, *command, "everything__get-sum")
    expected = 'everything__get-sum is the tool "get-sum" of upstream "everything"\n  it is listed\n'
    expect(said, expected, "the explanation")
    said = run(folder, *command, "everything__get-some", code=1)
    expect(said.startswith("everything__get-some is not there\n  "), True, f"whether there is a reason in {said!r}")


def check_stop(gateway):
    expect(gateway.stop(), 0, "its exit code")
    warnings = [line for line in gateway.log().splitlines() if " WARN " in line or " ERROR " in line]
    expect(warnings, [], "what it warned of")


def check_endings(child):
    """By itself, or when it was asked to: clients and the gateway give slow ones two or three seconds."""
    others = set(child.endings()) - {"ended with 0", "asked to end", "ended with 143"}
    expect(others, set(), "how it ended otherwise")


def over_stdio(checks, folder):
    with behind.as_programs(folder) as (document, programs):
        file = folder / "servers.json"
        file.write_text(document)
        child = Child(folder, "gateway", [GATEWAY, "--config", file, "stdio"], {"RUST_LOG": "info"})
        stdio = Place(folder, "stdio", child=child)
        visits = [(visit_with_sdk, stdio, 1, "legacy"), (visit_with_sdk, stdio, 2, "auto")]
        pay(checks, visits)
        checks.check("every gateway that a client started has ended", check_endings, child)
        for name, child in programs.items():
            checks.check(f"every {name} that it started has ended", check_endings, child)


def as_claude_desktop(checks, folder):
    """Its own file has the gateway alone, and the gateway's has the servers: the same kind of file."""
    servers = {name: behind.child_program(folder, name, "stdio") for name in ("server-a", "tool-server")}
    file, desktop = folder / "servers.json", folder / "claude_desktop_config.json"
    file.write_text(mcp_servers(servers))
    child = Child(folder, "gateway", [GATEWAY, "--config", file, "stdio"], {})
    desktop.write_text(mcp_servers({"all": child}))
    command = [*INSPECTOR, "--config", desktop, "--server", "all", "--method"]

    def use():
        listed = json.loads(run(folder, *command, "tools/list", "--strict"))["result"]["tools"]
        names = {f"tool-server__{tool}" for tool, *_ in CALLS["tools"]}
        names |= {f"server-a__{tool}" for tool, *_ in CALLS["messenger"]}
        expect({tool["name"] for tool in listed}, names, "the tools")
        call = ["tools/call", "--tool-name", "tool-server__echo", "--tool-args-json", '{"message": "hi"}']
        check_answer("tool-server__echo", json.loads(run(folder, *command, *call))["result"], "Echo: hi")
        for program in (child, *servers.values()):
            check_endings(program)

    checks.check("Inspector starts it as Claude Desktop does, and ends it and its servers", use)


def mcp_servers(programs):
    servers = {name: {"command": child.command, "args": []} for name, child in programs.items()}
    return json.dumps({"mcpServers": servers})


def walk_through(folder):
    said = run(folder, PROGRAMS / "test-communication", "--gateway")
    expect("✓ Every step did what it says." in said, True, f"whether {said} ends well")


def main():
    report = Report("gateway")
    checks = Checks(report)
    for part in (over_http, over_stdio, as_claude_desktop):
        try:
            with temporary_folder() as folder:
                part(checks, folder)
        except Exception as error:
            report.failure(f"{part.__name__} was broken off", error)
    with temporary_folder() as folder:
        checks.check("test-communication --gateway", walk_through, folder)
    report.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    main()

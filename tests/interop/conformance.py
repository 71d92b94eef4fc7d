"""Runs the official conformance suite against MCP servers and a client, and prints one line for each of its scenarios.

usage: conformance.py NODE SUITE PROGRAMS                          the client, the everything server over each transport,
                                                                   and the products, all started from that folder
       conformance.py NODE SUITE PROGRAMS client                   the client alone
       conformance.py NODE SUITE PROGRAMS gateway                  the everything server behind mcp-gateway alone
       conformance.py NODE SUITE PROGRAMS all|messages|generic NAME=URL...  servers that run already

A warning of the suite counts as a failure, and so does a scenario that the suite lists and that did not run.
"""

import contextlib
import signal
import sys

import conformance_scenarios as scenarios
from conformance_gateway import check_gateway
from conformance_suite import (
    SCENARIO_SECONDS,
    Programs,
    Report,
    Suite,
    check_all_but,
    check_everything,
    excuse_of_the_suite,
    failures,
    judge,
    request,
)


def check_messages(report, suite, url):
    """Every scenario that is about messages: what there is to test of a server behind the bridge."""
    check_all_but(report, suite, url, scenarios.ABOUT_HTTP, excuse_of_the_bridge)


def excuse_of_the_bridge(scenario):
    excuse = excuse_of_the_suite(scenario)
    return lambda check: "about HTTP" if check["id"] in scenarios.HTTP_CHECKS else excuse(check)


def check_client(suite, programs):
    """Every scenario for clients, but those about extensions that the client does not offer."""
    report, program = Report("our client"), programs.path("conformance-client")
    left = set(suite.client_scenarios()) - scenarios.NOT_OFFERED
    for version in scenarios.REQUIREMENTS:
        expected = [name for name in suite.client_scenarios(version) if name not in scenarios.NOT_OFFERED]
        ran = suite.client_results(program, "--requirements", version)
        judge_client(report, version, expected, ran)
        left -= set(expected)
    for scenario in sorted(left):
        version = scenarios.OLDER_CLIENT.get(scenario)
        at = ["--spec-version", version] if version else []
        ran = suite.client_results(program, "--scenario", scenario, *at, seconds=SCENARIO_SECONDS)
        judge_client(report, version or "extension", [scenario], ran)
    return report.failed


def judge_client(report, version, expected, ran):
    for scenario in expected:
        checks, said = ran.get(scenario, ([], ""))
        if scenario not in ran:
            report.failure(version, scenario, "it did not run")
        elif bool(said) != (scenario in scenarios.REFUSED):
            report.failure(version, scenario, f"the client says {said!r}; these checks failed: {failures(checks)}")
        else:
            judge(report, version, scenario, checks, lambda check: scenarios.excuse_of_client(scenario, check))


def check_generic(report, suite, url):
    """The scenarios that need no fixtures, as far as the server offers what they are about."""
    offered = capabilities(url)
    for scenario, versions in suite.scenarios().items():
        if scenario not in scenarios.GENERIC:
            if scenario not in scenarios.WITH_FIXTURES:
                report.failure("suite", scenario, "it is new: say in conformance_scenarios.py what it needs")
            continue
        if (needed := scenarios.GENERIC[scenario]) and needed not in offered:
            continue
        for version in [version for version in versions if version in (*scenarios.REQUIREMENTS, "extension")]:
            at = [] if version == "extension" else ["--spec-version", version]
            ran, broken = suite.results(url, "--scenario", scenario, *at, seconds=SCENARIO_SECONDS)
            if scenario in ran and not broken:
                judge(report, version, scenario, ran[scenario], lambda check: scenarios.excuse(check, offered))
            else:
                report.failure(version, scenario, f"it did not run ({broken})")


def capabilities(url):
    """What the server says that it offers: capabilities, parts of them (`tools.listChanged`), and extensions."""
    found = request(url, "server/discover")["capabilities"]
    offered = set(found) | set(found.get("extensions") or {})
    for name, parts in found.items():
        offered |= {f"{name}.{part}" for part, is_on in (parts or {}).items() if is_on is True}
    return offered


def check_transports(suite, programs):
    """The everything server over each transport: Streamable HTTP itself, the others through a bridge."""
    failed = False
    report = Report("everything")
    with programs.running(report, "conformance-server", "http") as address:
        check_everything(report, suite, f"http://{address}/mcp")
        failed |= report.failed
        for name, target in {
            "SSE": f"http://{address}/sse",
            "WebSocket": f"ws://{address}/ws",
            "stdio": f"stdio:{programs.path('conformance-server')} stdio",
        }.items():
            report = Report(f"everything over {name}")
            with programs.running(report, "conformance-bridge", target) as bridge:
                check_messages(report, suite, f"http://{bridge}/mcp")
            failed |= report.failed
    return failed


def check_products(suite, programs):
    """What needs no fixtures, with the products as their users start them."""
    reports = {name: Report(name) for name in ("server-a", "server-b", "tool-server")}
    memory = {"DATABASE_URL": "sqlite::memory:"}
    with contextlib.ExitStack() as running:

        def start(name, *arguments, **settings):
            return running.enter_context(programs.running(reports[name], name, *arguments, **settings))

        rest = {"AI_PROVIDER": "mock", "MOCK_DELAY_MS": "0", "HTTP_PORT": "0", **memory}
        responder = start("server-b", **rest)
        addresses = {
            "server-a": start("server-a", "http", MCP_PORT_A="0", SERVER_B_URL=f"http://{responder}", **memory),
            "server-b": start("server-b", "http", said="listening for MCP", MCP_PORT_B="0", **rest),
            "tool-server": start("tool-server", "http", "--port", "0"),
        }
        for name, address in addresses.items():
            check_generic(reports[name], suite, f"http://{address}/mcp")
    return any(report.failed for report in reports.values())


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server is stopped on the way out
    node, script, programs, *rest = sys.argv[1:]
    suite = Suite(node, script)
    parts = {
        "client": [check_client],
        "gateway": [check_gateway],
        None: [check_client, check_transports, check_products, check_gateway],
    }
    if (part := rest[0] if rest else None) in parts:
        programs = Programs(programs)
        sys.exit(any([check(suite, programs) for check in parts[part]]))
    check = {"all": check_everything, "messages": check_messages, "generic": check_generic}[rest[0]]
    failed = False
    for server in rest[1:]:
        name, url = server.split("=", 1)
        report = Report(name)
        try:
            check(report, suite, url)
        except Exception as error:
            report.failure("suite", "run", f"{type(error).__name__}: {error}")
        failed |= report.failed
    sys.exit(failed)


if __name__ == "__main__":
    main()

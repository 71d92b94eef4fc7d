"""The everything server behind mcp-gateway, under the conformance suite."""

import concurrent.futures
import contextlib
import pathlib
import re
import tempfile

import conformance_scenarios as scenarios
from conformance_suite import (
    Report,
    check_all_but,
    check_everything,
    check_required,
    excuse_of_the_suite,
    failures,
    judge,
    request,
)

SIDE_BY_SIDE = 3
DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/conformance.md"

WITH_LAYERS, WITH_SEARCH = "Streamable HTTP with every layer on", "Streamable HTTP with expose = search"

# What stands before the upstream in a gateway's configuration.
AROUND = {
    WITH_LAYERS: """pins = "gateway.pins.json"
ledger = "memory"
[batch]
[access_log]
file = "access.jsonl"
bodies = true
[pipeline.twice]
description = "Calls a tool twice"
stage = [{ name = "one", tool = "test_simple_text" }, { name = "two", tool = "test_simple_text" }]
""",
    WITH_SEARCH: 'expose = "search"\n',
}
LAYERS = """
cache = { ttl = "5m" }
tools = { allow = ["*"], deny = ["no_such_tool"] }
prompts = { allow = ["*"], deny = ["no_such_prompt"] }
resources = { allow = ["*"], deny = ["no-such:*"] }
templates = { allow = ["*"], deny = ["no-such:*"] }
methods = ["skills/*", "resources/directory/read"]
"""


def check_gateway(suite, programs):
    """The everything server behind the gateway, over each transport and then in one era only.

    Each gateway has a server of its own, so that some can be tried side by side: the suite waits more than it works.
    """
    command = f'command = ["{programs.path("conformance-server")}", "stdio"]'
    tries = [
        ("Streamable HTTP", 'url = "http://{}/mcp"', "all", check_everything),
        ("SSE", 'url = "http://{}/sse"', "all", check_required),
        ("WebSocket", 'url = "ws://{}/ws"', "all", check_required),
        ("stdio", command, "all", check_required),
        ("a legacy server", 'url = "http://{}/mcp"', "legacy", check_across_eras),
        # Over one connection for all clients a question cannot be told to be one client's.
        ("a legacy server over WebSocket", 'url = "ws://{}/ws"\nsessions = "per_client"', "legacy", check_across_eras),
        ("a modern server", 'url = "http://{}/mcp"', "modern", check_across_eras),
        (WITH_LAYERS, 'url = "http://{}/mcp"' + LAYERS, "all", check_everything),
        (WITH_SEARCH, 'url = "http://{}/mcp"', "all", check_searched),
    ]
    reports = [Report(f"gateway to {name}") for name, *_ in tries]
    seen = []
    with contextlib.ExitStack() as running:

        def start(report, program, *arguments):
            return running.enter_context(programs.running(report, program, *arguments))

        urls = []
        for report, (name, upstream, versions, _) in zip(reports, tries):
            if upstream != command:
                address = start(report, "conformance-server", "http", f"--versions={versions}")
                upstream = upstream.replace("{}", address)
            file = pathlib.Path(running.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")), "gateway.toml")
            # Without a prefix names stay as they are.
            file.write_text(f'{AROUND.get(name, "")}[upstream.everything]\nprefix = ""\n{upstream}\n')
            if name == WITH_LAYERS:
                # The tool that comes and goes is approved, too.
                request(f"http://{address}/mcp", "tools/call", name="test_trigger_tool_change", arguments={})
                programs.run("mcp-gateway", f"--config={file}", "pins", "approve")
            urls.append(f"http://{start(report, 'mcp-gateway', f'--config={file}', '--listen=127.0.0.1:0')}/mcp")
        pool = concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE)
        running.callback(pool.shutdown, wait=False, cancel_futures=True)
        checks = []
        for report, url, (_, _, versions, check) in zip(reports, urls, tries):
            more = (versions, seen) if check is check_across_eras else ()
            checks.append(pool.submit(check, report, suite, url, *more))
        for check in checks:
            check.result()
    return check_document(seen) or any(report.failed for report in reports)


def check_searched(report, suite, url):
    """Every required scenario, but what looks for its tools in the list, which is that of the two tools that find and call others."""
    check_all_but(report, suite, url, scenarios.ABOUT_LISTED_TOOLS, excuse_of_search)


def excuse_of_search(scenario):
    excuse = excuse_of_the_suite(scenario)
    return lambda check: "about the list" if check["id"] in scenarios.CHECKS_OF_LISTED_TOOLS else excuse(check)


def check_across_eras(report, suite, url, era, seen):
    """Every required scenario of one era with a server of the other. What the two have no words for is added to `seen`."""
    version, reasons = scenarios.NOT_EXPRESSIBLE[era]
    expected = suite.scenarios("--requirements", version)
    ran, broken = suite.results(url, "--requirements", version)
    rows = {}
    for scenario in expected:
        if scenario not in ran:
            report.failure(version, scenario, f"it did not run ({broken or 'the suite says nothing about it'})")
            continue
        excused = excuse_of_the_suite(scenario)
        judge(report, version, scenario, ran[scenario],
              lambda check: "cannot be expressed" if check["id"] in reasons else excused(check))  # fmt: skip
        failed = reasons.keys() & set(failures(ran[scenario]))
        rows |= {check: (era, version, scenario, check, reasons[check]) for check in failed}
    seen += rows.values()
    for check in sorted(reasons.keys() - rows.keys()):
        report.failure(version, check, "it passes, though conformance_scenarios.py says that it cannot be expressed")


def check_document(seen):
    """docs/conformance.md must show what could not be expressed in this run."""
    report = Report("docs/conformance.md")
    shown = re.search(r"<!-- not expressible -->\n.*\n.*\n((?:.*\n)*?)<!-- end -->", DOCUMENT.read_text())
    rows = {f"| {' | '.join(row)} |" for row in seen}
    if wrong := rows ^ set(shown[1].splitlines() if shown else ["there is no such table"]):
        report.failure("both", "its table is what this run saw", "; ".join(sorted(wrong)))
    else:
        report.passed("both", "its table is what this run saw", f"{len(rows)} rows")
    return report.failed

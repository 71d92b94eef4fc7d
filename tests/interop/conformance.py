"""Runs the official conformance suite against MCP servers and a client, and prints one line for each of its scenarios.

usage: conformance.py NODE SUITE PROGRAMS                          the client, the everything server over each transport,
                                                                   and the products, all started from that folder
       conformance.py NODE SUITE PROGRAMS client                   the client alone
       conformance.py NODE SUITE PROGRAMS gateway                  the everything server behind mcp-gateway alone
       conformance.py NODE SUITE PROGRAMS all|messages|generic NAME=URL...  servers that run already

A warning of the suite counts as a failure, and so does a scenario that the suite lists and that did not run.
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import conformance_scenarios as scenarios

START_SECONDS, STOP_SECONDS, SUITE_SECONDS, SCENARIO_SECONDS = 20, 20, 240, 60
SIDE_BY_SIDE = 3
DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/conformance.md"


class Report:
    """Prints one line a scenario; the caller of this program counts them."""

    def __init__(self, server):
        self.server, self.failed = server, False

    def passed(self, version, scenario, remark):
        self._line(f"ok      conformance {self.server} {version}: {scenario} ({remark})")

    def failure(self, version, scenario, reason):
        self.failed = True
        reason = " ".join(str(reason).split())[:1500]
        self._line(f"FAILED  conformance {self.server} {version}: {scenario}: {reason}")

    @staticmethod
    def _line(text):
        # In one piece: there may be several reports at the same time.
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


class Suite:
    """The suite's command line."""

    def __init__(self, node, script):
        self.command = [node, script]

    def _run(self, arguments, seconds, folder=None):
        return subprocess.run(
            [*self.command, *arguments], timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            cwd=folder, env=os.environ | {"RUST_LOG": "error"},
        )  # fmt: skip

    def scenarios(self, *arguments):
        """The server scenarios that it lists, each with the versions of the protocol that it is for."""
        listed = self._run(["list", "--server", *arguments], SCENARIO_SECONDS)
        text = re.sub(r"(?s)\nClient scenarios.*?(\n\n|\Z)", "\n", listed.stdout)
        found = re.findall(r"^ +- (\S+)(?: \[([^\]]*)\])?$", text, re.MULTILINE)
        names = {name: versions.split(",") for name, versions in found if versions != "client"}
        if listed.returncode or not names:
            raise RuntimeError(f"the suite lists no scenarios: {listed.stderr.strip()}")
        return names

    def client_scenarios(self, revision=None):
        """The client scenarios that it lists, or only those of one revision; the unscored ones too."""
        listed = self._run(["list", "--client", *(["--requirements", revision] if revision else [])], SCENARIO_SECONDS)
        required = re.search(r"(?s)\nClient scenarios[^\n]*\n(.*?)(\n\n|\Z)", "\n" + listed.stdout)
        names = re.findall(r"^ +- (\S+)(?: \[[^\]]*\])?$", required[1] if required else "", re.MULTILINE)
        names += re.findall(r"^ +- (\S+) \[client\]$", listed.stdout, re.MULTILINE)
        if listed.returncode or not names:
            raise RuntimeError(f"the suite lists no scenarios for clients: {listed.stderr.strip()}")
        return names

    def client_results(self, program, *arguments, seconds=SUITE_SECONDS):
        """Runs client scenarios; gives the checks of each that ran and what the client wrote to standard error."""
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            # The suite takes the command apart at spaces, which a path may have.
            command = ["client", "--command", f"./{program.name}", "--output-dir", folder, *arguments]
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._run(command, seconds, program.parent)
            ran = {}
            for file in sorted(pathlib.Path(folder).glob("**/checks.json")):
                name = re.fullmatch(r"(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", str(file.parent.relative_to(folder)))
                said = file.with_name("stderr.txt").read_text(errors="replace").strip()
                ran[name[1] if name else file.parent.name] = json.loads(file.read_text()), said
        return ran

    def results(self, url, *arguments, seconds=SUITE_SECONDS):
        """Runs scenarios; gives the checks of each that ran, and why the run itself did not end well."""
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            try:
                ended = self._run(["server", "--url", url, "--output-dir", folder, *arguments], seconds)
                broken = f"the suite ended with exit code {ended.returncode}: {ended.stderr.strip()}"
            except subprocess.TimeoutExpired:
                ended, broken = None, f"the suite did not end in {seconds} seconds"
            ran = {}
            for file in sorted(pathlib.Path(folder).glob("*/checks.json")):
                name = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name)
                ran[name[1] if name else file.parent.name] = json.loads(file.read_text())
        failures = any(check["status"] == "FAILURE" for checks in ran.values() for check in checks)
        if ended and (ended.returncode == 0 or (ended.returncode == 1 and failures)):
            broken = None
        return ran, broken


def judge(report, version, scenario, checks, excused=lambda check: None):
    """One line for a scenario that ran. `excused` says why a check without success tells nothing of the server."""
    problems, excuses, passed = [], collections.Counter(), 0
    for check in checks:
        if check["status"] == "SUCCESS":
            passed += 1
        elif check["status"] != "INFO":
            if excuse := excused(check):
                excuses[excuse] += 1
            else:
                reason = check.get("errorMessage") or check.get("details")
                problems.append(f"{check['status']} {check['id']}: {reason}")
    if not passed and not problems and scenario not in scenarios.EMPTY:
        problems.append("it checked nothing")
    if problems:
        report.failure(version, scenario, "; ".join(problems))
    else:
        remarks = [f"{passed} passed", *(f"{count} {excuse}" for excuse, count in sorted(excuses.items()))]
        report.passed(version, scenario, ", ".join(remarks))


def excuse_of_the_suite(scenario):
    return lambda check: "skipped by the suite itself" if scenario in scenarios.EMPTY else None


def play(report, suite, url, version, expected, arguments):
    """Runs one set of scenarios and compares what ran with what had to."""
    ran, broken = suite.results(url, *arguments)
    for scenario in expected:
        if scenario in ran:
            judge(report, version, scenario, ran[scenario], excuse_of_the_suite(scenario))
        else:
            report.failure(version, scenario, f"it did not run ({broken or 'the suite says nothing about it'})")
    for scenario in ran.keys() - set(expected):
        report.failure(version, scenario, "it ran, but the suite does not list it")
    if broken:
        report.failure(version, "all scenarios", broken)


def check_messages(report, suite, url):
    """Every scenario that is about messages: what there is to test of a server behind the bridge."""
    for version in scenarios.REQUIREMENTS:
        expected = suite.scenarios("--requirements", version).keys() - scenarios.ABOUT_HTTP
        ran, broken = suite.results(url, "--requirements", version)
        for scenario in sorted(expected):
            if scenario in ran:
                judge(report, version, scenario, ran[scenario], excuse_of_the_bridge(scenario))
            else:
                report.failure(version, scenario, f"it did not run ({broken or 'the suite says nothing about it'})")
        if broken:
            report.failure(version, "all scenarios", broken)


def excuse_of_the_bridge(scenario):
    excuse = excuse_of_the_suite(scenario)
    return lambda check: "about HTTP" if check["id"] in scenarios.HTTP_CHECKS else excuse(check)


def check_everything(report, suite, url):
    """Every scenario of the suite, each at every version of the protocol that it is for."""
    left = set(suite.scenarios())
    for version in scenarios.REQUIREMENTS:
        expected = suite.scenarios("--requirements", version)
        left -= set(expected)
        play(report, suite, url, version, expected, ["--requirements", version])
    for version in scenarios.OLDER:
        expected = suite.scenarios("--spec-version", version)
        left -= set(expected)
        play(report, suite, url, version, expected, ["--suite", "all", "--spec-version", version])
    for scenario in sorted(left):
        play(report, suite, url, "extension", [scenario], ["--scenario", scenario])


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


def failures(checks):
    return [check["id"] for check in checks if check["status"] in ("FAILURE", "WARNING")]


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
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "server/discover",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=SCENARIO_SECONDS) as response:
        text = response.read().decode()
    data = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:") and "{" in line]
    found = json.loads(data[-1] if data else text)["result"]["capabilities"]
    offered = set(found) | set(found.get("extensions") or {})
    for name, parts in found.items():
        offered |= {f"{name}.{part}" for part, is_on in (parts or {}).items() if is_on is True}
    return offered


class Programs:
    """Our programs in one folder, each started when it is needed and ended by SIGTERM."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()

    def path(self, name):
        return self.folder / name

    @contextlib.contextmanager
    def running(self, report, name, *arguments, said="listening", **settings):
        """Starts a program; gives the address that it says it listens on."""
        with tempfile.TemporaryDirectory(prefix="conformance-") as home:
            log_path = pathlib.Path(home, "log")
            with open(log_path, "wb") as log:
                process = subprocess.Popen(
                    [self.path(name), *arguments], env={"HOME": home, **settings},
                    cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            try:
                yield bound_address(name, process, log_path, said)
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    code = process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    code = process.wait()
                if code:
                    report.failure("server", "end", f"{name} ended with exit code {code}")


def bound_address(name, process, log_path, said):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(rf" {said}\W.*?(127\.0\.0\.1:\d+)", log_path.read_text(errors="replace")):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"{name} does not say that it is {said}: {log_path.read_text(errors='replace')}")


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
    ]
    reports = [Report(f"gateway to {name}") for name, *_ in tries]
    seen = []
    with contextlib.ExitStack() as running:

        def start(report, program, *arguments):
            return running.enter_context(programs.running(report, program, *arguments))

        urls = []
        for report, (_, upstream, versions, _) in zip(reports, tries):
            if upstream != command:
                upstream = upstream.format(start(report, "conformance-server", "http", f"--versions={versions}"))
            file = pathlib.Path(running.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")), "gateway.toml")
            # Without a prefix names stay as they are.
            file.write_text(f'[upstream.everything]\nprefix = ""\n{upstream}\n')
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


def check_required(report, suite, url):
    """Every required scenario."""
    for version in scenarios.REQUIREMENTS:
        expected = suite.scenarios("--requirements", version)
        play(report, suite, url, version, expected, ["--requirements", version])


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

"""The official conformance suite: runs it, judges its checks, and prints one line for each of its scenarios."""

import collections
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


def check_all_but(report, suite, url, left_out, excuse):
    """Every required scenario but these."""
    for version in scenarios.REQUIREMENTS:
        expected = suite.scenarios("--requirements", version).keys() - left_out
        ran, broken = suite.results(url, "--requirements", version)
        for scenario in sorted(expected):
            if scenario in ran:
                judge(report, version, scenario, ran[scenario], excuse(scenario))
            else:
                report.failure(version, scenario, f"it did not run ({broken or 'the suite says nothing about it'})")
        if broken:
            report.failure(version, "all scenarios", broken)


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


def check_required(report, suite, url):
    """Every required scenario."""
    for version in scenarios.REQUIREMENTS:
        expected = suite.scenarios("--requirements", version)
        play(report, suite, url, version, expected, ["--requirements", version])


def failures(checks):
    return [check["id"] for check in checks if check["status"] in ("FAILURE", "WARNING")]


def request(url, method, **params):
    """The result of one request of the newer era."""
    about = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": about["protocolVersion"],
        "Mcp-Method": method,
        **({"Mcp-Name": params["name"]} if "name" in params else {}),
    }
    asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=SCENARIO_SECONDS) as response:
        text = response.read().decode()
    data = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:") and "{" in line]
    return json.loads(data[-1] if data else text)["result"]


class Programs:
    """Our programs in one folder, each started when it is needed and ended by SIGTERM."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()

    def path(self, name):
        return self.folder / name

    def run(self, name, *arguments):
        """Runs a program to its end, which must be a good one."""
        with tempfile.TemporaryDirectory(prefix="conformance-") as home:
            ended = subprocess.run(
                [self.path(name), *arguments], env={"HOME": home}, cwd=home, timeout=START_SECONDS,
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
        if ended.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)} ended with {ended.returncode}: {ended.stderr}")

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

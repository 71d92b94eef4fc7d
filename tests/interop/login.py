"""Logs the real `mcp-client` in to a protected server, with the conformance suite's authorization server.

usage: login.py                the check
       login.py client URL     what the suite starts as the client; URL is the protected server
"""

import json
import os
import pathlib
import stat
import subprocess
import sys

from checks import Report, expect
from servers import PROGRAMS, clean_environment, temporary_folder

SUITE = pathlib.Path("node/node_modules/@modelcontextprotocol/conformance/dist/index.js")
SCENARIOS = ("auth/metadata-default", "auth/scope-from-www-authenticate", "auth/token-endpoint-auth-basic")
SECONDS = 60
# A browser that goes where it is sent, and asks nobody.
BROWSER = """#!/usr/bin/env python3
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(sys.argv[1]).read().decode())
"""
NEEDS_CREDENTIALS = 4


def main():
    report = Report("mcp-client login")
    for scenario in SCENARIOS:
        try:
            with temporary_folder() as folder:
                run(scenario, folder)
        except Exception as error:
            report.failure(scenario, error)
        else:
            report.passed(f"{scenario}: logs in, calls, shows no token, logs out")
    report.end()


def run(scenario, folder):
    suite = pathlib.Path(os.environ["INTEROP_CACHE"]) / SUITE
    client = f"{sys.executable} -B {pathlib.Path(__file__).resolve()} client"
    command = [os.environ["INTEROP_NODE"], suite, "client", "--command", client, "--scenario", scenario]
    command += ["--timeout", str(SECONDS * 1000), "-o", folder / "results"]
    environment = clean_environment(folder) | {"LOGIN_FOLDER": str(folder), "INTEROP_PROGRAMS": str(PROGRAMS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * SECONDS)
    expect((folder / "story").read_text() if (folder / "story").exists() else done.stdout[-800:], "told", "the story")
    if done.returncode != 0:
        raise AssertionError(f"the suite is not content: {done.stdout[-1200:]}")


def client(url):
    folder = pathlib.Path(os.environ["LOGIN_FOLDER"])
    try:
        story(folder, url)
        (folder / "story").write_text("told")
    except Exception as error:
        (folder / "story").write_text(f"{type(error).__name__}: {error}")
        raise


def story(folder, url):
    browser = folder / "bin" / "xdg-open"
    browser.parent.mkdir()
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    places = {"PATH": f"{browser.parent}:{os.environ['PATH']}", "XDG_DATA_HOME": str(folder / "data"), "DISPLAY": ":0"}
    shown = []

    def mcp_client(*arguments, exits=0):
        command = [PROGRAMS / "mcp-client", *arguments]
        environment = clean_environment(folder) | places
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
        expect(done.returncode, exits, f"the exit code of {arguments}, which said {done.stderr!r},")
        shown.append(done.stdout + done.stderr)
        return done

    refused = mcp_client("tools", url, exits=NEEDS_CREDENTIALS)
    expect("mcp-client login" in refused.stderr, True, f"whether {refused.stderr!r} says what to do")
    mcp_client("login", url, "-vvv")
    listed = mcp_client("tools", url, "--json", "-vvv").stdout
    expect('"name":"test-tool"' in listed, True, f"whether test-tool is listed in {listed!r}")
    mcp_client("call", url, "test-tool", "{}", "-vvv")

    kept = [path for path in (folder / "data").rglob("*.json") if path.is_file()]
    expect(len(kept), 1, "the number of token files")
    expect(stat.S_IMODE(kept[0].stat().st_mode), 0o600, "the mode of the token file")
    tokens = list(secrets(json.loads(kept[0].read_text())))
    expect(bool(tokens), True, "whether the file has a token")
    mcp_client("logout", url)
    mcp_client("tools", url, exits=NEEDS_CREDENTIALS)
    for token in tokens:
        expect(any(token in text for text in shown), False, "whether a token was shown")


def secrets(kept):
    """The tokens and passwords anywhere in what is kept."""
    if isinstance(kept, dict):
        for name, value in kept.items():
            if isinstance(value, str) and ("token" in name or "secret" in name) and name != "token_type":
                yield value
            yield from secrets(value)
    elif isinstance(kept, list):
        for value in kept:
            yield from secrets(value)


if __name__ == "__main__":
    client(sys.argv[2]) if sys.argv[1:2] == ["client"] else main()

"""Starts what the documentation tells users of Claude Desktop to write, word for word, with MCP Inspector as the host.

usage: desktop.py    (reads README.md and claude_desktop_config.example.json of the repository)
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

from checks import Report, expect
from servers import PROGRAMS, clean_environment, temporary_folder

ROOT = pathlib.Path(__file__).parents[2]
STEP_SECONDS = 60
# A call that needs no other server: these are started as they are written, and nothing need be where they point to.
CALLS = {
    "server-a": ("get_ai_usage_stats", {}),
    "server-b": ("get_provider_info", {}),
    "tool-server": ("echo", {"message": "hi"}),
}


def configurations():
    """The texts that users copy, by the file that they are in."""
    yield "claude_desktop_config.example.json", (ROOT / "claude_desktop_config.example.json").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        if '"mcpServers"' in block:
            yield "README.md", block


def with_our_programs(text):
    """The text with the one thing that users replace: where the programs are."""
    return re.sub(r'"/absolute/path/to/(?:[^"/]+/)*([^"/]+)"', lambda found: json.dumps(str(PROGRAMS / found[1])), text)


def main():
    report, files = Report("Claude Desktop's configuration"), set()
    for file, text in configurations():
        files.add(file)
        text = with_our_programs(text)
        for name in json.loads(text)["mcpServers"]:
            try:
                with temporary_folder() as folder:
                    start(folder, text, name)
            except Exception as error:
                report.failure(f"{name} of {file}", error)
            else:
                report.passed(f"{name} of {file} starts, lists its tools and answers a call")
    if len(files) != 2:
        report.failure("there is one in README.md and one in the example", ValueError(files))
    report.end()


def start(folder, text, name):
    config = folder / "claude_desktop_config.json"
    config.write_text(text)
    command = pathlib.Path(json.loads(text)["mcpServers"][name]["command"])
    expect(command.parent, PROGRAMS, "the folder of the command")
    tool, arguments = CALLS[command.name]
    listed = inspect(folder, config, name, "--method", "tools/list")
    expect(tool in [listed["name"] for listed in listed["tools"]], True, f"whether {tool} is among the tools")
    call = ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
    answer = inspect(folder, config, name, *call)
    expect(answer.get("isError", False), False, f"isError of {answer}")


def inspect(folder, config, name, *arguments):
    command = [os.environ["INTEROP_NODE"], os.environ["INTEROP_INSPECTOR"], "--cli", "--format", "json"]
    done = subprocess.run(
        [*command, "--config", config, "--server", name, *arguments], cwd=folder, env=clean_environment(folder),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STEP_SECONDS,
    )  # fmt: skip
    expect(done.returncode, 0, f"the exit code (it says: {done.stderr.strip()})")
    return json.loads(done.stdout)["result"]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    main()

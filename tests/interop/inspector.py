"""Plays the story with the command line of MCP Inspector, in both eras: one process, one session, one method each.

usage: inspector.py NODE INSPECTOR    (the Node program, and the script that it runs)
"""

import json
import signal
import subprocess
import sys

import checks
from checks import Answer, Report, expect, result_of
from servers import PROGRAMS, clean_environment, server_b, settings_of_server_a, temporary_folder

STEP_SECONDS = 60


class Inspector:
    """The command line with all that stays the same from call to call."""

    def __init__(self, command, era, folder, server_b_url):
        self.folder = folder
        self.command = [*command, "--cli", "--protocol-era", era, "--format", "json"]
        for name, value in settings_of_server_a(folder, server_b_url).items():
            self.command += ["-e", f"{name}={value}"]
        self.command.append(str(PROGRAMS / "server-a"))

    def run(self, *arguments, code=0):
        """The result that it printed; another exit code than `code` is an error."""
        with subprocess.Popen(
            [*self.command, *arguments], cwd=self.folder, env=clean_environment(self.folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                out, errors = process.communicate(timeout=STEP_SECONDS)
            except BaseException:
                process.kill()
                raise
        expect(process.returncode, code, f"the exit code (it says: {errors.strip()})")
        return json.loads(out)["result"]

    def call(self, tool, arguments, code=0):
        result = self.run(
            "--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments), code=code
        )
        text = "".join(block["text"] for block in result["content"])
        return Answer(result.get("isError", False), result.get("structuredContent"), text)


class Story:
    """What can be told in single calls; history and usage must outlive each server-a."""

    def __init__(self, report, inspector):
        self.report, self.inspector = report, inspector

    def check(self, name, step):
        try:
            step()
        except Exception as error:
            self.report.failure(name, error)
        else:
            self.report.passed(name)

    def play(self):
        self.check("tools/list --strict finds seven tools and no schema that is not portable", self.lists_tools)
        self.check("send_message_to_ai gives the mock's exact answer and its 30 tokens", self.sends)
        self.check("a message that breaks a rule is a tool error, exit code 5", self.breaks_a_rule)
        self.check("get_conversation_history adds up over sessions", self.reads_history)
        self.check("get_ai_usage_stats agrees with it", self.reads_statistics)

    def lists_tools(self):
        result = self.inspector.run("--method", "tools/list", "--strict")
        checks.check_tools([tool["name"] for tool in result["tools"]])

    def sends(self):
        answer = self.inspector.call("send_message_to_ai", {"message": checks.QUESTION})
        checks.check_sent(result_of(answer), checks.ANSWER, checks.TOKENS)

    def breaks_a_rule(self):
        answer = self.inspector.call("send_message_to_ai", {"message": ""}, code=5)
        checks.check_failure(answer, "argument")

    def reads_history(self):
        checks.check_history(result_of(self.inspector.call("get_conversation_history", {})), 1, checks.TOKENS)

    def reads_statistics(self):
        checks.check_statistics(result_of(self.inspector.call("get_ai_usage_stats", {})), 1, checks.TOKENS)


def main(command):
    failed = 0
    for era in ("legacy", "modern"):
        report = Report(f"inspector {era}")
        try:
            with temporary_folder() as folder, server_b(folder) as url:
                Story(report, Inspector(command, era, folder, url)).play()
        except Exception as error:
            report.failure("the story was broken off", error)
        failed += report.failed
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    main(sys.argv[1:])

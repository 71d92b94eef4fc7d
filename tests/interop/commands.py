"""The command line of our client with servers of other makers: commands as scripts use them, and the shell.

usage: commands.py
"""

import json
import re
import signal
import subprocess
import sys
import threading

import peers
from checks import Report, expect
from servers import PROGRAMS, Child, Running, clean_environment, temporary_folder, unused_port
from shell import PROMPT, Shell

COMMAND_SECONDS = 60
FAILED_TOOL, USAGE, INTERRUPTED = 1, 2, 130


class Client:
    """mcp-client with one server, which it knows by the name `peer`."""

    def __init__(self, folder, address, *options):
        self.folder, self.address, self.common = folder, address, options
        self.options = ["-s", f"peer={address}", "--json", *options]

    def shell(self):
        return Shell(self.folder, self.address, *self.common)

    def named(self, name):
        """How a tool or prompt of the server is called here."""
        return name

    def _start(self, *command):
        return subprocess.Popen(
            [PROGRAMS / "mcp-client", *command, *self.options],
            cwd=self.folder, env=clean_environment(self.folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def lines(self, *command, code=0):
        """What a command prints, one value a line."""
        with self._start(*command) as process:
            try:
                out, errors = process.communicate(timeout=COMMAND_SECONDS)
            except BaseException:
                process.kill()
                raise
        said = f"{out.strip()} {errors.strip()}"
        expect(process.returncode, code, f"the exit code of {' '.join(command)} (it says: {said})")
        return [json.loads(line) for line in out.splitlines()]

    def until(self, wanted, *command):
        """The first line that is wanted, as soon as it is there; then the command is interrupted."""
        seen = []
        with self._start(*command) as process:
            patience = threading.Timer(COMMAND_SECONDS, process.kill)
            patience.start()
            try:
                for line in process.stdout:
                    seen.append(json.loads(line))
                    if wanted(seen[-1]):
                        process.send_signal(signal.SIGINT)
                        expect(process.wait(), INTERRUPTED, f"the exit code of {' '.join(command)}")
                        return seen[-1]
            finally:
                patience.cancel()
                process.kill()
        raise AssertionError(f"{' '.join(command)} ended with {seen}")

    def one(self, *command, code=0):
        """The one value that a command prints."""
        [value] = self.lines(*command, code=code)
        expect(value.get("server", "peer"), "peer", "the server")
        return value

    def listed(self, what):
        """What there is of tools, resources or prompts."""
        [server] = self.one(what)["servers"]
        return server

    def called(self, tool, *arguments, code=0):
        """The result of a call."""
        return self.one("call", "peer", self.named(tool), *arguments, code=code)["result"]

    def text(self, tool, *arguments, code=0):
        return self.called(tool, *arguments, code=code)["content"][0]["text"]


class Tour:
    """What is done with one server over one transport: for each part of MCP that it has, a function."""

    parts = ("tools", "calls", "resources", "prompts", "completions", "progress", "elicitation", "changes")
    # Tools for clients that can do more than `connect-probe`.
    more_tools = 0
    # Most servers answer with a result that says so, and not with an error of the protocol.
    unknown_tool = FAILED_TOOL

    def __init__(self, peer, client):
        self.peer, self.client = peer, client

    def tools(self):
        tools = self.client.listed("tools")["tools"]
        expect(len(tools), self.peer.tools + self.more_tools, "the number of tools")
        for tool in tools:
            [one] = self.client.one("tools", "peer", "--tool", tool["name"])["servers"][0]["tools"]
            expect(one, tool, f"the tool {tool['name']}")

    def calls(self):
        tool, arguments = self.peer.call
        expect(self.peer.answer in self.client.text(tool, json.dumps(arguments)), True, "whether the answer is right")
        self.client.one("call", "peer", self.client.named("there-is-no-such-tool"), code=self.unknown_tool)


class Everything(Tour):
    more_tools = 2  # those that ask with a form, and with a link

    def calls(self):
        super().calls()
        expect(self.client.text("echo", "message=two words"), "Echo: two words", "a pair")
        expect("42" in self.client.text("get-sum", "a=2", "b=40"), True, "whether pairs are numbers")
        image = [part for part in self.client.called("get-tiny-image")["content"] if part["type"] == "image"]
        expect([part["mimeType"] for part in image], ["image/png"], "the images")
        answer = self.client.called("get-structured-content", "location=New York")
        expect("temperature" in answer["structuredContent"], True, "structured content")
        self.client.called("get-sum", '{"a": "one", "b": 2}', code=FAILED_TOOL)

    def resources(self):
        found = self.client.listed("resources")
        expect(len(found["resources"]) > 0, True, "whether there are resources")
        expect(len(found["resourceTemplates"]), 2, "the number of templates")
        for uri in [found["resources"][0]["uri"], "demo://resource/dynamic/text/1"]:
            [content] = self.client.one("read", "peer", uri)["result"]["contents"]
            expect(content["uri"], uri, "the URI")
            expect(bool(content["text"]), True, "whether it has text")
        [blob] = self.client.one("read", "peer", "demo://resource/dynamic/blob/2")["result"]["contents"]
        expect(bool(blob["blob"]), True, "whether it is binary")

    def prompts(self):
        names = {prompt["name"] for prompt in self.client.listed("prompts")["prompts"]}
        known = {self.client.named(name) for name in ("simple-prompt", "args-prompt", "completable-prompt")}
        expect(known <= names, True, f"whether {names} are the prompts")
        prompt = self.client.one("prompt", "peer", self.client.named("args-prompt"), "city=Paris")
        message = prompt["result"]["messages"][0]
        expect("Paris" in message["content"]["text"], True, f"whether {message} is about Paris")

    def completions(self):
        def complete(*arguments):
            prompt = self.client.named("completable-prompt")
            return self.client.one("complete", "peer", prompt, *arguments)["completion"]["values"]

        expect(complete("department", "E"), ["Engineering"], "the department")
        expect(complete("name", "", "--with", "department=Sales"), ["David", "Eve", "Frank"], "the names")

    def progress(self):
        tool = self.client.named("trigger-long-running-operation")
        lines = self.client.lines("call", "peer", tool, "duration=0.4", "steps=4", "--progress")
        expect([line["progress"]["progress"] for line in lines[:-1]], [1, 2, 3, 4], f"the progress in {lines}")
        expect("completed" in lines[-1]["result"]["content"][0]["text"], True, "whether it was completed")

    def elicitation(self):
        with self.client.shell() as shell:
            shell.type(f"call peer {self.client.named('trigger-elicitation-request')}\r")
            while "send it to" not in (question := shell.wait_for(r"\n[^\n]*: $").splitlines()[-1]):
                shell.type("Ada Lovelace\r" if question.startswith("name:") else "\r")
            shell.type("y\r")
            answer = shell.wait_for(rf"\n{PROMPT}$")
        for text in ["Name: Ada Lovelace", "Favorite Integer: 42", '"action": "accept"']:
            expect(text in answer, True, f"whether {text!r} is in {answer!r}")

    def changes(self):
        """In a script the server's log tells who subscribes; in the shell it is seen that the resource was updated."""
        uri = self.client.listed("resources")["resources"][0]["uri"]
        told = self.client.until(
            lambda line: line["event"] == "log" and uri in str(line["data"]),
            "listen", "peer", "--resource", uri, "--level", "debug",
        )  # fmt: skip
        expect(told["server"], "peer", "the server")
        with self.client.shell() as shell:
            toggle = f"call peer {self.client.named('toggle-subscriber-updates')}"
            shell.answer_of(f"subscribe peer {uri}")
            shell.type(f"{toggle}\r")
            shell.wait_for(rf"peer: {re.escape(uri)} has changed")
            shell.wait_for(rf"{PROMPT}$")
            shell.answer_of(toggle)  # with this on it would not end with its input


class Filesystem(Tour):
    def calls(self):
        super().calls()
        (self.client.folder / "poem.txt").write_text("so much depends\n")
        expect("so much depends" in self.client.text("read_text_file", "path=poem.txt"), True, "the file")
        self.client.called("read_text_file", "path=no-such-file", code=FAILED_TOOL)
        self.client.called("read_text_file", "path=/etc/hostname", code=FAILED_TOOL)


class Memory(Tour):
    def calls(self):
        super().calls()
        entity = {"name": "Ada", "entityType": "person", "observations": ["wrote programs"]}
        self.client.called("create_entities", json.dumps({"entities": [entity]}))
        graph = self.client.called("search_nodes", "query=programs")["structuredContent"]
        expect(graph["entities"], [entity], "what it remembers, over two processes")


class Clock(Tour):
    unknown_tool = USAGE

    def calls(self):
        super().calls()
        expect("UTC" in self.client.text("get_current_time", "UTC"), True, "a plain text as the only argument")
        self.client.called("get_current_time", "timezone=Nowhere/Land", code=FAILED_TOOL)


class Small(Tour):
    def calls(self):
        super().calls()
        expect(self.client.called("add", "a=-2", "b=44")["structuredContent"], {"result": 42}, "the sum")

    def resources(self):
        [resource] = self.client.listed("resources")["resources"]
        [content] = self.client.one("read", "peer", resource["uri"])["result"]["contents"]
        expect(content["text"], "a text", "the text")


def main():
    report = Report("our client's commands")
    try:
        with temporary_folder() as folder:
            visit_all(report, folder)
    except Exception as error:
        report.failure("the tour was broken off", error)
    report.end()


def visit_all(report, folder):
    everything, small = [*peers.EVERYTHING], [*peers.FASTMCP]
    over_stdio(report, folder, Everything, peers.everything, [*everything, "stdio"])
    over_network(report, folder, Everything, peers.everything, "Streamable HTTP", "/mcp", [*everything, "streamableHttp"])
    over_network(report, folder, Everything, peers.everything, "HTTP+SSE", "/sse", [*everything, "sse"])
    over_stdio(report, folder, Filesystem, peers.filesystem, [*peers.FILESYSTEM, folder])
    memory = ["env", f"MEMORY_FILE_PATH={folder}/memory.json", *peers.MEMORY]
    over_stdio(report, folder, Memory, peers.memory, memory)
    over_stdio(report, folder, Clock, peers.clock, [peers.CACHE / "time/bin/mcp-server-time", "--local-timezone", "UTC"])
    over_stdio(report, folder, Small, peers.small, [*small, "stdio"])
    over_network(report, folder, Small, peers.small, "Streamable HTTP", "/mcp", [*small, "http", "{port}"])
    over_network(report, folder, Small, peers.small, "HTTP+SSE", "/sse", [*small, "sse", "{port}"])


def over_stdio(report, folder, kind, peer, command):
    child = Child(folder, f"{peer.package}-commands", command, {})
    visit(report, kind(peer, Client(folder, f"stdio:{child.command}")), "stdio")
    name = f"every {peer.package} that a command started has ended by itself"
    try:
        expect(set(child.endings()), {"ended with 0"}, "how they ended")
    except AssertionError as error:
        report.failure(name, error)
    else:
        report.passed(name)


def over_network(report, folder, kind, peer, transport, path, command):
    port = unused_port()
    command = [str(part).replace("{port}", str(port)) for part in command]
    with Running(folder, f"{peer.package}-commands-{transport}", command, {"PORT": str(port)}) as server:
        server.accepts(port)
        visit(report, kind(peer, Client(folder, f"http://127.0.0.1:{port}{path}")), transport)


def visit(report, tour, transport):
    for part in tour.parts:
        if check := getattr(tour, part, None):
            name = f"{part}, with {tour.peer.package} over {transport}"
            try:
                check()
            except Exception as error:
                report.failure(name, error)
            else:
                report.passed(name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end what was started
    main()

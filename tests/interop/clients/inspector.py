"""MCP Inspector's command line: one process and one session for each method. usage: inspector.py VISITS

The command is in the variable INTEROP_INSPECTOR, as JSON.
"""

import asyncio
import contextlib
import json
import os
import types

import visit


class Refused(Exception):
    """What the command line says itself of a call, without a result of the server."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.error = types.SimpleNamespace(**error)


class Connection:
    protocol_error = Refused
    shows_progress = False

    def __init__(self, place):
        self.command = [*json.loads(os.environ["INTEROP_INSPECTOR"]), "--cli", "--format", "json"]
        self.command += ["--protocol-era", place["mode"], *address(place)]

    async def run(self, *arguments):
        """The result that it printed. Exit code 5 is a tool's error, with a result, or Inspector's, without one."""
        process = await asyncio.create_subprocess_exec(
            *self.command, *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, errors = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.returncode in (0, 5) and out:
            return json.loads(out)["result"]
        if process.returncode == 5:
            raise Refused(json.loads(errors.splitlines()[-1])["error"])
        raise RuntimeError(f"exit code {process.returncode}: {errors.decode()}")

    async def begin(self):
        about = await self.run("--method", "initialize")
        self.protocol, self.server = about["protocolVersion"], about["serverInfo"]["name"]
        self.offers = about["capabilities"]
        return self

    async def tools(self):
        return [tool["name"] for tool in (await self.run("--method", "tools/list", "--strict"))["tools"]]

    async def resources(self):
        return [resource["uri"] for resource in (await self.run("--method", "resources/list"))["resources"]]

    async def templates(self):
        listed = await self.run("--method", "resources/templates/list")
        return [template["uriTemplate"] for template in listed["resourceTemplates"]]

    async def read(self, uri):
        return (await self.run("--method", "resources/read", "--uri", uri))["contents"][0]["text"]

    async def prompts(self):
        return [prompt["name"] for prompt in (await self.run("--method", "prompts/list"))["prompts"]]

    async def prompt(self, prompt):
        arguments = [f"{name}={value}" for name, value in prompt["arguments"].items()]
        prompt = ["--prompt-name", prompt["name"], "--prompt-args", *arguments]
        return (await self.run("--method", "prompts/get", *prompt))["messages"][0]["content"]["text"]

    async def call(self, call):
        arguments = json.dumps(call["arguments"])
        result = await self.run(
            "--method", "tools/call", "--tool-name", call["name"], "--tool-args-json", arguments
        )
        text = "".join(block["text"] for block in result["content"])
        return {
            "failed": result.get("isError", False),
            "structured": result.get("structuredContent"),
            "text": text,
        }


def address(place):
    if place["transport"] != "stdio":
        return ["--transport", place["transport"], "--server-url", place["url"]]
    process = place["process"]
    settings = [part for name, value in process["env"].items() for part in ("-e", f"{name}={value}")]
    return ["--cwd", process["cwd"], *settings, process["command"], *process["args"]]


@contextlib.asynccontextmanager
async def connect(place, _session):
    yield await Connection(place).begin()


if __name__ == "__main__":
    visit.pay_visits(connect)

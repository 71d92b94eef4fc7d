"""Servers that are measured: started, waited for and ended."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

QUESTION = json.dumps({"message": "What is Python?"})
PATIENCE_SECONDS = 30
# Between two calls of a tool that fails at once: the driver's CPU is for the load.
PAUSE_SECONDS = 0.01


class HttpServer:
    """A server on 127.0.0.1, from its first answer to the end of the `with` block."""

    def __init__(self, name, command, port, settings, folder):
        self.name, self.command, self.port = name, command, port
        self.settings, self.folder = settings, folder

    def __enter__(self):
        begin = time.perf_counter()
        with open(self.folder / "server.log", "wb") as log:
            self.process = subprocess.Popen(
                self.command, env=environment(self.settings, self.folder), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.pid = self.process.pid
        try:
            self.wait_until_ready(begin)
        except BaseException:
            self.stop()
            raise
        self.ready_ms = (time.perf_counter() - begin) * 1e3
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_ready(self, begin):
        while time.perf_counter() - begin < PATIENCE_SECONDS and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.0002)
                continue
            if self.is_ready():
                return
        sys.exit(f"{self.name} did not start:\n{tail(self.folder / 'server.log')}")

    def is_ready(self):
        return self.request("GET", "/health")[0] == 200

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read()

    def answer_bytes(self):
        """Length of an answer of `/process`, which must be one."""
        status, body = self.request("POST", "/process", QUESTION)
        if status != 200 or "aiResponse" not in json.loads(body):
            sys.exit(f"{self.name} does not answer /process: {status} {body[:300]}")
        return len(body)

    def rss_kib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[1])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class McpServer(HttpServer):
    """An MCP server; one that accepts connections answers them."""

    def is_ready(self):
        return True


class Conversation:
    """One client of 2026-07-28 over Streamable HTTP, on one connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def ask(self, method, **params):
        about = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
        params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {
            "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": about["protocolVersion"], "Mcp-Method": method,
        }  # fmt: skip
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
        self.connection.request("POST", "/mcp", body.encode(), headers)
        return self.connection.getresponse().read()

    def close(self):
        self.connection.close()


class Hanging:
    """Accepts connections and says nothing."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.listener.close()


class Visited:
    """A server of which, while it is measured, each of these tools is called again and again."""

    def __init__(self, server, tools):
        self.server, self.tools = server, tools
        self.is_over = threading.Event()

    def __enter__(self):
        server = self.server.__enter__()
        self.visitors = [threading.Thread(target=self.visit, args=(tool,)) for tool in self.tools]
        for visitor in self.visitors:
            visitor.start()
        return server

    def visit(self, tool):
        with contextlib.closing(Conversation(self.server.port)) as conversation:
            while not self.is_over.wait(PAUSE_SECONDS):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    conversation.ask("tools/call", name=tool, arguments={"message": "hello"})

    def __exit__(self, *_):
        self.is_over.set()
        self.server.stop()
        for visitor in self.visitors:
            visitor.join()


def environment(settings, home):
    """What a measured program sees: its own settings and nothing of the caller's."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "RUST_LOG": "info", **settings}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tail(path):
    return path.read_text(errors="replace")[-2000:]

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
import time

QUESTION = json.dumps({"message": "What is Python?"})
PATIENCE_SECONDS = 30


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


def environment(settings, home):
    """What a measured program sees: its own settings and nothing of the caller's."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "RUST_LOG": "info", **settings}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tail(path):
    return path.read_text(errors="replace")[-2000:]

"""The programs under test: where they are, how they run as processes of their own, and how a client starts one."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from checks import expect

PROGRAMS = pathlib.Path(os.environ["INTEROP_PROGRAMS"])
START_SECONDS = 20
# For servers of other makers that a gateway starts, several at once.
ALL_START_SECONDS = 60
STOP_SECONDS = 20


@contextlib.contextmanager
def temporary_folder():
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        yield pathlib.Path(folder)


class Running:
    """A program as a process whose output goes to a file; leaving the context stops it."""

    def __init__(self, folder, name, command, settings):
        self.name, self.log_path = name, folder / f"{name}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, env=clean_environment(folder) | settings, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def told(self, pattern):
        """What the first group of a pattern matches in the log, once it does: ports, for instance, are free ones."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log()):
                return found[1]
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not say {pattern!r}:\n{self.log()}")

    def accepts(self, port):
        """Waits until it accepts connections, for programs that do not say when they do."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not listen:\n{self.log()}")

    def stop(self):
        """The exit code; below zero is a signal that the program did not handle."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def run_program(folder, program, *arguments, **settings):
    return Running(folder, program, [PROGRAMS / program, *arguments], settings)


REST = r"listening address=127\.0\.0\.1:(\d+)"
MCP_OF_SERVER_B = r"listening for MCP address=127\.0\.0\.1:(\d+)"


def settings_of_server_b(folder):
    """The mock provider without its delays, free ports, and a ledger of its own."""
    return {
        "AI_PROVIDER": "mock",
        "MOCK_DELAY_MS": "0",
        "MOCK_CHUNK_DELAY_MS": "0",
        "HTTP_PORT": "0",
        "MCP_PORT_B": "0",
        "DATABASE_URL": f"sqlite://{folder}/server-b.db",
        "RUST_LOG": "info",
    }


@contextlib.contextmanager
def server_b(folder):
    """A new server-b with its REST API alone; gives its URL."""
    with run_program(folder, "server-b", **settings_of_server_b(folder)) as server:
        yield f"http://127.0.0.1:{server.told(REST)}"


def settings_of_server_a(folder, server_b_url):
    return {"SERVER_B_URL": server_b_url, "DATABASE_URL": f"sqlite://{folder}/server-a.db", "RUST_LOG": "warn"}


CHILD = """\
#!/bin/sh
# Starts {name}; {book} gets every start, every wish of the client that it may end, and every exit code.
echo started >> {book}
trap 'echo asked to end >> {book}; kill $child' TERM
exec 3<&0
{command} <&3 3<&- & child=$!
wait $child; code=$?
if [ $code = 143 ]; then wait $child; code=$?; fi # the first wait was interrupted
echo ended with $code >> {book}
"""


class Child:
    """A command that a client starts as its child, through a script that keeps a book about it."""

    def __init__(self, folder, name, command, settings):
        self.folder = folder
        self.environment = clean_environment(folder) | settings
        self.book, script = folder / f"{name}.book", folder / f"start-{name}"
        command, book = shlex.join(str(part) for part in command), shlex.quote(str(self.book))
        script.write_text(CHILD.format(name=name, book=book, command=command))
        script.chmod(0o755)
        self.command = str(script)

    def endings(self):
        """What the book says about all starts; `ended with 0` for each is right, `killed` was ended by force."""
        lines = self.book.read_text().splitlines() if self.book.exists() else []
        others = [line for line in lines if line != "started"]
        ended = sum(line.startswith("ended") for line in others)
        return others + ["killed"] * (lines.count("started") - ended)


def child_program(folder, program, *arguments, **settings):
    return Child(folder, program, [PROGRAMS / program, *arguments], settings)


def unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def clean_environment(home):
    """Nothing of the caller's but the way to programs: no keys, no settings, no proxies."""
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def health_when(port, is_there):
    """What `/health` of a gateway says as soon as this holds for it."""
    deadline, health = time.monotonic() + ALL_START_SECONDS, None
    while health is None or not is_there(health):
        if time.monotonic() > deadline:
            raise AssertionError(f"not all are there: {health}")
        time.sleep(0.1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                health = json.load(answer)
        except urllib.error.HTTPError as error:
            expect(error.code, 503, "the status, while none is ready")
    return health

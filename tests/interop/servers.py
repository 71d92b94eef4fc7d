"""The programs under test: where they are, server-b as a process, and how a client starts server-a."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

PROGRAMS = pathlib.Path(os.environ["INTEROP_PROGRAMS"])
START_SECONDS = 20
STOP_SECONDS = 20


@contextlib.contextmanager
def temporary_folder():
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def server_b(folder):
    """A new server-b with the mock provider and no delay; gives its URL."""
    log_path = folder / "server-b.log"
    settings = {
        "AI_PROVIDER": "mock",
        "MOCK_DELAY_MS": "0",
        "MOCK_CHUNK_DELAY_MS": "0",
        "HTTP_PORT": "0",
        "DATABASE_URL": f"sqlite://{folder}/server-b.db",
        "RUST_LOG": "info",
    }
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [PROGRAMS / "server-b"], env=clean_environment(folder) | settings, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{bound_port(process, log_path)}"
    finally:
        stop(process)


def bound_port(process, log_path):
    """The port that server-b says it listens on; it was asked to pick a free one."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening.*?127\.0\.0\.1:(\d+)", log_path.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"server-b does not listen:\n{log_path.read_text(errors='replace')}")


def stop(process):
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ServerA:
    """How a client starts server-a, and how it ended: its exit code is kept by a shell around it."""

    def __init__(self, folder, server_b_url, **settings):
        self.folder = folder
        self.code_file = folder / "server-a.exit"
        self.command = "/bin/sh"
        self.arguments = ["-c", '"$0"; echo $? > "$1"', str(PROGRAMS / "server-a"), str(self.code_file)]
        self.settings = settings_of_server_a(folder, server_b_url) | settings
        self.environment = clean_environment(folder) | self.settings

    def exit_code(self):
        """None when something ended server-a by force, before it ended by itself."""
        with contextlib.suppress(FileNotFoundError):
            return int(self.code_file.read_text())
        return None


def settings_of_server_a(folder, server_b_url):
    return {"SERVER_B_URL": server_b_url, "DATABASE_URL": f"sqlite://{folder}/server-a.db", "RUST_LOG": "warn"}


def clean_environment(home):
    """Nothing of the caller's but the way to programs: no keys, no settings, no proxies."""
    return {"PATH": os.environ["PATH"], "HOME": str(home)}

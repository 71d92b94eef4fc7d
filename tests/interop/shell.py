"""The interactive shell of our client in a pseudo-terminal, as a person uses it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from servers import PROGRAMS, clean_environment

PATIENCE_SECONDS = 60
PROMPT = "mcp> "
# Cursor movements, colours and the like, and what sets the mode of a terminal.
CONTROLS = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])|\r")


class Shell:
    """A shell with one server, `peer`. It is killed in the end."""

    def __init__(self, folder, address, *options):
        self.seen = ""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            program = str(PROGRAMS / "mcp-client")
            environment = clean_environment(folder) | {"TERM": "xterm"}
            os.execve(program, [program, f"peer={address}", "--history", "none", *options], environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        try:
            self.answer_of("")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        # Its children are closed along with it.
        os.kill(self.process, signal.SIGTERM)
        os.waitpid(self.process, 0)
        os.close(self.terminal)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        """What was written up to and with the first match; the next wait begins behind it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"{pattern!r} does not appear in {self.seen[-2000:]!r}")
            self.seen = CONTROLS.sub("", self.seen + os.read(self.terminal, 65536).decode(errors="replace"))
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def answer_of(self, command):
        """Enters a command and gives what is written until the next prompt."""
        if command:
            self.type(f"{command}\r")
            self.wait_for(r"\n")
        # It is drawn again when the shell has written a notice above it.
        return self.wait_for(rf"(\A|\n)({PROMPT})+$")

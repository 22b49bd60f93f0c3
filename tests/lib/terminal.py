"""A program on a pseudo-terminal of its own, as a person would see it."""

import os
import pty
import re
import select
import signal
import time

from shell_status import shell_status

PATIENCE = 60  # seconds for something to appear


class Terminal:
    """Runs `words` as the foreground job of a new terminal; a context manager that leaves nothing
    behind. `stdout` may be a descriptor that takes what would go to the terminal."""

    def __init__(self, words, environment=None, stdout=None):
        self.text = ""
        self.status = None
        environment = {**os.environ, "TERM": "xterm", **(environment or {})}
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            if stdout is not None:
                os.dup2(stdout, 1)
            for number in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)  # who runs us in the background ignores them
            os.execvpe(words[0], words, environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def _read(self, wait):
        """Takes what the terminal has; false at its end."""
        if not select.select([self.descriptor], [], [], wait)[0]:
            return True
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # EIO: nobody is left on the other side
            return False
        self.text += data.decode()
        return bool(data)

    def wait_for(self, pattern):
        """Reads until the pattern is there; returns its match."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"{pattern!r} does not appear in {self.text!r}"
            assert self._read(1) or re.search(pattern, self.text), f"{pattern!r}: {self.text!r}"
        return found

    def look(self, seconds):
        """All that is there once something has come, or the time is over."""
        self._read(seconds)
        return self.text

    def press(self, keys):
        """Types."""
        os.write(self.descriptor, keys.encode())

    def finish(self):
        """Reads to the end; returns the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(1):
            assert time.monotonic() < deadline, f"it does not end: {self.text!r}"
        _, status = os.waitpid(self.pid, 0)
        self.status = shell_status(os.waitstatus_to_exitcode(status))
        return self.status

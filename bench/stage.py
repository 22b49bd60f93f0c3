"""The processes of one run of a conversation or relay: started together, ended whatever happens, and
what each of them cost."""

import ctypes
import json
import os
import pathlib
import re
import resource
import select
import shlex
import signal
import subprocess
import tempfile
import time

from measure import Failure

PATIENCE = 10  # seconds for what takes no time
LISTEN = "0A"  # that state in /proc/net/tcp
_PR_SET_CHILD_SUBREAPER = 36


def lab_program(name):
    """The path of a program of the lab in the build directory that is measured."""
    return str(pathlib.Path(os.environ["PORTHOLE_BUILD"], "tests", "lab", name))


def load_program():
    """That of talkload."""
    return lab_program("talkload")


def adopt():
    """From now on what ended processes leave behind becomes this process's children, so that what it
    cost is known, too."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Process:
    """A process, and what it and the children that it waited for have cost once it has ended."""

    def __init__(self, words, prefix=(), **streams):
        self.words = words
        self.usage = None
        self.errors = tempfile.TemporaryFile("w+b")
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | streams
        self.began = time.monotonic()
        self.process = subprocess.Popen([*prefix, *words], stderr=self.errors, **streams)
        self.pid = self.process.pid

    def wait(self, patience):
        """Whether it has ended by then."""
        if self.usage:
            return True
        watch = os.pidfd_open(self.pid)
        try:
            if not select.select([watch], [], [], patience)[0]:
                return False
        finally:
            os.close(watch)
        self.ended = time.monotonic()
        _, status, self.usage = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return True

    def end(self, patience=PATIENCE):
        """Has it end, by force where a word does not do."""
        if not self.wait(0):
            self.process.terminate()
            if not self.wait(patience):
                self.process.kill()
                self.wait(PATIENCE)

    @property
    def status(self):
        """Its exit status, or the negative number of the signal that ended it; None: it has not
        ended."""
        return self.process.returncode

    @property
    def cpu(self):
        """CPU seconds, of the user and the system."""
        return seconds(self.usage)

    def said(self):
        """The last line that it printed as an error."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing said"

    def check(self, what=""):
        """Raises unless it has ended well."""
        if self.status != 0:
            how = "does not end" if self.status is None else f"ended with {self.status}"
            raise Failure(f"{what}{shlex.join(self.words)} {how}: {self.said()}")


def seconds(usage):
    """Of the user and the system."""
    return usage.ru_utime + usage.ru_stime


class Stage:
    """A namespace and a directory in which processes run together, while a `with` lasts."""

    def __init__(self, namespace, directory):
        self.namespace, self.directory = namespace, directory
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end(1)
        self.reap()

    def start(self, words, **streams):
        """A Process in the namespace."""
        process = Process(words, self.namespace.prefix, cwd=self.directory, **streams)
        self.processes.append(process)
        return process

    def load(self, *words, **streams):
        """A Process of talkload."""
        return self.start([load_program(), *map(str, words)], **streams)

    def wait_for(self, process, port):
        """Waits until somebody listens on this port. Nobody is connected to for that: the first
        connection may be the only one."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_listening(port):
            if process.wait(0.005):
                raise Failure(f"{shlex.join(process.words)} ended with {process.status} before it "
                              f"listened: {process.said()}")  # fmt: skip
            if time.monotonic() > deadline:
                raise Failure(f"{shlex.join(process.words)} does not listen")

    def _is_listening(self, port):
        with self.namespace.entered():
            for name in ("tcp", "tcp6"):
                text = pathlib.Path("/proc/thread-self/net", name).read_text(encoding="ascii")
                if re.search(rf":{port:04X} [0-9A-F]+:0000 {LISTEN} ", text):
                    return True
        return False

    @staticmethod
    def finish(processes, patience):
        """Waits until all have ended well."""
        deadline = time.monotonic() + patience
        for process in processes:
            while not process.wait(0.2):  # each in turn, but any of them may fail
                for other in processes:
                    if other.wait(0):
                        other.check()
                if time.monotonic() > deadline:
                    process.check()
            process.check()

    def reap(self):
        """Ends what ended processes have left; returns the CPU seconds that it has cost."""
        cpu, deadline = 0.0, time.monotonic() + PATIENCE
        known = {process.pid for process in self.processes if not process.usage}
        while left := children() - known:
            for pid in left:
                ended, _, usage = os.wait4(pid, os.WNOHANG)
                if ended:
                    cpu += seconds(usage)
                elif time.monotonic() > deadline - PATIENCE + 1:
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes {left} do not end")
            time.sleep(0.005)
        return cpu


def children():
    """The process numbers of this process's children."""
    found = set()
    for path in pathlib.Path("/proc/self/task").glob("*/children"):
        found |= set(map(int, path.read_text(encoding="ascii").split()))
    return found


def descendants(pid):
    """The process numbers of a process and all below it."""
    found = [pid]
    for parent in found:
        for path in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, path.read_text(encoding="ascii").split())
            except OSError:
                continue
    return found


def memory(pid):
    """(what is resident now, the most that was) of a process and all below it, in bytes."""
    fields = {"VmRSS": 0, "VmHWM": 0}
    for each in descendants(pid):
        try:
            text = pathlib.Path(f"/proc/{each}/status").read_text(encoding="ascii")
        except OSError:
            continue
        for name, value in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", text, re.M):
            fields[name] += 1024 * int(value)
    return fields["VmRSS"], fields["VmHWM"]


def answer(process, output, what):
    """What a talkload printed into `output`, a file; it has ended well."""
    process.check(what)
    output.seek(0)
    return json.loads(output.read().splitlines()[-1])


def files_allowed(wanted):
    """Lets the processes of a run have so many descriptors each, or as many as this machine allows;
    returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):  # a right that even root may lack
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

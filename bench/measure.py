"""One run of a peer: how long it took, what it cost, and how true what it said is."""

import os
import pathlib
import re
import resource
import shlex
import statistics
import subprocess
import tempfile
import threading
import time

SAMPLE_PERIOD = 0.01  # seconds between two looks at a run's memory
ANSWERED = ("open", "closed")  # the states of ports that answer


class Failure(Exception):
    """A peer that could not do what it was asked."""


class Run:
    """One measured run. `recall` is the share of the open ports that were called open, `precision`
    the share of those called open that are, `accuracy` the share of the closed and filtered ones
    that were called so, `answered` the share of the ports that answer that were heard. `low` is
    what the peer claims of the latter. What is not known is None."""

    def __init__(self, entrant, scenario, number):
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            with scenario.attempt(number) as attempt:
                self._measure(entrant.words(attempt.values), attempt.prefix, scenario.limit, output)
            output.seek(0)
            text = output.read()
        if self.broken_off:
            text = text[: text.rfind("\n") + 1]  # the last line may be cut off
        states, self.low = entrant.read(text)
        self._judge(states, attempt.truth, entrant.tells_states)
        self.counters = attempt.counters
        self.packets = self.counters.get("probes")
        self.own_drops = self.counters.get("own_drops", 0)
        self.packet_cpu = self.cpu / self.packets if self.packets else None

    def _measure(self, words, prefix, limit, output):
        with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+b") as errors:
            began = time.monotonic()
            # pylint: disable-next=consider-using-with
            process = subprocess.Popen(
                [*prefix, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                cwd=directory,
            )  # fmt: skip
            watch = MemoryWatch(process.pid)
            killer = threading.Timer(limit, process.kill)
            killer.start()
            _, status, usage = os.wait4(process.pid, 0)
            self.wall = time.monotonic() - began
            killer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = watch.stop(usage)
        self.broken_off = self.wall >= limit
        if process.returncode != 0 and not self.broken_off:
            raise Failure(f"{shlex.join(words)} ended with {process.returncode}: "
                          f"{said[-1] if said else 'nothing said'}")  # fmt: skip

    def _judge(self, states, truth, tells_states):
        told = {key for key, state in states.items() if state == "open"}
        is_open = {key for key, state in truth.items() if state == "open"}
        self.recall = _share(len(told & is_open), len(is_open))
        self.precision = len(told & is_open) / len(told) if told else None
        self.accuracy = self.answered = None
        if tells_states and len(truth) > len(is_open):
            right = sum(states.get(key) == state for key, state in truth.items() if state != "open")
            self.accuracy = _share(right, len(truth) - len(is_open))
            answer = [key for key, state in truth.items() if state in ANSWERED]
            self.answered = _share(sum(states.get(key) in ANSWERED for key in answer), len(answer))


def _share(part, whole):
    return part / whole if whole else 1.0


class MemoryWatch:
    """The peak memory of a process. The kernel's own figure, ru_maxrss, counts in what this program
    had in memory when it forked; a process that stayed below that is looked at while it runs."""

    def __init__(self, pid):
        self.path = f"/proc/{pid}/status"
        self.peak = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self):
        while not self.ended.wait(SAMPLE_PERIOD):
            try:
                status = pathlib.Path(self.path).read_text(encoding="ascii")
            except OSError:
                return
            high = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
            if high:
                self.peak = max(self.peak, int(high.group(1)) * 1024)

    def stop(self, usage):
        """The peak in bytes, after the process has ended with this rusage."""
        self.ended.set()
        self.thread.join()
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage.ru_maxrss * 1024 if usage.ru_maxrss > own else self.peak


class Result:
    """The runs of one peer in one scenario."""

    def __init__(self, entrant, scenario):
        self.entrant = entrant
        self.name, self.groups = entrant.name, entrant.groups
        self.scenario = scenario
        self.runs = []
        self.failure = None  # why it cannot take part

    def run(self, number):
        """Adds a run and returns it; None when the peer cannot."""
        try:
            self.runs.append(Run(self.entrant, self.scenario, number))
        except Failure as failure:
            self.failure = str(failure)
            return None
        return self.runs[-1]

    def _known(self, field):
        return [value for run in self.runs if (value := getattr(run, field)) is not None]

    def median(self, field):
        """Of a field of the runs; None where it is not known."""
        known = self._known(field)
        return statistics.median(known) if known else None

    def worst(self, field):
        """The lowest share that a run had."""
        return min(self._known(field), default=None)

    @property
    def time(self):
        """What all runs have taken so far, in seconds."""
        return sum(run.wall for run in self.runs)

    @property
    def memory(self):
        """The most that a run had."""
        return max(run.memory for run in self.runs)

    @property
    def own_drops(self):
        """The most packets that the network itself lost in a run, without being told to."""
        return max(run.own_drops for run in self.runs)

    @property
    def broken_off(self):
        """Whether a run came to the time limit."""
        return any(run.broken_off for run in self.runs)

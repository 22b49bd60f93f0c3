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
NOISE_PERIOD = 0.2  # seconds over which it is measured how busy the machine is
NOISE_LOOKS = 10
NOISE_MAXIMUM = 0.05  # of the machine
ANSWERED = ("open", "closed")  # the states of ports that answer


class Failure(Exception):
    """A peer that could not do what it was asked."""


class Run:
    """One measured run. `recall` is the share of the open ports that were called open, `precision`
    the share of those called open that are, `accuracy` the share of the closed and filtered ones
    that were called so, `answered` the share of the ports that answer that were heard. `low` is
    what the peer claims of the latter. What is not known is None.

    Where the network counts when packets arrived, `rate` is how many did a second, and `machine` the
    CPU seconds of all of the machine, of which the kernel books what it does for packets that come
    to nobody. Where it held its answers until everything was asked, `rate` is how many answers came
    a second then, and `kept` the share of them that were heard."""

    def __init__(self, entrant, scenario, number):
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            with scenario.attempt(number) as attempt:
                self.noise = machine_noise() if scenario.measures_rate else 0
                self._measure(entrant.words(attempt.values), attempt.prefix, scenario.limit, output)
                if scenario.measures_rate:
                    self.noise = max(self.noise, machine_noise(1))
            output.seek(0)
            text = output.read()
        if self.broken_off:
            text = text[: text.rfind("\n") + 1]  # the last line may be cut off
        said = entrant.read(text)
        self.low = said.low
        self._judge(said.states, attempt.truth, entrant.tells_states)
        self.counters = attempt.counters
        self.rate = self.core_rate = self.machine_packet_cpu = self.kept = None
        self.packets = self.counters.get("probes")
        self.own_drops = self.counters.get("own_drops", 0)
        self.packet_cpu = self.cpu / self.packets if self.packets else None
        if self.counters.get("held"):
            self._judge_held(said.closed)
        elif scenario.measures_rate and self.packets:
            self.rate = _rate(self.counters)
            self.machine_packet_cpu = self.machine / self.packets
            self.core_rate = self.packets / self.machine if self.machine else None

    def _judge_held(self, closed):
        """Of the network's answers, those that were not held count as heard, so that none of them
        stands for one that was held."""
        late = self.packets - self.counters["held"]
        taken = self.counters["taken"]
        self.rate = taken / self.counters["held_time"]
        self.kept = max(min((closed - late) / taken, 1.0), 0.0) if taken else None

    def _measure(self, words, prefix, limit, output):
        with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+b") as errors:
            machine, began = machine_cpu(), time.monotonic()
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
            self.machine = machine_cpu() - machine
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


def machine_cpu():
    """CPU seconds that all processors have been busy, for interrupts too."""
    first = pathlib.Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    user, nice, system, _idle, _waiting, irq, softirq = map(int, first.split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def machine_noise(looks=NOISE_LOOKS):
    """The share of the machine that others use. It waits a while for them to end."""
    for _ in range(looks):
        before = machine_cpu()
        time.sleep(NOISE_PERIOD)
        noise = (machine_cpu() - before) / NOISE_PERIOD / os.cpu_count()
        if noise <= NOISE_MAXIMUM:
            break
    return noise


def _rate(counters):
    """Packets a second, of all but the first and the last fiftieth of them: those are what a scan
    begins with, and what it asks again."""
    windows, times = counters["windows"], []
    for share in (0.02, 0.98):
        wanted, before = share * sum(windows), 0
        for number, count in enumerate(windows):
            if before + count >= wanted > before:
                times.append((number + (wanted - before) / count) * counters["window"])
                break
            before += count
    took = times[1] - times[0]
    return 0.96 * sum(windows) / took if took > 0 else None


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
            self.runs.append(self.scenario.run(self.entrant, number))
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
    def noise(self):
        """The most that others used of the machine before a run or after it."""
        return max(run.noise for run in self.runs)

    @property
    def broken_off(self):
        """Whether a run came to the time limit."""
        return any(run.broken_off for run in self.runs)

#!/usr/bin/python3
"""The benchmark: runs each peer of peers.txt on each scenario, in turns, and prints one table of
ratios with recall and precision beside every speed. Knows nothing about any peer. Needs root,
because the scenarios live in network namespaces.

    bench/run.py PROGRAM [SCENARIO NUMBER…]
"""

import os
import pathlib
import platform
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from scenarios import SCENARIOS

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MAXIMUM = 64 * 2**20  # bytes, of the first peer
SAMPLE_PERIOD = 0.02  # seconds between two looks at a run's memory


class Peer:
    """A row of peers.txt."""

    def __init__(self, row, program):
        self.name, version, self.command, pattern = (field.strip() for field in row.split(" | ", 3))
        self.program = program
        self.pattern = re.compile(pattern, re.MULTILINE)
        self.version = self._version(version)

    def _words(self, command, **values):
        return [word.format(program=self.program, **values) for word in shlex.split(command)]

    def _version(self, command):
        """The first line that it says about itself, or None when it is not there."""
        try:
            done = subprocess.run(self._words(command), capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip().splitlines()[0]

    def words(self, scenario):
        """Its command line in a scenario's namespace."""
        words = self._words(self.command, targets=scenario.targets, ports=scenario.ports)
        return [*scenario.namespace.prefix, *words]

    def found(self, text):
        """(address, port) of every open port in its output."""
        address = None
        found = set()
        for match in self.pattern.finditer(text):
            groups = match.groupdict()
            address = groups.get("address") or address
            if groups.get("port"):
                found.add((address, int(groups["port"])))
        return found


class Run:
    """One measured run."""

    def __init__(self, peer, scenario):
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            self._measure(peer.words(scenario), scenario.limit, output)
            output.seek(0)
            found = peer.found(output.read())
        right = len(found & scenario.open)
        self.recall = right / len(scenario.open)
        self.precision = right / len(found) if found else 1.0

    def _measure(self, words, limit, output):
        began = time.monotonic()
        # pylint: disable-next=consider-using-with
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )
        watch = MemoryWatch(process.pid)
        killer = threading.Timer(limit, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        self.wall = time.monotonic() - began
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = watch.stop(usage)
        self.broken_off = self.wall >= limit
        if process.returncode != 0 and not self.broken_off:
            raise SystemExit(f"bench: {shlex.join(words)} ended with {process.returncode}")


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
    """The runs of one peer on one scenario."""

    def __init__(self, peer, scenario):
        self.peer = peer
        self.scenario = scenario
        self.runs = []

    def median(self, field):
        """Of a field of the runs."""
        return statistics.median(getattr(run, field) for run in self.runs)

    def worst(self, field):
        """The lowest share that a run had."""
        return min(getattr(run, field) for run in self.runs)

    @property
    def memory(self):
        """The most that a run had."""
        return max(run.memory for run in self.runs)

    @property
    def broken_off(self):
        """Whether a run came to the time limit."""
        return any(run.broken_off for run in self.runs)


def measure(scenario, peers):
    """All runs on one scenario, A B A B …; a peer that came to the time limit runs only once."""
    results = [Result(peer, scenario) for peer in peers]
    for number in range(scenario.runs):
        for result in results:
            if result.broken_off:
                continue
            run = Run(result.peer, scenario)
            result.runs.append(run)
            print(
                f"  run {number + 1}: {result.peer.name}: {run.wall:.2f} s, CPU {run.cpu:.2f} s, "
                f"{run.memory / 2**20:.1f} MiB, recall {run.recall:.2%}, "
                f"precision {run.precision:.2%}" + (" (broken off)" if run.broken_off else ""),
                flush=True,
            )
    return results


def share(value):
    """A share as a percentage, which is 100% only when nothing is missing."""
    return "100%" if value == 1 else f"{min(value, 0.9999):.2%}"


def rows(results):
    """The rows of the table for one scenario: first the one that is compared, then the others."""
    first = results[0]
    for result in results:
        wall, cpu = result.median("wall"), result.median("cpu")
        least = "≥ " if result.broken_off else ""
        yield (
            result.scenario.name if result is first else "",
            f"{result.peer.name} ({len(result.runs)})",
            f"{least}{wall:.2f} s",
            "" if result is first else f"{least}{wall / first.median('wall'):.1f}×",
            f"{least}{cpu:.2f} s",
            "" if result is first else f"{least}{cpu / first.median('cpu'):.2f}×",
            f"{result.memory / 2**20:.1f} MiB",
            share(result.worst("recall")),
            share(result.worst("precision")),
        )


def print_table(all_results):
    """The one table."""
    head = ("scenario", "peer (runs)", "wall", "ratio", "CPU", "ratio", "memory", "recall",
            "precision")  # fmt: skip
    table = [head, *(row for results in all_results for row in rows(results))]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    table.insert(1, tuple("-" * width for width in widths))
    print()
    for row in table:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]  # fmt: skip
        print("| " + " | ".join(cells) + " |")
    print(
        "\nwall, CPU (user and system): medians; memory: the most, recall and precision: the least "
        "of all runs\nratio: how many times the first peer's"
    )


def check(results):
    """Prints what the scenario demands of the first peer and whether it holds; true when all does.
    """
    first, scenario = results[0], results[0].scenario
    demands = [("memory below 64 MiB", first.memory < MEMORY_MAXIMUM)]
    for other in results[1:]:
        name = other.peer.name
        wall = other.median("wall") / first.median("wall")
        cpu = other.median("cpu") / first.median("cpu")
        better = all(first.worst(field) >= other.worst(field) for field in ("recall", "precision"))
        faster = f"at least {scenario.wall:g} times as fast as {name}"
        demands.append((faster, wall >= scenario.wall))
        if scenario.cpu:
            cheaper = f"at most 1/{scenario.cpu:g} of the CPU of {name}"
            demands.append((cheaper, cpu >= scenario.cpu))
        demands.append((f"recall and precision no worse than those of {name}", better))
    for demand, holds in demands:
        print(f"{'holds' if holds else 'FAILS'}: {scenario.name}: {demand}")
    return all(holds for _, holds in demands)


def machine():
    """One line about the machine."""
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} × {model.group(1) if model else platform.machine()}, "
        f"{memory:.1f} GiB, {platform.system()} {platform.release()}"
    )


def main():
    """Runs the scenarios that the command line names, or all."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root, because the scenarios live in network namespaces")
    program = os.path.abspath(sys.argv[1])
    chosen = [SCENARIOS[int(word) - 1] for word in sys.argv[2:]] or SCENARIOS
    lines = (HERE / "peers.txt").read_text(encoding="utf-8").splitlines()
    peers = [Peer(line, program) for line in lines if line.strip() and not line.startswith("#")]
    print(machine())
    for peer in peers:
        print(f"{peer.name}: {peer.version or 'not installed'}")
    peers = [peer for peer in peers if peer.version]
    all_results = []
    for kind in chosen:
        print(f"\n{kind.name}: {kind.targets} -p {kind.ports}")
        with kind() as scenario:
            all_results.append(measure(scenario, peers))
    print_table(all_results)
    print()
    raise SystemExit(not all([check(results) for results in all_results]))


if __name__ == "__main__":
    main()

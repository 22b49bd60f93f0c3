#!/usr/bin/python3
"""The benchmark: runs the peers of peers.txt in each scenario, in turns, and prints one table of
ratios with recall, precision and states beside every speed. Knows nothing about any peer or
scenario. Needs root, because the scenarios live in network namespaces.

    bench/run.py PROGRAM [SCENARIO…]      by number or name; all without any
    bench/run.py PROGRAM --list
"""

import os
import pathlib
import platform
import re
import sys
import time

PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
os.environ.setdefault("PORTHOLE_BUILD", str(pathlib.Path(PROGRAM).parents[1]) if PROGRAM else "")

# pylint: disable=wrong-import-position
from measure import NOISE_MAXIMUM, Result
from peers import entrants_of, peers_read
from scenarios import SCENARIOS

RATE_HEAD = ("scenario", "peer (runs)", "packets/s", "ratio", "CPU of all/packet", "ratio",
             "packets/CPU s", "ratio", "answers kept", "recall")  # fmt: skip
HEAD = ("scenario", "peer (runs)", "wall", "ratio", "CPU", "ratio", "packets", "CPU/packet",
        "ratio", "memory", "recall", "precision", "states")  # fmt: skip


def measure(scenario, entrants):
    """All runs in one scenario, A B A B …; a peer that was broken off or has taken the scenario's
    patience is not run again."""
    results = [Result(entrant, scenario) for entrant in entrants]
    for number in range(scenario.runs):
        for result in results:
            spent = result is not results[0] and result.time >= scenario.patience
            if spent or result.failure or result.broken_off:
                continue
            run = result.run(number)
            told = told_of(run) if run else f"cannot: {result.failure}"
            print(f"  run {number + 1}: {result.name}: {told}", flush=True)
        if results[0].failure:
            break
    return results


def told_of(run):
    """One line about a run."""
    parts = [f"{run.wall:.2f} s", f"CPU {run.cpu:.2f} s", f"{run.memory / 2**20:.1f} MiB"]
    if run.packets is not None:
        parts.append(f"{run.packets:,} packets")
    if run.kept is not None:
        parts.append(f"{run.kept:.3%} of {run.counters['taken']:,} answers kept that came at "
                     f"{run.rate:,.0f}/s")  # fmt: skip
    elif run.rate is not None:
        parts.append(f"{run.rate:,.0f} packets/s arrived, {run.machine:.2f} s CPU of the machine, "
                     f"{run.core_rate or 0:,.0f} packets a CPU second")  # fmt: skip
    if run.rate is not None and run.noise > NOISE_MAXIMUM:
        parts.append(f"others used {run.noise:.0%} of the machine")
    parts += [f"recall {share(run.recall)}", f"precision {share(run.precision)}"]
    if run.accuracy is not None:
        parts.append(f"closed and filtered right {share(run.accuracy)}")
    if run.low is not None:
        parts.append(f"heard {run.answered:.4%}, at least {run.low:.4%} by its own word")
    if run.own_drops:
        parts.append(f"the lab lost {run.own_drops:,} packets of its own")
    if run.broken_off:
        parts.append("broken off")
    return ", ".join(parts)


def share(value):
    """A share as a percentage, which is 100% only when nothing is missing."""
    if value is None:
        return "-"
    return "100%" if value == 1 else f"{min(value, 0.9999):.2%}"


def ratio(result, first, field):
    """How many times the first peer's a median is."""
    if result is first or not result.median(field) or not first.median(field):
        return ""
    return f"{result.median(field) / first.median(field):.2f}×"


def row(result, first):
    """A row of the table."""
    scenario = result.scenario.name if result is first else ""
    if result.failure or not result.runs:
        return (scenario, result.name, "cannot", *["-"] * (len(HEAD) - 3))
    least = "≥ " if result.broken_off else ""
    packets, packet_cpu = result.median("packets"), result.median("packet_cpu")
    return (
        scenario,
        f"{result.name} ({len(result.runs)})",
        f"{least}{result.median('wall'):.2f} s",
        least + ratio(result, first, "wall"),
        f"{least}{result.median('cpu'):.2f} s",
        least + ratio(result, first, "cpu"),
        "-" if packets is None else f"{packets:,.0f}" + ("!" if result.own_drops else ""),
        "-" if packet_cpu is None else f"{packet_cpu * 1e6:.2f} µs",
        ratio(result, first, "packet_cpu"),
        f"{result.memory / 2**20:.1f} MiB",
        share(result.worst("recall")),
        share(result.worst("precision")),
        share(result.worst("accuracy")),
    )


def rate_row(result, first):
    """A row of the table of rates."""
    rate, core_rate = result.median("rate"), result.median("core_rate")
    kept = result.worst("kept")
    return (
        result.scenario.name if result is first else "",
        f"{result.name} ({len(result.runs)})",
        "-" if rate is None else f"{rate:,.0f}" + ("?" if result.noise > NOISE_MAXIMUM else ""),
        "" if kept is not None else ratio(result, first, "rate"),
        "-" if core_rate is None else f"{result.median('machine_packet_cpu') * 1e9:,.0f} ns",
        ratio(result, first, "machine_packet_cpu"),
        "-" if core_rate is None else f"{core_rate:,.0f}",
        ratio(result, first, "core_rate"),
        "-" if kept is None else f"{kept:.3%}",
        share(result.worst("recall")),
    )


def print_rows(table):
    """A head and rows under each other."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    table.insert(1, tuple("-" * width for width in widths))
    print()
    for cells in table:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(cells, widths))]  # fmt: skip
        print("| " + " | ".join(cells) + " |")


def print_table(all_results):
    """The one table, and one of rates where they are measured."""
    print_rows([HEAD, *(row(result, results[0]) for results in all_results for result in results)])
    print(
        "\nwall, CPU (user and system), packets (sent by the peer): medians; memory: the most; "
        "recall, precision,\nstates (closed and filtered ports called so): the least of all runs; "
        "ratio: how many times the first peer's;\n≥: broken off; !: the lab itself lost packets"
    )
    rates = [
        rate_row(result, results[0]) for results in all_results for result in results
        if results[0].scenario.measures_rate and result.runs
    ]  # fmt: skip
    if not rates:
        return
    print_rows([RATE_HEAD, *rates])
    print(
        "\npackets/s: SYNs that arrived, without the first and last 2%; CPU of all: of the whole "
        "machine, interrupts and\nthe answering network included; packets/CPU s: packets a second "
        "and core; medians. answers kept: of those\nthat the network held until all was asked and "
        "then sent, which packets/s counts there; the least of all runs.\n"
        "?: others used the machine"
    )


def check(results):
    """Prints what the scenario demands of the first peer and whether it holds; true if all does."""
    scenario = results[0].scenario
    if results[0].failure:
        print(f"FAILS: {scenario.name}: {results[0].failure}")
        return False
    others = [result for result in results[1:] if result.runs and not result.failure]
    demands = list(scenario.demands(results[0], others))
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


def listing():
    """The scenarios, one a line."""
    return "\n".join(f"{i + 1:2} {kind.key:18} {kind.name}" for i, kind in enumerate(SCENARIOS))


def choose(words):
    """The scenarios that these words name."""
    by_word = {str(i + 1): kind for i, kind in enumerate(SCENARIOS)}
    by_word |= {kind.key: kind for kind in SCENARIOS}
    unknown = [word for word in words if word not in by_word]
    if unknown:
        raise SystemExit(f"bench: no scenario {unknown[0]}; there are\n{listing()}")
    return [by_word[word] for word in words] or SCENARIOS


def main():
    """Runs the scenarios that the command line names, or all."""
    if not PROGRAM:
        raise SystemExit(__doc__)
    if sys.argv[2:] == ["--list"]:
        raise SystemExit(print(listing()))
    chosen = choose(sys.argv[2:])
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root, because the scenarios live in network namespaces")
    peers = peers_read(PROGRAM)
    print(machine())
    for name in {peer.version or f"not installed: {peer.name}": None for peer in peers}:
        print(name)
    peers = [peer for peer in peers if peer.version]
    all_results = []
    for kind in chosen:
        print(f"\n{kind.name}: {kind.targets} -p {kind.ports}")
        began = time.monotonic()
        with kind() as scenario:
            all_results.append(measure(scenario, list(entrants_of(peers, scenario))))
        print(f"  {time.monotonic() - began:.0f} s in all", flush=True)
    print_table(all_results)
    print()
    raise SystemExit(not all([check(results) for results in all_results]))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""The benchmark: runs the peers of peers.txt in each scenario, in turns, and prints tables of ratios
with what makes a speed worth something beside it. Knows nothing about any peer or scenario. Needs
root, because the scenarios live in network namespaces.

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
import scenarios
import sockets_scenarios
import talk_scenarios
from measure import Result
from peers import peers_read

SCENARIOS = (
    *scenarios.SCENARIOS, *talk_scenarios.SCENARIOS, *sockets_scenarios.SCENARIOS,
)  # fmt: skip


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
            told = scenario.report.told_of(run) if run else f"cannot: {result.failure}"
            print(f"  run {number + 1}: {result.name}: {told}", flush=True)
        if results[0].failure:
            break
    return results


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
        print(f"\n{kind.heading()}", flush=True)
        began = time.monotonic()
        with kind() as scenario:
            all_results.append(measure(scenario, scenario.entrants(peers)))
        print(f"  {time.monotonic() - began:.0f} s in all", flush=True)
    for report in {kind.report: None for kind in chosen}:
        report.print_tables([
            results for results in all_results if results[0].scenario.report is report
        ])  # fmt: skip
    print()
    raise SystemExit(not all([check(results) for results in all_results]))


if __name__ == "__main__":
    main()

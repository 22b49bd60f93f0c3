"""What is told of scans: a line about each run, and the tables."""

from measure import NOISE_MAXIMUM
from table import print_rows, ratio, share

RATE_HEAD = ("scenario", "peer (runs)", "packets/s", "ratio", "CPU of all/packet", "ratio",
             "packets/CPU s", "ratio", "answers kept", "recall")  # fmt: skip
HEAD = ("scenario", "peer (runs)", "wall", "ratio", "CPU", "ratio", "packets", "CPU/packet",
        "ratio", "memory", "recall", "precision", "states")  # fmt: skip


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


def print_tables(all_results):
    """One table, and one of rates where they are measured."""
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

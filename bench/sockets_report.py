"""What is told of lists of sockets: a line about each run, and their table."""

from table import print_rows, ratio, share

HEAD = ("scenario", "peer (runs)", "wall", "ratio", "CPU", "ratio", "memory", "ratio", "recall",
        "precision")  # fmt: skip


def told_of(run):
    """One line about a run."""
    parts = [
        f"{run.wall:.3f} s", f"CPU {run.cpu:.3f} s", f"{run.memory / 2**20:.1f} MiB",
        f"{len(run.told):,} sockets", f"recall {share(run.recall)}",
        f"precision {share(run.precision)}",
    ]  # fmt: skip
    if run.noisy:
        parts.append("others used the machine")
    return ", ".join(parts)


def row(result, first):
    """A row of the table."""
    scenario = result.scenario.name if result is first else ""
    if result.failure or not result.runs:
        return (scenario, result.name, "cannot", *["-"] * (len(HEAD) - 3))
    noisy = "?" if any(run.noisy for run in result.runs) else ""
    memory = ""
    if result is not first and first.runs:
        memory = f"{result.memory / first.memory:.2f}×"
    return (
        scenario,
        f"{result.name} ({len(result.runs)})",
        f"{result.median('wall'):.3f} s{noisy}",
        ratio(result, first, "wall") if first.runs else "",
        f"{result.median('cpu'):.3f} s",
        ratio(result, first, "cpu") if first.runs else "",
        f"{result.memory / 2**20:.1f} MiB",
        memory,
        share(result.worst("recall")),
        share(result.worst("precision")),
    )


def print_tables(all_results):
    """The table."""
    print_rows([HEAD, *(row(result, results[0]) for results in all_results for result in results)])
    print(
        "\nwall, CPU (user and system): medians; memory: the most that was resident; recall, precision: "
        "of the sockets,\nwith state, both addresses and, where it is asked for, the process, the least "
        "of all runs; ratio: how many times the\nfirst peer's; ?: others used the machine"
    )

"""What is told of conversations and relays: a line about each run, and their table."""

from table import print_rows, ratio

HEAD = ("scenario", "peer (runs)", "rate", "ratio", "CPU", "ratio", "memory")


def told_of(run):
    """One line about a run."""
    parts = [f"{run.wall:.2f} s", run.told]
    if run.cpu_each is not None:
        parts.append(f"CPU {cpu_text(run.cpu_each, run.unit)}")
    if run.memory:
        parts.append(f"{run.memory / 2**20:.1f} MiB")
    if run.checked:
        parts.append("every byte right in a run before it")
    if run.noisy:
        parts.append("others used the machine")
    return ", ".join(parts)


def rate_text(rate, unit):
    """So many of a unit a second."""
    return f"{rate:.2f} GiB/s" if unit == "GiB" else f"{rate:,.0f} {unit}s/s"


def cpu_text(cpu, unit):
    """CPU seconds for one of a unit."""
    return f"{cpu:.3f} s/GiB" if unit == "GiB" else f"{cpu * 1e6:,.1f} µs/{unit}"


def row(result, first):
    """A row of the table."""
    scenario = result.scenario.name if result is first else ""
    if result.failure or not result.runs:
        return (scenario, result.name, "cannot", *["-"] * (len(HEAD) - 3))
    unit, noisy = result.runs[0].unit, "?" if any(run.noisy for run in result.runs) else ""
    rate, cpu = result.median("rate"), result.median("cpu_each")
    return (
        scenario,
        f"{result.name} ({len(result.runs)})",
        "-" if rate is None else rate_text(rate, unit) + noisy,
        ratio(result, first, "rate"),
        "-" if cpu is None else cpu_text(cpu, unit),
        ratio(result, first, "cpu_each"),
        f"{result.memory / 2**20:.1f} MiB" if result.memory else "-",
    )


def print_tables(all_results):
    """The table."""
    print_rows([HEAD, *(row(result, results[0]) for results in all_results for result in results)])
    print(
        "\nrate: from the first side's start until the last byte has come out; CPU: user and system, of "
        "both ends of a\nconversation, or of the relay alone with all that it started; medians. memory: "
        "the most that was resident.\nratio: how many times the first peer's; ?: others used the machine"
    )

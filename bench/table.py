"""How the benchmark prints numbers and tables."""


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


def print_rows(rows):
    """A head and rows under each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    print()
    for cells in rows:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(cells, widths))]  # fmt: skip
        print("| " + " | ".join(cells) + " |")

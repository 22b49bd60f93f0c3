#!/usr/bin/python3
"""Prints how many tests passed, failed and were skipped, from Meson's testlog.json.

A program that speaks TAP, or a unittest file that says how many it skipped, counts with each of its
tests; any other counts as one.
"""

import json
import re
import sys


def count(test):
    """The (passed, failed, skipped) of one test program."""
    output = test.get("stdout", "") + test.get("stderr", "")
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    lines = re.findall(r"^(not ok|ok)\b[^#\n]*(#\s*SKIP)?", output, re.MULTILINE | re.IGNORECASE)
    if lines:
        skipped = sum(1 for _, skip in lines if skip)
        failed = sum(1 for word, skip in lines if word == "not ok" and not skip)
        return len(lines) - skipped - failed, max(failed, 0 if good else 1), skipped
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if ran:
        def number(word):
            found = re.search(rf"{word}=(\d+)", output)
            return int(found.group(1)) if found else 0

        skipped = number("skipped")
        failed = max(number("failures") + number("errors"), 0 if good else 1)
        return max(int(ran.group(1)) - skipped - failed, 0), failed, skipped
    if test["result"] == "SKIP":
        return 0, 0, 1
    return (1, 0, 0) if good else (0, 1, 0)


def main():
    """Adds up the log named on the command line."""
    total = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            for i, number in enumerate(count(json.loads(line))):
                total[i] += number
    print(*total)


main()

#!/usr/bin/python3
"""Wrong command lines and files, each with exactly what porthole says about it.

golden/errors.txt is a table of cases. A case is

    @ NAME TEXT        a file that it needs, in the directory where it runs (any number of these)
    < TEXT             what it reads from standard input (empty without)
    $ WORDS            the command line after "porthole", as a shell reads it
    LINES              all of standard error; standard output must stay empty
    = STATUS           the exit status

In TEXT and WORDS, \\xNN, \\n and \\t mean a byte as in C, and {N*TEXT} is TEXT N times. Lines that
begin with "#" are comments. To add a case write its first lines, run `test_golden.py --write`,
which fills in what the program says now, and read the result: it must say what was wrong, where,
and what would be right.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(os.environ["PORTHOLE"])
TABLE = pathlib.Path(__file__).resolve().parent / "golden" / "errors.txt"
LEAST = 60


def expand(text):
    """The bytes that a TEXT or a word stands for."""
    text = re.sub(r"\{(\d+)\*([^}]*)\}", lambda found: int(found[1]) * found[2], text)
    text = text.replace("\\n", "\n").replace("\\t", "\t")
    data = text.encode()
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), data)


class Case:
    """One case of the table."""

    def __init__(self):
        self.files = []  # (name, text)
        self.stdin = ""
        self.words = ""
        self.stderr = ""
        self.status = None

    def run(self):
        """(standard output, standard error, exit status) of the program."""
        with tempfile.TemporaryDirectory(prefix="porthole-") as directory:
            for name, text in self.files:
                pathlib.Path(directory, name).write_bytes(expand(text))
            words = [expand(word) for word in shlex.split(self.words)]
            done = subprocess.run(
                [PROGRAM, *words], input=expand(self.stdin), capture_output=True, cwd=directory,
                timeout=60,
            )  # fmt: skip
        return done.stdout.decode(), done.stderr.decode(), done.returncode

    def describe(self):
        """The case as the table has it."""
        lines = [f"@ {name} {text}" for name, text in self.files]
        if self.stdin:
            lines.append(f"< {self.stdin}")
        lines.append(f"$ {self.words}")
        return "\n".join(lines) + f"\n{self.stderr}= {self.status}\n"


def read_table():
    """The cases, and comments and empty lines as they stand, in order. A case that has no status
    yet ends at an empty line."""
    parts, case, in_output = [], None, False
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if in_output and line.startswith("= "):
            case.status = int(line[2:])
            case, in_output = None, False
        elif in_output and line:
            case.stderr += line + "\n"
        elif line[:2] in ("@ ", "< ", "$ "):
            if case is None:
                case = Case()
                parts.append(case)
            if line[0] == "@":
                case.files.append(tuple((line[2:] + " ").split(" ", 1)))
                case.files[-1] = case.files[-1][0], case.files[-1][1].rstrip(" ")
            elif line[0] == "<":
                case.stdin = line[2:]
            else:
                case.words, in_output = line[2:], True
        else:
            case, in_output = None, False
            parts.append(line + "\n")
    return parts


def write_table():
    """Fills in what the program says now."""
    text = ""
    for part in read_table():
        if isinstance(part, Case):
            stdout, part.stderr, part.status = part.run()
            if stdout:
                sys.exit(f"test_golden: standard output is not empty: porthole {part.words}")
            part = part.describe()
        text += part
    TABLE.write_text(text, encoding="utf-8")


class Golden(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.cases = [part for part in read_table() if isinstance(part, Case)]

    def test_every_case(self):
        for case in self.cases:
            with self.subTest(case.words):
                self.assertEqual(case.run(), ("", case.stderr, case.status))

    def test_there_are_enough_and_none_twice(self):
        self.assertGreaterEqual(len(self.cases), LEAST)
        asked = [(case.words, tuple(case.files), case.stdin) for case in self.cases]
        self.assertEqual(len(set(asked)), len(asked))

    def test_every_one_is_a_line_for_a_person(self):
        """The first line names the command and says what is wrong; text and a caret may follow."""
        for case in self.cases:
            with self.subTest(case.words):
                lines = case.stderr.splitlines()
                self.assertRegex(lines[0], r"^porthole( \w+)?: \S.*[^.]$")
                self.assertLess(len(lines[0]), 400)
                self.assertIn(len(lines), (1, 3))
                if len(lines) == 3:
                    self.assertRegex(lines[2], r"^ +\^$")
                    self.assertLessEqual(len(lines[2]), len(lines[1]) + 1)
                self.assertTrue(case.stderr.replace("\n", "").isprintable())
                self.assertIn(case.status, (1, 2, 3))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write_table()
    else:
        unittest.main()

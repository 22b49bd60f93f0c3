#!/usr/bin/python3
"""Bad input, and exactly what porthole says of it: golden/errors.txt.

Each block of that file is a command line ("$ "), the lines that it writes to stderr ("! ") and its exit
status ("= "). Nothing may come on stdout. The command lines run in a folder with the files below; one
that begins with "nobody:" runs without rights. To write the file anew after messages have changed, and
then to read the difference:

    PORTHOLE=build/src/porthole tests/cli/test_golden.py --write
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(os.environ["PORTHOLE"])
GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "errors.txt"
NOBODY = 65534

FILES = {
    "empty": b"",
    "comments": b"# nothing but this\n\n   # and this\n",
    "binary": bytes(range(256)),
    "wrong": b"127.0.0.1\n\n# the third word is wrong\n127.0.0.2 127.0.0.300\n",
    "long": b"127.0.0.1\n" + b"a" * 300 + b"\n",
    "windows": b"127.0.0.1\r\n127.0.0.1/\r\n",
    "notes.txt": b"shopping list\n",
    "other-version": b"porthole checkpoint 9\nxxxxxxxx",
    "cut-off": b"porthole checkpoint 1\n\x08\x00",
    "damaged": b"porthole checkpoint 1\n" + b"\x10\x00\x00\x00" * 12,
    "secret": b"127.0.0.1\n",
}


class Case:
    """A block of the file."""

    def __init__(self, command, errors, status, line):
        self.command = command
        self.errors = errors
        self.status = status
        self.line = line

    def run(self, folder):
        """The (stderr lines, status, stdout) of the real program."""
        words = self.command
        options = {}
        if words.startswith("nobody:"):
            words = words.removeprefix("nobody:")
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        words = shlex.split(words)
        assert words[0] == "porthole", self.command
        done = subprocess.run(
            [PROGRAM, *words[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            **options,
        )
        return done.stderr.decode().splitlines(), done.returncode, done.stdout


def read_cases():
    """The blocks, and the text that stands before the first one."""
    cases, head = [], []
    for number, line in enumerate(GOLDEN.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("$ "):
            cases.append(Case(line[2:], [], None, number))
        elif line.startswith("!"):
            cases[-1].errors.append(line[2:])
        elif line.startswith("= "):
            cases[-1].status = int(line[2:])
        elif not cases:
            head.append(line)
        elif line.startswith("#"):
            cases[-1].errors.append(None)
            raise SystemExit(f"{GOLDEN}:{number}: comments stand at the top only")
    return head, cases


def make_folder(folder):
    """Puts the files there."""
    os.chmod(folder, 0o755)
    for name, content in FILES.items():
        (pathlib.Path(folder) / name).write_bytes(content)
    (pathlib.Path(folder) / "folder").mkdir()
    os.chmod(pathlib.Path(folder) / "secret", 0)


class BadInput(unittest.TestCase):
    def test_each_is_told_exactly(self):
        _, cases = read_cases()
        self.assertGreaterEqual(len(cases), 60)
        self.assertEqual(len({case.command for case in cases}), len(cases), "one stands twice")
        with tempfile.TemporaryDirectory() as folder:
            make_folder(folder)
            before = sorted(os.listdir(folder))
            for case in cases:
                with self.subTest(line=case.line, command=case.command):
                    if case.command.startswith("nobody:") and os.geteuid() != 0:
                        self.skipTest("only root can become nobody")
                    errors, status, output = case.run(folder)
                    self.assertEqual(errors, case.errors)
                    self.assertEqual(status, case.status)
                    self.assertEqual(output, b"")
                    self.assertEqual(sorted(os.listdir(folder)), before, "a file was left behind")

    def test_each_says_what_is_wrong_in_one_line(self):
        """A caret and the text above it may follow."""
        for case in read_cases()[1]:
            with self.subTest(line=case.line):
                self.assertRegex(case.errors[0], r"^porthole( [a-z]+)?: \S")
                self.assertIn(len(case.errors), (1, 3))
                if len(case.errors) == 3:
                    self.assertRegex(case.errors[2], r"^ +\^$")
                    self.assertLessEqual(len(case.errors[2]), len(case.errors[1]) + 1)
                self.assertIn(case.status, (1, 2))


def write():
    """Runs every command line of the file and writes what it says now."""
    head, cases = read_cases()
    lines = head
    with tempfile.TemporaryDirectory() as folder:
        make_folder(folder)
        for case in cases:
            errors, status, _ = case.run(folder)
            lines += [f"$ {case.command}", *(f"! {error}" for error in errors), f"= {status}", ""]
    GOLDEN.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        unittest.main()

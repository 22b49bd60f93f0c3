"""Running the program under test, which the environment variable PORTHOLE names, and reading its
records."""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import records  # pylint: disable=wrong-import-position

PROGRAM = os.path.abspath(os.environ["PORTHOLE"])
ROOT = records.ROOT
TIMEOUT = 300  # seconds after which a run counts as hung


TECHNIQUE = re.compile(r"-s[STAFNXWM]|--tcp-\w+|--(un)?privileged|--resume(=.*)?")


def command(*words, namespace=None, technique="-sT"):
    """The words of a command line of porthole, in a namespace if one is given. A scan whose words
    name no technique has this one (None: porthole's choice, which depends on who runs the test)."""
    words = [str(word) for word in words]
    if technique and words[:1] == ["scan"] and not any(map(TECHNIQUE.fullmatch, words)):
        words.insert(words.index("--") if "--" in words else len(words), technique)
    return [*(namespace.prefix if namespace else []), PROGRAM, *words]


def run(*words, namespace=None, technique="-sT", stdin="", **others):
    """Runs porthole to its end, with its outputs as text."""
    others = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **others}
    if "stdin" not in others and stdin is not None:
        others["input"] = stdin
    return subprocess.run(
        command(*words, namespace=namespace, technique=technique),
        encoding="utf-8", timeout=TIMEOUT, **others,
    )  # fmt: skip


def start(*words, namespace=None, technique="-sT", **others):
    """Starts porthole; the caller waits for it."""
    others = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
              "encoding": "utf-8", **others}  # fmt: skip
    return subprocess.Popen(command(*words, namespace=namespace, technique=technique), **others)


class Records:
    """What one `porthole scan --json` said, held to the schema and to agree with itself."""

    def __init__(self, text):
        self.all = records.parse(text)
        records.check_scan(self.all)
        self.summary = self.all[-1]

    def of(self, kind):
        """Those of one type."""
        return records.of_type(self.all, kind)

    def states(self):
        """(address, port) → (state, reason, from)."""
        return {
            (port["address"], port["port"]): (port["state"], port["reason"], port.get("from"))
            for port in self.of("port")
        }

    def open(self, address):
        """The open ports of an address, as a set."""
        return {port["port"] for port in self.of("port")
                if port["address"] == address and port["state"] == "open"}  # fmt: skip


def scan(*words, namespace=None, technique="-sT", status=0):
    """Runs `porthole scan --json WORDS…`, which must end with `status` and say nothing on stderr.
    Returns its Records."""
    done = run("scan", "--json", *words, namespace=namespace, technique=technique)
    assert done.returncode == status, f"exit status {done.returncode}: {done.stderr}"
    assert done.stderr == "", done.stderr
    return Records(done.stdout)

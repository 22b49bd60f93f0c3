"""Running the program under test, which the environment variable PORTHOLE names, and reading its
records."""

import json
import os
import pathlib
import subprocess

PROGRAM = os.path.abspath(os.environ["PORTHOLE"])
ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 300  # seconds after which a run counts as hung


def command(*words, namespace=None):
    """The words of a command line of porthole, in a namespace if one is given."""
    return [*(namespace.prefix if namespace else []), PROGRAM, *map(str, words)]


def run(*words, namespace=None, stdin="", **others):
    """Runs porthole to its end, with its outputs as text."""
    others = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **others}
    if "stdin" not in others and stdin is not None:
        others["input"] = stdin
    return subprocess.run(
        command(*words, namespace=namespace), encoding="utf-8", timeout=TIMEOUT, **others
    )


def start(*words, namespace=None, **others):
    """Starts porthole; the caller waits for it."""
    others = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
              "encoding": "utf-8", **others}  # fmt: skip
    return subprocess.Popen(command(*words, namespace=namespace), **others)


class Records:
    """The records of `porthole scan --json`, checked against docs/records.schema.json: of more than
    CHECKED ports, as many."""

    CHECKED = 1000

    def __init__(self, text):
        self.all = [json.loads(line) for line in text.splitlines()]
        others = [record for record in self.all if record["type"] != "port"]
        for record in others + self.of("port")[: self.CHECKED]:
            validator().validate(record)

    def of(self, kind):
        """Those of one type."""
        return [record for record in self.all if record["type"] == kind]

    @property
    def summary(self):
        """The last record."""
        assert self.all and self.all[-1]["type"] == "summary", "the summary is not the last record"
        return self.all[-1]

    @property
    def ports(self):
        """(address, port) → its record; asserts that there is one of each."""
        ports = {}
        for record in self.of("port"):
            place = record["address"], record["port"]
            assert place not in ports, f"two records of {place}"
            ports[place] = record
        return ports

    def states(self):
        """(address, port) → (state, reason, from)."""
        return {
            place: (record["state"], record["reason"], record.get("from"))
            for place, record in self.ports.items()
        }

    def open(self, address):
        """The open ports of an address, as a set."""
        return {port for (at, port), record in self.ports.items()
                if at == address and record["state"] == "open"}  # fmt: skip


_VALIDATOR = []


def validator():
    """What checks a record against the schema; from Debian's python3-jsonschema."""
    if not _VALIDATOR:
        import jsonschema  # pylint: disable=import-outside-toplevel

        schema = json.loads((ROOT / "docs/records.schema.json").read_text(encoding="utf-8"))
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        _VALIDATOR.append(kind(schema, format_checker=jsonschema.FormatChecker()))
    return _VALIDATOR[0]


def scan(*words, namespace=None, status=0):
    """Runs `porthole scan --json WORDS…`, which must end with `status` and say nothing on stderr.
    Returns its Records."""
    done = run("scan", "--json", *words, namespace=namespace)
    assert done.returncode == status, f"exit status {done.returncode}: {done.stderr}"
    assert done.stderr == "", done.stderr
    return Records(done.stdout)

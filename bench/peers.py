"""The rows of peers.txt: which command lines there are, and how what they print is read."""

import pathlib
import re
import shlex
import subprocess
import typing

PATH = pathlib.Path(__file__).resolve().parent / "peers.txt"


class Peer:
    """A row of peers.txt."""

    def __init__(self, row, patterns, program):
        groups, self.name, version, self.command, pattern = map(str.strip, row.split(" | ", 4))
        self.groups = set(groups.split())
        self.program = program
        self.pattern = re.compile(patterns.get(pattern, pattern), re.MULTILINE)
        self.version = self._version(version)

    def _words(self, command, values):
        values = {"program": self.program, **values}
        return [word.format(**values) for word in shlex.split(command)]

    def _version(self, command):
        """The first line that it says about itself, or None when it is not there."""
        try:
            done = subprocess.run(
                self._words(command, {}), capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        return (done.stdout.strip().splitlines() or [None])[0]


class Said(typing.NamedTuple):
    """What a peer told of a scan."""

    states: dict  # (address, port) → state
    low: float | None  # the share of the answering ports that it claims to have heard
    closed: int  # how many ports are


class Entrant:
    """A peer that takes part in a scenario, at a rate if it is told one."""

    def __init__(self, peer, rate=None):
        self.groups = peer.groups
        self.name = peer.name if rate is None else f"{peer.name}, {rate:,}/s"
        self._peer, self._rate = peer, rate

    def words(self, values):
        """Its command line, with the values of the scenario. A target list is several words."""
        words = self._peer._words(self._peer.command, {"rate": self._rate, **values})
        targets = values.get("targets")
        return [part for word in words for part in (targets.split() if word == targets else [word])]

    def read(self, text):
        """What it Said, from what it printed."""
        address, state, low, closed = None, "open", None, None
        states = {}
        for match in self._peer.pattern.finditer(text):
            groups = match.groupdict()
            address = groups.get("address") or address
            state = groups.get("state") or state
            low = groups.get("low") or low
            closed = groups.get("closed") or closed
            for port in _ports(groups.get("ports") or groups.get("port") or ""):
                states[address, port] = state
        if closed is None:
            closed = sum(state == "closed" for state in states.values())
        return Said(states, None if low is None else float(low), int(closed))

    def matches(self, text):
        """Where its regular expression matches what it printed."""
        return self._peer.pattern.finditer(text)

    @property
    def tells_states(self):
        """Whether it tells of ports that are not open."""
        return "state" in self._peer.pattern.groupindex


def _ports(text):
    """The numbers of "22,80-88"."""
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def peers_read(program):
    """All peers, those that are not installed too."""
    lines = [line.strip() for line in PATH.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    patterns = dict(line.split(" = ", 1) for line in lines if line.startswith("$"))
    return [Peer(line, patterns, program) for line in lines if not line.startswith("$")]


def entrants_of(peers, scenario):
    """Who takes part: for each row of the scenario's groups one, or one for each rate."""
    for peer in peers:
        if not peer.groups & set(scenario.groups):
            continue
        if "{rate}" in peer.command:
            yield from (Entrant(peer, rate) for rate in scenario.rates)
        else:
            yield Entrant(peer)

"""The scenarios of this machine's own sockets: listing them with and without who holds them, where there
are a hundred thousand. All of them are on loopback, in a network namespace of the scenario's own."""

import json
import os
import pathlib
import re
import select
import shlex
import socket
import subprocess
import tempfile
import typing

import sockets_report
from measure import NOISE_MAXIMUM, Failure, machine_noise
from namespaces import Namespace
from peers import Entrant
from scenario import Scenario
from stage import Stage, files_allowed, lab_program

PORT = 7000  # of the first server; each has its own
LISTEN_PORT = 20_000  # the first of those that are only listened at
CONNECTIONS = 50_000
LISTENERS = 300
HOLDERS = 3  # processes that share the latter
ADDRESSES = ("127.0.0.1", "::1")
LIMIT = 60  # seconds after which a run is broken off
LAB_LIMIT = 600  # seconds after which those who hold the sockets end in any case
PATIENCE = 60  # seconds until all connections are there
STATES = {"ESTAB": "ESTABLISHED", "01": "ESTABLISHED", "0A": "LISTEN"}


class Told(typing.NamedTuple):
    """A socket, as the kernel or a peer tells of it."""

    state: str
    local: tuple  # (address, port)
    remote: tuple | None  # of a connection
    pid: int | None  # who holds it, where that is asked for


class SocketsRun:
    """One measured run: what it cost, and how much of what it said is true."""

    def __init__(self, cost, told, truth):
        self.wall = cost["wall_ns"] / 1e9
        self.cpu = cost["cpu_us"] / 1e6
        self.memory = cost["memory"]
        self.told = told
        known = set(told)
        self.recall = len(known & truth) / len(truth)
        # A socket that is told twice is wrong once.
        self.precision = len(known & truth) / len(told) if told else None
        self.broken_off = self.noisy = False


# ---- The sockets ----


class Crowd:
    """The processes that hold the sockets, while a `with` lasts: clients and servers, no more connections
    in each than it may have descriptors, and some that only listen."""

    def __init__(self, namespace, directory):
        self.namespace = namespace
        self.stage = Stage(namespace, directory)
        # Some descriptors each process has anyhow.
        room = min(CONNECTIONS // len(ADDRESSES), files_allowed(CONNECTIONS + 64) - 64)
        self.pairs = -(-CONNECTIONS // room)
        self.holders = []

    def __enter__(self):
        self.stage.__enter__()
        try:
            self._fill()
        except BaseException:
            self.stage.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stage.__exit__()

    def _fill(self):
        clients, left = [], CONNECTIONS
        for number in range(self.pairs):
            count = left // (self.pairs - number)
            left -= count
            words = (PORT + number, "--address", ADDRESSES[number % 2], "--limit", LAB_LIMIT)
            server = self.stage.load("echo", *words)
            self.stage.wait_for(server, PORT + number)
            client = self._load("hold", *words, "--count", count)
            self.holders += [server, client]
            clients.append((client, count))
        each = LISTENERS // HOLDERS
        for number in range(HOLDERS):
            words = (LISTEN_PORT + number * each, "--count", each, "--limit", LAB_LIMIT)
            self.holders.append(self._load("listen", *words))
            first_answer(self.holders[-1])
        for client, count in clients:
            opened = first_answer(client)["open"]
            if opened != count:
                raise Failure(f"only {opened:,} of {count:,} connections are open")

    def _load(self, *words):
        return self.stage.load(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def truth(self):
        """Every socket, as a set of Told, by what the kernel says of its descriptors."""
        pids = {}
        for holder in self.holders:
            for entry in os.scandir(f"/proc/{holder.pid}/fd"):
                if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry.path)):
                    pids[found.group(1)] = holder.pid
        told = set()
        with self.namespace.entered():
            for name in ("tcp", "tcp6"):
                text = pathlib.Path("/proc/thread-self/net", name).read_text(encoding="ascii")
                told |= {kernel_told(line.split(), pids) for line in text.splitlines()[1:]}
        wanted = 2 * CONNECTIONS + LISTENERS + self.pairs
        if len(told) != wanted or any(each.pid is None for each in told):
            raise Failure(f"there are {len(told):,} sockets, not {wanted:,} of known processes")
        return told


def first_answer(process):
    """The first line of a talkload's output."""
    output = process.process.stdout
    if not select.select([output], [], [], PATIENCE)[0]:
        raise Failure(f"{shlex.join(process.words)} says nothing")
    line = output.readline()
    if not line:
        process.wait(1)
        process.check()
        raise Failure(f"{shlex.join(process.words)} has ended")
    return json.loads(line)


def kernel_told(fields, pids):
    """Told by the fields of a line of /proc/net/tcp or tcp6."""
    state = STATES.get(fields[3], fields[3])
    remote = kernel_end(fields[2]) if state != "LISTEN" else None
    return Told(state, kernel_end(fields[1]), remote, pids.get(fields[9]))


def kernel_end(text):
    """(address, port) of one side there: words of 32 bits in the machine's order."""
    words, port = text.split(":")
    packed = b"".join(
        int(words[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(words), 8)
    )
    family = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
    return socket.inet_ntop(family, packed), int(port, 16)


def peer_end(text):
    """(address, port) of "127.0.0.1:80", "[::1]:80" or "::1:80"."""
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def peer_told(match):
    """Told by a match of a peer's regular expression."""
    groups = match.groupdict()
    state = groups["state"] or "LISTEN"  # where only those are listed
    state = STATES.get(state, state)
    try:
        remote = peer_end(groups["remote"]) if state != "LISTEN" else None
        pid = groups.get("pid")
        return Told(state, peer_end(groups["local"]), remote, int(pid) if pid else None)
    except (ValueError, TypeError, AttributeError):
        return Told(match.group(), (), None, None)  # nonsense


# ---- Scenarios ----


class SocketsScenario(Scenario):
    """A command that lists sockets, again and again."""

    report = sockets_report
    runs = 5
    patience = 40
    owners = True  # whether it is to say who holds them
    listening = False  # whether only those that listen are asked for

    def __enter__(self):
        try:
            directory = self.stack.enter_context(tempfile.TemporaryDirectory())
            namespace = self.stack.enter_context(Namespace())
            namespace.sysctl("ipv4/ip_local_port_range", "32768 65535")
            crowd = self.stack.enter_context(Crowd(namespace, directory))
            self.prefix = [*namespace.prefix, lab_program("cost")]
            self.truth = self._wanted(crowd.truth())
        except BaseException:
            self.stack.close()
            raise
        print(f"  {len(self.truth):,} sockets in {len(crowd.holders)} processes", flush=True)
        return self

    def _wanted(self, truth):
        return {
            each if self.owners else each._replace(pid=None) for each in truth
            if each.state == "LISTEN" or not self.listening
        }  # fmt: skip

    def entrants(self, peers):
        return [Entrant(peer) for peer in peers if peer.groups & set(self.groups)]

    def run(self, entrant, number):
        noise = machine_noise()
        words = ["sh", "-c", 'exec "$@" 3>cost', "sh", *self.prefix, *entrant.words({})]
        with tempfile.TemporaryDirectory() as directory:
            output = pathlib.Path(directory, "output")
            with open(output, "wb") as file:
                done = self._finished(words, file, directory)
            if done.returncode != 0:
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise Failure(f"{shlex.join(entrant.words({}))} ended with {done.returncode}: "
                              f"{said[-1] if said else 'nothing said'}")  # fmt: skip
            cost = json.loads(pathlib.Path(directory, "cost").read_text(encoding="ascii"))
            text = output.read_text(encoding="utf-8", errors="replace")
        told = [peer_told(match) for match in entrant.matches(text)]
        run = SocketsRun(cost, told, self.truth)
        run.noisy = max(noise, machine_noise(1)) > NOISE_MAXIMUM
        return run

    @staticmethod
    def _finished(words, file, directory):
        try:
            return subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE,
                cwd=directory, timeout=LIMIT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Failure(f"takes more than {LIMIT} s") from None

    times = ()  # (a word that a peer's name begins with, how many times as fast one must be)

    def demands(self, first, others):
        for own in [first, *(other for other in others if is_own(other))]:
            yield (
                f"{own.name}: every socket and no other: recall {own.worst('recall'):.4%}, "
                f"precision {own.worst('precision') or 0:.4%}",
                own.worst("recall") == own.worst("precision") == 1,
            )
            for name, times in self.times:
                for other in others:
                    if other.name.split()[0] == name:
                        yield times_as_fast(own, other, times)
                        if name == "ss" and own is first:
                            yield no_more_memory(own, other)


class List(SocketsScenario):
    """Without who holds them."""

    key = "sockets"
    name = "sockets: 100,000"
    groups = ("sockets",)
    owners = False
    times = (("ss", 1),)


class ListOwners(SocketsScenario):
    """With who holds them."""

    key = "sockets-processes"
    name = "sockets: 100,000, with processes"
    groups = ("sockets-processes",)
    times = (("ss", 10), ("netstat", 10), ("lsof", 4))


class ListListening(SocketsScenario):
    """Those that listen, with who holds them, while the others are there, too."""

    key = "sockets-listening"
    name = "sockets: who listens, with processes"
    groups = ("sockets-listening",)
    runs = 9
    listening = True
    times = (("ss", 10),)


# ---- Demands ----


def is_own(result):
    """Whether it is another command of porthole's."""
    return result.name.split()[0] == "porthole"


def times_as_fast(own, other, times):
    """That it takes that part of another one's time."""
    reached = other.median("wall") / own.median("wall")
    return f"{own.name}: {times:g} times as fast as {other.name}: {reached:.2f}", reached >= times


def no_more_memory(own, other):
    """That it takes no more memory than another one."""
    return (
        f"{own.name}: no more memory than {other.name}: {own.memory / 2**20:.1f} MiB, "
        f"{other.memory / 2**20:.1f} MiB",
        own.memory <= other.memory,
    )


SCENARIOS = (List, ListOwners, ListListening)

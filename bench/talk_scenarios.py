"""The scenarios of conversations and relays: bytes through one connection, bytes and connections
through a relay. Each run has a network namespace of its own, in which everything is on loopback."""

import contextlib
import json
import pathlib
import subprocess
import tempfile

import talk_report
from measure import NOISE_MAXIMUM, Failure, machine_noise
from namespaces import Namespace
from peers import Entrant
from scenario import Scenario
from stage import Stage, adopt, answer, descendants, files_allowed, load_program, memory

PORT = 7000  # of the receiver, or of the relay
TARGET = 7001  # behind the relay
GIB = 2**30
LIMIT = 90  # seconds after which a run is broken off
SHARED_MEMORY = "/dev/shm"  # files there cost no disk
FILE, PIPE = "file", "pipe"


class TalkRun:
    """One measured run: so many units a second (`rate`), at so much CPU for each (`cpu_each`)."""

    broken_off = False
    memory = 0
    cpu_each = None

    def __init__(self, unit, count, took, cpu=None):
        self.unit, self.wall = unit, took
        self.rate = count / took
        self.told = talk_report.rate_text(self.rate, unit)
        if cpu is not None:
            self.cpu_each = cpu / count
        self.checked = False
        self.noisy = False


class TalkScenario(Scenario):
    """Runs one after another, before the first of which every byte is looked at once."""

    report = talk_report
    runs = 5
    patience = 45
    checks = True  # whether there is such a run

    def run(self, entrant, number):
        if number == 0 and self.checks:
            self.attempt(entrant, True)
        noise = machine_noise()
        run = self.attempt(entrant, False)
        run.checked = number == 0 and self.checks
        run.noisy = max(noise, machine_noise(1)) > NOISE_MAXIMUM
        return run

    def attempt(self, entrant, check):
        """A TalkRun; with `check` one that looks at every byte and raises Failure."""
        raise NotImplementedError

    @contextlib.contextmanager
    def staged(self):
        """The Stage of a run."""
        adopt()
        with tempfile.TemporaryDirectory() as directory, Namespace() as namespace:
            namespace.sysctl("ipv4/ip_local_port_range", "1024 65535")
            with Stage(namespace, directory) as stage:
                yield stage


def output_file():
    """A file for what a program prints, which may be read meanwhile: it appends, wherever we are."""
    return tempfile.TemporaryFile("a+", encoding="utf-8")


# ---- Conversations ----


class Pair:
    """Two peers that take part as sender and receiver; or one that is both, without a network."""

    def __init__(self, sender, receiver=None):
        self.sender = Entrant(sender)
        self.receiver = Entrant(receiver) if receiver else None
        self.groups = sender.groups | (receiver.groups if receiver else set())
        self.is_mixed = receiver is not None and sender.name != receiver.name
        self.name = f"{sender.name} → {receiver.name}" if self.is_mixed else sender.name


class Throughput(TalkScenario):
    """One way through one connection."""

    groups = ("send", "receive", "copy")
    size = 2 * GIB
    source = FILE
    sink = FILE
    mixed = False  # whether the first peer also runs with each other one at the other end

    def __enter__(self):
        memory_there = pathlib.Path(SHARED_MEMORY).is_dir()
        self.directory = pathlib.Path(self.stack.enter_context(
            tempfile.TemporaryDirectory(dir=SHARED_MEMORY if memory_there else None)
        ))  # fmt: skip
        if self.source == FILE:
            with open(self.directory / "source", "wb") as file:
                subprocess.run([load_program(), *self._fill], stdout=file, check=True)
        return self

    def entrants(self, peers):
        senders = {peer.name: peer for peer in peers if "send" in peer.groups}
        receivers = {peer.name: peer for peer in peers if "receive" in peer.groups}
        first = next(iter(senders))
        pairs = [Pair(senders[name], receivers[name]) for name in senders if name in receivers]
        if self.mixed:
            for name in senders:
                if name in receivers and name != first:
                    pairs += [Pair(senders[first], receivers[name]),
                              Pair(senders[name], receivers[first])]  # fmt: skip
        return pairs + [Pair(peer) for peer in peers if "copy" in peer.groups]

    @property
    def _fill(self):
        return ["fill", "--bytes", str(self.size)]

    def attempt(self, entrant, check):
        sink = self.directory / "sink"
        with self.staged() as stage, contextlib.ExitStack() as files:
            values, lab = {"port": PORT}, []
            if self.sink == FILE:
                to = files.enter_context(open(sink, "wb"))
            else:
                words = ["drain", "--bytes", self.size, *(["--verify"] if check else [])]
                lab.append(stage.load(*words, stdin=subprocess.PIPE))
                to = files.enter_context(lab[-1].process.stdin)
            ends = []
            if entrant.receiver:
                ends.append(stage.start(entrant.receiver.words(values), stdout=to))
                stage.wait_for(ends[0], PORT)
                to = subprocess.DEVNULL
            if self.source == FILE:
                of = files.enter_context(open(self.directory / "source", "rb"))
            else:
                lab.append(stage.load(*self._fill, stdout=subprocess.PIPE))
                of = files.enter_context(lab[-1].process.stdout)
            ends.append(stage.start(entrant.sender.words(values), stdin=of, stdout=to))
            files.close()  # from here on they are the processes' alone
            stage.finish([*ends, *lab], LIMIT)
        if self.sink == FILE:
            self._look_at(sink, check)
        took = max(process.ended for process in (*ends, *lab)) - ends[-1].began
        return TalkRun("GiB", self.size / GIB, took, sum(process.cpu for process in ends))

    def _look_at(self, path, check):
        size = path.stat().st_size
        try:
            if size != self.size:
                raise Failure(f"{size:,} bytes came, not {self.size:,}")
            if check:
                with open(path, "rb") as file:
                    subprocess.run(
                        [load_program(), "drain", "--verify", "--bytes", str(self.size)],
                        stdin=file, stderr=subprocess.DEVNULL, check=True,
                    )  # fmt: skip
        except subprocess.CalledProcessError:
            raise Failure("wrong bytes came") from None
        finally:
            path.unlink()

    def demands(self, first, others):
        alone = [other for other in others if other.entrant.receiver and not other.entrant.is_mixed]
        for results in (plain(alone), alone):
            if results:
                yield times_as_much(first, best(results), 2)


class FileToFile(Throughput):
    """A file in memory to another one."""

    key = "talk-file-file"
    name = "talk: file to file, 2 GiB"


class FileToPipe(Throughput):
    """A file in memory to a program that counts, and every mixture of peers."""

    key = "talk-file-pipe"
    name = "talk: file to pipe, 2 GiB"
    sink = PIPE
    mixed = True
    patience = 30


class PipeToFile(Throughput):
    """A program that writes to a file in memory."""

    key = "talk-pipe-file"
    name = "talk: pipe to file, 2 GiB"
    source = PIPE


class PipeToPipe(Throughput):
    """A program that writes to one that counts."""

    key = "talk-pipe-pipe"
    name = "talk: pipe to pipe, 2 GiB"
    source = PIPE
    sink = PIPE


# ---- Relays ----


class RelayScenario(TalkScenario):
    """A client, a relay, and a server."""

    groups = ("relay",)

    def entrants(self, peers):
        return [Entrant(peer) for peer in peers if peer.groups & set(self.groups)]

    @contextlib.contextmanager
    def relayed(self, stage, entrant, server):
        """The relay, if there is one, before a server that runs; with the port to connect to."""
        stage.wait_for(server, TARGET)
        words = entrant.words({"port": PORT, "target": TARGET})
        if words == ["-"]:
            yield None, TARGET
            return
        relay = stage.start(words)
        stage.wait_for(relay, PORT)
        yield relay, PORT

    @staticmethod
    def cost(stage, relay):
        """CPU seconds of the relay and what it started, which is ended."""
        if relay is None:
            return None
        relay.end()
        return relay.cpu + stage.reap()


def finish(process, output, what):
    """Waits for a talkload, and returns what it printed."""
    process.wait(LIMIT)
    return answer(process, output, what)


class RelayThroughput(RelayScenario):
    """One way, in blocks of 256 KiB."""

    size = 4 * GIB
    parallel = 1

    def attempt(self, entrant, check):
        words = ["--bytes", self.size, "--parallel", self.parallel]
        with self.staged() as stage, output_file() as sunk:
            more = ["--verify"] if check else []
            sink = stage.load("sink", TARGET, *words, *more, stdout=sunk)
            with self.relayed(stage, entrant, sink) as (relay, port):
                source = stage.load("source", port, *words)
                taken = finish(sink, sunk, f"{entrant.name}: ")
                source.wait(1)  # a relay that keeps its ends open is no failure here
                source.end(1)
                cpu = self.cost(stage, relay)
        # The server's first connection may be older than the client.
        began = max(taken["began"] / 1e9, source.began)
        return TalkRun("GiB", self.size / GIB, taken["ended"] / 1e9 - began, cpu)

    def demands(self, first, others):
        for socat in socats(others):
            yield times_as_much(first, socat, 3)
            yield third_of_cpu(first, socat)


class RelayOne(RelayThroughput):
    """Through one connection."""

    key = "relay-one"
    name = "relay: 1 connection, 4 GiB"
    groups = ("relay", "relay-one")


class RelayMany(RelayThroughput):
    """Through 16 at a time."""

    key = "relay-many"
    name = "relay: 16 connections, 4 GiB"
    parallel = 16


class RelayConnections(RelayScenario):
    """Connections that come and go, 16 at a time, each with 100 bytes and their echo."""

    key = "relay-connections"
    name = "relay: connections, 16 at a time"
    count = 30_000
    checks = False  # each echo is compared in any case

    def attempt(self, entrant, check):
        with self.staged() as stage, output_file() as pinged:
            server = stage.load("echo", TARGET)
            with self.relayed(stage, entrant, server) as (relay, port):
                client = stage.load(
                    "ping", port, "--count", self.count, "--parallel", 16, "--seconds", 5,
                    stdout=pinged,
                )  # fmt: skip
                done = finish(client, pinged, f"{entrant.name}: ")
                cpu = self.cost(stage, relay)
        if done["failed"]:
            raise Failure(f"{done['failed']} connections of {done['done'] + done['failed']} failed")
        return TalkRun("connection", done["done"], (done["ended"] - done["began"]) / 1e9, cpu)

    def demands(self, first, others):
        for socat in socats(others):
            yield times_as_much(first, socat, 5)


class RelayOpen(RelayScenario):
    """Connections that stay."""

    key = "relay-open"
    name = "relay: 10,000 open connections"
    groups = ("relay-open",)
    wanted = 10_000
    runs = 3
    checks = False
    memory_maximum = 200 * 2**20  # bytes

    def __enter__(self):
        # Two descriptors each in the relay, and some that it has anyhow.
        self.count = min(self.wanted, (files_allowed(2 * self.wanted + 64) - 64) // 2)
        return self

    def attempt(self, entrant, check):
        with self.staged() as stage, output_file() as held:
            server = stage.load("echo", TARGET)
            with self.relayed(stage, entrant, server) as (relay, port):
                client = stage.load(
                    "hold", port, "--count", self.count, stdin=subprocess.PIPE, stdout=held
                )
                opened = self._opened(client, held)
                now, _ = memory(relay.pid)
                processes = len(descendants(relay.pid))
                client.process.stdin.close()
                alive = finish(client, held, f"{entrant.name}: ")
                _, most = memory(relay.pid)
                cpu = self.cost(stage, relay)
        took = (opened["ended"] - opened["began"]) / 1e9
        run = TalkRun("connection", opened["open"], took, cpu)
        run.memory, run.alive = most, alive["alive"]
        run.told = (
            f"{opened['open']:,} open, {alive['alive']:,} of them alive later, {processes} processes, "
            f"{now / 2**20:.1f} MiB while they were, {now / opened['open']:,.0f} bytes each"
        )
        return run

    @staticmethod
    def _opened(client, held):
        """Waits for the line that says how many are open."""
        while not client.wait(0.05):
            if line := first_line(held):
                return line
        client.check()
        raise Failure("the client has ended")

    def demands(self, first, others):
        alive = min(run.alive for run in first.runs)
        yield f"{self.count:,} connections alive: {alive:,}", alive == self.count
        most = self.memory_maximum * self.count / self.wanted
        yield (
            f"below {most / 2**20:.0f} MiB: {first.memory / 2**20:.1f} MiB",
            first.memory < most,
        )


def first_line(file):
    """The first JSON object in a file that is being written; None as long as it isn't there."""
    file.seek(0)
    text = file.read()
    return json.loads(text.splitlines()[0]) if "\n" in text else None


# ---- Demands ----


def plain(results):
    """Those of peers that are run as they come, without a word about how."""
    return [result for result in results if " -b " not in result.name]


def socats(results):
    """Those of socat: as it comes, and with larger blocks."""
    return [result for result in results if result.name.startswith("socat")]


def best(results):
    """The one with the highest rate."""
    return max(results, key=lambda result: result.median("rate"))


def times_as_much(first, other, times):
    """That it has so many times another one's rate."""
    reached = first.median("rate") / other.median("rate")
    return f"at least {times:g} times as fast as {other.name}: {reached:.2f} times", reached >= times


def third_of_cpu(first, other):
    """That it takes a third of another one's CPU for each unit."""
    reached = other.median("cpu_each") / first.median("cpu_each")
    return f"at most 1/3 of the CPU of {other.name}: 1/{reached:.2f}", reached >= 3


SCENARIOS = (
    FileToFile, FileToPipe, PipeToFile, PipeToPipe,
    RelayOne, RelayMany, RelayConnections, RelayOpen,
)  # fmt: skip

"""The scenarios of scans. Each makes a network in namespaces of its own, and with it the
truth about every port; nothing leaves the machine."""

import contextlib
import dataclasses
import ipaddress
import pathlib
import statistics
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lib"))
# pylint: disable=wrong-import-position
import scan_report
from lab import Lab
from measure import NOISE_MAXIMUM, Run
from namespaces import Namespace, wire
from peers import entrants_of
from reflector import NETWORKS, Reflector
from scenario import Scenario
from sockets import listen

MEMORY_MAXIMUM = 64 * 2**20  # bytes, of the first peer


@dataclasses.dataclass
class Attempt:
    """What one run finds before it."""

    prefix: list  # the words before a command that is to run there
    values: dict  # of the placeholders in command lines
    truth: dict  # (address, port) → open, closed, filtered; only open ones where no more is known
    counters: dict = dataclasses.field(default_factory=dict)  # the network's, once the run is over


class ScanScenario(Scenario):
    """What is asked, what is true, and what the first peer must reach against each other one."""

    targets = ""
    ports = ""
    rates = ()  # of packets a second, for peers that are told one
    measures_rate = False  # whether the network counts when packets come
    limit = 600  # seconds after which a run is broken off
    wall = 1.0  # at least so many times as fast
    cpu = 0.0  # at least so many times less CPU; 0: not asked for
    report = scan_report

    @classmethod
    def heading(cls):
        return f"{cls.name}: {cls.targets} -p {cls.ports}"

    def entrants(self, peers):
        return list(entrants_of(peers, self))

    def run(self, entrant, number):
        return Run(entrant, self, number)

    def attempt(self, number):
        """A context manager that gives the Attempt of one run."""
        raise NotImplementedError

    def demands(self, first, others):
        yield small(first)
        for other in others:
            wall = other.median("wall") / first.median("wall")
            cpu = other.median("cpu") / first.median("cpu")
            yield f"at least {self.wall:g} times as fast as {other.name}", wall >= self.wall
            if self.cpu:
                yield f"at most 1/{self.cpu:g} of the CPU of {other.name}", cpu >= self.cpu
            yield as_true(first, other)


# ---- Demands ----


def small(first):
    """That it takes little memory."""
    return "memory below 64 MiB", first.memory < MEMORY_MAXIMUM


def right(first, *fields):
    """That a share is whole, one demand for each."""
    for field in fields:
        name = {"accuracy": "every closed or filtered port called so"}.get(field, f"{field} 100%")
        yield name, first.worst(field) == 1


def as_true(first, other):
    """That it misses no more than another peer and invents no more."""
    holds = all(
        (first.worst(field) or 0) >= (other.worst(field) or 0) for field in ("recall", "precision")
    )
    return f"recall and precision no worse than those of {other.name}", holds


def of_group(results, *groups):
    """The results of the peers of these groups."""
    return [result for result in results if result.groups & set(groups)]


def truthful(results, recall):
    """Those that came to their end with this recall; if none did, the one with the most. And words
    that say so."""
    able = [result for result in results if not result.broken_off]
    whole = [result for result in able if result.worst("recall") >= recall]
    if whole or not results:
        return whole, ""
    best = max(able or results, key=lambda result: result.worst("recall"))
    return [best], f" (recall {best.worst('recall'):.2%}, the most that was reached)"


def faster(first, results, recall, times):
    """That it is so many times as fast as the fastest of those that are as true."""
    able, but = truthful(results, recall)
    if able:
        best = min(able, key=lambda result: result.median("wall"))
        reached = best.median("wall") / first.median("wall")
        than = f"at least {times:g} times as fast as" if times > 1 else "no slower than"
        yield f"{than} {best.name}{but}: {reached:.1f} times", reached >= times


# ---- Sockets ----


class SocketScenario(ScanScenario):
    """Listeners of this kernel's in a network that stays as it is for all runs."""

    def __init__(self):
        super().__init__()
        self.truth = {}

    def __enter__(self):
        self.namespace = self.stack.enter_context(Namespace())
        self.build()
        return self

    @contextlib.contextmanager
    def attempt(self, number):
        values = {"targets": self.targets, "ports": self.ports}
        yield Attempt(self.namespace.prefix, values, self.truth)

    def build(self):
        """Makes the network around self.namespace, where the peers run, and fills in self.truth."""
        raise NotImplementedError

    def serve(self, namespace, address, ports):
        """Listeners that nobody accepts from, as many connections as there may be."""
        with namespace.entered():
            for port in ports:
                self.stack.enter_context(listen(address, port))


class Loopback(SocketScenario):
    """All ports of one host that answers at once: what a probe costs."""

    key = "loopback"
    name = "loopback, 65,535 ports"
    groups = ("socket",)
    targets = "127.0.0.1"
    ports = "1-65535"
    runs = 9
    wall = 2.0
    cpu = 2.0

    def build(self):
        ports = [1 + i * 1337 for i in range(49)]
        self.serve(self.namespace, "127.0.0.1", ports)
        self.truth = {("127.0.0.1", port): "open" for port in ports}


class Network(SocketScenario):
    """A network of which much is silent: what waiting costs.

    Every host has some open ports and refuses most others. A firewall drops a tenth of the ports of
    all hosts, and every fourth host is one that drops whatever is not open."""

    key = "network"
    name = "256 hosts, 1,000 ports, some silent"
    groups = ("socket",)
    targets = "198.18.1.0/24"
    ports = "1-1000"
    runs = 3
    limit = 300
    wall = 10.0

    def build(self):
        target = self.stack.enter_context(Namespace())
        wire(self.namespace, ["198.18.0.1/24"], target, ["198.18.0.2/24"])
        target.ip("route", "add", "local", self.targets, "dev", "lo")
        self.namespace.ip("route", "add", self.targets, "via", "198.18.0.2")
        everywhere = (22, 80, 443)
        self.serve(target, "0.0.0.0", everywhere)
        hosts = [str(address) for address in ipaddress.ip_network(self.targets)]
        self.truth = {(host, port): "open" for host in hosts for port in everywhere}
        for i, host in enumerate(hosts):
            port = 500 + i
            self.serve(target, host, [port])
            self.truth[host, port] = "open"
        silent = ", ".join(hosts[::4])
        target.nft(
            "table ip bench {\n"
            "  set open { type ipv4_addr . inet_service; }\n"
            "  chain input { type filter hook input priority 0; policy accept;\n"
            "    tcp flags & (syn | ack) != syn accept\n"
            "    tcp dport { 22, 80, 443 } accept\n"
            "    ip daddr . tcp dport @open accept\n"
            "    tcp dport 901-1000 drop\n"
            f"    ip daddr {{ {silent} }} drop\n"
            "  }\n}\n"
            "add element ip bench open { "
            + ", ".join(f"{host} . {500 + i}" for i, host in enumerate(hosts))
            + " }\n"
        )


class RawLoopback(Loopback):
    """The same, by raw packets: loopback has no Ethernet, and the kernel answers at once."""

    key = "raw-loopback"
    name = "raw: loopback, 65,535 ports"
    groups = ("states",)
    runs = 5
    limit = 60
    wall = 1.0
    cpu = 0.0

    def build(self):
        super().build()
        for port in range(1, 65536):
            self.truth.setdefault(("127.0.0.1", port), "closed")


# ---- Raw packets ----


class LabScenario(ScanScenario):
    """A network that simnet plays, made anew for each run: with as many seeds as there are runs, of
    which each peer gets the same ones."""

    description = ""
    tun = False
    limit = 120
    patience = 10

    def __init__(self):
        super().__init__()
        self.known = None, {}

    @contextlib.contextmanager
    def attempt(self, number):
        head = f"seed {number + 1}\ngateway {GATEWAY}\n"
        # The beacon is for masscan, which looks at its clock only when a packet comes.
        with Lab(head + self.description, "--beacon", tun=self.tun) as lab:
            values = {
                "targets": self.targets, "ports": self.ports, "interface": lab.device,
                "source": SOURCE, "hardware": HARDWARE,
            }  # fmt: skip
            attempt = Attempt(lab.prefix, values, self.truth(lab, number))
            yield attempt
        attempt.counters |= lab.counters()

    def truth(self, lab, number):
        """(address, port) → state in a run; asked for once, because the peers take turns."""
        if self.known[0] != number:
            truth = lab.truth(self.ports, *self.targets.split())
            self.known = number, {key: state.state for key, state in truth.items()}
        return self.known[1]


GATEWAY = "198.18.0.1"  # simnet's own addresses
HARDWARE = "02:53:49:4d:00:01"
SOURCE = "198.18.0.2"  # tests/lib/lab.py's


class OneHost(LabScenario):
    """All ports of a host near by, which answers all of them: what a probe costs."""

    key = "host"
    name = "raw: one host, all ports, all answer"
    targets = "198.19.0.1"
    ports = "0-65535"
    groups = ("states", "hurried", "once")
    rates = (5_000, 20_000, 100_000)
    runs = 5
    limit = 40
    description = "network 198.19.0.1\n  open 1%  rtt 300us jitter 100us\n"

    def demands(self, first, others):
        yield small(first)
        yield from right(first, "recall", "precision", "accuracy")
        yield from faster(first, [o for o in others if o.name == "nmap -sS -T4"], 1, 10)
        yield from faster(first, of_group(others, "once"), first.worst("recall"), 1)


class OneHostSilent(OneHost):
    """The same with a tenth silent: what waiting costs."""

    key = "host-silent"
    name = "raw: one host, all ports, 10% silent"
    groups = ("states", "once")
    description = "network 198.19.0.1\n  open 1%  silent 10%  rtt 300us jitter 100us\n"


class Lossy(LabScenario):
    """A network far and near that loses packets: what speed is worth when answers are missing."""

    key = "loss-1"
    name = "raw: 256 hosts, 1,000 ports, 1% loss each way"
    targets = "198.19.0.0/24"
    ports = "1-1000"
    groups = ("states", "hurried", "once")
    rates = (100_000,)
    runs = 3
    limit = 50
    description = "network 198.19.0.0/24\n  open 1%  silent 10%  rtt uniform 2ms 40ms  loss 1%\n"

    def demands(self, first, others):
        yield small(first)
        yield "recall at least 99.9%", first.worst("recall") >= 0.999
        yield from right(first, "precision")
        yield from faster(first, of_group(others, "states", "hurried"), 0.999, 10)


class LossyMore(Lossy):
    """The same, five times worse."""

    key = "loss-5"
    name = "raw: 256 hosts, 1,000 ports, 5% loss each way"
    description = "network 198.19.0.0/24\n  open 1%  silent 10%  rtt uniform 2ms 40ms  loss 5%\n"


class Estimate(Lossy):
    """Whether what the first peer says about its own recall is true, on a new network each time."""

    key = "estimate-1"
    name = "raw: the stated recall, 1% loss each way"
    targets = "198.19.0.0/25"  # half of them, because there are many runs
    groups = ("estimate",)
    runs = 20

    def demands(self, first, others):
        runs = [run for run in first.runs if run.low is not None]
        inside = sum(run.low <= run.answered for run in runs)
        yield "recall at least 99.9%", first.worst("answered") >= 0.999
        yield (
            f"the true recall is inside the stated interval in 19 of 20 runs: in {inside} of "
            f"{len(first.runs)}",
            inside >= 0.95 * len(first.runs),
        )


class EstimateMore(Estimate):
    """The same, five times worse."""

    key = "estimate-5"
    name = "raw: the stated recall, 5% loss each way"
    description = LossyMore.description


class Bottleneck(LabScenario):
    """A line that carries 20,000 packets a second, of which nobody is told."""

    key = "bottleneck"
    name = "raw: 256 hosts, 1,000 ports, 20,000 packets/s"
    targets = "198.19.0.0/24"
    ports = "1-1000"
    groups = ("states", "hurried", "once")
    rate = 20_000
    rates = (10 * rate,)
    runs = 3
    limit = 60
    description = (
        f"bottleneck {rate} queue 1000\nnetwork 198.19.0.0/24\n  open 1%  rtt 20ms jitter 5ms\n"
    )

    def demands(self, first, others):
        yield from self.demands_of(first, "recall", "precision", "accuracy")

    def demands_of(self, first, *shares):
        """Those of both scenarios, with these shares whole."""
        settled = [rate_settled(run.counters) for run in first.runs]
        yield small(first)
        yield from right(first, *shares)
        yield (
            "settles within 20% below the bottleneck: "
            + ", ".join(f"{rate:,.0f}" for rate in settled)
            + " packets/s",
            all(0.8 * self.rate <= rate <= self.rate for rate in settled),
        )


def rate_settled(counters):
    """Packets a second: the median of the tenths of a second in which the second half of all
    packets was sent, but for the last twentieth: some of those ask again what was silent."""
    total, sent, chosen = sum(counters["windows"]), 0, []
    for window in counters["windows"]:
        if total / 2 <= sent <= total * 0.95:
            chosen.append(window)
        sent += window
    return statistics.median(chosen or [0]) / counters["window"]


class BottleneckSweep(Bottleneck):
    """The same with one port of many hosts, of which each is heard of once at most."""

    key = "bottleneck-sweep"
    name = "raw: 98,304 addresses, 1 port, 20,000 packets/s"
    targets = "198.19.0.0/16 198.18.128.0/17"
    ports = "80"
    groups = ("open", "default", "once", "one-port", "one-port-default")
    runs = 5
    limit = 30
    description = (
        f"bottleneck {Bottleneck.rate} queue 1000\n"
        "network 198.19.0.0/16 198.18.128.0/17\n  open 10%  rtt 20ms jitter 5ms\n"
    )

    def demands(self, first, others):
        yield from self.demands_of(first, "recall", "precision")


class LimitedResets(LabScenario):
    """Hosts that refuse only 200 times a second, as FreeBSD does: silence that is none."""

    key = "limited"
    name = "raw: 16 hosts, 1,000 ports, 200 RSTs/s each"
    targets = "198.19.0.0/28"
    ports = "1-1000"
    groups = ("states", "once")
    rates = (10_000,)
    description = (
        "network 198.19.0.0/28\n  open 1%  silent 10%  rtt 20ms  limit rst 200 freebsd\n"
    )

    def demands(self, first, others):
        yield small(first)
        yield from right(first, "recall", "precision", "accuracy")


class Sweep(LabScenario):
    """One port of many addresses, of which half do not exist: what a packet costs."""

    key = "sweep"
    name = "raw: 65,536 addresses, 1 port"
    targets = "198.19.0.0/16"
    ports = "80"
    groups = ("open", "once", "one-port", "one-port-default")
    rates = (10_000, 100_000, 1_000_000)
    runs = 3
    limit = 60
    description = (
        "network 198.19.0.0/16\n  open 10%  silent 10%  absent 50%  rtt uniform 2ms 40ms\n"
    )

    def demands(self, first, others):
        yield small(first)
        yield from right(first, "recall", "precision")
        able, but = truthful(others, 0.999)
        for other in able:
            mine, theirs = 1 / first.median("packet_cpu"), 1 / other.median("packet_cpu")
            yield (
                f"at least the packets a second of a core of {other.name}{but}: "
                f"{mine:,.0f} and {theirs:,.0f}",
                mine >= theirs,
            )


class Tunnel(LabScenario):
    """All ports of a host at the other end of a tunnel, a device without Ethernet."""

    key = "tunnel"
    name = "raw: one host through a tunnel, all ports"
    targets = "198.19.0.1"
    ports = "0-65535"
    groups = ("states", "once")
    rates = (10_000,)
    tun = True
    runs = 3
    limit = 25
    description = "network 198.19.0.1\n  open 1%  rtt 300us jitter 100us\n"

    def demands(self, first, others):
        yield small(first)
        yield from right(first, "recall", "precision", "accuracy")
        yield from faster(first, of_group(others, "states"), 1, 1)


class Lies(LabScenario):
    """Answers that are forged, damaged, doubled or late: what is believed."""

    key = "lies"
    name = "raw: 4,096 addresses, 1 port, false answers"
    targets = "198.19.0.0/20"
    ports = "80"
    groups = ("states", "once", "waiting", "one-port")
    rates = (10_000,)
    description = (
        "network 198.19.0.0/20\n  open 10%  silent 5%  rtt uniform 2ms 40ms\n"
        "  forge 50%  corrupt 5%  duplicate 10% 50ms  late 5% 2s\n"
    )

    def demands(self, first, others):
        yield small(first)
        yield from right(first, "precision")
        for other in others:
            yield as_true(first, other)


# ---- Packets by the million ----


# Words before a command that is to have the first processor for itself. Where the kernel gives each
# session the same share (sched(7), autogroup), nice says something inside of one alone.
FIRST_PROCESSOR = (
    "taskset", "-c", "0", "nice", "-n", "-20", "setsid",
    "sh", "-c", '{ echo -20 > /proc/self/autogroup; } 2> /dev/null; exec "$@"', "sh",
)  # fmt: skip
LAB_REACHES = 0.95  # of the answers a second that it is told to send, or it is the limit itself
WIDE = "10.0.0.0/12"  # nobody's, in namespaces that nothing leaves; zmap and masscan know IPv4 alone


class ReflectorScenario(ScanScenario):
    """A network that the reflector plays, with the first peer sending from inside the kernel, by
    `--link xdp`. Each run has ports of its own that are open."""

    population = {"open": 6, "closed": 69}
    measures_rate = True
    held = {}  # how the lab holds answers
    beside = ()  # words before a command
    runs = 3
    limit = 30
    patience = 5

    def __init__(self):
        super().__init__()
        self.known = None, {}

    @contextlib.contextmanager
    def attempt(self, number):
        networks = [network for network in self.targets.split() if network.startswith("10.")]
        with Reflector(**self.population, **self.held, seed=number + 1, beacon=True,
                       networks=(*NETWORKS, *networks)) as lab:  # fmt: skip
            values = {
                "targets": self.targets, "ports": self.ports, "interface": lab.device,
                "source": SOURCE, "hardware": lab.hardware,
            }  # fmt: skip
            words = [*lab.prefix, *self.beside]
            attempt = Attempt(words, values, self.truth(lab, number))
            yield attempt
            attempt.counters |= lab.counters()

    def truth(self, lab, number):
        """The open ports of a run; asked for once, because the peers take turns."""
        if self.known[0] != number:
            found = lab.truth_open(self.ports, *self.targets.split())
            self.known = number, dict.fromkeys(found, "open")
        return self.known[1]

    def demands(self, first, others):
        yield "recall at least 99.99%", first.worst("recall") >= 0.9999
        yield from right(first, "precision")


class XdpRate(ReflectorScenario):
    """Addresses that never answer: what it costs to send."""

    key = "xdp-rate"
    name = "xdp: 2,097,152 addresses, 1 port, all silent, asked once"
    targets = "10.0.0.0/11"
    ports = "80"
    groups = ("xdp-rate", "once", "one-port")
    rates = (10_000_000,)
    population = {"open": 0, "closed": 0}

    def demands(self, first, others):
        known = [other for other in of_peers(others) if other.median("core_rate")]
        if known:
            best = max(known, key=lambda other: other.median("core_rate"))
            reached = first.median("core_rate") / best.median("core_rate")
            yield (
                f"at least 4 times the packets a second and core of {best.name}: "
                f"{first.median('core_rate'):,.0f} and {best.median('core_rate'):,.0f}, "
                f"{reached:.1f} times",
                reached >= 4,
            )


class XdpReplies(ReflectorScenario):
    """Ports that all refuse: which share of so many answers a second is heard. The network answers
    when everything was asked, so that sending takes nothing from hearing. There are few hosts,
    because what there is to keep of a host costs more than an answer.

    The peer has the first processor. The other one sends, and runs what the kernel does for packets
    that come in. Both come before whatever else the machine does meanwhile."""

    targets = "198.19.0.0/28"
    ports = "0-65535"
    groups = ("xdp-replies",)
    population = {"open": 0, "closed": 100}
    beside = FIRST_PROCESSOR
    patience = 15
    answer_rate = 0  # answers a second

    def __init__(self):
        super().__init__()
        self.held = {"hold": 16 * 65536, "reply_rate": self.answer_rate, "processor": 1}

    def demands(self, first, others):
        return ()


class XdpRepliesHalf(XdpReplies):
    """500,000 a second."""

    key = "xdp-replies-500k"
    name = "xdp: 1,048,576 answers at 500,000/s"
    answer_rate = 500_000


class XdpRepliesOne(XdpReplies):
    """A million."""

    key = "xdp-replies-1m"
    name = "xdp: 1,048,576 answers at 1,000,000/s"
    answer_rate = 1_000_000


class XdpRepliesTwo(XdpReplies):
    """Two millions, which is where it is demanded that nothing is lost."""

    key = "xdp-replies-2m"
    name = "xdp: 1,048,576 answers at 2,000,000/s"
    answer_rate = 2_000_000
    runs = 5

    def demands(self, first, others):
        """Those runs count that the lab and the machine did not disturb; the table shows all."""
        least = LAB_REACHES * self.answer_rate
        quiet = [run for run in first.runs if run.noise <= NOISE_MAXIMUM]
        reached = [run for run in quiet if run.rate >= least]
        kept = min((run.kept for run in reached or first.runs), default=0)
        if reached:
            where = f"the least of {len(reached)} runs at that rate"
        elif quiet:
            where = f"but the lab is the limit, which reached {first.median('rate'):,.0f}/s"
        else:
            where = "but others used the machine in all runs"
        yield (
            f"at least 99.9% of {self.answer_rate:,} answers a second kept: {kept:.3%}, {where}",
            bool(reached) and kept >= 0.999,
        )


class XdpRepliesThree(XdpReplies):
    """Three millions, which is more than the lab can here."""

    key = "xdp-replies-3m"
    name = "xdp: 1,048,576 answers at 3,000,000/s"
    answer_rate = 3_000_000


class XdpWide(ReflectorScenario):
    """One port of a /12."""

    key = "xdp-wide"
    name = "xdp: 1,048,576 addresses, 1 port"
    targets = WIDE
    ports = "80"
    groups = ("link", "once", "one-port")
    rates = (200_000, 10_000_000)


class XdpDeep(ReflectorScenario):
    """Some ports of a /16, which zmap does not do in one run."""

    key = "xdp-deep"
    name = "xdp: 65,536 addresses, 16 ports"
    targets = "198.19.0.0/16"
    ports = "8000-8015"
    groups = ("link", "once")
    rates = (200_000, 10_000_000)


def of_peers(results):
    """Those of other programs."""
    return [result for result in results if not result.name.startswith("porthole")]


SCENARIOS = (
    Loopback, Network,
    OneHost, OneHostSilent, Lossy, LossyMore, Estimate, EstimateMore, Bottleneck, BottleneckSweep,
    LimitedResets, Sweep, RawLoopback, Tunnel, Lies,
    XdpRate, XdpRepliesHalf, XdpRepliesOne, XdpRepliesTwo, XdpRepliesThree, XdpWide, XdpDeep,
)  # fmt: skip

"""A network of a test's own that answers millions of SYNs a second: the reflector (tests/lab) plays it
in an XDP program at the far end of a veth pair. It has every address, answers at once, and each port
is open, closed or silent by a hash; whatever else a network may do is simnet's (lab.py).

    with Reflector(open=6, closed=69, verify=True) as lab:
        subprocess.run([*lab.prefix, "nmap", "-sS", "-p", "22,80", "198.18.1.0/28"], check=True)
        expected = lab.truth("22,80", "198.18.1.0/28")
        sent = lab.counters()["probes"]
"""

import json
import os
import pathlib
import select
import signal
import subprocess

from lab import State
from namespaces import PATIENCE, Namespace, run, wire

GATEWAYS = {4: "198.18.0.1", 6: "fd00::1"}
SCANNERS = {4: "198.18.0.2", 6: "fd00::2"}
NETWORKS = ("198.18.0.0/15", "fd00::/8")

# veth takes what an XDP program sends only at an end that polls. What makes the scanner's end do so:
GRO = "gro"  # that offload, which leaves the place for a program free
PASS = "pass"  # a program that passes everything, without GRO
OWN = "own"  # the scanner's own program: until there is one, nothing is heard


def program():
    """The path of the reflector in the build directory that the tests are run for; it isn't there
    where the build has no BPF."""
    return str(pathlib.Path(os.environ["PORTHOLE_BUILD"], "tests", "lab", "reflector"))


class Reflector:
    """A namespace with all of NETWORKS behind a gateway, while a `with` lasts or until stop().

    `open`, `closed` and `loss` are percentages, the latter of SYNs. With `verify` SYNs with wrong
    checksums are dropped and counted. With `distinct` the ports that were answered are counted in
    `answered`, each once; their addresses must differ in the last 8 bits. `beacon` is for masscan,
    which looks at its clock only when a packet comes. The first `hold` answers are kept until they
    are all there or nothing came for 200 ms, and then sent at `reply_rate` a second by `processor`:
    in `held_time` seconds, in which the scanner's device took `taken` packets. `networks` are
    routed to the reflector: others than the usual ones are nobody's here either, because nothing
    leaves the two namespaces.
    """

    def __init__(self, open=6, closed=69, seed=1, loss=0, verify=False, distinct=False,
                 beacon=False, hold=0, reply_rate=1_000_000, processor=None, polls=GRO,
                 networks=NETWORKS, test=None):  # fmt: skip
        self._population = ["--open", str(open), "--closed", str(closed), "--seed", str(seed)]
        self._processes = []
        self._counters = None
        self.namespace, self._far = Namespace(), Namespace()
        try:
            self._configure(networks, polls)
            if polls == PASS:
                self._start(self.namespace, "--pass", self.device)
                # An end without a program is never told of what comes by XDP_TX (Linux 6.18).
            flags = {"--verify": verify, "--distinct": distinct, "--beacon": beacon,
                     "--redirect": polls == GRO}  # fmt: skip
            options = [flag for flag, wanted in flags.items() if wanted]
            options += ["--loss", str(loss), "--hold", str(hold), "--rate", str(reply_rate)]
            if processor is not None:
                options += ["--processor", str(processor)]
            self._start(self._far, "--device", self.device, *self._population, *options)
        except BaseException:
            self.stop()
            raise
        if test:
            test.addCleanup(self.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def prefix(self):
        """The words before a command that is to run beside the network."""
        return self.namespace.prefix

    # ---- What is true ----

    def _ask(self, kind, ports, targets):
        words = [program(), kind, *self._population, "-p", str(ports), *targets]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, encoding="ascii")
        return map(str.split, done.stdout.splitlines())

    def truth(self, ports, *targets):
        """(address, port) → State, for targets such as "198.18.1.0/28" and "fd00:1::1-fd00:1::9".
        `ports` are "22,80-88"."""
        return {
            (address, int(port)): State(*state)
            for address, port, *state in self._ask("--truth", ports, targets)
        }

    def truth_open(self, ports, *targets):
        """The set of (address, port) that are open."""
        lines = self._ask("--truth-open", ports, targets)
        return {(address, int(port)) for address, port, *_ in lines}

    def truth_counts(self, ports, *targets):
        """state → how many (address, port) are in it; fast for hundreds of millions."""
        return {state: int(count) for state, count in self._ask("--truth-counts", ports, targets)}

    # ---- What happened ----

    def counters(self):
        """What the reflector counted: so far while it runs, and in the end after stop().

        `probes` are SYNs: `syn_acks` and `resets_sent` were answered, the others `silent`, `lost` or
        `broken`. `windows` are SYNs in periods of `window` seconds from the first one on."""
        if self._counters is not None:
            return self._counters
        process = self._processes[-1]
        process.send_signal(signal.SIGUSR1)
        return json.loads(_line(process))

    def stop(self):
        """Ends the reflector and takes the namespaces down. Its counters stay."""
        try:
            while self._processes:
                said = _end(self._processes.pop())
                if self._counters is None and said.startswith("{"):
                    self._counters = json.loads(said.splitlines()[-1])
        finally:
            self.namespace.close()
            self._far.close()

    # ---- Inner parts ----

    def _configure(self, networks, polls):
        self.device = wire(self.namespace, [f"{SCANNERS[4]}/24", f"{SCANNERS[6]}/64"],
                           self._far, [f"{GATEWAYS[4]}/24", f"{GATEWAYS[6]}/64"])  # fmt: skip
        # Without `tx off` the kernel's own segments would leave without a checksum that could be
        # mended. The other end's offloads show nowhere: its program comes before them.
        gro = "on" if polls == GRO else "off"
        run(*self.prefix, "ethtool", "-K", self.device, "tx", "off", "tso", "off", "gso", "off",
            "gro", gro)  # fmt: skip
        for network in networks:
            gateway = GATEWAYS[6 if ":" in network else 4]
            self.namespace.ip("route", "add", network, "via", gateway, "dev", self.device)
        links = json.loads(run("ip", "-n", self._far.name, "-json", "link", "show", self.device))
        self.hardware = links[0]["address"]

    def _start(self, namespace, *words):
        self._processes.append(subprocess.Popen(
            [*namespace.prefix, program(), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii",
        ))  # fmt: skip
        if _line(self._processes[-1]) != "ready\n":
            raise RuntimeError("the reflector does not start")


def _line(process):
    """The next line that it prints; each is read before the next one is asked for."""
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    return process.stdout.readline() if ready else ""


def _end(process):
    """Ends a process by the end of its input; returns what it still said."""
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]

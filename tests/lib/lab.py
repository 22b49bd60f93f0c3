"""A network of a test's own, of up to millions of addresses: simnet (tests/lab) plays it behind a
TAP or TUN device in a network namespace, and programs in that namespace scan it.

    with Lab('''
        gateway 198.18.0.1
        network 198.18.1.0/24
          open 22 80
          silent 20%
    ''') as lab:
        subprocess.run([*lab.prefix, "nmap", "-sS", "-p", "22,80", "198.18.1.0/28"], check=True)
        expected = lab.truth("22,80", "198.18.1.0/28")
    sent = lab.counters()["probes"]

What descriptions can say stands in tests/lab/description.md.
"""

import ipaddress
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time
import typing

from namespaces import PATIENCE, Namespace

DEVICE = "simnet0"


def program():
    """The path of simnet in the build directory that the tests are run for."""
    return str(pathlib.Path(os.environ["PORTHOLE_BUILD"], "tests", "lab", "simnet"))


class State(typing.NamedTuple):
    """What a port is, why, and which router says so in place of the host."""

    state: str  # open, closed, filtered
    reason: str  # syn-ack, proxy, tarpit; reset; silent, firewalled, absent, outside, ICMP's
    router: str | None = None


class Lab:
    """A namespace with a simulated network in it, while a `with` lasts or until stop().

    `scanners` are the addresses of the scanner's side. They default to the one after each gateway,
    in a /24 or /64 with it, or to 198.18.0.2 and fd00::2 where there is no gateway.
    `options` are simnet's: "--queue", N; "--events", N; "--beacon", which masscan needs in order
    to end, because it looks at its clock only when a packet comes. `seed` replaces the
    description's.

    With `deaf` the kernel drops what comes by TCP before its own TCP sees it, and so sends no RST
    for each SYN, ACK: only scanners with packet sockets still hear it, and simnet answers twice as
    many.
    """

    def __init__(self, description, *options, test=None, tun=False, scanners=None, seed=None,
                 deaf=False):  # fmt: skip
        self._seed = [] if seed is None else ["--seed", str(seed)]
        self._files = tempfile.TemporaryDirectory(prefix="porthole-lab-")
        self._description = pathlib.Path(self._files.name, "network")
        self._description.write_text(description, encoding="utf-8")
        self._file = pathlib.Path(self._files.name, "counters")
        self._counters = None
        self._process = None
        self.tun = tun
        self.device = DEVICE
        self.namespace = Namespace()
        try:
            self._gateways, self.networks = self._read_networks()
            self.scanners = scanners or self._default_scanners()
            self._start(options)
            self._configure()
            if deaf:
                self._deafen()
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

    def _ask(self, *words):
        return subprocess.run(
            [program(), *self._seed, *words], check=True, stdout=subprocess.PIPE, encoding="ascii"
        ).stdout

    def truth(self, ports, *targets):
        """(address, port) → State, for all addresses of the networks, or for targets such as
        "198.18.1.0/28" and "fd00:1::1-fd00:1::9". `ports` are "22,80-88"."""
        lines = self._ask("--truth", str(self._description), "-p", str(ports), *targets)
        return {
            (address, int(port)): State(*state)
            for address, port, *state in map(str.split, lines.splitlines())
        }

    def truth_open(self, ports, *targets):
        """The set of (address, port) that are open."""
        lines = self._ask("--truth-open", str(self._description), "-p", str(ports), *targets)
        return {
            (address, int(port))
            for address, port, *_ in map(str.split, lines.splitlines())
        }

    def truth_counts(self, ports, *targets):
        """state → how many (address, port) are in it; fast for hundreds of millions."""
        lines = self._ask("--truth-counts", str(self._description), "-p", str(ports), *targets)
        return {state: int(count) for state, count in map(str.split, lines.splitlines())}

    # ---- What happened ----

    def counters(self):
        """What simnet counted: so far while it runs, and in the end after stop()."""
        if self._counters is not None:
            return self._counters
        self._file.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE
        while not self._file.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("simnet writes no counters")
            time.sleep(0.005)
        return json.loads(self._file.read_text(encoding="ascii"))

    def stop(self):
        """Ends simnet and takes the namespace down. Its counters stay."""
        try:
            self._end_process()
        finally:
            self.namespace.close()
            self._files.cleanup()

    # ---- Inner parts ----

    def _read_networks(self):
        gateways, networks = [], []
        for kind, name, *how in map(
            str.split, self._ask("--networks", str(self._description)).splitlines()
        ):
            if kind == "gateway":
                gateways.append(ipaddress.ip_address(name))
            else:
                networks.append((ipaddress.ip_network(name), how[0] == "onlink"))
        return gateways, networks

    def _default_scanners(self):
        addresses = {4: "198.18.0.2/24", 6: "fd00::2/64"}
        for gateway in self._gateways:
            length = 24 if gateway.version == 4 else 64
            addresses[gateway.version] = f"{gateway + 1}/{length}"
        used = {network.version for network, _ in self.networks}
        return [addresses[version] for version in sorted(used)]

    def _start(self, options):
        self._process = subprocess.Popen(
            [*self.prefix, program(), "--device", self.device, "--tun" if self.tun else "--tap",
             "--counters", str(self._file), "--until-eof", *self._seed, *map(str, options),
             str(self._description)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii",
        )  # fmt: skip
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready or self._process.stdout.readline() != "ready\n":
            raise RuntimeError("simnet does not start")

    def _configure(self):
        """The scanner's side of the device: addresses, and routes to the networks."""
        ip = self.namespace.ip
        for address in self.scanners:
            nodad = ["nodad"] if ":" in address else []
            ip("address", "add", address, "dev", self.device, *nodad)
        gateways = {gateway.version: gateway for gateway in self._gateways}
        local = [ipaddress.ip_interface(address).network for address in self.scanners]
        for network, onlink in self.networks:
            if network in local:
                continue
            way = [] if onlink or self.tun else ["via", str(gateways[network.version])]
            ip("route", "replace", str(network), *way, "dev", self.device)

    def _deafen(self):
        self.namespace.nft(
            "table netdev lab { chain in { type filter hook ingress device "
            f"{self.device} priority 0; meta l4proto tcp drop\n}}\n}}\n"
        )

    def _end_process(self):
        process, self._process = self._process, None
        if not process:
            return
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        if self._file.exists():
            self._counters = json.loads(self._file.read_text(encoding="ascii"))

"""The scenarios of the benchmark. Each makes a network in namespaces of its own, and with it the
truth about every port; nothing leaves the machine."""

import contextlib
import ipaddress
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, wire
from sockets import listen


class Scenario:
    """What is asked, what is true, and what the first peer must reach against each other one."""

    name = ""
    targets = ""
    ports = ""
    runs = 1  # of each peer, in turns
    limit = 600  # seconds after which a run is broken off
    wall = 1.0  # at least so many times as fast
    cpu = 0.0  # at least so many times less CPU; 0: not asked for

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.open = set()  # (address, port)

    def __enter__(self):
        self.namespace = self.stack.enter_context(Namespace())
        self.build()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def build(self):
        """Makes the network around self.namespace, where the peers run, and fills in self.open."""
        raise NotImplementedError

    def serve(self, namespace, address, ports):
        """Listeners that nobody accepts from, as many connections as there may be."""
        with namespace.entered():
            for port in ports:
                self.stack.enter_context(listen(address, port))


class Loopback(Scenario):
    """All ports of one host that answers at once: what a probe costs."""

    name = "loopback, 65,535 ports"
    targets = "127.0.0.1"
    ports = "1-65535"
    runs = 9
    wall = 2.0
    cpu = 2.0

    def build(self):
        ports = [1 + i * 1337 for i in range(49)]
        self.serve(self.namespace, "127.0.0.1", ports)
        self.open = {("127.0.0.1", port) for port in ports}


class Network(Scenario):
    """A network of which much is silent: what waiting costs.

    Every host has some open ports and refuses most others. A firewall drops a tenth of the ports of
    all hosts, and every fourth host is one that drops whatever is not open."""

    name = "256 hosts, 1,000 ports, some silent"
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
        self.open = {(host, port) for host in hosts for port in everywhere}
        for i, host in enumerate(hosts):
            port = 500 + i
            self.serve(target, host, [port])
            self.open.add((host, port))
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


SCENARIOS = (Loopback, Network)

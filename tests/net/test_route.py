"""Where packets go: what routes_find() says must be what `ip route get` says, for every address.

Namespaces with all kinds of routes and rules are asked about hundreds of addresses: at random, and
on both sides of every end of a prefix.
"""

import errno
import ipaddress
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need, run, wire

SHOW_ROUTE = str(pathlib.Path(os.environ["PORTHOLE_BUILD"], "tests", "show_route"))

# What ip(8) says when the kernel refuses.
REFUSALS = {os.strerror(code): code for code in errno.errorcode}

# Addresses that connect() treats in its own way and `ip route get` does not.
APART = [ipaddress.ip_network(text) for text in ("224.0.0.0/4", "ff00::/8", "fe80::/10", "::/128")]


def show(namespace, addresses, interface=None):
    """What routes_find() says: address → code, or (device, source, gateway, local). Of the next
    hops it also tells the hardware addresses that the kernel knows."""
    words = [*namespace.prefix, SHOW_ROUTE, *([interface] if interface else [])]
    lines = "".join(f"{address}\n" for address in addresses)
    done = subprocess.run(words, input=lines, capture_output=True, text=True, check=True)
    found, hardware = {}, {}
    for line in done.stdout.splitlines():
        address, code, *rest = line.split()
        if rest:
            device, source, gateway, local, hardware[address] = rest
            found[address] = (device, source, None if gateway == "-" else gateway, local == "1")
        else:
            found[address] = int(code)
    return found, hardware


def ask_ip(namespace, address, more=()):
    """What `ip route get` says, in the same form. A zone is asked about as a device."""
    plain, _, zone = address.partition("%")
    words = ["ip", f"-{ipaddress.ip_address(plain).version}", "-json", "route", "get", plain]
    words += ["oif", zone] if zone else []
    done = subprocess.run(
        [*namespace.prefix, *words, *more], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[0].removeprefix("RTNETLINK answers: ")
        return REFUSALS[said]
    (answer,) = json.loads(done.stdout)
    kind = answer.get("type", "unicast")
    if kind == "broadcast":
        return errno.ENETUNREACH  # as connect() says
    gateway = answer.get("gateway") or answer.get("via", {}).get("host")
    source = answer.get("prefsrc")
    if not source:
        return errno.EADDRNOTAVAIL
    return answer["dev"], source, gateway, kind in ("local", "anycast")


def apart(address):
    """Whether `ip route get` is no oracle for an address."""
    number = ipaddress.ip_address(address)
    return any(number in network for network in APART if network.version == number.version)


def around(prefix):
    """The addresses at both sides of both ends of a prefix."""
    network = ipaddress.ip_network(prefix)
    kind = type(network.network_address)
    first, last = int(network.network_address), int(network.broadcast_address)
    limit = 2**network.max_prefixlen
    return {str(kind(n)) for n in (first - 1, first, last, last + 1) if 0 <= n < limit}


def within(prefix, count, dice):
    """Random addresses of a prefix."""
    network = ipaddress.ip_network(prefix)
    kind = type(network.network_address)
    return {
        str(kind(int(network.network_address) + dice.randrange(network.num_addresses)))
        for _ in range(count)
    }


class RouteTest(unittest.TestCase):
    """Compares with the oracle."""

    def check(self, namespace, prefixes, interface=None, more=()):
        """Asks about addresses in and around prefixes, in a random order, so that the first of a
        stretch may be any of it."""
        dice = random.Random(1)
        addresses = set()
        for prefix in prefixes:
            addresses |= around(prefix) | within(prefix, 8, dice)
        addresses = sorted(a for a in addresses if not apart(a))
        dice.shuffle(addresses)
        if interface:
            more = [*more, "oif", interface]
        expected = {address: ask_ip(namespace, address, more) for address in addresses}
        self.compare(namespace, expected, interface)
        return expected

    def compare(self, namespace, expected, interface=None):
        """Asks about the addresses of `expected`."""
        found, _ = show(namespace, expected, interface)
        self.assertEqual(len(found), len(expected))
        for address, answer in expected.items():
            with self.subTest(address=address):
                self.assertEqual(found[address], answer)


@need("ip")
class TestRoute(RouteTest):
    """Two networks on two devices, joined to two neighbours."""

    def setUp(self):
        self.here, there = Namespace(self), Namespace(self)
        self.one = wire(self.here, ["198.18.0.1/24", "fd00::1/64"],
                        there, ["198.18.0.2/24", "fd00::2/64"])  # fmt: skip
        self.two = wire(self.here, ["198.18.1.1/24", "198.18.1.9/24", "fd01::1/64", "fe80::1/64"],
                        there, ["198.18.1.2/24", "fd01::2/64"])  # fmt: skip

    def route(self, *words):
        """Adds an IPv4 route."""
        self.here.ip("-4", "route", "add", *words)

    def route6(self, *words):
        """Adds an IPv6 route."""
        self.here.ip("-6", "route", "add", *words)

    def defaults(self):
        """Adds a default route of each family, which leave by different devices."""
        self.route("default", "via", "198.18.0.2")
        self.route6("default", "via", "fd01::2")

    def test_without_other_routes(self):
        expected = self.check(
            self.here,
            ["0.0.0.0/0", "0.0.0.0/8", "127.0.0.0/8", "240.0.0.0/4", "198.18.0.0/24",
             "198.18.0.1/32", "198.18.1.0/24", "198.18.1.9/32", "::/0", "::1/128", "fd00::/64",
             "fd00::1/128", "fd01::/64", "fd01::1/128", "fc00::/7"],
        )  # fmt: skip
        self.assertEqual(expected["198.18.0.2"], (self.one, "198.18.0.1", None, False))
        self.assertEqual(expected["198.18.0.255"], errno.ENETUNREACH)
        self.assertEqual(expected["198.18.2.0"], errno.ENETUNREACH)
        self.assertEqual(expected["fd01::1"], ("lo", "fd01::1", None, True))

    def test_kinds_of_routes(self):
        self.defaults()
        prefixes = ["0.0.0.0/0", "::/0", "127.0.0.0/8", "198.18.0.0/24", "fd00::/64"]
        for number, kind in enumerate(("blackhole", "unreachable", "prohibit", "throw")):
            self.route(kind, f"10.{number}.0.0/16")
            self.route6(kind, f"fd10:{number}::/32")
            prefixes += [f"10.{number}.0.0/16", f"fd10:{number}::/32"]
        self.route("10.0.7.0/24", "via", "198.18.1.2")  # inside a blackhole
        self.route("10.0.7.7/32", "via", "198.18.0.3")
        self.route("unreachable", "10.0.7.128/25")
        self.route("10.9.0.0/16", "dev", self.two, "src", "198.18.1.9")
        self.route("10.9.9.0/24", "via", "inet6", "fd00::5", "dev", self.one)
        self.route6("fd10:0:7::/48", "via", "fd00::3")
        self.route6("fd10:0:7::7/128", "via", "fd01::3", "src", "fd00::1")
        self.route6("fd10:9::/32", "dev", self.one)
        prefixes += ["10.0.7.0/24", "10.0.7.7/32", "10.0.7.128/25", "10.9.0.0/16", "10.9.9.0/24",
                     "fd10:0:7::/48", "fd10:0:7::7/128", "fd10:9::/32"]  # fmt: skip
        expected = self.check(self.here, prefixes)
        self.assertEqual(expected["10.9.9.0"], (self.one, "198.18.0.1", "fd00::5", False))
        self.assertEqual(expected["10.0.7.7"], (self.one, "198.18.0.1", "198.18.0.3", False))
        self.assertEqual(expected["10.0.0.0"], errno.EINVAL)
        self.assertEqual(expected["fd10:2::"], errno.EACCES)
        self.assertEqual(set(map(type, expected.values())), {int, tuple})

    def test_rules(self):
        self.defaults()
        for family, prefix, gateway in (("-4", "10.1.0.0/16", "198.18.1.2"),
                                        ("-6", "fd10:1::/32", "fd00::2")):  # fmt: skip
            self.here.ip(family, "route", "add", "default", "via", gateway, "table", "7")
            self.here.ip(family, "rule", "add", "to", prefix, "lookup", "7",
                         "priority", "10")  # fmt: skip
        self.here.ip("rule", "add", "to", "10.2.0.0/16", "prohibit", "priority", "11")
        self.here.ip("rule", "add", "to", "10.1.3.0/24", "unreachable", "priority", "9")
        self.here.ip("-6", "rule", "add", "to", "fd10:2::/32", "blackhole")
        # Of all but the main table's default route, as wg-quick(8) does it.
        self.here.ip("route", "add", "default", "via", "198.18.1.3", "table", "8")
        self.here.ip("rule", "add", "not", "fwmark", "8", "lookup", "8", "priority", "32001")
        self.here.ip("rule", "add", "lookup", "main", "suppress_prefixlength", "0",
                     "priority", "32000")  # fmt: skip
        self.here.ip("rule", "add", "to", "10.4.0.0/16", "ipproto", "tcp", "prohibit",
                     "priority", "12")  # fmt: skip
        self.here.ip("rule", "add", "to", "10.5.0.0/16", "ipproto", "udp", "prohibit",
                     "priority", "13")  # fmt: skip
        expected = self.check(
            self.here,
            ["0.0.0.0/0", "10.1.0.0/16", "10.1.3.0/24", "10.2.0.0/16", "10.4.0.0/16",
             "10.5.0.0/16", "198.18.0.0/24", "::/0", "fd10:1::/32", "fd10:2::/32"],
            more=["ipproto", "tcp"],
        )  # fmt: skip
        self.assertEqual(expected["10.1.0.0"], (self.two, "198.18.1.1", "198.18.1.2", False))
        self.assertEqual(expected["10.1.3.0"], errno.ENETUNREACH)
        self.assertEqual(expected["10.4.0.0"], errno.EACCES)
        self.assertEqual(expected["10.5.0.0"], (self.two, "198.18.1.1", "198.18.1.3", False))

    def test_rules_about_sources(self):
        # connect() takes the source of a first answer and asks again with it.
        self.defaults()
        self.here.ip("route", "add", "default", "via", "198.18.0.77", "table", "7")
        self.here.ip("route", "add", "prohibit", "10.2.0.0/16", "table", "7")
        self.here.ip("rule", "add", "from", "198.18.0.1", "lookup", "7", "priority", "9")
        found, _ = show(self.here, ["10.1.0.1", "10.2.0.1", "198.18.1.2", "127.0.0.1"])
        self.assertEqual(found["10.1.0.1"], (self.one, "198.18.0.1", "198.18.0.77", False))
        self.assertEqual(found["10.2.0.1"], errno.EACCES)
        self.assertEqual(found["198.18.1.2"], (self.two, "198.18.1.1", None, False))
        self.assertEqual(found["127.0.0.1"], ("lo", "127.0.0.1", None, True))
        with self.here.entered(), socket.socket() as connection:
            connection.setblocking(False)
            self.assertEqual(connection.connect_ex(("10.2.0.1", 9)), errno.EACCES)

    def test_routes_of_some_sources(self):
        # With several uplinks IPv6 has default routes for their sources only (RFC 8504 §5.4).
        self.route6("default", "from", "fd00::/64", "via", "fd00::2")
        self.route6("default", "from", "fd01::/64", "via", "fd01::2")
        for address in ("fd02::1", "2001:db8::1", "::2"):
            with self.here.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as chooser:
                chooser.connect((address, 9))
                source = chooser.getsockname()[0]
            device, gateway = {"fd00::1": (self.one, "fd00::2"),
                               "fd01::1": (self.two, "fd01::2")}[source]  # fmt: skip
            found, _ = show(self.here, [address])
            self.assertEqual(found[address], (device, source, gateway, False))
            found, _ = show(self.here, [address], device)
            self.assertEqual(found[address], (device, source, gateway, False))

    def test_choice_of_sources(self):
        # The kernel chooses a source by the destination, within one and the same route.
        more = ("fd00:aaaa", "fd00:ab00", "2001:db8", "2001:db9:8000", "2002:c612:1", "fec0:0")
        for prefix in more:
            self.here.ip("address", "add", f"{prefix}::1/64", "dev", self.two, "nodad")
        self.here.ip("addrlabel", "add", "prefix", "2001:db8:7::/48", "label", "42")
        self.here.ip("addrlabel", "add", "prefix", "fd00:aaaa::/64", "label", "42")
        self.defaults()
        self.here.ip("-6", "route", "add", "default", "via", "fd00::2", "metric", "9999")
        expected = self.check(
            self.here,
            ["::/0", "fd00::/16", "fd00:aaaa::/32", "fd00:a000::/20", "fd00:ab00::/32",
             "2001:db8::/32", "2001:db8:7::/48", "2001:db9::/32", "2001:d00::/24", "2001::/32",
             "2002::/16", "3ffe::/16", "fc00::/7", "fec0::/10", "::/96"],
        )  # fmt: skip
        sources = {answer[1] for answer in expected.values() if isinstance(answer, tuple)}
        self.assertGreater(len(sources), 5)
        self.assertEqual(expected["2001:db8:7::"][1], "fd00:aaaa::1")

    def test_by_one_interface(self):
        self.defaults()
        self.route("10.1.0.0/16", "via", "198.18.1.2")
        self.route("unreachable", "10.2.0.0/16")
        for device in (self.one, self.two, "lo"):
            self.check(
                self.here,
                ["0.0.0.0/0", "127.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "198.18.0.0/24",
                 "198.18.1.0/24", "198.18.0.1/32", "::/0", "fd00::/64", "fd01::/64"],
                interface=device,
            )  # fmt: skip

    def test_tunnel(self):
        self.defaults()
        self.here.ip("tuntap", "add", "dev", "tunnel", "mode", "tun")
        self.here.ip("address", "add", "198.18.5.1", "peer", "198.18.5.2", "dev", "tunnel")
        self.here.ip("link", "set", "tunnel", "up")
        self.route("10.0.0.0/8", "dev", "tunnel")
        self.route("10.6.0.0/16", "via", "198.18.5.2")
        self.here.ip("tuntap", "add", "dev", "bare", "mode", "tun")
        self.here.ip("link", "set", "bare", "up")
        self.route("11.0.0.0/8", "dev", "bare")  # it borrows an address of another device
        expected = self.check(
            self.here, ["10.0.0.0/8", "10.6.0.0/16", "11.0.0.0/8", "198.18.5.2/32", "198.18.5.1/32"]
        )
        self.assertEqual(expected["10.0.0.0"], ("tunnel", "198.18.5.1", None, False))
        self.assertEqual(expected["11.0.0.0"][0], "bare")

    def test_link_local(self):
        self.here.ip("address", "add", "fe80::1:1/64", "dev", self.one, "nodad")
        expected = {}
        for device in (self.one, self.two, "lo"):
            for address in ("fe80::1", "fe80::1:1", "fe80::2", "fe80::ffff:1", "fe80:0:0:1::1"):
                address = f"{address}%{device}"
                expected[address] = ask_ip(self.here, address)
        self.assertEqual(expected[f"fe80::2%{self.two}"], (self.two, "fe80::1", None, False))
        self.compare(self.here, expected)
        # Without a zone nobody knows which link is meant, but with an interface.
        found, _ = show(self.here, ["fe80::2"])
        self.assertEqual(found, {"fe80::2": errno.EINVAL})
        found, _ = show(self.here, ["fe80::2"], self.two)
        self.assertEqual(found, {"fe80::2": (self.two, "fe80::1", None, False)})
        found, _ = show(self.here, [f"fe80::2%{self.two}"], self.one)
        self.assertEqual(found, {f"fe80::2%{self.two}": (self.two, "fe80::1", None, False)})

    def test_gateway_of_link_local_address(self):
        self.route6("default", "via", "fe80::2", "dev", self.two)
        self.route("default", "via", "inet6", "fe80::2", "dev", self.two)
        expected = self.check(self.here, ["8000::/1", "128.0.0.0/2"])
        self.assertEqual(expected["8000::"], (self.two, "fd01::1", "fe80::2", False))
        self.assertEqual(expected["128.0.0.0"], (self.two, "198.18.1.1", "fe80::2", False))

    def test_several_next_hops(self):
        hops = ["nexthop", "via", "198.18.0.2", "nexthop", "via", "198.18.1.2"]
        self.route("10.0.0.0/8", *hops)
        self.route6("fd10::/16", "nexthop", "via", "fd00::2", "nexthop", "via", "fd01::2")
        found, _ = show(self.here, ["10.0.0.1", "fd10::1"])
        self.assertIn(
            found["10.0.0.1"],
            [(self.one, "198.18.0.1", "198.18.0.2", False),
             (self.two, "198.18.1.1", "198.18.1.2", False)],
        )  # fmt: skip
        self.assertIn(found["fd10::1"][2], ("fd00::2", "fd01::2"))

    def test_neighbours(self):
        self.route("10.0.0.0/8", "via", "198.18.0.66")
        states = {"permanent": True, "reachable": True, "noarp": True, "stale": False, "delay": False,
                  "failed": False, "incomplete": False}  # fmt: skip
        expected = {}
        for number, (state, sure) in enumerate(states.items()):
            for address in (f"198.18.0.6{number}", f"fd00::6{number}"):
                hardware = f"02:00:00:00:00:6{number}"
                words = [] if state in ("failed", "incomplete") else ["lladdr", hardware]
                self.here.ip("neighbour", "add", address, *words, "dev", self.one, "nud", state)
                expected[address] = hardware if sure else "-"
        expected["198.18.0.70"] = "-"
        expected["127.0.0.1"] = "-"
        _, hardware = show(self.here, expected)
        self.assertEqual(hardware, expected)
        self.here.ip("neighbour", "replace", "198.18.0.66", "lladdr", "02:00:00:00:00:99",
                     "dev", self.one)  # fmt: skip
        self.assertEqual(show(self.here, ["10.1.2.3"])[1], {"10.1.2.3": "02:00:00:00:00:99"})


@need("ip")
class TestFewRoutes(RouteTest):
    """What machines with hardly any network have."""

    def test_loopback_only(self):
        expected = self.check(Namespace(self), ["0.0.0.0/0", "127.0.0.0/8", "::/0", "::1/128"])
        self.assertIn(errno.ENETUNREACH, expected.values())
        self.assertIn(("lo", "127.0.0.1", None, True), expected.values())

    def test_nothing(self):
        here = Namespace(self)
        here.ip("link", "set", "lo", "down")
        self.check(here, ["0.0.0.0/0", "127.0.0.0/8", "::/0", "::1/128"])

    def test_ipv6_switched_off(self):
        here = Namespace(self)
        here.sysctl("ipv6/conf/all/disable_ipv6", 1)
        self.check(here, ["127.0.0.0/8", "::/0", "::1/128"])

    def test_no_source_address(self):
        here, there = Namespace(self), Namespace(self)
        device = wire(here, [], there, [])
        here.ip("route", "add", "10.0.0.0/8", "dev", device)
        here.ip("-6", "route", "add", "fd10::/16", "dev", device)
        expected = self.check(here, ["10.0.0.0/8"])
        self.assertEqual(expected["10.0.0.0"], errno.EADDRNOTAVAIL)
        # ip(8) names ::1, but to no such packet there would be an answer.
        found, _ = show(here, ["fd10::1"])
        self.assertEqual(found, {"fd10::1": errno.EADDRNOTAVAIL})

    def test_thousands_of_routes(self):
        here, there = Namespace(self), Namespace(self)
        wire(here, ["198.18.0.1/24", "fd00::1/64"], there, ["198.18.0.2/24", "fd00::2/64"])
        dice = random.Random(2)
        lines, prefixes = [], set()
        while len(prefixes) < 5000:
            length = dice.randrange(9, 32)
            number = dice.randrange(11 << 24, 126 << 24) >> (32 - length) << (32 - length)
            prefixes.add(f"{ipaddress.IPv4Address(number)}/{length}")
        prefixes = sorted(prefixes)
        lines = [f"route add {p} via 198.18.0.{3 + n % 200}" for n, p in enumerate(prefixes)]
        run("ip", "-n", here.name, "-batch", "-", stdin="\n".join(lines))
        expected = self.check(here, dice.sample(prefixes, 40))
        self.assertGreater(len(set(expected.values())), 20)


if __name__ == "__main__":
    unittest.main()

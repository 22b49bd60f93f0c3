"""What firewalls and routers do to a SYN, in namespaces joined by veth pairs: every port's state
and reason must be what the rule makes of it, in IPv4 and in IPv6.

    here 198.18.0.1, fd00::1 ---- 198.18.0.2, fd00::2 there          (nftables: input)
                             \\--- 198.18.0.3, fd00::3 router         (nftables: forward)
                                   \\--- 198.18.1.2, fd01::2 behind
"""

import contextlib
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need, wire
from porthole import run, scan
from sockets import listen

OPEN = ("open", "syn-ack", None)
CLOSED = ("closed", "conn-refused", None)
SILENT = ("filtered", "no-response", None)

# nft's word for an ICMP error → nmap's word for it.
ICMP = {
    "net-unreachable": "net-unreach",
    "host-unreachable": "host-unreach",
    "prot-unreachable": "proto-unreach",
    "port-unreachable": "port-unreach",
    "net-prohibited": "net-prohibited",
    "host-prohibited": "host-prohibited",
    "admin-prohibited": "admin-prohibited",
}
ICMPV6 = {
    "no-route": "no-route",
    "admin-prohibited": "admin-prohibited",
    "addr-unreachable": "host-unreach",
    "port-unreachable": "port-unreach",
    "policy-fail": "admin-prohibited",
    "reject-route": "reject-route",
}

# Ports with a listener, and what becomes of them. Those without one are the same plus 1000.
ACCEPTED, DROPPED, RESET, REJECTED = 1000, 1001, 1002, 1100


class Family:
    """The addresses and words of IPv4 or IPv6."""

    def __init__(self, four):
        self.flag = "-4" if four else "-6"
        self.ip = "ip" if four else "ip6"
        self.icmp = ICMP if four else ICMPV6
        self.reject = "icmp type" if four else "icmpv6 type"
        self.here = "198.18.0.1" if four else "fd00::1"
        self.there = "198.18.0.2" if four else "fd00::2"
        self.router = "198.18.0.3" if four else "fd00::3"
        self.absent = "198.18.0.99" if four else "fd00::99"
        self.behind = "198.18.1.2" if four else "fd01::2"
        self.behind_absent = "198.18.1.99" if four else "fd01::99"
        self.unrouted = "203.0.113.1" if four else "2001:db8::1"
        self.prohibited = "198.18.2.1" if four else "fd02::1"
        self.unreachable = "198.18.3.1" if four else "fd03::1"
        self.nowhere = "198.18.4.1" if four else "fd04::1"

    @property
    def networks(self):
        """What the router is asked to forward."""
        addresses = (self.behind, self.prohibited, self.unreachable, self.nowhere)
        return [
            address.rsplit(".", 1)[0] + ".0/24" if "." in address else address[:6] + "/64"
            for address in addresses
        ]

    def rules(self):
        """Rules for `there` or `router`, and port → what they make of it, without `from`."""
        rules = [f"tcp dport {{ {DROPPED}, {DROPPED + 1000} }} drop",
                 f"tcp dport {{ {RESET}, {RESET + 1000} }} reject with tcp reset"]  # fmt: skip
        states = {ACCEPTED: OPEN, ACCEPTED + 1000: CLOSED,
                  DROPPED: SILENT, DROPPED + 1000: SILENT,
                  RESET: CLOSED, RESET + 1000: CLOSED}  # fmt: skip
        for i, (word, reason) in enumerate(self.icmp.items()):
            ports = [REJECTED + i, REJECTED + i + 1000]
            rules.append(f"tcp dport {{ {ports[0]}, {ports[1]} }} reject with {self.reject} {word}")
            states.update({port: ("filtered", reason, None) for port in ports})
        return rules, states


FAMILIES = {"IPv4": Family(True), "IPv6": Family(False)}


def ruleset(hook, rules_by_family):
    """A ruleset with one chain at a hook; loopback and answers pass."""
    lines = [f"meta nfproto {'ipv4' if family.ip == 'ip' else 'ipv6'} {rule}"
             for family, rules in rules_by_family for rule in rules]  # fmt: skip
    return (
        f"table inet test {{ chain test {{ type filter hook {hook} priority 0; policy accept;\n"
        + "\n".join(lines)
        + "\n}\n}\n"
    )


class FirewallTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.here = Namespace(self)

    def join(self):
        """A neighbour on the link, which sends every ICMP error that it is asked to."""
        other = Namespace(self)
        device = wire(
            self.here, ["198.18.0.1/24", "fd00::1/64"], other, ["198.18.0.2/24", "fd00::2/64"]
        )
        self.unlimit(other)
        return other, device

    @staticmethod
    def unlimit(namespace):
        """Lifts the kernel's limits, of one ICMP error a second to each destination and of a
        thousand to all, which the machine's namespaces share: they hold for no type any more."""
        namespace.sysctl("ipv4/icmp_ratelimit", 0)
        namespace.sysctl("ipv6/icmp/ratelimit", 0)
        namespace.sysctl("ipv4/icmp_ratemask", 0)
        namespace.sysctl("ipv6/icmp/ratemask", 255)

    def listen(self, namespace, ports):
        """Listeners of both families in a namespace until the test's end."""
        with namespace.entered():
            for port in ports:
                self.stack.enter_context(listen("::", port, dual=True))

    def expect(self, family, address, states, *words):
        """One scan of the ports of `states`, in which each must be as `states` says."""
        ports = ",".join(map(str, states))
        records = scan("-p", ports, *words, address, namespace=self.here)
        found = {port: state for (_, port), state in records.states().items()}
        self.assertEqual(found, states, family)
        return records

    @staticmethod
    def sent_by(states, address):
        """The same states, with the ICMP errors from another host."""
        answers = {OPEN, CLOSED, SILENT}
        return {port: state if state in answers else (*state[:2], address)
                for port, state in states.items()}  # fmt: skip

    @staticmethod
    def listeners(states):
        """The ports below 2000, which have a listener behind every rule."""
        return [port for port in states if port < ACCEPTED + 1000]


@need("ip", "nsenter", "nft")
class Target(FirewallTest):
    """The target's own firewall."""

    def setUp(self):
        super().setUp()
        self.there, _ = self.join()

    def test_every_rule(self):
        rules = {name: family.rules() for name, family in FAMILIES.items()}
        self.there.nft(ruleset("input", [(FAMILIES[name], rules[name][0]) for name in rules]))
        self.listen(self.there, {p for _, states in rules.values() for p in self.listeners(states)})
        for name, family in FAMILIES.items():
            with self.subTest(name):
                records = self.expect(name, family.there, rules[name][1])
                for record in records.of("port"):
                    heard = record["reason"] != "no-response"
                    self.assertEqual("rtt_us" in record, heard)
                    self.assertEqual(record["tries"] == 1, heard)
                self.assertEqual(records.summary["hosts_answered"], 1)

    def test_a_connection_tracking_firewall(self):
        self.there.nft(
            ruleset("input", [(family, [
                "ct state established,related accept",
                "tcp dport 2000 drop",
                "tcp dport 1000-1099 accept",
                f"tcp dport 1100-1199 reject with {family.reject} admin-prohibited",
            ]) for family in FAMILIES.values()])
        )  # fmt: skip
        listeners = range(1000, 1200, 7)
        self.listen(self.there, listeners)
        states = {port: OPEN if port in listeners else CLOSED for port in range(1000, 1100)}
        states |= {port: ("filtered", "admin-prohibited", None) for port in range(1100, 1200)}
        states[2000] = SILENT
        for name, family in FAMILIES.items():
            with self.subTest(name):
                self.expect(name, family.there, states)

    def test_loss_by_chance(self):
        """Five SYNs in a hundred vanish: asked often enough, every port is found out. (At eight
        tries one of a thousand lists of these ports would be lost once in 10^7 runs.)"""
        chance = "meta l4proto tcp numgen random mod 100 < 5 drop"
        self.there.nft(ruleset("input", [(family, [chance]) for family in FAMILIES.values()]))
        listeners = range(1000, 1400, 9)
        self.listen(self.there, listeners)
        states = {port: OPEN if port in listeners else CLOSED for port in range(1000, 1400)}
        for name, family in FAMILIES.items():
            with self.subTest(name):
                records = self.expect(name, family.there, states, "--recall", 100)
                self.assertGreater(records.summary["probes"], len(states))
                self.assertEqual(records.summary["recall"]["estimate"], 1)

    def test_loss_by_chance_among_silent_ports(self):
        """The estimate of the scan's own recall sees the loss, and never a state is invented."""
        rules = ["tcp dport 2000-2099 drop", "meta l4proto tcp numgen random mod 100 < 5 drop"]
        self.there.nft(ruleset("input", [(family, rules) for family in FAMILIES.values()]))
        listeners = range(1000, 1400, 9)
        self.listen(self.there, listeners)
        truth = {port: OPEN if port in listeners else CLOSED for port in range(1000, 1400)}
        truth |= {port: SILENT for port in range(2000, 2100)}
        for name, family in FAMILIES.items():
            with self.subTest(name):
                records = scan("-p", "1000-1399,2000-2099", family.there, namespace=self.here)
                found = {port: state for (_, port), state in records.states().items()}
                wrong = {port for port in truth if found[port] not in (truth[port], SILENT)}
                self.assertEqual(wrong, set())
                heard = sum(state != SILENT for state in found.values())
                self.assertGreaterEqual(heard, 0.98 * 400)
                self.assertGreaterEqual(records.summary["passes"], 2)
                self.assertGreaterEqual(records.summary["recall"]["estimate"], 0.99)
                self.assertLess(records.summary["recall"]["low"], 1)

    def test_errors_that_the_kernel_limits(self):
        """A kernel sends few ICMP errors a second: the other ports are silent, not closed."""
        self.there.sysctl("ipv4/icmp_ratelimit", 1000)
        self.there.sysctl("ipv6/icmp/ratelimit", 1000)
        self.there.sysctl("ipv4/icmp_ratemask", 1 << 3)  # destination unreachable
        self.there.sysctl("ipv6/icmp/ratemask", 1)
        rules = [(family, ["tcp dport 1000-1099 reject"]) for family in FAMILIES.values()]
        self.there.nft(ruleset("input", rules))
        for name, family in FAMILIES.items():
            with self.subTest(name):
                records = scan("-p", "1000-1100", family.there, "--tries", 2, namespace=self.here)
                states = {port: state for (_, port), state in records.states().items()}
                self.assertEqual(states.pop(1100), CLOSED)
                unreachable = ("filtered", "port-unreach", None)
                self.assertEqual(set(states.values()), {unreachable, SILENT})

    def test_a_wholly_silent_host(self):
        rules = [(family, ["tcp dport 1-65535 drop"]) for family in FAMILIES.values()]
        self.there.nft(ruleset("input", rules))
        self.listen(self.there, [1000])
        for name, family in FAMILIES.items():
            with self.subTest(name):
                states = {1000: SILENT, 1001: SILENT}
                records = self.expect(name, family.there, states, "--timeout", "100ms")
                self.assertEqual(records.summary["hosts_answered"], 0)
                self.assertIsNone(records.summary["recall"])
                self.assertEqual(records.summary["silent_addresses"], [family.there])
                words = ["-p", "1000-1001", "--timeout", "100ms", family.there]
                text = run("scan", *words, namespace=self.here)
                self.assertEqual((text.returncode, text.stderr), (0, ""))
                self.assertIn("may be down", text.stdout)
                self.assertIn(family.there, text.stdout)


@need("ip", "nsenter", "nft")
class Router(FirewallTest):
    """A router's firewall and routes, whose answers come from the router's address."""

    def setUp(self):
        super().setUp()
        self.router, self.behind = Namespace(self), Namespace(self)
        # A router asks for its neighbours from a link-local address.
        wire(self.here, ["198.18.0.1/24", "fd00::1/64"],
             self.router, ["198.18.0.3/24", "fd00::3/64", "fe80::3/64"])  # fmt: skip
        wire(self.router, ["198.18.1.1/24", "fd01::1/64", "fe80::1/64"],
             self.behind, ["198.18.1.2/24", "fd01::2/64"])  # fmt: skip
        self.router.sysctl("ipv4/ip_forward", 1)
        self.router.sysctl("ipv6/conf/all/forwarding", 1)
        self.unlimit(self.router)
        self.behind.ip("route", "add", "default", "via", "198.18.1.1")
        self.behind.ip("-6", "route", "add", "default", "via", "fd01::1")
        for family in FAMILIES.values():
            for network in family.networks:
                self.here.ip(family.flag, "route", "add", network, "via", family.router)

    def test_every_rule(self):
        rules = {name: family.rules() for name, family in FAMILIES.items()}
        self.router.nft(ruleset("forward", [(FAMILIES[name], rules[name][0]) for name in rules]))
        self.listen(
            self.behind, {p for _, states in rules.values() for p in self.listeners(states)}
        )
        for name, family in FAMILIES.items():
            with self.subTest(name):
                states = self.sent_by(rules[name][1], family.router)
                self.expect(name, family.behind, states)

    def test_the_routers_own_routes(self):
        for family in FAMILIES.values():
            _, prohibited, unreachable, _ = family.networks
            self.router.ip(family.flag, "route", "add", "prohibit", prohibited)
            self.router.ip(family.flag, "route", "add", "unreachable", unreachable)
        for name, address, reason in [
            ("IPv4", "prohibited", "admin-prohibited"),
            ("IPv4", "unreachable", "host-unreach"),
            ("IPv4", "nowhere", "net-unreach"),
            ("IPv4", "behind_absent", "host-unreach"),
            ("IPv6", "prohibited", "admin-prohibited"),
            ("IPv6", "unreachable", "no-route"),
            ("IPv6", "nowhere", "no-route"),
            ("IPv6", "behind_absent", "host-unreach"),
        ]:
            family = FAMILIES[name]
            state = ("filtered", reason, family.router)
            with self.subTest(name, address=address):
                records = self.expect(name, getattr(family, address), {80: state, 443: state})
                self.assertEqual(records.summary["hosts_answered"], 0)

    def test_the_end_of_a_packets_life(self):
        self.router.nft(
            "table inet test { chain test { type filter hook prerouting priority 0;\n"
            "ip daddr 198.18.1.2 ip ttl set 1\nip6 daddr fd01::2 ip6 hoplimit set 1\n}\n}\n"
        )
        for name, family in FAMILIES.items():
            with self.subTest(name):
                state = ("filtered", "time-exceeded", family.router)
                self.expect(name, family.behind, {80: state, 443: state})


@need("ip", "nsenter", "nft")
class ThisMachine(FirewallTest):
    """What goes wrong before a SYN leaves is never a state of a port."""

    def errors(self, *words, text=None):
        """A scan that cannot ask: the (error, count) of its records, of which each has advice."""
        records = scan(*words, namespace=self.here, status=1)
        self.assertEqual(records.of("port"), [])
        self.assertEqual(records.summary["filtered"] + records.summary["closed"], 0)
        found = {(record["address"], record["error"]) for record in records.of("error")}
        if text:
            for record in records.of("error"):
                self.assertIn(text, record["advice"])
        return found, records.summary["errors"]

    def test_a_host_that_nobody_on_the_link_knows(self):
        self.join()
        for name, family in FAMILIES.items():
            with self.subTest(name):
                state = ("filtered", "host-unreach", family.here)
                records = self.expect(name, family.absent, {80: state, 443: state})
                self.assertEqual(records.summary["hosts_answered"], 0)

    def test_a_network_without_a_route(self):
        self.join()
        for name, family in FAMILIES.items():
            with self.subTest(name):
                self.assertEqual(
                    self.errors("-p", "1-100", family.unrouted, text="route"),
                    ({(family.unrouted, "ENETUNREACH")}, 100),
                )
                done = run("scan", "-p", "1-100", family.unrouted, namespace=self.here)
                self.assertEqual((done.returncode, done.stderr), (1, ""))
                self.assertIn("Network is unreachable", done.stdout)
                self.assertNotIn("filtered", done.stdout)

    def test_an_unroutable_network_beside_one_that_answers(self):
        there, _ = self.join()
        self.listen(there, [1000])
        for name, family in FAMILIES.items():
            with self.subTest(name):
                words = ["-p", "1000-1001", family.there, family.unrouted]
                records = scan(*words, namespace=self.here, status=1)
                self.assertEqual(
                    records.states(),
                    {(family.there, 1000): OPEN, (family.there, 1001): CLOSED},
                )
                self.assertEqual(records.summary["errors"], 2)

    def test_a_route_that_forbids(self):
        self.join()
        for name, family in FAMILIES.items():
            with self.subTest(name):
                self.here.ip(family.flag, "route", "add", "prohibit", family.networks[1])
                found, count = self.errors("-p", "80,443", family.prohibited)
                self.assertEqual(found, {(family.prohibited, "EACCES")})
                self.assertEqual(count, 2)

    def test_our_own_firewall_rejects(self):
        """All but host unreachable, which this machine also says when nobody on the link answers:
        the kernel makes the same error of both."""
        there, _ = self.join()
        self.listen(there, [1000, 1001])
        for family in FAMILIES.values():
            for word, reason in family.icmp.items():
                if reason != "host-unreach":
                    self.reject_output(family, word)

    def reject_output(self, family, word):
        """With a rule in OUTPUT for one port and none for the other."""
        with self.subTest(word=word, address=family.there):
            rule = f"tcp dport 1001 reject with {family.reject} {word}"
            self.here.nft("flush ruleset\n" + ruleset("output", [(family, [rule])]))
            records = scan("-p", "1000,1001", family.there, namespace=self.here, status=1)
            self.assertEqual(records.states(), {(family.there, 1000): OPEN})
            errors = records.of("error")
            self.assertEqual([(e["port"], e["error"]) for e in errors], [(1001, "EPERM")])
            self.assertIn("firewall", errors[0]["advice"])

    def test_our_own_host_unreachable_is_said_of_one_port_alone(self):
        """With seed after seed, so that the rejected port is sometimes asked first."""
        there, _ = self.join()
        self.listen(there, [1000])
        for family in FAMILIES.values():
            word = next(word for word, reason in family.icmp.items() if reason == "host-unreach")
            rule = f"tcp dport 1001 reject with {family.reject} {word}"
            self.here.nft("flush ruleset\n" + ruleset("output", [(family, [rule])]))
            for seed in range(6):
                with self.subTest(address=family.there, seed=seed):
                    words = ["--seed", seed, "-p", "1000-1002", family.there]
                    states = scan(*words, namespace=self.here).states()
                    self.assertEqual(states[family.there, 1000], OPEN)
                    self.assertEqual(states[family.there, 1001][:2], ("filtered", "host-unreach"))
                    self.assertEqual(states[family.there, 1002], CLOSED)

    def test_a_local_port_that_our_own_firewall_rejects(self):
        """On this machine the firewall that rejects is the target's as well."""
        self.join()
        rules = [(family, ["tcp dport 1001 reject"]) for family in FAMILIES.values()]
        self.here.nft(ruleset("input", rules))
        self.listen(self.here, [1000, 1001])
        unreachable = ("filtered", "port-unreach", None)
        for address in ("127.0.0.1", "::1", "198.18.0.1", "fd00::1"):
            with self.subTest(address):
                self.expect(address, address, {1000: OPEN, 1001: unreachable, 1002: CLOSED})

    def test_loopback_rules(self):
        """The same verdicts as over a link, where connect() often answers at once."""
        rules = {name: family.rules() for name, family in FAMILIES.items()}
        self.unlimit(self.here)
        self.here.nft(ruleset("input", [(FAMILIES[name], rules[name][0]) for name in rules]))
        self.listen(self.here, {p for _, states in rules.values() for p in self.listeners(states)})
        for name, address in (("IPv4", "127.0.0.1"), ("IPv6", "::1")):
            with self.subTest(name):
                self.expect(name, address, rules[name][1])


if __name__ == "__main__":
    unittest.main()

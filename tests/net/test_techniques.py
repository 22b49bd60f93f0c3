"""Every raw technique against real kernels and their firewalls, in the namespaces of
test_firewall.py: states, reasons and senders are what the rules and RFC 9293 make of such a
segment, and what nmap says of them."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import threading
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from lab import Lab
from namespaces import PATIENCE, Namespace, need, wire
from porthole import Records, run, scan
from sockets import listen
from test_firewall import CLOSED, FAMILIES, OPEN, SILENT, FirewallTest, ruleset

FAST = ("--timeout", "50ms")  # where nobody answers, who could tell how long that takes
FEW = ("--tries", "3")  # of silent ports: nothing is lost on these links
TECHNIQUES = ("-sS", "-sA", "-sF", "-sN", "-sX", "-sW", "-sM")

RESET = ("closed", "reset", None)
PASSED = ("unfiltered", "reset", None)
UNTOLD = ("open|filtered", "no-response", None)

# What each hears where connect() is accepted, refused, and not answered. Linux resets a segment
# with an ACK that belongs to no connection, listener or not, and its window is 0 (RFC 9293
# §3.10.7.2).
ANSWERS = {
    "-sS": (OPEN, RESET, SILENT),
    "-sA": (PASSED, PASSED, SILENT),
    "-sW": (RESET, RESET, SILENT),
    "-sM": (RESET, RESET, UNTOLD),
    "-sF": (UNTOLD, RESET, UNTOLD),
    "-sN": (UNTOLD, RESET, UNTOLD),
    "-sX": (UNTOLD, RESET, UNTOLD),
}


def told(technique, states):
    """What a technique says where connect() would say `states`: the same of ICMP errors."""
    words = dict(zip((OPEN, CLOSED, SILENT), ANSWERS[technique]))
    return {port: words.get(state, state) for port, state in states.items()}


class TechniqueTest(FirewallTest):
    """Scans by techniques, from `here`."""

    def ask(self, technique, hosts, *words, status=0):
        """One scan of `hosts`, address → port → what connect() would say of it, on which the ports
        must be what the technique makes of that. Returns its Records."""
        expected = {(address, port): state for address, states in hosts.items()
                    for port, state in told(technique, states).items()}  # fmt: skip
        ports = sorted({port for _, port in expected})
        records = scan(technique, "-p", ",".join(map(str, ports)), *FEW, *words, *hosts,
                       namespace=self.here, status=status)  # fmt: skip
        self.assertEqual(records.states(), expected)
        return records

    def refuse(self, technique, hosts, *words):
        """A scan of address → error, to which nothing can be sent: an error with advice for each,
        and no state."""
        records = scan(technique, "-p", "80,443", *words, *hosts, namespace=self.here, status=1)
        self.assertEqual(records.of("port"), [])
        self.assertEqual(records.summary["errors"], 2 * len(hosts))
        errors = records.of("error")
        self.assertEqual({error["address"]: error["error"] for error in errors}, hosts)
        self.assertNotIn("", {error["advice"] for error in errors})

    def obey_rules(self, namespace, hook):
        """Loads every family's rules. Returns family's name → what connect() makes of them."""
        rules = {name: family.rules() for name, family in FAMILIES.items()}
        namespace.nft(ruleset(hook, [(FAMILIES[name], rules[name][0]) for name in rules]))
        return {name: rules[name][1] for name in rules}

    def nmap(self, technique, address, ports):
        """nmap, begun. It is told that the network is near, so that silence does not take long."""
        words = ["-6"] if ":" in address else []
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [*self.here.prefix, "nmap", "-n", "-Pn", technique, *words, "-p", ports, "--reason",
             "--max-retries", "6", "--max-rtt-timeout", "300ms", "-oX", "-", address],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        self.addCleanup(process.stdout.close)
        return process

    def agree_with_nmap(self, addresses, states):
        """nmap's states, reasons and senders are those of the tables above."""
        processes = {}
        for technique in TECHNIQUES:  # all at once: most of the time they wait
            for name, address in addresses.items():
                ports = ",".join(map(str, states[name]))
                processes[technique, name] = self.nmap(technique, address, ports)
        outputs = {key: process.communicate()[0] for key, process in processes.items()}
        for (technique, name), output in outputs.items():
            with self.subTest("nmap", technique=technique, family=name):
                found = {}
                for port in xml.etree.ElementTree.fromstring(output).iter("port"):
                    state = port.find("state")
                    found[int(port.get("portid"))] = tuple(
                        state.get(field) for field in ("state", "reason", "reason_ip")
                    )
                self.assertEqual(found, told(technique, states[name]))


def on_both(kind, states):
    """The same states on the addresses of a kind, one of each family."""
    return {getattr(family, kind): states for family in FAMILIES.values()}


@need("ip", "nsenter", "nft", "nmap")
class Target(TechniqueTest):
    """The target's own firewall."""

    def setUp(self):
        super().setUp()
        self.there, self.device = self.join()

    def test_every_rule(self):
        states = self.obey_rules(self.there, "input")
        self.listen(self.there, self.listeners(states["IPv4"] | states["IPv6"]))
        for technique in TECHNIQUES:
            for name, family in FAMILIES.items():
                with self.subTest(technique, family=name):
                    records = self.ask(technique, {family.there: states[name]})
                    self.assertEqual(records.summary["hosts_answered"], 1)
                    for record in records.of("port"):
                        heard = record["reason"] != "no-response"
                        self.assertEqual("rtt_us" in record, heard)
        self.agree_with_nmap({name: family.there for name, family in FAMILIES.items()}, states)

    def test_filters_with_and_without_a_memory(self):
        """What the ACK scan is for: a filter that looks at SYNs alone lets it through, and one that
        keeps track of connections does not."""
        self.listen(self.there, [1000, 2000])
        # Without this an ACK in the middle of nowhere begins a connection as well.
        self.there.sysctl("netfilter/nf_conntrack_tcp_loose", 0)
        shut = ("filtered", "admin-prohibited", None)
        rules, drop = {True: [], False: []}, "meta l4proto tcp ct state invalid drop"
        for family in FAMILIES.values():
            reject = f"tcp dport 2000-2001 reject with {family.reject} admin-prohibited"
            rules[True].append((family, ["ct state established accept", drop, reject]))
            rules[False].append((family, [f"tcp flags & (syn | ack) == syn {reject}"]))
        for memory in (True, False):
            self.there.nft("flush ruleset\n" + ruleset("input", rules[memory]))
            syn = {1000: OPEN, 1001: CLOSED, 2000: shut, 2001: shut}
            ack = dict.fromkeys(syn, SILENT if memory else CLOSED)
            with self.subTest(memory=memory):
                self.ask("-sS", on_both("there", syn))
                self.ask("-sA", on_both("there", ack), *FAST)
                self.ask("-sW", on_both("there", ack), *FAST)

    def test_a_wholly_silent_host(self):
        rules = [(family, ["meta l4proto tcp drop"]) for family in FAMILIES.values()]
        self.there.nft(ruleset("input", rules))
        for technique in TECHNIQUES:
            with self.subTest(technique):
                hosts = on_both("there", {1000: SILENT, 1001: SILENT})
                records = self.ask(technique, hosts, *FAST)
                self.assertEqual(records.summary["hosts_answered"], 0)
                self.assertIsNone(records.summary["recall"])

    def test_link_local_addresses_with_their_zone(self):
        """A neighbour's, and this machine's own."""
        for namespace, address in ((self.here, "fe80::1/64"), (self.there, "fe80::2/64")):
            namespace.ip("address", "add", address, "dev", self.device, "nodad")
            self.unlimit(namespace)
            rule = "tcp dport 1002 reject with icmpv6 type admin-prohibited"
            namespace.nft(ruleset("input", [(FAMILIES["IPv6"], [rule])]))
            self.listen(namespace, [1000])
        states = {1000: OPEN, 1001: CLOSED, 1002: ("filtered", "admin-prohibited", None)}
        hosts = {f"fe80::{i}%{self.device}": states for i in (1, 2)}
        for technique in TECHNIQUES:
            with self.subTest(technique):
                self.ask(technique, hosts)

    def test_connections_of_others_go_on(self):
        """Ports that scans answer from are nobody else's, and nobody else's answers are theirs. A
        connection is kept in use, and new ones are made, while each technique asks thousands of
        ports, theirs among them."""
        for name, family in FAMILIES.items():
            with self.subTest(name), contextlib.ExitStack() as stack:
                traffic = Traffic(stack, self.here, self.there, family.there)
                for technique in TECHNIQUES:
                    before = traffic.rounds
                    done = run("scan", technique, "--csv", "--open", "-p", "1-9999", family.there,
                               namespace=self.here)  # fmt: skip
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    shown = ANSWERS[technique][0] != RESET
                    self.assertEqual(f"{family.there},,tcp,{Traffic.PORT}," in done.stdout, shown)
                    self.assertGreater(traffic.rounds, before)
                    self.assertIsNone(traffic.fault)


class Traffic:
    """A connection between two namespaces that says and hears something, and another one made anew,
    again and again until an ExitStack's end."""

    PORT = 1000

    def __init__(self, stack, namespace, other, address):
        self.rounds, self.fault = 0, None
        self._namespace, self._address = namespace, (address, self.PORT)
        with other.entered():
            self._listener = stack.enter_context(listen(*self._address))
        self._listener.settimeout(PATIENCE)
        self._lasting = tuple(map(stack.enter_context, self._connect()))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        stack.callback(self._stop)

    def _stop(self):
        self._done.set()
        self._thread.join()

    def _connect(self):
        with self._namespace.entered():
            one = socket.create_connection(self._address, timeout=PATIENCE)
        try:
            while True:
                other, name = self._listener.accept()
                if name == one.getsockname():
                    break
                other.close()
        except BaseException:
            one.close()
            raise
        other.settimeout(PATIENCE)
        return one, other

    def _run(self):
        try:
            while not self._done.wait(0.001):
                self._exchange(self._lasting)
                one, other = self._connect()
                with one, other:
                    self._exchange((one, other))
                self.rounds += 1
        except OSError as fault:
            self.fault = fault

    @staticmethod
    def _exchange(ends):
        for sender, receiver in (ends, ends[::-1]):
            sender.sendall(b"something")
            if receiver.recv(9, socket.MSG_WAITALL) != b"something":
                raise OSError("the connection ended")


@need("ip", "nsenter", "nft", "nmap")
class Router(TechniqueTest):
    """A router's firewall, and hosts behind it."""

    def setUp(self):
        super().setUp()
        self.router, self.behind = Namespace(self), Namespace(self)
        self.device = wire(self.here, ["198.18.0.1/24", "fd00::1/64", "fe80::1/64"],
                           self.router, ["198.18.0.3/24", "fd00::3/64", "fe80::3/64"])  # fmt: skip
        behind = wire(self.router, ["198.18.1.1/24", "fd01::1/64", "fe80::1/64"],
                      self.behind, ["198.18.1.2/24", "fd01::2/64"])  # fmt: skip
        for version in ("ipv4", "ipv6"):  # it gives neighbours up after three of these
            self.router.sysctl(f"{version}/neigh/{behind}/retrans_time_ms", 50)
        self.router.sysctl("ipv4/ip_forward", 1)
        self.router.sysctl("ipv6/conf/all/forwarding", 1)
        self.unlimit(self.router)
        self.behind.ip("route", "add", "default", "via", "198.18.1.1")
        self.behind.ip("-6", "route", "add", "default", "via", "fd01::1")
        for family in FAMILIES.values():
            self.here.ip(family.flag, "route", "add", "default", "via", family.router)

    def test_every_rule(self):
        states = self.obey_rules(self.router, "forward")
        self.listen(self.behind, self.listeners(states["IPv4"] | states["IPv6"]))
        states = {name: self.sent_by(states[name], FAMILIES[name].router) for name in states}
        for technique in TECHNIQUES:
            for name, family in FAMILIES.items():
                with self.subTest(technique, family=name):
                    self.ask(technique, {family.behind: states[name]})
        self.agree_with_nmap({name: family.behind for name, family in FAMILIES.items()}, states)

    def test_hosts_that_nobody_knows(self):
        """Behind the router it says so; on the link this machine finds out by itself."""
        hosts = {}
        for family in FAMILIES.values():
            for address, teller in (
                (family.behind_absent, family.router), (family.absent, family.here),
            ):  # fmt: skip
                hosts[address] = dict.fromkeys((80, 443), ("filtered", "host-unreach", teller))
        for technique in ("-sS", "-sF"):
            with self.subTest(technique):
                records = self.ask(technique, hosts)
                self.assertEqual(records.summary["hosts_answered"], 0)

    def test_gateways_of_another_kind(self):
        """A link-local one, and for IPv4 one that only IPv6 can name (RFC 5549)."""
        self.listen(self.behind, [1000])
        self.here.ip("-6", "route", "add", "fd01::/64", "via", "fe80::3", "dev", self.device)
        self.here.ip("route", "add", "198.18.1.0/24", "via", "inet6", "fe80::3",
                     "dev", self.device)  # fmt: skip
        for technique in TECHNIQUES:
            with self.subTest(technique):
                self.ask(technique, on_both("behind", {1000: OPEN, 1001: CLOSED}))

    def test_the_end_of_a_packets_life(self):
        self.router.nft(
            "table inet test { chain test { type filter hook prerouting priority 0;\n"
            "ip daddr 198.18.1.2 ip ttl set 1\nip6 daddr fd01::2 ip6 hoplimit set 1\n}\n}\n"
        )
        hosts = {}
        for family in FAMILIES.values():
            state = ("filtered", "time-exceeded", family.router)
            hosts[family.behind] = {80: state, 443: state}
        for technique in TECHNIQUES:
            with self.subTest(technique):
                self.ask(technique, hosts)

    def test_a_gateway_that_is_not_there(self):
        """That is this machine's trouble, and no state of a port."""
        for family in FAMILIES.values():
            self.here.ip(family.flag, "route", "replace", "default", "via", family.absent)
        self.refuse("-sA", on_both("behind", "EHOSTUNREACH"))


@need("ip", "nsenter", "nft")
class ThisMachine(TechniqueTest):
    """Its own addresses, and what keeps probes from leaving it."""

    def test_its_own_addresses(self):
        """They are reached through loopback, where no packet is ever put on a wire."""
        self.join()
        self.unlimit(self.here)
        states = self.obey_rules(self.here, "input")
        self.listen(self.here, self.listeners(states["IPv4"] | states["IPv6"]))
        for technique in TECHNIQUES:
            for name, loopback in (("IPv4", "127.0.0.1"), ("IPv6", "::1")):
                with self.subTest(technique, family=name):
                    addresses = (loopback, FAMILIES[name].here)
                    self.ask(technique, dict.fromkeys(addresses, states[name]))

    def test_all_kinds_of_targets_in_one_scan(self):
        there, device = self.join()
        for namespace, address in ((self.here, "fe80::1/64"), (there, "fe80::2/64")):
            namespace.ip("address", "add", address, "dev", device, "nodad")
            self.listen(namespace, [1000])
        addresses = ("127.0.0.1", "198.18.0.1", "198.18.0.2", "::1", "fd00::1", "fd00::2",
                     f"fe80::2%{device}")  # fmt: skip
        hosts = dict.fromkeys(addresses, {1000: OPEN, 1001: CLOSED})
        for technique in TECHNIQUES:
            with self.subTest(technique):
                records = self.ask(technique, hosts)
                self.assertEqual(records.summary["hosts_answered"], len(addresses))

    def test_routes_that_lead_nowhere(self):
        """As connect() fails."""
        self.join()
        hosts = on_both("unrouted", "ENETUNREACH")
        for family in FAMILIES.values():
            for kind, code, network, address in zip(
                ("blackhole", "prohibit", "unreachable"),
                ("EINVAL", "EACCES", "EHOSTUNREACH"),
                family.networks[1:],
                (family.prohibited, family.unreachable, family.nowhere),
            ):
                self.here.ip(family.flag, "route", "add", kind, network)
                hosts[address] = code
        for technique in TECHNIQUES:
            with self.subTest(technique):
                self.refuse(technique, hosts)

    def test_a_firewall_of_its_own_on_ethernet(self):
        """Packets of our own making pass it by, both ways, and so the truth about the target is
        found out."""
        there, _ = self.join()
        self.listen(there, [1000])
        drop = [(family, ["meta l4proto tcp drop"]) for family in FAMILIES.values()]
        for hook in ("output", "input"):
            self.here.nft("flush ruleset\n" + ruleset(hook, drop))
            for technique in TECHNIQUES:
                with self.subTest(technique, hook=hook):
                    self.ask(technique, on_both("there", {1000: OPEN, 1001: CLOSED}))

    def test_a_firewall_of_its_own_elsewhere(self):
        """Where the kernel carries our packets, it says when it does not."""
        lab = Lab("network 198.18.0.0/24\n  open 80\nnetwork fd00::/120\n  open 80\n",
                  test=self, tun=True, scanners=["198.18.1.1/32", "fd01::1/128"])  # fmt: skip
        self.here = lab.namespace
        for verdict in ("drop", "reject", "reject with tcp reset"):
            rules = [(family, [f"tcp dport 443 {verdict}"]) for family in FAMILIES.values()]
            self.here.nft("flush ruleset\n" + ruleset("output", rules))
            for technique in TECHNIQUES:
                with self.subTest(technique, verdict=verdict):
                    hosts = on_both("there", {80: OPEN, 81: CLOSED})
                    errors = self.ask(technique, hosts, "-p", "443", status=1).of("error")
                    self.assertEqual(
                        {(error["address"], error["port"]): error["error"] for error in errors},
                        {(address, 443): "EPERM" for address in hosts},
                    )
                    self.assertIn("firewall", errors[0]["advice"])

    def test_an_interface_of_choice(self):
        """Two machines have the same address, and -e says which of them is meant."""
        devices = {}
        for port, own in ((1000, 8), (1001, 9)):
            machine = Namespace(self)
            devices[port] = wire(self.here, [f"198.18.1.{own}/24", f"fd01::{own}/64"],
                                 machine, ["198.18.1.2/24", "fd01::2/64"])  # fmt: skip
            self.listen(machine, [port])
        for technique in TECHNIQUES:
            for port, device in devices.items():
                with self.subTest(technique, port=port):
                    states = told(technique, {1000: CLOSED, 1001: CLOSED, port: OPEN})
                    addresses = [family.behind for family in FAMILIES.values()]
                    words = ["-p", "1000,1001", *FEW, "-e", device, *addresses]
                    done = run("scan", "--json", technique, *words, namespace=self.here)
                    self.assertEqual(done.returncode, 0)
                    # Where the kernel would go another way, the scan says so.
                    self.assertRegex(done.stderr, rf"\A(.* leaves by .*: going by {device}.*\n)*\Z")
                    self.assertEqual(
                        Records(done.stdout).states(),
                        {(to, port): state for to in addresses for port, state in states.items()},
                    )


if __name__ == "__main__":
    unittest.main()

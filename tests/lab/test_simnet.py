"""simnet against real programs, the kernel's own sockets, and packets made by hand: what it plays
must be what its description says."""

import collections
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from lab import Lab, program
from namespaces import PATIENCE, Namespace, need
from segments import ACK, FIN, RST, SO_RCVBUFFORCE, SYN, Wire, checksum

GATEWAYS = "seed 7\ngateway 198.18.0.1\ngateway fd00::1\n"


def network(prefix, *lines):
    """The description of one network, by its lines."""
    return "\n  ".join([f"network {prefix}", *lines]) + "\n"


def nmap(lab, *words):
    """(address, port) → (state, reason) by nmap."""
    done = subprocess.run(
        [*lab.prefix, "nmap", "-n", "-oX", "-", *words],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    states = {}
    for host in xml.etree.ElementTree.fromstring(done.stdout).iter("host"):
        address = host.find("address[@addrtype='ipv4']")
        if address is None:
            address = host.find("address[@addrtype='ipv6']")
        for port in host.iter("port"):
            state = port.find("state")
            states[address.get("addr"), int(port.get("portid"))] = (
                state.get("state"), state.get("reason"),
            )  # fmt: skip
    return states


def told(truth):
    """What nmap calls what is true."""
    silent = {"silent", "firewalled", "absent", "outside"}
    same = {"proxy": "syn-ack", "tarpit": "syn-ack"}
    return {
        key: (state.state,
              "no-response" if state.reason in silent else same.get(state.reason, state.reason))
        for key, state in truth.items()
    }  # fmt: skip


def share_bounds(count, share):
    """Between which numbers so many of `count` are, but for once in a million."""
    deviation = 5 * (count * share * (1 - share)) ** 0.5
    return count * share - deviation, count * share + deviation


class DescriptionTest(unittest.TestCase):
    """What needs no packets."""

    def ask(self, description, *words):
        with tempfile.NamedTemporaryFile("w", suffix=".net") as file:
            file.write(description)
            file.flush()
            words = [file.name if word == "FILE" else word for word in words]
            done = subprocess.run([program(), *words], capture_output=True, encoding="utf-8")
            return done.returncode, done.stdout, done.stderr.replace(file.name, "FILE")

    def test_faults_are_told_with_their_line(self):
        for lines, message in {
            "": "there is no network",
            "{four}\n  opne 22": "2: opne is no directive",
            "{four}\n  open 70000": "2: ports such as 22,80-88 are wanted, not 70000",
            "{four}\n  open 22\n  silent 20-30": "3: port 22 has been given before",
            "{four}\n  silent 120%": "2: ports such as",
            "{four}\n  silent": "2: ports or a share of them are wanted, not the end of the line",
            "{four}\n  reject 5% no-route": "2: no-route is no ICMP error of IPv4",
            "{six}\n  reject 5% net-unreach": "2: net-unreach is no ICMP error of IPv6",
            "{six}\n  reject 5% no-route from 198.18.0.1": "2: from wants an address",
            "network 198.18.1.1/24": "1: 198.18.1.1/24 has bits set behind its length",
            "network 198.18.1.0/33": "1: a network such as",
            "{four}\n{four}": "2: 198.18.1.0/24 has been given before",
            "{four} fd00::/64": "1: one network is of one family",
            "{four}\nopen 22": "2: open belongs to a network",
            "  open 22": "1: open belongs to a network",
            "{four}\n  seed 3": "2: seed belongs to the whole",
            "{four}\n  rtt 2": "2: a time such as",
            "{four}\n  rtt uniform 5ms 2ms": "2: the longest time is shorter",
            "{four}\n  limit rst 200 openbsd": "2: freebsd or linux is wanted",
            "{four}\n  proxy 5": "2: 5 has no place here",
            "bottleneck 0": "1: a number from 1 to",
            "gateway 198.18.0.1\ngateway 198.18.0.2": "2: there is another gateway",
        }.items():
            with self.subTest(lines):
                lines = lines.format(four="network 198.18.1.0/24", six="network fd00:1::/64")
                status, _, errors = self.ask(lines, "--truth", "FILE", "-p", "1")
                self.assertEqual(status, 2)
                self.assertIn(message, errors)

    def truth(self, description, *words):
        status, output, errors = self.ask(description, *words)
        self.assertEqual((status, errors), (0, ""))
        return output.splitlines()

    def test_the_longest_prefix_wins_and_rules_take_what_is_left(self):
        lines = self.truth(
            network("198.18.1.4/30", "silent 1  open 2  closed 3",
                    "reject 4 port-unreach from 198.18.0.9", "open 100%")
            + network("198.18.1.5", "proxy")
            + network("198.18.1.6", "tarpit")
            + network("198.18.1.7", "absent 100%  open 1-5"),
            "--truth", "FILE", "-p", "1-5", "198.18.1.3-198.18.1.7",
        )  # fmt: skip
        self.assertEqual(
            lines,
            [f"198.18.1.3 {port} filtered outside" for port in range(1, 6)]
            + ["198.18.1.4 1 filtered silent", "198.18.1.4 2 open syn-ack",
               "198.18.1.4 3 closed reset", "198.18.1.4 4 filtered port-unreach 198.18.0.9",
               "198.18.1.4 5 open syn-ack"]
            + [f"198.18.1.5 {port} open proxy" for port in range(1, 6)]
            + [f"198.18.1.6 {port} open tarpit" for port in range(1, 6)]
            + [f"198.18.1.7 {port} filtered absent" for port in range(1, 6)],
        )  # fmt: skip

    def test_shares_are_shares(self):
        description = network("198.18.0.0/16", "open 10%  silent 50%  reject 20% port-unreach")
        counts = dict(
            line.split()
            for line in self.truth(description, "--truth-counts", "FILE", "-p", "1-4")
        )
        count = 65536 * 4
        for state, share in ("open", 0.1), ("closed", 0.36), ("filtered", 0.54):
            low, high = share_bounds(count, share)
            self.assertTrue(low < int(counts[state]) < high, counts)
        opened = self.truth(description, "--truth-open", "FILE", "-p", "1-4")
        self.assertEqual(len(opened), int(counts["open"]))
        states = self.truth(description, "--truth", "FILE", "-p", "1-4")
        self.assertEqual(opened, [line for line in states if " open " in line])

    def test_hosts_are_absent_or_firewalled_as_a_whole(self):
        description = network("fd00:1::/112", "absent 30%  firewalled 40%  open 50%")
        hosts = collections.defaultdict(set)
        for line in self.truth(description, "--truth", "FILE", "-p", "1-40"):
            address, _, _, reason = line.split()
            hosts[address].add(reason)
        kinds = collections.Counter(frozenset(reasons) for reasons in hosts.values())
        for kind, share in (
            ({"absent"}, 0.3),
            ({"syn-ack", "firewalled"}, 0.7 * 0.4),
            ({"syn-ack", "reset"}, 0.7 * 0.6),
        ):
            low, high = share_bounds(65536, share)
            self.assertTrue(low < kinds[frozenset(kind)] < high, kinds)

    def test_another_seed_is_another_network(self):
        description = "seed 3\n" + network("198.18.1.0/24", "open 50%")
        ask = ("--truth-open", "FILE", "-p", "1-10")
        same = self.truth(description, *ask)
        self.assertEqual(same, self.truth(description, *ask))
        unseeded = network("198.18.1.0/24", "open 50%")
        self.assertEqual(same, self.truth(unseeded, *ask, "--seed", "3"))
        self.assertNotEqual(same, self.truth(description, *ask, "--seed", "4"))


@need("ip", "nsenter")
class PlaceTest(unittest.TestCase):
    """Where it may run."""

    def refusal(self, *prefix):
        done = subprocess.run(
            [*prefix, program(), "--device", "simnet9", "-"], timeout=PATIENCE,
            input="network 198.18.1.0/24\n  onlink\n", capture_output=True, encoding="utf-8",
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return done.stderr

    def test_a_namespace_with_a_default_route_is_refused(self):
        for family, address, way in (
            ("-4", "198.18.0.2/24", "198.18.0.1"),
            ("-6", "fd00::2/64", "fd00::1"),
        ):
            with Namespace() as there:
                there.ip("link", "add", "d0", "type", "veth", "peer", "name", "d1")
                there.ip("link", "set", "d0", "up")
                there.ip("link", "set", "d1", "up")
                there.ip("address", "add", address, "dev", "d0")
                there.ip(family, "route", "add", "default", "via", way, "table", "77")
                self.assertIn("has a default route", self.refusal(*there.prefix))

    def test_a_network_needs_a_way(self):
        with Namespace() as there:
            done = subprocess.run(
                [*there.prefix, program(), "--device", "simnet0", "-"], timeout=PATIENCE,
                input="gateway fd00::1\nnetwork 198.18.1.0/24\n",
                capture_output=True, encoding="utf-8",
            )  # fmt: skip
            self.assertEqual(done.returncode, 2)
            self.assertIn("line 2: this network is neither onlink nor behind", done.stderr)


@need("ip", "nsenter", "nmap")
class ScannerTest(unittest.TestCase):
    """Scanners find what is true."""

    maxDiff = None

    FOUR = network(
        "198.18.1.0/28",
        "open 22,80 443 20%  silent 5%  rtt 3ms jitter 2ms",
        "reject 10% admin-prohibited  reject 10% host-unreach from 198.18.0.1",
        "reject 1 net-unreach  reject 2 host-unreach  reject 3 proto-unreach",
        "reject 4 port-unreach  reject 5 net-prohibited  reject 6 host-prohibited",
        "reject 7 time-exceeded",
    )
    SIX = network(
        "fd00:1::/124",
        "open 22,80 443 20%  silent 5%  reject 10% admin-prohibited",
        "reject 1 no-route  reject 2 host-unreach from fd00::1  reject 3 port-unreach",
    )

    def check(self, lab, ports, target, *words):
        found = nmap(lab, "-sS", "-Pn", "--max-retries", "2", "-p", ports, *words, target)
        self.assertEqual(found, told(lab.truth(ports, target)))

    def test_syn_scan_over_ethernet(self):
        with Lab(GATEWAYS + self.FOUR + self.SIX) as lab:
            self.check(lab, "1-12,22,80,443", "198.18.1.0/28")
            self.check(lab, "1-12,22,80,443", "fd00:1::/124", "-6")
        counters = lab.counters()
        self.assertEqual(counters["own_drops"], 0)
        self.assertEqual(counters["probes"], counters["syn"])
        self.assertEqual(counters["probes"], counters["arrived"])
        self.assertEqual(sum(counters["windows"]), counters["probes"])

    def test_syn_scan_over_plain_ip(self):
        with Lab(GATEWAYS + self.FOUR + self.SIX, tun=True) as lab:
            self.check(lab, "1-12,22,80,443", "198.18.1.0/28")
            self.check(lab, "1-12,22,80,443", "fd00:1::/124", "-6")

    def test_one_retransmission_is_answered_like_the_first(self):
        with Lab(GATEWAYS + network("198.18.1.0/30", "open 22")) as lab, Wire(lab) as wire:
            for _ in range(3):
                wire.send("198.18.1.1", 22)
            replies, _ = wire.collect(3)
            self.assertEqual(len({reply[1:] for reply in replies}), 1)
            self.assertEqual(replies[0].acknowledgment, 1001)

    def test_other_flags_by_stack(self):
        """Port 1 is open, 2 closed, 3 silent, 4 rejects."""
        rules = "open 1  closed 2  silent 3  reject 4 admin-prohibited  rst-window"
        silent, error = ("open|filtered", "no-response"), ("filtered", "admin-prohibited")
        reset = ("closed", "reset")
        usual = [silent, reset, silent, error]
        all_reset = [reset, reset, silent, error]
        unfiltered = ("unfiltered", "reset")
        expected = {
            "linux": {"-sF": usual, "-sN": usual, "-sX": usual, "-sM": all_reset},
            "bsd": {"-sF": usual, "-sN": usual, "-sX": usual, "-sM": usual},
            "windows": {"-sF": all_reset, "-sN": all_reset, "-sX": all_reset, "-sM": all_reset},
        }
        acked = [unfiltered, unfiltered, ("filtered", "no-response"), error]
        windowed = [("open", "reset"), reset, ("filtered", "no-response"), error]
        addresses = {"linux": "198.18.1.1", "bsd": "198.18.1.2", "windows": "198.18.1.3"}
        description = GATEWAYS + "".join(
            network(address, rules, f"stack {stack}") for stack, address in addresses.items()
        )
        with Lab(description) as lab:
            for stack, scans in expected.items():
                for scan, states in {**scans, "-sA": acked, "-sW": windowed}.items():
                    with self.subTest(stack=stack, scan=scan):
                        to = addresses[stack]
                        found = nmap(lab, scan, "-Pn", "--max-retries", "2", "-p", "1-4", to)
                        self.assertEqual([found[to, port] for port in range(1, 5)], states)

    def test_stateless_filters_are_for_syns_only(self):
        description = GATEWAYS + network(
            "198.18.1.1", "open 1  silent 2  reject 3 port-unreach  stateless"
        )
        with Lab(description) as lab:
            self.check(lab, "1-4", "198.18.1.1")
            found = nmap(lab, "-sA", "-Pn", "-p", "1-4", "198.18.1.1")
            self.assertEqual({state for state, _ in found.values()}, {"unfiltered"})

    def test_existing_hosts_on_the_link_have_hardware_addresses(self):
        description = network("198.18.0.0/24", "onlink  absent 50%  open 1 50%")
        description += network("fd00::/120", "onlink  absent 50%  open 1 50%")
        with Lab(description) as lab:
            for flag, first in ("-4", "198.18.0.{}"), ("-6", "fd00::{:x}"):
                targets = [first.format(i) for i in range(16, 48)]
                truth = lab.truth("1-4", f"{targets[0]}-{targets[-1]}")
                exist = {key: state for key, state in truth.items() if state.reason != "absent"}
                words = [flag] if flag == "-6" else []
                found = nmap(lab, "-sS", "-p", "1-4", *words, *targets)
                self.assertEqual(found, told(exist))
            neighbours = lab.namespace.ip("neigh", "show").splitlines()
            self.assertFalse([line for line in neighbours if "lladdr 02:" in line])
        counters = lab.counters()
        self.assertEqual(counters["met_absent"], 0)
        self.assertEqual(counters["wrong_hardware"], 0)

    def test_packets_for_another_hardware_address_are_ignored(self):
        description = GATEWAYS + network("198.18.1.0/30", "open 22")
        with Lab(description) as lab, Wire(lab) as wire:
            lab.namespace.ip("neigh", "replace", "198.18.0.1", "lladdr", "02:00:00:00:00:99",
                             "nud", "permanent", "dev", lab.device)  # fmt: skip
            wire.send("198.18.1.1", 22)
            self.assertEqual(wire.drain(lab), ([], []))
        self.assertEqual(lab.counters()["wrong_hardware"], 1)

    @need("masscan")
    def test_masscan(self):
        found, lab = self.mass(
            "masscan", "-e", "DEVICE", "--rate", "5000", "--wait", "2", "-p80,81", "-oL", "-",
            "--adapter-ip", "198.18.0.2", "--router-ip", "198.18.0.1", "198.18.2.0/24",
        )  # fmt: skip
        words = [line.split() for line in found if line.startswith("open")]
        self.assert_mostly({(word[3], int(word[2])) for word in words}, lab.truth_open("80,81"))

    @need("zmap")
    def test_zmap(self):
        found, lab = self.mass(
            "zmap", "-i", "DEVICE", "-q", "-r", "5000", "-c", "2", "-p", "80", "-o", "-",
            "-b", "/dev/null", "-S", "198.18.0.2", "-G", "02:53:49:4d:00:01", "198.18.2.0/24",
        )  # fmt: skip
        self.assert_mostly({(line, 80) for line in found}, lab.truth_open("80"))
        self.assertEqual(lab.counters()["rst"], len(lab.truth_open("80")))

    @need("zmap", "nft")
    def test_a_deaf_kernel_sends_no_resets(self):
        found, lab = self.mass(
            "zmap", "-i", "DEVICE", "-q", "-r", "5000", "-c", "2", "-p", "80", "-o", "-",
            "-b", "/dev/null", "-S", "198.18.0.2", "-G", "02:53:49:4d:00:01", "198.18.2.0/24",
            deaf=True,
        )  # fmt: skip
        self.assert_mostly({(line, 80) for line in found}, lab.truth_open("80"))
        self.assertEqual(lab.counters()["rst"], 0)

    def assert_mostly(self, found, truth):
        """On a loaded machine these scanners lose answers that their kernel has got."""
        self.assertLessEqual(found, truth)
        self.assertGreater(len(found), len(truth) / 2)

    def mass(self, *words, deaf=False):
        """What a scanner prints about 198.18.2.0/24, and the lab. zmap sometimes aborts when it is
        done, which is its own affair: then it is asked again."""
        description = GATEWAYS + network("198.18.2.0/24", "open 50%  rtt uniform 1ms 50ms")
        for _ in range(5):
            lab = Lab(description, "--beacon", test=self, deaf=deaf)
            here = [lab.device if word == "DEVICE" else word for word in words]
            done = subprocess.run(
                [*lab.prefix, *here], stdin=subprocess.DEVNULL, capture_output=True,
                encoding="utf-8", timeout=300,
            )  # fmt: skip
            if done.returncode != -signal.SIGABRT:
                break
        self.assertEqual((done.returncode, lab.counters()["own_drops"]), (0, 0))
        return done.stdout.splitlines(), lab


@need("ip", "nsenter")
class SocketTest(unittest.TestCase):
    """The kernel's own sockets."""

    def connection(self, lab, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with lab.namespace.entered():
            made = socket.socket(family)
        self.addCleanup(made.close)
        made.settimeout(PATIENCE)
        return made, made.connect_ex((address, port))

    def test_connections_open_and_close_in_order(self):
        description = GATEWAYS + network("198.18.1.0/30", "open 22")
        description += network("fd00:1::/126", "open 22")
        with Lab(description) as lab:
            for address in "198.18.1.1", "fd00:1::1":
                made, code = self.connection(lab, address, 22)
                self.assertEqual(code, 0)
                made.sendall(b"hello" * 1000)
                made.shutdown(socket.SHUT_WR)
                self.assertEqual(made.recv(100), b"")
                _, code = self.connection(lab, address, 23)
                self.assertEqual(os.strerror(code), "Connection refused")
        counters = lab.counters()
        self.assertEqual((counters["probes"], counters["rst"]), (4, 0))
        self.assertGreater(counters["handshake"], 4)

    def test_a_tarpit_takes_nothing(self):
        with Lab(GATEWAYS + network("198.18.1.0/30", "tarpit")) as lab:
            made, code = self.connection(lab, "198.18.1.1", 4567)
            self.assertEqual(code, 0)
            made.sendall(b"x")
            time.sleep(0.3)  # in which an acknowledgment would have come
            unsent = fcntl.ioctl(made, termios.TIOCOUTQ, b"\0" * 4)
            self.assertEqual(struct.unpack("i", unsent), (1,))

    def test_round_trips_take_as_long_as_the_host_is_far(self):
        description = GATEWAYS + network("198.18.1.0/24", "open 22  rtt uniform 20ms 120ms")
        with Lab(description) as lab, Wire(lab) as wire:
            addresses = [f"198.18.1.{i}" for i in range(64)]
            wire.warm_up(addresses[0], 22)
            rounds = []
            for _ in range(2):
                sent = {}
                for address in addresses:
                    sent[address] = time.time()
                    wire.send(address, 22)
                replies, _ = wire.collect(len(addresses))
                rounds.append({reply.source: reply.time - sent[reply.source] for reply in replies})
                wire.replies.clear()
            shortest = {address: min(times[address] for times in rounds) for address in addresses}
            self.assertEqual([time for time in shortest.values() if time < 0.02], [])
            # The order of arrival is that of the distances, which repeats.
            far = [address for address, time in shortest.items() if time > 0.07]
            self.assertTrue(10 < len(far) < 54, shortest)

    def test_a_jitter_and_a_median_bound_the_time(self):
        description = GATEWAYS + network("198.18.1.0/24", "open 22  rtt lognormal 30ms 0.5")
        description += network("198.18.2.0/24", "open 22  rtt 30ms jitter 20ms")
        with Lab(description) as lab, Wire(lab) as wire:
            wire.warm_up("198.18.1.0", 22)
            for half, low, high in ("198.18.1", 90, 166), ("198.18.2", 0, 0):
                wire.replies.clear()
                sent = {}
                for i in range(256):
                    sent[f"{half}.{i}"] = time.time()
                    wire.send(f"{half}.{i}", 22)
                replies, _ = wire.collect(256)
                self.assertEqual(len(replies), 256)
                early = sum(reply.time - sent[reply.source] < 0.03 for reply in replies)
                # A loaded machine makes answers later, never earlier.
                self.assertTrue(early <= high, early)
                self.assertTrue(low == 0 or early > 0)


@need("ip", "nsenter")
class PathTest(unittest.TestCase):
    """What becomes of packets on the way, counted by hand and by simnet."""

    def flood(self, rules, count, ports="open 1-65535"):
        """Sends a SYN to each of `count` ports of an address. Returns replies, errors, counters,
        and the seconds that it took to send them."""
        description = GATEWAYS + network("198.18.1.0/24", ports, rules)
        description += network("198.18.2.1", "open 22")
        with Lab(description) as lab, Wire(lab) as wire:
            wire.warm_up("198.18.2.1", 22)
            before = lab.counters()
            start = time.monotonic()
            for i in range(count):
                wire.send("198.18.1.1", 1 + i, our_port=30000)
            taken = time.monotonic() - start
            replies, errors = wire.drain(lab)
            replies, errors = list(replies), list(errors)
        after = lab.counters()
        counters = {
            name: value - before[name] if isinstance(value, int) else value
            for name, value in after.items()
        }
        self.assertEqual(counters["own_drops"], 0)
        self.assertEqual(counters["probes"], count)
        self.assertEqual(
            counters["probes"],
            counters["lost_out"] + counters["burst_out"] + counters["queue_dropped_out"]
            + counters["arrived"] + counters["outside"],
        )  # fmt: skip
        made = sum(counters[f"made_{kind}"] for kind in ("syn_ack", "rst", "icmp", "echo"))
        self.assertEqual(
            made + counters["forged"] + counters["duplicated"],
            counters["sent"] + counters["lost_back"] + counters["burst_back"]
            + counters["queue_dropped_back"],
        )  # fmt: skip
        return replies, errors, counters, taken

    def assert_share(self, part, count, share):
        low, high = share_bounds(count, share)
        self.assertTrue(low < part < high, f"{part} of {count}, not {share:%}")

    def test_random_loss(self):
        replies, _, counters, _ = self.flood("loss out 20% back 10%", 5000)
        self.assert_share(counters["lost_out"], 5000, 0.2)
        self.assert_share(len(replies), 5000, 0.8 * 0.9)
        self.assertEqual(len(replies), counters["sent"])

    def test_loss_in_bursts(self):
        replies, _, counters, _ = self.flood("burst 1% 5ms", 5000)
        lost = counters["burst_out"]
        self.assertEqual(len(replies), 5000 - lost - counters["burst_back"])
        self.assertGreater(lost, 50)
        # Losses come in a row: there are far fewer rows than losses, at random there were as many.
        heard = {reply.port for reply in replies}
        rows = sum(port not in heard and port - 1 in heard for port in range(2, 5001))
        self.assertLess(rows, lost / 2)

    def test_a_bottleneck_has_a_rate_and_a_queue(self):
        replies, _, counters, taken = self.flood("bottleneck 1000 queue 100", 600)
        self.assertEqual(len(replies) + counters["queue_dropped_out"], 600)
        self.assertGreaterEqual(len(replies), 100)
        self.assertLessEqual(len(replies), 102 + (taken + 0.1) * 1000)
        # They leave one by one, each a thousandth of a second after the one before.
        span = replies[-1].time - replies[0].time
        self.assertGreater(span, (len(replies) - 1) / 1000 - 0.05)

    def test_a_common_bottleneck_on_the_way_back(self):
        description = GATEWAYS + "bottleneck back 1000 queue 50\n"
        description += network("198.18.1.0/24", "rtt 10ms")
        with Lab(description) as lab, Wire(lab) as wire:
            wire.warm_up("198.18.1.1", 1)
            start = time.monotonic()
            for port in range(300):
                wire.send("198.18.1.1", port)
            taken = time.monotonic() - start
            replies, _ = wire.drain(lab)
        counters = lab.counters()
        self.assertEqual(counters["queue_dropped_out"], 0)
        self.assertEqual(len(replies) + counters["queue_dropped_back"], 300)
        self.assertGreaterEqual(len(replies), 50)
        self.assertLessEqual(len(replies), 52 + (taken + 0.1) * 1000)
        self.assertGreater(replies[-1].time - replies[0].time, (len(replies) - 1) / 1000 - 0.05)

    def test_duplicates(self):
        replies, _, counters, _ = self.flood("duplicate 25% 5ms", 4000)
        self.assert_share(counters["duplicated"], 4000, 0.25)
        times = collections.Counter(reply.port for reply in replies)
        self.assertEqual(collections.Counter(times.values())[2], counters["duplicated"])

    def test_reordered_and_late_answers(self):
        replies, _, counters, _ = self.flood("reorder 10% 30ms  late 1% 1.5s", 3000)
        self.assertEqual(len(replies), 3000)
        low = share_bounds(3000, 0.1)[0] + share_bounds(3000, 0.01)[0]
        self.assertGreater(counters["delayed"], low)
        order = [reply.port for reply in replies]
        self.assertNotEqual(order, sorted(order))
        self.assertGreater(replies[-1].time - replies[0].time, 1.4)

    def test_corrupted_answers_have_wrong_checksums(self):
        description = GATEWAYS + network("198.18.1.0/24", "open 1-4000  corrupt 20%")
        with Lab(description) as lab, Wire(lab) as wire:
            with lab.namespace.entered():
                tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
            self.addCleanup(tap.close)
            tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            tap.setblocking(False)
            wire.warm_up("198.18.1.1", 1)
            for port in range(1, 2001):
                wire.send("198.18.1.1", port)
            wire.drain(lab)
            wrong = right = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet = tap.recv(2048)
                    if packet[9] == 6 and packet[12:16] == socket.inet_aton("198.18.1.1"):
                        tcp = packet[20:]
                        pseudo = packet[12:20] + struct.pack("!HH", 6, len(tcp))
                        if checksum(pseudo + tcp) == 0:
                            right += 1
                        else:
                            wrong += 1
        self.assertEqual(wrong, lab.counters()["corrupted"])
        self.assertIn(wrong + right, (2000, 2001))
        self.assert_share(wrong, wrong + right, 0.2)

    def test_forged_packets_come_in_addition(self):
        replies, errors, counters, _ = self.flood("forge 50%", 3000)
        self.assert_share(counters["forged"], 3000, 0.5)
        true = [r for r in replies if r[1:2] == ("198.18.1.1",) and r.acknowledgment == 1001
                and r.flags == SYN | ACK and r.our_port == 30000]  # fmt: skip
        self.assertEqual({reply.port for reply in true} & set(range(1, 3001)), set(range(1, 3001)))
        rest = [reply for reply in replies if reply not in true]
        self.assertTrue([r for r in rest if r.acknowledgment != 1001])
        self.assertTrue([r for r in rest if r.our_port != 30000])
        self.assertTrue([r for r in rest if r.source != "198.18.1.1"])
        self.assertTrue(errors)

    def test_limits_by_the_second(self):
        replies, _, counters, taken = self.flood("limit rst 100 freebsd", 1500, ports="")
        self.assertGreaterEqual(len(replies), 100)
        self.assertLessEqual(len(replies), 100 * (int(taken) + 2))
        self.assertEqual(len(replies) + counters["limited_rst"], 1500)
        self.assertEqual(counters["met_closed"], 1500)

    def test_limits_by_a_bucket(self):
        rules = "reject 100% port-unreach  limit icmp 10 linux burst 5"
        _, errors, counters, taken = self.flood(rules, 500, ports="")
        self.assertGreaterEqual(len(errors), 5)
        self.assertLessEqual(len(errors), 6 + 10 * taken)
        self.assertEqual(len(errors) + counters["limited_icmp"], 500)

    def test_limits_are_of_each_host(self):
        description = GATEWAYS + network("198.18.1.0/24", "limit rst 1 linux burst 2")
        with Lab(description) as lab, Wire(lab) as wire:
            wire.warm_up("198.18.1.255", 1)
            start = time.monotonic()
            for port in range(4):
                for host in range(200):
                    wire.send(f"198.18.1.{host}", port)
            taken = time.monotonic() - start
            replies, _ = wire.drain(lab)
        answers = collections.Counter(reply.source for reply in replies)
        self.assertEqual(len(answers), 200)
        self.assertLessEqual(max(answers.values()), 3 + taken)
        self.assertGreaterEqual(min(answers.values()), 2)

    def test_absent_hosts_behind_a_router_that_tells(self):
        rule = "absent 100% host-unreach from 198.18.0.1"
        description = GATEWAYS + network("198.18.1.0/24", rule)
        with Lab(description) as lab, Wire(lab) as wire:
            wire.send("198.18.1.1", 22)
            _, errors = wire.collect(1)
            self.assertEqual([error[1:4] for error in errors], [("198.18.0.1", 3, 1)])
            self.assertEqual(errors[0].quoted[20:], wire.segment("198.18.1.1", 22, SYN)[20:])

    def test_what_real_hosts_ignore_is_ignored(self):
        with Lab(GATEWAYS + network("198.18.1.0/24", "open 22")) as lab, Wire(lab) as wire:
            wire.send("198.18.1.1", 22, break_it=1)
            wire.send("198.18.1.1", 22, RST)
            wire.send("198.18.1.1", 23, RST | ACK)
            wire.send("198.18.1.1", 22, SYN | FIN)
            wire.send("198.18.1.1", 22, 0)
            wire.send("198.18.0.1", 22)
            wire.send("198.18.1.1", 23, SYN | ACK, acknowledgment=77)
            replies, errors = wire.drain(lab)
            self.assertEqual([reply[2:] for reply in replies], [(23, 40000, 77, 0, RST, 0)])
            self.assertEqual(errors, [])
        counters = lab.counters()
        self.assertEqual(counters["bad_checksum"], 1)
        self.assertEqual(counters["rst"], 2)
        self.assertEqual(counters["to_gateway"], 1)
        self.assertEqual(counters["probes"], 3)

    def test_packets_that_it_loses_itself_are_told(self):
        description = GATEWAYS + network("198.18.1.0/24", "silent 100%")
        description += network("198.18.2.1", "open 22")
        with Lab(description, "--queue", 50) as lab, Wire(lab) as wire:
            wire.warm_up("198.18.2.1", 22)
            process = lab._process  # pylint: disable=protected-access
            # The words before the program are nsenter's, which becomes it.
            process.send_signal(signal.SIGSTOP)
            for port in range(500):
                wire.send("198.18.1.1", port)
            process.send_signal(signal.SIGCONT)
            wire.drain(lab)
        counters = lab.counters()
        self.assertGreater(counters["own_drops"], 300)
        self.assertEqual(counters["met_silent"] + counters["own_drops"], 500)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])

"""Raw scans of networks of thousands of ports that lose, delay, limit and forge, played by simnet:
what a scan says is held to what is true. Nothing here is about time."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from lab import Lab
from namespaces import need
from porthole import run

GATEWAYS = "gateway 198.18.0.1\ngateway fd00::1\n"
SILENT = ("filtered", "no-response", None)
ABSENT = (SILENT, SILENT)
SAME = {"proxy": "syn-ack", "tarpit": "syn-ack", "silent": "no-response",
        "firewalled": "no-response"}  # fmt: skip


def network(prefix, *lines):
    """The description of one network behind the gateways, by its lines."""
    return "\n  ".join([f"network {prefix}", *lines]) + "\n"


def states_of(records):
    """(address, port) → (state, reason, from)."""
    return {
        (record["address"], record["port"]): (
            record["state"], record["reason"], record.get("from"),
        )
        for record in records if record["type"] == "port"
    }  # fmt: skip


class Found:
    """What a scan said, beside what is true.

    `invented`: what was told of ports although it isn't so; whatever the network does, that must
    be nothing. `missed`: ports that answer and were told to be silent."""

    def __init__(self, lines, truth, absent=ABSENT):
        records = [json.loads(line) for line in lines]  # valid: that is tested elsewhere
        self.summary = records[-1]
        self.states = states_of(records)
        self.errors = [record for record in records if record["type"] == "error"]
        self.truth = {
            key: (state.state, SAME.get(state.reason, state.reason), state.router)
            if state.reason != "absent" else absent[":" in key[0]]
            for key, state in truth.items()
        }  # fmt: skip
        differs = [key for key in self.truth if self.states.get(key) != self.truth[key]]
        self.missed = [key for key in differs if self.states[key][1] == "no-response"]
        self.invented = {
            key: (self.states[key], self.truth[key])
            for key in set(differs).difference(self.missed)
        }  # fmt: skip
        self.answering = sum(state[1] != "no-response" for state in self.truth.values())


@need("ip", "nsenter")
class LabTest(unittest.TestCase):
    """A scan in a lab of its own."""

    maxDiff = 2000

    def scan(self, lab, ports, *targets, words=("-sS",), absent=ABSENT):
        """Scans, and returns what was Found: nothing is ever invented, and every port is told of.
        `absent` is what should be said of absent hosts, of IPv4 and of IPv6."""
        done = run("scan", "--json", *words, "-p", ports, *targets, namespace=lab.namespace)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = Found(done.stdout.splitlines(), lab.truth(ports, *targets), absent)
        self.assertEqual(found.summary["end"], "complete")
        self.assertEqual(found.states.keys(), found.truth.keys())
        self.assertEqual(found.errors, [])
        self.assertEqual(found.invented, {})
        return found

    def lab(self, *networks, **others):
        """A lab until the test's end."""
        return Lab(GATEWAYS + "".join(networks), test=self, **others)

    def all_is_right(self, found):
        """Of a network that loses nothing."""
        self.assertEqual(found.missed, [])
        self.assertGreater(found.answering, 0)

    def little_is_missed(self, found):
        """As little as the scan says of itself. `recall.low` holds with 95% certainty: U ports are
        missed at most. How many are missed is then about Poisson's, with a mean of which U is the
        95% quantile, and 2 U + 4 are exceeded less than once in a million runs, whatever the mean
        is (0.05, where U is 0: 3 in 10^9; 1: 1 in 10^8; 10: fewer)."""
        recall = found.summary["recall"]
        self.assertGreaterEqual(recall["estimate"], 0.999)
        heard = found.answering - len(found.missed)
        at_most = heard / recall["low"] - heard
        self.assertLessEqual(len(found.missed), 2 * at_most + 4)
        self.assertGreater(found.answering, 0)


class Sizes(LabTest):
    """Many ports of one host, one port of many hosts."""

    def test_one_host_and_all_ports(self):
        lab = self.lab(network("198.18.1.1", "open 22,80,443 0.1%"))
        self.all_is_right(self.scan(lab, "0-65535", "198.18.1.1"))

    def test_one_port_of_many_hosts(self):
        lab = self.lab(network("198.19.0.0/16", "absent 50%", "open 1%", "silent 10%"))
        found = self.scan(lab, "80", "198.19.0.0/16")
        self.all_is_right(found)
        self.assertEqual(found.summary["hosts_answered"], found.answering)

    def test_networks_of_both_families(self):
        lab = self.lab(
            network("198.18.1.0/26", "open 10%", "silent 10%", "absent 5%"),
            network("fd01::/122", "open 10%", "silent 10%", "firewalled 20%"),
        )
        self.all_is_right(self.scan(lab, "1-100", "198.18.1.0/26", "fd01::/122"))

    def test_without_a_link_layer(self):
        lab = self.lab(
            network("198.18.1.0/26", "open 10%", "silent 10%", "loss 1%"),
            network("fd01::/122", "open 10%", "silent 10%", "loss 1%"),
            tun=True,
        )
        self.little_is_missed(self.scan(lab, "1-100", "198.18.1.0/26", "fd01::/122"))

    def test_hosts_on_the_link(self):
        """Those that nobody knows are told of by this machine itself."""
        networks = ("198.18.0.0/25", "198.18.0.2"), ("fd00::/121", "fd00::2")
        lab = Lab("".join(network(prefix, "onlink", "absent 50%", "open 10%", "silent 10%")
                          for prefix, _ in networks), test=self)  # fmt: skip
        targets, absent = [], {}
        for _, own in networks:
            targets.append(f"{own[:-1]}16-{own[:-1]}79")
            absent[":" in own] = ("filtered", "host-unreach", own)
        self.all_is_right(self.scan(lab, "1-100", *targets, absent=absent))


class Losses(LabTest):
    """Ways that lose. Two thirds of the ports answer: some 8,500."""

    def check(self, *lines, networks=("198.18.1.0/26",), words=("-sS",)):
        """A scan of 200 ports of 64 hosts."""
        lab = self.lab(*(network(net, "open 10%", "silent 30%", *lines) for net in networks))
        found = self.scan(lab, "1-200", *networks, words=words)
        self.little_is_missed(found)
        return lab.counters(), found

    def test_one_in_a_hundred_each_way(self):
        self.check("loss 1%")

    def test_five_in_a_hundred_each_way(self):
        counters, found = self.check("loss 5%")
        self.assertGreater(counters["lost_out"] * counters["lost_back"], 0)
        self.assertGreater(found.summary["passes"], 2)

    def test_both_families(self):
        self.check("loss 3%", networks=("198.18.1.0/27", "fd01::/123"))

    def all_are_wanted(self, *lines, ports="1-200"):
        """A scan with --recall 100, of which passes go on until less than one port is missed, with
        95% certainty: more than four are as unlikely as above."""
        lab = self.lab(*lines)
        found = self.scan(lab, ports, "198.18.1.0/26", words=("-sS", "--recall", "100"))
        self.assertLessEqual(len(found.missed), 4)
        return lab.counters()

    def test_every_answering_port_is_wanted(self):
        self.all_are_wanted(network("198.18.1.0/26", "open 10%", "silent 30%", "loss 5%"))

    def test_bursts(self):
        """Each begins after 2,500 packets on average and lasts a millisecond. Each pass has an order
        of its own, so that what one burst took is not asked together again: in 40 scans at most 31 of
        9,407 ports were missed, where it had been up to 275 with one order for all passes. The bound
        is six times that."""
        lab = self.lab(network("198.18.1.0/26", "open 10%", "silent 30%", "burst 0.04% 1ms"))
        found = self.scan(lab, "1-200", "198.18.1.0/26", words=("-sS", "--rate", "100000"))
        self.assertLess(len(found.missed), 0.02 * found.answering)
        self.assertGreater(lab.counters()["burst_out"], 0)

    def test_a_bottleneck(self):
        """Nobody tells the scan how much the line carries. It finds out, and what it lost by then
        it asks again."""
        counters = self.all_are_wanted("bottleneck 20000 queue 500\n",
                                       network("198.18.1.0/26", "open 10%", "rtt 5ms"),
                                       ports="1-400")  # fmt: skip
        self.assertEqual(counters["events_exhausted"], 0)


class Limits(LabTest):
    """Hosts that answer only so often: their other ports are not silent. (Asked slowly enough, they
    answer to everything.)"""

    def test_resets_of_all_hosts(self):
        lab = self.lab(network("198.18.1.0/28", "open 5%", "limit rst 200 freebsd"))
        self.all_is_right(self.scan(lab, "1-300", "198.18.1.0/28"))

    def test_resets_of_some_hosts(self):
        lab = self.lab(
            network("198.18.1.0/26", "open 5%"),
            network("198.18.1.8/31", "open 5%", "silent 10%", "limit rst 200 freebsd"),
        )
        self.all_is_right(self.scan(lab, "1-400", "198.18.1.0/26"))

    def test_errors(self):
        """Ports about which no error comes are filtered all the same."""
        lab = self.lab(network("198.18.1.0/28", "open 5%", "reject 50% admin-prohibited",
                               "limit icmp 100 linux"))  # fmt: skip
        found = self.scan(lab, "1-200", "198.18.1.0/28")
        self.assertEqual({found.truth[key][0] for key in found.missed} - {"filtered"}, set())


class Strangers(LabTest):
    """Answers that are none, or not the target's own."""

    def test_forgeries_and_accidents(self):
        lab = self.lab(*(
            network(net, "open 10%", "silent 30%", "reject 5% port-unreach",
                    "forge 30%", "corrupt 5%", "duplicate 10% 30ms", "reorder 10% 5ms",
                    "late 5% 200ms", "rtt 2ms jitter 2ms")
            for net in ("198.18.1.0/27", "fd01::/123")
        ))  # fmt: skip
        found = self.scan(lab, "1-200", "198.18.1.0/27", "fd01::/123")
        self.little_is_missed(found)
        counters = lab.counters()
        for name in ("forged", "corrupted", "duplicated", "delayed"):
            self.assertGreater(counters[name], 0)
        open_ports = {key for key, state in found.states.items() if state[0] == "open"}
        self.assertLessEqual(open_ports, lab.truth_open("1-200"))

    def test_who_answers_for_every_port(self):
        lab = self.lab(network("198.18.1.1", "proxy"), network("198.18.1.2", "tarpit"),
                       network("198.18.1.3", "open 22"))  # fmt: skip
        found = self.scan(lab, "1-1000", "198.18.1.1-198.18.1.3")
        self.all_is_right(found)
        self.assertEqual(found.summary["open"], 2001)

    def test_absent_hosts_and_what_routers_say_of_them(self):
        lab = self.lab(
            network("198.18.1.0/26", "absent 50% host-unreach from 198.18.0.1", "open 10%"),
            network("198.18.2.0/26", "absent 90%", "open 10%"),
            network("fd01::/122", "absent 50% no-route from fd00::1", "open 10%"),
        )
        targets = ("198.18.1.0/26", "198.18.2.0/26", "fd01::/122")
        self.all_is_right(self.scan(lab, "1-50", *targets))

    def test_hosts_near_and_far(self):
        """Round trips of up to a second and more, of which an answer that is late is one still."""
        distances = "rtt lognormal 100ms 0.8"
        lab = self.lab(network("198.18.1.0/26", "open 10%", "silent 10%", distances))
        self.all_is_right(self.scan(lab, "1-50", "198.18.1.0/26"))


class Stacks(LabTest):
    """What other stacks than Linux say to odd segments, and filters that look at SYNs only."""

    OPEN, PASSED = ("open", "reset", None), ("unfiltered", "reset", None)
    CLOSED, SILENT = ("closed", "reset", None), ("filtered", "no-response", None)
    UNTOLD = ("open|filtered", "no-response", None)

    # Technique, and lines of a description → what open, closed and silent ports are to it.
    KINDS = {
        ("-sA", "stack linux"): (PASSED, PASSED, SILENT),
        ("-sA", "stateless"): (PASSED, PASSED, PASSED),
        ("-sW", "stack linux"): (CLOSED, CLOSED, SILENT),
        ("-sW", "rst-window"): (OPEN, CLOSED, SILENT),
        ("-sM", "stack linux"): (CLOSED, CLOSED, UNTOLD),
        ("-sM", "stack bsd"): (UNTOLD, CLOSED, UNTOLD),
        ("-sF", "stack bsd"): (UNTOLD, CLOSED, UNTOLD),
        ("-sF", "stack windows"): (CLOSED, CLOSED, UNTOLD),
        ("-sN", "stack linux"): (UNTOLD, CLOSED, UNTOLD),
        ("-sN", "stateless"): (UNTOLD, CLOSED, CLOSED),
        ("-sX", "stack linux"): (UNTOLD, CLOSED, UNTOLD),
        ("-sX", "stack windows"): (CLOSED, CLOSED, UNTOLD),
    }

    def test_odd_segments(self):
        lines = sorted({line for _, line in self.KINDS})
        for tun in (False, True):
            lab = self.lab(*(network(f"198.18.{i}.0/30", line, "open 20%", "silent 20%")
                             for i, line in enumerate(lines, 1)), tun=tun)  # fmt: skip
            for (technique, line), told in self.KINDS.items():
                with self.subTest(technique, line=line, tun=tun):
                    words = dict(zip(("syn-ack", "reset", "silent"), told))
                    target = f"198.18.{lines.index(line) + 1}.0/30"
                    done = run("scan", "--json", technique, "-p", "1-100", target,
                               namespace=lab.namespace)  # fmt: skip
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    truth = lab.truth("1-100", target)
                    expected = {key: words[state.reason] for key, state in truth.items()}
                    self.assertEqual(states_of(map(json.loads, done.stdout.splitlines())), expected)


if __name__ == "__main__":
    unittest.main()

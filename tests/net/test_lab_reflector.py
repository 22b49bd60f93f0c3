"""The reflector against porthole's packet socket and nmap: what it answers must be what it says is
true, and what it counts must be what was sent and answered."""

import os
import pathlib
import subprocess
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import need
from porthole import scan
from reflector import GRO, PASS, Reflector, program

PORTS = "1-50"
NETWORKS = ("198.19.0.0/27", "fd01::/123")
SILENT = ("filtered", "no-response", None)
SAME = {"silent": "no-response"}


@unittest.skipUnless(os.path.exists(program()), "built without BPF")
@need("ip", "nsenter", "ethtool")
class ReflectorTest(unittest.TestCase):
    """Scans of 64 hosts of both families."""

    maxDiff = 2000

    def lab(self, **others):
        """A reflector until the test's end, which looks at checksums."""
        return Reflector(verify=True, test=self, **others)

    def states(self, lab):
        """What a scan should say."""
        return {
            key: (state.state, SAME.get(state.reason, state.reason), None)
            for key, state in lab.truth(PORTS, *NETWORKS).items()
        }

    def adds_up(self, counters):
        """Every SYN was in order, and became one thing; and each SYN, ACK was reset."""
        told = ("syn_acks", "resets_sent", "silent", "lost", "broken")
        self.assertEqual(sum(counters[name] for name in told), counters["probes"])
        self.assertEqual(sum(counters["windows"]), counters["probes"])
        self.assertEqual((counters["broken"], counters["others"]), (0, 0))
        self.assertEqual(counters["resets"], counters["syn_acks"])

    def test_every_state_is_true(self):
        for polls in (GRO, PASS):
            with self.subTest(polls):
                lab = self.lab(polls=polls)
                found = scan("-sS", "-p", PORTS, *NETWORKS, namespace=lab.namespace)
                self.assertEqual(found.states(), self.states(lab))
                counters = lab.counters()
                self.adds_up(counters)
                self.assertEqual(counters["lost"], 0)
                self.assertEqual(counters["probes"], found.summary["packets"])
                lab.stop()
                self.assertEqual(lab.counters(), counters)

    def test_syns_are_lost_by_chance(self):
        lab = self.lab(loss=5)
        found = scan("-sS", "-p", PORTS, *NETWORKS, namespace=lab.namespace)
        told, true = found.states(), self.states(lab)
        self.assertEqual(told.keys(), true.keys())
        invented = [key for key in true if told[key] not in (true[key], SILENT)]
        self.assertEqual(invented, [])
        counters = lab.counters()
        self.adds_up(counters)
        self.assertGreater(counters["lost"], 0.02 * counters["probes"])
        self.assertLess(counters["lost"], 0.09 * counters["probes"])

    def test_shares_and_seeds(self):
        lab = self.lab(open=20, closed=30, seed=7)
        truth = lab.truth(PORTS, *NETWORKS)
        counts = lab.truth_counts(PORTS, *NETWORKS)
        for state, share in ("open", 0.2), ("closed", 0.3), ("filtered", 0.5):
            count = sum(told.state == state for told in truth.values())
            self.assertEqual(counts[state], count)
            self.assertAlmostEqual(count / len(truth), share, delta=0.06)
        opened = {key for key, told in truth.items() if told.state == "open"}
        self.assertEqual(lab.truth_open(PORTS, *NETWORKS), opened)
        found = scan("-sS", "-p", PORTS, *NETWORKS, namespace=lab.namespace)
        self.assertEqual(found.states(), self.states(lab))
        other = self.lab(open=20, closed=30, seed=8)
        self.assertNotEqual(other.truth_open(PORTS, *NETWORKS), opened)

    def test_all_are_closed(self):
        lab = self.lab(open=0, closed=100, distinct=True)
        self.assertEqual(lab.truth_counts(PORTS, *NETWORKS),
                         {"open": 0, "closed": 3200, "filtered": 0})  # fmt: skip
        found = scan("-sS", "-p", PORTS, NETWORKS[0], namespace=lab.namespace)
        self.assertEqual(found.summary["closed"], 1600)
        self.assertEqual(lab.counters()["answered"], 1600)
        self.assertGreaterEqual(lab.counters()["resets_sent"], 1600)

    def test_answers_are_held(self):
        # Those that come later are answered at once, and all are what they would have been.
        patient = ("--timeout", "3s", "--min-timeout", "3s", "--tries", "1", "-p", PORTS)
        for hold in (900, 100_000):
            for network in NETWORKS:
                with self.subTest(hold=hold, network=network):
                    lab = self.lab(hold=hold, reply_rate=20_000, processor=0)
                    found = scan("-sS", *patient, network, namespace=lab.namespace).states()
                    true = self.states(lab)
                    self.assertEqual(found, {key: true[key] for key in found})
                    self.assertEqual(len(found), 1600)
                    counters = lab.counters()
                    self.adds_up(counters)
                    answers = counters["syn_acks"] + counters["resets_sent"]
                    self.assertEqual(counters["held"], min(hold, answers))
                    # Others' packets are counted there, too.
                    self.assertGreaterEqual(counters["taken"], counters["held"])
                    self.assertGreaterEqual(counters["held_time"], counters["held"] / 20_000)

    @need("nmap")
    def test_nmap_agrees(self):
        lab = self.lab()
        target = "198.19.0.1"
        done = subprocess.run(
            [*lab.prefix, "nmap", "-n", "-Pn", "-sS", "-d1", "-oX", "-", "-p", PORTS, target],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        told = {
            (target, int(port.get("portid"))): port.find("state").get("state")
            for port in xml.etree.ElementTree.fromstring(done.stdout).iter("port")
        }
        truth = lab.truth(PORTS, target)
        self.assertEqual(told, {key: state.state for key, state in truth.items()})


if __name__ == "__main__":
    unittest.main()

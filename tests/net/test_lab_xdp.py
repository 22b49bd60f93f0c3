"""Some tests of the raw scan on simnet's networks, done by the XDP link: those in which it could
matter how packets leave and come in. simnet's device queues what it is sent, and counts it late."""

import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import test_lab_resume
import test_lab_scan
from namespaces import need
from porthole import start
from test_xdp import BUILT, XDP


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter")
class Scans(test_lab_scan.LabTest):
    """What a scan says is held to what is true."""

    check = test_lab_scan.Losses.check
    all_are_wanted = test_lab_scan.Losses.all_are_wanted

    test_many_hosts = test_lab_scan.Sizes.test_one_port_of_many_hosts
    test_losses = test_lab_scan.Losses.test_five_in_a_hundred_each_way
    test_a_bottleneck = test_lab_scan.Losses.test_a_bottleneck
    test_limits = test_lab_scan.Limits.test_resets_of_some_hosts
    test_strangers = test_lab_scan.Strangers.test_forgeries_and_accidents
    test_absent_hosts = test_lab_scan.Strangers.test_absent_hosts_and_what_routers_say_of_them

    def scan(self, lab, ports, *targets, words=("-sS",), absent=test_lab_scan.ABSENT):
        found = super().scan(lab, ports, *targets, words=(*words, *XDP), absent=absent)
        self.assertEqual(found.summary["link"], "xdp")
        return found


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter")
class Parts(test_lab_resume.PartsTest):
    """Scans that are killed, interrupted, or done in parts."""

    kill = test_lab_resume.Resume.kill

    test_interrupted = test_lab_resume.Resume.test_interrupted
    test_killed_in_the_midst_of_hosts_that_answer_only_so_often = (
        test_lab_resume.Resume.test_killed_in_the_midst_of_hosts_that_answer_only_so_often
    )

    def setUp(self):
        super().setUp()
        self.words[2:2] = XDP

    def test_killed(self):
        whole = self.run_whole(*self.words)
        for after in (0.4, random.uniform(0.5, 1.2)):
            self.kill(*self.words, "--rate", test_lab_resume.RATE, "--checkpoint", self.checkpoint,
                      after=after)  # fmt: skip
            self.assertTrue(self.checkpoint.exists())
            resumed = self.resume("--rate", "1M")
            self.assertEqual(resumed.summary["link"], "xdp")
            self.assertEqual(resumed.states, whole.states)
            self.assertEqual(self.counts(resumed), self.counts(whole))

    def test_shards(self):
        """One after the other, because a device has room for one program."""
        states, told = {}, 0
        for shard in ("1/2", "2/2"):
            with start(*self.words, "--seed", "7", "--shard", shard,
                       namespace=self.network.namespace) as process:  # fmt: skip
                lines, said = process.communicate()
            self.assertEqual((process.returncode, said), (0, ""))
            found = test_lab_scan.Found(lines.splitlines(), {})
            states |= found.states
            told += len(found.states)
        whole = self.run_whole(*self.words, "--seed", "7")
        self.assertEqual(states, whole.states)
        self.assertEqual(told, len(states))


if __name__ == "__main__":
    unittest.main()

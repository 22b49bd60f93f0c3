"""Raw scans that are killed, interrupted, or done in parts: together they find what one whole scan
finds, which is what is true of a network that simnet plays."""

import contextlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import need
from porthole import run, start
from test_lab_scan import Found, LabTest, network, states_of

RATE = 10000  # a second: more than a second in all
TARGETS = ("198.18.1.0/27", "fd01::/123")
PORTS = "1-200"
COUNTS = ("open", "closed", "filtered", "undecided", "errors", "hosts_answered", "hosts_silent")


@need("ip", "nsenter")
class PartsTest(LabTest):
    """Scans of a network of every kind of port that loses nothing."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
        self.checkpoint = pathlib.Path(directory, "scan.ckpt")
        lines = ("open 10%", "silent 20%", "absent 10%", "firewalled 10%")
        self.network = self.lab(
            network(TARGETS[0], *lines, "reject 10% admin-prohibited from 198.18.0.1"),
            network(TARGETS[1], *lines, "reject 10% no-route from fd00::1"),
        )
        self.words = ["scan", "-sS", "--json", "-p", PORTS, *TARGETS]

    def found(self, text):
        """What the output of a complete scan says, which must all be true."""
        found = Found(text.splitlines(), self.network.truth(PORTS, *TARGETS))
        self.assertEqual(found.summary["end"], "complete")
        self.assertEqual(found.invented, {})
        self.all_is_right(found)
        return found

    def run_whole(self, *words):
        """A scan, or the end of one, that must come to its end."""
        done = run(*words, namespace=self.network.namespace)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return self.found(done.stdout)

    def resume(self, *words):
        """Goes on from the checkpoint to the end, where that is removed."""
        found = self.run_whole("scan", "--resume", self.checkpoint, *words)
        self.assertFalse(self.checkpoint.exists())
        return found

    def counts(self, found):
        """What the summary counts."""
        return {name: found.summary[name] for name in COUNTS}


class Resume(PartsTest):
    """--checkpoint and --resume."""

    def kill(self, *words, after):
        """Starts a scan and kills it after so many seconds."""
        with start(*words, namespace=self.network.namespace, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL) as process:  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            process.kill()

    def test_killed_at_ten_random_moments(self):
        whole = self.run_whole(*self.words)
        killed = 0
        for _ in range(10):
            self.kill(*self.words, "--rate", RATE, "--checkpoint", self.checkpoint,
                      after=random.uniform(0.1, 1.3))  # fmt: skip
            if not self.checkpoint.exists():  # before it had begun, or after its end
                continue
            killed += 1
            resumed = self.resume("--rate", "1M")
            self.assertEqual(resumed.states, whole.states)
            self.assertEqual(self.counts(resumed), self.counts(whole))
        self.assertGreater(killed, 0)

    def test_killed_again_and_again(self):
        whole = self.run_whole(*self.words)
        words = [*self.words, "--rate", RATE // 4, "--checkpoint", self.checkpoint]
        for _ in range(3):
            self.kill(*words, after=1.5)
            self.assertTrue(self.checkpoint.exists())
            words = ["scan", "--resume", self.checkpoint]
        resumed = self.resume("--rate", "1M")
        self.assertEqual(resumed.states, whole.states)
        self.assertEqual(self.counts(resumed), self.counts(whole))

    def test_interrupted(self):
        """Ctrl-C: what is known is told, what is not is left undecided, and silence is not
        invented."""
        truth = self.run_whole(*self.words).truth
        with start(*self.words, "--rate", RATE // 2, "--checkpoint", self.checkpoint,
                   namespace=self.network.namespace) as process:  # fmt: skip
            lines = [process.stdout.readline() for _ in range(1000)]
            process.send_signal(signal.SIGINT)
            lines += process.stdout.readlines()
        self.assertEqual(process.returncode, -signal.SIGINT)
        records = list(map(json.loads, lines))
        self.assertEqual(records[-1]["end"], "interrupted")
        told = states_of(records)
        self.assertEqual(told, {key: truth[key] for key in told})
        self.assertNotIn("no-response", {reason for _, reason, _ in told.values()})
        self.assertEqual(records[-1]["undecided"], len(truth) - len(told))
        self.assertGreater(records[-1]["undecided"], 0)
        self.resume("--rate", "1M")

    def test_killed_in_the_midst_of_hosts_that_answer_only_so_often(self):
        self.network.stop()
        self.network = self.lab(
            network(TARGETS[0], "open 10%", "silent 10%"),
            network(TARGETS[1], "open 10%", "silent 10%"),
            network("198.18.1.8/31", "open 10%", "limit rst 100 freebsd"),
            network("fd01::8/127", "open 10%", "limit rst 100 freebsd"),
        )
        self.kill(*self.words, "--checkpoint", self.checkpoint, after=1)
        self.assertTrue(self.checkpoint.exists())
        self.resume()


class Shards(PartsTest):
    """--shard, at the same time and on the same machine."""

    def check(self, count):
        """So many parts together are the whole, and no two of them tell of the same port."""
        words = [*self.words, "--seed", "42"]
        processes = [start(*words, "--shard", f"{i + 1}/{count}", namespace=self.network.namespace)
                     for i in range(count)]  # fmt: skip
        outputs = [process.communicate() for process in processes]
        self.assertEqual([process.returncode for process in processes], [0] * count)
        self.assertEqual([errors for _, errors in outputs], [""] * count)
        parts = [list(map(json.loads, output.splitlines())) for output, _ in outputs]
        states, told = {}, 0
        for records in parts:
            own = states_of(records)
            states |= own
            told += len(own)
            self.assertEqual(records[-1]["end"], "complete")
        self.assertEqual(told, len(states))
        whole = self.run_whole(*words)
        self.assertEqual(states, whole.states)
        for name in ("open", "closed", "filtered"):
            self.assertEqual(sum(records[-1][name] for records in parts), whole.summary[name])
        sizes = [len(states_of(records)) for records in parts]
        self.assertLessEqual(max(sizes) - min(sizes), 1)

    def test_two(self):
        self.check(2)

    def test_five(self):
        self.check(5)


if __name__ == "__main__":
    unittest.main()

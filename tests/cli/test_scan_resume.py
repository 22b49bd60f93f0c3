"""A scan that is killed goes on from its checkpoint to the result of one that never was."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from namespaces import Namespace, need, wire
from porthole import Records, run, scan, start
from sockets import listen, port_of

PORTS = 3000
RATE = 1500  # a second: two seconds in all


class ResumeTest(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = pathlib.Path(
            self.stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
        )
        self.checkpoint = self.directory / "scan.ckpt"

    def kill(self, *words, after, namespace=None):
        """Starts a scan and kills it after so many seconds. Returns its exit status."""
        with start(*words, namespace=namespace, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL) as process:  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            process.kill()
        return process.returncode

    def resume(self, *words, namespace=None, status=0):
        """The Records of a scan that goes on."""
        done = run("scan", "--resume", self.checkpoint, "--json", *words, namespace=namespace)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return Records(done.stdout)


class Loopback(ResumeTest):
    def setUp(self):
        super().setUp()
        listeners = [self.stack.enter_context(listen("127.0.0.1")) for _ in range(9)]
        self.open = {port_of(listener) for listener in listeners}
        self.ports = f"1-{PORTS}," + ",".join(map(str, self.open))
        self.words = ["-p", self.ports, "127.0.0.1"]

    def test_killed_at_ten_random_moments(self):
        expected = scan(*self.words).states()
        killed = 0
        for _ in range(10):
            status = self.kill("scan", *self.words, "--rate", RATE, "--checkpoint", self.checkpoint,
                               after=random.uniform(0.02, 0.9 * PORTS / RATE))  # fmt: skip
            if not self.checkpoint.exists():  # before it had begun, or after its end
                continue
            self.assertEqual(status, -signal.SIGKILL)
            killed += 1
            resumed = self.resume("--rate", "1M")
            self.assertEqual(resumed.states(), expected)
            self.assertEqual(resumed.summary["end"], "complete")
            self.assertLessEqual(self.open, resumed.open("127.0.0.1"))
            self.assertFalse(self.checkpoint.exists(), "left behind by a complete scan")
        self.assertGreater(killed, 4)

    def test_killed_again_and_again(self):
        expected = scan(*self.words).states()
        words = ["scan", *self.words, "--rate", RATE // 2, "--checkpoint", self.checkpoint]
        for _ in range(4):
            self.kill(*words, after=1.2)
            self.assertTrue(self.checkpoint.exists())
            words = ["scan", "--resume", self.checkpoint]
        resumed = self.resume("--rate", "1M")
        self.assertEqual(resumed.states(), expected)
        # What had been asked was not asked again: only the last second of each run, at most.
        self.assertLess(resumed.summary["probes"], 2 * len(expected))

    def wait_for_blocks(self, count):
        """Waits until the file has grown so many times."""
        size = os.path.getsize(self.checkpoint)
        deadline = time.monotonic() + 60
        while count:
            self.assertLess(time.monotonic(), deadline, "the checkpoint does not grow")
            time.sleep(0.01)
            if os.path.getsize(self.checkpoint) > size:
                size = os.path.getsize(self.checkpoint)
                count -= 1

    def test_what_is_in_the_file_is_not_asked_again(self):
        with start("scan", "--json", *self.words, "--rate", 500,
                   "--checkpoint", self.checkpoint) as process:  # fmt: skip
            text = "".join(process.stdout.readline() for _ in range(101))
            self.wait_for_blocks(2)
            process.kill()
            process.stdout.read()
        told = {port["port"]: port for port in records.of_type(records.parse(text), "port")}
        self.assertEqual(len(told), 100)
        resumed = {port["port"]: port for port in self.resume("--rate", "1M").of("port")}
        self.assertEqual({port: resumed[port] for port in told}, told)

    def test_every_format_of_a_resumed_scan_is_whole(self):
        with start("scan", *self.words, "--rate", RATE, "--checkpoint", self.checkpoint) as process:
            time.sleep(0.7)
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
        self.assertEqual(process.returncode, -signal.SIGTERM)
        ends = ("csv", "xml", "gnmap", "jsonl", "txt")
        paths = {end: self.directory / f"scan.{end}" for end in ends}
        done = run("scan", "--resume", self.checkpoint, "--rate", "1M",
                   *(word for path in paths.values() for word in ("-o", path)))  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        text = {end: path.read_text(encoding="utf-8") for end, path in paths.items()}
        self.assertEqual(text["csv"].count("\n"), 1 + PORTS + len(self.open))
        self.assertEqual(len(Records(text["jsonl"]).of("port")), PORTS + len(self.open))
        for end in ("xml", "gnmap", "txt"):
            for port in self.open:
                self.assertIn(str(port), text[end], end)
        self.assertEqual(text["txt"], done.stdout)

    def test_outputs_may_be_given_anew(self):
        words = ["-o", self.directory / "old.csv", "--rate", RATE, "--checkpoint", self.checkpoint]
        self.kill("scan", "--grep", *self.words, *words, after=0.7)
        new = self.directory / "new.json"
        done = run("scan", "--resume", self.checkpoint, "--rate", "1M", "--csv", "-o", new)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("\n"), 1 + PORTS + len(self.open))
        self.assertEqual(len(Records(new.read_text()).of("port")), PORTS + len(self.open))
        # What goes elsewhere than the new ones is still written.
        self.assertEqual(sorted(os.listdir(self.directory)), ["new.json", "old.csv"])
        self.assertEqual((self.directory / "old.csv").read_text(), done.stdout)

    def test_outputs_need_not_be_given_anew(self):
        words = ["--json", "--rate", RATE, "--checkpoint", self.checkpoint]
        self.kill("scan", *self.words, *words, after=0.7)
        done = run("scan", "--resume", self.checkpoint, "--rate", "1M")
        self.assertEqual(len(Records(done.stdout).of("port")), PORTS + len(self.open))

    def test_the_seed_and_the_options_are_those_of_the_first_run(self):
        words = ["scan", *self.words, "--seed", 42, "--tries", 2, "--rate", RATE, "--open",
                 "--checkpoint", self.checkpoint]  # fmt: skip
        self.kill(*words, after=0.8)
        resumed = self.resume("--rate", "1M")
        self.assertEqual(resumed.all[0]["seed"], "42")
        self.assertEqual({port["state"] for port in resumed.of("port")}, {"open"})

    def test_a_file_that_ends_in_the_middle_of_a_block(self):
        """What a crash of the machine leaves: the last block is asked again."""
        expected = scan(*self.words).states()
        words = ["--rate", RATE // 3, "--checkpoint", self.checkpoint]
        self.kill("scan", *self.words, *words, after=3.5)
        whole = self.checkpoint.read_bytes()
        for cut in (1, 7, 8, 9, 100, 1000):
            with self.subTest(cut=cut):
                self.checkpoint.write_bytes(whole[:-cut])
                self.assertEqual(self.resume("--rate", "1M").states(), expected)

    def refuse(self, text, *words):
        """A resumption that must fail as a wrong file does, with a line that matches."""
        done = run("scan", "--resume", self.checkpoint, *words)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, rf"\Aporthole scan: .*{text}.*\n\Z")

    def test_damaged_files_are_refused(self):
        words = ["--rate", RATE // 3, "--checkpoint", self.checkpoint]
        self.kill("scan", *self.words, *words, after=2.5)
        whole = self.checkpoint.read_bytes()
        generator = random.Random(1)
        for _ in range(40):
            at = generator.randrange(len(whole) // 2)
            with self.subTest(at=at):
                damaged = bytearray(whole)
                damaged[at] ^= 1 << generator.randrange(8)
                self.checkpoint.write_bytes(damaged)
                self.refuse(r"(damaged|not a checkpoint|version)")
                self.assertEqual(self.checkpoint.read_bytes(), damaged)

    def test_foreign_files_are_refused(self):
        for content in (b"", b"\n", b"22,80\n", os.urandom(4096), b"\0" * 100,
                        pathlib.Path(os.environ["PORTHOLE"]).read_bytes()):  # fmt: skip
            with self.subTest(content[:10]):
                self.checkpoint.write_bytes(content)
                self.refuse("not a checkpoint")
                if not content:
                    continue  # what mktemp makes may be replaced
                done = run("scan", *self.words, "--checkpoint", self.checkpoint)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertEqual(self.checkpoint.read_bytes(), content, "somebody else's file")
        self.checkpoint.unlink()
        self.refuse("No such file")

    def test_what_is_scanned_is_settled(self):
        self.kill("scan", *self.words, "--rate", RATE, "--checkpoint", self.checkpoint, after=0.7)
        for words in (["127.0.0.2"], ["-p", "1"], ["--seed", "1"], ["--exclude", "127.0.0.1"],
                      ["-F"], ["--self"]):  # fmt: skip
            with self.subTest(words):
                self.refuse("--resume takes what to scan from its file", *words)


class Network(ResumeTest):
    """With silence and errors to carry over."""

    @need("ip", "nsenter", "nft")
    def test_silence_errors_and_answers_of_others(self):
        here, there = Namespace(self), Namespace(self)
        wire(here, ["198.18.0.1/24", "fd00::1/64"], there, ["198.18.0.2/24", "fd00::2/64"])
        there.sysctl("ipv4/icmp_ratelimit", 0)
        there.sysctl("ipv6/icmp/ratelimit", 0)
        there.nft("table inet test { chain test { type filter hook input priority 0;\n"
                  "tcp dport 100-199 drop\ntcp dport 200-249 reject\n}\n}\n")  # fmt: skip
        with there.entered():
            for port in (50, 150, 250):
                self.stack.enter_context(listen("::", port, dual=True))
        words = ["-p", "1-400", "198.18.0.2", "fd00::2", "203.0.113.1", "--timeout", "200ms"]
        expected = scan(*words, namespace=here, status=1)
        self.assertEqual(expected.summary["filtered"], 2 * 150)
        self.assertEqual(expected.summary["errors"], 400)
        for _ in range(4):
            self.kill("scan", *words, "--rate", "600", "--checkpoint", self.checkpoint,
                      after=random.uniform(0.3, 1.6), namespace=here)  # fmt: skip
            if not self.checkpoint.exists():
                continue
            resumed = self.resume("--rate", "1M", namespace=here, status=1)
            self.assertEqual(resumed.states(), expected.states())
            for field in ("open", "closed", "filtered", "undecided", "errors", "hosts_answered"):
                self.assertEqual(resumed.summary[field], expected.summary[field], field)


if __name__ == "__main__":
    unittest.main()

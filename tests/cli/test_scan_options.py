#!/usr/bin/python3
"""What the options of raw scans choose: the technique by name and by rights, the interface, parts of
a scan, and which addresses a large target means."""

import collections
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from namespaces import Namespace, need
from porthole import PROGRAM, Records, run, scan, start
from sockets import free_port, listen_many

ROOT = os.geteuid() == 0
NOBODY = 65534
TECHNIQUES = {
    "-sS": "tcp-syn", "-sA": "tcp-ack", "-sF": "tcp-fin", "-sN": "tcp-null", "-sX": "tcp-xmas",
    "-sW": "tcp-window", "-sM": "tcp-maimon",
}  # fmt: skip
NEEDS = "needs the right to send raw packets (CAP_NET_RAW): sudo or 'setcap cap_net_raw+ep' gives it"
FALLBACK = (
    "porthole scan: no right to send raw packets (CAP_NET_RAW): scanning through sockets, as -sT "
    "does without this line; sudo or 'setcap cap_net_raw+ep' gives the right\n"
)


class OptionsTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def refuse(self, done, message, status=2):
        """A run that says this and nothing else."""
        self.assertEqual((done.returncode, done.stdout), (status, ""))
        self.assertEqual(done.stderr, f"porthole scan: {message}\n")

    def prober(self, *words, **others):
        """By which technique a scan was made."""
        return scan(*words, **others).all[0]["prober"]


@unittest.skipUnless(ROOT, "not root: no right to send raw packets")
class Techniques(OptionsTest):
    def setUp(self):
        super().setUp()
        self.open = listen_many(self.stack, "127.0.0.1", 2)
        self.closed = free_port()
        self.words = ["-p", ",".join(map(str, (*self.open, self.closed))), "127.0.0.1"]

    def test_by_letter_and_by_name(self):
        for letter, name in TECHNIQUES.items():
            with self.subTest(name):
                for option in (letter, f"--{name}"):
                    self.assertEqual(self.prober(option, "-p", self.closed, "127.0.0.1"), name)
        for option in ("-sT", "--tcp-connect", "--unprivileged"):
            self.assertEqual(self.prober(option, "-p", "1", "127.0.0.1"), "tcp-connect")

    def test_the_default(self):
        for words in ([], ["--privileged"]):
            done = scan(*words, *self.words, technique=None)
            self.assertEqual(done.all[0]["prober"], "tcp-syn")
            self.assertEqual(done.open("127.0.0.1"), set(self.open))
        self.assertEqual(self.prober("-sT", "--privileged", *self.words), "tcp-connect")

    def test_the_same_one_twice_is_one(self):
        self.assertEqual(self.prober("-sS", "--tcp-syn", *self.words), "tcp-syn")

    def test_syn_and_connect_tell_the_same_states(self):
        raw, sockets = scan("-sS", *self.words), scan("-sT", *self.words)
        self.assertEqual(
            {port: state for port, (state, *_) in raw.states().items()},
            {port: state for port, (state, *_) in sockets.states().items()},
        )

    def test_an_ack_asks_something_else(self):
        states = {state for state, *_ in scan("-sA", *self.words).states().values()}
        self.assertEqual(states, {"unfiltered"})


@need("setpriv", root=False)
class Rights(OptionsTest):
    """As somebody who may not send raw packets, and as somebody who may nothing but that."""

    def setUp(self):
        super().setUp()
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
        os.chmod(self.directory, 0o777)
        self.program = f"{self.directory}/porthole"
        shutil.copy(PROGRAM, self.program)
        os.chmod(self.program, 0o755)
        self.checkpoint = f"{self.directory}/scan.ckpt"

    def run_as_nobody(self, *words, rights=()):
        """The finished `porthole scan WORDS…` of an ordinary user."""
        ordinary = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights]
        return subprocess.run(
            [*(ordinary if ROOT else []), self.program, "scan", *map(str, words)],
            capture_output=True, encoding="utf-8", timeout=60, check=False, cwd=self.directory,
        )  # fmt: skip

    def test_without_it_a_scan_goes_through_sockets_and_says_so(self):
        done = self.run_as_nobody("--json", "-p", "1", "127.0.0.1")
        self.assertEqual((done.returncode, done.stderr), (0, FALLBACK))
        self.assertEqual(Records(done.stdout).all[0]["prober"], "tcp-connect")

    def test_sockets_that_were_asked_for_need_no_words(self):
        for option in ("-sT", "--unprivileged", "--link=socket"):
            done = self.run_as_nobody("--json", option, "-p", "1", "127.0.0.1")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_nothing_is_said_where_nothing_is_scanned(self):
        for option in ("--list", "--list-ports"):
            done = self.run_as_nobody(option, "-p", "1", "127.0.0.1")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_was_asked_for_is_not_replaced(self):
        words = ["-p", "1", "127.0.0.1"]
        for letter, name in TECHNIQUES.items():
            advice = "; -sT needs none" if name == "tcp-syn" else ""
            self.refuse(self.run_as_nobody(letter, *words), f"{name} {NEEDS}{advice}")
        for option in (["--privileged"], ["-e", "lo"], ["--link", "raw"]):
            self.refuse(self.run_as_nobody(*option, *words), f"tcp-syn {NEEDS}")

    @unittest.skipUnless(ROOT, "not root: cannot give a right")
    def test_the_one_capability_is_enough(self):
        rights = ["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
        done = self.run_as_nobody("--json", "-p", "1", "127.0.0.1", rights=rights)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(Records(done.stdout).all[0]["prober"], "tcp-syn")

    # ---- and for the second run ----

    def begin(self, *words):
        """A scan that did not come to its end, with a checkpoint that everybody may go on from."""
        done = run("scan", *words, "--json", "--rate", 50, "--max-time", "300ms", "-p", "1-200",
                   "--checkpoint", self.checkpoint, "127.0.0.1", technique=None)  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertGreater(Records(done.stdout).summary["undecided"], 100)
        os.chmod(self.checkpoint, 0o666)

    def go_on(self, *words):
        """The words of a run that takes it up and has time."""
        return ["--resume", self.checkpoint, "--json", "--rate", "1M", "--max-time", "1m", *words]

    def expect_end(self, done, prober):
        """A run that took it to its end."""
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        ended = Records(done.stdout)
        self.assertEqual(ended.all[0]["prober"], prober)
        self.assertEqual(len(ended.of("port")), 200)
        self.assertEqual({port["state"] for port in ended.of("port")}, {"closed"})
        self.assertFalse(os.path.exists(self.checkpoint))

    def test_sockets_stay_sockets(self):
        self.begin("-sT")
        self.expect_end(run("scan", *self.go_on()), "tcp-connect")

    @unittest.skipUnless(ROOT, "not root: no right to send raw packets")
    def test_raw_probes_stay_raw_probes(self):
        for technique in ("-sS", "--privileged"):
            self.begin(technique)
            self.expect_end(run("scan", *self.go_on()), "tcp-syn")

    @unittest.skipUnless(ROOT, "not root: no right to send raw packets")
    def test_without_the_right_any_more_sockets_must_be_asked_for(self):
        self.begin("-sS")
        self.refuse(
            self.run_as_nobody(*self.go_on()), f"tcp-syn {NEEDS}; going on with -sT needs none"
        )
        self.assertTrue(os.path.exists(self.checkpoint))
        os.chown(self.checkpoint, NOBODY, NOBODY)
        self.expect_end(self.run_as_nobody(*self.go_on("-sT")), "tcp-connect")

    @unittest.skipUnless(ROOT, "not root: no right to send raw packets")
    def test_a_link_changes_the_way_and_not_the_question(self):
        for first, second, prober in (
            (["--link=socket"], [], "tcp-connect"),
            (["--link=raw"], [], "tcp-syn"),
            (["--link=raw"], ["-sT"], "tcp-connect"),
            (["--link=raw"], ["--link=socket"], "tcp-connect"),
            (["--link=socket"], ["-sS"], "tcp-syn"),
            (["-sT"], ["--link=raw"], "tcp-syn"),
        ):
            with self.subTest(first=first, second=second):
                self.begin(*first)
                self.expect_end(run("scan", *self.go_on(*second), technique=None), prober)
        self.begin("-sA")
        self.refuse(
            run("scan", *self.go_on("--link", "socket"), technique=None),
            "--link socket is the same as -sT, and tcp-ack sends packets of its own: leave one of "
            "them out",
        )

    @unittest.skipUnless(ROOT, "not root: no right to send raw packets")
    def test_another_question_is_another_scan(self):
        self.begin("-sA")
        for letter in ("-sT", "-sS", "-sF"):
            name = TECHNIQUES.get(letter, "tcp-connect")
            self.refuse(
                run("scan", *self.go_on(letter)),
                f"'{self.checkpoint}' was begun with tcp-ack, and {name} asks something else: "
                "leave it out",
            )


class Links(OptionsTest):
    WORDS = ["-p", "1", "127.0.0.1"]

    def test_those_that_there_are_not(self):
        for name in ("ip", "pcap", "pack", "Raw", ""):
            done = run("scan", "--link", name, *self.WORDS, technique=None)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(
                done.stderr, r"\Aporthole scan: option '--link' needs one of (xdp, )?packet, raw or "
                rf"socket, not '{name}'(; did you mean '\w+'\?)?\n\Z",
            )  # fmt: skip

    def test_socket_is_a_scan_by_connect(self):
        for words in (["--link=socket"], ["--link", "socket", "-sT"],
                      ["--link", "raw", "--link", "socket"]):  # fmt: skip
            done = scan(*words, *self.WORDS, technique=None)
            self.assertEqual(done.all[0]["prober"], "tcp-connect")
            self.assertNotIn("link", done.summary)

    @unittest.skipUnless(ROOT, "not root: no right to send raw packets")
    def test_the_last_one_counts(self):
        done = scan("--link", "socket", "--link", "raw", *self.WORDS, technique=None)
        self.assertEqual(done.all[0]["prober"], "tcp-syn")

    @unittest.skipUnless(ROOT, "not root: no right to send raw packets")
    def test_one_that_cannot_send_there(self):
        done = run("scan", "--link", "packet", *self.WORDS, technique=None)
        self.refuse(
            done, "packets to 127.0.0.1 leave by lo, where --link packet cannot send: use --link raw, "
            "or leave it out",
        )  # fmt: skip


class Interface(OptionsTest):
    def test_one_that_there_is_not(self):
        done = run("scan", "-e", "nosuchif", "-sS", "-p", "1", "127.0.0.1")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        start_of_line = "porthole scan: no interface is called 'nosuchif': there are "
        self.assertTrue(done.stderr.startswith(start_of_line), done.stderr)
        names = done.stderr[len(start_of_line) : -1].split(", ")
        self.assertEqual(names, [name for _, name in socket.if_nameindex()])

    @need()
    def test_loopback(self):
        ports = listen_many(self.stack, "127.0.0.1", 2)
        done = scan("-e", "lo", "-sS", "-p", ",".join(map(str, ports)), "127.0.0.1")
        self.assertEqual(done.open("127.0.0.1"), set(ports))


@need("ip", "nsenter")
class Around(OptionsTest):
    """Two devices that lead to nobody."""

    def setUp(self):
        super().setUp()
        self.here = Namespace(self)
        for name, network in (("red0", "198.18.1.1/24"), ("blue0", "198.18.2.1/24")):
            self.here.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-end")
            self.here.ip("link", "set", f"{name}-end", "up")
            self.here.ip("address", "add", network, "dev", name)
            self.here.ip("link", "set", name, "up")

    def said(self, interface, *targets):
        """What a scan by an interface says on stderr."""
        done = run("scan", "-sS", "-e", interface, "-p", "1", "--tries", 1, "--timeout", "10ms",
                   "--max-time", "2s", *targets, namespace=self.here)  # fmt: skip
        self.assertIn(done.returncode, (0, 1))
        return done.stderr

    def test_with_the_kernels_route_nothing_is_said(self):
        self.assertEqual(self.said("red0", "198.18.1.2"), "")
        self.assertEqual(self.said("blue0", "198.18.2.0/30", "198.18.2.9"), "")

    def test_around_it_a_line_is(self):
        self.assertEqual(
            self.said("blue0", "198.18.1.2"),
            "porthole scan: the kernel's route to 198.18.1.2 leaves by red0: going by blue0 as "
            "told, around it\n",
        )
        self.assertEqual(
            self.said("red0", "198.18.1.2", "198.18.2.8/30", "198.18.2.3"),
            "porthole scan: the kernel's route to 198.18.2.3 leaves by blue0 (and to 1 other target "
            "by others): going by red0 as told, around it\n",
        )


class Parts(OptionsTest):
    def told(self, shard, shards, ports):
        """The ports that a part of a scan speaks of."""
        done = run("scan", "--json", "--seed", 7, "--shard", f"{shard}/{shards}", "-p", ports,
                   "127.0.0.1")  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [port["port"] for port in records.of_type(records.parse(done.stdout), "port")]

    def test_together_they_are_the_whole(self):
        for shards in (1, 3, 7):
            with self.subTest(shards=shards):
                parts = [self.told(shard, shards, "1-100") for shard in range(1, shards + 1)]
                self.assertEqual(sorted(sum(parts, [])), list(range(1, 101)))
                self.assertLessEqual(max(map(len, parts)) - min(map(len, parts)), 1)

    def test_more_parts_than_ports(self):
        parts = [self.told(shard, 5, "1-3") for shard in range(1, 6)]
        self.assertEqual(sorted(sum(parts, [])), [1, 2, 3])

    def sums(self, parts):
        """What the host records of some scans add up to: address → member → number."""
        hosts = collections.defaultdict(collections.Counter)
        for part in parts:
            for host in part.of("host"):
                hosts[host["address"]] += collections.Counter(
                    {name: value for name, value in host.items() if isinstance(value, int)
                     and name != "answered"}
                )  # fmt: skip
        return hosts

    def check_sums(self, *words):
        """Three parts have to say together what the whole says; returns the parts."""
        words = ["--seed", 7, *words]
        whole = scan(*words)
        parts = [scan("--shard", f"{shard}/3", *words) for shard in (1, 2, 3)]
        self.assertEqual(self.sums(parts), self.sums([whole]))
        for member in ("ports", "open", "closed", "filtered"):
            total = sum(part.summary[member] for part in parts)
            self.assertEqual(total, whole.summary[member], member)
        for number, part in enumerate(parts, 1):
            self.assertEqual(part.all[0]["shard"], f"{number}/3")
            asked = {port["address"] for port in part.of("port")}
            self.assertEqual(part.summary["hosts"], len(asked))
            self.assertEqual(part.summary["hosts_answered"], len(asked))
        self.assertNotIn("shard", whole.summary)
        return parts

    def test_hosts_add_up(self):
        ports = listen_many(self.stack, "127.0.0.1", 3)
        self.check_sums("-p", ",".join(map(str, [*range(1, 41), *ports])), "127.0.0.1-4")

    def test_hosts_of_which_a_part_asks_nothing(self):
        parts = self.check_sums("-p", "1-2", "127.0.0.1-9")
        self.assertTrue(any(part.summary["hosts"] < 9 for part in parts))
        parts = self.check_sums("-p", "1", "127.0.0.1-9")
        self.assertEqual([part.summary["hosts"] for part in parts], [3, 3, 3])

    def test_what_an_interrupted_part_leaves(self):
        part = scan("--seed", 7, "--shard", "2/3", "-p", "1-100", "--rate", 20, "--max-time", "0.3s",
                    "127.0.0.1-2", status=1)  # fmt: skip
        self.assertEqual(part.summary["ports"], 67)
        self.assertEqual(part.summary["undecided"], 67 - len(part.of("port")))
        self.assertGreater(part.summary["undecided"], 0)

    def test_the_text_says_which_part_it_is(self):
        done = run("scan", "--seed", 7, "--shard", "2/3", "-p", "1-100", "127.0.0.1")
        self.assertIn("127.0.0.1: all ports of the shard closed (conn-refused)\n", done.stdout)
        self.assertIn("\nshard 2 of 3: 1 host, 33 ports: 0 open, 33 closed in ", done.stdout)
        done = run("scan", "--seed", 7, "--shard", "1/1", "-p", "1-100", "127.0.0.1")
        self.assertIn("\n1 host, 100 ports: 0 open, 100 closed in ", done.stdout)


class Reserved(OptionsTest):
    def listed(self, *words):
        """How many addresses --list prints, and what is said about it."""
        done = run("scan", "--list", *words)
        self.assertEqual(done.returncode, 0)
        return len(done.stdout.splitlines()), done.stderr

    def test_a_word_within_a_range_asks_for_it(self):
        for word, count in [("10.0.0.0/24", 256), ("127.0.0.1", 1), ("203.0.113.0/24", 256),
                            ("192.0.2.250-192.0.3.5", 12), ("ff02::1", 1)]:  # fmt: skip
            self.assertEqual(self.listed(word), (count, ""))

    def test_what_a_larger_word_contains_is_left_out(self):
        line = (
            "porthole scan: {} reserved addresses are left out (203.0.113.0/24, documentation, "
            "RFC 5737): --include-reserved keeps them\n"
        )
        self.assertEqual(self.listed("203.0.112.0/23"), (256, line.format(256)))
        self.assertEqual(self.listed("203.0.112.0/23", "203.0.113.7"), (257, line.format(255)))
        self.assertEqual(self.listed("203.0.112.0/23", "--exclude", "203.0.113.0/25"),
                         (256, line.format(128)))  # fmt: skip
        self.assertEqual(self.listed("203.0.112.0/23", "203.0.113.0/24"), (512, ""))
        self.assertEqual(self.listed("203.0.112.0/23", "--include-reserved"), (512, ""))

    def test_words_of_files_as_those_of_the_command_line(self):
        done = run("scan", "--list", "-", stdin="203.0.112.0/23\n198.18.1.0/31\n")
        self.assertEqual(len(done.stdout.splitlines()), 258)
        self.assertIn("256 reserved addresses are left out", done.stderr)

    def test_several_ranges_are_counted(self):
        with start("scan", "--list", "192.0.0.0/2", "198.18.1.0/24") as process:
            line = process.stderr.readline()
            process.stdout.close()
            process.wait()
        self.assertEqual(
            line,
            "porthole scan: 537,068,544 addresses of 9 reserved ranges are left out: "
            "--include-reserved keeps them\n",
        )

    @need("ip", "nsenter")
    def test_a_scan_that_goes_on_keeps_its_targets(self):
        """Together the two words look like one that merely contains a range. Nothing has a route."""
        here = Namespace(self)
        with tempfile.TemporaryDirectory(prefix="porthole-") as directory:
            path = f"{directory}/scan.ckpt"
            first = run("scan", "203.0.112.255", "203.0.113.0/24", "-p", "1", "--rate", 50,
                        "--max-time", "200ms", "--checkpoint", path, namespace=here)  # fmt: skip
            self.assertEqual(first.returncode, 1)
            self.assertTrue(os.path.exists(path))
            second = run("scan", "--resume", path, "--json", "--rate", "1M", "--max-time", "1m",
                         namespace=here)  # fmt: skip
        self.assertEqual((second.returncode, second.stderr), (1, ""))
        summary = Records(second.stdout).summary
        self.assertEqual((summary["hosts"], summary["errors"]), (257, 257))


class Wide(OptionsTest):
    """More than a million addresses: only those of this machine itself, and not for long."""

    def test_with_a_rate_it_begins(self):
        for option in ("--rate", "--max-rate"):
            done = scan(option, 5, "--max-time", "10ms", "-p", "1", "127.0.0.0/11", status=1)
            self.assertEqual(done.summary["end"], "timed-out")
            self.assertEqual(done.summary["hosts"], 1 << 21)

    def test_without_one_it_does_not(self):
        done = run("scan", "--max-time", "10ms", "-p", "1", "127.0.0.0/11")
        self.refuse(done, "2,097,152 addresses: say how fast with --rate N, in packets a second "
                          "(one pass at 10,000 takes 3m29s)")  # fmt: skip

    def test_a_million_needs_none(self):
        done = scan("--max-time", "10ms", "-p", "1", "127.0.0.0/12", status=1)
        self.assertEqual(done.summary["hosts"], 1 << 20)

    def test_a_lower_bound_beside_an_upper_one(self):
        for words in (["--min-rate", 100], ["--min-rate", 100, "--rate", 100]):
            self.assertEqual(scan(*words, "-p", "1-20", "127.0.0.1").summary["closed"], 20)


if __name__ == "__main__":
    unittest.main()

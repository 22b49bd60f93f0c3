#!/usr/bin/python3
"""`sockets --record` and `--replay`: what is recorded can be asked anything that this machine could be."""

import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from porthole import PROGRAM, records, run
from sockets import listen, port_of
from talk_run import own_network
from test_sockets import LISTENER, NOBODY, ROOT, Sockets, bind

HEADER = 31  # bytes
END, INTERFACES, PROCESS, HOLDERS, SIGHT, USER = 0, 7, 8, 9, 10, 11
# Records that the first recordings did not have.
NEWER = (INTERFACES, PROCESS, HOLDERS, SIGHT, USER)


def setUpModule():
    own_network()


def taped(path):
    """The records of a recording: (type, bytes of it all)."""
    data, at, found = pathlib.Path(path).read_bytes(), HEADER, []
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        found.append((kind, data[at:at + 8 + length]))  # fmt: skip
        at += 8 + length
    return data[:HEADER], found


class Tape(Sockets):
    def setUp(self):
        super().setUp()
        self.file = self.keep(tempfile.TemporaryDirectory(prefix="porthole-")) + "/tape"

    def rewrite(self, keep, add=b""):
        """Leaves out the records of which keep(type) is false, and adds others at the beginning."""
        header, found = taped(self.file)
        kept = (whole for kind, whole in found if keep(kind))
        pathlib.Path(self.file).write_bytes(header + add + b"".join(kept))

    def replay(self, *words, **others):
        return self.sockets("--replay", self.file, *words, **others)

    def said(self, *words, status, missing=""):
        """What there is on stderr."""
        done = run("sockets", "--replay", self.file, *words)
        self.assertEqual(done.returncode, status, words)
        self.assertNotIn(missing or "\0", done.stdout)
        return done.stderr.splitlines()


class Replay(Tape):
    def test_the_plain_list_records_everything(self):
        listener, client, _ = self.connect("::1")
        local = self.keep(socket.socket(socket.AF_UNIX))
        local.bind("\0" + f"porthole-{os.getpid()}")
        local.listen()
        datagram = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        held = ["not", "state", "time-wait"]  # what is that way goes meanwhile
        for words in ([], ["-4"], ["-tn"], ["port", "1"], ["state", "bound-inactive"]):
            shown = self.sockets("--record", self.file, *words)
            self.assertEqual(shown, self.sockets(*words), words)
            for wanted in (["-x"], ["--established"], ["-6"], ["-a", *held], ["-aH", *held], ["-u"],
                           ["--summary", "-a", *held]):  # fmt: skip
                live, again = self.sockets(*wanted), self.replay(*wanted)
                self.assertEqual(again, live, (words, wanted))
            ends = set(self.rows("--replay", self.file, "-a"))
            self.assertLessEqual({f"[::1]:{port_of(made)}" for made in (listener, client)}, ends)
            self.assertIn(f"127.0.0.1:{port_of(datagram)}", ends)
        story = self.replay(str(port_of(listener)))
        self.assertIn("1 connection", story)
        self.assertIn(f"(pid {os.getpid()}, ", story)
        self.assertIn(" rtt ", self.replay("-v", "--established"))

    def test_processes(self):
        other = self.process(LISTENER, "other\x1b[31m")
        mine = self.keep(listen("127.0.0.1"))
        both = {f"127.0.0.1:{port}" for port in (other.line, port_of(mine))}
        self.sockets("--record", self.file)
        for words, expected in (
            (["pid", os.getpid()], {f"127.0.0.1:{port_of(mine)}"}),
            (["process", "other*"], {f"127.0.0.1:{other.line}"}),
            (["pid", 1], set()),
            (["not", "pid", other.pid], {f"127.0.0.1:{port_of(mine)}"}),
        ):
            ends = set(self.rows("--replay", self.file, *words)) & both
            self.assertEqual(ends, expected, words)
            self.assertEqual(set(self.rows(*words)) & both, expected, words)
        self.assertIn(f" other\\x1b[31m {other.pid} ", self.replay())

    def test_command_lines_stay_here(self):
        other = self.process(LISTENER, "server", "--password=hunter2")
        self.assertIn("hunter2", self.sockets("--json", "--record", self.file))
        self.assertNotIn(b"hunter2", pathlib.Path(self.file).read_bytes())
        (record,) = (r for r in self.json("--replay", self.file) if r["local_port"] == int(other.line))
        (process,) = record["processes"]
        self.assertEqual((process["pid"], process["name"]), (other.pid, "server"))
        self.assertIn("started", process)
        self.assertNotIn("command", process)

    def test_interfaces(self):
        made = self.keep(socket.socket())
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        except OSError as fault:
            self.skipTest(str(fault))
        made.bind(("0.0.0.0", 0))
        made.listen()
        self.sockets("--record", self.file)
        self.assertRegex(self.replay("dev", "lo"), rf"0\.0\.0\.0%lo:{port_of(made)} .*loopback only")
        self.rewrite(lambda kind: kind != INTERFACES)
        self.assertRegex(self.replay(), rf"0\.0\.0\.0%1:{port_of(made)} ")

    def test_users(self):
        """They are those of the other machine."""
        listener = self.keep(listen("127.0.0.1"))
        self.sockets("--record", self.file)
        live = self.json("port", port_of(listener))[0]["user"]

        def user():
            return self.json("--replay", self.file, "port", port_of(listener))[0]["user"]

        self.assertEqual(user(), live)
        name = struct.pack("=I", os.getuid()) + b"over\x1b[1mthere\0"
        self.rewrite(lambda kind: kind != USER, struct.pack("=II", USER, len(name)) + name)
        self.assertEqual(user(), "over\x1b[1mthere")
        self.assertIn("made by user over\\x1b[1mthere (", self.replay("-v"))
        self.rewrite(lambda kind: kind != USER)
        self.assertEqual(user(), str(os.getuid()))
        for fault in (b"", b"abcd", b"abcd\0", b"abcdno-end"):
            self.rewrite(lambda kind: kind != USER, struct.pack("=II", USER, len(fault)) + fault)
            (line,) = self.said("-a", status=1)
            self.assertIn("is damaged", line)

    def test_every_namespace(self):
        if not ROOT:
            self.skipTest("not root: no namespace to look into")
        other = self.keep(
            subprocess.Popen(
                ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                 "-c", LISTENER, "elsewhere"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        )
        self.addCleanup(other.kill)
        port = other.stdout.readline().strip()
        run("sockets", "--all-namespaces", "--record", self.file)
        for words in ([], ["-P", "-a"]):
            done = run("sockets", "--replay", self.file, "-n", *words)
            self.assertTrue(done.stdout.startswith("NAMESPACE "), words)
            self.assertRegex(done.stdout, rf"\n\d+ .*127\.0\.0\.1:{port} ")
        rows = run("sockets", "--replay", self.file, "process", "elsewhere").stdout
        self.assertRegex(rows, rf"127\.0\.0\.1:{port} .* loopback only +elsewhere {other.pid} ")
        other.stdin.close()

    def test_rights(self):
        if not ROOT:
            self.skipTest("not root: nobody to become")
        listener = self.keep(listen("127.0.0.1"))
        folder = os.path.dirname(self.file)
        os.chmod(folder, 0o777)
        done = subprocess.run([*NOBODY, PROGRAM, "sockets", "--record", self.file], capture_output=True,
                              text=True, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "the owners? of .* other users': sudo shows them")
        again = run("sockets", "--replay", self.file)
        self.assertEqual(again.returncode, 0)
        self.assertEqual(again.stderr, done.stderr.replace("sudo shows them", "sudo records them"))
        self.assertEqual(again.stdout, done.stdout)
        self.assertIn(f":{port_of(listener)} ", again.stdout)


class Lacking(Tape):
    """Recordings that are old, cut off, damaged, or of less."""

    def check_without_processes(self, port):
        (line,) = self.said("pid", str(os.getpid()), status=2, missing=f":{port}")
        self.assertEqual(line, f"porthole sockets: '{self.file}' has no processes: words that ask for "
                               "them have no answer")  # fmt: skip
        self.assertEqual(len(self.said("not", "process", "x", status=2, missing=f":{port}")), 1)
        (line,) = self.said("port", str(port), status=0, missing=str(os.getpid()))
        self.assertEqual(line, f"porthole sockets: '{self.file}' has no processes")
        self.assertEqual(self.said("-P", "-a", "port", str(port), status=0), [])

    def test_an_old_one(self):
        listener = self.keep(listen("127.0.0.1"))
        self.sockets("--record", self.file)
        self.rewrite(lambda kind: kind not in NEWER)
        self.check_without_processes(port_of(listener))

    def test_one_without_processes(self):
        listener, client, _ = self.connect()
        for words in (["-P"], ["-P", "-a"]):
            self.sockets("--record", self.file, *words)
            self.assertFalse({kind for kind, _ in taped(self.file)[1]} & {PROCESS, HOLDERS})
            self.check_without_processes(port_of(listener))
            ends = self.rows("--replay", self.file, "-P", "-a", "port", port_of(listener))
            self.assertEqual(set(ends), {f"127.0.0.1:{port_of(made)}" for made in (listener, client)})
        self.sockets("-P", "pid", str(os.getpid()), "--record", self.file)  # which has to ask for them
        self.assertIn(str(os.getpid()), self.replay("pid", str(os.getpid())))

    def test_one_of_less(self):
        """The first recordings had what was shown, and nothing else."""
        self.connect()
        self.sockets("--record", self.file)
        header, found = taped(self.file)
        narrow = []
        for kind, whole in found:
            if kind == 2:  # a question: its fourth number says which states
                whole = whole[:20] + struct.pack("=I", 1 << 10 | 1 << 7) + whole[24:]
            narrow.append(whole)
        pathlib.Path(self.file).write_bytes(header + b"".join(narrow))
        self.assertEqual(self.said(status=0), [])
        for words in (["-a"], ["--established"], ["-x", "-a"]):
            (line,) = self.said(*words, status=1)
            self.assertIn("only some of the sockets", line)

    def test_one_that_is_cut_off(self):
        listener = self.keep(listen("127.0.0.1"))
        self.sockets("--record", self.file)
        header, found = taped(self.file)
        last = sum(len(whole) for kind, whole in found if kind not in (*NEWER, END)) + len(header)
        whole = pathlib.Path(self.file).read_bytes()
        for length, listed in ((len(whole) - 1, True), (len(whole) - 20, True), (HEADER, False),
                               (HEADER + 5, False), (last, None)):  # fmt: skip
            pathlib.Path(self.file).write_bytes(whole[:length])
            done = run("sockets", "--replay", self.file)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "^porthole sockets: '[^\n]* is cut off: [^\n]*\n$")
            if listed is not None:
                self.assertEqual(f":{port_of(listener)} " in done.stdout, listed, length)
        for length in (0, 10, HEADER - 1):
            pathlib.Path(self.file).write_bytes(whole[:length])
            self.assertEqual(len(self.said(status=3)), 1)

    def test_damaged_ones(self):
        """Whatever is in it, it is listed or refused, in whole lines without control characters."""
        self.connect()
        self.sockets("--record", self.file)
        whole = pathlib.Path(self.file).read_bytes()
        chance = random.Random(6)
        for _ in range(60):
            wrong = bytearray(whole)
            for _ in range(chance.randrange(1, 9)):
                wrong[chance.randrange(HEADER, len(wrong))] = chance.randrange(256)
            pathlib.Path(self.file).write_bytes(wrong)
            words = chance.choice((["-a"], ["-ax"], ["-av"], ["process", "python*"], ["--summary"]))
            done = run("sockets", "--replay", self.file, *words, errors="replace")
            self.assertIn(done.returncode, (0, 1, 2), (bytes(wrong).hex(), words))
            self.assertNotRegex(done.stdout + done.stderr, r"[\x00-\x09\x0b-\x1f\x7f]")
            done = run("sockets", "--replay", self.file, "--json", "-a", errors="replace")
            self.assertIn(done.returncode, (0, 1))
            records.parse(done.stdout)


if __name__ == "__main__":
    unittest.main()

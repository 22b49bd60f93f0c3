#!/usr/bin/python3
"""`sockets`: what is listed, in every form, of sockets that the tests make themselves."""

import contextlib
import csv
import errno
import io
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need, wire
from porthole import PROGRAM, records, run
from sockets import listen, port_of
from talk_run import own_network
from terminal import Terminal

PATIENCE = 60  # seconds
IPPROTO_UDPLITE = 136
ROOT = os.geteuid() == 0
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def setUpModule():
    own_network()


def bind(kind, address, port=0, protocol=0, dual=False):
    """A socket of this kind that has the port and no peer."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)
    if ":" in address and kind != socket.SOCK_RAW:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
    made.bind((address, port))
    return made


def inode(made):
    return os.fstat(made.fileno()).st_ino


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.01)
    return found


class Sockets(unittest.TestCase):
    """Runs `porthole sockets` and reads what it says."""

    maxDiff = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def keep(self, made):
        return self.stack.enter_context(made)

    def sockets(self, *words, status=0, stderr="", **others):
        done = run("sockets", *words, **others)
        said = done.stderr
        if not ROOT:  # what else there is on the machine may be others'
            said = re.sub("^porthole sockets: the owners? of .* other users'.*\n", "", said)
            said = re.sub("^porthole sockets: other network namespaces, .*\n", "", said)
        self.assertEqual((done.returncode, said), (status, stderr), words)
        return done.stdout

    def rows(self, *words, **others):
        """{local end: the whole line} of a list without names."""
        lines = self.sockets("-n", *words, **others).splitlines()
        local = lines[0].index("LOCAL")
        return {line[local:].split()[0]: line for line in lines[1:]}

    def json(self, *words, **others):
        return records.parse(self.sockets("--json", *words, **others))

    def record(self, made, *words):
        """The one record of a socket that this process holds."""
        (found,) = (r for r in self.json("-a", *words) if r.get("inode") == inode(made))
        return found

    def connect(self, address="127.0.0.1"):
        """A listener, and both ends of a connection with it."""
        listener = self.keep(listen(address))
        client = self.keep(socket.create_connection(listener.getsockname()[:2]))
        return listener, client, self.keep(listener.accept()[0])

    def process(self, program, *words):
        """A Python program that says a line when it is ready, and ends with its standard input."""
        started = self.keep(
            subprocess.Popen(
                [sys.executable, "-c", program, *map(str, words)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        )
        self.addCleanup(started.kill)
        started.line = started.stdout.readline().strip()
        return started


LISTENER = """
import ctypes, os, socket, sys
ctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1]), 0, 0, 0)  # PR_SET_NAME
made = socket.socket()
made.bind(("127.0.0.1", 0))
made.listen()
print(made.getsockname()[1], flush=True)
sys.stdin.read()
"""


class Listening(Sockets):
    def test_every_kind_of_address(self):
        cases = {
            "127.0.0.1": ("127.0.0.1:{}", False),
            "0.0.0.0": ("0.0.0.0:{}", False),
            "::1": ("[::1]:{}", False),
            "::": ("[::]:{}", False),
            "both": ("*:{}", True),
        }
        ends = {}
        for address, (form, dual) in cases.items():
            made = self.keep(listen("::" if dual else address, dual=dual))
            ends[form.format(port_of(made))] = made
        rows = self.rows("-t")
        for end, made in ends.items():
            self.assertRegex(rows[end], rf"^tcp +\S+ .* {os.getpid()} ")
            record = self.record(made)
            self.assertEqual(record.get("dual_stack"), {"*": True, "[": False}.get(end[0])
                             if end.startswith(("*", "[::]")) else None)  # fmt: skip
            self.assertEqual(record["local_port"], port_of(made))
            self.assertEqual((record["kind"], record["state"]), ("tcp", "LISTEN"))
        loopback = [end for end in ends if end.startswith(("127.", "[::1]"))]
        for end in loopback:
            self.assertIn("loopback only", rows[end])

    def test_datagrams(self):
        bound = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        lite = self.keep(bind(socket.SOCK_DGRAM, "::1", protocol=IPPROTO_UDPLITE))
        connected = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        connected.connect(bound.getsockname())
        rows = self.rows()
        self.assertTrue(rows[f"127.0.0.1:{port_of(bound)}"].startswith("udp "))
        self.assertTrue(rows[f"[::1]:{port_of(lite)}"].startswith("udplite "))
        self.assertNotIn(f"127.0.0.1:{port_of(connected)}", rows)
        self.assertIn(f"127.0.0.1:{port_of(connected)}", self.rows("--established", "-u"))
        self.assertEqual(self.record(connected)["remote_port"], port_of(bound))

    @unittest.skipUnless(ROOT, "not root: no raw sockets")
    def test_raw_sockets_have_a_protocol(self):
        made = self.keep(bind(socket.SOCK_RAW, "127.0.0.1", protocol=socket.IPPROTO_ICMP))
        self.assertIn("127.0.0.1:1 (icmp)", self.sockets("-w"))
        self.assertEqual(self.record(made)["ip_protocol"], 1)

    @unittest.skipUnless(ROOT, "not root: no raw sockets")
    def test_raw_ipv6_sockets_take_no_ipv4(self):
        made = self.keep(bind(socket.SOCK_RAW, "::", protocol=socket.IPPROTO_ICMPV6))
        self.assertIn("[::]:58 (icmp6)", self.sockets("-w"))
        self.assertIs(self.record(made)["dual_stack"], False)
        for kind, protocol in ((socket.SOCK_DGRAM, IPPROTO_UDPLITE), (socket.SOCK_STREAM, socket.IPPROTO_SCTP)):
            for dual in (False, True):
                with contextlib.suppress(OSError):  # a kernel without it
                    record = self.record(self.keep(bind(kind, "::", 0, protocol, dual)), "-B")
                    self.assertIs(record["dual_stack"], dual, protocol)

    def test_kinds_that_are_asked_for(self):
        stream = self.keep(listen("127.0.0.1"))
        datagram = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        path = f"@porthole-{os.getpid()}"
        local = self.keep(socket.socket(socket.AF_UNIX))
        local.bind("\0" + path[1:])
        local.listen()
        ends = {"t": f":{port_of(stream)} ", "u": f":{port_of(datagram)} ", "x": path + " "}
        for letters in ("t", "u", "x", "tu", "tx", "tux"):
            shown = self.sockets(f"-{letters}nl")
            for letter, end in ends.items():
                self.assertEqual(end in shown, letter in letters, f"-{letters}: {end}")
        self.assertIn(ends["u"], self.sockets("-n", "-A", "udp"))
        self.assertNotIn(ends["t"], self.sockets("-n", "-A", "udp,unix"))
        self.assertNotIn(ends["x"], self.sockets("-n"))

    def test_families(self):
        four, six = self.keep(listen("127.0.0.1")), self.keep(listen("::1"))
        for words, has_four, has_six in ((["-4"], 1, 0), (["-6"], 0, 1), (["-f", "inet6"], 0, 1),
                                         (["-4", "-6"], 1, 1), (["ipv6"], 0, 1)):  # fmt: skip
            rows = self.rows(*words)
            self.assertEqual(f"127.0.0.1:{port_of(four)}" in rows, bool(has_four), words)
            self.assertEqual(f"[::1]:{port_of(six)}" in rows, bool(has_six), words)

    def test_how_full_the_backlog_is(self):
        listener = self.keep(listen("127.0.0.1", backlog=7))
        for _ in range(3):
            self.keep(socket.create_connection(listener.getsockname()))
        wait_until(lambda: self.record(listener)["backlog"] == 3, "three connections that wait")
        self.assertIn(" 3 of 7 ", self.rows("port", port_of(listener))[f"127.0.0.1:{port_of(listener)}"])
        self.assertEqual(self.record(listener)["backlog_maximum"], 7)

    def test_services_have_names_but_for_n(self):
        with contextlib.suppress(OSError):
            self.keep(listen("127.0.0.1", 5432))
        self.assertIn("127.0.0.1:5432 (postgresql)", self.sockets("port", "5432"))
        self.assertNotIn("(postgresql)", self.sockets("-n", "port", "5432"))

    def test_order(self):
        listeners = [self.keep(listen("127.0.0.1")) for _ in range(8)]
        ports = sorted(map(port_of, listeners))
        words = ["port", f"{ports[0]}-{ports[-1]}", "and", "pid", str(os.getpid())]

        def listed(*options):
            return [r["local_port"] for r in self.json("-t", *options, *words)]

        self.assertEqual(listed(), ports)
        self.assertEqual(listed("--sort", "port"), ports)
        self.assertEqual(listed("--sort=-port"), ports[::-1])
        for key in ("process", "pid", "state", "peer", "exposure", "recv", "send"):
            self.assertEqual(listed("--sort", key), ports, key)  # the same in all; so by port

    def test_sorting_by_queue(self):
        listener, client, server = self.connect()
        client.send(b"x" * 1000)
        wait_until(lambda: self.record(server)["receive_queue"] == 1000, "bytes that wait")
        words = ["-a", "--sort", "-recv", "port", port_of(listener)]
        (first, *_) = self.json(*words)
        self.assertEqual(first["inode"], inode(server))

    def test_nothing_matches(self):
        shown = self.sockets("port", "1", "and", "pid", "1", "and", "not", "tcp")
        self.assertEqual(len(shown.splitlines()), 1)
        self.assertEqual(self.sockets("-H", "port", "1", "and", "pid", "1", "and", "not", "tcp"), "")


class Connections(Sockets):
    def test_both_ends(self):
        for address in ("127.0.0.1", "::1"):
            listener, client, server = self.connect(address)
            form = f"[{address}]:{{}}" if ":" in address else f"{address}:{{}}"
            here, there = form.format(port_of(listener)), form.format(port_of(client))
            rows = self.rows("--established")
            self.assertRegex(rows[there], rf"^tcp +ESTABLISHED .*{re.escape(here)} ")
            self.assertRegex(rows[here], rf"^tcp +ESTABLISHED .*{re.escape(there)} ")
            self.assertEqual(self.record(server)["remote_port"], port_of(client))
            self.assertRegex(self.rows("-a", "listening")[here], "^tcp +LISTEN")

    def test_an_ipv6_socket_that_talks_ipv4(self):
        listener = self.keep(listen("::", dual=True))
        self.keep(socket.create_connection(("127.0.0.1", port_of(listener))))
        server = self.keep(listener.accept()[0])
        self.assertIn(f"127.0.0.1:{port_of(listener)}", self.rows("--established"))
        record = self.record(server)
        self.assertEqual((record["family"], record["local_address"]), ("ipv4", "127.0.0.1"))

    def test_queues_are_shown_where_something_waits(self):
        listener, client, server = self.connect()
        words = ["--established", "port", str(port_of(listener))]
        self.assertNotIn("RECV-Q", self.sockets(*words))
        self.assertIn("RECV-Q", self.sockets("-m", *words))
        client.send(b"hello")
        wait_until(lambda: self.record(server)["receive_queue"] == 5, "bytes that wait")
        self.assertIn("RECV-Q", self.sockets(*words))
        self.assertNotIn("RECV-Q", self.sockets("-Q", *words))
        self.assertRegex(self.rows(*words)[f"127.0.0.1:{port_of(listener)}"], r"ESTABLISHED +5 +0 ")

    def test_states_by_name(self):
        listener, client, server = self.connect()
        port = port_of(listener)
        server.shutdown(socket.SHUT_WR)  # FIN_WAIT2, and CLOSE_WAIT at the other end
        wait_until(lambda: self.record(client)["state"] == "CLOSE_WAIT", "the end's arrival")
        client_end, server_end = f"127.0.0.1:{port_of(client)}", f"127.0.0.1:{port}"
        for name in ("close-wait", "CLOSE_WAIT", "CloseWait"):
            self.assertEqual(set(self.rows("--state", name, "port", port)), {client_end})
        for words in (["--state", "fin-wait-2"], ["state", "fin-wait-2", "and"]):
            self.assertEqual(set(self.rows(*words, "port", port)), {server_end})
        both = {client_end, server_end}
        self.assertEqual(set(self.rows("--state", "close-wait,fin-wait-2", "port", port)), both)
        self.assertEqual(set(self.rows("--state", "close-wait", "--state", "fin-wait-2", "port", port)), both)
        self.assertEqual({r["state"] for r in self.json("state", "connected", "and", "port", str(port))},
                         {"CLOSE_WAIT", "FIN_WAIT2"})  # fmt: skip

    def test_time_wait_is_nobodys(self):
        listener, client, server = self.connect()
        port = port_of(listener)
        server.close()
        client.close()
        (found,) = wait_until(lambda: self.json("--state", "time-wait", "port", str(port)),
                              "a connection that has ended")  # fmt: skip
        self.assertNotIn("inode", found)
        self.assertNotIn("processes", found)
        self.assertEqual(found["timer"]["kind"], "time-wait")
        self.assertIn("is forgotten in", self.sockets("-o", "--state", "time-wait", "port", port))
        self.assertEqual(self.rows("--established", "port", port), {})

    def test_figures_of_tcp(self):
        listener, client, server = self.connect()
        client.sendall(b"x" * 12345)
        words = ["--established", "port", str(port_of(listener))]
        record = wait_until(
            lambda: next((r for r in self.json("-i", *words)
                          if r["inode"] == inode(client) and r["tcp"]["acknowledged_bytes"] > 12000), None),
            "bytes that are acknowledged",
        )  # fmt: skip
        self.assertEqual(record["tcp"]["sent_bytes"], 12345)
        self.assertGreater(record["tcp"]["rtt_us"], 0)
        self.assertNotIn("tcp", self.record(client))
        for option in ("-i", "-v"):
            self.assertRegex(self.sockets(option, *words), r"\n    .*rtt .*cwnd .*\n    sent 12,345 bytes")
        self.assertEqual(len(self.sockets("-iO", *words).splitlines()), 3)
        server.close()


@unittest.skipUnless(ROOT, "not root: no /etc/hosts of the test's own")
class Names(Sockets):
    def with_hosts(self, hosts, *words):
        """The list on a machine with this /etc/hosts, and a name server that is not there."""
        folder = self.keep(tempfile.TemporaryDirectory(prefix="porthole-"))
        for name, text in ("hosts", hosts), ("resolv.conf", "nameserver 127.0.0.1\n"):
            pathlib.Path(folder, name).write_text(text, encoding="ascii")
        script = 'for file in hosts resolv.conf; do mount --bind "$0/$file" /etc/$file; done; exec "$@"'
        done = subprocess.run(["unshare", "--mount", "sh", "-ec", script, folder, PROGRAM, "sockets", *words],
                              capture_output=True, text=True, check=False)  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_peers_have_names_where_they_are_known(self):
        listener, client, _ = self.connect()
        self.connect("::1")
        words = ["-r", "--established", "tcp"]
        shown = self.with_hosts("127.0.0.1 here.example h\n", *words)
        self.assertRegex(shown, rf" 127\.0\.0\.1:{port_of(client)} +here\.example:{port_of(listener)} ")
        self.assertRegex(shown, r" \[::1\]:\d+ +\[::1\]:\d+ ")
        told = records.parse(self.with_hosts("127.0.0.1 here.example\n", "--json", *words))
        names = {record["remote_address"]: record.get("remote_name") for record in told}
        self.assertEqual(names, {"127.0.0.1": "here.example", "::1": None})
        self.assertNotIn("here.example", self.with_hosts("127.0.0.1 here.example\n", *words[1:]))


class Details(Sockets):
    def test_verbose_tells_of_processes(self):
        program = self.process(LISTENER, "teller")
        shown = self.sockets("-v", "port", program.line)
        self.assertRegex(
            shown,
            rf"\n    teller {program.pid} \S+, descriptor \d+, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d.*: "
            rf"{re.escape(sys.executable)} -c ",
        )
        self.assertRegex(shown, r"\n    made by user \S+ \(\d+\), inode \d+, cookie ")

    def test_extended(self):
        made = self.keep(listen("127.0.0.1"))
        shown = self.sockets("-e", "port", port_of(made))
        self.assertIn(f"({os.geteuid()}), inode {inode(made)}, cookie", shown)
        self.assertNotIn("descriptor", shown)

    def test_several_processes(self):
        program = self.process(
            "import os, socket, sys, time\n"
            "made = socket.socket(); made.bind(('127.0.0.1', 0)); made.listen()\n"
            "children = [os.fork() or time.sleep(600) for _ in range(3)]\n"
            "print(made.getsockname()[1], *children, flush=True)\n"
            "sys.stdin.read()\n"
            "for child in children: os.kill(child, 9); os.wait()\n"
        )
        port, *children = map(int, program.line.split())
        self.addCleanup(program.communicate)
        held = {program.pid, *children}
        row = self.rows("port", port)[f"127.0.0.1:{port}"]
        self.assertRegex(row, rf" {min(held)} \S+ \+3$")
        (record,) = self.json("port", str(port))
        self.assertEqual({process["pid"] for process in record["processes"]}, held)
        self.assertEqual(self.sockets("-v", "port", port).count(", descriptor "), 4)
        (row,) = csv.DictReader(io.StringIO(self.sockets("--csv", "port", port)))
        self.assertEqual((row["pid"], row["others"]), (str(min(held)), "3"))

    def test_without_processes(self):
        made = self.keep(listen("127.0.0.1"))
        shown = self.sockets("-P", "port", port_of(made))
        self.assertNotIn("PROCESS", shown)
        self.assertNotIn(str(os.getpid()), shown)
        (record,) = self.json("-P", "port", str(port_of(made)))
        self.assertNotIn("processes", record)
        shown = self.sockets("-aP", "pid", os.getpid(), "and", "port", port_of(made))
        self.assertIn(f":{port_of(made)}", shown)  # though a filter has to know


HOSTILE = [
    b"\x1b[31mred\x1b[0m",
    b"two\nlines\rand\ttab",
    b"\xff\xfe invalid",
    b"\xe2\x80\xaegnp.exe",  # written from right to left
    b'"quotes" and \\',
    b"=1+1",
    b"\xc2\x9b31m",  # a control character of its own
]


class Hostile(Sockets):
    def expect_harmless(self, text):
        self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

    def test_process_names(self):
        for name in HOSTILE:
            program = self.process(LISTENER, os.fsdecode(name[:15]))
            words = ["port", program.line]
            shown = self.sockets(*words)
            self.assertEqual(len(shown.splitlines()), 2, name)
            self.assertIn(str(program.pid), shown)
            for text in (shown, self.sockets("-v", *words), self.sockets("-s", *words)):
                self.expect_harmless(text)
            (record,) = self.json(*words)
            self.json("-s", *words)
            (process,) = record["processes"]
            with contextlib.suppress(UnicodeDecodeError):
                self.assertEqual(process["name"], name[:15].decode())
            table = self.sockets("--csv", *words)
            self.expect_harmless(table.replace("\r\n", "\n"))
            (row,) = csv.DictReader(io.StringIO(table))
            self.assertEqual(row["pid"], str(program.pid))
            self.assertNotRegex(row["process"], "^[=+@-]")

    def test_a_name_that_looks_like_more(self):
        program = self.process(LISTENER, "sshd 1 root")
        self.assertIn(f'"sshd 1 root" {program.pid} ', self.sockets("port", program.line))

    def test_paths(self):
        with tempfile.TemporaryDirectory(prefix="porthole-") as folder:
            for number, name in enumerate(HOSTILE):
                made = self.keep(socket.socket(socket.AF_UNIX))
                made.bind(os.path.join(os.fsencode(folder), b"%d" % number + name))
                made.listen()
                abstract = self.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                abstract.bind(b"\0porthole-%d-%d" % (os.getpid(), number) + name)
            words = ["-x", "pid", str(os.getpid())]
            shown = self.sockets(*words)
            self.expect_harmless(shown)
            self.assertEqual(len(shown.splitlines()), 2 * len(HOSTILE) + 1)
            self.expect_harmless(self.sockets("--csv", *words).replace("\r\n", "\n"))
            paths = {record["path"] for record in self.json(*words)}
            self.assertEqual(len(paths), 2 * len(HOSTILE))
            self.assertIn(f"{folder}/5=1+1", paths)
            self.assertIn(f"@porthole-{os.getpid()}-5=1+1", paths)
            self.assertIn(folder + "/2\\xff\\xfe invalid", paths)

    def test_unix_connections_name_their_peers(self):
        one, other = map(self.keep, socket.socketpair())
        record = self.record(one, "-x")
        self.assertEqual(record["peer_inode"], inode(other))
        self.assertEqual([p["pid"] for p in record["peer_processes"]], [os.getpid()])
        shown = self.sockets("-xa", "inode", inode(one))
        self.assertRegex(shown, rf"ESTABLISHED +\* {inode(one)} +\* {inode(other)} \(.* {os.getpid()}\)")


class Filters(Sockets):
    def setUp(self):
        super().setUp()
        self.listener, self.client, self.server = self.connect()
        self.here = f"127.0.0.1:{port_of(self.listener)}"
        self.there = f"127.0.0.1:{port_of(self.client)}"

    def test_words(self):
        here, there = self.here, self.there
        port, peer = port_of(self.listener), port_of(self.client)
        cases = {
            f"port {port}": {here},
            f"pid {os.getpid()} and port {port}": {here, there},
            f"port {port} and not pid 1": {here},
            f"sport = :{port}": {here},
            f"state established and port {port}": {here, there},
            f"dport = :{port}": {there},
            f"state established and sport = :{peer}": {there},
            f"( sport = :{port} or sport = :{peer} ) and state established": {here, there},
            f"peer 127.0.0.1:{port}": {there},
            f"dst 127.0.0.0/8 and port {port}": {here, there},
            f"peer 198.51.100.0/24 and port {port}": set(),
            f"port {port} and not loopback": set(),
            f"port {port} and udp": set(),
            f"port {port} and inode {inode(self.listener)}": {here},
            f"port {port} and user {os.geteuid()}": {here, there},
        }
        for words, expected in cases.items():
            with self.subTest(words):
                self.assertEqual(set(self.rows(words)), expected, "in one word")
                self.assertEqual(set(self.rows(*words.split())), expected, "in several")

    def test_process_by_name(self):
        program = self.process(LISTENER, "namesake")
        end = f"127.0.0.1:{program.line}"
        self.assertIn(end, self.rows("process", "namesake"))
        self.assertIn(end, self.rows("process", "name*ake"))
        self.assertNotIn(end, self.rows("not", "process", "namesake"))
        self.assertNotIn(self.here, self.rows("process", "namesake"))

    def test_ss_bundles(self):
        listening = {self.here}
        mine = ["port", str(port_of(self.listener))]
        for bundle, expected in {
            "-tan": {self.here, self.there}, "-tulpn": listening, "-tln": listening,
            "-tanp": {self.here, self.there}, "-lntup": listening, "-ulpn": set(), "-4tan": {self.here, self.there},
            "-6tan": set(), "-tanoei": {self.here, self.there},
        }.items():  # fmt: skip
            shown = self.sockets(bundle, *mine)
            for end in (self.here, self.there):
                self.assertEqual(f" {end} " in shown, end in expected, f"{bundle}\n{shown}")

    def test_what_needs_connections_has_them(self):
        """Words of which the list of listening sockets would say nothing."""
        self.assertIn(self.there, self.rows("peer", self.here))
        self.assertIn(self.there, self.rows("established"))
        self.assertNotIn(self.there, self.rows("listening"))
        self.assertNotIn(self.there, self.rows("-l", f"port {port_of(self.client)}"))


    def test_who_holds_them_is_asked_of_connections_too(self):
        program = self.process(
            "import socket, sys\n"
            f"made = socket.create_connection({self.listener.getsockname()})\n"
            "print(made.getsockname()[1], flush=True)\n"
            "sys.stdin.read()\n"
        )
        end = f"127.0.0.1:{program.line}"
        self.keep(self.listener.accept()[0])
        self.assertEqual(set(self.rows("pid", program.pid)), {end})
        self.assertEqual(set(self.rows("pid", program.pid, "and", "process", "python*")), {end})
        self.assertEqual(set(self.rows("-l", "pid", program.pid)), set())
        self.assertIn("REACHED BY", self.sockets("pid", self.process(LISTENER, "waits").pid))
        self.assertIn("PEER", self.sockets("pid", os.getpid()))

    def test_an_empty_list_says_what_else_there_is(self):
        said = "porthole sockets: nothing listens there; {}\n"
        port = port_of(self.client)
        for words in ("port {}", "sport {}", "src 127.0.0.1:{}", "port {} and not pid 1"):
            words = words.format(port).split()
            expected = "2 connections match: --all" if words[0] == "port" else "1 connection matches: --all"
            self.assertEqual(self.sockets("-H", *words, stderr=said.format(expected)), "")
        for option in ("-a", "-l", "--established", "-u", "-6"):
            self.sockets(option, "port", port)
        with listen("127.0.0.1") as bound:
            port = port_of(bound)
        self.sockets("port", port)

    def test_bound_sockets(self):
        """Those that have a port, and neither listen nor are connected."""
        made = self.keep(socket.socket())
        made.bind(("127.0.0.1", 0))
        port, end = port_of(made), f"127.0.0.1:{port_of(made)}"
        if not self.rows("-aB", "port", port):
            self.skipTest("a kernel that does not tell of them")
        for words in ("-B", "-tB", "-ltB", "-B --established", f"-B pid {os.getpid()} and", "state bound-inactive",
                      "-tan state bound-inactive", "-l state bound", "--state bound", "-4 -6 bound and"):  # fmt: skip
            self.assertIn("BOUND", self.rows(*words.split(), "port", port)[end], words)
        self.assertRegex(self.rows("-B")[end], "nobody")
        self.assertIn(self.here, self.rows("-B"))
        self.assertNotIn(end, self.rows("-a"))
        said = "porthole sockets: nothing listens there; 1 socket that matches is bound without listening: -B\n"
        for option in ("-n", "-a"):
            self.sockets(option, "port", port, stderr=said)

    def test_states_in_words_count_for_more_than_options(self):
        port = port_of(self.listener)
        for option in ("-l", "-a", "-tl", "--established"):
            self.assertEqual(set(self.rows(option, f"established and port {port}")), {self.here, self.there})
            self.assertEqual(set(self.rows(option, f"state listen port {port}")), {self.here})


# A server that has forked, and one of several processes with sockets of their own: each says its
# port and its children.
FORKED = """
import os, socket, sys
made = socket.socket()
made.bind(("127.0.0.1", 0))
made.listen()
reader, writer = os.pipe()
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    pids.append(pid)
print(made.getsockname()[1], *pids, flush=True)
sys.stdin.read()
"""
REUSED = """
import os, socket, sys
def listen(port):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made
mine = listen(0)
port = mine.getsockname()[1]
reader, writer = os.pipe()
ready, said = os.pipe()
pids = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        mine.close()
        own = listen(port)
        os.write(said, b".")
        os.read(reader, 1)
        os._exit(0)
    pids.append(pid)
for _ in pids:
    os.read(ready, 1)
print(port, *pids, flush=True)
sys.stdin.read()
"""


TCP, UDP = 0, 2  # as recordings have them


def spoil_tape(whole, file, kinds, change):
    """Copies a recording; what is said of these kinds becomes change(type of record, bytes)."""
    data = pathlib.Path(whole).read_bytes()
    at, spoilt, copy = 31, False, [data[:31]]
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        record = data[at + 8 : at + 8 + length]
        at += 8 + length
        if kind == 2:  # a question
            spoilt = struct.unpack_from("=I", record, 4)[0] in kinds
            copy.append(struct.pack("=II", kind, length) + record)
            if spoilt and change(kind, record):
                copy.append(change(kind, record))
        elif kind in (3, 4, 5, 6) and spoilt:  # its answer
            copy.append(change(kind, record))
        else:
            copy.append(struct.pack("=II", kind, length) + record)
    pathlib.Path(file).write_bytes(b"".join(copy))


def refuse(whole, file, kinds):
    """The kernel would not tell of these kinds."""
    refusal = struct.pack("=III", 5, 4, errno.EPERM)
    spoil_tape(whole, file, kinds, lambda kind, _: refusal if kind == 2 else b"")


def interrupt(whole, file, kinds):
    """The kernel's table changed while it told of these kinds."""

    def change(kind, record):
        if kind != 3:  # messages of netlink
            return b"" if kind == 2 else struct.pack("=II", kind, len(record)) + record
        changed, at = bytearray(record), 0
        while at + 16 <= len(changed):
            length, _, flags = struct.unpack_from("=IHH", changed, at)
            struct.pack_into("=H", changed, at + 6, flags | 0x10)  # NLM_F_DUMP_INTR
            at += (length + 3) & ~3
        return struct.pack("=II", kind, len(changed)) + bytes(changed)

    spoil_tape(whole, file, kinds, change)


class BarePort(Sockets):
    def ask(self, *words, status):
        return self.sockets(*words, status=status)

    def test_held(self):
        program = self.process(LISTENER, "keeper")
        for words in ([program.line], [f":{program.line}"], [f"{program.line}/tcp"], ["-t", program.line]):
            story = self.ask(*words, status=0)
            self.assertIn("keeper", story)
            self.assertIn(str(program.pid), story)
            self.assertIn(f"kill {program.pid}", story)
        self.assertNotIn("keeper", self.ask(f"{program.line}/udp", status=1))

    def test_somebody_is_connected(self):
        listener, client, _ = self.connect()
        story = self.ask(str(port_of(listener)), status=0)
        self.assertIn("127.0.0.1", story)
        story = self.ask(str(port_of(client)), status=0)  # its own port of a connection
        self.assertIn(str(os.getpid()), story)

    def test_free(self):
        with listen("0.0.0.0") as listener:
            port = port_of(listener)
        story = self.ask(str(port), status=1)
        self.assertIn(f"port {port}", story)
        self.assertEqual(self.json(str(port), status=1), [])

    def test_time_wait(self):
        listener, client, server = self.connect()
        port = port_of(listener)
        server.close()
        client.close()
        listener.close()
        wait_until(lambda: self.json("--state", "time-wait", "port", str(port)), "its end")
        self.assertIn("TIME_WAIT", self.ask(str(port), status=0))

    def test_datagrams(self):
        made = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        for words in ([f"{port_of(made)}/udp"], ["-u", str(port_of(made))]):
            self.assertIn("UDP", self.ask(*words, status=0))

    def test_by_the_name_of_a_service(self):
        with contextlib.suppress(OSError):
            self.keep(listen("127.0.0.1", 5432))
        self.assertIn("5432", self.ask("postgresql", status=0))
        self.assertEqual(self.json("postgresql")[0]["local_port"], 5432)

    def test_a_hostile_holder(self):
        program = self.process(LISTENER, "\x1b[2J\nport free")
        story = self.ask(program.line, status=0)
        self.assertNotIn("\x1b", story)
        self.assertNotIn("\nport free", story)

    def test_a_holder_without_a_name(self):
        program = self.process(LISTENER, "")
        story = self.ask(program.line, status=0)
        self.assertTrue(story.startswith(f'"" (pid {program.pid}, user '), story)
        self.assertIn('\n  "" has run ', story)

    def test_one_line_ends_everybody(self):
        for program in (FORKED, REUSED):
            server = self.process(program)
            port, *pids = server.line.split()
            story = self.ask(port, status=0)
            (line,) = (line for line in story.splitlines() if "To end" in line)
            what, command, *ended = line.removeprefix("  To end ").split()
            self.assertEqual((what, command), ("them:", "kill"))
            self.assertEqual(ended, [str(server.pid), *sorted(pids, key=int)])

    def test_each_protocol_has_its_service(self):
        kept = [bind(kind, "127.0.0.1", 8081) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        for made in kept:
            self.keep(made)
        kept[0].listen()
        story = self.ask("8081", status=0)
        for protocol in ("tcp", "udp"):
            listed = self.sockets("-l", f"--{protocol}", "port", "8081")
            service = re.search(r":8081 (\(\S+\))", listed).group(1)
            said = f" {protocol.upper()} port 8081 {service} "
            self.assertIn(said, story)
            self.assertIn(said, self.ask(f"8081/{protocol}", status=0))

    def test_protocols_behind_a_slash(self):
        try:
            made = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1", 0, IPPROTO_UDPLITE))
        except OSError:
            made = None
        if made:
            port = port_of(made)
            self.assertIn(f" UDP-Lite port {port} ", self.ask(f"{port}/udplite", status=0))
            self.assertEqual(self.ask(f"{port}/udp", status=1).count("UDP-Lite"), 0)
        fault = run("sockets", "6000/none").stderr
        for protocol in re.search("stands (.*)\n", fault).group(1).replace(" or ", ", ").split(", "):
            made = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made.bind(("127.0.0.1", 0))  # so that nobody else has it
            said = self.ask(f"{port_of(made)}/{protocol}", status=0 if protocol == "udp" else 1)
            self.assertIn(f" port {port_of(made)}", said)

    def test_kinds_that_exclude_one_another(self):
        for words, fault in (
            (["-u", "5000/tcp"], "-u and /tcp"),
            (["-uS", "5000/tcp"], "-u and /tcp"),
            (["-t", "53/UDP"], "-t and /UDP"),
            (["-w", "5000/tcp"], "-w and /tcp"),
            (["-x", "http/tcp"], "-x and /tcp"),
            (["-l", "-u", "5000/tcp"], "-u and /tcp"),
            (["--json", "-M", "5000/sctp"], "-M and /sctp"),
        ):
            self.sockets(
                *words, status=2, stderr=f"porthole sockets: {fault} exclude one another\n"
            )

    def test_kinds_that_go_together(self):
        listener = self.keep(listen("127.0.0.1"))
        port = str(port_of(listener))
        for words in (["-tu", f"{port}/tcp"], ["-M", f"{port}/tcp"], ["-t", f"{port}/mptcp"]):
            self.assertIn(f" TCP port {port} ", self.ask(*words, status=0))
        self.assertEqual(len(self.rows("-l", "-tu", f"{port}/tcp")), 1)
        made = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1", int(port)))
        self.assertEqual(len(self.rows("-l", "-tu", f"{port_of(made)}/tcp")), 1)

    def test_every_kind_is_answered(self):
        with listen("0.0.0.0") as listener:
            port = port_of(listener)
        for words, kind in (
            ([f"{port}/sctp"], "SCTP"),
            (["-S", str(port)], "SCTP"),
            (["-M", str(port)], "TCP"),
            (["-U", str(port)], "UDP-Lite"),
            (["-uS", str(port)], "UDP"),
        ):
            self.assertTrue(self.ask(*words, status=1).startswith(f"Nobody uses {kind} port {port}"))

    def test_a_recording_does_not_know_this_machine(self):
        listener = self.keep(listen("0.0.0.0"))
        taken = str(port_of(listener))
        with listen("0.0.0.0") as other:
            free = str(port_of(other))
        with tempfile.TemporaryDirectory(prefix="porthole-") as folder:
            file = f"{folder}/tape"
            self.sockets("-a", "--record", file)
            for port, status in ((taken, 0), (free, 1)):
                story = self.ask("--replay", file, port, status=status)
                self.assertRegex(story, r"^From a recording of \d{4}-\d\d-\d\d \d\d:\d\d, ")
                for part in ("bind()", "ip_local_port_range", "kill"):
                    self.assertNotIn(part, story)
            self.assertIn(f"The recording has no socket of port {free}", story)

    def test_what_could_not_be_seen(self):
        """Nobody is said to be free of users whom the kernel would not tell of."""
        listener = self.keep(listen("127.0.0.1"))
        taken = str(port_of(listener))
        with listen("0.0.0.0") as other:
            free = str(port_of(other))
        warned = "porthole sockets: the kernel does not tell us of {} sockets{}\n"
        remedy = "" if ROOT else ": sudo records them"
        changed = (
            "porthole sockets: sockets may be missing: the kernel's list changed while it was read, "
            "or has states that are not known here\n"
        )
        unseen = "could not be seen when it was recorded\n"
        with tempfile.TemporaryDirectory(prefix="porthole-") as folder:
            whole, file = f"{folder}/whole", f"{folder}/tape"
            self.sockets("--record", whole)
            for spoil, kinds, words, status, story, said in (
                (refuse, [TCP], free, 3, f"Whether anybody uses TCP port {free}", ["tcp"]),
                (refuse, [TCP], taken, 3, f"Whether anybody uses TCP port {taken}", ["tcp"]),
                (refuse, [TCP, UDP], f"{taken}/tcp", 3, f"Whether anybody uses TCP port {taken}", ["tcp"]),
                (refuse, [TCP, UDP], free, 3, f"Whether anybody uses port {free}", ["tcp", "udp"]),
                (refuse, [UDP], free, 3, f"Whether anybody uses UDP port {free}", ["udp"]),
                (refuse, [UDP], f"{free}/tcp", 1, f"has no socket of TCP port {free}", []),
                (refuse, [UDP], taken, 0, f"listens on TCP port {taken}", ["udp"]),
                (interrupt, [TCP], free, 3, "but some of the sockets could not be seen\n", None),
                (interrupt, [TCP], taken, 0, f"listens on TCP port {taken}", None),
            ):
                spoil(whole, file, kinds)
                case = (spoil.__name__, kinds, words)
                warnings = changed if said is None else "".join(warned.format(k, remedy) for k in said)
                answer = self.sockets("--replay", file, words, status=status, stderr=warnings)
                self.assertIn(story, answer, case)
                self.assertEqual("Whether" in story, unseen in answer, case)
                listed = self.sockets(
                    "--json", "--replay", file, words, status=status, stderr=warnings
                )
                self.assertEqual(bool(listed), status == 0, case)

    def test_a_recording_that_is_cut_off(self):
        listener = self.keep(listen("127.0.0.1"))
        with listen("0.0.0.0") as other:
            free = str(port_of(other))
        with tempfile.TemporaryDirectory(prefix="porthole-") as folder:
            file = pathlib.Path(folder, "tape")
            self.sockets("--record", str(file))
            file.write_bytes(file.read_bytes()[:-1])
            for port, status in ((str(port_of(listener)), 0), (free, 3)):
                done = run("sockets", "--replay", str(file), port)
                self.assertEqual(done.returncode, status)
                self.assertIn(" is cut off: ", done.stderr)

    def test_it_is_tried_only_where_that_tells_more(self):
        if not shutil.which("strace"):
            self.skipTest("no strace: nothing to see it with")
        listener = self.keep(listen("127.0.0.1"))
        datagram = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        with listen("0.0.0.0") as other:
            free = str(port_of(other))
        for words, tried in (
            ([str(port_of(listener))], False),
            ([f"{port_of(listener)}/tcp"], False),
            ([f"{port_of(datagram)}/udp"], False),
            ([str(port_of(datagram))], True),  # for TCP
            ([free], True),
            (["--json", free], False),
        ):
            traced = subprocess.run(
                ["strace", "-f", "-e", "trace=bind", PROGRAM, "sockets", *words],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            if "bind(" not in traced.stderr:  # netlink's sockets are bound, too
                self.skipTest("nothing may be traced here")
            self.assertEqual("sin6_port" in traced.stderr or "sin_port" in traced.stderr, tried, words)

    def test_an_option_of_lists_makes_it_a_filter(self):
        listener = self.keep(listen("127.0.0.1"))
        port = str(port_of(listener))
        for option in ("-l", "-a", "-4", "--csv"):
            self.assertEqual(len(self.sockets(option, port).splitlines()), 2, option)
        self.assertEqual(len(self.sockets("-l", f"{port}/udp").splitlines()), 1)


class Output(Sockets):
    def test_csv(self):
        listener, client, _ = self.connect()
        text = self.sockets("--csv", "-a", "port", port_of(listener))
        self.assertTrue(text.startswith("kind,state,local_address,local_port,"))
        done = subprocess.run([PROGRAM, "sockets", "--csv"], capture_output=True, check=True)
        self.assertEqual(done.stdout.count(b"\r\n"), done.stdout.count(b"\n"))
        rows = {row["remote_port"]: row for row in csv.DictReader(io.StringIO(text))}
        row = rows[str(port_of(listener))]
        self.assertEqual((row["state"], row["local_address"], row["local_port"]),
                         ("ESTABLISHED", "127.0.0.1", str(port_of(client))))  # fmt: skip
        self.assertEqual(row["pid"], str(os.getpid()))
        self.assertEqual(rows[""]["reached_by"], "loopback only")
        self.assertEqual(set(rows), {"", str(port_of(listener)), str(port_of(client))})

    def test_summary(self):
        listener, _, server = self.connect()
        server.close()
        words = ["-s", "port", str(port_of(listener))]
        counts = {"LISTEN": 1, "CLOSE_WAIT": 1, "FIN_WAIT2": 1}
        (record,) = wait_until(
            lambda: [r for r in self.json(*words) if r["states"] == counts], "the end's arrival"
        )
        self.assertEqual((record["total"], record["states"]), (3, counts))
        self.assertEqual(record["kinds"], {"tcp": counts})
        (process,) = record["processes"]
        self.assertEqual((process["sockets"], process["processes"], record["unknown"]), (2, 1, 1))
        text = self.sockets(*words)
        self.assertRegex(text, r"^PROTO +TOTAL +FIN_WAIT2 +CLOSE_WAIT +LISTEN\ntcp +3 +1 +1 +1\nall ")
        self.assertRegex(text, r"\n +2  \S+ \S+\n +1  nobody, or nobody known\n$")

    def test_flowing_tells_the_same(self):
        """The list that is printed while it comes, and the one that is gathered first."""
        for address in ("127.0.0.1", "::1"):
            self.connect(address)
        words = ["-tP", "--established", "port", ">=", "1024"]
        flowing = self.json(*words)
        gathered = self.json(*words, "--sort", "port")
        cookies = [[record["cookie"] for record in said] for said in (flowing, gathered)]
        self.assertGreaterEqual(len(cookies[0]), 4)
        self.assertEqual(*map(sorted, cookies))
        lines = [self.sockets("-nHm", *words), self.sockets("-nHm", "--sort", "port", *words)]
        self.assertEqual(*(sorted(line.split() for line in text.splitlines()) for text in lines))

    def test_a_terminal(self):
        self.keep(listen("127.0.0.1"))
        for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
            with Terminal([PROGRAM, "sockets"], environment) as terminal:
                terminal.finish()
                self.assertEqual(terminal.status, 0)
                self.assertEqual("\x1b[1mPROTO" in terminal.text, coloured)
                self.assertEqual("\x1b" in terminal.text, coloured)

    def test_lines_fit_the_terminal(self):
        made = self.keep(socket.socket(socket.AF_UNIX))
        made.bind("\0" + "long" * 25)
        made.listen()
        words = ["-x", "pid", str(os.getpid())]
        with Terminal(["sh", "-c", 'stty cols 72 && exec "$0" "$@"', PROGRAM, "sockets", *words],
                      {"NO_COLOR": "1"}) as terminal:  # fmt: skip
            terminal.finish()
        lines = terminal.text.replace("\r\n", "\n").splitlines()
        self.assertIn("…", terminal.text)
        self.assertLessEqual(max(map(len, lines)), 72)
        self.assertIn("@" + "long" * 25, self.sockets(*words))  # a pipe is not cut

    def test_outputs_that_fail(self):
        self.keep(listen("127.0.0.1"))
        for words in (["-a"], ["-aP"], ["--json"], ["-s"], [str(port_of(self.keep(listen("127.0.0.1"))))]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = run("sockets", *words, stdout=full)
            self.assertEqual(done.returncode, 3, words)
            self.assertIn("No space left on device", done.stderr)
            done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', PROGRAM, "sockets", *words],
                                  capture_output=True, text=True, check=False)  # fmt: skip
            self.assertEqual(done.returncode, 3, words)
            self.assertIn("Bad file descriptor", done.stderr)

    def test_a_closed_pipe_is_no_trouble(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            done = run("sockets", "-aP", stdout=pipe)
        self.assertEqual((done.returncode, done.stderr), (141, ""))

    def test_record_and_replay(self):
        listener, client, _ = self.connect()
        words = ["-ax", "-t", "-e"]
        with tempfile.TemporaryDirectory(prefix="porthole-") as folder:
            file = f"{folder}/tape"
            said = records.parse(self.sockets("--json", "--record", file, *words))
            again = records.parse(self.sockets("--json", "--replay", file, *words))
            for record in said:
                for process in record.get("processes", []) + record.get("peer_processes", []):
                    process.pop("command", None)  # passwords may be in there
            for record in said + again:
                record.pop("time")
            key = lambda record: record["cookie"]  # noqa: E731
            self.assertEqual(sorted(again, key=key), sorted(said, key=key))
            ends = self.rows("--replay", file, "-a", "port", port_of(listener))
            self.assertEqual(set(ends), {f"127.0.0.1:{port_of(listener)}", f"127.0.0.1:{port_of(client)}"})
            self.assertIn("1 connection", self.sockets("--replay", file, str(port_of(listener))))
            os.truncate(file, os.path.getsize(file) - 1)
            done = run("sockets", "--replay", file)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, f"porthole sockets: '{file}' is cut off: what was behind the cut is missing\n")
            self.assertIn(f":{port_of(listener)} ", done.stdout)
            done = run("sockets", "--record", f"{folder}/none/tape")
            self.assertEqual(done.returncode, 3)


@need("ip", "nsenter")
class BarePortElsewhere(Sockets):
    """The answer about a port in a namespace, of sockets in this one and another one."""

    def setUp(self):
        super().setUp()
        self.here, self.there = Namespace(self), Namespace(self)

    def ask(self, *words, status):
        done = run("sockets", *words, namespace=self.here)
        self.assertEqual((done.returncode, done.stderr), (status, ""), words)
        return done.stdout

    def test_clients_elsewhere_are_counted(self):
        with self.there.entered():
            listener = self.keep(listen("127.0.0.1"))
            for last in range(3):
                client = self.keep(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind((f"127.0.0.{last + 2}", 40000))
                client.connect(("127.0.0.1", port_of(listener)))
        story = self.ask("40000", status=1)
        self.assertIn("  It can be had: bind() works\n", story)
        lines = [line for line in story.splitlines() if "namespaces" in line]
        self.assertEqual(
            lines,
            ["In other network namespaces, in nobody's way here, it is the own end of 3 connections"],
        )
        for part in ("EADDRINUSE", "kill", self.there.name):
            self.assertNotIn(part, story)

    def test_listeners_elsewhere_are_named(self):
        with self.there.entered():
            self.keep(listen("127.0.0.1", 8080))
            self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1", 8080))
        story = self.ask("8080", status=1)
        before, after = story.split("In other network namespaces, in nobody's way here:\n")
        self.assertRegex(before, "^Nobody uses port 8080 .*, neither TCP nor UDP\n  It can be had: ")
        lines = after.splitlines()
        self.assertEqual(len(lines), 4)
        for line, verb in zip(lines[::2], ("listens on TCP", "receives on UDP")):
            self.assertTrue(line.startswith(f"  {self.there.name}: "), line)
            self.assertIn(f" (pid {os.getpid()}, user root", line)
            self.assertIn(f") {verb} port 8080 ", line)
        self.assertEqual(lines[1::2], [f"    To end it: kill {os.getpid()}"] * 2)

    def test_an_interface_alone(self):
        device = wire(self.here, ["198.18.0.1/24"], self.there, ["198.18.0.2/24"])
        with self.here.entered():
            made = self.keep(socket.socket())
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            made.bind(("0.0.0.0", 8097))
            made.listen()
        self.assertIn(
            f" of every address, IPv4 alone, but only for what comes by the interface {device}\n",
            self.ask("8097", status=0),
        )


@unittest.skipUnless(ROOT, "not root: nobody to become")
class Rights(Sockets):
    def test_what_is_others_is_said_once(self):
        mine = [self.keep(listen("127.0.0.1")) for _ in range(2)]
        ports = [str(port_of(made)) for made in mine]
        done = subprocess.run([*NOBODY, PROGRAM, "sockets", "port", ",".join(ports)],
                              capture_output=True, text=True, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 0)
        self.assertEqual(
            done.stderr, "porthole sockets: the owners of 2 sockets are other users': sudo shows them\n"
        )
        self.assertEqual(done.stdout.count("- (root)"), 2)
        done = subprocess.run([*NOBODY, PROGRAM, "sockets", "--json", "port", ports[0]],
                              capture_output=True, text=True, check=False)  # fmt: skip
        (record,) = records.parse(done.stdout)
        self.assertNotIn("processes", record)
        self.assertEqual(record["user"], "root")
        self.assertIn("the owner of 1 socket is", done.stderr)

    def test_a_filter_that_had_to_see_them(self):
        self.keep(listen("127.0.0.1"))
        done = subprocess.run([*NOBODY, PROGRAM, "sockets", "-H", "pid", str(os.getpid())],
                              capture_output=True, text=True, check=False)  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertRegex(done.stderr, "^porthole sockets: the owners? of .* other users'")

    def test_its_own_are_seen(self):
        started = subprocess.Popen([*NOBODY, sys.executable, "-c", LISTENER, "nobodys"], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        with started:
            port = started.stdout.readline().strip()
            done = subprocess.run([*NOBODY, PROGRAM, "sockets", "port", port], capture_output=True,
                                  text=True, check=False)  # fmt: skip
            started.stdin.close()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f" nobodys {started.pid} ", done.stdout)

    def test_a_port_in_other_namespaces(self):
        """Where nobody has it here, somebody may there; where somebody has it, that does not matter."""
        with listen("127.0.0.1") as listener:
            taken = str(port_of(listener))
            for words in ([], ["--json"]):
                done = subprocess.run([*NOBODY, PROGRAM, "sockets", *words, taken],
                                      capture_output=True, text=True, check=False)  # fmt: skip
                self.assertEqual((done.returncode, "namespaces" in done.stderr), (0, False), words)
                hidden = "porthole sockets: the owner of 1 socket is other users': sudo shows them\n"
                self.assertEqual(done.stderr, hidden if words else "")
        for words in ([], ["--json"]):
            done = subprocess.run([*NOBODY, PROGRAM, "sockets", *words, taken],
                                  capture_output=True, text=True, check=False)  # fmt: skip
            self.assertEqual(done.returncode, 1, words)
            self.assertRegex(done.stderr, "^porthole sockets: other network .*: sudo shows them\n$")

    def test_other_namespaces(self):
        done = subprocess.run([*NOBODY, PROGRAM, "sockets", "--all-namespaces"], capture_output=True,
                              text=True, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "could not be seen: sudo shows them")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""`sockets`: how its list is laid out, and what else is told of a socket."""

import csv
import io
import os
import pathlib
import re
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace
from porthole import PROGRAM
from sockets import listen, port_of
from talk_run import own_network
from terminal import Terminal
from test_sockets import LISTENER, ROOT, Sockets, bind, inode


def setUpModule():
    own_network()


# Processes that listen at one port, each with a socket of its own, the youngest of them first.
WORKERS = """
import os, socket, sys
def made_at(port):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
first = made_at(0)
port = first.getsockname()[1]
children = []
for number in range(4):
    begin, started = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(begin[0], 1)
        made = made_at(port)
        first.close()
        made.listen()
        os.write(started[1], b"+")
        sys.stdin.read()
        os._exit(0)
    children.append((pid, begin[1], started[0]))
for pid, begin, started in reversed(children):
    os.write(begin, b"+")
    os.read(started, 1)
first.listen()
print(port, os.getpid(), *(pid for pid, _, _ in children), flush=True)
sys.stdin.read()
"""


class Order(Sockets):
    def test_those_at_one_port_are_sorted_by_pid(self):
        """Also when they came in another order, of which the kernel tells."""
        program = self.process(WORKERS)
        pids = list(map(int, program.line.split()[1:]))
        self.addCleanup(program.communicate)
        port = program.line.split()[0]
        listed = [record["processes"][0]["pid"] for record in self.json("port", port)]
        self.assertEqual(listed, sorted(pids))
        self.assertEqual(len(listed), 5)


class Csv(Sockets):
    def rows_of(self, *words):
        return list(csv.DictReader(io.StringIO(self.sockets("--csv", "-a", *words))))

    def test_the_backlog_is_no_bytes(self):
        listener = self.keep(listen("127.0.0.1", backlog=7))
        client = self.keep(socket.create_connection(listener.getsockname()))
        server = f"{port_of(client)}"
        rows = {row["state"] + row["remote_port"]: row for row in self.rows_of("port", port_of(listener))}
        queues = ("receive_queue", "send_queue", "backlog", "backlog_maximum")
        self.assertEqual([rows["LISTEN"][name] for name in queues], ["", "", "1", "7"])
        self.assertEqual([rows["ESTABLISHED" + server][name] for name in queues], ["0", "0", "", ""])
        self.assertTrue(all(None not in row and None not in row.values() for row in rows.values()))

    def test_unix_sockets_are_reached_by_this_machine(self):
        made = self.keep(socket.socket(socket.AF_UNIX))
        made.bind(f"\0porthole-csv-{os.getpid()}")
        made.listen()
        one, _ = map(self.keep, socket.socketpair())
        rows = {row["inode"]: row["reached_by"] for row in self.rows_of("-A", "all", "pid", str(os.getpid()))}
        self.assertEqual(rows[str(inode(made))], "this machine")
        self.assertEqual(rows[str(inode(one))], "")


class Memory(Sockets):
    def test_drops_and_buffers(self):
        made = self.keep(bind(socket.SOCK_DGRAM, "127.0.0.1"))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        limit = made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        sender = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        words = ["-u", "port", str(port_of(made))]
        (memory,) = [record["memory"] for record in self.json("-m", *words)]
        self.assertEqual((memory["receive_bytes"], memory["dropped"]), (0, 0))
        self.assertIn("dropped 0\n", self.sockets("-m", *words))
        for _ in range(50):
            sender.sendto(bytes(1000), made.getsockname())
        (memory,) = [record["memory"] for record in self.json("-m", *words)]
        self.assertEqual(memory["receive_limit_bytes"], limit)
        self.assertGreater(memory["receive_bytes"], 1000)
        self.assertTrue(0 < memory["dropped"] < 50)
        told = rf"\n    receive buffer {memory['receive_bytes']:,} of {limit:,} bytes, .* dropped {memory['dropped']}\n"
        for option in ("-m", "-v"):
            self.assertRegex(self.sockets(option, *words), told)
        self.assertEqual(len(self.sockets("-mO", *words).splitlines()), 2)
        for option in ("-i", "-e"):
            self.assertNotIn("dropped", self.sockets(option, *words))
            self.assertTrue(all("memory" not in record for record in self.json(option, *words)))

    def test_every_kind(self):
        listener = self.keep(listen("127.0.0.1"))
        one, other = map(self.keep, socket.socketpair())
        other.send(bytes(10000))
        self.assertIn("memory", self.record(listener, "-m"))
        self.assertGreater(self.record(other, "-mx")["memory"]["send_bytes"], 10000)
        self.assertEqual(self.record(one, "-mx")["memory"]["dropped"], 0)


class Summary(Sockets):
    def test_a_process_without_a_name(self):
        for name, shown in ("", '""'), ("two words", '"two words"'):
            program = self.process(LISTENER, name)
            self.assertIn(f" {shown} ", self.sockets("-s", "port", program.line))


class Layout(Sockets):
    def on_terminal(self, columns, *words):
        """The lines of a list on a terminal this wide."""
        with Terminal(["sh", "-c", f'stty cols {columns} && exec "$0" "$@"', PROGRAM, "sockets", *words],
                      {"NO_COLOR": "1"}) as terminal:  # fmt: skip
            terminal.finish()
        return terminal.text.replace("\r\n", "\n").splitlines()

    def test_lines_fit_the_terminal(self):
        made = self.keep(socket.socket(socket.AF_UNIX))
        made.bind("\0" + "long" * 25)
        made.listen()
        words = ["-x", "pid", str(os.getpid())]
        lines = self.on_terminal(72, *words)
        self.assertTrue(any(re.search(r" @long\w+…\w+long ", line) for line in lines), lines)
        self.assertLessEqual(max(map(len, lines)), 72)
        self.assertIn("@" + "long" * 25, self.sockets(*words))  # a pipe is not cut

    @unittest.skipUnless(ROOT, "not root: no interface of the test's own")
    def test_what_matters_is_never_cut(self):
        """Ports, numbers of processes, and the mark of what everybody reaches."""
        space = Namespace(self)
        space.ip("link", "set", "lo", "up")
        space.ip("address", "add", "fd00::1234:5678:9abc:def0/64", "dev", "lo", "nodad")
        space.ip("link", "add", "bridge0", "type", "bridge")
        space.ip("link", "set", "bridge0", "up")
        space.ip("address", "add", "198.18.0.1/24", "dev", "bridge0")
        self.stack.enter_context(space.entered())
        made = self.keep(listen("fd00::1234:5678:9abc:def0", 8443))
        for address, port in (("127.0.0.1", 5432), ("0.0.0.0", 5222)):
            self.keep(listen(address, port))
        self.keep(socket.create_connection(made.getsockname()[:2]))
        self.keep(made.accept()[0])
        named = self.process(LISTENER, "a long name")
        for columns, service in ((200, True), (80, None), (60, False)):
            lines = self.on_terminal(columns)
            self.assertLessEqual(max(map(len, lines)), columns)
            text = "\n".join(lines)
            self.assertRegex(text, rf"tcp +0\.0\.0\.0:5222 .*every interface \* .* {os.getpid()}\b")
            self.assertRegex(text, rf"tcp +127\.0\.0\.1:5432 .* {os.getpid()}\b")
            self.assertRegex(text, rf"tcp +\[fd00[^ ]*def0\]:8443 .* {os.getpid()}\b")
            self.assertRegex(text, rf":{named.line} .* {named.pid}\b")
            if service is not None:
                self.assertEqual("(postgresql)" in text, service)
                self.assertEqual("[fd00::1234:5678:9abc:def0]:8443 " in text, service)
        port = r"\[[^ ]*…[^ ]*\]:8443"
        self.assertRegex("\n".join(self.on_terminal(66, "-a")), rf"ESTABLISHED +{port} +\[[^ ]*…[^ ]*\]:\d+ .* {os.getpid()}\b|"
                         rf"ESTABLISHED +\[[^ ]*…[^ ]*\]:\d+ +{port} .* {os.getpid()}\b")  # fmt: skip


if __name__ == "__main__":
    unittest.main()

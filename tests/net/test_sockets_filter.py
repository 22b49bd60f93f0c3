"""Filters beside ss: the same words take the same sockets; and the answer to what uses a port."""

import os
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import PATIENCE, Namespace, need, run as run_tool
from porthole import records, run

# As the shell gives them: some word by word, some in one piece. "and" binds closer than "or", as
# ss(8) says; ss itself takes them from left to right.
FILTERS = [
    ["sport", "=", ":8080"],
    ["sport = :8080 or dport = :8080"],
    ["sport = :8080 | dport = :8080"],
    ["dport != :8080"],
    ["not", "sport", "=", ":8080"],
    ["!", "sport", "=", ":8080"],
    ["sport", "=", "ssh"],
    ["sport = :ssh or dport = :https"],
    ["sport >= 40000 and dport != :443"],
    ["sport ge 40000 && dport neq :443"],
    ["dport", "lt", ":1024"],
    ["sport gt :442 and sport le :444"],
    ["dst", "127.0.0.0/8"],
    ["dst", "any"],
    ["src", "any"],
    ["src", "all"],
    ["dst", "127/8:443"],
    ["dst", "[::1]"],
    ["dst [::1]:444"],
    ["src", "[::1]:443"],
    ["src", ":8080"],
    ["src", "127.0.0.1:8080"],
    ["state", "established"],
    ["state", "connected"],
    ["state", "synchronized"],
    ["state", "bucket"],
    ["state", "big"],
    ["state", "all"],
    ["state", "listening"],
    ["state", "close-wait", "state", "fin-wait-2"],
    ["exclude", "listening"],
    ["exclude", "established", "exclude", "listening"],
    ["state", "established", "dport", "=", ":443"],
    ["state", "established", "( dport = :443 or sport = :444 )"],
    ["( sport = :22 or sport = :443 ) and dst 127.0.0.0/8"],
    ["sport = :22 or ( sport = :443 and dst 127.0.0.0/8 )"],
    ["sport = :8080 and not ( dst 127.0.0.1 or src 127.0.0.2 )"],
]


def end(text):
    """An address and port, told the same way whoever wrote it."""
    host, port = text.rsplit(":", 1)
    host = host.strip("[]").replace("::ffff:", "").split("%")[0]
    return ("*" if host in ("*", "0.0.0.0", "::") else host, "0" if port == "*" else port)


@need("ip", "ss", "nsenter")
class Filters(unittest.TestCase):
    """A namespace whose sockets are in many states."""

    def setUp(self):
        self.here = Namespace(self)
        self.here.ip("link", "set", "lo", "up")
        self.kept = []
        self.addCleanup(lambda: [each.close() for each in self.kept])
        with self.here.entered():
            self.make_sockets()

    def listen(self, address, port, **options):
        """A server's socket, that may listen where others rest."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.create_server((address, port), family=family, **options)
        self.kept.append(made)
        return made

    def connect(self, server, address, port):
        """Both ends of a connection, which stays open."""
        ends = socket.create_connection((address, port), timeout=PATIENCE), server.accept()[0]
        self.kept.extend(ends)
        return ends

    def make_sockets(self):
        """Listeners and connections of both families, ended by halves and as a whole, and UDP."""
        web, shell = self.listen("127.0.0.1", 8080), self.listen("0.0.0.0", 22)
        dual = self.listen("::", 443, dualstack_ipv6=True)
        mail = self.listen("::1", 444)
        for _ in range(5):
            self.connect(web, "127.0.0.1", 8080)
        self.connect(dual, "127.0.0.1", 443)
        self.connect(dual, "::1", 443)
        self.connect(mail, "::1", 444)
        client, _ = self.connect(web, "127.0.0.1", 8080)
        client.close()  # one end waits for the program, the other for its peer
        client, served = self.connect(shell, "127.0.0.2", 22)
        served.close()
        client.close()
        for name in ("bind", "connect"):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.kept.append(made)
            getattr(made, name)(("127.0.0.1", 53))
        deadline = time.monotonic() + PATIENCE
        while not run_tool("ss", "-Htan", "state", "time-wait"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def seen_by_ss(self, words):
        """Local and remote ends."""
        lines = run_tool(*self.here.prefix, "ss", "-Htuan", *words).splitlines()
        return sorted(
            tuple(end(word) for word in [word for word in line.split() if ":" in word][-2:])
            for line in lines
        )

    def seen_by_us(self, words):
        """The same."""
        done = run("sockets", "-tuan", "--json", *words, namespace=self.here)
        self.assertEqual(done.stderr, "", words)
        return sorted(
            tuple(
                end(f"{record.get(side + '_address', '*')}:{record.get(side + '_port', 0)}")
                for side in ("local", "remote")
            )
            for record in records.parse(done.stdout)
            if record["type"] == "socket"
        )

    def test_words_take_what_ss_takes(self):
        for words in FILTERS:
            with self.subTest(words=words):
                expected = self.seen_by_ss(words)
                self.assertEqual(self.seen_by_us(words), expected)
                self.assertNotEqual(expected, [])  # or it would show nothing

    def test_a_port_is_told_in_words(self):
        told = run("sockets", "8080", namespace=self.here).stdout
        self.assertIn(f"(pid {os.getpid()}, user ", told)
        self.assertIn("listens on TCP port 8080 (http-alt) of 127.0.0.1 (loopback only)\n", told)
        self.assertIn("6 connections: from 127.0.0.1\n", told)
        self.assertIn(f"To end it: kill {os.getpid()}\n", told)

    def test_what_rests_is_told(self):
        with self.here.entered():
            server = self.listen("127.0.0.1", 9000)
            client, served = self.connect(server, "127.0.0.1", 9000)
            server.close()
            served.close()
            client.close()
        told = run("sockets", "9000", namespace=self.here).stdout
        self.assertIn("has ended and rests in TIME_WAIT for up to ", told)
        self.assertIn("for one that does, it works at once\n", told)
        with self.here.entered():  # which is true
            again = socket.socket()
            self.kept.append(again)
            with self.assertRaises(OSError):
                again.bind(("127.0.0.1", 9000))
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", 9000))


if __name__ == "__main__":
    unittest.main()

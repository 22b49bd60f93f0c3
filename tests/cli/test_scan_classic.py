"""porthole portscanner: the open ports of one host and nothing else, in both of its forms and by
its own name."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need
from porthole import PROGRAM, run
from sockets import free_port, listen, port_of


class PortscannerTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def expect(self, done, stdout, status=0, stderr=""):
        """A run that says exactly this."""
        self.assertEqual((done.stderr, done.stdout, done.returncode), (stderr, stdout, status))


@need("ip", "nsenter")
class Machine(PortscannerTest):
    """All ports of a machine of the test's own, whose open ones are known."""

    PORTS = (1, 22, 80, 443, 8080, 40000, 65535)

    def setUp(self):
        super().setUp()
        self.namespace = Namespace(self)
        with self.namespace.entered():
            for port in self.PORTS:
                self.stack.enter_context(listen("::", port, dual=True))

    def scan(self, *words):
        """portscanner on that machine."""
        return run("portscanner", *words, namespace=self.namespace)

    def lines(self, first=1, last=65535, form="{}\n"):
        """The open ports between two, in a form."""
        return "".join(form.format(port) for port in self.PORTS if first <= port <= last)

    def test_numbers(self):
        for address in ("127.0.0.1", "::1"):
            self.expect(self.scan(address, 1, 65535), self.lines())
        self.expect(self.scan("127.0.0.1", 0, 65535), self.lines())
        self.expect(self.scan("127.0.0.1", 22, 443), "22\n80\n443\n")
        self.expect(self.scan("127.0.0.1", 80, 80), "80\n")
        self.expect(self.scan("127.0.0.1", 81, 90), "")

    def test_sentences(self):
        form = "Port {} is open\n"
        self.expect(self.scan("-i", "127.0.0.1"), self.lines(form=form))
        self.expect(self.scan("-i", "::1", "-s", 80), self.lines(80, form=form))
        self.expect(self.scan("-i", "127.0.0.1", "-e", "100"), self.lines(1, 100, form))
        self.expect(self.scan("-s22", "-e443", "-i127.0.0.1"), self.lines(22, 443, form))

    def test_one_port(self):
        self.expect(self.scan("-i", "127.0.0.1", "-p", 80), "Port 80 is open\n")
        self.expect(self.scan("-i", "127.0.0.1", "-p", 81), "Port 81 is closed\n")
        self.expect(self.scan("-i", "::1", "-p", 0), "Port 0 is closed\n")

    @need("nft")
    def test_a_filtered_port(self):
        self.namespace.nft("table inet test { chain test { type filter hook input priority 0;\n"
                           "tcp dport 81 drop\n}\n}\n")  # fmt: skip
        self.expect(self.scan("-i", "127.0.0.1", "-p", 81), "Port 81 is filtered\n")
        self.expect(self.scan("127.0.0.1", 80, 82), "80\n")

    def test_a_network_that_is_not_there(self):
        self.expect(
            self.scan("203.0.113.1", 1, 9), "", 1,
            "porthole portscanner: 9 ports could not be asked: "
            "'porthole scan 203.0.113.1' tells why\n",
        )  # fmt: skip


class Names(PortscannerTest):
    def test_called_by_its_own_name(self):
        port = port_of(self.stack.enter_context(listen("127.0.0.1")))
        directory = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
        link = pathlib.Path(directory, "portscanner")
        link.symlink_to(PROGRAM)
        for words, stdout in (
            (["127.0.0.1", port, port], f"{port}\n"),
            (["-i", "localhost", "-p", port], f"Port {port} is open\n"),
            (["-i", "127.0.0.1", "-s", port, "-e", port], f"Port {port} is open\n"),
        ):
            with self.subTest(words):
                done = subprocess.run(
                    [link, *map(str, words)], capture_output=True, text=True, timeout=60
                )
                self.expect(done, stdout)
        done = subprocess.run([link], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_help_tells_both_forms(self):
        text = run("portscanner", "--help").stdout
        self.assertIn("portscanner ADDRESS MIN_PORT MAX_PORT", text)
        self.assertIn("portscanner -i HOST [-s START] [-e END] [-p PORT]", text)


class Silence(PortscannerTest):
    """It never waits for data from a server, and sends none."""

    def test_a_server_that_never_speaks(self):
        listener = self.stack.enter_context(listen("127.0.0.1"))
        port = port_of(listener)
        self.expect(run("portscanner", "127.0.0.1", port, port), f"{port}\n")
        self.expect(run("portscanner", "-i", "127.0.0.1", "-p", port), f"Port {port} is open\n")
        listener.setblocking(False)
        connections = []
        with contextlib.suppress(BlockingIOError):
            while True:
                connections.append(self.stack.enter_context(listener.accept()[0]))
        for connection in connections:
            connection.setblocking(False)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(connection.recv(1), b"")

    def test_a_server_that_speaks_at_once(self):
        listener = self.stack.enter_context(listen("127.0.0.1"))
        port = port_of(listener)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection, contextlib.suppress(OSError):
                        connection.sendall(b"220 welcome\r\n" * 1000)
            os._exit(0)
        try:
            for _ in range(20):
                self.expect(run("portscanner", "127.0.0.1", port, port), f"{port}\n")
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)

    def test_a_server_with_a_full_backlog(self):
        """The kernel lets SYNs to it fall: nothing comes back, and the scan still ends."""
        listener = self.stack.enter_context(listen("127.0.0.1", backlog=0))
        port, closed = port_of(listener), free_port()
        for _ in range(3):
            client = self.stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        one_port = ["portscanner", "-i", "127.0.0.1", "-p"]
        self.expect(run(*one_port, port), f"Port {port} is filtered\n")
        self.expect(run("portscanner", "127.0.0.1", port, port), "")
        self.expect(run(*one_port, closed), f"Port {closed} is closed\n")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""`listen`: who answers, and by which kind of port: programs, pages, UDP, TLS."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from porthole import PROGRAM
from talk import PATIENCE
from talk_peers import directory, free_port
from talk_run import (
    SIZE, Authority, Conversation, Listening, is_silent, own_network, receive, receive_all,
    reset, say_and_hear, tls_client, wait_until,
)  # fmt: skip
from terminal import Terminal

HERE = "127.0.0.1"


def setUpModule():
    own_network()


class Listen(Conversation):
    def listen(self, *words, place="0"):
        """Listens on loopback unless the words say otherwise."""
        return Listening(self, "listen", *words, place=place)


class Programs(Listen):
    def test_exec(self):
        said = os.urandom(SIZE)
        listener = self.listen("--exec", "cat")
        self.assert_same(say_and_hear(listener.connect(self), said), said)
        self.assertEqual(listener.side.wait(), 0)

    def test_it_is_warned_of(self):
        listener = self.listen("--exec", "cat")
        listener.side.expect_said("whoever connects runs 'cat'")

    def test_many_at_once(self):
        listener = self.listen("--keep", "--shell", "cat; echo over")
        clients = [listener.connect(self) for _ in range(5)]
        for number, client in enumerate(clients):
            client.sendall(f"{number}".encode())
            client.shutdown(socket.SHUT_WR)
        for number, client in enumerate(clients):
            self.assertEqual(receive_all(client), f"{number}over\n".encode())

    def test_environment(self):
        listener = self.listen("--shell", 'echo "$NCAT_REMOTE_ADDR $NCAT_REMOTE_PORT '
                               '$NCAT_LOCAL_ADDR $NCAT_LOCAL_PORT $NCAT_PROTO"')  # fmt: skip
        client = listener.connect(self)
        port = client.getsockname()[1]
        expected = f"{HERE} {port} {HERE} {listener.port} TCP\n"
        self.assertEqual(receive_all(client).decode(), expected)

    def test_arguments(self):
        listener = self.listen("--exec", "printf '%s|' 'one two' three")
        self.assertEqual(receive_all(listener.connect(self)), b"one two|three|")

    def test_that_is_not_there(self):
        listener = self.listen("--exec", "/no/such/program")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(receive_all(listener.connect(self)), b"")
        self.assertEqual(listener.side.wait(), 3)
        listener.side.expect_said("/no/such/program")

    def test_that_is_not_there_with_others_to_come(self):
        listener = self.listen("--keep", "--exec", "/no/such/program")
        for _ in range(2):
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(receive_all(listener.connect(self)), b"")
        self.assertIsNone(listener.side.process.poll())

    def test_that_ends_early(self):
        listener = self.listen("--exec", "true")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(receive_all(listener.connect(self)), b"")
        self.assertEqual(listener.side.wait(), 0)

    def test_that_says_much_and_reads_nothing(self):
        listener = self.listen("--exec", f"head -c {SIZE} /dev/zero")
        self.assert_same(receive_all(listener.connect(self)), bytes(SIZE))

    def test_behind_tls(self):
        listener = self.listen("--tls", "--exec", "cat")
        with tls_client().wrap_socket(listener.connect(self)) as client:
            client.sendall(b"hello")
            self.assertEqual(receive(client, 5), b"hello")

    def test_ends_with_us(self):
        listener = self.listen("--keep", "--shell", "echo $$; cat; exec sleep 1000")
        client = listener.connect(self)
        pid = int(client.recv(20))
        client.close()
        wait_until(lambda: b"sleep" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
        listener.side.process.send_signal(signal.SIGTERM)
        self.assertEqual(listener.side.wait(), 143)
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists())


class Datagrams(Listen):
    def client(self, listener):
        return listener.connect(self, kind=socket.SOCK_DGRAM)

    def test_the_last_is_answered(self):
        listener = self.listen(place="udp:0")
        one, two = self.client(listener), self.client(listener)
        one.send(b"one")
        listener.side.expect_heard(b"one")
        two.send(b"two")
        listener.side.expect_heard(b"two")
        listener.side.write(b"answer")
        self.assertEqual(two.recv(100), b"answer")
        self.assertTrue(is_silent(one))

    def test_all_are_answered(self):
        listener = self.listen("--answer", "all", place="udp:0")
        one, two = self.client(listener), self.client(listener)
        one.send(b"one")
        listener.side.expect_heard(b"one")
        two.send(b"two")
        listener.side.expect_heard(b"two")
        listener.side.write(b"answer")
        self.assertEqual((one.recv(100), two.recv(100)), (b"answer", b"answer"))

    def test_of_every_size(self):
        listener = self.listen(place="udp:0")
        client = self.client(listener)
        for size in (1, 0, 1472, 9000, 65507, 1):
            before = len(listener.side.received)
            data = os.urandom(size)
            client.send(data)
            listener.side.expect(before + size)
            self.assert_same(listener.side.received[before:], data)

    def test_a_program_for_each(self):
        listener = self.listen("--exec", "cat", place="udp:0")
        one, two = self.client(listener), self.client(listener)
        for client, words in ((one, b"one"), (two, b"two"), (one, b"three")):
            client.send(words)
            self.assertEqual(client.recv(100), words)


class Tls(Listen):
    def test_with_a_certificate_made_for_it(self):
        said = os.urandom(SIZE)
        listener = self.listen("--tls")
        fingerprint = re.search(r"SHA-256 (\S+)", listener.said())[1]
        listener.side.end()
        with tls_client().wrap_socket(listener.connect(self)) as client:
            shown = ssl.DER_cert_to_PEM_cert(client.getpeercert(True))
            done = subprocess.run(
                ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
                input=shown.encode(), capture_output=True, check=True,
            )  # fmt: skip
            self.assertIn(fingerprint.replace(":", "").lower(),
                          done.stdout.decode().replace(":", "").lower())  # fmt: skip
            client.sendall(said)
            client.unwrap()
        self.assertEqual(listener.side.wait(), 0)
        listener.side.expect_end()
        self.assert_same(listener.side.received, said)

    def test_with_one_of_ours_and_one_of_theirs(self):
        authority = Authority(directory(self))
        server, client = authority.issue(), authority.issue("client", "DNS:client")
        words = ["--tls", "--keep", "--cert", server[0], "--key", server[1], "--ca", authority.file]
        listener = self.listen(*words)
        context = tls_client(authority.file, client)
        with context.wrap_socket(listener.connect(self), server_hostname="localhost") as theirs:
            theirs.sendall(b"hello")
            listener.side.expect_heard(b"hello")
        context = tls_client(authority.file)
        with self.assertRaises((ssl.SSLError, OSError)):
            with context.wrap_socket(listener.connect(self), server_hostname="localhost") as theirs:
                theirs.sendall(b"secret")
                theirs.recv(1)
        listener.side.expect_said(" failed: ")
        self.assertEqual(listener.side.received, b"hello")

    def test_those_who_speak_none(self):
        listener = self.listen("--tls")
        for words in (b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b""):
            client = listener.connect(self)
            with contextlib.suppress(OSError):  # it is reset
                client.sendall(words)
                client.shutdown(socket.SHUT_WR)
                receive_all(client)
        with tls_client().wrap_socket(listener.connect(self)) as client:
            client.sendall(b"hello")
            listener.side.expect_heard(b"hello")

    def test_protocols(self):
        listener = self.listen("--tls", "--alpn", "h2,http/1.1")
        context = tls_client(protocols=["http/1.1"])
        with context.wrap_socket(listener.connect(self)) as client:
            self.assertEqual(client.selected_alpn_protocol(), "http/1.1")


class Http(Listen):
    def curl(self, *words):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", str(PATIENCE), *words], capture_output=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def setUp(self):
        self.listener = self.listen("--http")
        self.url = f"http://127.0.0.1:{self.listener.port}"

    @unittest.skipUnless(shutil.which("curl"), "not installed: curl")
    def test_curl_sees_what_it_said(self):
        page = self.curl("-H", "X-Test: yes", f"{self.url}/path?query")
        for words in ("GET /path?query HTTP/1.1", "X-Test: yes", "User-Agent: curl/"):
            self.assertIn(words, page)
            self.listener.side.expect_heard(words.encode())

    @unittest.skipUnless(shutil.which("curl"), "not installed: curl")
    def test_other_methods(self):
        head = self.curl("-I", self.url)
        self.assertRegex(head, r"\AHTTP/1.1 200 ")
        page = self.curl("-d", "x" * 2000, self.url)
        self.assertIn("POST / HTTP/1.1", page)
        self.assertIn("x" * 1000, page)
        page = self.curl("-H", "Transfer-Encoding: chunked", "-d", "chunks", self.url)
        self.assertIn("chunks", page)
        page = self.curl("-H", "Expect: 100-continue", "-d", "patient", self.url)
        self.assertIn("patient", page)

    @unittest.skipUnless(shutil.which("curl"), "not installed: curl")
    def test_a_connection_serves_again(self):
        words = ["-o", "/dev/null", "-w", "%{num_connects} "]
        self.assertEqual(self.curl(*words, f"{self.url}/1", *words[:2], f"{self.url}/2"), "1 0 ")

    def ask(self, words):
        client = self.listener.connect(self)
        client.sendall(words)
        client.shutdown(socket.SHUT_WR)
        return receive_all(client)

    def test_garbage(self):
        for words in (b"\0" * 100 + b"\r\n\r\n", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n:x\r\n\r\n",
                      b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"):  # fmt: skip
            self.assertRegex(self.ask(words), rb"\AHTTP/1.1 400 ")
        self.assertRegex(self.ask(b"GET / HTTP/1.1\r\nX: " + b"x" * 70000), rb"\AHTTP/1.1 431 ")

    def test_many_at_once(self):
        clients = [self.listener.connect(self) for _ in range(50)]
        for number, client in enumerate(clients):
            client.sendall(f"GET /{number} HTTP/1.0\r\n\r\n".encode())
        for number, client in enumerate(clients):
            self.assertIn(f"GET /{number} HTTP/1.0".encode(), receive_all(client))

    def test_hostile_bytes_reach_no_terminal(self):
        port = free_port()
        with Terminal([PROGRAM, "listen", "--http", str(port)]) as terminal:
            terminal.wait_for("Listening on")
            with socket.create_connection((HERE, port)) as client:
                client.sendall(b"GET /\x1b]0;x\x07 HTTP/1.1\r\nX: \x1b[2J\x9b1m\r\n\r\n")
                receive(client, 1)
            terminal.wait_for("X: |closed|Connection received")
            with socket.create_connection((HERE, port)) as client:
                client.sendall(b"GET /fine HTTP/1.1\r\nX: \x1b[2Jy\r\nConnection: close\r\n\r\n")
                receive_all(client)
            terminal.press("\x03")
            self.assertEqual(terminal.finish(), 130)
        self.assertNotIn("\x1b", terminal.text)
        self.assertNotIn("\x07", terminal.text)

    def test_records(self):
        listener = self.listen("--http", "--json")
        client = listener.connect(self)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        page = receive_all(client)
        client.close()
        listener.side.expect_heard(b'"end"')
        listener.side.process.send_signal(signal.SIGINT)
        listener.side.wait()
        listener.side.expect_end()
        told = records.parse(listener.side.received.decode())
        records.check_conversations(told)
        self.assertEqual(records.streams(told, 1), (page, b"GET / HTTP/1.0\r\n\r\n"))


if __name__ == "__main__":
    unittest.main()

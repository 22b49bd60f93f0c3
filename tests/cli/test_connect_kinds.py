#!/usr/bin/python3
"""`connect` by every kind of port: UDP, Unix sockets, TLS, through proxies; and what is written down."""

import contextlib
import os
import pathlib
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from porthole import command
from talk import PATIENCE
from talk_peers import directory, free_port
from talk_run import (
    SIZE, Authority, Conversation, Peer, answer, own_network, receive, receive_all, reset, run,
    talk, tls_server, wait_until,
)  # fmt: skip


def setUpModule():
    own_network()


class Datagrams(Conversation):
    SIZES = (1, 2, 512, 1472, 1473, 9000, 65506, 65507)

    def setUp(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.port = self.socket.getsockname()[1]

    def talk(self, *words):
        return talk(self, "connect", *words, f"udp:127.0.0.1:{self.port}")

    def test_of_every_size_come(self):
        side = self.talk("--json")
        side.write(b"hello")
        data, client = self.socket.recvfrom(65536)
        self.assertEqual(data, b"hello")
        for size in (0, *self.SIZES):
            self.socket.sendto(b"x" * size, client)
            side.expect_heard(b'"received","length":%d' % size)
        side.process.send_signal(signal.SIGINT)
        self.assertEqual(side.wait(), 130)
        told = records.parse(side.received.decode())
        lengths = [record["length"] for record in told if record.get("direction") == "received"]
        self.assertEqual(lengths, [0, *self.SIZES])

    def test_a_reader_who_takes_his_time_gets_all(self):
        """Nothing happens after the record that the pipe has no room for."""
        words = command("connect", "--json", f"udp:127.0.0.1:{self.port}")
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "pipesize": 4096}
        with subprocess.Popen(words, **pipe) as process, contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            process.stdin.write(b"hello")
            process.stdin.flush()
            client = self.socket.recvfrom(65536)[1]
            self.socket.sendto(b"x" * 50_000, client)
            wait_until(lambda: select.select([process.stdout], [], [], 0)[0])
            time.sleep(0.1)  # most likely it has met the end of the pipe by now
            received = b""
            while not received.endswith(b'x"}\n'):
                readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
                self.assertTrue(readable, f"{len(received)} bytes, and no more")
                received += os.read(process.stdout.fileno(), 65536)
        self.assertIn(b"x" * 50_000, received)

    def test_of_every_size_go(self):
        for size in self.SIZES:
            with self.subTest(size=size):
                path = directory(self) / "said"
                path.write_bytes(os.urandom(size))
                with open(path, "rb") as said:
                    words = ["connect", "--udp", "--on-eof=close", "127.0.0.1", self.port]
                    done = run(*words, stdin=said)
                self.check(done)
                self.assert_same(self.socket.recv(65536), path.read_bytes())

    def test_a_longer_file_goes_in_pieces(self):
        path = directory(self) / "said"
        path.write_bytes(os.urandom(100_000))
        with open(path, "rb") as said:
            done = run("connect", "--udp", "--on-eof=close", "127.0.0.1", self.port, stdin=said)
        self.check(done)
        self.assert_same(self.socket.recv(65536) + self.socket.recv(65536), path.read_bytes())

    def test_each_read_is_one(self):
        side = self.talk()
        for word in (b"one\n", b"two\n", b"three\n"):
            side.write(word)
            data, client = self.socket.recvfrom(65536)
            self.assertEqual(data, word)
            self.socket.sendto(word.upper(), client)
            side.expect_heard(word.upper())

    def test_nobody_is_there(self):
        self.socket.close()
        side = self.talk()
        side.write(b"hello")
        self.assertEqual(side.wait(), 1)
        side.expect_said("Connection refused\n")

    def test_silence_ends_it(self):
        done = run("connect", "--udp", "--idle-timeout=200ms", "127.0.0.1", self.port, data=b"x")
        self.check(done, 1, rb"porthole connect: nothing was said for 200[^\n]*\n")


class Places(Conversation):
    def test_families(self):
        peer = Peer(self, answer(b"four"))
        done = run("connect", "-4", "localhost", peer.port)
        self.check(done)
        self.assertEqual(done.stdout, b"four")
        peer = Peer(self, answer(b"six"), "::1")
        for words in (["-6", "::1", peer.port],):
            done = run("connect", *words)
            self.check(done)
            self.assertEqual(done.stdout, b"six")
        for words in (["-6", "127.0.0.1", peer.port], ["-4", "::1", peer.port],
                      ["-6", f"tcp4:[::1]:{peer.port}"]):  # fmt: skip
            done = run("connect", *words)
            self.assertIn(done.returncode, (1, 2))
            self.assertEqual(done.stderr.count(b"\n"), done.stderr.count(b"\n  ") + 1)

    def test_a_family_in_the_kind(self):
        peer = Peer(self, answer(b"six"), "::1")
        done = run("connect", f"tcp6:[::1]:{peer.port}")
        self.check(done)
        self.assertEqual(done.stdout, b"six")

    def test_a_source(self):
        peer = Peer(self, answer(b""))
        port = free_port()
        words = ["connect", "-s", "127.0.0.77", "--source-port", port, "127.0.0.1", peer.port]
        self.check(run(*words))
        self.assertEqual(peer.client, ("127.0.0.77", port))

    def test_a_source_of_somebody_else(self):
        done = run("connect", "-s", "203.0.113.1", "127.0.0.1", free_port())
        self.check(done, 3, rb"porthole connect: [^\n]*none of this machine's[^\n]*\n")

    def test_unix_sockets(self):
        name = f"@porthole-{os.getpid()}"
        path = str(directory(self) / "socket")
        for where, bound in ((path, path), (name, "\0" + name[1:])):
            for words in (["--unix", where], [f"unix:{where}"]):
                with self.subTest(words):
                    said, answered = os.urandom(SIZE), os.urandom(SIZE)
                    pathlib.Path(path).unlink(missing_ok=True)
                    peer = Peer(self, answer(answered), bound)
                    done = run("connect", *words, data=said)
                    self.check(done)
                    self.assert_same(done.stdout, answered)
                    self.assert_same(peer.result(), said)
                    peer._stop()  # pylint: disable=protected-access

    def test_unix_sockets_that_are_not_there(self):
        folder = directory(self)
        stale = str(folder / "stale")
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(stale)
        (folder / "file").write_text("")
        for path in (stale, str(folder / "none"), str(folder / "file"), f"@none-{os.getpid()}"):
            with self.subTest(path):
                done = run("connect", "--unix", path)
                self.check(done, 1, rb"porthole connect: cannot connect to unix:[^\n]*\n")

    def test_proxy_headers(self):
        for version in (1, 2):
            peer = Peer(self, answer(b""))
            done = run("connect", "--send-proxy", version, "127.0.0.1", peer.port, data=b"hello")
            self.check(done)
            client, port = peer.client
            if version == 1:
                header = f"PROXY TCP4 {client} 127.0.0.1 {port} {peer.port}\r\n".encode()
            else:
                header = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", 0x21, 0x11, 12)
                header += socket.inet_aton(client) + socket.inet_aton("127.0.0.1")
                header += struct.pack(">HH", port, peer.port)
            self.assertEqual(peer.result(), header + b"hello")


class Views(Conversation):
    def test_hex_shows_both_directions(self):
        answered = bytes(range(256))
        peer = Peer(self, answer(answered))
        done = run("connect", "--hex", "127.0.0.1", peer.port, data=b"GET / HTTP/1.1\r\n\r\n")
        self.check(done)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(
            lines[0],
            "> 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|",
        )
        for arrow, expected in ((">", b"GET / HTTP/1.1\r\n\r\n"), ("<", answered)):
            dump = [line for line in lines if line.startswith(arrow)]
            text = "".join(line[12:61] for line in dump)
            self.assertEqual(bytes.fromhex(text), expected)

    def records_of(self, *words, said, answered, status=0):
        """Of one conversation, valid by themselves and together."""
        peer = Peer(self, answer(answered))
        done = run("connect", *words, f"127.0.0.1:{peer.port}", data=said)
        self.check(done, status)
        self.assert_same(peer.result(), said)
        return peer, done

    def judge(self, told, peer, said, answered):
        records.check_conversations(told)
        sent, received = records.streams(told)
        self.assert_same(sent, said)
        self.assert_same(received, answered)
        (connection,) = records.of_type(told, "connection")
        self.assertEqual(connection["remote"], f"127.0.0.1:{peer.port}")
        self.assertEqual(connection["local"], "%s:%d" % peer.client)
        self.assertEqual(told[-1]["outcome"], "ended")

    def test_json(self):
        for said, answered in ((b"one\n", "zwei ä €\n".encode()), (os.urandom(SIZE), bytes(70000))):
            peer, done = self.records_of("--json", said=said, answered=answered)
            self.judge(records.parse(done.stdout.decode()), peer, said, answered)

    def test_record(self):
        path = directory(self) / "record"
        said, answered = os.urandom(100_000), b"text\r\n" * 100_000
        peer, done = self.records_of("--record", path, said=said, answered=answered)
        self.assert_same(done.stdout, answered)
        self.judge(records.parse(path.read_text()), peer, said, answered)

    def test_record_beside_hex(self):
        path = directory(self) / "record"
        peer, done = self.records_of("--record", path, "--hex", said=b"one", answered=b"two")
        self.judge(records.parse(path.read_text()), peer, b"one", b"two")
        self.assertEqual(done.stdout.count(b"\n"), 2)

    def test_json_of_a_refusal(self):
        done = run("connect", "--json", f"127.0.0.1:{free_port()}")
        self.assertEqual(done.returncode, 1)
        told = records.parse(done.stdout.decode())
        records.check_conversations(told)
        self.assertEqual([record["type"] for record in told], ["end"])

    def test_crlf(self):
        peer = Peer(self, answer(b"a\nb"))
        done = run("connect", "--crlf", "127.0.0.1", peer.port, data=b"one\ntwo\r\n\n\rthree\n")
        self.check(done)
        self.assertEqual(peer.result(), b"one\r\ntwo\r\n\r\n\rthree\r\n")
        self.assertEqual(done.stdout, b"a\nb")

    def test_crlf_that_comes_in_pieces(self):
        def serve(connection):
            heard = b""
            while block := connection.recv(100):
                heard += block
                connection.sendall(b"+")
            return heard

        peer = Peer(self, serve)
        side = talk(self, "connect", "-C", "127.0.0.1", peer.port)
        for number, piece in enumerate((b"one\r", b"\n", b"two", b"\n", b"\n"), 1):
            side.write(piece)
            side.expect(number)
        side.end()
        self.assertEqual(side.wait(), 0)
        self.assertEqual(peer.result(), b"one\r\ntwo\r\n\r\n")


class Proxies(Conversation):
    """Where it goes well is in tests/net/test_talk_matrix.py."""

    def refuse(self, scheme, reply, expected, until=b"\r\n\r\n"):
        def serve(connection):
            heard = b""
            while not heard.endswith(until) and (block := connection.recv(1000)):
                heard += block
            connection.sendall(reply)
            receive_all(connection)

        peer = Peer(self, serve)
        proxy = f"{scheme}://127.0.0.1:{peer.port}"
        done = run("connect", "--proxy", proxy, "target.example", 80, data=b"hello")
        self.check(done, 1, rb"porthole connect: [^\n]*" + expected + rb"[^\n]*\n")
        self.assertEqual(done.stdout, b"")

    def test_that_say_no(self):
        self.refuse("http", b"HTTP/1.1 403 Forbidden\r\n\r\n", b"403")
        self.refuse("http", b"HTTP/1.1 407 Authenticate\r\n\r\n", b"(password|407)")
        self.refuse("socks4", b"\0\x5b" + bytes(6), b"refused|reject", b"target.example\0")
        self.refuse("socks5", b"\5\xff", b"password|login|user", b"\5\1\0")

    def test_that_talk_nonsense(self):
        self.refuse("http", b"SSH-2.0-OpenSSH_9\r\n\r\n" + bytes(100), b"")
        self.refuse("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\5\1\0")
        self.refuse("http", b"\x1b[2J\x07" * 30000, b"")

    def test_that_hang_up(self):
        for scheme in ("http", "socks4", "socks5"):
            peer = Peer(self, lambda connection: connection.recv(1))
            proxy = f"{scheme}://127.0.0.1:{peer.port}"
            done = run("connect", "--proxy", proxy, "target.example", 80, data=b"hello")
            self.check(done, 1, rb"porthole connect: [^\n]+\n")

    def test_that_say_nothing(self):
        peer = Peer(self, receive_all)
        proxy = f"http://127.0.0.1:{peer.port}"
        done = run("connect", "-w", "0.3", "--proxy", proxy, "target.example", 80, data=b"hello")
        self.check(done, 1, rb"porthole connect: [^\n]*within 300ms[^\n]*\n")


class Tls(Conversation):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority(directory(ClassCleanup(cls)))
        cls.certificate = cls.authority.issue()

    def server(self, serve=answer(b"answer"), certificate=None, **options):
        return Peer(self, serve, wrap=tls_server(certificate or self.certificate, **options))

    def refuse(self, peer, *words, expected):
        """The certificate is not believed: nothing is said to this peer."""
        done = run("connect", *words, data=b"secret")
        self.check(done, 1, rb"porthole connect: [^\n]*" + expected + rb"[^\n]*\n")
        self.assertEqual(done.stdout, b"")
        try:
            self.assertEqual(peer.result(), b"")
        except (ssl.SSLError, OSError):
            pass

    def test_of_an_authority_that_is_believed(self):
        said, answered = os.urandom(SIZE), os.urandom(SIZE)
        for words in (["--tls", "localhost"], ["--tls", "127.0.0.1"]):
            peer = self.server(answer(answered))
            done = run("connect", "--ca", self.authority.file, *words, peer.port, data=said)
            self.check(done)
            self.assert_same(done.stdout, answered)
            self.assert_same(peer.result(), said)

    def test_both_ways_at_once(self):
        said, answered = os.urandom(SIZE), os.urandom(SIZE)
        peer = self.server(answer(answered))
        word = f"tls:localhost:{peer.port}"
        done = run("connect", "--ca", self.authority.file, word, data=said)
        self.check(done)
        self.assert_same(done.stdout, answered)
        self.assert_same(peer.result(), said)

    def test_others_are_refused(self):
        peer = self.server()
        self.refuse(peer, f"tls:localhost:{peer.port}", expected=rb"(--insecure|--ca|-k)")

    def test_and_believed_on_demand(self):
        peer = self.server()
        done = run("connect", "-k", f"tls:127.0.0.1:{peer.port}", data=b"hello")
        self.check(done)
        self.assertEqual((done.stdout, peer.result()), (b"answer", b"hello"))

    def test_for_another_name(self):
        certificate = self.authority.issue("other.example", "DNS:other.example")
        peer = self.server(certificate=certificate)
        self.refuse(peer, "--ca", self.authority.file, f"tls:localhost:{peer.port}",
                    expected=b"localhost")  # fmt: skip

    def test_for_the_name_that_is_asked_for(self):
        certificate, names = self.authority.issue("other.example", "DNS:other.example"), []
        peer = self.server(certificate=certificate, names=names)
        words = ["--ca", self.authority.file, "--sni", "other.example", "--tls", "127.0.0.1"]
        done = run("connect", *words, peer.port, data=b"hello")
        self.check(done)
        self.assertEqual((peer.result(), names), (b"hello", ["other.example"]))

    def test_that_has_expired(self):
        peer = self.server(certificate=self.authority.issue("expired", days=-1))
        self.refuse(peer, "--ca", self.authority.file, f"tls:localhost:{peer.port}",
                    expected=b"expired")  # fmt: skip

    def test_of_clients(self):
        client = self.authority.issue("client", "DNS:client")

        def serve(connection):
            connection.sendall(dict(connection.getpeercert()["subject"][0])["commonName"].encode())
            return receive_all(connection)

        peer = self.server(serve, clients=self.authority.file)
        words = ["connect", "--ca", self.authority.file, f"tls:localhost:{peer.port}"]
        done = run(*words, "--cert", client[0], "--key", client[1], data=b"hello")
        self.check(done)
        self.assertEqual((done.stdout, peer.result()), (b"client", b"hello"))

    def test_of_clients_that_have_none(self):
        peer = self.server(clients=self.authority.file)
        words = ["connect", "--ca", self.authority.file, f"tls:localhost:{peer.port}"]
        done = run(*words, data=b"hello")
        self.check(done, 1, rb"porthole connect: [^\n]*certificate[^\n]*\n")

    def test_protocols(self):
        peer = self.server(protocols=["h2", "http/1.1"])
        words = ["-v", "--ca", self.authority.file, "--alpn", "spdy,http/1.1"]
        done = run("connect", *words, f"tls:localhost:{peer.port}")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, rb"\nTLSv1\.3, [^\n]*ALPN http/1\.1\n")

    def test_verbose(self):
        peer = self.server()
        done = run("connect", "-v", "--ca", self.authority.file, f"tls:localhost:{peer.port}")
        day = rb"20\d\d-\d\d-\d\d"
        self.assertRegex(done.stderr, rb"\ATrying 127.0.0.1...\nConnected to localhost.\n")
        self.assertRegex(done.stderr, rb"\nTLSv1\.3, TLS_\w+, \w+\n")
        chain = rb"\ncertificate 0: [^\n]*localhost, issued by [^\n]*authority, valid from %s until %s\n"
        self.assertRegex(done.stderr, chain % (day, day))
        self.assertIn(b"\nthe certificate is believed\n", done.stderr)

    def test_hostile_certificates_reach_no_terminal(self):
        hostile = self.authority.issue("\x1b[2Jhost", "DNS:\x1b]0;x\x07")
        peer = self.server(certificate=hostile)
        done = run("connect", "-kv", f"tls:localhost:{peer.port}")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stderr.replace(b"\n", b"").decode().isprintable(), done.stderr)

    def test_json_has_the_certificate(self):
        peer = self.server()
        words = ["--json", "--ca", self.authority.file]
        done = run("connect", *words, f"tls:localhost:{peer.port}", data=b"hello")
        self.check(done)
        told = records.parse(done.stdout.decode())
        records.check_conversations(told)
        self.assertEqual(records.streams(told), (b"hello", b"answer"))
        self.assertEqual(told[0]["protocol"], "tls")
        self.assertIn("tls", told[0])

    def test_an_end_without_a_word_may_be_a_cut(self):
        def serve(connection):
            connection.sendall(b"half of")
            receive(connection, 5)
            connection.detach_and_close()

        def wrap(connection):
            secured = tls_server(self.certificate)(connection)
            secured.__class__ = Abrupt
            return secured

        peer = Peer(self, serve, wrap=wrap)
        side = talk(self, "connect", "-k", f"tls:localhost:{peer.port}")
        side.write(b"hello")
        side.expect(7)
        side.end()
        self.assertEqual(side.wait(), 1)
        side.expect_end()
        self.assertEqual(side.received, b"half of")
        self.assertEqual(side.said.count(b"\n"), 1)

    def test_a_server_that_has_none(self):
        for words in (b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 99):

            def serve(connection, words=words):
                connection.sendall(words)
                receive_all(connection)

            peer = Peer(self, serve)
            done = run("connect", f"tls:localhost:{peer.port}", data=b"secret")
            self.check(done, 1, rb"porthole connect: [^\n]*TLS[^\n]*\n")

    def test_a_server_that_hangs_up(self):
        for end in (lambda connection: None, reset):
            peer = Peer(self, end)
            done = run("connect", f"tls:localhost:{peer.port}", data=b"secret")
            self.check(done, 1, rb"porthole connect: [^\n]+\n")

    def test_files_that_do_not_fit(self):
        other = self.authority.issue("other")
        words = ["--cert", self.certificate[0], "--key", other[1], "tls:localhost:1"]
        done = run("connect", *words)
        self.assertIn(done.returncode, (2, 3))
        self.assertRegex(done.stderr, rb"\Aporthole connect: [^\n]*key[^\n]*\n\Z")


class Abrupt(ssl.SSLSocket):
    """Closes without close_notify."""

    def detach_and_close(self):
        os.close(self.detach())


class ClassCleanup:
    """A class as directory() wants a test."""

    def __init__(self, cls):
        self.addCleanup = cls.addClassCleanup


if __name__ == "__main__":
    unittest.main()

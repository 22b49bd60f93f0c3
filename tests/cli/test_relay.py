#!/usr/bin/python3
"""`relay`: every pair of kinds, ends and resets carried through, many connections, counters, and the end
that waits for those who are there."""

import contextlib
import hashlib
import os
import pathlib
import selectors
import signal
import socket
import ssl
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from talk import PATIENCE
from talk_peers import directory, free_port
from talk_run import (
    SIZE, Authority, Conversation, Listening, Peer, answer, is_silent, own_network,
    receive, receive_all, reset, run, say_and_hear, tls_client, tls_server, wait_until,
    wait_until_confined, was_reset,
)  # fmt: skip

HERE = "127.0.0.1"


def setUpModule():
    own_network()


class Relay(Conversation):
    def relay(self, target, *words, place="0", before=()):
        """From loopback to this target."""
        relay = Listening(self, "relay", *words, place=place, target=[target], before=before)
        self.addCleanup(relay.side.process.kill)  # not to wait for those who are there
        return relay

    def to(self, peer, *words, **others):
        """The same to a Peer of plain TCP."""
        return self.relay(f"{HERE}:{peer.port}", *words, **others)


class Kinds(Relay):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority(directory(ClassCleanup(cls)))
        cls.certificate = cls.authority.issue()

    def target(self, kind, serve):
        """(peer, words) of one who listens."""
        if kind == "unix":
            path = str(directory(self) / "target")
            return Peer(self, serve, path), f"unix:{path}"
        wrap = tls_server(self.certificate) if kind == "tls" else None
        peer = Peer(self, serve, wrap=wrap)
        return peer, f"{kind}:localhost:{peer.port}"

    def test_every_pair_of_streams(self):
        for one in ("tcp", "tls", "unix"):
            for other in ("tcp", "tls", "unix"):
                with self.subTest(f"{one} to {other}"):
                    said, answered = os.urandom(SIZE), os.urandom(SIZE)
                    peer, target = self.target(other, answer(answered))
                    place = f"unix:{directory(self)}/place" if one == "unix" else f"{one}:0"
                    words = ["--ca", self.authority.file] if other == "tls" else []
                    relay = self.relay(target, *words, place=place)
                    client = relay.connect(self)
                    if one == "tls":
                        heard = self.talk_tls(client, said)
                    else:
                        heard = say_and_hear(client, said)
                    self.assert_same(heard, answered)
                    self.assert_same(peer.result(), said)

    def talk_tls(self, client, said):
        """Half-closes TLS, which Python's sockets cannot do by themselves: through BIOs."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # --ca is about clients, too.
        tls = tls_client(certificate=self.certificate).wrap_bio(incoming, outgoing)
        heard = bytearray()

        def step(call):
            while True:
                try:
                    result = call()
                    client.sendall(outgoing.read())
                    return result
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    data = client.recv(65536)
                    if data:
                        incoming.write(data)
                    else:
                        incoming.write_eof()

        def say():
            view = memoryview(said)
            while view:
                view = view[tls.write(view[:16384]) :]
                client.sendall(outgoing.read())

        step(tls.do_handshake)
        say()
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # close_notify; theirs comes later
        client.sendall(outgoing.read())
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while data := step(lambda: tls.read(65536)):
                heard += data
        return bytes(heard)

    def test_datagrams(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((HERE, 0))
            server.settimeout(PATIENCE)
            relay = self.relay(f"udp:{HERE}:{server.getsockname()[1]}", place="udp:0")
            clients = [relay.connect(self, kind=socket.SOCK_DGRAM) for _ in range(3)]
            places = set()
            for size in (1, 0, 512, 1472, 65507):
                for number, client in enumerate(clients):
                    data = bytes([number]) * size
                    client.send(data)
                    heard, place = server.recvfrom(65536)
                    self.assert_same(heard, data)
                    places.add(place)
                    server.sendto(data[::-1] + b"!" * (size < 65507), place)
                    self.assertEqual(len(client.recv(65536)), size + (size < 65507))
            self.assertEqual(len(places), 3)  # each has a conversation of its own

    def test_a_stream_to_datagrams_and_back(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((HERE, 0))
            server.settimeout(PATIENCE)
            relay = self.relay(f"udp:{HERE}:{server.getsockname()[1]}")
            client = relay.connect(self)
            client.sendall(b"hello")
            heard, place = server.recvfrom(100)
            self.assertEqual(heard, b"hello")
            server.sendto(b"answer", place)
            self.assertEqual(receive(client, 6), b"answer")

    def test_datagrams_to_a_stream(self):
        peer = Peer(self, lambda connection: (receive(connection, 6), connection.sendall(b"answer")))
        relay = self.to(peer, place="udp:0")
        client = relay.connect(self, kind=socket.SOCK_DGRAM)
        client.send(b"one")
        client.send(b"two")
        self.assertEqual(client.recv(100), b"answer")

    def test_abstract_names(self):
        peer = Peer(self, answer(b"answer"))
        name = f"@porthole-{os.getpid()}"
        relay = self.to(peer, place=f"unix:{name}")
        self.assertEqual(say_and_hear(relay.connect(self), b"hello"), b"answer")

    def test_ipv6(self):
        peer = Peer(self, answer(b"answer"), "::1")
        relay = self.relay(f"tcp6:[::1]:{peer.port}")
        self.assertEqual(say_and_hear(relay.connect(self, "::1"), b"hello"), b"answer")

    def test_a_certificate_that_is_not_believed(self):
        peer = Peer(self, receive_all, wrap=tls_server(self.certificate))
        relay = self.relay(f"tls:localhost:{peer.port}")
        self.assertTrue(was_reset(lambda: relay.connect(self)))
        relay.side.expect_said("certificate")

    def test_proxy_headers_both_ways(self):
        for version in (1, 2):
            listener = Listening(self, "listen", "--accept-proxy")
            relay = self.relay(f"{HERE}:{listener.port}", "--send-proxy", version)
            client = relay.connect(self)
            client.sendall(b"hello")
            port = client.getsockname()[1]
            listener.side.expect_said(f"Connection received on {HERE} {port}\n")
            listener.side.expect_heard(b"hello")

    def test_proxy_headers_are_handed_on(self):
        listener = Listening(self, "listen", "--accept-proxy")
        relay = self.relay(f"{HERE}:{listener.port}", "--send-proxy=2", "--accept-proxy")
        client = relay.connect(self)
        client.sendall(b"PROXY TCP4 203.0.113.7 203.0.113.8 4321 443\r\nhello")
        listener.side.expect_said("Connection received on 203.0.113.7 4321\n")
        listener.side.expect_heard(b"hello")
        self.assertEqual(listener.side.received, b"hello")


class ClassCleanup:
    """A class as directory() wants a test."""

    def __init__(self, cls):
        self.addCleanup = cls.addClassCleanup


class Ends(Relay):
    def test_the_client_ends_first(self):
        said, answered = os.urandom(SIZE), os.urandom(SIZE)
        peer = Peer(self, answer(answered))
        client = self.to(peer).connect(self)
        self.assert_same(say_and_hear(client, said), answered)
        self.assert_same(peer.result(), said)

    def test_the_target_ends_first(self):
        said, answered = os.urandom(SIZE), os.urandom(SIZE)

        def serve(connection):
            connection.sendall(answered)
            connection.shutdown(socket.SHUT_WR)
            return receive_all(connection)

        peer = Peer(self, serve)
        client = self.to(peer).connect(self)
        self.assert_same(receive_all(client), answered)
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        self.assert_same(peer.result(), said)

    def test_the_client_resets(self):
        seen = threading.Event()

        def serve(connection):
            receive(connection, 5)
            seen.set()
            return was_reset(lambda: connection)

        peer = Peer(self, serve)
        client = self.to(peer).connect(self)
        client.sendall(b"hello")
        seen.wait(PATIENCE)
        reset(client)
        self.assertTrue(peer.result())

    def test_the_target_resets(self):
        answered = os.urandom(100_000)
        got = threading.Event()

        def serve(connection):
            connection.sendall(answered)
            got.wait(PATIENCE)
            reset(connection)

        peer = Peer(self, serve)
        relay = self.to(peer)
        client = relay.connect(self)
        self.assert_same(receive(client, len(answered)), answered)
        got.set()
        self.assertTrue(was_reset(lambda: client))
        relay.side.expect_said("Connection reset by peer\n")

    def test_the_target_refuses(self):
        relay = self.relay(f"{HERE}:{free_port()}")
        self.assertTrue(was_reset(lambda: relay.connect(self)))
        relay.side.expect_said("Connection refused\n")
        self.assertTrue(was_reset(lambda: relay.connect(self)))
        self.assertIsNone(relay.side.process.poll())

    def test_the_target_does_not_answer(self):
        with socket.socket() as full:
            full.bind((HERE, 0))
            full.listen(0)
            with socket.create_connection(full.getsockname()):
                relay = self.relay(f"{HERE}:{full.getsockname()[1]}", "-w", "300ms")
                self.assertTrue(was_reset(lambda: relay.connect(self)))
                relay.side.expect_said("within 300ms")

    def test_silence_is_limited(self):
        peer = Peer(self, receive_all)
        relay = self.to(peer, "--idle-timeout=300ms")
        client = relay.connect(self)
        client.sendall(b"hello")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(receive_all(client), b"")
        self.assertIsNone(relay.side.process.poll())

    def test_a_slow_reader_loses_nothing(self):
        said = os.urandom(8 << 20)
        peer = Peer(self, lambda connection: (connection.sendall(said), receive_all(connection)))
        client = self.to(peer).connect(self)
        self.assertTrue(client.recv(1) == said[:1])
        threading.Event().wait(0.3)
        heard = receive(client, len(said) - 1)
        self.assert_same(said[:1] + heard, said)
        client.close()
        peer.result()


class Echo:
    """A server that says everything again, for any number of clients at once."""

    def __init__(self, test):
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((HERE, 0), backlog=4096)
        self.port = self._listener.getsockname()[1]
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over = False
        self._thread = threading.Thread(target=self._run)
        test.addCleanup(self._stop)
        self._thread.start()

    def _stop(self):
        self._over = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _run(self):
        while not self._over:
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    client, _ = self._listener.accept()
                    self._selector.register(client, selectors.EVENT_READ)
                elif data := key.fileobj.recv(65536):
                    key.fileobj.sendall(data)
                else:
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()


class Many(Relay):
    COUNT = 500

    def test_at_once(self):
        echo = Echo(self)
        relay = self.to(echo)
        clients = [relay.connect(self) for _ in range(self.COUNT)]
        messages = [os.urandom(10_000) for _ in clients]
        for client, message in zip(clients, messages):
            client.sendall(message)
        for client, message in zip(clients, messages):
            client.shutdown(socket.SHUT_WR)
        found = [hashlib.sha256(receive_all(client)).digest() for client in clients]
        self.assertEqual(found, [hashlib.sha256(message).digest() for message in messages])
        relay.side.process.send_signal(signal.SIGUSR1)
        relay.side.expect_said(
            f"{self.COUNT} connections, 0 open, 0 failed; 5,000,000 bytes forth, 5,000,000 back;"
        )

    def test_no_more_than(self):
        echo = Echo(self)
        relay = self.to(echo, "--max-clients=1")
        one, two = relay.connect(self), relay.connect(self)
        one.sendall(b"one")
        self.assertEqual(receive(one, 3), b"one")
        two.sendall(b"two")
        self.assertTrue(is_silent(two))
        one.close()
        self.assertEqual(receive(two, 3), b"two")

    def test_allow_and_deny(self):
        relay = self.to(Echo(self), "--deny", HERE)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(receive_all(relay.connect(self)), b"")
        relay.side.expect_said(f"Connection from {HERE} ")
        six = relay.connect(self, "::1")
        six.sendall(b"hello")
        self.assertEqual(receive(six, 5), b"hello")


class Counters(Relay):
    def test_of_what_is_open(self):
        relay = self.to(Echo(self))
        client = relay.connect(self)
        client.sendall(b"hello")
        self.assertEqual(receive(client, 5), b"hello")
        relay.side.process.send_signal(signal.SIGUSR1)
        relay.side.expect_said("1 connections, 1 open, 0 failed; 5 bytes forth, 5 back;")

    def test_at_the_end(self):
        relay = self.to(Echo(self))
        relay.side.process.send_signal(signal.SIGTERM)
        self.assertEqual(relay.side.wait(), 0)
        relay.side.expect_said("0 connections, 0 open, 0 failed; 0 bytes forth, 0 back;")

    def test_records(self):
        relay = self.to(Echo(self), "--json")
        for words in (b"one", b"three"):
            self.assertEqual(say_and_hear(relay.connect(self), words), words)
        relay.side.process.send_signal(signal.SIGTERM)
        self.assertEqual(relay.side.wait(), 0)
        relay.side.expect_end()
        told = records.parse(relay.side.received.decode())
        records.check_conversations(told)
        ends = {end["connection"]: end for end in records.of_type(told, "end")}
        self.assertEqual((ends[1]["sent"], ends[1]["received"]), (3, 3))
        self.assertEqual((ends[2]["sent"], ends[2]["received"]), (5, 5))
        self.assertEqual(len(records.of_type(told, "listening")), 2)

    def test_records_of_failures(self):
        relay = self.relay(f"{HERE}:{free_port()}", "--json")
        self.assertTrue(was_reset(lambda: relay.connect(self)))
        relay.side.expect_heard(b'"end"')
        relay.side.process.send_signal(signal.SIGTERM)
        self.assertEqual(relay.side.wait(), 0)
        relay.side.expect_end()
        told = records.parse(relay.side.received.decode())
        records.check_conversations(told)
        (end,) = records.of_type(told, "end")
        self.assertEqual((end["outcome"], end["error"]), ("failed", "ECONNREFUSED"))


class Drain(Relay):
    def begin(self, *words):
        """(relay, client, event that lets the target go on, peer, what it says)"""
        said, go = os.urandom(SIZE), threading.Event()

        def serve(connection):
            connection.sendall(said[:1000])
            go.wait(PATIENCE)
            connection.sendall(said[1000:])
            connection.shutdown(socket.SHUT_WR)
            return receive_all(connection)

        peer = Peer(self, serve)
        self.addCleanup(go.set)
        relay = self.to(peer, *words)
        client = relay.connect(self)
        self.assertEqual(receive(client, 1000), said[:1000])
        return relay, client, go, peer, said

    def test_those_who_are_there_end_by_themselves(self):
        relay, client, go, peer, said = self.begin()
        relay.side.process.send_signal(signal.SIGTERM)
        relay.side.expect_said("waiting for 1")
        with self.assertRaises(ConnectionRefusedError):
            relay.connect(self)
        go.set()
        self.assert_same(receive_all(client), said[1000:])
        client.sendall(b"thanks")
        client.close()
        self.assertEqual(peer.result(), b"thanks")
        self.assertEqual(relay.side.wait(), 0)

    def test_a_second_signal_does_not_wait(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            relay, client, go, *_ = self.begin()
            relay.side.process.send_signal(signal.SIGTERM)
            relay.side.expect_said("waiting for 1")
            relay.side.process.send_signal(second)
            self.assertEqual(relay.side.wait(), 128 + second)
            with contextlib.suppress(ConnectionResetError):
                receive_all(client)
            go.set()

    def test_no_longer_than(self):
        relay, client, go, *_ = self.begin("--drain", "0.3")
        relay.side.process.send_signal(signal.SIGTERM)
        self.assertEqual(relay.side.wait(), 143)
        relay.side.expect_said("cut off")
        with contextlib.suppress(ConnectionResetError):
            receive_all(client)
        go.set()

    def test_an_interrupt_does_not_wait(self):
        relay, *_ = self.begin()
        relay.side.process.send_signal(signal.SIGINT)
        self.assertEqual(relay.side.wait(), 130)

    def test_a_unix_socket_is_removed_at_once(self):
        path = directory(self) / "place"
        relay = self.to(Echo(self), place=f"unix:{path}")
        client = relay.connect(self)
        client.sendall(b"hello")
        self.assertEqual(receive(client, 5), b"hello")
        relay.side.process.send_signal(signal.SIGTERM)
        relay.side.expect_said("waiting for 1")
        self.assertFalse(path.exists())
        client.close()
        self.assertEqual(relay.side.wait(), 0)


class Troubles(Relay):
    def test_a_port_in_use(self):
        relay = self.to(Echo(self))
        done = run("relay", relay.port, f"{HERE}:1")
        self.check(done, 3, rb"porthole relay: [^\n]*Address already in use[^\n]*\n")

    def test_few_descriptors(self):
        """More clients than there is room for may be cut off; those who come later are served."""
        echo = Echo(self)
        relay = self.to(echo, before=["prlimit", "--nofile=40:40", "--"])
        clients = []
        for _ in range(40):
            with contextlib.suppress(ConnectionResetError):
                clients.append(relay.connect(self))
        served = 0
        for client in clients:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                client.sendall(b"hello")
                served += receive(client, 5) == b"hello"
        self.assertGreater(served, 5)
        for client in clients:
            client.close()
        wait_until(lambda: self.is_served(relay))

    def is_served(self, relay):
        """Whether there is room again."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client = relay.connect(self)
            client.sendall(b"again")
            return receive(client, 5) == b"again"
        return False

    def test_rights_are_given_up(self):
        relay = self.to(Echo(self))
        wait_until_confined(relay.pid)


if __name__ == "__main__":
    unittest.main()

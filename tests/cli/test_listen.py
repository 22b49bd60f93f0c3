#!/usr/bin/python3
"""`listen`: one client or many, and who may come."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from porthole import PROGRAM
from sockets import listening_ports
from talk import PATIENCE
from talk_peers import directory, free_port
from talk_run import (
    SIZE, Conversation, Listening, is_silent, own_network, receive, receive_all,
    reset, run, say_and_hear, talk, wait_until, wait_until_confined,
)  # fmt: skip
from terminal import Terminal

HERE, THERE = "127.0.0.1", "127.0.0.77"  # of loopback, and not of the default
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


def setUpModule():
    own_network()


class Listen(Conversation):
    def listen(self, *words, place="0"):
        """Listens on loopback unless the words say otherwise."""
        return Listening(self, "listen", *words, place=place)


class OneClient(Listen):
    def test_both_at_once(self):
        said, answered = os.urandom(8 << 20), os.urandom(8 << 20)
        listener = self.listen()
        writer = threading.Thread(
            target=lambda: (listener.side.write(answered), listener.side.end())
        )
        writer.start()
        heard = say_and_hear(listener.connect(self), said)
        writer.join()
        self.assertEqual(listener.side.wait(), 0)
        listener.side.expect_end()
        self.assert_same(heard, answered)
        self.assert_same(listener.side.received, said)

    def test_the_client_may_end_first(self):
        listener = self.listen()
        client = listener.connect(self)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        listener.side.expect(5)
        answered = os.urandom(SIZE)
        writer = threading.Thread(
            target=lambda: (listener.side.write(answered), listener.side.end())
        )
        writer.start()
        self.assert_same(receive_all(client), answered)
        writer.join()
        self.assertEqual(listener.side.wait(), 0)

    def test_we_may_end_first(self):
        listener = self.listen()
        listener.side.write(b"hello")
        listener.side.end()
        client = listener.connect(self)
        self.assertEqual(receive_all(client), b"hello")
        said = os.urandom(SIZE)
        client.sendall(said)
        client.close()
        self.assertEqual(listener.side.wait(), 0)
        listener.side.expect_end()
        self.assert_same(listener.side.received, said)

    def test_another_is_refused(self):
        listener = self.listen()
        client = listener.connect(self)
        client.sendall(b"hello")
        listener.side.expect(5)
        with self.assertRaises(ConnectionRefusedError):
            listener.connect(self)

    def test_a_reset(self):
        listener = self.listen()
        client = listener.connect(self)
        client.sendall(b"hello")
        listener.side.expect(5)
        reset(client)
        self.assertEqual(listener.side.wait(), 1)
        listener.side.expect_said("Connection reset by peer\n")
        self.assertEqual(listener.side.received, b"hello")

    def test_words(self):
        listener = self.listen()
        client = listener.connect(self)
        client.sendall(b"hello")
        listener.side.expect(5)
        port = client.getsockname()[1]
        client.close()
        listener.side.end()
        self.assertEqual(listener.side.wait(), 0)
        listener.side.expect_said("received 5\n")
        self.assertEqual(
            listener.said(),
            f"Listening on 127.0.0.1 {listener.port}\nListening on ::1 {listener.port}\n"
            "Only this machine can reach it; --all opens it to the network\n"
            f"Connection received on 127.0.0.1 {port}\nConnection closed by foreign host.\n"
            "sent 0 bytes, received 5\n",
        )

    def test_silence_is_limited(self):
        listener = self.listen("--idle-timeout=300ms")
        client = listener.connect(self)
        self.assertEqual(receive_all(client), b"")
        self.assertEqual(listener.side.wait(), 1)

    def test_signals(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            for connected in (False, True):
                with self.subTest(number, connected=connected):
                    listener = self.listen()
                    if connected:
                        client = listener.connect(self)
                        listener.side.expect_said("Connection received")
                    listener.side.process.send_signal(number)
                    self.assertEqual(listener.side.wait(), status)
                    if connected:
                        self.assertEqual(receive_all(client), b"")

    def test_a_reader_that_left(self):
        for words in ("", "--keep", "--hex"):
            with self.subTest(words):
                port = free_port()
                script = f'"$0" listen -q {words} {port} | head -c 1 >/dev/null; exit "${{PIPESTATUS[0]}}"'
                with subprocess.Popen(
                    ["bash", "-c", script, PROGRAM], stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                ) as process:  # fmt: skip
                    wait_until(lambda: port in listening_ports(HERE))
                    with socket.create_connection((HERE, port)) as client:
                        with self.assertRaises(OSError):
                            for _ in range(10000):
                                client.sendall(bytes(10000))
                    self.assertEqual(process.stderr.read(), b"")
                self.assertEqual(process.returncode, 141)

    def test_a_reader_of_records_that_left(self):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as stdout:
            self.check(run("listen", "--json", "0", stdout=stdout), 141)

    def test_a_full_disk(self):
        for words in ((), ("--keep",), ("--hex",)):
            with self.subTest(words), open("/dev/full", "wb") as full:
                port = free_port()
                process = subprocess.Popen(
                    [PROGRAM, "listen", "-q", *words, str(port)], stdin=subprocess.DEVNULL,
                    stdout=full, stderr=subprocess.PIPE,
                )  # fmt: skip
                with process:
                    wait_until(lambda: port in listening_ports(HERE))
                    with socket.create_connection((HERE, port)) as client:
                        client.sendall(b"hello")
                        self.assertRegex(
                            process.stderr.read(),
                            rb"\Aporthole listen: [^\n]*No space left on device\n\Z",
                        )
                self.assertEqual(process.returncode, 3)

    def test_a_full_disk_of_the_record(self):
        for words in (["--record", "/dev/full"], ["--keep", "--record", "/dev/full"]):
            done = run("listen", "-q", *words, "0")
            self.check(done, 3, rb"porthole listen: [^\n]*/dev/full[^\n]*No space left[^\n]*\n")

    def test_hex_and_json(self):
        for words in (["--hex"], ["--json"]):
            listener = self.listen(*words)
            client = listener.connect(self)
            client.sendall(b"hello")
            listener.side.expect_heard(b"hello")
            listener.side.write(b"answer")
            self.assertEqual(receive(client, 6), b"answer")
            client.close()
            listener.side.end()
            self.assertEqual(listener.side.wait(), 0)
            listener.side.expect_end()
            text = listener.side.received.decode()
            if words == ["--json"]:
                told = records.parse(text)
                records.check_conversations(told)
                self.assertEqual(records.streams(told), (b"answer", b"hello"))
                self.assertEqual(records.of_type(told, "connection")[0]["role"], "accepted")
            else:
                self.assertIn("< 00000000  68 65 6c 6c 6f ", text)
                self.assertIn("> 00000000  61 6e 73 77 65 72 ", text)


class WhoMayCome(Listen):
    def places(self, port):
        """At which of this machine's addresses it is."""
        return {where for where in (HERE, THERE, "::1") if port in listening_ports(where)}

    def test_only_this_machine(self):
        self.assertEqual(self.places(self.listen().port), {HERE, "::1"})
        self.assertEqual(self.places(self.listen("-4").port), {HERE})
        self.assertEqual(self.places(self.listen("-6").port), {"::1"})
        self.assertEqual(self.places(self.listen(place="tcp6:0").port), {"::1"})

    def test_everybody(self):
        listener = self.listen("--all")
        self.assertEqual(self.places(listener.port), {HERE, THERE, "::1"})
        self.assertNotIn("Only this machine", listener.said())
        listener.connect(self, THERE)
        self.assertEqual(self.places(self.listen("--all", "-4").port), {HERE, THERE})
        self.assertEqual(self.places(self.listen("--all", "-6").port), {"::1"})

    def test_at_an_address(self):
        self.assertEqual(self.places(self.listen("--bind", THERE).port), {THERE})
        self.assertEqual(self.places(self.listen(place=f"{THERE}:0").port), {THERE})
        self.assertEqual(self.places(self.listen("--bind", "::1").port), {"::1"})

    def test_the_kernels_port_is_said(self):
        for words in (["listen", "0"], ["listen", "udp:0"], ["relay", "0", f"{HERE}:1"]):
            side = talk(self, *words)
            side.expect_said(f"Listening on {HERE} ")
            side.stop()

    def test_a_port_in_use(self):
        port = self.listen().port
        done = run("listen", port)
        self.check(done, 3, rb"porthole listen: [^\n]*Address already in use[^\n]*\n")

    @unittest.skipUnless(os.geteuid() == 0, "not root: cannot be somebody else")
    def test_a_port_of_root(self):
        done = subprocess.run([*NOBODY, PROGRAM, "listen", "80"], capture_output=True, check=False)
        self.check(done, 3, rb"porthole listen: [^\n]*80: Permission denied[^\n]*\n")

    def test_allow_and_deny(self):
        listener = self.listen("--all", "--allow", "127.0.0.64/26", "--deny", "127.0.0.78")
        for address, admitted in ((HERE, False), ("127.0.0.78", False), (THERE, True)):
            client = socket.socket()
            self.addCleanup(client.close)
            client.settimeout(PATIENCE)
            client.bind((address, 0))
            client.connect((HERE, listener.port))
            if not admitted:
                with self.subTest(address):
                    try:
                        self.assertEqual(client.recv(1), b"")
                    except ConnectionResetError:
                        pass
                    listener.side.expect_said(f"Connection from {address} ")
        client.sendall(b"hello")
        listener.side.expect_heard(b"hello")

    def test_those_denied_are_told_of(self):
        listener = self.listen("--json", "--deny", "127.0.0.0/8", "--deny", "::/0")
        receive_all(listener.connect(self))
        listener.side.expect_heard(b'"denied"')
        listener.side.process.send_signal(signal.SIGINT)
        self.assertEqual(listener.side.wait(), 130)
        listener.side.expect_end()
        (denied,) = records.of_type(records.parse(listener.side.received.decode()), "denied")
        self.assertIn(HERE, denied["remote"])

    def test_no_more_than(self):
        listener = self.listen("--keep", "--max-clients", "2")
        clients = [listener.connect(self) for _ in range(3)]
        for client in clients:
            client.sendall(b"hello\n")
        listener.side.expect(12)
        time.sleep(0.1)
        self.assertEqual(len(listener.side.received), 12)
        clients[0].close()
        listener.side.expect(18)

    def test_proxy_headers(self):
        signature = b"\r\n\r\n\0\r\nQUIT\n"
        addresses = bytes([203, 0, 113, 7, 203, 0, 113, 8]) + struct.pack(">HH", 4321, 443)
        for header in (
            b"PROXY TCP4 203.0.113.7 203.0.113.8 4321 443\r\n",
            signature + struct.pack(">BBH", 0x21, 0x11, 12) + addresses,
        ):
            for step in (1, len(header)):
                listener = self.listen("--accept-proxy")
                client = listener.connect(self)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for i in range(0, len(header), step):
                    client.sendall(header[i : i + step])
                client.sendall(b"hello")
                listener.side.expect_said("Connection received on 203.0.113.7 4321\n")
                listener.side.expect_heard(b"hello")
                self.assertEqual(listener.side.received, b"hello")

    def test_proxy_headers_that_are_none(self):
        listener = self.listen("--keep", "--accept-proxy")
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"\0" * 200, b""):
            client = listener.connect(self)
            with contextlib.suppress(OSError):  # it is reset
                client.sendall(words)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(receive_all(client), b"")
        client = listener.connect(self)
        client.sendall(b"PROXY UNKNOWN\r\nhello")
        listener.side.expect_heard(b"hello")
        self.assertEqual(listener.side.received, b"hello")

    def inherit(self, given, *words):
        """Runs it with this socket as systemd hands one over."""
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True)\n"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        return subprocess.Popen(
            [sys.executable, "-c", script, str(given.fileno()), PROGRAM, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[given.fileno()],
        )  # fmt: skip

    def test_sockets_of_systemd(self):
        with socket.create_server((HERE, 0)) as given:
            port = given.getsockname()[1]
            process = self.inherit(given, "listen")
        with process:
            with socket.create_connection((HERE, port)) as client:
                client.sendall(b"hello")
            self.assertEqual(process.stdout.read(), b"hello")
        self.assertEqual(process.returncode, 0)

    def test_sockets_of_systemd_are_what_they_are(self):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        ):
            given.bind((HERE, 0))
            peer.sendto(b"hello", given.getsockname())
            with self.inherit(given, "listen", "--json", "--on-eof", "close") as process:
                for record in map(json.loads, process.stdout):
                    self.assertEqual(record.get("protocol", "udp"), "udp", record)
            self.assertEqual(process.returncode, 0)
            for option in ("--tls", "--all", "--bind=127.0.0.1"):
                with self.inherit(given, "listen", option) as process:
                    said = process.stderr.read()
                self.assertEqual(process.returncode, 2, said)
                self.assertIn(b"handed over", said)

    def test_rights_are_given_up(self):
        listener = self.listen()
        wait_until_confined(listener.pid)


class UnixSockets(Listen):
    def test_by_name_and_by_path(self):
        path = directory(self) / "socket"
        for where in (str(path), f"@porthole-{os.getpid()}"):
            for words, place in ((["--unix", where], None), ([], f"unix:{where}")):
                with self.subTest(words, place=place):
                    side = talk(self, "listen", "-v", *words, *([place] if place else []))
                    side.expect_said("Listening on ")
                    said, answered = os.urandom(SIZE), os.urandom(SIZE)
                    writer = threading.Thread(
                        target=lambda side=side, data=answered: (side.write(data), side.end())
                    )
                    writer.start()
                    with socket.socket(socket.AF_UNIX) as client:
                        client.connect("\0" + where[1:] if where[0] == "@" else where)
                        self.assert_same(say_and_hear(client, said), answered)
                    writer.join()
                    self.assertEqual(side.wait(), 0)
                    side.expect_end()
                    self.assert_same(side.received, said)
                    self.assertFalse(path.exists())

    def test_a_stale_one_is_replaced(self):
        path = str(directory(self) / "socket")
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(path)
        side = talk(self, "listen", "-v", "--unix", path)
        side.expect_said("Listening on ")

    def test_what_is_in_the_way_stays(self):
        folder = directory(self)
        (folder / "file").write_text("precious")
        done = run("listen", "--unix", folder / "file")
        self.check(done, 3, rb"porthole listen: cannot listen on unix:[^\n]*no socket[^\n]*\n")
        self.assertEqual((folder / "file").read_text(), "precious")
        side = talk(self, "listen", "-v", "--unix", folder / "socket")
        side.expect_said("Listening on ")
        done = run("listen", "--unix", folder / "socket")
        self.check(done, 3, rb"porthole listen: [^\n]*Address already in use[^\n]*\n")
        self.check(run("listen", "--unix", folder / "none" / "x"), 3, rb"porthole listen: [^\n]+\n")

    def test_a_signal_removes_it(self):
        path = directory(self) / "socket"
        side = talk(self, "listen", "-v", "--unix", path)
        side.expect_said("Listening on ")
        side.process.send_signal(signal.SIGTERM)
        self.assertEqual(side.wait(), 143)
        self.assertFalse(path.exists())


class ManyClients(Listen):
    def test_all_are_heard_and_told(self):
        listener = self.listen("--keep")
        clients = [listener.connect(self) for _ in range(10)]
        for number, client in enumerate(clients):
            client.sendall(f"client {number}\n".encode())
        listener.side.expect(90)
        self.assertEqual(
            sorted(listener.side.received.split(b"\n")),
            sorted([b""] + [f"client {number}".encode() for number in range(10)]),
        )
        listener.side.write(b"to all\n")
        for client in clients:
            self.assertEqual(receive(client, 7), b"to all\n")
        listener.side.end()
        for client in clients:
            self.assertEqual(receive_all(client), b"")
        late = listener.connect(self)
        self.assertEqual(receive_all(late), b"")
        late.sendall(b"late\n")
        listener.side.expect(95)
        listener.side.process.send_signal(signal.SIGINT)
        self.assertEqual(listener.side.wait(), 130)

    def test_nothing_is_lost(self):
        listener = self.listen("--keep")
        line = b"x" * 99 + b"\n"
        senders = [
            threading.Thread(target=listener.connect(self).sendall, args=(line * 20_000,))
            for _ in range(4)
        ]
        for sender in senders:
            sender.start()
        listener.side.expect(8_000_000)
        for sender in senders:
            sender.join()
        self.assertEqual(len(listener.side.received), 8_000_000)
        self.assertEqual(listener.side.received.count(b"x"), 99 * 80_000)

    def test_one_that_fails_is_one(self):
        listener = self.listen("--keep")
        reset(listener.connect(self))
        client = listener.connect(self)
        client.sendall(b"hello")
        listener.side.expect_heard(b"hello")
        reset(client)
        client = listener.connect(self)
        client.sendall(b"again")
        listener.side.expect_heard(b"again")

    def test_records_of_each(self):
        listener = self.listen("--keep", "--json")
        for words in (b"one", b"two"):
            client = listener.connect(self)
            client.sendall(words)
            listener.side.expect_heard(words)
            listener.side.write(b"answer")
            self.assertEqual(receive(client, 6), b"answer")
            client.close()
        wait_until(lambda: listener.side.received.count(b'"end"') == 2)
        listener.side.process.send_signal(signal.SIGINT)
        self.assertEqual(listener.side.wait(), 130)
        listener.side.expect_end()
        told = records.parse(listener.side.received.decode())
        records.check_conversations(told)
        self.assertEqual(records.streams(told, 1), (b"answer", b"one"))
        self.assertEqual(records.streams(told, 2), (b"answer", b"two"))

    def test_broker(self):
        listener = self.listen("--broker")
        clients = [listener.connect(self) for _ in range(3)]
        for client in clients:
            client.sendall(b".")
        for client in clients:
            self.assertEqual(receive(client, 2), b"..")
        said = os.urandom(SIZE)
        heard = [None, None]

        def hear(number):
            heard[number] = receive(clients[number + 1], len(said))

        hearers = [threading.Thread(target=hear, args=(number,)) for number in (0, 1)]
        for hearer in hearers:
            hearer.start()
        clients[0].sendall(said)
        for hearer in hearers:
            hearer.join()
        self.assert_same(heard[0], said)
        self.assert_same(heard[1], said)
        self.assertTrue(is_silent(clients[0]))
        self.assertEqual(listener.side.received, b"")

    def test_chat(self):
        listener = self.listen("--chat")
        one, two = listener.connect(self), listener.connect(self)
        heard = b""
        while b"<user" not in heard:  # until both are there
            two.sendall(b"here\n")
            heard += receive(one, 1)
        one.sendall(b"hello \x1b[2J\n")
        heard = b""
        while b"hello" not in heard or not heard.endswith(b"\n"):
            heard += receive(two, 1)
        self.assertIn(b"<user1> hello", heard)
        self.assertNotIn(b"\x1b", heard)


class OnTerminals(Listen):
    def test_typed_to_one_another(self):
        port = str(free_port())
        with Terminal([PROGRAM, "listen", port]) as one:
            one.wait_for("Only this machine")
            with Terminal([PROGRAM, "connect", "localhost", port]) as two:
                two.wait_for("Connected")
                two.press("hello\n")
                one.wait_for("hello")
                one.press("good evening\n")
                two.wait_for("good evening")
                two.press("\x04")
                self.assertEqual(one.finish(), 0)
                self.assertEqual(two.finish(), 0)
        heard = re.sub(r"on 127.0.0.1 \d+\n(?=hello)", "on 127.0.0.1 PORT\n",
                       one.text.replace("\r\n", "\n"))  # fmt: skip
        self.assertEqual(
            heard,
            f"Listening on 127.0.0.1 {port}\nListening on ::1 {port}\n"
            "Only this machine can reach it; --all opens it to the network\n"
            "Connection received on 127.0.0.1 PORT\nhello\ngood evening\n"
            "Connection closed by foreign host.\n",
        )
        self.assertEqual(
            two.text.replace("\r\n", "\n"),
            "Trying 127.0.0.1...\nConnected to localhost.\nhello\ngood evening\n"
            "Connection closed by foreign host.\n",
        )

    def test_ctrl_c(self):
        with Terminal([PROGRAM, "listen", str(free_port())]) as terminal:
            terminal.wait_for("Only this machine")
            terminal.press("\x03")
            self.assertEqual(terminal.finish(), 130)


if __name__ == "__main__":
    unittest.main()

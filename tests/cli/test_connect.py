#!/usr/bin/python3
"""`connect`: every kind of end, of trouble and of view, with a peer of the test's own."""

import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from porthole import PROGRAM
from talk import PATIENCE
from talk_peers import directory, free_port
from talk_run import (
    SIZE, Conversation, Listening, Peer, answer, is_silent, own_network, receive,
    receive_all, reset, run, say_and_hear, talk, wait_until, wait_until_confined,
)  # fmt: skip
from terminal import Terminal

SIOCOUTQ = 0x5411  # bytes that the other side has not acknowledged, tcp(7)


def setUpModule():
    own_network()


class Ends(Conversation):
    def setUp(self):
        self.said, self.answer = os.urandom(SIZE), os.urandom(SIZE)
        self.peer = Peer(self, answer(self.answer))

    def judge(self, done, said):
        self.check(done)
        self.assert_same(self.peer.result(), said)
        self.assert_same(done.stdout, self.answer)

    def test_of_a_pipe_is_a_half_close(self):
        done = run("connect", "127.0.0.1", self.peer.port, data=self.said)
        self.judge(done, self.said)

    def test_of_a_file_is_one_too(self):
        path = directory(self) / "said"
        path.write_bytes(self.said)
        with open(path, "rb") as said:
            self.judge(run("connect", "127.0.0.1", self.peer.port, stdin=said), self.said)

    def test_goes_on_where_the_file_stands(self):
        path = directory(self) / "said"
        path.write_bytes(self.said)
        with open(path, "rb") as said:
            os.lseek(said.fileno(), 1000, os.SEEK_SET)
            self.judge(run("connect", "127.0.0.1", self.peer.port, stdin=said), self.said[1000:])

    def test_of_nothing_is_one_at_once(self):
        done = run("connect", "127.0.0.1", self.peer.port, stdin=subprocess.DEVNULL)
        self.judge(done, b"")

    def test_of_a_closed_input_is_one_at_once(self):
        words = ["sh", "-c", 'exec "$@" <&-', "sh", PROGRAM, "connect", "127.0.0.1"]
        done = subprocess.run([*words, str(self.peer.port)], capture_output=True, check=False)
        self.judge(done, b"")

    def test_of_a_socket_is_one(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            words = [PROGRAM, "connect", "127.0.0.1", str(self.peer.port)]
            process = subprocess.Popen(words, stdin=theirs, stdout=theirs)
            theirs.close()
            heard = say_and_hear(ours, self.said)
            self.assertEqual(process.wait(PATIENCE), 0)
        self.assert_same(heard, self.answer)
        self.assert_same(self.peer.result(), self.said)

    def test_of_an_output_that_appends(self):
        path = directory(self) / "heard"
        path.write_bytes(b"before")
        with open(path, "ab") as heard:
            done = run("connect", "127.0.0.1", self.peer.port, data=self.said, stdout=heard)
        self.check(done)
        self.assert_same(path.read_bytes(), b"before" + self.answer)


class OtherEnds(Conversation):
    def test_the_peer_may_end_first(self):
        said, answered = os.urandom(SIZE), os.urandom(SIZE)

        def serve(connection):
            connection.sendall(answered)
            connection.shutdown(socket.SHUT_WR)
            return receive_all(connection)

        peer = Peer(self, serve)
        side = talk(self, "connect", "127.0.0.1", peer.port)
        side.expect(len(answered))
        side.write(said)
        side.end()
        self.assertEqual(side.wait(), 0)
        self.assert_same(peer.result(), said)
        self.assert_same(side.received, answered)

    def test_both_at_once(self):
        said, answered = os.urandom(8 << 20), os.urandom(8 << 20)
        peer = Peer(self, lambda connection: say_and_hear(connection, answered))
        done = run("connect", "127.0.0.1", peer.port, data=said)
        self.check(done)
        self.assert_same(done.stdout, answered)
        self.assert_same(peer.result(), said)

    def test_keep_tells_the_peer_nothing(self):
        def serve(connection):
            heard = receive(connection, 5)
            silent = is_silent(connection)
            connection.sendall(b"answer")
            return heard, silent

        peer = Peer(self, serve)
        done = run("connect", "--on-eof", "keep", "127.0.0.1", peer.port, data=b"hello")
        self.check(done)
        self.assertEqual(peer.result(), (b"hello", True))
        self.assertEqual(done.stdout, b"answer")

    def test_close_does_not_wait_for_the_peer(self):
        over = threading.Event()
        said = os.urandom(SIZE)

        def serve(connection):
            heard = receive_all(connection)
            over.wait(PATIENCE)
            return heard

        peer = Peer(self, serve)
        done = run("connect", "--on-eof=close", "127.0.0.1", peer.port, data=said)
        over.set()
        self.check(done)
        self.assert_same(peer.result(), said)

    def test_close_may_wait_a_while_for_answers(self):
        over = threading.Event()

        def serve(connection):
            receive_all(connection)
            connection.sendall(b"answer")
            over.wait(PATIENCE)

        peer = Peer(self, serve)
        done = run("connect", "--on-eof=close=0.5", "127.0.0.1", peer.port, data=b"hello")
        over.set()
        self.check(done)
        self.assertEqual(done.stdout, b"answer")


class Trouble(Conversation):
    def test_nobody_listens(self):
        port = free_port()
        done = run("connect", "127.0.0.1", port)
        refused = b"porthole connect: cannot connect to 127.0.0.1:%d: Connection refused\n"
        self.check(done, 1, refused % port)
        self.assertEqual(done.stdout, b"")

    def test_a_reset_in_the_middle(self):
        def serve(connection):
            receive(connection, 100_000)
            reset(connection)

        peer = Peer(self, serve)
        done = run("connect", "127.0.0.1", peer.port, data=os.urandom(SIZE))
        self.check(done, 1, rb"porthole connect: [^\n]*Connection reset by peer\n")

    def test_an_answer_before_the_reset_is_heard(self):
        answered = os.urandom(50_000)
        heard = threading.Event()

        def serve(connection):
            receive(connection, 1)
            connection.sendall(answered)
            heard.wait(PATIENCE)
            reset(connection)

        peer = Peer(self, serve)
        side = talk(self, "connect", "127.0.0.1", peer.port)
        side.write(os.urandom(1000))
        side.expect(len(answered))
        heard.set()
        self.assertEqual(side.wait(), 1)
        self.assert_same(side.received, answered)
        side.expect_said("Connection reset by peer\n")

    def test_an_answer_and_the_reset_at_once(self):
        answered = os.urandom(20_000)

        def serve(connection):
            receive(connection, 1)
            connection.sendall(answered)
            outgoing = None
            while outgoing != bytes(4):  # until all of it has arrived
                outgoing = fcntl.ioctl(connection, SIOCOUTQ, bytes(4))
            reset(connection)

        peer = Peer(self, serve)
        side = talk(self, "connect", "127.0.0.1", peer.port)
        side.write(b"x")
        self.assertEqual(side.wait(), 1)
        side.expect_end()
        self.assert_same(side.received, answered)

    def test_the_peer_is_killed(self):
        listener = Listening(self, "listen")
        side = talk(self, "connect", "127.0.0.1", listener.port)
        side.write(b"hello")
        listener.side.expect_heard(b"hello")
        os.kill(listener.pid, signal.SIGSTOP)
        threading.Thread(target=side.write, args=(os.urandom(8 << 20),)).start()
        time.sleep(0.2)  # with bytes that it has not read
        os.kill(listener.pid, signal.SIGKILL)
        self.assertEqual(side.wait(), 1, side)
        side.expect_said("Connection reset by peer\n")

    def test_we_are_killed(self):
        peer = Peer(self, receive_all)
        side = talk(self, "connect", "127.0.0.1", peer.port)
        side.write(b"hello")
        peer_has = time.monotonic() + PATIENCE
        while peer.client is None and time.monotonic() < peer_has:
            time.sleep(0.01)
        time.sleep(0.1)
        side.process.kill()
        self.assertEqual(peer.result(), b"hello")

    def test_the_time_to_connect_is_limited(self):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            with socket.create_connection(full.getsockname()):
                done = run("connect", "-w", "0.3", "127.0.0.1", full.getsockname()[1])
        self.check(done, 1, rb"porthole connect: [^\n]*within 300ms[^\n]*\n")

    def test_the_time_for_tls_is_limited(self):
        peer = Peer(self, receive_all)
        done = run("connect", "--tls", "-w", "0.3", "127.0.0.1", peer.port)
        self.check(done, 1, rb"porthole connect: [^\n]*within 300ms[^\n]*\n")

    def test_silence_is_limited(self):
        peer = Peer(self, lambda connection: (connection.sendall(b"hello"), receive_all(connection)))
        words = ["connect", "--idle-timeout", "300ms", "127.0.0.1", peer.port]
        side = talk(self, *words)
        self.assertEqual(side.wait(), 1)
        self.assertEqual(side.received, b"hello")
        side.expect_said("porthole connect: nothing was said for 300")
        peer.result()

    def test_talking_is_no_silence(self):
        def serve(connection):
            for _ in range(8):
                connection.sendall(b"x")
                time.sleep(0.1)

        peer = Peer(self, serve)
        done = run("connect", "--on-eof=keep", "--idle-timeout=400ms", "127.0.0.1", peer.port)
        self.check(done)
        self.assertEqual(done.stdout, b"x" * 8)


class Speeds(Conversation):
    def test_both_directions_are_blocked_at_once(self):
        """Nobody reads before everything stands still; nothing is lost."""
        said, answered = os.urandom(8 << 20), os.urandom(8 << 20)
        stuck = threading.Event()

        def serve(connection):
            speaker = threading.Thread(target=connection.sendall, args=(answered,))
            speaker.start()
            stuck.wait(PATIENCE)
            heard = receive_all(connection)
            speaker.join()
            connection.shutdown(socket.SHUT_WR)
            return heard

        peer = Peer(self, serve)
        words = [PROGRAM, "connect", "127.0.0.1", str(peer.port)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            speaker = threading.Thread(
                target=lambda: (process.stdin.write(said), process.stdin.close())
            )
            speaker.start()
            time.sleep(0.5)
            stuck.set()
            heard = process.stdout.read()
            speaker.join()
        self.assertEqual(process.returncode, 0)
        self.assert_same(heard, answered)
        self.assert_same(peer.result(), said)

    def test_a_coprocess_that_reads_when_it_has_written_all(self):
        said, answered = os.urandom(8 << 20), os.urandom(200_000)
        peer = Peer(self, lambda connection: say_and_hear(connection, answered))
        words = [PROGRAM, "connect", "127.0.0.1", str(peer.port)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(said)
            process.stdin.close()
            heard = process.stdout.read()
        self.assertEqual(process.returncode, 0)
        self.assert_same(heard, answered)
        self.assert_same(peer.result(), said)

    def test_slow_at_both_ends(self):
        said, answered = os.urandom(60_000), os.urandom(60_000)

        def serve(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            speaker = threading.Thread(target=connection.sendall, args=(answered,))
            speaker.start()
            heard = b""
            while block := connection.recv(5000):
                heard += block
                time.sleep(0.002)
            speaker.join()
            return heard

        peer = Peer(self, serve)
        words = [PROGRAM, "connect", "127.0.0.1", str(peer.port)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
            speaker = threading.Thread(
                target=lambda: (process.stdin.write(said), process.stdin.close())
            )
            speaker.start()
            heard = b""
            while block := os.read(process.stdout.fileno(), 5000):
                heard += block
                time.sleep(0.002)
            speaker.join()
        self.assert_same(heard, answered)
        self.assert_same(peer.result(), said)

    def test_single_bytes(self):
        data = os.urandom(5000)

        def serve(connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)):
                connection.sendall(data[i : i + 1])
            connection.shutdown(socket.SHUT_WR)
            return receive_all(connection)

        peer = Peer(self, serve)
        side = talk(self, "connect", "127.0.0.1", peer.port)
        for i in range(len(data)):
            side.write(data[i : i + 1])
        side.end()
        self.assertEqual(side.wait(), 0)
        self.assert_same(side.received, data)
        self.assert_same(peer.result(), data)

    def test_an_interval_loses_nothing(self):
        peer = Peer(self, lambda connection: say_and_hear(connection, b"a" * 100_000))
        done = run("connect", "-i", "50ms", "127.0.0.1", peer.port, data=b"b" * 100_000)
        self.check(done)
        self.assertEqual(done.stdout, b"a" * 100_000)
        self.assertEqual(peer.result(), b"b" * 100_000)


class Signals(Conversation):
    def test_end_it(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(number):
                peer = Peer(self, receive_all)
                side = talk(self, "connect", "127.0.0.1", peer.port)
                side.write(b"hello")
                wait_until(lambda: peer.client)
                time.sleep(0.05)
                side.process.send_signal(number)
                self.assertEqual(side.wait(), status)
                self.assertEqual(peer.result(), b"hello")
                side.expect_end()
                self.assertEqual(side.said, b"")

    def test_end_it_before_it_is_connected(self):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            with socket.create_connection(full.getsockname()):
                side = talk(self, "connect", "-v", "127.0.0.1", full.getsockname()[1])
                side.expect_said("Trying 127.0.0.1...")
                side.process.send_signal(signal.SIGINT)
                self.assertEqual(side.wait(), 130)


class Outputs(Conversation):
    def test_a_reader_that_left(self):
        def pour(connection):  # much more than a pipe may hold
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    connection.sendall(bytes(1 << 20))

        for words in ([], ["--json"], ["--hex"]):
            with self.subTest(words):
                peer = Peer(self, pour)
                script = '"$@" | head -c 1 >/dev/null; echo "${PIPESTATUS[0]}"'
                port = str(peer.port)
                done = subprocess.run(
                    ["bash", "-c", script, "bash", PROGRAM, "connect", *words, "127.0.0.1", port],
                    stdin=subprocess.DEVNULL, capture_output=True, check=False,
                )  # fmt: skip
                self.assertEqual((done.stdout, done.stderr), (b"141\n", b""))

    def test_records_do_not_go_among_what_is_said(self):
        for words in ([], ["--json"], ["--hex"]):
            with self.subTest(words):
                done = run("connect", *words, "--record", "-", "127.0.0.1", free_port())
                self.check(done, 2, rb"porthole connect: standard output has [^\n]*\n")

    def test_a_reader_that_stands_still(self):
        """Who looks at the beginning of a dump and leaves the rest can still end it."""

        def pour(connection):
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(bytes(1 << 16))

        peer = Peer(self, pour)
        with subprocess.Popen(
            [PROGRAM, "connect", "--hex", "127.0.0.1", str(peer.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            process.stdout.read(1 << 20)
            time.sleep(1)  # until as much waits for it as may
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None:
                self.assertLess(time.monotonic(), deadline, "it does not end")
                process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
        self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_a_full_disk(self):
        for words in ([], ["--json"], ["--hex"]):
            with self.subTest(words), open("/dev/full", "wb") as full:
                peer = Peer(self, lambda connection: say_and_hear(connection, os.urandom(SIZE)))
                done = run("connect", *words, "127.0.0.1", peer.port, stdout=full)
                self.check(done, 3, rb"porthole connect: [^\n]*No space left on device\n")

    def test_a_full_disk_of_the_record(self):
        peer = Peer(self, lambda connection: say_and_hear(connection, os.urandom(SIZE)))
        done = run("connect", "--record", "/dev/full", "127.0.0.1", peer.port)
        self.check(done, 3, rb"porthole connect: [^\n]*/dev/full[^\n]*: No space left on device\n")

    def test_what_the_shell_shares_stays_as_it_was(self):
        ours, theirs = socket.socketpair()
        pipe_out, pipe_in = os.pipe()
        with ours, theirs, open(pipe_out, "rb"), open(pipe_in, "wb") as stdout:
            before = [fcntl.fcntl(file, fcntl.F_GETFL) for file in (theirs, stdout)]
            peer = Peer(self, lambda connection: say_and_hear(connection, b"x" * 10000))
            words = [PROGRAM, "connect", "127.0.0.1", str(peer.port)]
            with subprocess.Popen(words, stdin=theirs, stdout=stdout) as process:
                ours.sendall(b"hello")
                wait_until(lambda: peer.client)
                time.sleep(0.1)
                during = [fcntl.fcntl(file, fcntl.F_GETFL) for file in (theirs, stdout)]
                ours.close()
            after = [fcntl.fcntl(file, fcntl.F_GETFL) for file in (theirs, stdout)]
            self.assertEqual(process.returncode, 0)
        self.assertEqual((during, after), (before, before))


class Words(Conversation):
    def test_verbose(self):
        peer = Peer(self, answer(b"answer"))
        done = run("connect", "-v", "localhost", peer.port, data=b"hello")
        self.assertEqual(
            done.stderr.decode(),
            "Trying 127.0.0.1...\nConnected to localhost.\nConnection closed by foreign host.\n"
            "sent 5 bytes, received 6\n",
        )

    def test_hostile_names_reach_no_terminal(self):
        done = run("connect", "-v", "\x1b[2Jhost", 80)
        self.assertEqual(done.returncode, 2)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_rights_are_given_up(self):
        peer = Peer(self, receive_all)
        side = talk(self, "connect", "127.0.0.1", peer.port)
        wait_until(lambda: peer.client)
        wait_until_confined(side.process.pid)

    def test_on_a_terminal(self):
        def serve(connection):
            connection.sendall(b"welcome\n")
            heard = receive(connection, 6)
            connection.sendall(b"bye\n")
            return heard

        peer = Peer(self, serve)
        with Terminal([PROGRAM, "connect", "localhost", str(peer.port)]) as terminal:
            terminal.wait_for("welcome")
            terminal.press("hello\n")
            self.assertEqual(terminal.finish(), 0)
        self.assertEqual(
            terminal.text.replace("\r\n", "\n"),
            "Trying 127.0.0.1...\nConnected to localhost.\nwelcome\nhello\nbye\n"
            "Connection closed by foreign host.\n",
        )
        self.assertEqual(peer.result(), b"hello\n")

    def test_ctrl_d_on_a_terminal(self):
        peer = Peer(self, answer(b"answer\n"))
        with Terminal([PROGRAM, "connect", "localhost", str(peer.port)]) as terminal:
            terminal.wait_for("Connected")
            terminal.press("hello\n\x04")
            self.assertEqual(terminal.finish(), 0)
        self.assertIn("answer", terminal.text)
        self.assertEqual(peer.result(), b"hello\n")

    def test_ctrl_c_on_a_terminal(self):
        peer = Peer(self, receive_all)
        with Terminal([PROGRAM, "connect", "localhost", str(peer.port)]) as terminal:
            terminal.wait_for("Connected")
            terminal.press("\x03")
            self.assertEqual(terminal.finish(), 130)
        self.assertEqual(peer.result(), b"")


if __name__ == "__main__":
    unittest.main()

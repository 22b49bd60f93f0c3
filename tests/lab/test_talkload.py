"""talkload and cost (tests/lab): that what measures others counts right, and notices what is wrong."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAM = str(pathlib.Path(os.environ["PORTHOLE_BUILD"], "tests", "lab", "talkload"))
COST = str(pathlib.Path(PROGRAM).with_name("cost"))
PATIENCE = 60
SIZE = 10_000_001  # bytes: more than the sequence is long


def run(*words, **options):
    """A talkload that has ended."""
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, timeout=PATIENCE, **options)


def free_port():
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A talkload that listens, while a `with` lasts."""

    def __init__(self, mode, *words):
        self.port = free_port()
        self.words = [PROGRAM, mode, str(self.port), *map(str, words)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while True:  # a sink would count who only asks whether it listens
            name = f":{self.port:04X} 00000000:0000 0A"
            if name in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii"):
                return self
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stderr.read())

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def said(self):
        """Its exit status and what it printed."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output, errors


def send(port, data):
    """Sends bytes, which the receiver need not take."""
    with socket.create_connection(("127.0.0.1", port)) as sender:
        try:
            sender.sendall(data)
        except OSError:
            pass


class Bytes(unittest.TestCase):
    def setUp(self):
        self.bytes = run("fill", "--bytes", SIZE, "--copy").stdout

    def test_fill_gives_the_same_bytes_by_copy_and_by_reference(self):
        self.assertEqual(len(self.bytes), SIZE)
        self.assertEqual(run("fill", "--bytes", SIZE).stdout, self.bytes)

    def test_drain_takes_the_right_bytes(self):
        done = run("drain", "--verify", "--bytes", SIZE, input=self.bytes)
        self.assertEqual((done.returncode, json.loads(done.stderr)["bytes"]), (0, SIZE))

    def test_drain_notices_a_wrong_byte_a_missing_one_and_a_moved_block(self):
        block = 65536
        for wrong in (
            self.bytes[:-1] + bytes([self.bytes[-1] ^ 1]),
            self.bytes[:-1],
            self.bytes[block : 2 * block] + self.bytes[:block] + self.bytes[2 * block :],
        ):
            done = run("drain", "--verify", "--bytes", SIZE, input=wrong)
            self.assertEqual(done.returncode, 1, done.stderr)

    def test_source_and_sink_agree(self):
        for more in ([], ["--copy"], ["--parallel", 5]):
            both = ["--bytes", SIZE, *[word for word in more if word != "--copy"]]
            with Server("sink", "--verify", *both) as sink:
                source = run("source", sink.port, *both, *more)
                status, output, errors = sink.said()
            self.assertEqual((source.returncode, status), (0, 0), errors)
            self.assertEqual(json.loads(output)["bytes"], SIZE)

    def test_sink_notices_wrong_and_missing_bytes(self):
        for wrong in (self.bytes[1:] + b"x", self.bytes[:-1]):
            with Server("sink", "--verify", "--bytes", SIZE) as sink:
                send(sink.port, wrong)
                self.assertEqual(sink.said()[0], 1)


class Ports(unittest.TestCase):
    def test_listen_listens_on_each_until_its_input_ends(self):
        first, count = 42000, 40
        with subprocess.Popen(
            [PROGRAM, "listen", str(first), "--count", str(count), "--address", "127.0.0.77"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            self.assertEqual(json.loads(process.stdout.readline()), {"listening": count})
            for port in range(first, first + count):
                socket.create_connection(("127.0.0.77", port)).close()
            process.stdin.close()
            self.assertEqual(process.wait(PATIENCE), 0)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.77", first))

    def test_listen_knows_that_ports_end(self):
        done = run("listen", 65535, "--count", 2, stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stdout), (1, b""))


class Cost(unittest.TestCase):
    def cost(self, *words):
        """(Its exit status, what it printed, what it said of the cost)."""
        with tempfile.TemporaryFile("w+", encoding="ascii") as report:
            done = subprocess.run(
                ["sh", "-c", 'exec "$@" 3>&$0', str(report.fileno()), COST, *words],
                pass_fds=[report.fileno()], capture_output=True, text=True, timeout=PATIENCE,
            )  # fmt: skip
            report.seek(0)
            text = report.read()
        return done.returncode, done.stdout, json.loads(text) if text else None

    def test_a_program_keeps_its_streams_and_its_status(self):
        status, output, cost = self.cost("sh", "-c", "echo said; exit 7")
        self.assertEqual((status, output), (7, "said\n"))
        self.assertGreater(cost["wall_ns"], 0)
        status, _, _ = self.cost("sh", "-c", "kill -TERM $$")
        self.assertEqual(status, 128 + 15)

    def test_memory_is_that_of_the_program_alone(self):
        ballast = bytearray(b"x" * (64 << 20))  # which this process has
        _, _, small = self.cost("true")
        _, _, large = self.cost(sys.executable, "-c", "len(b'x' * (48 << 20))")
        self.assertEqual(len(ballast), 64 << 20)
        self.assertLess(small["memory"], 16 << 20)
        self.assertGreater(large["memory"], 48 << 20)

    def test_what_cannot_be_started_is_told(self):
        status, output, _ = self.cost("/nonexistent")
        self.assertEqual((status, output), (126, ""))


class Connections(unittest.TestCase):
    def test_ping_counts_what_was_echoed(self):
        with Server("echo") as echo:
            done = json.loads(run("ping", echo.port, "--count", 500, "--parallel", 7).stdout)
        self.assertEqual((done["done"], done["failed"]), (500, 0))

    def test_ping_counts_what_was_refused(self):
        done = json.loads(run("ping", free_port(), "--count", 20).stdout)
        self.assertEqual((done["done"], done["failed"]), (0, 20))

    def test_hold_sees_whether_all_stay_alive(self):
        with Server("echo") as echo:
            lines = run("hold", echo.port, "--count", 300, stdin=subprocess.DEVNULL).stdout
        opened, alive = map(json.loads, lines.splitlines())
        self.assertEqual((opened["open"], alive["alive"]), (300, 300))

    def test_hold_sees_who_died(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=self._echo_once, args=(server,), daemon=True).start()
            done = run("hold", server.getsockname()[1], "--count", 2, stdin=subprocess.DEVNULL)
        opened, alive = map(json.loads, done.stdout.splitlines())
        self.assertEqual((opened["open"], alive["alive"]), (2, 1))

    @staticmethod
    def _echo_once(server):
        """Echoes once for each of two, and then only for the first."""
        peers = [server.accept()[0] for _ in range(2)]
        for peer in peers:
            peer.sendall(peer.recv(100, socket.MSG_WAITALL))
        peers[1].close()
        peers[0].sendall(peers[0].recv(100, socket.MSG_WAITALL))
        peers[0].recv(1)
        peers[0].close()

    def test_only_loopback_is_taken(self):
        for address in ("192.0.2.1", "::2", "localhost"):
            self.assertEqual(run("ping", 9, "--address", address).returncode, 2)


if __name__ == "__main__":
    unittest.main()

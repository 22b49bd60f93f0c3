"""porthole scan where something is missing: readers, room, rights, descriptors, ephemeral ports. It
says what, in one line, and never invents a state."""

import contextlib
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need, wire
from porthole import PROGRAM, Records, command, run, scan, start
from sockets import listen, port_of

SIGPIPE = 141
NOBODY = 65534


class FaultTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))

    def expect(self, done, status, stderr):
        """A run that says exactly this and nothing else."""
        self.assertEqual(done.stderr, stderr)
        self.assertEqual(done.returncode, status)

    def shell(self, script, *words, **others):
        """Runs a shell script in which "$@" is a scan of these words."""
        return subprocess.run(
            ["sh", "-c", script, "sh", *command("scan", *words)],
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=300, **others,
        )  # fmt: skip


class Output(FaultTest):
    EVERYTHING = ["--json", "-p", "0-65535", "127.0.0.1"]

    def test_a_reader_that_goes_away(self):
        with start("scan", *self.EVERYTHING) as process:
            process.stdout.readline()
            process.stdout.close()
            process.wait()
            self.assertEqual((process.returncode, process.stderr.read()), (SIGPIPE, ""))

    def test_a_reader_that_was_never_there(self):
        for words in (["--json"], ["--csv"], ["--xml"], ["--grep"], []):
            with self.subTest(words):
                reader, writer = os.pipe()
                os.close(reader)
                done = run("scan", *words, "-p", "1-100", "127.0.0.1", stdout=writer)
                os.close(writer)
                self.expect(done, SIGPIPE, "")

    def test_a_full_disk(self):
        fault = "cannot write standard output: No space left on device\n"
        for words in (["--json"], ["--csv"], ["--xml"], ["--grep"], []):
            with self.subTest(words), open("/dev/full", "w", encoding="ascii") as full:
                done = run("scan", *words, "-p", "1-100", "127.0.0.1", stdout=full)
                self.expect(done, 3, f"porthole scan: {fault}")
        for words in (["--list", "127.0.0.1"], ["--list-ports"]):
            with self.subTest(words), open("/dev/full", "w", encoding="ascii") as full:
                self.expect(run("scan", *words, stdout=full), 3, f"porthole scan: {fault}")
        done = run("scan", "-o", "json:/dev/full", "-p", "1-100", "127.0.0.1")
        self.expect(
            done, 3, "porthole scan: cannot write '/dev/full': No space left on device\n"
        )

    @need("unshare", "mount")
    def test_a_disk_that_fills_up(self):
        """The file under the final name is never a half one, and the line names it."""
        script = ('mount -t tmpfs -o size=16k none "$0" && cd "$0" && echo old >a.xml && "$@"; '
                  "status=$?; cat a.xml; exit $status")  # fmt: skip
        words = ["-o", "a.xml", "-v", "-v", "-p", "1-2000", "127.0.0.1"]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, self.directory, *command("scan", *words)],
            capture_output=True, encoding="utf-8", timeout=60,
        )  # fmt: skip
        self.expect(done, 3, "porthole scan: cannot write 'a.xml': No space left on device\n")
        self.assertEqual(done.stdout.splitlines()[-1], "old")

    @need("unshare", "mount")
    def test_a_checkpoint_without_room(self):
        script = 'mount -t tmpfs -o size=8k none "$0" && cd "$0" && exec "$@"'
        words = ["--checkpoint", "c", "-p", "1-65535", "--rate", "20k", "127.0.0.1"]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, self.directory, *command("scan", *words)],
            capture_output=True, encoding="utf-8", timeout=60,
        )  # fmt: skip
        fault = "cannot write the checkpoint 'c': No space left on device"
        self.expect(done, 3, f"porthole scan: {fault}\n")

    def test_closed_descriptors(self):
        """Sockets must not take their numbers, or results would be sent to somebody's server."""
        listener = self.stack.enter_context(listen("127.0.0.1"))
        words = ["--json", "-p", f"{port_of(listener)},1-50", "127.0.0.1"]
        done = self.shell('"$@" >&-', *words)
        self.expect(done, 2, "porthole scan: standard output is closed\n")
        for script in ('"$@" <&-', '"$@" 2>&-', '"$@" <&- 2>&-'):
            with self.subTest(script):
                done = self.shell(script, *words)
                self.expect(done, 0, "")
                self.assertEqual(Records(done.stdout).open("127.0.0.1"), {port_of(listener)})
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                with connection, contextlib.suppress(ConnectionError, BlockingIOError):
                    self.assertEqual(connection.recv(100), b"", "something was sent to the port")

    def test_a_slow_reader_loses_nothing(self):
        generator = random.Random(1)
        with start("scan", *self.EVERYTHING, encoding=None) as process:
            time.sleep(1)
            text = b""
            while part := process.stdout.read(generator.randrange(1, 300000)):
                text += part
                time.sleep(0.01)
            self.assertEqual((process.wait(), process.stderr.read()), (0, b""))
        self.assertEqual(len(Records(text.decode()).of("port")), 65536)

    def test_a_directory_that_is_not_there(self):
        done = run("scan", "-o", "/nowhere/at/all.json", "-p", "1", "127.0.0.1")
        self.expect(
            done, 2,
            "porthole scan: cannot open '/nowhere/at/all.json' for writing: "
            "No such file or directory\n",
        )  # fmt: skip


class Input(FaultTest):
    @unittest.skipUnless(os.geteuid() == 0, "not root: cannot become nobody")
    def test_files_that_may_not_be_read(self):
        secret = pathlib.Path(self.directory, "secret")
        secret.write_text("127.0.0.1\n", encoding="ascii")
        secret.chmod(0o600)
        os.chmod(self.directory, 0o755)
        # The program itself may lie where nobody may not go.
        program = self.stack.enter_context(open(PROGRAM, "rb"))
        for option in ("--target-file", "--exclude-file", "--resume"):
            with self.subTest(option):
                words = [option, str(secret)] + (["127.0.0.1"] if "exclude" in option else [])
                done = subprocess.run(
                    [f"/proc/self/fd/{program.fileno()}", "scan", *words],
                    capture_output=True, encoding="utf-8", timeout=60,
                    user=NOBODY, group=NOBODY, extra_groups=[], pass_fds=[program.fileno()],
                )  # fmt: skip
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertEqual(
                    done.stderr, f"porthole scan: cannot open '{secret}': Permission denied\n"
                )

    @unittest.skipUnless(os.geteuid() == 0, "not root: cannot become nobody")
    def test_places_that_may_not_be_written(self):
        os.chmod(self.directory, 0o755)
        program = self.stack.enter_context(open(PROGRAM, "rb"))
        for words in (["-o", "out.xml"], ["-o", "out.csv"], ["--checkpoint", "out"]):
            with self.subTest(words):
                path = f"{self.directory}/{words[1]}"
                done = subprocess.run(
                    [f"/proc/self/fd/{program.fileno()}", "scan", "-sT", words[0], path, "-p", "1",
                     "127.0.0.1"],
                    capture_output=True, encoding="utf-8", timeout=60,
                    user=NOBODY, group=NOBODY, extra_groups=[], pass_fds=[program.fileno()],
                )  # fmt: skip
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(
                    done.stderr, rf"\Aporthole scan: cannot .* '{path}'.*: Permission denied\n\Z"
                )


class Descriptors(FaultTest):
    def test_few(self):
        """Twenty descriptors and many silent ports, so that all of them are wanted at once."""
        with contextlib.ExitStack() as stack:
            ports = {port_of(stack.enter_context(listen("127.0.0.1"))) for _ in range(9)}
            # A full backlog of one makes a silent port.
            silent = stack.enter_context(listen("127.0.0.1", backlog=0))
            for _ in range(3):
                client = stack.enter_context(contextlib.closing(make_client(silent)))
                self.assertIsNotNone(client)
            asked = ",".join(str(port) for port in ("1-1000", *ports, port_of(silent)))
            words = ["--json", "--timeout", "100ms", "--tries", "2", "127.0.0.1", "-p", asked]
            expected = run("scan", *words)
            self.assertEqual(Records(expected.stdout).open("127.0.0.1"), ports)
            for limit in (20, 12):
                with self.subTest(limit=limit):
                    done = self.shell(f'ulimit -n {limit} && exec "$@"', *words)
                    self.expect(done, 0, "")
                    self.assertEqual(
                        Records(done.stdout).states(), Records(expected.stdout).states()
                    )

    def test_too_few_to_begin(self):
        for limit in range(3, 9):
            with self.subTest(limit=limit):
                done = self.shell(f'ulimit -n {limit} && exec "$@"', "--json", "-p", "1-20",
                                  "127.0.0.1")  # fmt: skip
                if done.returncode == 0:
                    self.assertEqual(Records(done.stdout).summary["closed"], 20)
                elif done.returncode in (2, 3):
                    self.assertRegex(done.stderr, r"(?i)\Aporthole scan: .*open files.*\n\Z")
                else:  # the loader itself found none
                    self.assertEqual(done.returncode, 127)


def make_client(listener):
    """A connection, perhaps an unfinished one, that takes a place in the listener's backlog."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    return client


@need("ip", "nsenter", "nft")
class EphemeralPorts(FaultTest):
    """With one or two source ports for everything, whatever cannot be asked now is asked later."""

    def setUp(self):
        super().setUp()
        self.here, self.there = Namespace(self), Namespace(self)
        wire(self.here, ["198.18.0.1/24", "fd00::1/64"],
             self.there, ["198.18.0.2/24", "fd00::2/64"])  # fmt: skip

    def listen(self, namespace, ports):
        """Listeners of both families until the test's end."""
        with namespace.entered():
            for port in ports:
                self.stack.enter_context(listen("::", port, dual=True))

    def expect_states(self, address, ports, namespace):
        """All of 1 to 300 on an address."""
        records = scan("-p", "1-300", address, namespace=namespace)
        self.assertEqual(
            records.states(),
            {(address, port): ("open", "syn-ack", None) if port in ports
             else ("closed", "conn-refused", None) for port in range(1, 301)},
        )  # fmt: skip

    def test_of_the_network(self):
        self.listen(self.there, range(7, 300, 31))
        for ports in ("50000 50000", "50000 50001"):
            self.here.sysctl("ipv4/ip_local_port_range", ports)
            for address in ("198.18.0.2", "fd00::2"):
                with self.subTest(ports=ports, address=address):
                    self.expect_states(address, range(7, 300, 31), self.here)

    def test_of_this_machine(self):
        self.listen(self.here, range(7, 300, 31))
        for ports in ("50000 50000", "50000 50001"):
            self.here.sysctl("ipv4/ip_local_port_range", ports)
            for address in ("127.0.0.1", "::1", "198.18.0.1", "fd00::1"):
                with self.subTest(ports=ports, address=address):
                    self.expect_states(address, range(7, 300, 31), self.here)

    def test_all_of_them_taken(self):
        """Connections of others hold every source port towards one port: that one cannot be asked,
        the others can."""
        self.listen(self.there, [100, 101])
        self.here.sysctl("ipv4/ip_local_port_range", "50000 50001")
        with self.here.entered():
            for _ in range(2):
                client = self.stack.enter_context(socket.socket())
                client.connect(("198.18.0.2", 100))
        records = scan("-p", "1-200", "198.18.0.2", namespace=self.here, status=1)
        self.assertEqual(records.open("198.18.0.2"), {101})
        self.assertEqual(records.summary["closed"], 198)
        (error,) = records.of("error")
        self.assertEqual((error["port"], error["error"]), (100, "EADDRNOTAVAIL"))
        self.assertIn("ephemeral port", error["advice"])

    def test_no_address_to_speak_from(self):
        self.here.sysctl("ipv6/conf/all/disable_ipv6", 1)
        records = scan("-p", "1-200", "fd00::2", "198.18.0.2", namespace=self.here, status=1)
        self.assertEqual(records.summary["closed"], 200)
        self.assertEqual(records.summary["errors"], 200)
        self.assertEqual({error["address"] for error in records.of("error")}, {"fd00::2"})


if __name__ == "__main__":
    unittest.main()

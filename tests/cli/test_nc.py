"""porthole nc: what OpenBSD's netcat and ncat do, by their flags, beside the two themselves."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need
from porthole import PROGRAM, ROOT
from talk import Side, converse, read, read_all, take_turns
from talk_peers import (
    NCAT, NETCAT, Manner, Microsocks, NcatProxy, Place, Talker, directory, free_port,
)  # fmt: skip

PATIENCE = 60  # seconds
SIZE = 3 << 20


class Nc(Talker):
    """The program under test, by the words that OpenBSD's nc would be given."""

    name = "porthole nc"
    kinds = ("tcp", "tcp6", "udp", "udp6", "unix")

    def listen(self, place):
        return [PROGRAM, "nc", *NETCAT.listen(place)[1:]]

    def connect(self, place):
        return [PROGRAM, "nc", *NETCAT.connect(place)[1:]]

    def manner(self, kind, role):
        return NETCAT.manner(kind, role)


class NcTest(unittest.TestCase):
    """In a network of its own where that can be had: other tests scan loopback."""

    maxDiff = None

    def setUp(self):
        self.namespace = Namespace(self) if os.geteuid() == 0 else None
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def entered(self):
        """A context in which new sockets are in that network."""
        return self.namespace.entered() if self.namespace else contextlib.nullcontext()

    def place(self, kind="tcp"):
        """Somewhere to meet."""
        return Place(self, kind, self.namespace)

    def nc(self, *words):
        """porthole nc, running."""
        words = [str(word) for word in words]
        return Side(self, " ".join(["nc", *words]), [PROGRAM, "nc", *words], self.namespace)

    def run_nc(self, *words, program=(PROGRAM, "nc"), environment=None):
        """To its end: a process."""
        prefix = self.namespace.prefix if self.namespace else []
        return subprocess.run(
            [*prefix, *program, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE, check=False, env={**os.environ, **(environment or {})},
        )  # fmt: skip

    def port(self, *words, backlog=8):
        """A listening socket of the test's own, and nc that connects to it."""
        with self.entered():
            listener = self.stack.enter_context(
                socket.create_server(("127.0.0.1", 0), backlog=backlog)
            )
        side = self.nc(*words, "127.0.0.1", listener.getsockname()[1])
        listener.settimeout(PATIENCE)
        peer = self.stack.enter_context(listener.accept()[0])
        peer.settimeout(PATIENCE)
        return side, peer

    def client(self, place):
        """A socket of the test's own that is connected there."""
        with self.entered():
            peer = socket.create_connection((place.host, int(place.port)), PATIENCE)
        return self.stack.enter_context(peer)

    def listening(self, *words, place=None):
        """nc that listens, and a socket that is connected to it."""
        place = place or self.place()
        side = self.nc("-l", *words, place.host, place.port)
        place.wait(side.process)
        return side, self.client(place)

    def refused(self, *words, sentence):
        """A wrong command line."""
        done = self.run_nc(*words)
        self.assertEqual((done.stdout, done.returncode), ("", 2), done.stderr)
        self.assertIn(sentence, done.stderr)


class BesideTheOthers(NcTest):
    """In both roles with each of them, and with itself."""

    def check(self, kind, listener, connector):
        """3 MiB each way at once."""
        with self.subTest(kind=kind, listener=listener.name, connector=connector.name):
            place = self.place(kind)
            one = Side(self, listener.name, listener.listen(place), self.namespace)
            place.wait(one.process)
            other = Side(self, connector.name, connector.connect(place), self.namespace)
            if kind.startswith("udp"):
                take_turns(other, one, [os.urandom(size) for size in (1, 1000, 4000)])
            else:
                manners = listener.manner(kind, "listen"), connector.manner(kind, "connect")
                statuses = converse(one, os.urandom(SIZE), other, os.urandom(SIZE), *manners)
                self.assertEqual(statuses, (0, 0), f"{one}; {other}")
            for side in (one, other):
                side.stop()

    @need("ip", "nsenter", "ss", "nc.openbsd", root=False)
    def test_openbsds(self):
        for kind in Nc.kinds:
            self.check(kind, Nc(), NETCAT)
            self.check(kind, NETCAT, Nc())

    @need("ip", "nsenter", "ss", "ncat", root=False)
    def test_ncat(self):
        for kind in Nc.kinds:
            self.check(kind, Nc(), NCAT)
            self.check(kind, NCAT, Nc())

    @need("ip", "nsenter", "ss", root=False)
    def test_itself(self):
        for kind in Nc.kinds:
            self.check(kind, Nc(), Nc())


@need("ip", "nsenter", "ss", root=False)
class Ends(NcTest):
    """The table of docs/nc.md: what the end of input means, and the other side's."""

    def hears_after_its_end(self, side, peer, told):
        """Its input ends; `told`: the other side sees that. What comes later is still written."""
        side.write(b"first")
        side.end()
        self.assertEqual(read_all(peer) if told else read(peer, 5), b"first")
        peer.sendall(b"late")
        side.expect_heard(b"late")
        if not told:
            peer.setblocking(False)
            with self.assertRaises(BlockingIOError):
                peer.recv(1)
            peer.setblocking(True)
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(side.wait(), 0, str(side))
        self.assertEqual(read_all(peer), b"")

    def test_connecting_it_tells_with_N_alone(self):
        for words, told in (
            ([], False),
            (["--no-shutdown"], False),
            (["-q", "-1"], False),
            (["-N"], True),
            (["-q", "1000"], True),
        ):
            with self.subTest(words=words):
                self.hears_after_its_end(*self.port(*words), told)

    def test_listening_it_tells_with_N_alone(self):
        for words, told in (([], False), (["-N"], True), (["-q", "1000"], True)):
            with self.subTest(words=words):
                self.hears_after_its_end(*self.listening(*words), told)

    def test_connecting_it_goes_on_after_the_others_end(self):
        for words in ([], ["-N"], ["-q", "1"], ["--send-only"]):
            with self.subTest(words=words):
                side, peer = self.port(*words)
                peer.sendall(b"heard")
                peer.shutdown(socket.SHUT_WR)
                if "--send-only" not in words:
                    side.expect_heard(b"heard")
                side.write(b"late")
                self.assertEqual(read(peer, 4), b"late")
                side.end()
                self.assertEqual(side.wait(), 0, str(side))
                self.assertEqual(read_all(peer), b"")

    def test_listening_it_ends_with_the_client(self):
        for words in ([], ["-N"], ["-q", "0"], ["-d"]):
            with self.subTest(words=words):
                side, peer = self.listening(*words)
                peer.sendall(b"heard")
                peer.shutdown(socket.SHUT_WR)
                self.assertEqual(side.wait(), 0, str(side))
                self.assertEqual(bytes(side.received), b"heard")
                self.assertEqual(read_all(peer), b"")

    def test_q_ends_by_itself(self):
        for make in (self.port, self.listening):
            for time in ("0", "0.2", "100ms"):
                side, peer = make("-q", time)
                side.write(b"all")
                side.end()
                self.assertEqual(side.wait(), 0, str(side))
                self.assertEqual(read_all(peer), b"all")

    def test_d_reads_nothing(self):
        for flag in ("-d", "--recv-only"):
            side, peer = self.port(flag)
            side.write(b"not this")
            peer.sendall(b"heard")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(side.wait(), 0, str(side))
            self.assertEqual(bytes(side.received), b"heard")
            self.assertEqual(read_all(peer), b"")

    def test_send_only(self):
        for make in (self.port, self.listening):
            side, peer = make("--send-only")
            peer.sendall(b"not this")
            side.write(b"all")
            self.assertEqual(read(peer, 3), b"all")
            side.end()
            self.assertEqual(side.wait(), 0, str(side))
            self.assertEqual(bytes(side.received), b"")

    def test_silence(self):
        for words, status in ((["-w", "0.2"], 0), (["--idle-timeout", "200ms"], 1)):
            for make in (self.port, self.listening):
                side, peer = make(*words)
                self.assertEqual(side.wait(), status, str(side))
                self.assertEqual(read_all(peer), b"")
                said = b"nothing was said" in side.said
                self.assertEqual(said, bool(status), str(side))

    def test_a_reset_is_a_failure(self):
        side, peer = self.port()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        self.assertEqual(side.wait(), 1, str(side))
        self.assertIn(b"reset", side.said)


@need("ip", "nsenter", "ss", root=False)
class Connecting(NcTest):
    def test_what_v_says(self):
        side, peer = self.port("-v")
        port = peer.getsockname()[1]
        peer.close()
        side.end()
        self.assertEqual(side.wait(), 0)
        self.assertRegex(
            side.said.decode(),
            rf"^Connection to 127\.0\.0\.1 {port} port \[tcp/\S+\] succeeded!\n",
        )

    def test_refused(self):
        port = self.place().port
        for words in ([], ["-v"]):
            done = self.run_nc(*words, "127.0.0.1", port)
            self.assertEqual((done.stdout, done.returncode), ("", 1))
            self.assertIn("Connection refused", done.stderr)

    def test_names(self):
        side, _ = self.port("-4")
        self.assertIsNone(side.process.poll())
        done = self.run_nc("-n", "localhost", "1")
        self.assertEqual(done.returncode, 2, done.stderr)

    def test_source(self):
        port = free_port()
        side, peer = self.port("-s", "127.0.0.7", "-p", port)
        self.assertEqual(peer.getpeername(), ("127.0.0.7", port), str(side))

    def test_crlf(self):
        side, peer = self.port("-C", "-N")
        side.write(b"one\ntwo\r\nthree")
        side.end()
        self.assertEqual(read_all(peer), b"one\r\ntwo\r\nthree")

    def test_files_of_what_is_said(self):
        folder = directory(self)
        side, peer = self.port("-N", "-o", folder / "plain", "--hex-dump", folder / "hex")
        side.write(b"GET /\n")
        self.assertEqual(read(peer, 6), b"GET /\n")
        peer.sendall(b"200\n")
        side.expect_heard(b"200\n")
        peer.close()
        side.end()
        self.assertEqual(side.wait(), 0, str(side))
        self.assertEqual((folder / "plain").read_bytes(), b"GET /\n200\n")
        dump = (folder / "hex").read_text(encoding="ascii").splitlines()
        self.assertRegex(dump[0], r"^> 00000000  47 45 54 20 2f 0a .*\|GET /\.\|$")
        self.assertRegex(dump[1], r"^< 00000000  32 30 30 0a .*\|200\.\|$")

    def test_output_is_added_to_by_the_shell(self):
        folder = directory(self)
        (folder / "plain").write_bytes(b"before\n")
        with self.entered():
            listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        line = f'"$0" nc --send-only -o >(cat >>plain; echo >done) 127.0.0.1 {port}'
        words = ["bash", "-c", f"cd {folder}; mkfifo done; {line}; read <done; exit 0", PROGRAM]
        side = Side(self, "bash", words, self.namespace)
        side.write(b"after\n")
        side.end()
        self.assertEqual(side.wait(), 0, str(side))
        self.assertEqual((folder / "plain").read_bytes(), b"before\nafter\n")

    def test_a_unix_socket(self):
        path = str(directory(self) / "socket")
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()
        side = self.nc("-N", "-U", path)
        side.write(b"hello")
        side.end()
        with listener.accept()[0] as peer:
            self.assertEqual(read_all(peer), b"hello")
        self.assertEqual(side.wait(), 0, str(side))

    def test_by_its_own_name(self):
        name = directory(self) / "nc"
        name.symlink_to(PROGRAM)
        done = self.run_nc("-zv", "127.0.0.1", self.place().port, program=[str(name)])
        self.assertEqual((done.stdout, done.returncode), ("", 1))
        self.assertRegex(done.stderr, r"^nc: connect to 127\.0\.0\.1 port \d+ \(tcp\) failed: ")


@need("ip", "nsenter", "ss", root=False)
class Listening(NcTest):
    def test_what_v_says(self):
        place = self.place()
        side, peer = self.listening("-v", place=place)
        port = peer.getsockname()[1]
        peer.close()
        self.assertEqual(side.wait(), 0)
        self.assertIn(f"Listening on 127.0.0.1 {place.port}\n", side.said.decode())
        self.assertIn(f"Connection received on 127.0.0.1 {port}\n", side.said.decode())

    def test_every_way_to_name_the_port(self):
        for words in (
            ["-l", "{port}"],
            ["-lp", "{port}"],
            ["-l", "-p", "{port}", "127.0.0.1"],
            ["-l", "-s", "127.0.0.1", "-p", "{port}"],
            ["-l", "-s", "127.0.0.1", "{port}"],
            ["-l", "localhost", "{port}"],
            ["--listen", "--source-port={port}"],
        ):
            with self.subTest(words=words):
                place = self.place()
                side = self.nc(*(word.format(port=place.port) for word in words))
                place.wait(side.process)
                peer = self.client(place)
                peer.sendall(b"hello")
                peer.close()
                self.assertEqual(side.wait(), 0, str(side))
                self.assertEqual((bytes(side.received), bytes(side.said)), (b"hello", b""))

    def test_without_an_address_it_is_every_one(self):
        place = self.place("tcp6")
        side = self.nc("-l", place.port)
        place.wait(side.process)
        self.client(place).close()
        self.assertEqual(side.wait(), 0, str(side))

    def test_a_port_in_use(self):
        with self.entered():
            listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        done = self.run_nc("-l", "127.0.0.1", listener.getsockname()[1])
        self.assertEqual((done.stdout, done.returncode), ("", 2))
        self.assertIn("Address already in use", done.stderr)

    def test_many_clients(self):
        place = self.place()
        side, one = self.listening("-k", place=place)
        other = self.client(place)
        one.sendall(b"one\n")
        side.expect_heard(b"one\n")
        other.sendall(b"other\n")
        side.expect_heard(b"other\n")
        side.write(b"to all\n")
        self.assertEqual((read(one, 7), read(other, 7)), (b"to all\n", b"to all\n"))
        one.close()
        other.close()
        side.end()
        third = self.client(place)
        third.sendall(b"third\n")
        side.expect_heard(b"third\n")
        self.assertIsNone(side.process.poll())

    def test_broker_and_chat(self):
        for flag, heard in (("--broker", rb"^hello\n$"), ("--chat", rb"^<\w+> hello\n$")):
            place = self.place()
            _, one = self.listening(flag, place=place)
            other = self.client(place)
            # Who is there hears; nobody says when that begins.
            one.settimeout(0.2)
            text = b""
            for _ in range(300):
                other.sendall(b"hello\n")
                with contextlib.suppress(TimeoutError):
                    text += one.recv(65536)
                if re.search(heard, b"\n".join(text.splitlines()[-1:]) + b"\n"):
                    break
            else:
                self.fail(f"{flag}: {text}")

    def test_programs(self):
        for words in (["--exec", "/bin/cat -u"], ["--sh-exec", "tr a-z a-z; exit 3"]):
            side, peer = self.listening(*words)
            peer.sendall(b"hello\n")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(peer), b"hello\n")
            side.wait()

    def test_programs_of_who_connects(self):
        for words in (["--exec", "/bin/cat -u"], ["--sh-exec", "tr a-z a-z; exit 3"]):
            place = self.place()
            with self.entered(), socket.create_server(
                (place.host, int(place.port))
            ) as server:
                server.settimeout(PATIENCE)
                side = self.nc(*words, place.host, place.port)
                peer, _ = server.accept()
                with peer:
                    peer.sendall(b"hello\n")
                    peer.shutdown(socket.SHUT_WR)
                    self.assertEqual(read_all(peer), b"hello\n")
                side.wait()

    def test_a_program_knows_who_is_there(self):
        side, peer = self.listening("--sh-exec", "echo $NCAT_REMOTE_ADDR $NCAT_REMOTE_PORT")
        port = peer.getsockname()[1]
        self.assertEqual(read_all(peer), f"127.0.0.1 {port}\n".encode())
        side.wait()

    def test_who_may_come(self):
        file = directory(self) / "networks"
        file.write_text("# nobody but\n127.0.0.9 # and\n10.0.0.0/8, 192.0.2.1\n", encoding="ascii")
        for words, allowed in (
            (["--allow", "127.0.0.0/8"], True),
            (["--allow", "10.0.0.1,127.0.0.1,10.0.0.2"], True),
            (["--allow", "10.0.0.0/8"], False),
            (["--deny", "10.0.0.1,127.0.0.1"], False),
            (["--deny", "10.0.0.0/8"], True),
            (["--allowfile", file], False),
            (["--denyfile", file], True),
            (["--allow", "127.0.0.1", "--deny", "127.0.0.0/8"], False),
        ):
            with self.subTest(words=words):
                side, peer = self.listening("-v", *words)
                if allowed:
                    peer.sendall(b"hello")
                    side.expect_heard(b"hello")
                else:
                    side.expect_said("denied")
                    with contextlib.suppress(ConnectionResetError):
                        self.assertEqual(read_all(peer), b"")


@need("ip", "nsenter", "ss", "openssl", root=False)
class Tls(NcTest):
    def meet(self, listening, connecting):
        """Two of which one says something."""
        place = self.place("tls")
        names = {"port": place.port, "cert": place.certificate.file, "key": place.certificate.key}
        sides = []
        for words in (listening, connecting):
            words = [word.format(**names) for word in words]
            words[0] = words[0] if words[0] == "ncat" else PROGRAM
            sides.append(Side(self, " ".join(words), words, self.namespace))
            if len(sides) == 1:
                place.wait(sides[0].process)
        return sides

    LISTENERS = (
        ["", "nc", "-l", "--ssl", "--ssl-cert={cert}", "--ssl-key={key}", "127.0.0.1", "{port}"],
        ["", "nc", "-lc", "--ssl-cert", "{cert}", "--ssl-key", "{key}", "127.0.0.1", "{port}"],
        ["ncat", "-l", "--ssl", "--ssl-cert={cert}", "--ssl-key={key}", "127.0.0.1", "{port}"],
    )
    CONNECTORS = (
        ["", "nc", "-N", "--ssl", "127.0.0.1", "{port}"],
        ["", "nc", "-Nc", "--ssl-trustfile", "{cert}", "-4", "localhost", "{port}"],
        ["", "nc", "-N", "--ssl-verify", "--ssl-trustfile", "{cert}", "127.0.0.1", "{port}"],
        ["", "nc", "-Nc", "-e", "localhost", "--ssl-trustfile={cert}", "127.0.0.1", "{port}"],
        ["ncat", "--ssl", "127.0.0.1", "{port}"],
    )

    @need("ncat", root=False)
    def test_everybody_with_everybody(self):
        for listening in self.LISTENERS:
            for connecting in self.CONNECTORS:
                if listening[0] == connecting[0] == "ncat":
                    continue
                with self.subTest(listening=listening, connecting=connecting):
                    one, other = self.meet(listening, connecting)
                    other.write(b"hello")
                    one.expect_heard(b"hello")
                    one.write(b"hello yourself")
                    other.expect_heard(b"hello yourself")

    def test_certificates_that_are_not_believed(self):
        for words in (
            ["-c", "localhost"],
            ["--ssl-verify", "127.0.0.1"],
            ["-c", "-e", "another.example", "--ssl-trustfile={cert}", "127.0.0.1"],
        ):
            with self.subTest(words=words):
                one, other = self.meet(self.LISTENERS[0], ["", "nc", "-4", *words, "{port}"])
                self.assertEqual(other.wait(), 1, f"{one}; {other}")
                self.assertIn(b"certificate", other.said)

    def test_it_says_that_it_checks_nothing(self):
        one, other = self.meet(self.LISTENERS[0], self.CONNECTORS[0])
        other.expect_said("--ssl believes any certificate")
        self.assertEqual(bytes(one.said), b"")


@need("ip", "nsenter", "ss", root=False)
class Proxies(NcTest):
    def through(self, proxy, *words, environment=None):
        """Whether a line reaches a port through the proxy, and the exit status."""
        with self.entered():
            listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        side = Side(
            self, "nc", ["env", *(environment or []), PROGRAM, "nc", "-v", *words, "localhost",
                         str(listener.getsockname()[1])], self.namespace,
        )  # fmt: skip
        side.write(b"hello\n")
        listener.settimeout(0.05)
        while side.process.poll() is None:
            with contextlib.suppress(TimeoutError):
                with listener.accept()[0] as peer:
                    peer.settimeout(PATIENCE)
                    self.assertEqual(read(peer, 6), b"hello\n")
                    side.expect_said(f"Connection to localhost {listener.getsockname()[1]} port")
                    return True
        self.assertEqual(side.wait(), 1, f"{proxy.name}: {side}")
        return False

    @need("microsocks")
    def test_socks(self):
        proxy = Microsocks(self, "socks5", self.namespace)
        for words in (
            ["-x", proxy.where, "--proxy-auth", proxy.login],
            ["-x", proxy.where, "-X", "5", "--proxy-auth", proxy.login],
            ["--proxy", proxy.where, "--proxy-type", "socks5", "--proxy-auth", proxy.login],
        ):
            self.assertTrue(self.through(proxy, *words))
        login = [f"NCAT_PROXY_AUTH={proxy.login}"]
        self.assertTrue(self.through(proxy, "-x", proxy.where, environment=login))
        self.assertFalse(self.through(proxy, "-x", proxy.where))
        self.assertFalse(self.through(proxy, "-x", proxy.where, "--proxy-auth", "somebody:else"))

    @need("ncat")
    def test_http(self):
        proxy = NcatProxy(self, "http", self.namespace)
        for words in (
            ["-x", proxy.where, "-X", "connect", "--proxy-auth", proxy.login],
            ["--proxy", proxy.where, "--proxy-auth", proxy.login, "--proxy-dns", "remote"],
        ):
            self.assertTrue(self.through(proxy, *words))
        self.assertFalse(self.through(proxy, "--proxy", proxy.where))


@need("ip", "nsenter", "ss", root=False)
class Scanning(NcTest):
    def setUp(self):
        super().setUp()
        self.ports = []
        with self.entered():
            for _ in range(3):
                listener = socket.create_server(("127.0.0.1", 0))
                self.stack.enter_context(listener)
                self.ports.append(listener.getsockname()[1])

    @need("nc.openbsd", root=False)
    def test_the_words_are_those_of_openbsds_nc(self):
        one, other, third = self.ports
        range_ = f"{one - 2}-{one + 2}"
        for words in (
            ["-z", "127.0.0.1", one],
            ["-zv", "127.0.0.1", one],
            ["-zv", "-4", "localhost", one],
            ["-zv", "127.0.0.1", one, third, "1", other, "2-5", range_],
            ["-zv", "-4", "localhost", "5-2"],
            ["-z", "127.0.0.1", "1-5"],
            ["-zvn", "127.0.0.1", "1", "http", "1"],
            ["-z", "-v", "-w", "5", "127.0.0.1", "1", one],
            ["-zv", "::1", one],
        ):
            with self.subTest(words=words):
                ours = self.run_nc(*words)
                theirs = self.run_nc(*words, program=["nc.openbsd"])
                self.assertEqual(self.facts(ours), self.facts(theirs))

    def facts(self, done):
        """What it said; the services' names are of different registries."""
        said = re.sub(r"\[tcp/\S+\]", "[tcp/]", done.stderr.replace("nc.openbsd: ", "nc: "))
        return done.stdout, said, done.returncode

    @need("ip")
    def test_a_service_has_its_name(self):
        with self.entered():
            self.stack.enter_context(socket.create_server(("127.0.0.1", 80)))
        done = self.run_nc("-zv", "127.0.0.1", "http")
        self.assertEqual(done.stderr, "Connection to 127.0.0.1 80 port [tcp/http] succeeded!\n")

    @need("ip")
    def test_every_port_there_is(self):
        done = self.run_nc("-zv", "127.0.0.1", "1-65535")
        self.assertEqual(done.returncode, 0)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 65535)
        found = [int(line.split()[3]) for line in lines if line.endswith("succeeded!")]
        self.assertEqual(found, sorted(self.ports))

    def test_random_order(self):
        done = self.run_nc("-zvr", "127.0.0.1", "1-500")
        ports = [int(port) for port in re.findall(r" port (\d+) ", done.stderr)]
        self.assertEqual(sorted(ports), list(range(1, 501)))
        self.assertNotEqual(ports, sorted(ports))

    def test_hosts_that_are_none(self):
        done = self.run_nc("-zn", "localhost", "80")
        self.assertEqual(done.returncode, 2)
        self.refused("-z6", "127.0.0.1", "80", sentence="no IPv6 address")
        self.refused("-z", "127.0.0.1", "80-x", sentence="x")
        self.refused("-z", "127.0.0.1", "70000", sentence="70000")
        self.refused("-z", "127.0.0.1", sentence="which ports?")


class Words(NcTest):
    """Wrong command lines, and the table."""

    def test_what_does_not_go_together(self):
        for words, sentence in (
            (["-k", "h", "1"], "need -l"),
            (["-e", "/bin/sh", "h", "1"], "a program is run by --exec"),
            (["-e", "/bin/sh", "-l", "1"], "a program is run by --exec"),
            (["-c", "/bin/sh", "127.0.0.1", "1"], "too much"),
            (["-l", "-x", "proxy", "1"], "-l and a proxy"),
            (["-l", "--proxy-type", "http", "1"], "tinyproxy"),
            (["-x", "proxy", "-u", "h", "1"], "-x goes by TCP"),
            (["-X", "5", "h", "1"], "-X needs -x"),
            (["-X", "6", "-x", "p", "h", "1"], "connect"),
            (["--ssl", "-u", "h", "1"], "-dtls"),
            (["--ssl", "--ssl-trustfile", "f", "h", "1"], "--ssl-verify"),
            (["-N", "--no-shutdown", "h", "1"], "exclude one another"),
            (["-4", "-6", "h", "1"], "exclude one another"),
            (["-r", "h", "1"], "-r needs -z"),
            (["-z", "-l", "1"], "-z asks ports and -l is one"),
            (["-z", "-u", "h", "1"], "-u without -z"),
            (["-z", "-s", "127.0.0.1", "h", "1"], "-s and -p"),
            (["-U", "a", "b"], "-U takes one operand"),
            (["-l"], "which port to be?"),
            (["-l", "-p", "1", "a", "2"], "too much"),
            ([], "whom to connect to?"),
            (["h"], "which port?"),
            (["h", "1", "2"], "several ports are for -z"),
            (["-q", "soon", "h", "1"], "soon"),
            (["--allow", "nowhere", "-l", "1"], "nowhere"),
            (["--allowfile", "/no/such/file", "-l", "1"], "/no/such/file"),
        ):
            with self.subTest(words=words):
                self.refused(*words, sentence=sentence)

    def test_what_is_not_here(self):
        for flag, sentence in (
            ("-b", "socat"), ("-D", "SO_DEBUG"), ("-F", "ProxyUseFdpass"), ("-I", "tcp_rmem"),
            ("-O", "tcp_rmem"), ("-M", "ip_default_ttl"), ("-m", "--max-conns"),
            ("-P", "NCAT_PROXY_AUTH"), ("-S", "BGP"), ("-T", "nftables"), ("-V", "ip rule"),
            ("-W", "-w TIME"), ("-Z", "DCCP"), ("-g", "source route"), ("-G", "source route"),
            ("--append-output", ">(cat >>FILE)"), ("--lua-exec", "--exec"), ("--sctp", "socat"),
            ("--ssl-ciphers", "OPENSSL_CONF"), ("--vsock", "socat"),
        ):  # fmt: skip
            with self.subTest(flag=flag):
                self.refused(flag, "1", "127.0.0.1", "1", sentence=sentence)

    def options_of(self, program, *words):
        """The options that a program's help lists."""
        text = self.run_nc(*words, program=program)
        return set(re.findall(r"(?<![\w-])(?:--[a-z][\w-]*|-\w\b)", text.stdout + text.stderr))

    @need("ncat", "nc.openbsd", root=False)
    def test_the_table_in_the_documents_is_complete(self):
        page = (pathlib.Path(ROOT) / "docs" / "nc.md").read_text(encoding="utf-8")
        named = set(re.findall(r"(?<![\w-])(?:--[a-z][\w-]*|-\w\b)", page))
        ours = self.options_of([PROGRAM, "nc"], "--help") - {"--help", "--version"}
        self.assertGreater(len(ours), 50)
        self.assertEqual(ours - named, set())
        # Everything that the two have is taken, or refused with a sentence of its own.
        flags = self.run_nc("-h", program=["nc.openbsd"]).stderr
        theirs = set(re.findall(r"(?m)^\t\t(-\w)\t", flags))
        theirs |= {flag for flag in self.options_of(["ncat"], "--help") if flag.startswith("--")}
        self.assertGreater(len(theirs), 60)
        for flag in theirs - {"-h", "--help", "--version"}:
            with self.subTest(flag=flag):
                self.assertIn(flag, named)
                self.assertNotIn("unknown option", self.run_nc(flag).stderr)


if __name__ == "__main__":
    unittest.main()

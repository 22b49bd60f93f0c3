"""A recorded conversation is said again: `connect --replay` and `listen --replay`."""

import base64
import json
import os
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from namespaces import need
from porthole import PROGRAM, run
from talk import Side, digest
from talk_peers import PAGE, Place, directory, web_server
from web import Script, answer

BINARY = b"\0\xff\xfe\xfd\r\n\n\r\x1b[m" * 7


def data(direction, said, **members):
    """One line of a record, as it is written by hand."""
    text = {"base64": base64.b64encode(said).decode()}
    return json.dumps({"type": "data", "direction": direction, **text, **members}) + "\n"


def connection(role, **members):
    return json.dumps({"type": "connection", "role": role, **members}) + "\n"


DIALOGUE = (("sent", b"hello\n"), ("received", b"who?\n"), ("received", BINARY), ("sent", BINARY))
DIALOGUE += (("sent", b"bye\n"), ("received", b"\n"))
DIALLER = b"".join(said for direction, said in DIALOGUE if direction == "sent")
LISTENER = b"".join(said for direction, said in DIALOGUE if direction == "received")
RECORD = connection("dialled") + "".join(data(*step) for step in DIALOGUE)


class Replay(unittest.TestCase):
    """The base of what follows."""

    def setUp(self):
        self.folder = directory(self)

    def file(self, name, text=None):
        path = self.folder / name
        if text is not None:
            path.write_text(text, encoding="utf-8")
        return path

    def words(self, verb, place, *options):
        words = [PROGRAM, verb, *map(str, options)]
        if place.kind.startswith("udp"):
            words += ["--udp", "--on-eof", "close"]
        if place.kind == "unix":
            return [*words, "--unix", place.path]
        tls = place.certificate
        if verb == "listen":
            words += ["--tls", "--cert", tls.file, "--key", tls.key] if tls else []
            return [*words, "--bind", place.host, place.port]
        return [*words, *(["--tls", "--ca", tls.file] if tls else []), place.host, place.port]

    def start(self, verb, place, *options):
        side = Side(self, verb, self.words(verb, place, *options))
        if verb == "listen":
            place.wait(side.process)
        return side

    def read(self, path):
        """What a record says was sent and was received, and by which role."""
        told = records.parse(path.read_text(encoding="utf-8"))
        records.check_conversations(told)
        number = next((one.get("connection") for one in told if one["type"] == "data"), None)
        return (*records.streams(told, number), told)

    def meet(self, place, listener_file, dialler_file):
        """Both sides, each by itself; what the listener and what the dialler heard, and the records
        of both."""
        ours = [self.file(f"{name}-{place}.jsonl") for name in ("listener", "dialler")]
        listener = self.start("listen", place, "--replay", listener_file, "--record", ours[0])
        dialler = self.start("connect", place, "--replay", dialler_file, "--record", ours[1])
        self.assertEqual((dialler.wait(), listener.wait()), (0, 0), f"{dialler}; {listener}")
        dialler.expect_end()
        listener.expect_end()
        return bytes(listener.received), bytes(dialler.received), *ours


class BothSides(Replay):
    """The two sides of a record say it to one another."""

    def test_each_kind_of_port(self):
        record = self.file("record.jsonl", RECORD)
        for kind in ("tcp", "tcp6", "unix", "tls", "udp"):
            with self.subTest(kind):
                place = Place(self, kind)
                heard, answered, ours, theirs = self.meet(place, record, record)
                self.assertEqual((heard, answered), (DIALLER, LISTENER))
                self.assertEqual(self.read(ours)[:2], (LISTENER, DIALLER))
                self.assertEqual(self.read(theirs)[:2], (DIALLER, LISTENER))

    def test_whoever_recorded_it(self):
        """What the listener wrote down serves both as well as what the dialler did, and of UDP, too."""
        first = self.file("record.jsonl", RECORD)
        for kind in ("tcp", "udp"):
            with self.subTest(kind):
                _, _, listener, dialler = self.meet(Place(self, kind), first, first)
                kept = [self.file("kept-listener"), self.file("kept-dialler")]
                for path, copy in zip((listener, dialler), kept):
                    copy.write_bytes(path.read_bytes())
                for one in kept:
                    for other in kept:
                        heard, answered, *_ = self.meet(Place(self, kind), one, other)
                        self.assertEqual((heard, answered), (DIALLER, LISTENER))

    def test_datagrams_are_those_of_the_record(self):
        record = self.file("record.jsonl", RECORD)
        *_, ours, theirs = self.meet(Place(self, "udp"), record, record)
        for path, ways in ((theirs, ("sent", "received")), (ours, ("received", "sent"))):
            told = records.of_type(self.read(path)[2], "data")
            for way, said in zip(ways, ("sent", "received")):
                self.assertEqual(
                    [records.said(one) for one in told if one["direction"] == way],
                    [text for direction, text in DIALOGUE if direction == said],
                )

    def test_much(self):
        """Two megabytes, one way after another, recorded as they really went."""
        place, record = Place(self, "tcp"), self.file("record.jsonl")
        ask, reply = os.urandom(1 << 20), os.urandom(1 << 20)
        listener = self.start("listen", place)
        dialler = self.start("connect", place, "--record", record)
        dialler.write(ask)
        listener.expect(len(ask))
        listener.write(reply)
        dialler.expect(len(reply))
        dialler.end()
        listener.end()
        self.assertEqual((dialler.wait(), listener.wait()), (0, 0))
        heard, answered, *_ = self.meet(Place(self, "tcp"), record, record)
        self.assertEqual((digest(heard), digest(answered)), (digest(ask), digest(reply)))

    def test_one_side_is_silent(self):
        for role, said, heard in (("dialled", b"only me", b""), ("accepted", b"", b"only me")):
            with self.subTest(role):
                record = self.file("record.jsonl", connection(role) + data("sent", b"only me"))
                self.assertEqual(self.meet(Place(self, "tcp"), record, record)[:2], (said, heard))

    def test_one_of_several(self):
        lines = connection("accepted", connection=1) + connection("accepted", connection=2)
        lines += data("received", b"second", connection=2) + data("received", b"1", connection=1)
        lines += data("sent", b"answer", connection=2) + data("sent", b"one", connection=1)
        record = self.file("record.jsonl", lines)
        met = self.meet(Place(self, "tcp"), record, record)
        self.assertEqual(met[:2], (b"second", b"answer"))

    def test_without_a_role_it_is_our_own(self):
        record = self.file("record.jsonl", data("sent", b"a line written by hand\n"))
        heard, answered, *_ = self.meet(Place(self, "tcp"), record, record)
        self.assertEqual((heard, answered), (b"a line written by hand\n",) * 2)


class Web(Replay):
    """A conversation with nginx."""

    def record_nginx(self):
        """What curl asks, typed by `connect` at nginx; the record, the place, and the request."""
        need("nginx", "curl")
        server = Script(self, answer(b"", headers=("Connection: close",)))
        self.curl(server.port)
        request = server.requests[0]
        self.assertTrue(request.startswith(b"GET /page HTTP/1.1\r\n"))
        place, record = Place(self, "tcp"), self.file("record.jsonl")
        web_server(self, place)
        dialler = self.start("connect", place, "--record", record)
        dialler.write(request)
        dialler.expect_heard(PAGE.encode())
        dialler.end()
        self.assertEqual(dialler.wait(), 0, str(dialler))
        sent, received, _ = self.read(record)
        self.assertEqual((sent, received), (request, bytes(dialler.received)))
        return record, place, request

    def curl(self, port):
        """The page, as curl gets it. Its request is the same for all ports."""
        url = f"http://127.0.0.1:{port}/page"
        return subprocess.run(
            ["curl", "-s", "-q", "--noproxy", "*", "-m", "60", "-H", "Host: localhost", url],
            capture_output=True, text=True, check=True, timeout=90,
        ).stdout  # fmt: skip

    def test_asked_again(self):
        record, place, request = self.record_nginx()
        again = self.file("again.jsonl")
        dialler = self.start("connect", place, "--replay", record, "--record", again)
        self.assertEqual(dialler.wait(), 0, str(dialler))
        dialler.expect_end()
        self.assertTrue(dialler.received.endswith(PAGE.encode()), str(dialler))
        self.assertEqual(self.read(again)[0], request)

    def test_answered_again(self):
        """curl finds nginx's answer where `listen` plays nginx."""
        record, *_ = self.record_nginx()
        place = Place(self, "tcp")
        listener = self.start("listen", place, "--replay", record)
        self.assertEqual(self.curl(place.port), PAGE)
        self.assertEqual(listener.wait(), 0, str(listener))

    def test_both_sides(self):
        record, *_ = self.record_nginx()
        heard, answered, *_ = self.meet(Place(self, "tcp"), record, record)
        self.assertEqual((heard, answered), self.read(record)[:2])


class Ways(Replay):
    """What goes with it."""

    def test_from_standard_input(self):
        place = Place(self, "tcp")
        listener = self.start("listen", place, "--replay", self.file("record.jsonl", RECORD))
        done = subprocess.run(
            self.words("connect", place, "--replay", "-"), input=RECORD.encode(),
            stdout=subprocess.PIPE, timeout=60, check=True,
        )  # fmt: skip
        self.assertEqual(done.stdout, LISTENER)
        self.assertEqual(listener.wait(), 0)

    def test_the_record_may_be_written_over(self):
        place, record = Place(self, "tcp"), self.file("record.jsonl", RECORD)
        listener = self.start("listen", place, "--replay", self.file("other.jsonl", RECORD))
        dialler = self.start("connect", place, "--replay", record, "--record", record)
        self.assertEqual((dialler.wait(), listener.wait()), (0, 0))
        self.assertEqual(self.read(record)[:2], (DIALLER, LISTENER))

    def test_standard_input_is_left_alone(self):
        place, record = Place(self, "tcp"), self.file("record.jsonl", RECORD)
        listener = self.start("listen", place, "--replay", record)
        ours, theirs = os.pipe()
        os.write(theirs, b"for somebody else")
        os.close(theirs)
        with open(ours, "rb") as file:
            done = subprocess.run(
                self.words("connect", place, "--replay", record), stdin=file,
                stdout=subprocess.PIPE, timeout=60, check=True,
            )  # fmt: skip
            self.assertEqual(file.read(), b"for somebody else")
        self.assertEqual(done.stdout, LISTENER)
        self.assertEqual(listener.wait(), 0)

    def test_json_and_hex(self):
        record = self.file("record.jsonl", RECORD)
        place = Place(self, "tcp")
        listener = self.start("listen", place, "--replay", record, "--hex")
        dialler = self.start("connect", place, "--replay", record, "--json")
        self.assertEqual((dialler.wait(), listener.wait()), (0, 0))
        dialler.expect_end()
        listener.expect_end()
        told = records.parse(dialler.received.decode())
        records.check_conversations(told)
        self.assertEqual(records.streams(told), (DIALLER, LISTENER))
        self.assertIn(b"< 00000000  68 65 6c 6c 6f 0a ", bytes(listener.received))
        self.assertIn(b"> 00000000  77 68 6f 3f 0a ", bytes(listener.received))

    def test_line_ends_are_converted(self):
        place, record = Place(self, "tcp"), self.file("record.jsonl", data("sent", b"one\ntwo\n"))
        listener = self.start("listen", place)
        listener.end()
        dialler = self.start("connect", place, "--replay", record, "--crlf")
        self.assertEqual((dialler.wait(), listener.wait()), (0, 0))
        listener.expect_end()
        self.assertEqual(bytes(listener.received), b"one\r\ntwo\r\n")

    def test_it_waits_for_what_was_heard(self):
        """It says nothing before its time, and says the rest to one who ends early."""
        record = self.file("record.jsonl", RECORD)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(60)
            port = server.getsockname()[1]
            dialler = Side(
                self, "connect", [PROGRAM, "connect", "--replay", record, "127.0.0.1", str(port)]
            )
            peer, _ = server.accept()
        with peer, peer.makefile("rb") as heard:
            peer.settimeout(60)
            self.assertEqual(heard.read(6), b"hello\n")
            peer.sendall(b"who?\n" + BINARY[:-1])
            dialler.expect(len(BINARY) + 4)
            peer.setblocking(False)
            self.assertRaises(BlockingIOError, peer.recv, 1)
            peer.settimeout(60)
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(heard.read(), BINARY + b"bye\n")
        self.assertEqual(dialler.wait(), 0, str(dialler))


class Faults(Replay):
    """Files that cannot be played, and options that do not go with it."""

    def complain(self, status, *words, stdin=""):
        done = run(*words, stdin=stdin)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        return done.stderr.splitlines()

    def test_damaged_files(self):
        cases = (
            ("", "nothing was said in this record"),
            ("\n\n", "nothing was said in this record"),
            (connection("dialled"), "nothing was said in this record"),
            ("hello\n", "line 1: this is not JSON"),
            ("[]\n", "line 1: a record is an object with a type"),
            (RECORD[:-9], f"line {RECORD.count(chr(10))}: this is not JSON"),
            (RECORD + "\n\0\n", f"line {RECORD.count(chr(10)) + 2}: this is not JSON"),
            (RECORD + "x", f"line {RECORD.count(chr(10)) + 1}: this is not JSON"),
            (RECORD + data("back", b"x"), "line 8: a data record has a direction"),
            (data("sent", b"x", length=2), "line 1: the length is not that of what was said"),
            (RECORD.replace("dialled", "both"), "line 1: a connection has a role"),
            (RECORD.replace("==", "=x"), "line 6: this is not base64"),
            ('{"type":"data","direction":"sent"}', "line 1: a data record has either text"),
        )
        for verb, where in (("connect", ("127.0.0.1", "1")), ("listen", ("1",))):
            for text, message in cases:
                with self.subTest(text[-40:], verb=verb):
                    path = self.file("record.jsonl", text)
                    said, *rest = self.complain(2, verb, "--replay", path, *where)
                    begin = f"porthole {verb}: {path}: {message}"
                    self.assertEqual(said[: len(begin)], begin)
                    self.assertTrue(said.isprintable() and all(map(str.isprintable, rest)), rest)
        said, *_ = self.complain(2, "connect", "--replay", "-", "127.0.0.1", "1", stdin="x")
        self.assertIn("connect: standard input: line 1: this is not JSON", said)

    def test_a_damaged_file_is_not_emptied(self):
        path = self.file("record.jsonl", RECORD + "x")
        self.complain(2, "connect", "--replay", path, "--record", path, "127.0.0.1", "1")
        self.assertEqual(path.read_text(encoding="utf-8"), RECORD + "x")

    def test_no_file(self):
        for path, message in (
            (self.folder / "none", "No such file or directory"),
            (self.folder, "Is a directory"),
        ):
            for verb, where in (("connect", ("127.0.0.1", "1")), ("listen", ("1",))):
                (said,) = self.complain(3, verb, "--replay", path, *where)
                self.assertIn(f"'{path}': {message}", said)

    def test_options_that_do_not_go_with_it(self):
        path = self.file("record.jsonl", RECORD)
        for option in ("--keep", "--broker", "--chat", "--http", "--exec=cat", "--shell=cat"):
            (said,) = self.complain(2, "listen", "--replay", path, option, "1")
            name = option.partition("=")[0]
            self.assertEqual(said, f"porthole listen: --replay and {name} exclude one another")


if __name__ == "__main__":
    unittest.main()

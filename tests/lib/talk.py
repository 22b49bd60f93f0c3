"""Two programs that are joined by a port: what goes into each one's standard input, what comes out of
its standard output, and how it ends."""

import contextlib
import hashlib
import os
import subprocess
import threading
import time

from shell_status import shell_status
from talk_peers import Manner

PATIENCE = 60  # seconds after which a conversation hangs
BLOCK = 65536


def digest(data):
    """Short enough to be compared in a message."""
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()}"


class Side:
    """A program that is part of a conversation. Its standard input stays open until end()."""

    def __init__(self, test, name, words, namespace=None):
        self.name = name
        self.received = bytearray()
        self.said = bytearray()  # on standard error
        self.ended = self.silent = False  # its standard output has ended, its standard error has
        self._news = threading.Condition()
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(
            [*(namespace.prefix if namespace else []), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self._threads = [
            threading.Thread(target=self._read, args=(stream, into))
            for stream, into in (
                (self.process.stdout, self.received),
                (self.process.stderr, self.said),
            )
        ]
        test.addCleanup(self.stop)
        for thread in self._threads:
            thread.start()

    def _read(self, stream, into):
        while data := stream.read(BLOCK):
            with self._news:
                into += data
                self._news.notify_all()
        with self._news:
            if into is self.received:
                self.ended = True
            else:
                self.silent = True
            self._news.notify_all()

    def _until(self, condition, wish):
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not condition():
                assert self._news.wait(deadline - time.monotonic()), f"{self}: never {wish}"

    def __str__(self):
        said = self.said.decode(errors="replace").strip()
        status = self.process.poll()
        state = "runs" if status is None else f"ended with {status}"
        text = f"{self.name} {state}, got {len(self.received)} bytes"
        return f"{text}, says {said}" if said else text

    def write(self, data):
        """Gives it all of this; one that has closed its input takes no more."""
        with contextlib.suppress(BrokenPipeError):
            view = memoryview(data)
            while view:
                view = view[os.write(self.process.stdin.fileno(), view[:BLOCK]) :]

    def end(self):
        """The end of its input."""
        self.process.stdin.close()

    def expect(self, length):
        """Waits until so many bytes have come out of it in all, or it ended before."""
        self._until(lambda: len(self.received) >= length or self.ended, f"received {length} bytes")

    def expect_heard(self, words):
        """Waits until these bytes have come out of it, or it ended before."""
        self._until(lambda: words in self.received or self.ended, f"received {words}")
        assert words in self.received, f"{self}: {bytes(self.received)}"

    def expect_end(self):
        """Waits until its output ends."""
        self._until(lambda: self.ended, "ended its output")

    def expect_said(self, words):
        """Waits until it has said this on standard error."""
        words = words.encode()
        self._until(lambda: words in self.said or self.silent, f"said {words}")
        assert words in self.said, f"{self}: never said {words}"

    def wait(self):
        """Its exit status, once all that it said is here."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self}: never ended") from None
        for thread in self._threads:
            thread.join(PATIENCE)
        return shell_status(status)

    def stop(self):
        """Ends it, if it has not."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()


def _speak(side, manner, other_manner, data, expected):
    """Writes, and ends when that does not cut off what is still to come: the other side must be
    one that goes on, and this one must go on listening."""
    side.write(data)
    if not (manner.half and other_manner.goes_on):
        side.expect(expected)
    side.end()


def converse(one, one_says, other, other_says, one_manner=Manner(), other_manner=Manner()):
    """Both speak at the same time, and each ends as soon as its manner and the other's let it.
    Fails unless each hears all that the other says, then its end. Returns their exit statuses."""
    threads = [
        threading.Thread(target=_speak, args=arguments)
        for arguments in (
            (one, one_manner, other_manner, one_says, len(other_says)),
            (other, other_manner, one_manner, other_says, len(one_says)),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for side in (one, other):
        side.expect_end()
    statuses = one.wait(), other.wait()
    for side, expected in ((one, other_says), (other, one_says)):
        found, said = digest(side.received), digest(expected)
        assert found == said, f"{side.name} heard {found}, not {said}: {one}; {other}"
    return statuses


def take_turns(one, other, messages):
    """Each message goes there, and back again, before the next one: for datagrams, of which too
    many at once get lost. They go on running."""
    told = heard = 0
    for message in messages:
        one.write(message)
        told += len(message)
        other.expect(told)
        assert bytes(other.received[told - len(message) :]) == message, f"{one}; {other}"
        other.write(message[::-1])
        heard += len(message)
        one.expect(heard)
        assert bytes(one.received[heard - len(message) :]) == message[::-1], f"{one}; {other}"


def read_all(peer):
    """Everything that a socket hears up to the end."""
    data = b""
    while part := peer.recv(65536):
        data += part
    return data


def read(peer, length):
    """So many bytes of it, or what comes before its end."""
    data = b""
    while len(data) < length and (part := peer.recv(length - len(data))):
        data += part
    return data

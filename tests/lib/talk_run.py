"""`connect`, `listen` and `relay` at work, with sockets of the test's own at the other end.

    def setUpModule():
        own_network()

    peer = Peer(test, lambda connection: receive_all(connection))
    side = talk(test, "connect", "127.0.0.1", peer.port)
    listener = Listening(test, "listen", "--keep")
    client = listener.connect(test)
"""

import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from confined import FILTERS
from namespaces import Namespace, run as run_command
from porthole import PROGRAM
from talk import PATIENCE, Side, digest

SIZE = 3 << 20
BLOCK = 65536


def own_network():
    """For setUpModule(): loopback of the module's own where that can be had, so that nobody scans
    it meanwhile. 198.18.0.1 is an address of it, too, that is not loopback's."""
    if os.geteuid() == 0:
        namespace = Namespace()
        unittest.addModuleCleanup(namespace.close)
        namespace.ip("address", "add", "198.18.0.1/32", "dev", "lo")
        unittest.enterModuleContext(namespace.entered())


# ---- sockets ----


def receive_all(connection):
    """All that comes until the end."""
    data = bytearray()
    while block := connection.recv(BLOCK):
        data += block
    return bytes(data)


def receive(connection, length):
    """So many bytes, or fewer at the end."""
    data = bytearray()
    while len(data) < length and (block := connection.recv(min(BLOCK, length - len(data)))):
        data += block
    return bytes(data)


def reset(connection):
    """Ends a connection by a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_silent(connection, seconds=0.1):
    """Whether nothing comes for a while, not even an end."""
    connection.settimeout(seconds)
    try:
        connection.recv(1)
        return False
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE)


def was_reset(connect):
    """Whether a connection, which `connect()` makes, is cut off, be it before connect(2) returns."""
    try:
        receive_all(connect())
        return False
    except ConnectionResetError:
        return True


def say_and_hear(connection, data):
    """Says all of this and the end while it listens; returns what it heard."""

    def say():
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

    speaker = threading.Thread(target=say)
    speaker.start()
    try:
        return receive_all(connection)
    finally:
        speaker.join()


class Peer:
    """Takes one connection and calls `serve` with it, in a thread. `where` is an address or a Unix
    socket's path; `wrap` makes another socket of the connection: TLS, say."""

    def __init__(self, test, serve, where="127.0.0.1", wrap=None):
        family = (
            socket.AF_INET6 if ":" in where
            else socket.AF_UNIX if where[0] in "/\0"
            else socket.AF_INET
        )  # fmt: skip
        self.client = None  # its address
        self._serve, self._wrap = serve, wrap
        self._result = self._fault = None
        self._listener = socket.socket(family)
        self._listener.settimeout(PATIENCE)
        self._listener.bind(where if family == socket.AF_UNIX else (where, 0))
        self._listener.listen()
        self.port = None if family == socket.AF_UNIX else self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        test.addCleanup(self._stop)
        self._thread.start()

    def _run(self):
        try:
            connection, self.client = self._listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                if self._wrap:
                    connection = self._wrap(connection)
                with connection:
                    self._result = self._serve(connection)
                    if isinstance(connection, ssl.SSLSocket) and connection.fileno() >= 0:
                        connection.unwrap()  # says close_notify
        except Exception as fault:  # pylint: disable=broad-exception-caught
            self._fault = fault

    def _stop(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def result(self):
        """What `serve` returned; raises what it raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the peer hangs"
        if self._fault:
            raise self._fault
        return self._result


class Authority:
    """One who signs certificates, in a directory of the test's own; `file` is its own."""

    def __init__(self, folder):
        self.folder = folder
        self.file = self._make("authority", "req", "-x509", "-days", "2")[0]

    def _make(self, name, *words, subject=None):
        file, key = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        run_command("openssl", *words, "-nodes", "-subj", f"/CN={subject or name}", "-newkey", "ec",
                    "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", file)
        return file, key  # fmt: skip

    def issue(self, name="localhost", names="DNS:localhost,IP:127.0.0.1,IP:::1", days=1):
        """(file, key) of a certificate; `days` may be negative: it has expired then."""
        file, key = self._make(name, "req", "-new")
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\n", encoding="utf-8")
        run_command("openssl", "x509", "-req", "-in", file, "-CA", self.file,
                    "-CAkey", str(self.folder / "authority.key"), "-CAcreateserial",
                    "-days", str(days), "-extfile", str(extensions), "-out", file)
        return file, key  # fmt: skip


def tls_server(certificate, clients=None, protocols=None, names=None):
    """A `wrap` for Peer. `clients` is the file of the authority that signs theirs, `names` a list
    that takes the names they ask for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    if protocols:
        context.set_alpn_protocols(protocols)
    if names is not None:
        context.sni_callback = lambda connection, name, context: names.append(name)
    return lambda connection: context.wrap_socket(connection, server_side=True)


def tls_client(authority=None, certificate=None, protocols=None):
    """A context; who gives no file of an authority believes everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority:
        context.load_verify_locations(authority)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*certificate)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


# ---- porthole ----


def talk(test, *words, before=()):
    """porthole with standard input and output in the test's hands; `before` are the words of a
    program that starts it."""
    words = [str(word) for word in words]
    return Side(test, f"porthole {words[0]}", [*before, PROGRAM, *words])


def run(*words, data=b"", **others):
    """Runs porthole with these bytes on its standard input, to its end."""
    others = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **others}
    if "stdin" not in others:
        others["input"] = data
    words = [PROGRAM, *(str(word) for word in words)]
    return subprocess.run(words, timeout=PATIENCE, check=False, **others)


class Listening:
    """`listen` or `relay` that listens on a port of the kernel's choice, of 127.0.0.1 and ::1."""

    def __init__(self, test, verb, *words, place="0", target=(), before=()):
        self.side = talk(test, verb, "-v", *words, place, *target, before=before)
        self.side.expect_said("Listening on ")
        said = self.said()
        self.path = self.address = self.port = None
        if "Listening on unix:" in said:
            self.path = re.search("Listening on unix:(.*)", said)[1]
            return
        self.address, self.port = re.search(r"Listening on (\S+) (\d+)", said).groups()
        self.port = int(self.port)

    def said(self):
        """What stands on standard error up to now."""
        return self.side.said.decode()

    def connect(self, test, address="127.0.0.1", kind=socket.SOCK_STREAM):
        """A client's socket."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        where = (address, self.port)
        if self.path:
            family = socket.AF_UNIX
            where = "\0" + self.path[1:] if self.path[0] == "@" else self.path
        client = socket.socket(family, kind)
        test.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.connect(where)
        return client

    @property
    def pid(self):
        """Of porthole."""
        return self.side.process.pid


def wait_until_confined(pid):
    """Waits until porthole has given up its rights."""
    wanted = {"CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    if not FILTERS:
        del wanted["Seccomp"]

    def is_confined():
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        return all(fields[name] == value for name, value in wanted.items())

    wait_until(is_confined)


def wait_until(condition):
    """Waits for it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happens"
        time.sleep(0.01)


def answer(data):
    """A server that hears everything before it says anything."""

    def serve(connection):
        heard = receive_all(connection)
        connection.sendall(data)
        return heard

    return serve


class Conversation(unittest.TestCase):
    """What is checked again and again."""

    def check(self, done, status=0, stderr=rb""):
        """The exit status and all of standard error."""
        self.assertRegex(done.stderr, rb"\A" + stderr + rb"\Z")
        self.assertEqual(done.returncode, status, done.stderr)

    def assert_same(self, found, expected):
        """Bytes, too many to be shown."""
        self.assertEqual(digest(found), digest(expected))

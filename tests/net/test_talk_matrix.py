"""porthole and everybody else who talks to ports: each of them as the one who listens and as the one
who connects, over each kind of socket that both know, with 3 MiB each way at once and every byte
compared; through proxies; telnet's and the web's servers and clients. Standard error says which pair
has passed."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need
from porthole import PROGRAM
from talk import Side, converse, take_turns
from talk_peers import (
    NCAT, NETCAT, OPENSSL, PAGE, PROXIES, SOCAT, Manner, Place, Talker, telnetd, web_server,
)  # fmt: skip

KINDS = ("tcp", "tcp6", "udp", "udp6", "unix", "tls")
SIZE = 3 << 20
MESSAGES = (1, 2, 1000, 1400, 4096, 4000)  # no longer than what every pipe and peer takes whole
PROXY_PROGRAMS = ("danted", "microsocks", "ssh", "ssh-keygen", "sshd", "tinyproxy", "ncat", "socat")


class Porthole(Talker):
    """The program under test."""

    name = "porthole"
    kinds = KINDS

    def _words(self, verb, place, *options):
        flags = {"udp": ["--udp"], "udp6": ["--udp"], "unix": ["--unix", place.path]}
        words = [PROGRAM, verb, *flags.get(place.kind, []), *options]
        if place.kind == "unix":
            return words
        return [*words, place.port] if verb == "listen" else [*words, place.host, place.port]

    def listen(self, place):
        tls = place.certificate
        options = ["--tls", "--cert", tls.file, "--key", tls.key] if tls else []
        if place.kind != "unix":
            options += ["--bind", place.host]
        return self._words("listen", place, *options)

    def connect(self, place):
        tls = place.certificate
        return self._words("connect", place, *(["--tls", "--ca", tls.file] if tls else []))


PORTHOLE = Porthole()


class Through(Talker):
    """One who connects through a proxy, to a host by this name."""

    def __init__(self, talker, proxy, host):
        self.name = talker.name
        self.connect = getattr(self, f"_{talker.name}")
        self.proxy = proxy
        self.host = host

    def _porthole(self, place):
        return [PROGRAM, "connect", "--proxy", self.proxy.url, self.host, place.port]

    def _ncat(self, place):
        login = ["--proxy-auth", self.proxy.login] if self.proxy.login else []
        return ["ncat", "--proxy", self.proxy.where, "--proxy-type", self.proxy.scheme, *login,
                self.host, place.port]  # fmt: skip

    def manner(self, kind, role):
        return Manner(goes_on=self.proxy.half, half=self.proxy.half)


class Pairs(unittest.TestCase):
    """Runs pairs, in a namespace of their own where that can be had: other tests scan loopback."""

    def setUp(self):
        self.namespace = Namespace(self) if os.geteuid() == 0 else None

    def side(self, name, words):
        """One program of a pair."""
        return Side(self, name, words, self.namespace)

    def meet(self, kind, listener, connector):
        """Both at a place of their own: the two sides."""
        place = Place(self, kind, self.namespace)
        one = self.side(f"listening {listener.name}", listener.listen(place))
        place.wait(one.process)
        return one, self.side(f"connecting {connector.name}", connector.connect(place))

    def check(self, kind, listener, connector):
        """One pair."""
        with self.subTest(kind=kind, listener=listener.name, connector=connector.name):
            one, other = self.meet(kind, listener, connector)
            if kind.startswith("udp"):
                take_turns(other, one, [os.urandom(size) for size in MESSAGES])
            else:
                manners = listener.manner(kind, "listen"), connector.manner(kind, "connect")
                statuses = converse(one, os.urandom(SIZE), other, os.urandom(SIZE), *manners)
                self.judge((listener, connector), statuses, reversed(manners), f"{one}; {other}")
            for side in (one, other):
                side.stop()
            passed(f"{kind}: {connector.name} connects to {listener.name}")

    def judge(self, talkers, statuses, manners, message):
        """The exit statuses, where they are porthole's."""
        for talker, status, theirs in zip(talkers, statuses, manners):
            if talker.name == "porthole":
                # TLS that ends without a word may have been cut off: that is a failure.
                self.assertIn(status, (0,) if theirs.polite else (0, 1), message)

    def check_peer(self, peer):
        """porthole and a peer, in both roles and by all kinds."""
        for kind in peer.kinds:
            self.check(kind, PORTHOLE, peer)
            self.check(kind, peer, PORTHOLE)

    def check_proxies(self, talker, hosts):
        """Somebody to a listener through every proxy."""
        for kind in PROXIES:
            for scheme in kind.schemes:
                proxy = kind(self, scheme, self.namespace)
                for host in hosts:
                    if (kind.name, scheme, host) != ("danted", "socks4", "localhost"):
                        self.check_proxy(talker, proxy, host)

    def check_proxy(self, talker, proxy, host):
        """The same through one of them."""
        with self.subTest(proxy=proxy.name, scheme=proxy.scheme, host=host):
            connector = Through(talker, proxy, host)
            one, other = self.meet("tcp", SOCAT, connector)
            manner = connector.manner("tcp", "connect")
            statuses = converse(one, os.urandom(SIZE), other, os.urandom(SIZE), manner, manner)
            self.judge((SOCAT, connector), statuses, (manner, manner), f"{one}; {other}")
            passed(f"{proxy.scheme}: {talker.name} connects to {host} through {proxy.name}")


def passed(pair):
    """Says so."""
    print(f"passed: {pair}", file=sys.stderr)


class Hosts(Pairs):
    """Runs what talks to telnet's and the web's servers and clients."""

    def telnet(self, client, line):
        """`client` (place → words) at a telnet server whose program says everything again; `line`
        is how a line ends in what the client makes of it."""
        place = Place(self, "tcp", self.namespace)
        telnetd(self, place)
        side = self.side("telnet client", client(place))
        side.write(b"hello\n")
        # The terminal's echo, and what the program says.
        side.expect_heard(b"hello" + line + b"hello" + line)
        return side

    def web(self, kind, page="/page"):
        """An nginx, and what curl says of one of its pages."""
        place = Place(self, kind, self.namespace)
        web_server(self, place)
        self.assertEqual(self.curl(place, page), (PAGE, 0))
        return place

    def curl(self, place, path, *words):
        """What curl shows, and its exit status."""
        scheme = "https" if place.certificate else "http"
        trust = ["--cacert", place.certificate.file] if place.certificate else []
        prefix = self.namespace.prefix if self.namespace else []
        done = subprocess.run(
            [*prefix, "curl", "-sS", "-m", "60", *trust, *words,
             f"{scheme}://{place.bracketed}:{place.port}{path}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout, done.returncode


class Peers(Hosts):
    """The peers among themselves: what they can do, the tests must let them."""

    @need("ip", "nsenter", "ss", "nc.openbsd", "ncat", "socat", "openssl", root=False)
    def test_pairs(self):
        for listener, connector in (
            (SOCAT, NCAT), (NCAT, SOCAT), (NETCAT, NETCAT),
            (OPENSSL, OPENSSL), (OPENSSL, SOCAT), (SOCAT, OPENSSL),
        ):  # fmt: skip
            for kind in KINDS:
                if kind in listener.kinds and kind in connector.kinds:
                    self.check(kind, listener, connector)

    @need("ip", "nsenter", "ss", *PROXY_PROGRAMS)
    def test_proxies(self):
        self.check_proxies(NCAT, ["127.0.0.1"])

    @need("ip", "nsenter", "ss", "telnet", "telnetd", "socat")
    def test_telnet(self):
        side = self.telnet(lambda place: ["telnet", place.host, place.port], b"\r\n")
        self.assertIn(b"Escape character is '^]'.", side.received)
        passed("telnet: telnet connects to telnetd")

    @need("ip", "nsenter", "ss", "curl", "nginx", "openssl")
    def test_web(self):
        for kind in ("tcp", "tls"):
            self.web(kind)
            passed(f"web: curl connects to nginx by {kind}")


class Matrix(Hosts):
    """porthole and each of them."""

    @need("ip", "nsenter", "ss", "openssl", root=False)
    def test_itself(self):
        for kind in KINDS:
            self.check(kind, PORTHOLE, PORTHOLE)

    @need("ip", "nsenter", "ss", "nc.openbsd", root=False)
    def test_netcat(self):
        self.check_peer(NETCAT)

    @need("ip", "nsenter", "ss", "ncat", "openssl", root=False)
    def test_ncat(self):
        self.check_peer(NCAT)

    @need("ip", "nsenter", "ss", "socat", "openssl", root=False)
    def test_socat(self):
        self.check_peer(SOCAT)

    @need("ip", "nsenter", "ss", "openssl", root=False)
    def test_openssl(self):
        self.check_peer(OPENSSL)

    @need("ip", "nsenter", "ss", *PROXY_PROGRAMS)
    def test_proxies(self):
        self.check_proxies(PORTHOLE, ["127.0.0.1", "localhost"])

    @need("ip", "nsenter", "ss", "telnetd", "socat")
    def test_telnet_server(self):
        side = self.telnet(
            lambda place: [PROGRAM, "connect", "--telnet", "-v", place.host, place.port], b"\n"
        )
        self.assertNotIn(b"\xff", side.received)
        side.expect_said("Connected to 127.0.0.1.")
        side.end()
        side.expect_end()
        self.assertEqual(side.wait(), 0, str(side))
        passed("telnet: porthole connects to telnetd")

    @need("ip", "nsenter", "ss", "telnet")
    def test_telnet_client(self):
        place = Place(self, "tcp", self.namespace)
        here = self.side("porthole", [PROGRAM, "listen", place.port])
        place.wait(here.process)
        there = self.side("telnet", ["telnet", place.host, place.port])
        there.expect_heard(b"Escape character is '^]'.")
        there.write(b"typed there\n")
        here.expect_heard(b"typed there\r\n")
        here.write(b"typed here\n")
        there.expect_heard(b"typed here\n")
        there.end()
        there.wait()
        here.end()
        self.assertEqual(here.wait(), 0, str(here))
        passed("telnet: telnet connects to porthole")

    @need("ip", "nsenter", "ss", "curl")
    def test_web_client(self):
        place = Place(self, "tcp", self.namespace)
        here = self.side("porthole", [PROGRAM, "listen", place.port])
        place.wait(here.process)
        url = f"http://{place.host}:{place.port}/some?thing"
        there = self.side("curl", ["curl", "-sS", url])
        for line in (b"GET /some?thing HTTP/1.1\r\n", b"\r\nUser-Agent: curl/",
                     f"\r\nHost: {place.host}:{place.port}\r\n".encode(),
                     b"\r\nAccept: */*\r\n", b"\r\n\r\n"):  # fmt: skip
            here.expect_heard(line)
        here.write(b"HTTP/1.0 200 OK\r\n\r\nby hand\n")
        here.end()
        self.assertEqual((there.wait(), here.wait()), (0, 0), f"{there}; {here}")
        self.assertEqual(bytes(there.received), b"by hand\n")
        passed("web: curl connects to porthole")

    @need("ip", "nsenter", "ss", "curl", "openssl")
    def test_web_client_and_pages(self):
        for kind in ("tcp", "tls"):
            place = Place(self, kind, self.namespace)
            tls = place.certificate
            flags = ["--tls", "--cert", tls.file, "--key", tls.key] if tls else []
            here = self.side("porthole", [PROGRAM, "listen", "--http", *flags, place.port])
            place.wait(here.process)
            for _ in range(3):
                text, status = self.curl(place, "/page?of=mine", "-H", "X-Mine: yes", "-d", "body")
                self.assertEqual(status, 0)
                for line in ("POST /page?of=mine HTTP/1.1", "X-Mine: yes", "body"):
                    self.assertIn(line, text)
            here.stop()
            passed(f"web: curl connects to porthole listen --http by {kind}")

    @need("ip", "nsenter", "ss", "curl", "nginx", "openssl")
    def test_web_server(self):
        for kind in ("tcp", "tls"):
            place = self.web(kind)
            side = self.side("porthole", PORTHOLE.connect(place))
            side.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            side.expect_heard(PAGE.encode())
            side.end()
            self.assertEqual(side.wait(), 0, str(side))
            self.assertTrue(side.received.startswith(b"HTTP/1.1 200 OK\r\n"), str(side))
            passed(f"web: porthole connects to nginx by {kind}")

    @need("ip", "nsenter", "ss", "curl", "nginx", "openssl")
    def test_web_behind_a_relay(self):
        plain, secret = self.web("tcp"), self.web("tls")
        ca = ["--ca", secret.certificate.file]
        for kind, target, options in (
            ("tcp", f"tcp:127.0.0.1:{plain.port}", []),
            ("tcp", f"tls:127.0.0.1:{secret.port}", ca),
            ("tls", f"tcp:127.0.0.1:{plain.port}", []),
            ("unix", f"tcp:127.0.0.1:{plain.port}", []),
        ):
            place = Place(self, kind, self.namespace)
            tls = place.certificate
            options += ["--cert", tls.file, "--key", tls.key] if tls else []
            listen = f"unix:{place.path}" if kind == "unix" else f"{kind}:{place.port}"
            relay = self.side("relay", [PROGRAM, "relay", *options, listen, target])
            place.wait(relay.process)
            words = ["--unix-socket", place.path] if kind == "unix" else []
            for _ in range(3):
                self.assertEqual(self.curl(place, "/page", *words), (PAGE, 0), str(relay))
            relay.process.terminate()
            relay.wait()
            passed(f"web: curl connects to nginx through porthole relay {kind} {target[:3]}")


if __name__ == "__main__":
    unittest.main()

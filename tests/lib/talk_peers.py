"""Everybody whom porthole talks to, from Debian's packages: programs that join a port to their standard
input and output, and servers and proxies with a configuration of their own in a directory.

    place = Place(test, "tcp")
    Server(test, SOCAT.listen(place), place.namespace)
    place.wait()
"""

import collections
import contextlib
import itertools
import os
import pathlib
import secrets
import socket
import tempfile
import time
import urllib.parse

from namespaces import run
from servers import Server
from sockets import listening_ports

PATIENCE = 60  # seconds for something to begin
USER = "somebody"  # as proxies want them

# Below the ports that the kernel gives to those who connect, so that nobody is given one of these
# between the moment when it is found to be free and the one when a peer listens on it.
_ports = itertools.count(10240 + secrets.randbelow(20000))


def free_port(host="127.0.0.1"):
    """A port that nobody uses at this address, neither of TCP nor of UDP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in _ports:
        port = 10240 + (number - 10240) % 22000
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    stack.enter_context(socket.socket(family, kind)).bind((host, port))
                return port
    raise RuntimeError("no free port")


class Certificate:
    """A certificate of localhost and the addresses of loopback, signed by itself, for a day."""

    def __init__(self, directory):
        self.file = str(pathlib.Path(directory) / "certificate.pem")
        self.key = str(pathlib.Path(directory) / "key.pem")
        run("openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-keyout", self.key, "-out", self.file)  # fmt: skip


class Place:
    """Where two programs meet: `kind` is tcp, tcp6, udp, udp6, unix or tls."""

    def __init__(self, test, kind, namespace=None):
        self.kind = kind
        self.namespace = namespace
        self.host = "::1" if kind.endswith("6") else "127.0.0.1"
        self.directory = directory(test)
        self.path = str(self.directory / "socket")
        self.certificate = Certificate(self.directory) if kind == "tls" else None
        with self.entered():
            self.port = str(free_port(self.host))

    def __str__(self):
        return self.kind

    def entered(self):
        """A context in which the kernel's lists and new sockets are those of this place."""
        return self.namespace.entered() if self.namespace else contextlib.nullcontext()

    @property
    def family(self):
        """4 or 6."""
        return "6" if ":" in self.host else "4"

    @property
    def bracketed(self):
        """The host as socat and URLs have it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def is_taken(self):
        """Does somebody listen here? Asks the kernel, because most who listen take one client."""
        with self.entered():
            if self.kind == "unix":
                return f" {self.path}\n" in _table("unix")
            if self.kind.startswith("udp"):
                return f":{int(self.port):04X} " in _table("udp") + _table("udp6")
            return int(self.port) in listening_ports(self.host)

    def wait(self, process=None):
        """Waits until somebody listens here; `process` that ended instead is an error."""
        deadline = time.monotonic() + PATIENCE
        while not self.is_taken():
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"{process.args} ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody listens on {self.kind} {self.port}")
            time.sleep(0.01)


def _table(name):
    return pathlib.Path("/proc/thread-self/net", name).read_text(encoding="utf-8")


def directory(test):
    """A directory of the test's own, which servers that are not root can enter."""
    # pylint: disable-next=consider-using-with
    made = tempfile.TemporaryDirectory(prefix="porthole-")
    test.addCleanup(made.cleanup)
    os.chmod(made.name, 0o755)
    return pathlib.Path(made.name)


# ---- programs that join a port to standard input and output ----

# What a program does at an end, of one kind and in one role.
#   goes_on    it sends the rest of its input after the other side has ended
#   half       it goes on receiving after its own input has ended, of which it tells the other side
#   polite     (TLS) it always says close_notify before it closes
Manner = collections.namedtuple("Manner", "goes_on half polite", defaults=(True, True, True))


class Talker:
    """A program with words for the one who listens and the one who connects, at a Place."""

    name = None
    kinds = ()

    def listen(self, place):
        """The words of the one who listens, for one client."""
        raise NotImplementedError

    def connect(self, place):
        """The words of the one who connects."""
        raise NotImplementedError

    def manner(self, kind, role):
        """What it does at an end; `role` is "listen" or "connect"."""
        del kind, role
        return Manner()


class Netcat(Talker):
    """OpenBSD's, which tells the other side of its input's end only with -N."""

    name = "nc"
    kinds = ("tcp", "tcp6", "udp", "udp6", "unix")

    def _words(self, place, *words):
        flags = {"udp": ["-u"], "udp6": ["-u"], "unix": ["-U"]}.get(place.kind, [])
        where = [place.path] if place.kind == "unix" else [place.host, place.port]
        return ["nc.openbsd", "-n", "-N", *flags, *words, *where]

    def listen(self, place):
        return self._words(place, "-l")

    def connect(self, place):
        return self._words(place)

    def manner(self, kind, role):
        # As a listener it leaves when the client has ended.
        return Manner(goes_on=role == "connect")


class Ncat(Talker):
    """nmap's. As a client it compares certificates with names only, not with addresses."""

    name = "ncat"
    kinds = ("tcp", "tcp6", "udp", "udp6", "unix", "tls")

    def _flags(self, place):
        return {"udp": ["-u"], "udp6": ["-u"], "unix": ["-U"]}.get(place.kind, [])

    def listen(self, place):
        if place.kind == "unix":
            return ["ncat", "-l", "-U", place.path]
        flags = self._flags(place)
        if place.certificate:
            flags = ["--ssl", "--ssl-cert", place.certificate.file,
                     "--ssl-key", place.certificate.key]  # fmt: skip
        return ["ncat", "-l", *flags, place.host, place.port]

    def connect(self, place):
        if place.kind == "unix":
            return ["ncat", "-U", place.path]
        if place.certificate:
            return ["ncat", "-4", "--ssl-verify", "--ssl-trustfile", place.certificate.file,
                    "localhost", place.port]  # fmt: skip
        return ["ncat", "-n", *self._flags(place), place.host, place.port]

    def manner(self, kind, role):
        # As a listener it leaves when the client has ended, whatever it still had to say. Over TLS
        # its end is one of TCP alone, unless the other side's has come before.
        tls = kind == "tls"
        return Manner(goes_on=role == "connect" and not tls, half=not tls, polite=not tls)


class Socat(Talker):
    """socat, with patience for the other direction after one has ended."""

    name = "socat"
    kinds = ("tcp", "tcp6", "udp", "udp6", "unix", "tls")

    def _words(self, address):
        return ["socat", "-t", str(PATIENCE), "-b", "65536", "STDIO", address]

    def listen(self, place):
        where = f"LISTEN:{place.port},bind={place.bracketed},reuseaddr"
        return self._words({
            "tcp": f"TCP4-{where}",
            "tcp6": f"TCP6-{where}",
            "udp": f"UDP4-{where}",
            "udp6": f"UDP6-{where}",
            "unix": f"UNIX-LISTEN:{place.path}",
            "tls": place.certificate and f"OPENSSL-{where},cert={place.certificate.file},"
                   f"key={place.certificate.key},verify=0",
        }[place.kind])  # fmt: skip

    def connect(self, place):
        where = f"{place.bracketed}:{place.port}"
        return self._words({
            "tcp": f"TCP4:{where}",
            "tcp6": f"TCP6:{where}",
            "udp": f"UDP4:{where}",
            "udp6": f"UDP6:{where}",
            "unix": f"UNIX-CONNECT:{place.path}",
            "tls": place.certificate and f"OPENSSL:{where},cafile={place.certificate.file}",
        }[place.kind])  # fmt: skip


class Openssl(Talker):
    """s_server and s_client, which end both directions at the end of their input."""

    name = "openssl"
    kinds = ("tls",)

    def listen(self, place):
        return ["openssl", "s_server", "-quiet", "-naccept", "1",
                "-accept", f"{place.host}:{place.port}",
                "-cert", place.certificate.file, "-key", place.certificate.key]  # fmt: skip

    def connect(self, place):
        return ["openssl", "s_client", "-quiet", "-no_ign_eof", "-nocommands",
                "-connect", f"{place.host}:{place.port}", "-verify_return_error",
                "-CAfile", place.certificate.file]  # fmt: skip

    def manner(self, kind, role):
        return Manner(goes_on=False, half=False)


NETCAT, NCAT, SOCAT, OPENSSL = Netcat(), Ncat(), Socat(), Openssl()
TALKERS = (NETCAT, NCAT, SOCAT, OPENSSL)


# ---- servers ----


def telnetd(test, place, program="/bin/cat"):
    """inetutils' telnet server with `program` instead of a login, for any number of clients."""
    server = Server(
        test,
        ["socat", f"TCP-LISTEN:{place.port},bind={place.bracketed},reuseaddr,fork",
         f"EXEC:/usr/sbin/telnetd -n -h -E {program},nofork"],
        place.namespace,
    )  # fmt: skip
    server.wait_for(place.is_taken)
    return server


PAGE = "what nginx says\n"


def web_server(test, place):
    """nginx with one page, /page; / leads there, /missing does not exist, and /big is the file
    "big" in the place's directory. Over TLS it speaks HTTP/2, too."""
    folder = place.directory
    tls = ""
    if place.certificate:
        tls = f"ssl_certificate {place.certificate.file};\n"
        tls += f"ssl_certificate_key {place.certificate.key};\n"
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\n{user}pid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n"
        f"events {{ worker_connections 64; }}\nhttp {{\n{places}access_log off;\n"
        f"server {{ listen {place.bracketed}:{place.port}{' ssl http2' if tls else ''};\n{tls}"
        f"root {folder};\nabsolute_redirect off;\ndefault_type text/plain;\n"
        f"location = / {{ return 302 /page; }}\n"
        f"location = /page {{ return 200 '{PAGE}'; }}\n}}\n}}\n",
        encoding="utf-8",
    )
    server = Server(test, ["nginx", "-p", str(folder), "-c", str(config)], place.namespace)
    server.wait_for(place.is_taken)
    return server


# ---- proxies: each listens at its place, and is called by its URL ----


class Proxy:
    """A proxy that listens at `place`. `half`: it carries a half-close."""

    name = None
    schemes = ("http",)
    half = False
    password = None  # None: it wants no login

    def __init__(self, test, scheme, namespace=None):
        self.scheme = scheme
        self.place = Place(test, "tcp", namespace)
        Server(test, self.words(test), namespace).wait_for(self.place.is_taken)

    def words(self, test):
        """Writes its configuration; its command line."""
        raise NotImplementedError

    @property
    def where(self):
        """HOST:PORT."""
        return f"{self.place.host}:{self.place.port}"

    @property
    def login(self):
        """USER:PASSWORD."""
        return self.password and f"{USER}:{self.password}"

    @property
    def url(self):
        """As porthole and curl take it: what would mean something in a URL is escaped."""
        login = f"{USER}:{urllib.parse.quote(self.password, safe='')}@" if self.password else ""
        return f"{self.scheme}://{login}{self.where}"


class Dante(Proxy):
    """danted without passwords. Its SOCKS4 knows addresses only."""

    name = "danted"
    schemes = ("socks4", "socks5")
    half = True

    def words(self, test):
        config = self.place.directory / "danted.conf"
        anybody = "from: 0.0.0.0/0 to: 0.0.0.0/0\n"
        config.write_text(
            f"logoutput: stderr\ninternal: {self.place.host} port = {self.place.port}\n"
            f"external: lo\nclientmethod: none\nsocksmethod: none\n"
            f"user.privileged: root\nuser.unprivileged: nobody\n"
            f"client pass {{\n{anybody}}}\nsocks pass {{\n{anybody}command: connect\n}}\n",
            encoding="utf-8",
        )
        pid = str(self.place.directory / "danted.pid")
        return ["danted", "-N", "1", "-p", pid, "-f", str(config)]


class Microsocks(Proxy):
    """SOCKS5 with user and password."""

    name = "microsocks"
    schemes = ("socks5",)
    password = "pass:w/rd@1%"

    def words(self, test):
        return ["microsocks", "-i", self.place.host, "-p", self.place.port,
                "-u", USER, "-P", self.password]  # fmt: skip


class Ssh(Proxy):
    """OpenSSH's dynamic forwarding (-D), which speaks SOCKS4, SOCKS4a and SOCKS5."""

    name = "ssh"
    schemes = ("socks4", "socks5")
    half = True

    def words(self, test):
        folder = self.place.directory
        behind = Place(test, "tcp", self.place.namespace)
        for name in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        config = folder / "sshd_config"
        config.write_text(
            f"Port {behind.port}\nListenAddress {behind.host}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/user.pub\nPidFile none\nUsePAM no\nStrictModes no\n",
            encoding="utf-8",
        )
        words = ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
        if os.geteuid() == 0:
            # As root it wants /run/sshd, which Debian's unit makes: here it gets a /run of its own.
            script = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"'
            words = ["unshare", "--mount", "sh", "-c", script, "sh", *words]
        Server(test, words, self.place.namespace).wait_for(behind.is_taken)
        return ["ssh", "-F", "none", "-N", "-D", self.where, "-p", behind.port,
                "-i", str(folder / "user"), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
                "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                "-o", f"UserKnownHostsFile={folder}/known", behind.host]  # fmt: skip


class Tinyproxy(Proxy):
    """HTTP CONNECT with user and password, of letters and digits alone."""

    name = "tinyproxy"
    password = "secret"

    def words(self, test):
        config = self.place.directory / "tinyproxy.conf"
        config.write_text(
            f"Listen {self.place.host}\nPort {self.place.port}\nTimeout {PATIENCE}\n"
            f"MaxClients 20\nLogLevel Error\nBasicAuth {USER} {self.password}\n",
            encoding="utf-8",
        )
        return ["tinyproxy", "-d", "-c", str(config)]


class NcatProxy(Proxy):
    """ncat as an HTTP proxy, with user and password."""

    name = "ncat --proxy-type http"
    password = "pass:w/rd@1%"

    def words(self, test):
        return ["ncat", "-l", "--proxy-type", "http", "--proxy-auth", self.login,
                self.place.host, self.place.port]  # fmt: skip


PROXIES = (Dante, Microsocks, Ssh, Tinyproxy, NcatProxy)

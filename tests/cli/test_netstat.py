"""porthole netstat beside net-tools' own, in network namespaces of a test's own; what BSD's and
Windows' users type; and hostile names."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from namespaces import Namespace, need, wire
from porthole import PROGRAM, command, run
from sockets import listen, port_of

PATIENCE = 60  # seconds
NETSTAT = "/bin/netstat"
USAGE, TROUBLE = 3, 1  # exit statuses, as net-tools has them
INTERNET = "Proto Recv-Q Send-Q Local Address           Foreign Address         State      "


def real(namespace, *words):
    """What net-tools prints."""
    done = subprocess.run([*namespace.prefix, NETSTAT, *words], capture_output=True, text=True,
                          timeout=PATIENCE, check=True)  # fmt: skip
    return done.stdout


def ours(namespace, *words, **options):
    """What porthole prints, with nothing on stderr."""
    done = run("netstat", *words, namespace=namespace, **options)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
    return done.stdout


def by_section(text):
    """The lines below each heading: those of a table may come in any order."""
    sections = []
    for line in text.splitlines():
        if line.startswith(("Active ", "Kernel ", "Proto ", "Iface ", "Destination ")):
            sections.append([line])
        else:
            sections[-1].append(line)
    return [section[:1] + sorted(section[1:]) for section in sections]


class Scene:
    """Sockets in a namespace, in every state that stays for a while, all held by this process."""

    def __init__(self, test):
        self.stack = contextlib.ExitStack()
        test.addCleanup(self.stack.close)
        self.space = Namespace(test)
        self.space.ip("address", "add", "fd00::1234:5678:9abc:def0/128", "dev", "lo", "nodad")
        with self.space.entered():
            self.make_tcp()
            self.make_lost()
            self.make_others()
            self.make_unix()

    def keep(self, item):
        """Closes it at the end."""
        return self.stack.enter_context(item)

    def connect(self, listener, host="127.0.0.1"):
        """A connection to a listener: both of its ends."""
        client = self.keep(socket.create_connection((host, port_of(listener))))
        return client, self.keep(listener.accept()[0])

    def make_tcp(self):
        """What nobody disturbs."""
        ipv4, ipv6 = self.keep(listen("0.0.0.0", 8080)), self.keep(listen("::", 8081, dual=True))
        self.keep(listen("fd00::1234:5678:9abc:def0", 443))
        client, server = self.connect(ipv4)  # ESTABLISHED, with something unread
        client.sendall(b"x" * 1000)
        self.connect(ipv6, "::1")
        self.connect(ipv6)  # as IPv4 in IPv6
        client, server = self.connect(ipv4)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client, server = self.connect(ipv4)
        client.close()  # FIN_WAIT2 and CLOSE_WAIT
        client, server = self.connect(ipv4)
        client.close()
        server.close()  # TIME_WAIT
        self.keep(socket.create_connection(("127.0.0.1", 8080)))  # not accepted

    def make_lost(self):
        """States in which an answer is awaited that never comes."""
        self.space.nft("add table inet lost\n"
                       "add chain inet lost in { type filter hook input priority 0; }\n"
                       "add rule inet lost in tcp dport 29001 drop\n"
                       "add rule inet lost in tcp sport 29002 tcp flags & (syn | ack) == (syn | ack) drop\n")  # fmt: skip
        answered, unanswered = self.keep(listen("127.0.0.1", 29003)), self.keep(listen("127.0.0.1", 29004))
        self.keep(listen("127.0.0.1", 29002))
        for port in (29001, 29002):  # SYN_SENT, and SYN_RECV at the other end
            client = self.keep(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        first, _ = self.connect(answered)
        second, server = self.connect(unanswered)
        second.close()
        while server.recv(1):
            pass
        self.space.nft("add rule inet lost in tcp dport { 29003, 29004 } drop\n"
                       "add rule inet lost in tcp sport { 29003, 29004 } drop\n")  # fmt: skip
        first.close()  # FIN_WAIT1
        server.close()  # LAST_ACK

    def make_others(self):
        """UDP, UDP-Lite where there is any, and raw sockets."""
        bound = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        bound.bind(("0.0.0.0", 53))
        connected = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        connected.bind(("127.0.0.1", 5353))
        connected.connect(("127.0.0.1", 53))
        connected.send(b"q" * 100)
        self.keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)).bind(("::1", 123))
        with contextlib.suppress(OSError):
            lite = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE))
            lite.bind(("0.0.0.0", 29005))
        for protocol in (socket.IPPROTO_ICMP, 99, socket.IPPROTO_RAW):
            self.keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))
        self.keep(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
        peer = self.keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, 98))
        peer.connect(("127.0.0.1", 0))

    def make_unix(self):
        """Pairs, listeners with a connection that is not accepted, and a busy datagram socket."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            name = f"\0porthole-{os.getpid()}\0{kind}"
            for item in (*socket.socketpair(socket.AF_UNIX, kind),
                         socket.socket(socket.AF_UNIX, kind)):  # fmt: skip
                self.keep(item)
            server = self.keep(socket.socket(socket.AF_UNIX, kind))
            server.bind(name)
            if kind != socket.SOCK_DGRAM:
                server.listen(5)
            for _ in range(2):
                self.keep(socket.socket(socket.AF_UNIX, kind)).connect(name)
            if kind != socket.SOCK_DGRAM:
                self.keep(server.accept()[0])
        left, right = socket.socketpair(socket.AF_UNIX)
        self.keep(left)
        right.close()  # its end is connected to nobody


@need(NETSTAT, "nft")
class BesideTheRealOne(unittest.TestCase):
    """Line by line what net-tools says of the same sockets."""

    def setUp(self):
        self.space = Scene(self).space  # some states end after a minute

    def compare(self, *words, normal=lambda text: text):
        """The same sections with the same lines. What changes between two of the real one's runs
        (retransmissions) is asked for again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            before = by_section(normal(real(self.space, *words)))
            told = by_section(normal(ours(self.space, *words)))
            if before == by_section(normal(real(self.space, *words))) or time.monotonic() > deadline:
                break
        self.assertEqual(told, before, f"netstat {' '.join(words)}")
        return told

    def test_all_sockets(self):
        for words in (["-an"], ["-n"], ["-ln"], ["-anW"], ["--all", "--numeric", "--wide"], ["-nv"]):
            self.compare(*words)

    def test_every_state_is_there(self):
        states = {line[68:].strip() for line in ours(self.space, "-ant").splitlines()[2:]}
        self.assertLessEqual({"LISTEN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1",
                              "FIN_WAIT2", "TIME_WAIT", "CLOSE_WAIT", "LAST_ACK"}, states)  # fmt: skip

    def test_bundles_that_people_type(self):
        for bundle in ("-tulpn", "-plant", "-alnp", "-tan", "-nputw", "-lnptu", "-anp", "-neeap"):
            self.compare(bundle)

    def test_kinds(self):
        for words in ("-t", "-u", "-w", "-U", "-x", "-tu", "-tx", "-lx", "-ax", "-aw", "-au", "-aU"):
            self.compare(words, "-n")

    def test_families(self):
        for words in (["-4"], ["-6"], ["-a6"], ["-A", "inet"], ["-A", "inet6,unix", "-l"],
                      ["--inet", "-a"], ["--inet6", "-l"], ["--unix", "-a"], ["--protocol=inet6", "-a"],
                      ["-a4", "-x", "-w"], ["--inet", "--inet6", "-at"]):  # fmt: skip
            self.compare(*words, "-n")

    def test_users_and_inodes(self):
        for words in (["-ane"], ["-tne"], ["-ae", "--numeric-hosts", "--numeric-ports"],
                      ["-ae", "--numeric-hosts", "--numeric-ports", "--numeric-users"]):  # fmt: skip
            self.compare(*words)

    def test_timers(self):
        def without_times(text):
            """Of connections that are not made yet the two count differently."""
            text = re.sub(r"(?m)(SYN_RECV.*)\(\d+\.\d\d/\d+", r"\1(0/N", text)
            return re.sub(r"\(\d+\.\d\d/", "(0/", text)

        timers = re.findall(r"(\w+) \((\d+\.\d\d)/\d+/\d+\)$", ours(self.space, "-atno"), re.M)
        self.assertEqual({"off", "on", "keepalive", "timewait"}, {name for name, _ in timers})
        for name, due in timers:
            longest = {"off": 0, "on": 120, "keepalive": 7200, "timewait": 60}[name]
            self.assertLessEqual(float(due), longest)
        for words in ("-tno", "-anopt", "-aneopt", "-unoa"):
            self.compare(words, normal=without_times)

    def test_names_of_ports_and_protocols(self):
        self.compare("-a", "--inet", "--inet6", "-tuw", "--numeric-hosts")

    def test_names_of_hosts(self):
        """What the hosts file knows; the real one does not look up IPv4 in IPv6 there."""

        def named(text):
            lines = text.splitlines(keepends=True)
            return "".join(line for line in lines if not line.startswith("tcp6"))

        told = self.compare("-at", normal=named)
        self.assertIn("localhost:http-alt", "".join(told[1]))

    def test_records_are_those_of_sockets(self):
        told = records.parse(ours(self.space, "--json", "-alnp", "--inet", "--inet6"))
        listed = ours(self.space, "-an", "--inet", "--inet6").splitlines()[2:]
        self.assertEqual({record["type"] for record in told}, {"socket"})
        self.assertEqual(len(told), len(listed))
        (server,) = [record for record in told
                     if record.get("local_port") == 8080 and record["state"] == "LISTEN"]  # fmt: skip
        self.assertEqual(server["processes"][0]["pid"], os.getpid())
        servers = records.parse(ours(self.space, "--json", "-lt"))
        self.assertEqual({record["state"] for record in servers}, {"LISTEN"})

    def test_windows(self):
        """`netstat -ano`: the PID is the last column; `-b` shows the program as well."""
        for words in ("-ano", "-nao"):
            lines = ours(self.space, words).splitlines()
            internet = lines[:lines.index(next(line for line in lines if "UNIX" in line))]
            self.assertEqual(internet[1], f"{INTERNET} {'Timer':<23} PID")
            (server,) = [line for line in internet if ":8080" in line and "LISTEN" in line]
            self.assertEqual(server.split()[-1], str(os.getpid()))
        beside = real(self.space, "-anop")

        def without_times(text):
            return re.sub(r"\(\d+\.\d\d/\d+", "(0/", text)

        for words in ("-anob", "-abno"):
            told = ours(self.space, words)
            self.assertEqual(by_section(without_times(told)), by_section(without_times(beside)))

    def test_bsd(self):
        """-f takes a family, and a protocol follows -p."""
        families = ours(self.space, "-an", "--inet", "--inet6").splitlines()
        dual = [line for line in families if ":::8081" in line]
        mapped = [line for line in families if re.match(r"tcp6 .* 127\.0\.0\.1:", line)]
        self.assertEqual((len(dual), len(mapped)), (1, 1))
        inet, inet6 = (ours(self.space, "-f", name, "-an").splitlines() for name in ("inet", "inet6"))
        self.assertEqual(sorted(inet), sorted([*real(self.space, "-an4").splitlines(), *dual, *mapped]))
        self.assertEqual(sorted([*inet6, *mapped]), sorted(real(self.space, "-an6").splitlines()))
        self.assertEqual(ours(self.space, "-f", "unix", "-an"), ours(self.space, "-anx"))
        self.assertEqual(ours(self.space, "-anp", "tcp"), ours(self.space, "-antp"))
        self.assertEqual(ours(self.space, "-an", "-p", "UDP"), ours(self.space, "-anup"))

    def test_it_repeats(self):
        for words in (["-lntc"], ["-lnt", "0.05"], ["-c", "-lnt", "0.05"]):
            with subprocess.Popen(command("netstat", *words, namespace=self.space),
                                  stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
                headings = 0
                while headings < 2:
                    line = process.stdout.readline()
                    self.assertTrue(line)
                    headings += line.startswith("Active ")
                process.send_signal(signal.SIGINT)
                process.stdout.read()
                self.assertEqual(process.wait(PATIENCE), -signal.SIGINT)

    def test_by_its_own_name(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder, "netstat")
            link.symlink_to(PROGRAM)
            done = subprocess.run([*self.space.prefix, link, "-lnt"], capture_output=True, text=True,
                                  timeout=PATIENCE, check=True)  # fmt: skip
        self.assertEqual(done.stdout, ours(self.space, "-lnt"))


@need(NETSTAT)
class Tutorial(unittest.TestCase):
    """The transcript that everybody knows: nc, telnet, and netstat that shows both."""

    def start(self, *words):
        """Runs a classic name in the namespace until the test ends."""
        process = subprocess.Popen([*self.space.prefix, *words], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

        def end():
            process.terminate()
            process.communicate(timeout=PATIENCE)

        self.addCleanup(end)
        return process

    def wait_for(self, pattern, *words):
        """Asks netstat until it says so; returns all that it says."""
        deadline = time.monotonic() + PATIENCE
        while True:
            told = ours(self.space, *words)
            if re.search(pattern, told) or time.monotonic() > deadline:
                self.assertRegex(told, pattern)
                return told
            time.sleep(0.02)

    def test_it(self):
        self.space = Namespace(self)  # pylint: disable=attribute-defined-outside-init
        with tempfile.TemporaryDirectory() as folder:
            for name in ("nc", "telnet"):
                pathlib.Path(folder, name).symlink_to(PROGRAM)
            server = self.start(f"{folder}/nc", "-l", "8080")
            listener = rf"(?m)^tcp6? +0 +0 \S+:8080 +\S+:\* +LISTEN +{server.pid}/nc +$"
            self.wait_for(listener, "-alnp")
            client = self.start(f"{folder}/telnet", "localhost", "8080")
            self.wait_for(r"ESTABLISHED(.|\n)*ESTABLISHED", "-f", "inet", "-n")
        ends = ours(self.space, "-f", "inet", "-n")
        self.assertEqual(ends.splitlines()[:2], ["Active Internet connections (w/o servers)", INTERNET])
        number = r"127\.0\.0\.1:\d+ +"
        self.assertRegex(ends, rf"(?m)^tcp6? +0 +0 127\.0\.0\.1:8080 +{number}ESTABLISHED$")
        self.assertRegex(ends, rf"(?m)^tcp +0 +0 {number}127\.0\.0\.1:8080 +ESTABLISHED$")
        both = ours(self.space, "-alnp")
        self.assertRegex(both, rf"(?m)^tcp6? +0 +0 127\.0\.0\.1:8080 +{number}ESTABLISHED {server.pid}/nc +$")
        self.assertRegex(both, rf"(?m)^tcp +0 +0 {number}127\.0\.0\.1:8080 +ESTABLISHED {client.pid}/telnet +$")
        self.assertEqual(by_section(both), by_section(real(self.space, "-alnp")))


@need(NETSTAT)
class Tables(unittest.TestCase):
    """Routes, interfaces, groups and counters of a network that is known."""

    def setUp(self):
        self.space, other = Namespace(self), Namespace(self)
        self.device = wire(self.space, ["198.18.0.1/24", "fd00:5::1/64"], other, ["198.18.0.2/24"])
        device = ["dev", self.device]
        ip = self.space.ip
        ip("address", "add", "198.18.77.1/32", *device, "label", f"{self.device}:1")
        ip("route", "add", "default", "via", "198.18.0.2", *device, "metric", "50")
        ip("route", "add", "198.19.0.0/16", "via", "198.18.0.7")
        ip("route", "add", "198.18.5.5/32", *device, "advmss", "1200", "window", "4000", "rtt", "30ms")
        for kind, number in (("unreachable", 7), ("blackhole", 8), ("prohibit", 9), ("throw", 10)):
            ip("route", "add", kind, f"198.18.{number}.0/24")
        ip("route", "add", "198.18.30.0/24", *device, "table", "77")
        ip("-6", "route", "add", "fd00:9::/64", "via", "fd00:5::7")
        ip("-6", "route", "add", "unreachable", "fd00:8::/64")
        ip("-6", "route", "add", "default", "via", "fd00:5::8", "metric", "10")
        ip("-6", "route", "add", "fd00:a::/64", "nexthop", "via", "fd00:5::7", *device,
           "nexthop", "via", "fd00:5::8", *device)  # fmt: skip
        for name, peer in (("test2", "test10"),):
            ip("link", "add", name, "type", "veth", "peer", "name", peer)

    def compare(self, *words, normal=lambda text: text):
        """As above, in the same order."""
        deadline = time.monotonic() + PATIENCE
        while True:
            before = normal(real(self.space, *words))
            told = normal(ours(self.space, *words))
            if before == normal(real(self.space, *words)) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.assertEqual(told, before, f"netstat {' '.join(words)}")
        return told

    def test_ipv4_routes(self):
        for words in ("-rn", "-rne", "-rnee", "-rnF", "-nr4"):
            told = self.compare(words)
        self.assertIn("198.19.0.0      198.18.0.7      255.255.0.0     UG ", told)
        self.assertIn("default ", ours(self.space, "-r"))

    def test_ipv6_routes(self):
        """But for how many refer to them, and the kernel's own last resort, which only /proc tells."""

        def without_references(text):
            text = re.sub(r"(?m)^::/0 +:: +!n +-1 .*\n", "", text)
            return re.sub(r"(?m)^(.{58}\S+ +-?\d+ +)\d+( +\d+ \S+)$", r"\1N\2", text)

        for words in ("-rn6", "-rn46"):
            told = self.compare(words, normal=without_references)
        self.assertRegex(told, r"(?m)^fd00:9::/64 +fd00:5::7 +UG +1024 N +0 \S+$")

    def test_interfaces(self):
        def sorted_addresses(text):
            return re.sub(r"(?m)(^ +inet6 .*\n)+",
                          lambda match: "".join(sorted(match.group().splitlines(True))), text)  # fmt: skip

        self.space.ip("link", "set", "test2", "promisc", "on")
        for words in ("-i", "-ia", "-ie", "-iae", "-in"):
            told = self.compare(words, normal=sorted_addresses)
        self.assertIn(self.device, told)
        self.assertLess(*map(ours(self.space, "-ia").index, ("test2", "test10")))
        self.assertEqual(ours(self.space, "-I", "lo").splitlines()[2:],
                         [line for line in ours(self.space, "-i").splitlines() if line[:3] == "lo "])  # fmt: skip

    def test_groups(self):
        told = self.compare("-gn")
        self.assertIn("224.0.0.1\n", told)

    def test_counters(self):
        with self.space.entered(), listen("127.0.0.1") as listener:
            socket.create_connection(("127.0.0.1", port_of(listener))).close()
        for words in ("-s", "-st", "-su", "-sw", "-s6", "-st6"):
            told = self.compare(words)
        self.assertIn("1 active connection openings", told)

    def test_counters_in_every_number(self):
        """Each counter that the kernel has, as 0, 1 and 2."""
        # A sanitizer needs to look at itself, and for leaks at all of /proc.
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        script = ('mkdir -p "$1"/old && mount --bind /proc "$1"/old && mount -t tmpfs none /proc && '
                  'ln -s "$1"/old/self /proc && cp -r "$1"/net /proc && shift && exec "$@"')  # fmt: skip
        for value in ("0", "1", "2"):
            with tempfile.TemporaryDirectory() as folder:
                net = pathlib.Path(folder, "net")
                net.mkdir()
                for name in ("snmp", "netstat", "snmp6"):
                    text = pathlib.Path("/proc/net", name).read_text(encoding="ascii")
                    text = re.sub(r"(?<=[ \t])-?\d+\b", value, text)
                    net.joinpath(name).write_text(text, encoding="ascii")
                for words in ("-s", "-s6"):
                    outputs = [subprocess.run(
                        ["unshare", "-m", "sh", "-c", script, "sh", folder, *program, words],
                        capture_output=True, text=True, timeout=PATIENCE, check=True,
                        env=environment).stdout for program in ([PROGRAM, "netstat"], [NETSTAT])]  # fmt: skip
                    self.assertEqual(*outputs)


@need()
class Hostile(unittest.TestCase):
    """Processes and paths with names that shall do harm."""

    NAMES = [b"ev\x1b[31mil\nname", b"\xff\xfe\x80", b"/usr/bin/\x1b]0;title\x07", "\u202egpj.exe".encode(),
             b"\xc2\x9b1m"]  # fmt: skip

    def setUp(self):
        self.space = Namespace(self)

    def hold(self, name):
        """A process of that name which listens; returns its PID."""
        with self.space.entered(), listen("127.0.0.1") as listener:
            process = subprocess.Popen(
                [name, "600"], executable="/bin/sleep", pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip

        def end():
            process.kill()
            process.wait()

        self.addCleanup(end)
        return process.pid

    def check_harmless(self, text):
        """No character that a terminal obeys."""
        for character in text:
            code = ord(character)
            self.assertFalse(code < 32 and character != "\n" or 127 <= code < 160 or code == 0x202E,
                             repr(text))  # fmt: skip

    def test_processes(self):
        pids = {self.hold(name) for name in self.NAMES}
        for words in ("-tlnp", "-ano", "-tlnpW", "-anob"):
            told = ours(self.space, words)
            self.check_harmless(told)
            lines = [line for line in told.splitlines() if line.startswith("tcp")]
            self.assertEqual(len(lines), len(self.NAMES))
            self.assertEqual({int(re.search(r"(?:LISTEN +|\) +)(\d+)(?:/|$)", line)[1]) for line in lines}, pids)
        told = ours(self.space, "-tlnp")
        self.assertIn(r"/ev\x1b[31mi", told)
        self.assertEqual(len(records.parse(ours(self.space, "-tlp", "--json"))), len(self.NAMES))

    def test_paths(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            for name in (*self.NAMES[:2], self.NAMES[4], b"with blank"):
                with self.space.entered():
                    item = stack.enter_context(socket.socket(socket.AF_UNIX))
                item.bind(folder.encode() + b"/" + name.replace(b"/", b"_"))
                item.listen(1)
            told = ours(self.space, "-lx")
            self.check_harmless(told)
            self.assertEqual(told.count(folder), 4)
            self.assertIn(rf"{folder}/ev\x1b[31mil\x0aname", told)
            self.assertIn(f"{folder}/with blank\n", told)
            self.assertEqual(len(records.parse(ours(self.space, "-lx", "--json"))), 4)

    def test_long_names_are_cut(self):
        pid = self.hold(b"/opt/a-program-with-a-very-long-name")
        kept = f"{pid}/a-program-with-a-very-long-name"[:19]
        self.assertRegex(ours(self.space, "-tlnp"), rf"LISTEN +{re.escape(kept)} +\n")


class Faults(unittest.TestCase):
    """What ends with which status."""

    def fails(self, *words, status=USAGE, **options):
        """Runs to a fault; returns what is said of it."""
        done = run("netstat", *words, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertRegex(done.stderr, r"^porthole netstat: .+\n")
        return done.stderr

    def test_wrong_command_lines(self):
        for words, message in {
            ("--nonsense",): "unknown option '--nonsense'",
            ("-Q",): "unknown option '-Q'",
            ("-A", "bogus"): "inet, inet6 and unix",
            ("-f", "inet,x"): "inet, inet6 and unix",
            ("-A",): "'-A'",
            ("word",): "'word' is neither",
            ("-c", "0"): "'0' is neither",
            ("-r", "-i"): "exclude one another",
            ("-s", "--json"): "--json is for sockets",
            ("-M",): "conntrack",
            ("-rC",): "no cache",
        }.items():
            self.assertIn(message, self.fails(*words))

    def test_what_cannot_be_done(self):
        self.assertIn("no interface 'nonesuch'", self.fails("-I", "nonesuch", status=TROUBLE))
        for words in ("-an", "-rn", "-i", "-s", "-gn"):
            with open("/dev/full", "w", encoding="ascii") as full:
                self.assertIn("No space left", self.fails(words, status=TROUBLE, stdout=full))

    def test_a_closed_standard_output(self):
        done = subprocess.run(["sh", "-c", 'exec "$0" netstat -an >&-', PROGRAM], capture_output=True,
                              text=True, timeout=PATIENCE, check=False)  # fmt: skip
        self.assertEqual(done.returncode, TROUBLE)
        self.assertIn("cannot write standard output", done.stderr)

    def test_a_reader_that_leaves(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as output:
            for words in (["-an"], ["-an", "--json"], ["-lnc"]):
                done = run("netstat", *words, stdout=output)
                self.assertEqual((done.returncode, done.stderr), (128 + signal.SIGPIPE, ""))

    def test_help_and_version(self):
        for words, begin in {"--help": "netstat", "-h": "netstat", "-V": "porthole ", "--version": "porthole "}.items():
            done = run("netstat", words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(begin, done.stdout)

    @need()
    def test_others_processes(self):
        """Who may not see all processes is told so, once and on stderr, in net-tools' words."""
        space = Namespace(self)
        for words, line in (["-lntp"], r"LISTEN +- +\n$"), (["-lntp", "--json"], r'^{[^\n]*"LISTEN"[^\n]*}\n$'):
            with self.subTest(words=words), space.entered(), listen("127.0.0.1"):
                try:
                    done = subprocess.run(
                        ["nsenter", f"--net={space.path}", "setpriv", "--reuid=65534", "--regid=65534",
                         "--clear-groups", PROGRAM, "netstat", *words],
                        capture_output=True, text=True, timeout=PATIENCE, check=False)  # fmt: skip
                except FileNotFoundError:
                    self.skipTest("no setpriv")
                if done.returncode in (126, 127):
                    self.skipTest("other users cannot reach the program")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stderr,
                                 "(Not all processes could be identified, non-owned process info\n"
                                 " will not be shown, you would have to be root to see it all.)\n")
                self.assertRegex(done.stdout, line)


if __name__ == "__main__":
    unittest.main()

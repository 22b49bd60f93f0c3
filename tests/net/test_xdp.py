"""The XDP link on real kernels: what it says is what packet sockets say and what is true, it closes
what it has opened, leaves others' traffic and programs alone, and leaves nothing behind.

    here 198.18.0.1, fd00::1 ---- 198.18.0.2, fd00::2 there, who also has all of NETWORKS
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import reflector
import test_techniques
from namespaces import PATIENCE, Namespace, need, wire
from namespaces import run as system
from porthole import PROGRAM, run, start
from reflector import PASS, Reflector
from segments import checksum
from sockets import listen
from test_firewall import CLOSED, FAMILIES
from test_lab_scan import states_of

BUILT = b"xdp_license" in pathlib.Path(PROGRAM).read_bytes() and os.path.exists(reflector.program())
SYN_RECEIVED = "03"  # in /proc/net/tcp
XDP = ("--link", "xdp")
WALKED = (*XDP, "--min-rate", "100k")  # below it is not worth it, and packet sockets do it
NETWORKS = {4: "198.19.0.0/20", 6: "fd01::/116"}
MANY = range(3000, 3400)  # ports, so that there is something to walk
ONLY_RAW = ["setpriv", "--bounding-set", "-all,+net_raw"]


def program_on(namespace, device):
    """The number of the XDP program that is attached to a device, or None."""
    link = json.loads(namespace.ip("-json", "link", "show", "dev", device))[0]
    return link["xdp"]["prog"]["id"] if "xdp" in link else None


class Found:
    """What a scan said. (That records are valid is tested elsewhere, and takes long.)"""

    def __init__(self, text):
        records = [json.loads(line) for line in text.splitlines()]
        self.summary, self.states = records[-1], states_of(records)


def let_poll(namespace, device):
    """veth takes what XDP programs send only at an end that polls, as hardware always does."""
    system(*namespace.prefix, "ethtool", "-K", device, "gro", "on")


class Single:
    """Counts the probes that leave by packet sockets, which alone pass this hook."""

    def __init__(self, namespace, device):
        self._prefix = namespace.prefix
        namespace.nft(
            "table netdev count\ndelete table netdev count\ntable netdev count { chain count { "
            f"type filter hook egress device {device} priority 0; meta l4proto tcp counter; }}; }}"
        )

    def count(self):
        """How many there were."""
        text = system(*self._prefix, "nft", "-j", "list", "table", "netdev", "count")
        (rule,) = (item["rule"] for item in json.loads(text)["nftables"] if "rule" in item)
        return rule["expr"][-1]["counter"]["packets"]


class Reflected(unittest.TestCase):
    """Scans of what the reflector plays."""

    maxDiff = 2000
    PORTS = "1-64"
    SMALL = "198.19.0.0/25"
    LARGE = "198.19.0.0/22"  # large enough for XDP to be wanted; takes a while at the least rate

    def lab(self, **others):
        """A reflector until the test's end, which looks at checksums."""
        return Reflector(verify=True, test=self, **others)

    def truth(self, lab, *targets):
        """What a scan should say."""
        same = {"silent": "no-response"}
        return {key: (state.state, same.get(state.reason, state.reason), None)
                for key, state in lab.truth(self.PORTS, *targets).items()}  # fmt: skip

    def words(self, *targets):
        """A scan by XDP."""
        return ["scan", "--json", "-sS", *WALKED, "-p", self.PORTS, *(targets or [self.SMALL])]

    def whole(self, lab, *words):
        """What a scan found that came to its end by XDP."""
        done = run(*words, namespace=lab.namespace)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = Found(done.stdout)
        self.assertEqual((found.summary["link"], found.summary["end"]), ("xdp", "complete"))
        return found

    def assert_found(self, states, truth):
        """All of it; but where a busy machine's queues ran over again and again, one port in a thousand may
        have been asked in vain, which is what a scan promises."""
        self.assertEqual(states.keys(), truth.keys())
        wrong = {key: state for key, state in states.items() if state != truth[key]}
        self.assertLessEqual(len(wrong), len(truth) // 1000)
        self.assertLessEqual(set(wrong.values()), {("filtered", "no-response", None)})

    def wait_until_attached(self, lab, process):
        """Returns the program's number."""
        deadline = time.monotonic() + PATIENCE
        while (number := program_on(lab.namespace, lab.device)) is None:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
        return number

    def assert_gone(self, lab, number=None):
        """No program is attached, and this one is not even in the kernel any more, soon: the kernel
        waits for those who still run it."""
        self.assertIsNone(program_on(lab.namespace, lab.device))
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(RuntimeError):  # bpftool finds none
            while number:
                system("bpftool", "prog", "show", "id", str(number))
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter", "ethtool", "setpriv", "bpftool")
class Attached(Reflected):
    """Its program on a device."""

    def test_every_state_is_true(self):
        lab, heard = self.lab(), 0
        single = Single(lab.namespace, lab.device)
        for target in (self.SMALL, "fd01::/121"):
            found = self.whole(lab, *self.words(target))
            self.assert_found(found.states, self.truth(lab, target))
            heard += found.summary["open"]
        counters = lab.counters()
        self.assertEqual((counters["broken"], counters["others"]), (0, 0))
        self.assertLess(single.count(), counters["probes"] / 2)
        # Where a queue ran over, an answer was not heard, and asked for again.
        self.assertGreaterEqual(counters["resets"], heard)
        self.assertLessEqual(counters["resets"], counters["syn_acks"])
        self.assert_gone(lab)

    def test_killed_at_any_moment(self):
        lab = self.lab()
        for wait in (0, 0.05, random.uniform(0.1, 0.3), 0.5):
            with start(*self.words(self.LARGE), "--rate", "100k", namespace=lab.namespace,
                       stdout=subprocess.DEVNULL) as process:  # fmt: skip
                number = self.wait_until_attached(lab, process)
                time.sleep(wait)
                process.kill()
            self.assertEqual(process.returncode, -signal.SIGKILL)
            self.assert_gone(lab, number)

    def test_killed_before_it_is_attached(self):
        lab = self.lab()
        for _ in range(5):
            with start(*self.words(), namespace=lab.namespace,
                       stdout=subprocess.DEVNULL) as process:  # fmt: skip
                time.sleep(random.uniform(0, 0.1))
                process.kill()
            self.assert_gone(lab)

    def test_interrupted_and_out_of_time(self):
        lab = self.lab()
        truth = self.truth(lab, self.LARGE)
        for words, sent in ([], signal.SIGINT), (["--max-time", "400ms"], None):
            with start(*self.words(self.LARGE), "--rate", "100k", *words,
                       namespace=lab.namespace) as process:  # fmt: skip
                number = self.wait_until_attached(lab, process)
                lines = [process.stdout.readline() for _ in range(1000 if sent else 0)]
                if sent:
                    process.send_signal(sent)
                found = Found("".join([*lines, *process.stdout.readlines()]))
            end, status = ("interrupted", -sent) if sent else ("timed-out", 1)
            self.assertEqual((found.summary["end"], process.returncode), (end, status))
            self.assertEqual(found.states, {key: truth[key] for key in found.states})
            self.assertEqual(found.summary["undecided"], len(truth) - len(found.states))
            self.assertGreater(found.summary["undecided"], 0)
            self.assert_gone(lab, number)

    def test_a_program_of_somebody_else_s(self):
        lab = self.lab(polls=PASS)
        number = program_on(lab.namespace, lab.device)
        refused = run(*self.words(), namespace=lab.namespace)
        self.assertEqual(refused.returncode, 3)
        self.assertEqual(Found(refused.stdout).summary["end"], "failed")
        self.assertIn(f"{lab.device} already has an XDP program (id {number})", refused.stderr)
        self.assertEqual(refused.stderr.count("\n"), 1)
        done = run("scan", "--json", "-sS", "-p", self.PORTS, self.LARGE, namespace=lab.namespace)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(
            done.stderr,
            f"porthole scan: link: packet sockets, because {lab.device} already has an XDP program"
            f" (id {number})\n",
        )
        self.assertEqual(Found(done.stdout).summary["link"], "packet")
        self.assertEqual(program_on(lab.namespace, lab.device), number)

    def test_two_at_a_time(self):
        """The second one is refused as anybody would be, and the first goes on."""
        lab = self.lab()
        with start(*self.words(self.LARGE), "--rate", "100k", namespace=lab.namespace) as process:
            number = self.wait_until_attached(lab, process)
            second = run(*self.words(), namespace=lab.namespace)
            self.assertEqual(second.returncode, 3)
            self.assertIn(f"(id {number})", second.stderr)
            found = Found(process.communicate(timeout=PATIENCE)[0])
        self.assert_found(found.states, self.truth(lab, self.LARGE))

    def test_without_the_rights(self):
        lab = self.lab()
        prefix = [*lab.prefix, *ONLY_RAW, PROGRAM]
        for words, status, link in (
            (self.words(), 3, None),
            (["scan", "--json", "-sS", "-p", self.PORTS, self.LARGE], 0, "packet"),
        ):
            done = subprocess.run([*prefix, *words], capture_output=True, encoding="utf-8",
                                  timeout=PATIENCE, check=False)  # fmt: skip
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn("CAP_BPF", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            if link:
                self.assertEqual(Found(done.stdout).summary["link"], link)
        self.assert_gone(lab)

    def test_a_device_that_fails(self):
        """Nothing leaves, from some moment on, and no port is silent because of that."""
        lab, target = self.lab(), self.LARGE
        truth = self.truth(lab, target)
        with start(*self.words(target), "--rate", "100k", namespace=lab.namespace) as process:
            self.wait_until_attached(lab, process)
            time.sleep(0.2)
            lab.namespace.ip("link", "set", "dev", lab.device, "down")
            found = Found(process.communicate(timeout=PATIENCE)[0])
        self.assertEqual(process.returncode, 1)
        self.assertEqual(found.states, {key: truth[key] for key in found.states})
        self.assertEqual(found.summary["filtered"], 0)
        self.assertGreater(found.summary["errors"], 0)


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter", "ethtool")
class Parts(Reflected):
    """Scans that are killed and resumed, or done in parts."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
        self.checkpoint = pathlib.Path(directory, "scan.ckpt")

    def test_killed_and_resumed(self):
        lab = self.lab()
        truth = self.truth(lab, self.LARGE)
        for after in (0.2, random.uniform(0, 0.6)):
            with start(*self.words(self.LARGE), "--rate", "100k", "--checkpoint", self.checkpoint,
                       namespace=lab.namespace, stdout=subprocess.DEVNULL) as process:  # fmt: skip
                self.wait_until_attached(lab, process)
                while not self.checkpoint.exists():
                    self.assertIsNone(process.poll())
                time.sleep(after)
                process.kill()
            resumed = self.whole(lab, "scan", "--resume", self.checkpoint)
            self.assertFalse(self.checkpoint.exists())
            self.assert_found(resumed.states, truth)

    def test_shards(self):
        """One after the other, because a device has room for one program."""
        lab, states, told = self.lab(), {}, 0
        for shard in ("1/2", "2/2"):
            found = self.whole(lab, *self.words(self.LARGE), "--seed", "7", "--shard", shard)
            states |= found.states
            told += len(found.states)
        self.assertEqual(told, len(states))
        self.assert_found(states, self.truth(lab, self.LARGE))


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter", "nft", "ethtool")
class Techniques(test_techniques.Router):
    """Every technique through a real router with a firewall, to real hosts: the tests of packet
    sockets, and as many ports more as make a walk."""

    def setUp(self):
        super().setUp()
        let_poll(self.router, self.device)
        hardware = json.loads(self.router.ip("-json", "link", "show", "dev", self.device))
        for family in FAMILIES.values():  # known from the beginning: nothing has to wait
            self.here.ip("neighbour", "replace", family.router, "lladdr", hardware[0]["address"],
                         "dev", self.device)  # fmt: skip

    def ask(self, technique, hosts, *words, status=0):
        return super().ask(technique, hosts, *WALKED, *words, status=status)

    def refuse(self, technique, hosts, *words):
        return super().refuse(technique, hosts, *WALKED, *words)

    def test_every_rule(self):
        states = self.obey_rules(self.router, "forward")
        self.listen(self.behind, self.listeners(states["IPv4"] | states["IPv6"]))
        states = {name: self.sent_by(states[name], FAMILIES[name].router) for name in states}
        for technique in test_techniques.TECHNIQUES:
            for name, family in FAMILIES.items():
                with self.subTest(technique, family=name):
                    single = Single(self.here, self.device)
                    known = states[name] | dict.fromkeys(MANY, CLOSED)
                    found = self.ask(technique, {family.behind: known})
                    self.assertEqual(found.summary["link"], "xdp")
                    walked = found.summary["packets"] - single.count()
                    self.assertGreater(walked, len(known) // 2)


class Pings:
    """Echo requests every few milliseconds, and which of them are answered."""

    def __init__(self, stack, namespace, address):
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        stack.callback(self._socket.close)
        self._socket.connect((address, 0))
        self._socket.settimeout(1)
        self.sent, self.answered = 0, set()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=act) for act in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()
        stack.callback(self.stop)

    def _send(self):
        while not self._done.wait(0.005):
            self.sent += 1
            echo = struct.pack("!BBHHH", 8, 0, 0, 7, self.sent)
            self._socket.send(echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])

    def _receive(self):
        while True:
            try:
                echo = self._socket.recv(2048)[20:]
            except TimeoutError:
                if self._done.is_set():
                    return
                continue
            if echo[0] == 0:
                self.answered.add(struct.unpack("!H", echo[6:8])[0])

    def stop(self):
        """Sends no more, and waits for the last answers."""
        self._done.set()
        for thread in self._threads:
            thread.join()


class Transfer:
    """A connection on which one end says random bytes until it is told to stop."""

    def __init__(self, stack, here, there, address):
        with there.entered():
            listener = stack.enter_context(listen(address))
        with here.entered():
            self._one = stack.enter_context(
                socket.create_connection(listener.getsockname()[:2], timeout=PATIENCE))  # fmt: skip
        self._other = stack.enter_context(listener.accept()[0])
        self._other.settimeout(PATIENCE)
        self.bytes, self.faults = 0, []
        self.said, self.heard = hashlib.sha256(), hashlib.sha256()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=act) for act in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()
        stack.callback(self.stop)

    def _send(self):
        try:
            while not self._done.wait(0.001):
                part = os.urandom(32768)
                self.said.update(part)
                self._one.sendall(part)
            self._one.shutdown(socket.SHUT_WR)
        except OSError as fault:
            self.faults.append(fault)

    def _receive(self):
        try:
            while part := self._other.recv(65536):
                self.heard.update(part)
                self.bytes += len(part)
        except OSError as fault:
            self.faults.append(fault)

    def stop(self):
        """Says no more, and waits for the rest."""
        self._done.set()
        for thread in self._threads:
            thread.join()


@unittest.skipUnless(BUILT, "built without XDP")
@need("ip", "nsenter", "nstat", "ethtool")
class Server(unittest.TestCase):
    """A real server, which has thousands of addresses."""

    OPEN, ALL = 80, "80-83"

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.here, self.there = Namespace(self), Namespace(self)
        self.device = wire(self.here, ["198.18.0.1/24", "fd00::1/64"],
                           self.there, ["198.18.0.2/24", "fd00::2/64"])  # fmt: skip
        let_poll(self.there, self.device)
        for version, network in NETWORKS.items():
            gateway = "198.18.0.2" if version == 4 else "fd00::2"
            self.here.ip("route", "add", network, "via", gateway)
            self.there.ip("route", "add", "local", network, "dev", "lo")
        with self.there.entered():
            self.stack.enter_context(listen("::", self.OPEN, dual=True))

    def statistic(self, name):
        """One of the kernel's counters."""
        text = system(*self.there.prefix, "nstat", "-asz", name)
        return int(text.split(name)[1].split()[0])

    def half_open(self):
        """Connections that wait for the last step of the handshake, as the server's kernel says."""
        with self.there.entered():
            tables = [pathlib.Path("/proc/thread-self/net", name).read_text(encoding="ascii")
                      for name in ("tcp", "tcp6")]  # fmt: skip
        return [line for table in tables for line in table.splitlines()
                if line.split()[3] == SYN_RECEIVED]  # fmt: skip

    def check(self, version):
        """A scan that finds what there is, all of which answers."""
        done = run("scan", "--json", "-sS", *WALKED, "-p", self.ALL, NETWORKS[version],
                   namespace=self.here)  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = Found(done.stdout)
        self.assertEqual((found.summary["open"], found.summary["closed"]), (4096, 3 * 4096))
        self.assertEqual({key[1] for key, state in found.states.items() if state[0] == "open"},
                         {self.OPEN})  # fmt: skip

    def test_what_was_opened_is_closed(self):
        for version in NETWORKS:
            before = self.statistic("TcpExtEmbryonicRsts")
            self.check(version)
            # One whose answer came when the program was taken off is asked again after a second.
            deadline = time.monotonic() + 5
            while self.half_open() and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(self.half_open(), [])
            self.assertGreaterEqual(self.statistic("TcpExtEmbryonicRsts") - before, 4096)
            self.assertEqual(self.statistic("TcpExtSyncookiesSent"), 0)

    def test_traffic_of_others(self):
        """Bytes come as they were said, and pings are answered, from before the program is attached
        until after it is gone."""
        with contextlib.ExitStack() as stack:
            transfer = Transfer(stack, self.here, self.there, "198.18.0.2")
            pings = Pings(stack, self.here, "198.18.0.2")
            for version in NETWORKS:
                self.check(version)
            transfer.stop()
            pings.stop()
            self.assertEqual(transfer.faults, [])
            self.assertEqual(transfer.said.digest(), transfer.heard.digest())
            self.assertGreater(transfer.bytes, 1 << 20)
            # A queue of 256 frames may run over, whoever sends: that is no fault of the program's.
            self.assertGreater(len(pings.answered), 0.95 * pings.sent)


if __name__ == "__main__":
    unittest.main()

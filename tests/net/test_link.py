"""Links on a real kernel: what is sent arrives as it should at the other end, and of what comes the
scan's packets are seen, in namespaces joined by veth pairs, on loopback, TUN and TAP devices."""

import contextlib
import errno
import fcntl
import ipaddress
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import PATIENCE, Namespace, need, run, wire
from porthole import Records
from porthole import run as porthole
from sockets import listen

FIRST, LAST = 40000, 40015  # the block of ports
OURS = FIRST + 3
ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0003, 0x0800, 0x0806, 0x86DD
SYN, RST, ACK = 0x02, 0x04, 0x10
NOBODY = "020000000099"  # the hardware address of no one
TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x400454CA, 1, 2, 0x1000


# ---- packets ----


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, destination, protocol, payload, *, fragment=0):
    """An IPv4 or IPv6 packet."""
    one, other = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    if len(one) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + one + other + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0)
    header += one + other
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def tcp(source, destination, ports, flags=SYN, *, sequence=1000, data=b"", fragment=0):
    """An IP packet with a TCP segment; `ports` are those of source and destination."""
    segment = struct.pack("!HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 1024, 0, 0) + data
    one, other = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    pseudo = one + other + struct.pack("!HH", socket.IPPROTO_TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return ip(source, destination, socket.IPPROTO_TCP, segment, fragment=fragment)


def icmp(source, destination, protocol, message):
    """An ICMP or ICMPv6 error: type, code, and the packet that it quotes."""
    message = message[:2] + bytes(6) + message[2:]
    pseudo = b""
    if protocol == socket.IPPROTO_ICMPV6:
        pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
        pseudo += struct.pack("!II", len(message), protocol)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    return ip(source, destination, protocol, message)


def arp(operation, source, destination):
    """An ARP packet between these IPv4 addresses."""
    return (
        struct.pack("!HHBBH", 1, ETH_P_IP, 6, 4, operation)
        + bytes.fromhex(NOBODY) + ipaddress.ip_address(source).packed
        + bytes(6) + ipaddress.ip_address(destination).packed
    )  # fmt: skip


# ---- both sides ----


class Link:
    """The program use_link in a namespace, with one link. Lines go in, numbers come out."""

    def __init__(self, test, namespace, name, *, without_rights=False, opened=True):
        program = pathlib.Path(os.environ["PORTHOLE_BUILD"], "tests", "use_link")
        drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if without_rights else []
        self.process = subprocess.Popen(
            [*namespace.prefix, *drop, program, name, str(FIRST), str(LAST)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        test.addCleanup(self.close, test)
        if opened:
            test.assertEqual(self.ask("open"), "0")

    def close(self, test):
        """Closes the link; a sanitizer's complaint fails the test."""
        with self.process:
            self.process.stdin.close()
            test.assertEqual(self.process.wait(PATIENCE), 0)

    def ask(self, *words):
        """Says one line and returns the answer."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def send(self, device, to, packet, *, local=False, source=NOBODY, next_hop=NOBODY, count=1):
        """Returns how many packets were taken, and the errno of the next one."""
        answer = self.ask("send", device, int(local), source, next_hop, to, count, packet.hex())
        taken, code = map(int, answer.split())
        return taken, code

    def receive(self, count):
        """Waits for `count` packets: (interface, protocol, verified, bytes) of each. What kernels
        report of multicast groups whenever they like, with a hop-by-hop option, is left out."""
        packets = []
        deadline = time.monotonic() + PATIENCE
        while len(packets) < count and time.monotonic() < deadline:
            kept = int(self.ask("receive", 100, count - len(packets)))
            shown = [self.show(number) for number in range(kept)]
            packets += [packet for packet in shown if packet[1] != ETH_P_IPV6 or packet[3][6] != 0]
            self.ask("release")
        return packets

    def wait_for(self, packet):
        """Waits until this packet comes, whatever else does."""
        deadline = time.monotonic() + PATIENCE
        while packet not in [got for *_, got in self.receive(1)]:
            if time.monotonic() > deadline:
                raise AssertionError("the packet did not come")

    def show(self, number):
        """One packet that is kept."""
        interface, protocol, verified, _, packet = self.ask("show", number).split()
        return int(interface), int(protocol), verified == "1", bytes.fromhex(packet)

    def age(self, number):
        """How many seconds ago a packet that is kept has come."""
        return int(self.ask("show", number).split()[3]) / 1e9

    def facts(self):
        """(sent, refused, missed)"""
        return tuple(map(int, self.ask("facts").split()))


class Wire:
    """A device in a namespace, with all the frames that cross it."""

    def __init__(self, test, namespace, device):
        with namespace.entered():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.bind((device, ETH_P_ALL))
        test.addCleanup(self.socket.close)
        self.socket.settimeout(PATIENCE)
        self.hardware = hardware(namespace, device)

    def send(self, packet, protocol, *, to, tag=None):
        """Sends one frame."""
        tagged = b"" if tag is None else struct.pack("!HH", 0x8100, tag)
        self.socket.send(
            bytes.fromhex(to + self.hardware) + tagged + struct.pack("!H", protocol) + packet
        )

    def receive(self, payload):
        """Waits for a frame with this payload; returns destination, source and protocol."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            frame = self.socket.recv(65535)
            if frame[14 : 14 + len(payload)] == payload:
                protocol = struct.unpack("!H", frame[12:14])[0]
                return frame[:6].hex(), frame[6:12].hex(), protocol
        raise AssertionError("the packet did not come")


def hardware(namespace, device):
    """The hardware address of a device, in hexadecimal."""
    shown = json.loads(namespace.ip("-json", "link", "show", "dev", device))
    return shown[0]["address"].replace(":", "")


def index(namespace, device):
    """The number of a device in its namespace."""
    return json.loads(namespace.ip("-json", "link", "show", "dev", device))[0]["ifindex"]


@contextlib.contextmanager
def tunnel(namespace, kind, name):
    """A TUN or TAP device; what it sends is read from the descriptor, which does not wait."""
    with namespace.entered():
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI))
    try:
        namespace.ip("link", "set", name, "addrgenmode", "none")
        yield descriptor
    finally:
        os.close(descriptor)


def read_all(descriptor):
    """Everything that the device holds now."""
    packets = []
    with contextlib.suppress(BlockingIOError):
        while True:
            packets.append(os.read(descriptor, 65535))
    return packets


def read_until(descriptor, packet):
    """Waits for this packet to come out of the device."""
    deadline = time.monotonic() + PATIENCE
    while packet not in read_all(descriptor):
        if time.monotonic() > deadline:
            raise AssertionError("the packet did not come")
        time.sleep(0.01)


class Pair(unittest.TestCase):
    """Two namespaces and a veth pair."""

    def setUp(self):
        self.here, self.there = Namespace(self), Namespace(self)
        self.device = wire(
            self.here, ["198.18.0.1/24", "fd00::1/64", "fe80::1/64"],
            self.there, ["198.18.0.2/24", "fd00::2/64", "fe80::2/64"],
        )  # fmt: skip

    def opened(self, name):
        """A link here."""
        return Link(self, self.here, name)


# ---- sending ----


@need("ip", "nsenter")
class EthernetSending(Pair):
    """Frames leave through the packet link."""

    def test_frames_arrive_as_they_were_meant(self):
        far, link = Wire(self, self.there, self.device), self.opened("packet")
        for packet, to, protocol in (
            (tcp("198.18.0.1", "198.18.0.2", (OURS, 80)), "198.18.0.2", ETH_P_IP),
            (tcp("fd00::1", "fd00::2", (OURS, 80)), "fd00::2", ETH_P_IPV6),
            (arp(1, "198.18.0.1", "198.18.0.2"), "198.18.0.2", ETH_P_ARP),
        ):
            for next_hop in (far.hardware, "ffffffffffff", "3333ff000002"):
                with self.subTest(protocol=protocol, next_hop=next_hop):
                    sent = link.send(
                        self.device, to, packet, source="020000000042", next_hop=next_hop
                    )
                    self.assertEqual(sent, (1, 0))
                    self.assertEqual(far.receive(packet), (next_hop, "020000000042", protocol))
        self.assertEqual(link.facts(), (9, 0, 0))

    def test_every_packet_of_a_large_batch_leaves(self):
        link = self.opened("packet")
        packet = tcp("198.18.0.1", "198.18.0.2", (OURS, 80))
        far = hardware(self.there, self.device)
        before = self.received_there()
        self.assertEqual(
            link.send(self.device, "198.18.0.2", packet, next_hop=far, count=1000), (1000, 0)
        )
        self.assertEqual(link.facts(), (1000, 0, 0))
        self.assertGreaterEqual(self.received_there() - before, 1000)

    def received_there(self):
        """How many packets the device at the other end has counted."""
        shown = self.there.ip("-json", "-stats", "link", "show", "dev", self.device)
        return json.loads(shown)[0]["stats64"]["rx"]["packets"]

    def test_a_full_device_is_told_and_takes_packets_again(self):
        with tunnel(self.here, IFF_TAP, "tap0") as tap:
            self.here.ip("link", "set", "tap0", "txqueuelen", "16", "up")
            link = self.opened("packet")
            packet = tcp("198.18.5.1", "198.18.5.2", (OURS, 80))
            for round_number in (1, 2):
                read_all(tap)
                taken, code = link.send("tap0", "198.18.5.2", packet, count=500)
                self.assertEqual(code, errno.ENOBUFS)
                self.assertGreater(taken, 0)
                self.assertEqual(link.facts()[1], round_number)
                # What it said it took is what left: none was lost behind its back.
                left = [frame for frame in read_all(tap) if frame.endswith(packet)]
                self.assertEqual(len(left), taken)

    def test_a_device_that_is_down_or_gone_is_told(self):
        link = self.opened("packet")
        packet = tcp("198.18.0.1", "198.18.0.2", (OURS, 80))
        number = index(self.here, self.device)
        self.here.ip("link", "set", self.device, "down")
        self.assertEqual(
            link.send(self.device, "198.18.0.2", packet, count=3), (0, errno.ENETDOWN)
        )
        self.here.ip("link", "delete", self.device)
        self.assertNotIn(f"{number}: ", self.here.ip("link"))
        self.assertEqual(link.send(self.device, "198.18.0.2", packet, count=3), (0, errno.ENXIO))
        self.assertEqual(link.facts(), (0, 2, 0))
        probe = tcp("127.0.0.1", "127.0.0.1", (OURS, 9))
        self.opened("raw").send("lo", "127.0.0.1", probe, local=True)
        self.assertEqual(link.receive(1)[0][0], index(self.here, "lo"))  # the others go on


@need("ip", "nsenter", "nft", "tc")
class RawIpSending(Pair):
    """Packets leave through the raw link."""

    def test_the_kernel_finds_the_neighbour(self):
        far, link = Wire(self, self.there, self.device), self.opened("raw")
        mine = hardware(self.here, self.device)
        for source, to, protocol in (
            ("198.18.0.1", "198.18.0.2", ETH_P_IP),
            ("fd00::1", "fd00::2", ETH_P_IPV6),
            ("fe80::1", "fe80::2", ETH_P_IPV6),
        ):
            with self.subTest(to=to):
                packet = tcp(source, to, (OURS, 80))
                zone = f"%{self.device}" if to.startswith("fe80") else ""
                self.assertEqual(link.send(self.device, to + zone, packet), (1, 0))
                self.assertEqual(far.receive(packet), (far.hardware, mine, protocol))
        self.assertEqual(link.facts(), (3, 0, 0))

    def test_packets_leave_by_the_interface_of_their_route(self):
        other = wire(
            self.here, ["198.18.1.1/24", "fd01::1/64", "fe80::1/64"],
            self.there, ["198.18.1.2/24", "fd01::2/64", "fe80::2/64"],
        )  # fmt: skip
        for network, gateways in (
            ("198.18.9.0/24", ("198.18.0.2", "198.18.1.2")),
            ("fd09::/64", ("fd00::2", "fd01::2")),
        ):
            for metric, gateway in zip((10, 20), gateways):
                self.here.ip("route", "add", network, "via", gateway, "metric", str(metric))
        link = self.opened("raw")
        wires = {name: Wire(self, self.there, name) for name in (self.device, other)}
        for source, to in (("198.18.0.1", "198.18.9.9"), ("fd00::1", "fd09::9")):
            for device, far in wires.items():
                with self.subTest(to=to, device=device):
                    packet = tcp(source, to, (OURS, 80 if device == other else 81))
                    self.assertEqual(link.send(device, to, packet), (1, 0))
                    self.assertEqual(far.receive(packet)[0], far.hardware)

    def test_an_own_firewall_is_told(self):
        self.here.nft(
            "table inet t { chain c { type filter hook output priority 0; tcp dport 81 drop; }; }"
        )
        link = self.opened("raw")
        for source, to in (("198.18.0.1", "198.18.0.2"), ("fd00::1", "fd00::2")):
            with self.subTest(to=to):
                self.assertEqual(
                    link.send(self.device, to, tcp(source, to, (OURS, 81)), count=3),
                    (0, errno.EPERM),
                )
                self.assertEqual(
                    link.send(self.device, to, tcp(source, to, (OURS, 80)), count=3), (3, 0)
                )
        self.assertEqual(link.facts(), (6, 2, 0))

    def test_tunnels_get_the_packet_itself(self):
        with tunnel(self.here, IFF_TUN, "tun0") as tun:
            self.here.ip("address", "add", "198.18.5.1/24", "dev", "tun0")
            self.here.ip("address", "add", "fd05::1/64", "dev", "tun0", "nodad")
            self.here.ip("link", "set", "tun0", "up")
            link, heard = self.opened("raw"), self.opened("packet")
            for source, to, protocol in (
                ("198.18.5.1", "198.18.5.2", ETH_P_IP),
                ("fd05::1", "fd05::2", ETH_P_IPV6),
            ):
                with self.subTest(to=to):
                    packet = tcp(source, to, (OURS, 80))
                    self.assertEqual(link.send("tun0", to, packet), (1, 0))
                    read_until(tun, packet)
                    answer = tcp(to, source, (80, OURS), SYN | ACK)
                    os.write(tun, answer)
                    self.assertEqual(
                        heard.receive(1), [(index(self.here, "tun0"), protocol, False, answer)]
                    )

    def test_a_full_device_without_a_queue_is_told(self):
        with tunnel(self.here, IFF_TUN, "tun0") as tun:
            self.here.ip("link", "set", "tun0", "txqueuelen", "16", "up")
            self.here.ip("route", "add", "198.18.5.0/24", "dev", "tun0")
            self.here.ip("route", "add", "fd05::/64", "dev", "tun0")
            run(*self.here.prefix, "tc", "qdisc", "replace", "dev", "tun0", "root", "noqueue")
            link = self.opened("raw")
            for source, to in (("198.18.5.1", "198.18.5.2"), ("fd05::1", "fd05::2")):
                with self.subTest(to=to):
                    read_all(tun)
                    packet = tcp(source, to, (OURS, 80))
                    taken, code = link.send("tun0", to, packet, count=500)
                    self.assertEqual(code, errno.ENOBUFS)
                    self.assertEqual(read_all(tun).count(packet), taken)

    def test_a_closed_port_of_this_machine_answers(self):
        link, heard = self.opened("raw"), self.opened("packet")
        for address in ("127.0.0.1", "::1", "198.18.0.1", "fd00::1"):
            with self.subTest(address=address):
                packet = tcp(address, address, (OURS, 9), sequence=0xFFFFFFFF)
                self.assertEqual(link.send("lo", address, packet, local=True), (1, 0))
                ((interface, _, _, answer),) = heard.receive(1)
                self.assertEqual(interface, index(self.here, "lo"))
                fields = struct.unpack("!HHII", answer[20 if "." in address else 40 :][:12])
                self.assertEqual(fields, (9, OURS, 0, 0))  # acknowledged: the sequence plus one

    def test_nothing_piles_up_in_sockets_that_send(self):
        link = self.opened("raw")
        far = Wire(self, self.there, self.device)
        to = hardware(self.here, self.device)
        for source, destination, protocol in (
            ("198.18.0.2", "198.18.0.1", ETH_P_IP),
            ("fd00::2", "fd00::1", ETH_P_IPV6),
        ):
            packet = ip(source, destination, socket.IPPROTO_RAW, b"x" * 100)
            for _ in range(10):
                far.send(packet, protocol, to=to)
        heard = self.opened("packet")
        answer = tcp("198.18.0.2", "198.18.0.1", (80, OURS))
        far.send(answer, ETH_P_IP, to=to)
        heard.wait_for(answer)  # so all that came before has come
        for table in ("raw", "raw6"):
            path = f"/proc/{link.process.pid}/net/{table}"
            rows = pathlib.Path(path).read_text(encoding="ascii").splitlines()[1:]
            self.assertEqual([row.split()[4] for row in rows], ["00000000:00000000"])

    def test_errors_about_strangers_packets_are_not_taken_for_own(self):
        link, heard = self.opened("raw"), self.opened("packet")
        far = Wire(self, self.there, self.device)
        quoted4 = ip("198.18.0.1", "198.18.0.2", socket.IPPROTO_RAW, bytes(20))
        quoted6 = ip("fd00::1", "fd00::2", socket.IPPROTO_RAW, bytes(20))
        for to, source, protocol, number, message in (
            ("198.18.0.2", "198.18.0.1", ETH_P_IP, socket.IPPROTO_ICMP, b"\3\3" + quoted4),
            ("fd00::2", "fd00::1", ETH_P_IPV6, socket.IPPROTO_ICMPV6, b"\1\4" + quoted6),
        ):
            with self.subTest(to=to):
                error = icmp(to, source, number, message)
                far.send(error, protocol, to=hardware(self.here, self.device))
                heard.wait_for(error)
                probe = tcp(source, to, (OURS, 80))
                self.assertEqual(link.send(self.device, to, probe, count=3), (3, 0))
        self.assertEqual(link.facts(), (6, 0, 0))


# ---- receiving ----


@need("ip", "nsenter")
class Receiving(unittest.TestCase):
    """Packets come in through the packet link. Nobody has an address, and no kernel answers."""

    def setUp(self):
        self.here, self.there = Namespace(self), Namespace(self)
        for namespace in (self.here, self.there):
            namespace.sysctl("ipv6/conf/all/disable_ipv6", 1)
            namespace.sysctl("ipv6/conf/default/disable_ipv6", 1)
        self.device = wire(self.here, [], self.there, [])
        self.far = Wire(self, self.there, self.device)
        self.to = hardware(self.here, self.device)
        self.link = Link(self, self.here, "packet")

    def test_the_scan_s_packets_come_and_no_others(self):
        v4, v6 = ("198.18.0.2", "198.18.0.1"), ("fd00::2", "fd00::1")
        unreachable = b"\3\3" + bytes(6) + tcp(*reversed(v4), (OURS, 80))[:28]
        no_route = b"\1\0" + bytes(6) + tcp(*reversed(v6), (OURS, 80))
        advertisement = b"\x88" + bytes(31)
        options = b"\6\0" + bytes(6) + tcp(*v6, (80, OURS))[40:]
        frames = [
            (True, ETH_P_IP, tcp(*v4, (80, FIRST), SYN | ACK)),
            (False, ETH_P_IP, tcp(*v4, (80, FIRST - 1), SYN | ACK)),
            (False, ETH_P_IP, tcp(*v4, (OURS, 80), SYN)),
            (True, ETH_P_IP, tcp(*v4, (80, LAST), RST | ACK)),
            (False, ETH_P_IP, tcp(*v4, (80, OURS), RST | ACK, fragment=0x2001)),
            (False, ETH_P_IP, ip(*v4, socket.IPPROTO_UDP, struct.pack("!HHHH", 80, OURS, 8, 0))),
            (True, ETH_P_IP, ip(*v4, socket.IPPROTO_ICMP, unreachable)),
            (False, ETH_P_IP, ip(*v4, socket.IPPROTO_ICMP, b"\10\0" + bytes(6))),
            (True, ETH_P_IPV6, tcp(*v6, (80, OURS), SYN | ACK)),
            (False, ETH_P_IPV6, tcp(*v6, (80, LAST + 1), SYN | ACK)),
            (True, ETH_P_IPV6, ip(*v6, socket.IPPROTO_ICMPV6, no_route)),
            (True, ETH_P_IPV6, ip(*v6, socket.IPPROTO_ICMPV6, advertisement)),
            (False, ETH_P_IPV6, ip(*v6, socket.IPPROTO_ICMPV6, b"\x87" + bytes(31))),
            (True, ETH_P_IPV6, ip(*v6, socket.IPPROTO_DSTOPTS, options)),
            (False, ETH_P_ARP, arp(1, *v4)),
            (True, ETH_P_ARP, arp(2, *v4)),
            (False, 0x88B5, tcp(*v4, (80, OURS))),  # an experiment that only looks like IPv4
            (True, ETH_P_IP, tcp(*v4, (80, OURS), RST)),
        ]
        for _, protocol, packet in frames:
            self.far.send(packet, protocol, to=self.to)
        number = index(self.here, self.device)
        expected = [(number, protocol, packet) for ours, protocol, packet in frames if ours]
        got = [
            (interface, protocol, packet[: len(sent)])  # short frames may be padded
            for (interface, protocol, _, packet), (_, _, sent) in zip(
                self.link.receive(len(expected)), expected
            )
        ]
        self.assertEqual(got, expected)
        self.assertEqual(self.link.facts(), (0, 0, 0))

    def test_packets_of_others_and_of_vlans_are_left_out(self):
        packets = [tcp("198.18.0.2", "198.18.0.1", (80, OURS), sequence=i) for i in range(4)]
        self.far.send(packets[0], ETH_P_IP, to=NOBODY)  # seen, because the wire has only two ends
        self.far.send(packets[1], ETH_P_IP, to=self.to, tag=5)
        self.far.send(packets[2], ETH_P_IP, to=self.to, tag=0)  # a mere priority
        self.far.send(packets[3], ETH_P_IP, to=self.to)
        self.assertEqual([packet for *_, packet in self.link.receive(2)], packets[2:])

    def test_what_leaves_is_not_heard(self):
        packets = [tcp("198.18.0.1", "198.18.0.2", (80, OURS), sequence=i) for i in range(2)]
        self.link.send(self.device, "198.18.0.2", packets[0], next_hop=self.far.hardware)
        self.here.ip("route", "add", "198.18.0.2", "dev", self.device)
        self.here.ip(
            "neighbour", "add", "198.18.0.2", "lladdr", "02:00:00:00:00:99", "dev", self.device
        )
        sender = Link(self, self.here, "raw")
        sender.send(self.device, "198.18.0.2", packets[0])
        self.far.send(packets[1], ETH_P_IP, to=self.to)
        self.assertEqual([packet for *_, packet in self.link.receive(1)], packets[1:])

    def test_what_this_machine_made_is_verified(self):
        self.far.send(tcp("198.18.0.2", "198.18.0.1", (80, OURS)), ETH_P_IP, to=self.to)
        ((_, _, verified, packet),) = self.link.receive(1)
        self.assertFalse(verified)

        with self.here.entered(), listen("127.0.0.1") as listener, socket.socket() as client:
            client.bind(("127.0.0.1", OURS))
            client.connect(listener.getsockname())
            ((_, _, verified, packet),) = self.link.receive(1)
        self.assertTrue(verified)
        self.assertEqual(packet[33], SYN | ACK)

    def test_the_time_is_that_of_coming_not_of_looking(self):
        self.far.send(tcp("198.18.0.2", "198.18.0.1", (80, OURS)), ETH_P_IP, to=self.to)
        time.sleep(0.5)
        began = time.monotonic()
        self.far.send(tcp("198.18.0.2", "198.18.0.1", (80, OURS)), ETH_P_IP, to=self.to)
        self.assertEqual(self.link.ask("receive", 1000, 2), "2")
        old, new = self.link.age(0), self.link.age(1)
        self.assertGreater(old, new + 0.25)
        self.assertLess(new, time.monotonic() - began)
        self.assertLess(old, PATIENCE)

    def test_large_packets_are_cut(self):
        packet = tcp("198.18.0.2", "198.18.0.1", (80, OURS), data=b"x" * 1400)
        self.far.send(packet, ETH_P_IP, to=self.to)
        ((*_, got),) = self.link.receive(1)
        self.assertGreaterEqual(len(got), 600)  # an ICMP error of the usual size is whole
        self.assertLess(len(got), len(packet))
        self.assertTrue(packet.startswith(got))

    def test_packets_hold_and_what_finds_no_room_is_counted(self):
        count = 17_000
        for number in range(count):
            packet = tcp("198.18.0.2", "198.18.0.1", (80, OURS), sequence=number)
            self.far.send(packet, ETH_P_IP, to=self.to)
        kept = 0
        while more := int(self.link.ask("receive", 1, 1000)):
            kept += more
        self.assertLess(kept, count)
        self.assertEqual(self.link.facts()[2], count - kept)
        self.assertEqual(self.link.facts()[2], count - kept)  # to ask does not change it

        for number in (0, 1, kept // 2, kept - 1):  # the first ones, in order
            *_, packet = self.link.show(number)
            self.assertEqual(struct.unpack("!I", packet[24:28])[0], number)

        late = tcp("198.18.0.2", "198.18.0.1", (80, OURS), sequence=count)
        self.far.send(late, ETH_P_IP, to=self.to)
        self.assertEqual(self.link.ask("receive", 1, 1000), "0")
        self.assertEqual(self.link.facts()[2], count - kept + 1)
        self.link.ask("release")
        self.far.send(late, ETH_P_IP, to=self.to)
        self.assertEqual([packet for *_, packet in self.link.receive(1)], [late])

    def test_the_ring_goes_round(self):
        for start in range(0, 40_000, 4000):
            for number in range(start, start + 4000):
                packet = tcp("198.18.0.2", "198.18.0.1", (80, OURS), sequence=number)
                self.far.send(packet, ETH_P_IP, to=self.to)
            kept = 0
            while kept < 4000 and (more := int(self.link.ask("receive", 1000, 1000))):
                kept += more
            self.assertEqual(kept, 4000)
            for number in (0, 3999):
                *_, packet = self.link.show(number)
                self.assertEqual(struct.unpack("!I", packet[24:28])[0], start + number)
            self.link.ask("release")
        self.assertEqual(self.link.facts(), (0, 0, 0))


# ---- the one that was asked for ----


@need("ip", "nsenter", "nft")
class Chosen(Pair):
    """What --link says holds: this machine's own firewall sees packets of one link alone."""

    TARGETS = ("198.18.0.2", "fd00::2")

    def setUp(self):
        super().setUp()
        self.here.nft(
            "table inet t { chain c { type filter hook output priority 0; tcp dport 4000 drop; }; }"
        )
        with self.there.entered():
            listener = listen("::", 4000, dual=True)
        self.addCleanup(listener.close)

    def scan(self, target, *words):
        """A scan of the open port, and what it said on stderr."""
        done = porthole("scan", "--json", "-p", "4000", *words, target, technique=None,
                        namespace=self.here)  # fmt: skip
        return Records(done.stdout), done.stderr

    def test_packet_sockets(self):
        for target in self.TARGETS:
            for words in ([], ["--link", "packet"], ["--link=packet", "-sS", "-e", self.device]):
                with self.subTest(target=target, words=words):
                    done, said = self.scan(target, *words)
                    self.assertEqual(done.open(target), {4000})
                    self.assertEqual((done.summary["link"], said), ("packet", ""))
            self.assertIn("porthole scan: link: packet sockets\n", self.scan(target, "-v")[1])

    def test_raw_sockets(self):
        for target in self.TARGETS:
            for words in (["--link", "raw"], ["--link=raw", "-sS", "-e", self.device]):
                with self.subTest(target=target, words=words):
                    done, said = self.scan(target, *words)
                    self.assertEqual([error["error"] for error in done.of("error")], ["EPERM"])
                    self.assertEqual(said, "")
        self.here.nft("flush ruleset")
        for target in self.TARGETS:
            with self.subTest(target=target):
                done, said = self.scan(target, "--link", "raw", "-v")
                self.assertEqual((done.open(target), done.summary["link"]), ({4000}, "raw"))
                self.assertIn("porthole scan: link: raw sockets\n", said)

    def test_sockets(self):
        self.here.nft("flush ruleset")
        done, said = self.scan(self.TARGETS[0], "--link", "socket", "-v")
        self.assertEqual(done.open(self.TARGETS[0]), {4000})
        self.assertNotIn("link", done.summary)
        self.assertNotIn("link: ", said)


# ---- rights ----


@need("ip", "nsenter", "setpriv")
class Rights(Pair):
    """Rights are needed to open a link, and for nothing afterwards."""

    def test_without_rights_a_link_says_so(self):
        for name in ("packet", "raw"):
            with self.subTest(name=name):
                link = Link(self, self.here, name, without_rights=True, opened=False)
                code, message = link.ask("open").split(maxsplit=1)
                self.assertEqual(int(code), errno.EPERM)
                self.assertIn("CAP_NET_RAW", message)

    def test_rights_can_be_given_up_once_it_is_open(self):
        far = Wire(self, self.there, self.device)
        packet = self.opened("packet")
        probe = tcp("198.18.0.1", "198.18.0.2", (OURS, 9))
        for link in (packet, self.opened("raw")):
            self.assertEqual(link.ask("drop"), "0")
            self.assertEqual(
                link.send(self.device, "198.18.0.2", probe, next_hop=far.hardware), (1, 0)
            )
        answers = packet.receive(2)
        self.assertEqual([answer[33] for *_, answer in answers], [RST | ACK, RST | ACK])
        self.assertEqual(packet.facts(), (1, 0, 0))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])

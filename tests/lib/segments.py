"""TCP segments made by hand and sent over raw IPv4 sockets, and all that comes back, each with the
time at which the kernel got it. They show what a simulated network does, and nothing of a scanner.
"""

import contextlib
import ipaddress
import select
import socket
import struct
import time
import typing

from namespaces import PATIENCE

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

# What Python's socket module has no names for.
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35


def checksum(data):
    """The Internet checksum of RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Reply(typing.NamedTuple):
    """A TCP segment."""

    time: float  # when the kernel got it, by the clock on the wall
    source: str
    port: int
    our_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int


class Error(typing.NamedTuple):
    """An ICMP error."""

    time: float
    source: str
    type: int
    code: int
    quoted: bytes


class Wire(contextlib.ExitStack):
    """Raw IPv4 sockets in a lab's namespace: segments made by hand, and what comes back."""

    def __init__(self, lab):
        super().__init__()
        self.here = str(ipaddress.ip_interface(lab.scanners[0]).ip)
        with lab.namespace.entered():
            self.sender = self._socket(socket.IPPROTO_RAW)
            self.tcp = self._socket(socket.IPPROTO_TCP)
            self.icmp = self._socket(socket.IPPROTO_ICMP)
        self.replies, self.errors = [], []

    def _socket(self, protocol):
        made = self.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        made.setblocking(False)
        return made

    def segment(self, to, port, flags, our_port=40000, sequence=1000, acknowledgment=0, break_it=0):
        """A TCP segment as an IP packet, or with `break_it` one with a wrong checksum."""
        addresses = socket.inet_aton(self.here) + socket.inet_aton(to)
        tcp = struct.pack(
            "!HHIIBBHHH", our_port, port, sequence, acknowledgment, 0x50, flags, 1024, 0, 0
        )
        right = checksum(addresses + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", right ^ break_it) + tcp[18:]
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + addresses + tcp

    def send(self, to, port, flags=SYN, **others):
        """Sends a segment. The kernel fills in the checksum of the IP header."""
        packet = self.segment(to, port, flags, **others)
        while True:
            try:
                return self.sender.sendto(packet, (to, 0))
            except BlockingIOError:
                select.select([], [self.sender], [], 1)

    def collect(self, count, patience=PATIENCE):
        """Reads until so many TCP segments and ICMP errors have come, all in all."""
        deadline = time.monotonic() + patience
        while len(self.replies) + len(self.errors) < count:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.tcp, self.icmp], [], [], max(left, 0))
            if not ready:
                break
            for end in ready:
                self._read(end)
        return self.replies, self.errors

    def drain(self, lab):
        """Reads all that has come once simnet has nothing left to send."""
        settled = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            counters = lab.counters()
            if counters["unsent"] == 0 and counters == settled:
                break
            settled = counters
            time.sleep(0.3)
        return self.collect(10**9, patience=0)

    def _read(self, end):
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, [(_, _, stamp)], _, _ = end.recvmsg(2048, 64)
                seconds, nanoseconds = struct.unpack("qq", stamp)
                now = seconds + nanoseconds / 1e9
                source, data = socket.inet_ntoa(packet[12:16]), packet[(packet[0] & 15) * 4 :]
                if end is self.tcp and len(data) >= 16:
                    port, ours, sequence, number, _, flags, window = struct.unpack(
                        "!HHIIBBH", data[:16]
                    )
                    self.replies.append(
                        Reply(now, source, port, ours, sequence, number, flags, window)
                    )
                elif end is self.icmp and data[0] in (3, 11):
                    self.errors.append(Error(now, source, data[0], data[1], data[8:]))

    def warm_up(self, to, port):
        """Lets the kernel find the gateway: of what is sent before, it keeps only little."""
        self.send(to, port, our_port=39999)
        self.collect(1)
        if not self.replies and not self.errors:
            raise RuntimeError("the network does not answer")
        self.replies.clear()
        self.errors.clear()

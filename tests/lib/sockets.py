"""Listeners of a test's own, and the kernel's list of every listening socket."""

import contextlib
import ipaddress
import re
import socket
import struct
import subprocess

LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


def listen(address, port=0, dual=False, backlog=4096):
    """A listening TCP socket; `dual` makes one on "::" serve IPv4 as well. Nobody accepts, so that
    each connection takes one of the `backlog` places; when they are full the kernel drops SYNs."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        listener.bind((address, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def port_of(listener):
    """The port that a socket is bound to."""
    return listener.getsockname()[1]


def listen_many(stack, address, count, dual=False):
    """Listeners on ports of the kernel's choice, closed with the ExitStack; returns the ports."""
    listeners = [stack.enter_context(listen(address, dual=dual)) for _ in range(count)]
    return sorted(port_of(listener) for listener in listeners)


def free_port():
    """A port that nobody uses now, at any address of either family."""
    with contextlib.closing(listen("::", dual=True)) as listener:
        return port_of(listener)


def _decode(text):
    """The address and port of /proc/net/tcp: 32-bit words in the machine's byte order."""
    address, port = text.split(":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    return ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words)), int(port, 16)


def _listening_sockets():
    """(address, port) of every listening socket in this thread's namespace."""
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as table:
                lines = table.readlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING:
                yield _decode(fields[1])


def _dual_ports():
    """Ports of listeners on "::" that serve IPv4 as well, which /proc does not tell apart."""
    table = subprocess.run(
        ["ss", "--tcp", "--listening", "--numeric", "--no-header"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return {int(port) for port in re.findall(r"^\S+\s+\d+\s+\d+\s+\*:(\d+)\s", table, re.M)}


def listening_ports(target):
    """The ports on which this thread's namespace accepts connections to its address `target`, as
    the kernel lists them."""
    target = ipaddress.ip_address(target)
    dual = _dual_ports()
    ports = set()
    for address, port in _listening_sockets():
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped:
            address = mapped
        same = address == target
        anywhere = address.is_unspecified and address.version == target.version
        both = address.is_unspecified and address.version == 6 and port in dual
        if same or anywhere or both:
            ports.add(port)
    return ports

"""Network namespaces of a test's own: made, wired together, given firewalls, and taken down again.

    class MyTest(unittest.TestCase):
        def setUp(self):
            self.here, self.there = Namespace(self), Namespace(self)
            wire(self.here, ["198.18.0.1/24"], self.there, ["198.18.0.2/24"])
"""

import contextlib
import ctypes
import os
import pathlib
import secrets
import shutil
import subprocess
import time
import unittest

PATIENCE = 60  # seconds

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def need(*programs, root=True):
    """Decorates a test that runs only as root and with these programs, and else says why not."""
    missing = [program for program in programs if not shutil.which(program, path=_path())]
    if missing:
        return unittest.skip(f"not installed: {', '.join(missing)}")
    if root and os.geteuid() != 0:
        return unittest.skip("not root: no network namespaces")
    return lambda test: test


def _path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(*words, stdin=None):
    """Runs a command of the system that must succeed; returns what it printed."""
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, env={**os.environ, "PATH": _path()}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}\n{stdin or ''}")
    return done.stdout


class Namespace:
    """A network namespace with nothing but its loopback device up; a test's, or a `with`'s."""

    def __init__(self, test=None):
        self.name = f"porthole-{secrets.token_hex(5)}"
        self.path = f"/run/netns/{self.name}"
        run("ip", "netns", "add", self.name)
        if test:
            test.addCleanup(self.close)
        self.ip("link", "set", "lo", "up")

    def close(self):
        """Takes it down. Its devices and addresses go when the last process in it has ended."""
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def prefix(self):
        """The words before a command that is to run in it. The process keeps its number."""
        return ["nsenter", f"--net={self.path}", "--"]

    def ip(self, *words):
        """Runs `ip` in it."""
        return run("ip", "-n", self.name, *words)

    def nft(self, rules):
        """Loads a ruleset in nft's own language."""
        return run(*self.prefix, "nft", "-f", "-", stdin=rules)

    @contextlib.contextmanager
    def entered(self):
        """Moves this thread into it for a while: sockets made meanwhile stay in it."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(self.path, "rb") as there:
            _setns(there.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def sysctl(self, name, value):
        """Sets a variable below net/, say "ipv4/icmp_ratelimit"."""
        with self.entered():
            pathlib.Path("/proc/sys/net", name).write_text(str(value), encoding="ascii")


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def wire(one, one_addresses, other, other_addresses):
    """Joins two namespaces by a veth pair with these addresses, of which IPv6 ones are in use at
    once. Returns the device's name, the same at both ends."""
    device = f"v{secrets.token_hex(4)}"
    run("ip", "link", "add", device, "netns", one.name, "type", "veth",
        "peer", "name", device, "netns", other.name)  # fmt: skip
    for namespace, addresses in ((one, one_addresses), (other, other_addresses)):
        namespace.ip("link", "set", device, "addrgenmode", "none")
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            namespace.ip("address", "add", address, "dev", device, *nodad)
        namespace.ip("link", "set", device, "up")
    _wait_for_link(one, device)
    _wait_for_link(other, device)
    return device


def _wait_for_link(namespace, device):
    """Waits until the kernel, which takes up to a second to notice a carrier, uses the device:
    before that nobody is told of its IPv6 addresses."""
    deadline = time.monotonic() + PATIENCE
    while " state UP " not in namespace.ip("link", "show", "dev", device):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{device} has no carrier")
        time.sleep(0.01)

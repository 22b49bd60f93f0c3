"""Real servers and listeners of every kind on this machine: a scan of all 65,536 ports finds
exactly what the kernel itself lists, every time."""

import contextlib
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace, need, wire
from porthole import scan
from servers import nginx, redis, sshd
from sockets import free_port, listen, listen_many, listening_ports

ADDRESSES = ("127.0.0.1", "::1")
ALL = 65536
TIMES = 10


class Machine:
    """Servers, listeners and what the kernel says of them: in a namespace, or on this machine."""

    def __init__(self, test, namespace=None):
        self.namespace = namespace
        stack = contextlib.ExitStack()
        test.addCleanup(stack.close)
        with self.entered():
            self._listen(stack)
            self._serve(test, stack)

    def entered(self):
        """A context in which the kernel's lists and new sockets are those of this machine."""
        return self.namespace.entered() if self.namespace else contextlib.nullcontext()

    def _listen(self, stack):
        for address in ("127.0.0.1", "0.0.0.0", "::1", "::"):
            listen_many(stack, address, 7)
        listen_many(stack, "::", 7, dual=True)
        stack.enter_context(listen("127.0.0.2"))  # not one of the addresses that are scanned
        if self.namespace:
            for port in (1, 65535):
                stack.enter_context(listen("::", port, dual=True))

    def _serve(self, test, stack):
        self.served = set()
        for serve in (sshd, nginx, redis):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
            os.chmod(directory, 0o755)
            port = free_port()
            serve(test, directory, port, self.namespace).wait_for(
                lambda port=port: all(port in listening_ports(at) for at in ADDRESSES)
            )
            self.served.add(port)

    def listening(self):
        """Address → its ports on which somebody listens."""
        with self.entered():
            return {address: listening_ports(address) for address in ADDRESSES}


class RealServers(unittest.TestCase):
    def compare(self, machine, *words):
        """One scan against the kernel's lists from before and after it."""
        before = machine.listening()
        records = scan("--open", "-p", "0-65535", *words, *ADDRESSES, namespace=machine.namespace)
        after = machine.listening()
        self.assertEqual(records.summary["ports"], ALL * len(ADDRESSES))
        for address in ADDRESSES:
            found = records.open(address)
            missed = (before[address] & after[address]) - found
            invented = found - (before[address] | after[address])
            self.assertEqual((missed, invented), (set(), set()), address)
            self.assertLessEqual(machine.served, found)
        return records

    @need("ip", "nsenter", "ss", "sshd", "ssh-keygen", "nginx", "redis-server")
    def test_nothing_missed_and_nothing_invented_ten_times(self):
        machine = Machine(self, Namespace(self))
        listening = machine.listening()
        for address in ADDRESSES:
            self.assertGreater(len(listening[address]), 20)
        self.assertNotEqual(*listening.values())
        for _ in range(TIMES):
            records = self.compare(machine)
            self.assertEqual(machine.listening(), listening)
            # Nobody else is there, so that every other port must be refused.
            summary = records.summary
            self.assertEqual(summary["open"], sum(map(len, listening.values())))
            self.assertEqual(summary["closed"], ALL * len(ADDRESSES) - summary["open"])
            self.assertEqual((summary["passes"], summary["recall"]["estimate"]), (1, 1))

    @need("ip", "nsenter", "ss", "sshd", "ssh-keygen", "nginx", "redis-server")
    def test_with_the_order_of_a_seed_and_few_in_flight(self):
        machine = Machine(self, Namespace(self))
        for words in (["--seed", 1], ["--seed", 2, "--in-flight", 1], ["--seed", 3, "--tries", 1]):
            with self.subTest(words=words):
                self.compare(machine, *words)

    @need("ip", "nsenter")
    def test_every_port_has_its_record(self):
        namespace = Namespace(self)
        with contextlib.ExitStack() as stack:
            with namespace.entered():
                ports = set(listen_many(stack, "::", 20, dual=True))
            records = scan("-p", "0-65535", *ADDRESSES, namespace=namespace)
        self.assertEqual(
            records.states(),
            {
                (address, port): ("open", "syn-ack", None) if port in ports
                else ("closed", "conn-refused", None)
                for address in ADDRESSES
                for port in range(ALL)
            },
        )  # fmt: skip
        self.assertEqual({record["tries"] for record in records.of("port")}, {1})

    @need("ss", "sshd", "ssh-keygen", "nginx", "redis-server", root=False)
    def test_on_this_machine(self):
        self.compare(Machine(self))

    @need("ip", "nsenter")
    def test_every_address_of_the_machine(self):
        """--self takes IPv4, IPv6 and scoped addresses in turns; what one attempt leaves behind on
        a socket must not reach the next."""
        namespace = Namespace(self)
        device = wire(namespace, ["198.18.0.1/24", "fd00::1/64", "fe80::1/64"], Namespace(self), [])
        addresses = ["127.0.0.1", "198.18.0.1", "::1", "fd00::1", f"fe80::1%{device}"]
        with contextlib.ExitStack() as stack:
            with namespace.entered():
                ports = set(listen_many(stack, "::", 20, dual=True))
            for _ in range(3):
                records = scan("--self", "--open", "-p", "0-65535", namespace=namespace)
                self.assertEqual(
                    {address: records.open(address) for address in addresses},
                    {address: ports for address in addresses},
                )
                self.assertEqual(records.summary["hosts"], len(addresses))
                self.assertEqual(records.summary["filtered"], 0)

    @need("ip", "nsenter")
    def test_a_scan_meets_its_own_source_ports(self):
        """Where the ephemeral ports are few, a SYN often goes to the very port it comes from, and
        TCP lets the two meet: nobody listens there all the same."""
        namespace = Namespace(self)
        namespace.sysctl("ipv4/ip_local_port_range", "40000 40063")
        with contextlib.ExitStack() as stack:
            with namespace.entered():
                listener = stack.enter_context(listen("::", 40007, dual=True))
            self.assertTrue(listener)
            for _ in range(TIMES):
                records = scan("-p", "39990-40080", *ADDRESSES, namespace=namespace)
                self.assertEqual(records.open("127.0.0.1"), {40007})
                self.assertEqual(records.open("::1"), {40007})
                self.assertEqual(records.summary["closed"], 2 * 91 - 2)


if __name__ == "__main__":
    unittest.main()

"""`sockets` beside ss and lsof: hundreds of sockets in every state of TCP, made for real, shared,
passed on and in other namespaces, are the same to all three."""

import collections
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import PATIENCE, Namespace, need, run as run_tool, wire
from porthole import records, run

MANY = 20  # of each
SS_STATES = {
    "ESTAB": "ESTABLISHED", "SYN-SENT": "SYN_SENT", "SYN-RECV": "SYN_RECV", "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2", "TIME-WAIT": "TIME_WAIT", "UNCONN": "CLOSE", "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK", "LISTEN": "LISTEN", "CLOSING": "CLOSING",
}  # fmt: skip

# A server each. What the rules below take away are segments that come in.
PLAIN, UNANSWERED, HALF_OPEN, DEAF, HALF_CLOSED, LAST, CROSSING, OVER = range(7000, 7008)
SILENCE = f"""
table inet silence {{
    set deaf {{ type inet_service; }}
    chain input {{
        type filter hook input priority 0;
        tcp dport {UNANSWERED} tcp flags & (syn | ack) == syn drop
        tcp sport {HALF_OPEN} tcp flags & (syn | ack) == (syn | ack) drop
        tcp dport @deaf drop
    }}
    chain output {{
        type filter hook output priority 0;
    }}
}}
"""

# Sockets that several processes, and threads, have in common.
SHARING = """
import array, os, socket, sys, threading, time
kept = []
def listener(**options):
    made = socket.create_server(("127.0.0.1", 0), **options)
    kept.append(made)
    return made
forked = [listener() for _ in range(3)]
children = [os.fork() or time.sleep(600) for _ in range(4)]
port = listener(reuse_port=True).getsockname()[1]
group = [socket.create_server(("127.0.0.1", port), reuse_port=True) for _ in range(4)]
here, there = socket.socketpair()
passed = listener()
receiver = os.fork()
if receiver == 0:
    for made in kept + group:
        made.close()
    _, data, _, _ = there.recvmsg(1, socket.CMSG_SPACE(4))
    there.send(b"!")
    time.sleep(600)
socket.send_fds(here, [b"?"], [passed.fileno()])
here.recv(1)
passed.close()  # the receiver alone has it now
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
os.dup(forked[0].fileno())
print(*children, receiver, flush=True)
sys.stdin.read()
for child in children + [receiver]:
    os.kill(child, 9)
    os.wait()
"""


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.02)
    return found


# ---- the three programs' lists ----


def end(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def holders(record):
    return frozenset(
        (process["pid"], fd) for process in record.get("processes", ()) for fd in process["descriptors"]
    )


def seen_by_porthole(namespace, *words):
    done = run("sockets", "--json", "-tua", *words, namespace=namespace)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return records.parse(done.stdout)


def keys(said):
    """(kind, state, own end, other end, holders) of each record, as often as it is there."""
    found = collections.Counter()
    for record in said:
        local = "*" if record.get("dual_stack") else record["local_address"]
        remote = end(record["remote_address"], record["remote_port"]) if "remote_port" in record else "*"
        found[record["kind"], record["state"], end(local, record["local_port"]), remote, holders(record)] += 1
    return found


def ss_end(text):
    """An end as ss prints it, without the brackets' contents that mean IPv4."""
    text = re.sub(r"^\[::ffff:([\d.]+)\]", r"\1", text)
    return "*" if text.endswith(":*") else text


def seen_by_ss(namespace):
    found = collections.Counter()
    for line in run_tool(*namespace.prefix, "ss", "-H", "-tanup").splitlines():
        kind, state, _, _, local, remote, *users = line.split(maxsplit=6)
        held = frozenset(
            (int(pid), int(fd)) for pid, fd in re.findall(r"pid=(\d+),fd=(\d+)", "".join(users))
        )
        found[kind, SS_STATES[state], ss_end(local), ss_end(remote), held] += 1
    return found


def seen_by_lsof(namespace, pids):
    """(pid, descriptor, kind, state, ends) of what these processes hold."""
    words = ["lsof", "-nP", "-a", "-i", "-p", ",".join(map(str, pids)), "-FpfPTn"]
    found, record = set(), {}
    for line in run_tool(*namespace.prefix, *words).splitlines():
        letter, text = line[0], line[1:]
        if letter == "T" and not text.startswith("ST="):
            continue
        record[letter] = text
        if letter == "f":
            record = {"p": record["p"], "f": text}
        elif letter == "n":
            found.add((int(record["p"]), int(record["f"]), record["P"].lower(), text))
        elif letter == "T":
            found = {(*one, text[3:]) if one[:2] == (int(record["p"]), int(record["f"])) and len(one) == 4
                     else one for one in found}  # fmt: skip
    return found


def as_lsof(said):
    """The same of our records. lsof has no name for the state of a UDP socket."""
    found = set()
    for record in said:
        address = record["local_address"]
        name = end("*" if address in ("0.0.0.0", "::") else address, record["local_port"])
        if "remote_port" in record:
            name += f"->{end(record['remote_address'], record['remote_port'])}"
        state = (record["state"],) if record["kind"] == "tcp" else ()
        found |= {(pid, fd, record["kind"], name, *state) for pid, fd in holders(record)}
    return found


# ---- the scene ----


class Scene:
    """Every state of TCP, MANY times over, and what UDP has."""

    def __init__(self, test):
        self.test = test
        self.namespace = Namespace(test)
        self.namespace.nft(SILENCE)
        self.kept = []
        test.addCleanup(lambda: [made.close() for made in self.kept])
        with self.namespace.entered():
            self.make()

    def keep(self, made):
        self.kept.append(made)
        return made

    def listen(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self.keep(socket.create_server((address, port), family=family, backlog=1000))

    def client(self, listener):
        made = self.keep(socket.socket(listener.family))
        made.setblocking(False)
        made.connect_ex(listener.getsockname())
        return made

    def pairs(self, listener, count=MANY):
        """Connections with it: (client, server)."""
        made = []
        for _ in range(count):
            client = self.client(listener)
            made.append((client, self.keep(listener.accept()[0])))
        return made

    def drop(self, rule):
        """From now on."""
        self.namespace.nft(f"add rule inet silence input {rule}")

    def make(self):
        for address in ("127.0.0.1", "::1"):
            self.pairs(self.listen(address, PLAIN))
        dual = self.keep(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        for _ in range(3):
            self.keep(socket.create_connection(("127.0.0.1", dual.getsockname()[1])))
            self.keep(dual.accept()[0])
        unanswered, half_open = self.listen("127.0.0.1", UNANSWERED), self.listen("127.0.0.1", HALF_OPEN)
        for _ in range(MANY):
            self.client(unanswered)
            self.client(half_open)
        self.close_in_every_way()
        for number in range(MANY):
            one = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.bind(("127.0.0.1", 0))
            other = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            other.connect(one.getsockname())
            six = self.keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, number % 2)
            six.bind(("::", 0))

    def close_in_every_way(self):
        for client, _ in self.pairs(self.listen("127.0.0.1", HALF_CLOSED)):
            client.shutdown(socket.SHUT_WR)  # FIN_WAIT2, CLOSE_WAIT
        for client, server in self.pairs(self.listen("127.0.0.1", OVER)):
            client.close()
            server.close()  # TIME_WAIT
        deaf = self.pairs(self.listen("127.0.0.1", DEAF))
        last = self.pairs(self.listen("127.0.0.1", LAST))
        for client, _ in last:
            client.shutdown(socket.SHUT_WR)
        time.sleep(0.1)  # until the ends have come
        crossing = self.pairs(self.listen("127.0.0.1", CROSSING))
        # From here on the servers' ends are lost, and all that those of two ports should hear.
        self.namespace.nft(f"add element inet silence deaf {{ {DEAF}, {CROSSING} }}")
        self.drop(f"tcp sport {LAST} drop")
        for number, (client, _) in enumerate(deaf):
            client.shutdown(socket.SHUT_WR)  # FIN_WAIT1
            if number % 2:
                client.close()  # and no process has it
        for number, (_, server) in enumerate(last):
            server.shutdown(socket.SHUT_WR)  # LAST_ACK
            if number % 2:
                server.close()
        for client, server in crossing:
            client.shutdown(socket.SHUT_WR)  # whose end is not heard: CLOSING
            server.shutdown(socket.SHUT_WR)  # whose acknowledgement is not: FIN_WAIT1


@need("ip", "nft", "ss", "lsof")
class BesideOthers(unittest.TestCase):
    maxDiff = None

    def compare(self, namespace, list_others, ours_of):
        """The same sets, but for what changes while they are read."""
        for _ in range(20):
            before = ours_of(seen_by_porthole(namespace))
            theirs = list_others()
            after = ours_of(seen_by_porthole(namespace))
            if before == after:
                break
        self.assertEqual(before, after, "the sockets do not keep still")
        self.assertEqual(before, theirs)

    def test_every_state(self):
        scene = Scene(self)
        every = set(SS_STATES.values())
        wait_until(
            lambda: {record["state"] for record in seen_by_porthole(scene.namespace)} == every,
            f"all of {sorted(every)}",
        )
        counts = collections.Counter(record["state"] for record in seen_by_porthole(scene.namespace))
        for state in every - {"LISTEN"}:
            self.assertGreaterEqual(counts[state], MANY, state)
        self.compare(scene.namespace, lambda: seen_by_ss(scene.namespace), keys)
        self.compare(scene.namespace, lambda: seen_by_lsof(scene.namespace, [os.getpid()]), as_lsof)
        self.check_each_state(scene.namespace, every)

    def check_each_state(self, namespace, every):
        """--state, the filter's word, and the list that flows leave out nothing."""
        said = seen_by_porthole(namespace)
        for state in every:
            cookies = sorted(record["cookie"] for record in said if record["state"] == state)
            for words in (["--state", state], ["state", state.lower().replace("_", "-")]):
                done = run("sockets", "--json", "-tu", *words, namespace=namespace)
                told = [record["cookie"] for record in records.parse(done.stdout)]
                self.assertEqual(sorted(told), cookies, words)
        flowing = seen_by_porthole(namespace, "-P")
        self.assertEqual(sorted(r["cookie"] for r in flowing), sorted(r["cookie"] for r in said))

    def test_shared_and_passed_on(self):
        namespace = Namespace(self)
        with subprocess.Popen([*namespace.prefix, sys.executable, "-c", SHARING], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:  # fmt: skip
            *children, receiver = map(int, program.stdout.readline().split())
            family = {program.pid, *children, receiver}
            said = seen_by_porthole(namespace)
            self.assertEqual(len(said), 9)
            held = collections.Counter(frozenset(pid for pid, _ in holders(record)) for record in said)
            # Three are the whole family's, but for the receiver, which closed its own.
            self.assertEqual(held[frozenset(family - {receiver})], 3)
            self.assertEqual(held[frozenset({program.pid})], 5)
            self.assertEqual(held[frozenset({receiver})], 1)
            (twice,) = (r for r in said if len(holders(r)) == len(family))
            self.assertEqual([len(p["descriptors"]) for p in twice["processes"]
                              if p["pid"] == program.pid], [2])  # fmt: skip
            self.compare(namespace, lambda: seen_by_ss(namespace), keys)
            self.compare(namespace, lambda: seen_by_lsof(namespace, family), as_lsof)
            program.stdin.close()

    def test_while_sockets_come_and_go(self):
        """None is listed twice, none that stays is missed, and nothing fails."""
        namespace = Namespace(self)
        churn = """
import socket, struct, time
stays = [socket.create_server(("127.0.0.1", 0)) for _ in range(50)]
print(*(made.getsockname()[1] for made in stays), flush=True)
server = socket.create_server(("127.0.0.1", 0))
end = time.monotonic() + 60
while time.monotonic() < end:
    client = socket.create_connection(server.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted = server.accept()[0]
    client.close()  # by a reset, which leaves nothing behind
    accepted.close()
"""
        with subprocess.Popen([*namespace.prefix, sys.executable, "-c", churn], text=True,
                              stdout=subprocess.PIPE) as program:  # fmt: skip
            self.addCleanup(program.kill)
            stays = set(map(int, program.stdout.readline().split()))
            for words in ([], ["-P"]) * 10:
                said = seen_by_porthole(namespace, *words)
                cookies = collections.Counter(record["cookie"] for record in said)
                self.assertEqual([c for c, count in cookies.items() if count > 1], [])
                listening = {r["local_port"] for r in said if r["state"] == "LISTEN"}
                self.assertEqual(stays - listening, set())
            program.kill()


@need("ip")
class Reach(unittest.TestCase):
    """REACHED BY, and other namespaces."""

    def setUp(self):
        self.here, self.there = Namespace(self), Namespace(self)
        self.device = wire(self.here, ["198.18.0.1/24", "fd00::1/64", "fe80::1/64"],
                           self.there, ["198.18.0.2/24"])  # fmt: skip
        self.kept = []
        self.addCleanup(lambda: [made.close() for made in self.kept])

    def listen(self, address, device=None, dual=False, kind=socket.SOCK_STREAM):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.here.entered():
            made = socket.socket(family, kind)
            self.kept.append(made)
            if device:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
                scope = socket.if_nametoindex(self.device) if address.startswith("fe80") else 0
                made.bind((address, 0, 0, scope))
            else:
                made.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                made.listen()
        return made.getsockname()[1]

    def test_who_could_reach_it(self):
        device = self.device
        cases = [
            (("0.0.0.0",), {}, "0.0.0.0:{}", "every interface *", "everywhere", None),
            (("::",), {}, "[::]:{}", "every interface *", "everywhere", None),
            (("::",), {"dual": True}, "*:{}", "every interface *", "everywhere", None),
            (("0.0.0.0",), {"kind": socket.SOCK_DGRAM}, "0.0.0.0:{}", "every interface *", "everywhere", None),
            (("127.0.0.1",), {}, "127.0.0.1:{}", "loopback only", "loopback", None),
            (("127.5.6.7",), {}, "127.5.6.7:{}", "loopback only", "loopback", None),
            (("::1",), {}, "[::1]:{}", "loopback only", "loopback", None),
            (("198.18.0.1",), {}, "198.18.0.1:{}", f"198.18.0.1 ({device})", "address", device),
            (("fd00::1",), {}, "[fd00::1]:{}", f"fd00::1 ({device})", "address", device),
            (("fe80::1",), {}, f"[fe80::1%{device}]:{{}}", f"this link only ({device})", "link", device),
            (("0.0.0.0", "lo"), {}, "0.0.0.0%lo:{}", "loopback only", "loopback", "lo"),
        ]
        expected = {}
        for words, options, form, text, exposure, interface in cases:
            port = self.listen(*words, **options)
            expected[form.format(port)] = (text, exposure, interface, port)
        shown = run("sockets", "-nH", "-P", namespace=self.here).stdout.splitlines()
        lines = {line.split()[1]: " ".join(line.split()[2:]) for line in shown}
        self.assertEqual(lines, {end_: text for end_, (text, *_) in expected.items()})
        order = [line.split()[1] for line in shown]
        exposed = [expected[end_][1] for end_ in order]
        ranks = ["everywhere", "address", "link", "loopback"]
        self.assertEqual(exposed, sorted(exposed, key=ranks.index), "the most exposed come first")
        said = records.parse(run("sockets", "--json", namespace=self.here).stdout)
        told = {r["local_port"]: (r["exposure"], r.get("exposure_interface")) for r in said}
        for end_, (_, exposure, interface, port) in expected.items():
            self.assertEqual(told[port][0], exposure, end_)
            if interface and interface != "lo":
                self.assertEqual(told[port][1], interface, end_)

    def test_one_interface(self):
        port = self.listen("0.0.0.0", self.device)
        (line,) = run("sockets", "-nHP", "port", port, namespace=self.here).stdout.splitlines()
        self.assertIn(f"0.0.0.0%{self.device}:{port}", line)
        self.assertIn(f"({self.device})", line)
        self.assertNotIn("*", line)

    def test_every_namespace(self):
        port = self.listen("198.18.0.1")
        words = ["sockets", "-n", "port", port]
        self.assertNotIn(str(port), run(*words, namespace=self.there).stdout)
        done = run(*words, "--all-namespaces", namespace=self.there)
        self.assertIn(done.returncode, (0, 1))  # 1: there may be processes that are none of ours
        self.assertRegex(done.stdout, rf"\n{self.here.name} +tcp +198\.18\.0\.1:{port} ")
        self.assertIn(f" {os.getpid()} ", done.stdout)
        done = run("sockets", "--json", "--all-namespaces", "port", port, namespace=self.there)
        (record,) = records.parse(done.stdout)
        self.assertEqual(record["namespace"]["name"], self.here.name)
        self.assertFalse(record["namespace"]["own"])
        self.assertEqual(record["exposure_interface"], self.device)  # by that namespace's interfaces
        story = run("sockets", port, namespace=self.there)
        self.assertEqual(story.returncode, 1)  # it can be had here
        self.assertIn(self.here.name, story.stdout)

    def test_an_interface_of_a_hostile_name(self):
        name = 'x";\x1b[31m'
        self.here.ip("link", "add", name, "type", "veth", "peer", "name", "other")
        self.here.ip("address", "add", "198.18.9.1/24", "dev", name)
        self.here.ip("link", "set", "other", "up")
        self.here.ip("link", "set", name, "up")
        port = self.listen("198.18.9.1")
        for form in ([], ["--json"], ["--csv"], ["-v"]):
            done = run("sockets", "port", port, *form, namespace=self.here)
            self.assertEqual(done.returncode, 0)
            self.assertNotIn("\x1b", done.stdout)
            self.assertIn("198.18.9.1", done.stdout)
        self.assertNotIn("\x1b", run("sockets", port, namespace=self.here).stdout)


if __name__ == "__main__":
    unittest.main()

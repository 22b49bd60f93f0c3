#!/usr/bin/python3
"""`sockets` and the units and containers that processes belong to: in control groups that the test makes
itself, named as systemd and container engines name theirs."""

import contextlib
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from porthole import PROGRAM, records
from talk_run import own_network

PATIENCE = 60  # seconds
IDENTITY = secrets.token_hex(32)  # of a container
LISTENER = """
import socket, sys
made = socket.create_server(("127.0.0.1", 0))
print(made.getsockname()[1], flush=True)
sys.stdin.read()
"""


def setUpModule():
    own_network()


def hierarchy():
    """Where version 2 of control groups is mounted and may be written; None: nowhere."""
    for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return pathlib.Path(place)
    return None


@unittest.skipUnless(os.geteuid() == 0 and hierarchy(), "no control groups that may be made")
class Groups(unittest.TestCase):
    """A control group is the root of the names for who sees it from its own namespace of them."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.top = hierarchy() / f"porthole-{secrets.token_hex(5)}"
        self.group(self.top)

    def group(self, path):
        path.mkdir()
        self.stack.callback(path.rmdir)

    def run_in(self, path, *words, **others):
        """Starts a program in a group."""
        enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return subprocess.Popen(["sh", "-c", enter, path, *words], text=True, **others)

    def listen_in(self, name):
        """A server in the group of that name; returns its port and process."""
        path = self.top
        for part in name.split("/"):
            path = path / part
            if not path.exists():
                self.group(path)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = self.stack.enter_context(self.run_in(path, sys.executable, "-c", LISTENER, **pipes))
        self.stack.callback(process.kill)
        return int(process.stdout.readline()), process

    def sockets(self, *words):
        """What porthole says that sees the top as the root."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        words = ["unshare", "--cgroup", PROGRAM, "sockets", *map(str, words)]
        with self.run_in(self.top, *words, **pipes) as process:
            told, said = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, said), (0, ""), words)
        return told

    def of_port(self, port):
        (record,) = records.parse(self.sockets("--json", "port", port))
        (process,) = record["processes"]
        return process

    def test_a_unit(self):
        port, server = self.listen_in("system.slice/web server.service")
        self.assertEqual(self.of_port(port).get("unit"), None)  # no name that systemd gives
        port, server = self.listen_in("system.slice/web-server.service")
        self.assertEqual(self.of_port(port)["unit"], "web-server.service")
        self.assertRegex(self.sockets("-n", "port", port), r" web-server\.service\b")
        told = self.sockets(port)
        self.assertIn("web-server.service", told)
        self.assertIn("systemctl stop web-server.service", told)
        self.assertIn(f"{port} ", self.sockets("-n", "unit", "web-server.service") + " ")
        self.assertIsNone(server.poll())  # it is told how to stop it, and no more

    def test_a_user_s_unit(self):
        port, _ = self.listen_in("user.slice/user-1000.slice/user@1000.service/app.slice/notes.service")
        process = self.of_port(port)
        self.assertEqual((process["unit"], process["user_unit"]), ("notes.service", True))
        self.assertIn("systemctl --user stop notes.service", self.sockets(port))

    def test_containers(self):
        cases = {
            f"system.slice/docker-{IDENTITY}.scope": ("docker", "docker stop "),
            f"machine.slice/libpod-{IDENTITY}.scope": ("podman", "podman stop "),
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234.slice/"
            f"cri-containerd-{IDENTITY}.scope": ("kubernetes", "crictl stop "),
        }
        for name, (runtime, stop) in cases.items():
            with self.subTest(runtime):
                port, _ = self.listen_in(name)
                process = self.of_port(port)
                self.assertEqual((process["container_runtime"], process["container"]), (runtime, IDENTITY))
                self.assertNotIn("unit", process)
                self.assertIn(stop + IDENTITY[:12], self.sockets(port))
                for words in (("container", IDENTITY[:12]), ("container", runtime)):
                    self.assertIn(f":{port} ", self.sockets("-n", *words))

    def test_who_is_in_none(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            process = self.of_port(server.getsockname()[1])
        self.assertFalse({"unit", "container", "container_runtime"} & set(process), process)


if __name__ == "__main__":
    unittest.main()

"""What a running scan may still do, as the kernel tells, and the tests that hold for every way to
scan: each subclass of Confined names one."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from namespaces import need
from porthole import PROGRAM, Records, run, start
from shell_status import shell_status
from sockets import listen, port_of

NOBODY = 65534
CAP_DAC_OVERRIDE = 1 << 1
CAP_FOWNER = 1 << 3
CAP_NET_RAW = 1 << 13
ORDINARY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
PATIENCE = 60  # seconds
# Sanitizers need what the filters forbid; capabilities are dropped in their builds, too.
SANITIZED = b"__asan_init" in pathlib.Path(PROGRAM).read_bytes()
FILTERS = pathlib.Path("/proc/sys/kernel/seccomp/actions_avail").exists() and not SANITIZED
FORMATS = {"xml": "<nmaprun", "jsonl": '{"type"', "csv": "address", "gnmap": "#", "txt": "127.0.0.1"}


def rights(pid):
    """The lines of /proc/PID/status about rights, as numbers."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    numbers = {name: int(fields[name], 16)
               for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}  # fmt: skip
    return {**numbers, "NoNewPrivs": int(fields["NoNewPrivs"]), "Seccomp": int(fields["Seccomp"])}


def wait_until_confined(process):
    """Waits until a scan has given up its rights; returns what is left of them."""
    deadline = time.monotonic() + PATIENCE
    # Capabilities go after NoNewPrivs and before the filter, where there is one.
    while time.monotonic() < deadline:
        try:
            left = rights(process.pid)
        except KeyError:  # it has ended
            break
        if left["NoNewPrivs"] and left["Seccomp"] == (2 if FILTERS else 0):
            if FILTERS or not left["CapPrm"] & CAP_NET_RAW:
                return left
        time.sleep(0.01)
    raise AssertionError("the scan did not give up its rights, or ended before it was seen to")


class Confined:
    """Tests for a unittest.TestCase with `technique`, the words that choose a way to scan."""

    technique = ()

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = pathlib.Path(
            self.stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-confine-"))
        )
        listeners = [self.stack.enter_context(listen("127.0.0.1")) for _ in range(3)]
        self.open = {port_of(listener) for listener in listeners}
        ports = ",".join(map(str, sorted(self.open)))
        self.subject = ["-p", f"1-400,{ports}", "127.0.0.1"]
        self.words = ["scan", *self.technique, *self.subject]

    def copy_program(self):
        """A copy of the program that every user may run; its path."""
        place = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-confine-"))
        os.chmod(place, 0o755)
        path = shutil.copy(PROGRAM, place)
        os.chmod(path, 0o755)
        return path

    def outputs(self, directory):
        """Words for a file of each format in a directory."""
        return [word for suffix in FORMATS for word in ("-o", f"{directory}/result.{suffix}")]

    def check_outputs(self, directory, owner=None):
        """Every document is whole, nothing else is there, and each belongs to `owner`."""
        names = {f"result.{suffix}" for suffix in FORMATS}
        self.assertEqual(set(os.listdir(directory)), names)
        for suffix, start_of_file in FORMATS.items():
            path = pathlib.Path(directory, f"result.{suffix}")
            text = path.read_text(encoding="utf-8")
            self.assertIn(start_of_file, text)
            for port in self.open:
                self.assertIn(str(port), text, suffix)
            if owner is not None:
                self.assertEqual(path.stat().st_uid, owner)
        found = Records(pathlib.Path(directory, "result.jsonl").read_text(encoding="utf-8"))
        self.assertEqual(found.open("127.0.0.1") & self.open, self.open)

    def interrupt_and_resume(self, directory, prefix=(), program=PROGRAM):
        """Interrupts a scan once it is confined, and has it go on to its end. Returns what rights
        the first run had."""
        checkpoint = pathlib.Path(directory, "scan.ckpt")
        words = [*prefix, program, *self.words, "--checkpoint", checkpoint, *self.outputs(directory),
                 "--rate", 200]  # fmt: skip
        others = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                  "stderr": subprocess.PIPE, "encoding": "utf-8"}  # fmt: skip
        with subprocess.Popen(list(map(str, words)), **others) as process:
            left = wait_until_confined(process)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=PATIENCE)[1]
        self.assertEqual(shell_status(process.returncode), 128 + signal.SIGINT, said)
        self.assertTrue(checkpoint.exists())
        words = [*prefix, program, "scan", "--resume", checkpoint, "--rate", "100k"]
        done = subprocess.run(list(map(str, words)), **others, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return left

    def assert_nothing_left(self, left, kept=0):
        """No capability but those in `kept`, and no way to others."""
        self.assertEqual((left["CapPrm"], left["CapEff"]), (kept, kept))
        self.assertEqual((left["CapInh"], left["CapAmb"]), (0, 0))
        self.assertEqual(left["NoNewPrivs"], 1)
        self.assertEqual(left["Seccomp"], 2 if FILTERS else 0)
        if os.geteuid() == 0:
            self.assertEqual(left["CapBnd"], 0)

    def test_rights_of_a_running_scan(self):
        with start(*self.words, "--rate", 100) as process:
            left = wait_until_confined(process)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        self.assert_nothing_left(left)

    def test_every_output_interrupted_and_resumed(self):
        left = self.interrupt_and_resume(self.directory)
        self.assert_nothing_left(left)
        self.check_outputs(self.directory, os.geteuid())

    def test_documents_are_replaced(self):
        for suffix in FORMATS:
            self.directory.joinpath(f"result.{suffix}").write_text("old", encoding="ascii")
        done = run(*self.words, *self.outputs(self.directory))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.check_outputs(self.directory)

    @need()
    def test_root_in_a_directory_of_somebody_else_s(self):
        os.chmod(self.directory, 0o755)
        os.chown(self.directory, NOBODY, NOBODY)
        left = self.interrupt_and_resume(self.directory)
        self.assert_nothing_left(left, CAP_DAC_OVERRIDE)
        self.check_outputs(self.directory, 0)

    @need()
    def test_root_in_a_closed_directory_of_somebody_else_s(self):
        inner = self.directory / "inner"
        inner.mkdir()
        os.chmod(self.directory, 0o700)
        os.chown(self.directory, NOBODY, NOBODY)
        left = self.interrupt_and_resume(inner)
        self.assert_nothing_left(left, CAP_DAC_OVERRIDE)
        self.check_outputs(inner, 0)

    @need()
    def test_root_replaces_somebody_else_s_file_in_a_sticky_directory(self):
        os.chmod(self.directory, 0o1777)
        os.chown(self.directory, NOBODY, NOBODY)
        path = self.directory / "result.xml"
        path.write_text("old", encoding="ascii")
        os.chown(path, NOBODY, NOBODY)
        with start(*self.words, "--rate", 200, "-o", path) as process:
            left = wait_until_confined(process)
            said = process.communicate(timeout=PATIENCE)[1]
        self.assertEqual((process.returncode, said), (0, ""))
        self.assert_nothing_left(left, CAP_FOWNER)
        self.assertIn("<nmaprun", path.read_text(encoding="utf-8"))

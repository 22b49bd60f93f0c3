"""A raw scan opens what needs rights and then gives all of them up: as root, with sudo in a directory
of somebody else's, and with a file capability."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from confined import NOBODY, ORDINARY, PATIENCE, SANITIZED, Confined, wait_until_confined
from namespaces import Namespace, need, run, wire
from porthole import PROGRAM, Records
from porthole import run as porthole
from porthole import start
from reflector import OWN, Reflector, program
from sockets import listen
from terminal import Terminal


@need("setpriv", "setcap")
class Raw(Confined, unittest.TestCase):
    technique = ("-sS",)

    def program_with_capability(self):
        """A copy of the program that may send raw packets, whoever runs it."""
        program = self.copy_program()
        if SANITIZED:
            self.skipTest("LeakSanitizer cannot look at a program with file capabilities")
        if os.statvfs(program).f_flag & os.ST_NOSUID:
            self.skipTest("file capabilities count for nothing on this file system")
        run("setcap", "cap_net_raw+ep", program)
        return program

    def test_an_ordinary_user_with_a_file_capability(self):
        program = self.program_with_capability()
        os.chown(self.directory, NOBODY, NOBODY)
        left = self.interrupt_and_resume(self.directory, ORDINARY, program)
        self.assertEqual((left["CapPrm"], left["CapEff"]), (0, 0))
        self.assertEqual((left["CapInh"], left["CapAmb"]), (0, 0))
        self.check_outputs(self.directory, NOBODY)

    def test_keys_and_signals_at_a_terminal(self):
        words = [PROGRAM, *self.words, "--rate", "50"]
        with Terminal(words) as terminal:
            terminal.wait_for(r"pass 1: [^\n]*")
            wait_until_confined(terminal)
            terminal.press(" ")
            terminal.wait_for(r"pass 1: [^\n]*\n")
            terminal.press("\x1a")  # Ctrl-Z
            _, status = os.waitpid(terminal.pid, os.WUNTRACED)
            self.assertTrue(os.WIFSTOPPED(status))
            os.kill(terminal.pid, signal.SIGCONT)
            terminal.text = ""
            os.kill(terminal.pid, signal.SIGUSR1)
            terminal.wait_for(r"pass 1: [^\n]*\n")
            terminal.press("\x03")  # Ctrl-C
            self.assertEqual(terminal.finish(), 128 + signal.SIGINT)
        self.assertIn("interrupted", terminal.text)

    def looked_at(self, technique):
        """The exit status of a look at the descriptors of a running scan, which has got its
        capability from whom started it, by another program of the same user."""
        prefix = [*ORDINARY, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
        words = [*prefix, self.copy_program(), "scan", technique, *self.subject, "--rate", 100]
        with subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:  # fmt: skip
            left = wait_until_confined(process)
            looked = subprocess.run([*ORDINARY, "ls", f"/proc/{process.pid}/fd"],
                                    capture_output=True, check=False)  # fmt: skip
            process.terminate()
            process.communicate()
        self.assertEqual((left["CapPrm"], left["CapInh"], left["CapAmb"]), (0, 0, 0))
        return looked.returncode

    def test_other_programs_of_the_same_user_do_not_get_the_sockets(self):
        self.assertEqual(self.looked_at("-sT"), 0)
        if SANITIZED:
            self.skipTest("LeakSanitizer has to look into the process")
        self.assertNotEqual(self.looked_at("-sS"), 0)


@need("nft")
class Sockets(unittest.TestCase):
    """The sockets of a scan by connect() once it is confined."""

    def non_blocking(self, pid):
        """For each TCP socket of a process: whether it waits for nothing."""
        flags = {}
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(path).startswith("socket:"):
                text = pathlib.Path(f"/proc/{pid}/fdinfo/{path.name}").read_text(encoding="ascii")
                fields = dict(line.split(":\t", 1) for line in text.splitlines())
                flags[path.name] = bool(int(fields["flags"], 8) & os.O_NONBLOCK)
        return flags

    def test_a_silent_port_of_this_machine_holds_nothing_up(self):
        here = Namespace(self)
        here.nft("table inet t { chain c { type filter hook input priority 0;"
                 " tcp dport 4000 drop; }; }")  # fmt: skip
        with start("scan", "-sT", "--timeout", "20s", "--max-timeout", "20s",
                   "-p", "4000", "127.0.0.1", namespace=here) as process:  # fmt: skip
            wait_until_confined(process)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                found = self.non_blocking(process.pid)
                if found and all(found.values()):
                    break
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.communicate()
        self.assertTrue(found)
        self.assertTrue(all(found.values()), found)


@unittest.skipUnless(os.path.exists(program()), "this build has no BPF")
@need("setpriv")
class Programs(unittest.TestCase):
    """A scan that walks inside the kernel: what it needs to begin, and how little to go on."""

    RIGHTS = ("net_raw", "net_admin", "bpf", "perfmon")
    SUBJECT = ("-p", "80", "198.19.0.0/20")

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="porthole-confine-")
        self.addCleanup(place.cleanup)
        os.chmod(place.name, 0o755)
        self.program = shutil.copy(PROGRAM, place.name)
        os.chmod(self.program, 0o755)
        self.lab = Reflector(open=6, closed=69, polls=OWN, test=self)

    def words(self, *words, rights=RIGHTS):
        """A scan by an ordinary user with these rights."""
        given = ",".join(f"+{right}" for right in rights)
        return [*self.lab.prefix, *ORDINARY, f"--inh-caps={given}", f"--ambient-caps={given}",
                self.program, "scan", *map(str, words), *self.SUBJECT]  # fmt: skip

    def test_nothing_is_left_while_it_runs(self):
        words = self.words("--link", "xdp", "--json", "--rate", 4000)
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8") as process:  # fmt: skip
            left = wait_until_confined(process)
            found, said = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, said), (0, ""))
        self.assertEqual((left["CapPrm"], left["CapInh"], left["CapAmb"]), (0, 0, 0))
        self.assertEqual(left["NoNewPrivs"], 1)
        done = Records(found)
        self.assertEqual(done.summary["link"], "xdp")
        self.assertGreater(done.summary["open"], 100)

    def test_it_walks_without_rights(self):
        words = self.words("--link", "xdp", "--json", "--min-rate", "200k")
        done = subprocess.run(words, check=True, capture_output=True, encoding="utf-8",
                              timeout=PATIENCE)  # fmt: skip
        summary = Records(done.stdout).summary
        self.assertEqual(summary["link"], "xdp")
        self.assertNotIn("link_reason", summary)  # it has not stopped on the way
        self.assertGreater(summary["open"], 100)

    def test_each_right_is_needed(self):
        for missing in self.RIGHTS[1:]:
            with self.subTest(missing=missing):
                rights = [right for right in self.RIGHTS if right != missing]
                done = subprocess.run(self.words("--link", "xdp", rights=rights), check=False,
                                      capture_output=True, encoding="utf-8", timeout=PATIENCE)  # fmt: skip
                self.assertEqual(done.returncode, 3)
                self.assertRegex(done.stderr, r"\Aporthole scan: .*needs CAP_BPF.*\n\Z")


@need()
class Zones(unittest.TestCase):
    """The name of a zone is asked for while the scan runs, and at its end."""

    def setUp(self):
        self.here, self.there = Namespace(self), Namespace(self)
        self.device = wire(self.here, ["fe80::1/64"], self.there, ["fe80::2/64"])

    def check(self, technique):
        """The zone's name stands in every place."""
        with self.there.entered():
            listener = listen("::", 4000)
        self.addCleanup(listener.close)
        target = f"fe80::2%{self.device}"
        done = porthole("scan", technique, "-v", "-p", "4000", target, namespace=self.here)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"open: [{target}]:4000", done.stderr)
        self.assertIn(f"\n{target}\n", f"\n{done.stdout}")

    def test_connect(self):
        self.check("-sT")

    def test_raw(self):
        self.check("-sS")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])

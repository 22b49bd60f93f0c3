"""A raw scan opens what needs rights and then gives all of them up: as root, with sudo in a directory
of somebody else's, and with a file capability."""

import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from confined import NOBODY, ORDINARY, SANITIZED, Confined, wait_until_confined
from namespaces import Namespace, need, run, wire
from porthole import PROGRAM
from porthole import run as porthole
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

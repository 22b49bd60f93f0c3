#!/usr/bin/python3
"""What whoever started porthole sees of a signal that ended it, or that it was told to ignore."""

import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from porthole import PROGRAM, command
from terminal import Terminal


class Signals(unittest.TestCase):
    def start(self, *words):
        """One that says on standard error which port it has."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8",
        )  # fmt: skip
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(process.kill)
        self.assertIn("Listening on", process.stderr.readline())
        return process

    def test_it_is_seen_to_have_ended_it(self):
        verbs = ["listen", "-v", "0"], ["listen", "-v", "--http", "0"]
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            for words in verbs:
                with self.subTest(number=number, words=words):
                    process = self.start(*command(*words))
                    process.send_signal(number)
                    self.assertEqual(process.wait(60), -number)

    def test_one_that_is_ignored_stays_so(self):
        for name, number in ("INT", signal.SIGINT), ("HUP", signal.SIGHUP):
            with self.subTest(name):
                script = f'trap "" {name}; exec "$0" listen -v 0'
                process = self.start("sh", "-c", script, PROGRAM)
                process.send_signal(number)
                with self.assertRaises(subprocess.TimeoutExpired):
                    process.wait(0.3)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(60), -signal.SIGTERM)

    def test_a_shell_ends_its_loop(self):
        """It goes on after a program that exits, with whatever status, by itself."""
        script = 'for i in 1 2; do "$0" listen 0; done; echo went on'
        with Terminal(["bash", "-c", script, PROGRAM]) as terminal:
            terminal.wait_for("Only this machine")
            terminal.press("\x03")
            self.assertEqual(terminal.finish(), 128 + signal.SIGINT)
            self.assertEqual(terminal.text.count("Only this machine"), 1)
            self.assertNotIn("went on", terminal.text)


if __name__ == "__main__":
    unittest.main()

"""porthole scan on a terminal and off it: colour, progress, keys and signals."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from porthole import Records, command, run, start
from shell_status import shell_status
from sockets import free_port, listen, port_of
from terminal import Terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROGRESS = re.compile(r"\rpass 1: \d+% of 200 ports, [^\r\n]*/s, ")

SLOW = ["--rate", "100", "-p", "1-200", "127.0.0.1"]  # two seconds


class TerminalTest(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.open = port_of(stack.enter_context(listen("127.0.0.1")))
        self.closed = free_port()
        self.quick = ["-p", f"{self.open},{self.closed}", "127.0.0.1"]

    def on_terminal(self, *words, **others):
        """What a terminal shows of a scan that must end well."""
        with Terminal(command("scan", *words), **others) as terminal:
            self.assertEqual(terminal.finish(), 0, terminal.text)
            return terminal.text


class Colour(TerminalTest):
    def test_only_on_a_terminal(self):
        self.assertRegex(self.on_terminal(*self.quick), r"\x1b\[[0-9;]+mopen\x1b\[0?m")
        self.assertNotIn("\x1b", run("scan", *self.quick).stdout)
        with tempfile.TemporaryFile("w+") as file:
            shown = self.on_terminal(*self.quick, stdout=file.fileno())
            file.seek(0)
            written = file.read()
        self.assertNotIn("\x1b", written)
        self.assertIn(f"{self.open}/tcp", written)
        self.assertNotIn(f"{self.open}/tcp", shown)

    def test_not_where_it_is_not_wanted(self):
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            with self.subTest(environment):
                text = self.on_terminal(*self.quick, environment=environment)
                self.assertNotRegex(text, COLOUR)
                self.assertIn(f"{self.open}/tcp", text)

    def test_an_empty_no_color_means_nothing(self):
        self.assertRegex(self.on_terminal(*self.quick, environment={"NO_COLOR": ""}), COLOUR)

    def test_only_of_the_table(self):
        for words in (["--json"], ["--csv"], ["--grep"], ["--xml"]):
            with self.subTest(words):
                self.assertNotRegex(self.on_terminal(*words, *self.quick), COLOUR)


class Progress(TerminalTest):
    def test_only_on_a_terminal(self):
        text = self.on_terminal(*SLOW)
        self.assertRegex(text, PROGRESS)
        # What stays on the terminal is the table alone.
        lines = [line.rsplit("\x1b[K", 1)[-1] for line in text.replace("\r\n", "\n").split("\n")]
        self.assertFalse([line for line in lines if "pass 1:" in line], lines)
        done = run("scan", *SLOW)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_beside_redirected_results(self):
        with tempfile.TemporaryFile("w+") as file:
            text = self.on_terminal("--json", *SLOW, stdout=file.fileno())
            file.seek(0)
            self.assertEqual(len(Records(file.read()).of("port")), 200)
        self.assertRegex(text, PROGRESS)

    def test_an_estimate_of_the_time_that_is_left(self):
        self.assertRegex(self.on_terminal(*SLOW), r"\S+s left in this pass")

    def test_records_on_the_terminal_stay_whole(self):
        with Terminal(command("scan", "--json", *SLOW), {"COLUMNS": "500"}) as terminal:
            self.assertEqual(terminal.finish(), 0)
            text = terminal.text.replace("\r\n", "\n")
        lines = [line.rsplit("\x1b[K", 1)[-1].rsplit("\r", 1)[-1] for line in text.split("\n")]
        self.assertEqual(len(Records("\n".join(lines)).of("port")), 200)


class Keys(TerminalTest):
    def test_a_key_prints_the_status_and_is_not_shown(self):
        with Terminal(command("scan", *SLOW)) as terminal:
            terminal.wait_for(PROGRESS)
            terminal.press("Q")
            terminal.wait_for(r"pass 1: \d+% of 200 ports, [^\r\n]*\r\n")
            self.assertEqual(terminal.finish(), 0)
        self.assertNotIn("Q", terminal.text)

    def test_the_terminal_is_left_as_it_was(self):
        words = ["sh", "-c", 'stty -g; "$0" "$@"; stty -g', *command("scan", *SLOW)]
        with Terminal(words) as terminal:
            terminal.wait_for(PROGRESS)
            self.assertEqual(terminal.finish(), 0)
        before, after = re.findall(r"^[0-9a-f]+(?::[0-9a-f]+)+(?=\r?$)", terminal.text, re.M)
        self.assertEqual(before, after)

    def test_ctrl_c(self):
        with Terminal(command("scan", *SLOW)) as terminal:
            terminal.wait_for(PROGRESS)
            terminal.press("\x03")
            self.assertEqual(terminal.finish(), 128 + signal.SIGINT)
        self.assertIn("interrupted", terminal.text)
        self.assertIn("undecided", terminal.text)


class Status(unittest.TestCase):
    def test_sigusr1_prints_the_status(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".json") as file:
            with start("scan", "--json", *SLOW, stdout=file) as process:
                while process.poll() is None and os.path.getsize(file.name) == 0:
                    time.sleep(0.01)
                for _ in range(20):
                    process.send_signal(signal.SIGUSR1)
                    self.assertRegex(process.stderr.readline(), r"^pass 1: \d+% of 200 ports, ")
                    if len(pathlib.Path(file.name).read_bytes().splitlines()) > 150:
                        break
                self.assertEqual(process.stderr.read(), "")
            self.assertEqual(process.returncode, 0)
            text = pathlib.Path(file.name).read_text(encoding="ascii")
            self.assertEqual(Records(text).summary["end"], "complete")


class Ending(unittest.TestCase):
    """Signals half-way: what is known is printed."""

    def interrupt(self, number, *words):
        """A scan that gets a signal after its first records; (status, stdout, stderr)."""
        words = ["scan", "--json", "--rate", "200", "-p", "1-65535", "127.0.0.1", *words]
        with start(*words) as process:
            lines = [process.stdout.readline() for _ in range(20)]
            process.send_signal(number)
            rest, stderr = process.stdout.read(), process.stderr.read()
        return shell_status(process.returncode), "".join(lines) + rest, stderr

    def test_what_is_known_is_told(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                status, stdout, stderr = self.interrupt(number)
                self.assertEqual(status, 128 + number)
                records = Records(stdout)
                self.assertEqual(records.summary["end"], "interrupted")
                self.assertGreaterEqual(len(records.of("port")), 19)
                self.assertEqual(
                    records.summary["undecided"], 65535 - len(records.of("port"))
                )
                self.assertEqual(records.summary["filtered"], 0)
                self.assertEqual(
                    stderr,
                    "porthole scan: interrupted; with --checkpoint FILE a scan can be resumed\n",
                )

    def test_how_to_go_on_is_told(self):
        with tempfile.TemporaryDirectory(prefix="porthole-") as directory:
            path = f"{directory}/scan.ckpt"
            status, _, stderr = self.interrupt(signal.SIGINT, "--checkpoint", path)
            self.assertEqual(status, 130)
            self.assertEqual(
                stderr,
                f"porthole scan: interrupted; go on with: porthole scan --resume {path}\n",
            )
            self.assertTrue(os.path.exists(path))

    def test_files_are_finished(self):
        with tempfile.TemporaryDirectory(prefix="porthole-") as directory:
            path = pathlib.Path(directory, "scan.xml")
            status, _, _ = self.interrupt(signal.SIGTERM, "-o", path)
            self.assertEqual(status, 143)
            self.assertTrue(path.read_text(encoding="utf-8").endswith("</nmaprun>\n"))
            self.assertEqual(os.listdir(directory), ["scan.xml"])

    def test_nohup_means_it(self):
        words = ["nohup", *command("scan", "--json", *SLOW)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, text=True, **pipes) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            rest, stderr = process.stdout.read(), process.stderr.read()
        self.assertEqual((process.returncode, stderr), (0, ""))
        self.assertIn('"end":"complete"', rest)

    def test_a_second_signal_ends_it_at_once(self):
        """Also while the results wait for a reader that does not read."""
        words = ["scan", "--json", "-p", "1-65535", "127.0.0.1"]
        with start(*words) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.stdout.read()
        self.assertEqual(process.returncode, -signal.SIGINT)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
"""`sockets --watch`: what comes and goes, as lines and records, and in a live view on a terminal."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position

import records
from namespaces import Namespace, need
from porthole import PROGRAM, command, run, start
from sockets import listen, port_of
from terminal import Terminal

PATIENCE = 60  # seconds
OFTEN = "--watch=0.1"
KEYS = "q quit"  # begins the line that tells of them
HOSTILE = "\x1b[31m\n\x9b"
GREEN = "\x1b[32m"


TIME_WAIT = "06"  # in /proc/net/tcp


class Alone(unittest.TestCase):
    """Each test has a network of its own, where that can be had: in it are no sockets but its own,
    and none that an earlier test has left in TIME_WAIT."""

    def setUp(self):
        if os.geteuid() == 0:
            self.enterContext(Namespace(self).entered())


class Lines:
    """A watch that prints, while a `with` lasts."""

    def __init__(self, *words):
        self.process = start("sockets", OFTEN, *words)
        self.lines, self.changed = [], threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.reader.join()
        self.process.communicate()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                if line.endswith("\n"):  # else it was killed
                    self.lines.append(line)
                self.changed.notify_all()

    def wait_for(self, condition, what):
        """Waits for a line of which this holds, and returns it."""
        deadline = time.monotonic() + PATIENCE
        with self.changed:
            while not (found := next((line for line in self.lines if condition(line)), None)):
                if not self.changed.wait(max(0, deadline - time.monotonic())):
                    raise AssertionError(f"in vain: {what}: {self.lines}")
        return found

    def expect(self, pattern):
        """Waits for a line that matches."""
        return self.wait_for(re.compile(pattern).match, pattern)

    def record(self, **members):
        """Waits for a record with these members."""
        def has(line):
            record = json.loads(line)
            return all(record.get(name) == value for name, value in members.items())
        return json.loads(self.wait_for(has, members))

    def changes(self, port):
        """The records of what changed at a local port, as (state before, state)."""
        every = [json.loads(line) for line in self.lines]
        return [(record["state_before"], record["state"]) for record in every
                if record["local_port"] == port and record.get("change") == "changed"]  # fmt: skip


class Connection:
    """Two ends on loopback, and their listener."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(self.listener.getsockname())
        self.server, _ = self.listener.accept()
        self.port = self.listener.getsockname()[1]
        self.client_port = self.client.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The client first, which keeps the connection in TIME_WAIT."""
        for end in (self.client, self.server, self.listener):
            end.close()

    def wait_for_the_end(self):
        """Until nothing of it is left but the client's end, in TIME_WAIT."""
        deadline, last = time.monotonic() + PATIENCE, {(self.client_port, TIME_WAIT)}
        while (states := tcp_states({self.port, self.client_port})) != last:
            assert time.monotonic() < deadline, f"it does not end: {states}"
            time.sleep(0.01)


def tcp_states(ports):
    """What the kernel has at these local ports, as (port, state)."""
    with open("/proc/thread-self/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    every = {(int(row[1].rpartition(":")[2], 16), row[3]) for row in rows}
    return {(port, state) for port, state in every if port in ports}


class InLines(Alone):
    def test_what_is_there_comes_and_goes(self):
        with listen("127.0.0.1") as old, Lines("-n", "--tcp") as lines:
            lines.expect(r"  TIME      PROTO  LOCAL +REACHED BY +PROCESS$")
            lines.expect(rf"  \d\d:\d\d:\d\d  tcp +127\.0\.0\.1:{port_of(old)} .*{os.getpid()}")
            with listen("127.0.0.1") as new:
                port = port_of(new)
                lines.expect(rf"\+ \d\d:\d\d:\d\d  tcp +127\.0\.0\.1:{port} .*{os.getpid()}")
            # Who held it is still known.
            lines.expect(rf"- \d\d:\d\d:\d\d  tcp +127\.0\.0\.1:{port} .*{os.getpid()}")
        self.assertEqual(len([line for line in lines.lines if f":{port_of_text(port)}" in line]), 2)

    def test_a_connection_is_the_same_in_all_its_states(self):
        with Connection() as made, Lines("-n", "--tcp", "--all") as lines:
            ends = rf"127\.0\.0\.1:{made.client_port} +127\.0\.0\.1:{made.port} "
            lines.expect(rf"  .*tcp +ESTABLISHED .*{ends}")
            made.close()
            lines.expect(rf"~ .*tcp +TIME_WAIT .*{ends} .*\(was \w+\)$")
            # A look may have met it on the way.
            told = [re.fullmatch(rf"(.) \S+  tcp +(\w+) .*{ends}.*?(?:\(was (\w+)\))?\n", line)
                    for line in lines.lines if re.search(ends, line)]  # fmt: skip
            signs, states, states_before = zip(*(line.groups() for line in told))
            self.assertEqual(signs, (" ", *["~"] * (len(told) - 1)))
            self.assertEqual(states_before, (None, *states[:-1]))

    def test_a_connection_comes(self):
        with Lines("-n", "--tcp", "--all") as lines:
            lines.expect("  TIME")
            with Connection() as made:
                ends = rf"127\.0\.0\.1:{made.client_port} +127\.0\.0\.1:{made.port} "
                lines.expect(rf"\+ .*tcp .*{ends}")
                lines.expect(rf"[+~] .*tcp +ESTABLISHED .*{ends}")

    def test_records(self):
        with Connection() as made, Lines("--json", "--tcp", "--all") as lines:
            first = lines.record(local_port=made.port, state="LISTEN")
            self.assertNotIn("change", first)
            made.close()
            lines.record(local_port=made.port, state="LISTEN", change="went")
            lines.record(local_port=made.client_port, change="changed", state="TIME_WAIT")
            states_before, states = zip(*lines.changes(made.client_port))
            # A look may have met it on the way.
            self.assertEqual(states_before, ("ESTABLISHED", *states[:-1]))
            with listen("127.0.0.1") as new:
                came = lines.record(local_port=port_of(new), change="came")
                self.assertEqual(came["processes"][0]["pid"], os.getpid())
        self.assertTrue(records.parse("".join(lines.lines)))

    def test_only_what_the_filter_takes(self):
        with listen("127.0.0.1") as one, listen("127.0.0.1") as other:
            for words in ([port_of(one)], ["port", port_of(one)], ["sport", "=", port_of(one)]):
                with self.subTest(words), Lines("-n", *words) as lines:
                    lines.expect(rf" .*127\.0\.0\.1:{port_of(one)} ")
                    self.assertNotIn(f":{port_of(other)} ", "".join(lines.lines))

    def test_without_processes_and_header(self):
        with listen("127.0.0.1") as new, Lines("-nPH", "--tcp") as lines:
            lines.expect(rf"  \d\d:\d\d:\d\d  tcp +127\.0\.0\.1:{port_of(new)}")
            self.assertNotIn("TIME", "".join(lines.lines))
            self.assertNotIn(f" {os.getpid()} ", "".join(lines.lines))

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory() as directory, Lines("--unix") as lines:
            lines.expect("  TIME")
            path = os.path.join(directory, "s\x1b[31m")
            with socket.socket(socket.AF_UNIX) as new:
                new.bind(path)
                new.listen()
                lines.expect(r"\+ .*u_str .*s\\x1b\[31m")
            lines.expect(r"- .*u_str .*s\\x1b\[31m")

    @need("ip")
    def test_namespaces_that_are_gone(self):
        with Lines("-n", "--tcp", "--all-namespaces") as lines:
            lines.expect("  TIME +NAMESPACE")
            with Namespace() as namespace:
                with listener_in(namespace) as port:
                    lines.expect(rf"\+ .*  {namespace.name} .*:{port} ")
            lines.expect(rf"- .*  {namespace.name} .*:{port} ")

    def test_it_ends_with_its_reader(self):
        reading, writing = os.pipe()
        with listen("127.0.0.1"), start("sockets", OFTEN, "--json", stdout=writing) as process:
            os.close(writing)
            self.assertEqual(os.read(reading, 1), b"{")
            os.close(reading)
            self.assertIn(process.wait(PATIENCE), (-signal.SIGPIPE, 128 + signal.SIGPIPE))

    def test_hostile_names(self):
        with Lines("-n", "--tcp") as lines:
            lines.expect("  TIME")
            with hostile_listener() as port:
                line = lines.expect(rf"\+ .*127\.0\.0\.1:{port} ")
        self.assertIn("\\x1b[31m\\x0a\\x9b", line)
        self.assertNotIn("\x1b", "".join(lines.lines))

    def test_a_terminal_that_is_none(self):
        with Terminal(command("sockets", OFTEN), {"TERM": "dumb"}) as terminal:
            terminal.wait_for("  TIME      PROTO")
            self.assertNotIn("\x1b", terminal.text)

    def test_words_that_make_no_sense(self):
        for words in (["--summary"], ["--csv"], ["--record", "x"], ["-r"], ["port", "x"]):
            done = run("sockets", "--watch", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)


def port_of_text(port):
    """As it stands in a line, with what follows it."""
    return f"{port} "


def hostile_listener():
    """A process with a name that would write to the terminal, which listens; its port."""
    return listener_in(None, f"open('/proc/self/comm', 'wb').write({HOSTILE.encode('latin-1')!r})\n")


@contextlib.contextmanager
def listener_in(namespace, first=""):
    """A process in that namespace which listens after some first words; its port."""
    program = (
        f"import socket, sys\n{first}"
        "made = socket.create_server(('127.0.0.1', 0))\n"
        "print(made.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [*(namespace.prefix if namespace else []), sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


# ---- the live view ----


class Screen:
    """A terminal that shows what a person would see, while a `with` lasts."""

    def __init__(self, *words, columns=100, rows=20, environment=None):
        self.directory = tempfile.TemporaryDirectory()
        self.server = ["tmux", "-S", os.path.join(self.directory.name, "socket"), "-f", "/dev/null"]
        self.environment = {**os.environ, "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh", "PS1": "$ ",
                            **(environment or {})}  # fmt: skip
        self._tmux("new-session", "-d", "-x", columns, "-y", rows, "sh")
        self.type("stty -echo; clear\n")
        self.run(*words)

    def run(self, *words):
        """Starts the program in the terminal's shell, which tells how it ended."""
        line = " ".join(map(str, [PROGRAM, "sockets", *words]))
        self.type(f"{line}; echo ended with $?\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tmux("kill-server")
        self.directory.cleanup()

    def _tmux(self, *words):
        done = subprocess.run(
            [*self.server, *map(str, words)], env=self.environment, capture_output=True,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def press(self, *keys):
        """Keys by tmux's names: "q", "C-c", "Enter", "PageDown"."""
        self._tmux("send-keys", *keys)

    def type(self, text):
        """A line of text, with Enter for its end."""
        self._tmux("send-keys", "-l", text.rstrip("\n"))
        if text.endswith("\n"):
            self.press("Enter")

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", columns, "-y", rows)

    def text(self, *more):
        """What is seen."""
        return self._tmux("capture-pane", "-p", *more)

    def wait(self, condition, what, *more):
        """Waits until this holds for what is seen, and returns that."""
        deadline = time.monotonic() + PATIENCE
        while not condition(text := self.text(*more)):
            if time.monotonic() > deadline:
                raise AssertionError(f"in vain: {what}:\n{text}")
            time.sleep(0.02)
        return text

    def expect(self, pattern, *more):
        """Waits until this is seen."""
        return self.wait(re.compile(pattern, re.MULTILINE).search, pattern, *more)

    def expect_rows(self, pattern, ports):
        """Waits until this is seen, with listeners at these ports: at once, since a picture may be
        taken of a screen that is half drawn."""
        def shown(text):
            rows = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)]
            return re.search(pattern, text, re.MULTILINE) and rows == ports
        self.wait(shown, f"{pattern} and {ports}")

    def expect_not(self, pattern):
        """Waits until this is not seen."""
        found = re.compile(pattern, re.MULTILINE).search
        return self.wait(lambda text: KEYS in text and not found(text), f"not {pattern}")


@need("ip", "tmux")
class OnScreen(Alone):
    """With no sockets but the test's own, since the view counts them."""

    def setUp(self):
        super().setUp()
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def screen(self, *words, **others):
        screen = self.stack.enter_context(Screen(OFTEN, "-n", *words, **others))
        screen.expect(KEYS)
        return screen

    def listen(self):
        return self.stack.enter_context(listen("127.0.0.1"))

    def test_rows_come_and_go(self):
        port = port_of(self.listen())
        screen = self.screen("--tcp")
        screen.expect(rf"^  tcp +127\.0\.0\.1:{port} ")
        with listen("127.0.0.1") as new:
            row = rf"tcp +127\.0\.0\.1:{port_of(new)} .*{os.getpid()}"
            style = r"(\x1b\[[\d;]*m)*"
            screen.expect(rf"^{style}{re.escape(GREEN)}{style}\+ {row}", "-e")
            screen.expect(r"^\d\d:\d\d:\d\d  2 sockets  2 LISTEN  \+1 -0$")
        screen.expect(rf"^- {row}")
        screen.expect(r"^\d\d:\d\d:\d\d  1 socket  1 LISTEN  \+1 -1$")
        screen.expect_not(row)
        screen.expect(rf"^  tcp +127\.0\.0\.1:{port} ")

    @contextlib.contextmanager
    def between_looks(self, screen):
        """What is done meanwhile is seen all at once."""
        screen.press("p")
        screen.expect("PAUSED$")
        yield
        screen.press("p")

    def test_states(self):
        screen = self.screen("--tcp", "--all")
        with self.between_looks(screen):
            made = self.stack.enter_context(Connection())
        ends = rf"127\.0\.0\.1:{made.client_port} +127\.0\.0\.1:{made.port}"
        screen.expect(rf"^\+ tcp +ESTABLISHED .*{ends}")
        screen.expect(r"  3 sockets  1 LISTEN  2 ESTABLISHED  \+3 -0$")
        with self.between_looks(screen):
            made.close()
            made.wait_for_the_end()
        screen.expect(rf"^~ tcp +TIME_WAIT .*{ends} .*\(was ESTABLISHED\)")
        screen.expect(r"  1 socket  \+3 -2$")

    def test_colours_only_where_they_are_wanted(self):
        screen = self.screen(environment={"NO_COLOR": "1"})
        port = port_of(self.listen())
        screen.expect(rf"^\+ tcp +127\.0\.0\.1:{port} ")
        self.assertNotRegex(screen.text("-e"), r"\x1b\[(\d+;)*3[0-7]m")

    def test_which_states(self):
        with Connection() as made:
            screen = self.screen("--tcp")
            screen.expect("^listening, by exposure and port")
            row = rf"127\.0\.0\.1:{made.client_port} "
            self.assertNotRegex(screen.text(), row)
            for key, scope, seen, listener in (("a", "all", True, True),
                                               ("e", "established", True, False),
                                               ("l", "listening", False, True)):  # fmt: skip
                screen.press(key)
                text = screen.wait(
                    lambda text, scope=scope, seen=seen, listener=listener:
                    re.search(f"^{scope}, by ", text, re.MULTILINE)
                    and bool(re.search(row, text)) == seen
                    and bool(re.search("[0-9] LISTEN", text)) == listener,
                    f"{scope}: {seen}, {listener}",
                )  # fmt: skip
                self.assertNotRegex(text, r"(?m)^[-+~] ")  # nothing has happened to them

    def test_orders(self):
        ports = sorted(port_of(self.listen()) for _ in range(5))
        screen = self.screen("--tcp", "--sort", "-port")

        screen.expect_rows("^listening, by port, reversed$", ports[::-1])
        screen.press("r")
        screen.expect_rows("^listening, by port$", ports)
        for name in ("process", "pid", "state", "peer", "exposure", "recv", "send",
                     "exposure and port"):  # fmt: skip
            screen.press("s")
            screen.expect(f"^listening, by {name}$")
        screen.press("r")
        screen.expect_rows("^listening, by exposure and port, reversed$", ports[::-1])

    def test_names_of_ports(self):
        with socket.socket() as made:
            made.bind(("127.0.0.1", 443))
            made.listen()
            screen = self.screen("--tcp")
            screen.expect(r"127\.0\.0\.1:443  ")
            screen.press("n")
            screen.expect(r"127\.0\.0\.1:443 \(https\)")
            screen.press("n")
            screen.expect(r"127\.0\.0\.1:443  ")

    def test_a_pause(self):
        screen = self.screen("--tcp")
        screen.press("p")
        screen.expect("PAUSED$")
        port = port_of(self.listen())
        screen.press("h")
        screen.expect("^h: what keys do")
        self.assertNotIn(f":{port}", screen.text())
        screen.press("h", "p")
        screen.expect(rf"^\+ tcp +127\.0\.0\.1:{port} ")
        self.assertNotIn("PAUSED", screen.text())

    def test_filters(self):
        one, other = port_of(self.listen()), port_of(self.listen())
        screen = self.screen("--tcp", "port", one)
        screen.expect_rows(f"^listening, by exposure and port, filter: port {one}$", [one])
        screen.press("/")
        screen.expect(f"^filter: port {one}$")
        screen.press("C-u")
        screen.type(f"port {other}\n")
        screen.expect_rows(f"^listening, .* filter: port {other}$", [other])
        screen.press("/")
        screen.type("7x")
        screen.press("BSpace", "BSpace", "Enter")
        screen.expect_not("^filter: ")
        screen.expect(rf"^  tcp +127\.0\.0\.1:{other} ")
        screen.press("/", "C-u", "Enter")
        screen.expect("^listening, by exposure and port$")
        screen.expect(rf"^  tcp +127\.0\.0\.1:{one} ")

    def test_filters_at_fault(self):
        port = port_of(self.listen())
        screen = self.screen("--tcp")
        screen.press("/")
        screen.type(f"port {port} and prot 1\n")
        text = screen.expect(r"^ +\^$")
        *_, prompt, caret = text.rstrip("\n").split("\n")
        self.assertEqual(prompt, f"filter: port {port} and prot 1")
        self.assertEqual(caret.index("^"), prompt.index("prot"))
        self.assertRegex(text, r"(?m)^.*did you mean 'port'\?\nfilter: ")
        screen.press("Escape")
        screen.expect(KEYS)
        text = screen.expect("^listening, by exposure and port$")
        self.assertRegex(text, rf"127\.0\.0\.1:{port} ")

    def test_scrolling(self):
        ports = sorted(port_of(self.listen()) for _ in range(40))
        screen = self.screen("--tcp", "--sort", "port", rows=14)

        def first(position, key):
            screen.press(*key)
            screen.expect_rows(rf"^\d\d:.*\({position + 1} to {position + 10} of 40\)$",
                               ports[position : position + 10])  # fmt: skip

        first(0, ["Home"])
        first(2, ["Down", "Down"])
        first(1, ["Up"])
        first(11, ["PageDown"])
        first(30, ["End"])
        first(30, ["Down"])
        first(20, ["PageUp"])
        first(0, ["Home"])
        first(20, ["End", "Down", "PageUp"])  # faster than they are drawn

    def test_sideways(self):
        port = port_of(self.listen())
        screen = self.screen("--tcp")
        screen.expect(rf"^  tcp    127\.0\.0\.1:{port} ")
        screen.press("Right")
        screen.expect(rf"^ 127\.0\.0\.1:{port} ")
        screen.press("Left")
        screen.expect(rf"^  tcp    127\.0\.0\.1:{port} ")

    def test_another_size(self):
        port = port_of(self.listen())
        screen = self.screen("--tcp")
        for columns, rows in ((60, 12), (120, 30), (20, 5), (10, 2), (90, 24)):
            screen.resize(columns, rows)
            screen.wait(
                lambda text, rows=rows: len(lines := text.split("\n")) == rows + 1
                and lines[rows - 1].startswith(KEYS),
                f"{columns} × {rows}",
            )
        screen.expect(rf"^  tcp +127\.0\.0\.1:{port} ")

    def test_hostile_names(self):
        screen = self.screen("--tcp")
        with hostile_listener() as port:
            screen.expect(rf"^\+ tcp +127\.0\.0\.1:{port} .*\\x1b\[31m\\x0a\\x9b")
        self.assertNotIn("\x1b[31m\\x0a", screen.text("-e"))

    def test_q_ends_it_and_leaves_nothing(self):
        screen = self.screen()
        screen.press("q")
        text = screen.expect("^ended with 0$")
        self.assertNotIn(KEYS, text)

    def test_a_stop_and_going_on(self):
        for _ in range(400):  # a look takes some time, in which Ctrl-Z may be pressed
            self.listen()
        screen = Screen("--help", ">/dev/null")
        self.stack.enter_context(screen)
        screen.expect("ended with 0")
        screen.type(f"set -m; {PROGRAM} sockets {OFTEN}\n")
        for _ in range(8):
            screen.expect(KEYS)
            screen.press("C-z")
            screen.wait(lambda text: KEYS not in text and "Stopped" in text, "stopped")
            screen.type("clear; fg >/dev/null\n")
        screen.expect(KEYS)
        screen.press("q")
        screen.wait(lambda text: KEYS not in text, "the shell")


class Restored(Alone):
    """The terminal is as it was, whatever ended the view."""

    def ended(self, end, *words):
        """The exit status after `end` was called with the terminal."""
        waiting = ["sh", "-c", 'read -r _ && exec "$@"', "sh"]  # until it is seen how it was
        with Terminal([*waiting, *command("sockets", OFTEN, *words)]) as terminal:
            before = termios.tcgetattr(terminal.descriptor)
            terminal.press("\n")
            terminal.wait_for(KEYS)
            self.assertNotEqual(termios.tcgetattr(terminal.descriptor), before)
            end(terminal)
            terminal.wait_for(re.escape("\x1b[?1049l"))
            deadline = time.monotonic() + PATIENCE
            while termios.tcgetattr(terminal.descriptor) != before:
                self.assertLess(time.monotonic(), deadline, "the terminal is not as it was")
            return terminal.finish()

    def test_by_a_key(self):
        self.assertEqual(self.ended(lambda terminal: terminal.press("q")), 0)

    def test_by_signals(self):
        self.assertEqual(self.ended(lambda terminal: terminal.press("\x03")), 128 + signal.SIGINT)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            status = self.ended(lambda terminal, number=number: os.kill(terminal.pid, number))
            self.assertEqual(status, 128 + number)

    def test_while_a_filter_is_typed(self):
        def end(terminal):
            terminal.press("/process x")
            terminal.wait_for("(?s)filter: .*x")
            os.kill(terminal.pid, signal.SIGTERM)

        self.assertEqual(self.ended(end), 128 + signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()

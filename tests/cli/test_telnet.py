"""porthole telnet and connect --telnet: what a person sees and types, on terminals of their own, against
nc, a real telnetd, and servers of a test's own."""

import contextlib
import fcntl
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from porthole import PROGRAM, command, run
from sockets import free_port, listen, listening_ports, port_of
from terminal import Terminal

HOST = "127.0.0.1"
PATIENCE = 60  # seconds
TELNETD = "/usr/sbin/telnetd"
ESCAPE = "\x1d"

IAC, WILL, WONT, DO, DONT, SB, SE = (bytes([code]) for code in (255, 251, 252, 253, 254, 250, 240))
ECHO, SGA, TYPE, NAWS, ENVIRON = (bytes([option]) for option in (1, 3, 24, 31, 39))
AYT = IAC + b"\xf6"


class Server:
    """Accepts one connection; what it is told is there to be waited for."""

    def __init__(self, test, port=0, host=HOST):
        self.listener = listen(host, port)
        test.addCleanup(self.listener.close)
        self.port = port_of(self.listener)
        self.heard = b""
        self.connection = None

    def accept(self):
        """Waits for the client."""
        self.listener.settimeout(PATIENCE)
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(PATIENCE)
        return self

    def say(self, data):
        """Sends it."""
        self.connection.sendall(data)

    def wait_for(self, data):
        """Reads until these bytes have come; forgets them and what came before."""
        while data not in self.heard:
            more = self.connection.recv(65536)
            assert more, f"{data!r} does not come, only {self.heard!r}"
            self.heard += more
        before, _, self.heard = self.heard.partition(data)
        return before

    def end(self):
        """Reads to the end of what the client says; returns it."""
        while more := self.connection.recv(65536):
            self.heard += more
        return self.heard

    def close(self):
        """Ends the connection."""
        self.connection.close()


def attributes(terminal):
    """How a terminal is now, without the speeds."""
    return termios.tcgetattr(terminal.descriptor)[:4]


def wait_until(condition, wish):
    """Looks again and again."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {wish}"
        time.sleep(0.01)


def press_escape(terminal):
    """Presses ^] once the program watches for it, forgets what was shown, and waits for its prompt."""
    wait_until(lambda: termios.tcgetattr(terminal.descriptor)[6][termios.VEOL] == ESCAPE.encode()
               or not attributes(terminal)[3] & termios.ICANON, "watches")  # fmt: skip
    terminal.text = ""
    terminal.press(ESCAPE)
    terminal.wait_for("telnet> ")


class TelnetTest(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def on_terminal(self, *words, program=None, **others):
        """Telnet on a terminal."""
        words = [*(program or command("telnet")), *map(str, words)]
        return self.stack.enter_context(Terminal(words, **others))

    def connected(self, *options, server=None, **others):
        """Telnet on a terminal and the server that it is connected to; `found` is how the terminal
        was before."""
        server = server or Server(self)
        terminal = self.on_terminal(*options, HOST, server.port, **others)
        self.addCleanup(lambda: server.connection and server.close())
        server.accept()
        terminal.wait_for("Connected to" if "-E" in options or "none" in options else "Escape character")
        return terminal, server

    def character_mode(self, *options):
        """The same once the server echoes and takes characters."""
        terminal, server = self.connected(*options)
        server.say(IAC + WILL + ECHO + IAC + WILL + SGA)
        server.wait_for(IAC + DO + SGA)
        wait_until(lambda: not attributes(terminal)[3] & termios.ICANON, "character mode")
        return terminal, server

    def assert_restored(self, terminal):
        """Lines, echo and signals by keys, as a new terminal has them; the end of lines is not the
        escape character any more."""
        now = termios.tcgetattr(terminal.descriptor)
        wanted = termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
        self.assertEqual(now[3] & wanted, wanted)
        self.assertTrue(now[0] & termios.ICRNL and now[1] & termios.OPOST)
        self.assertEqual(now[6][termios.VEOL], b"\0")


class Transcripts(TelnetTest):
    def nc(self):
        """nc -l, with what it receives and sends as pipes, once it listens."""
        port = free_port()
        # pylint: disable-next=consider-using-with
        process = subprocess.Popen(["nc", "-l", HOST, str(port)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, bufsize=0)  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        wait_until(lambda: port in listening_ports(HOST), "nc listens")
        return port, process

    def test_lines_to_nc_and_back(self):
        port, nc = self.nc()
        terminal = self.on_terminal("localhost", port)
        terminal.wait_for("Escape character")
        terminal.press("hello\r")
        self.assertEqual(nc.stdout.readline(), b"hello\r\n")
        nc.stdin.write(b"from the other side\n")
        terminal.wait_for("from the other side")
        terminal.press(ESCAPE)
        terminal.wait_for("telnet> ")
        terminal.press("quit\r")
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(nc.stdout.read(), b"")
        text = terminal.text.replace("Trying ::1...\r\n", "")
        text = re.sub(r"[^\n]*::1[^\n]*\n", "", text)  # why IPv6 did not do
        self.assertEqual(
            text,
            "Trying 127.0.0.1...\r\n"
            "Connected to localhost.\r\n"
            "Escape character is '^]'.\r\n"
            "hello\r\n"
            "from the other side\r\n"
            "^]\r\n"
            "telnet> quit\r\n"
            "Connection closed.\r\n",
        )

    def test_the_other_side_ends(self):
        port, nc = self.nc()
        terminal = self.on_terminal(HOST, port)
        terminal.wait_for("Escape character")
        nc.terminate()
        self.assertEqual(terminal.finish(), 0)
        self.assertTrue(terminal.text.endswith("Connection closed by foreign host.\r\n"))

    def test_nobody_listens(self):
        result = run("telnet", HOST, free_port())
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertEqual(
            result.stderr,
            "Trying 127.0.0.1...\n"
            "porthole telnet: Unable to connect to remote host: Connection refused\n",
        )

    def test_a_name_that_nobody_has(self):
        result = run("telnet", "no host", "80")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("porthole telnet: ", result.stderr)

    def test_by_its_own_name(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "telnet"
            link.symlink_to(PROGRAM)
            terminal, server = self.connected(program=[str(link)])
            terminal.press("x\r")
            server.wait_for(b"x\r\n")

    def test_connect_with_telnet(self):
        terminal, server = self.connected("--telnet", program=command("connect"))
        terminal.press("line\r")
        server.wait_for(b"line\r\n")
        terminal.press(ESCAPE + "\r")
        terminal.wait_for("telnet> ")
        terminal.press(ESCAPE)
        terminal.press("q\r")
        self.assertEqual(terminal.finish(), 0)

    def test_wrong_command_lines(self):
        for words in ((), ("a", "1", "2"), ("-e", "word", HOST, "1"), ("-4", "-6", HOST, "1"), ("-x", HOST)):
            with self.subTest(words):
                result = run("telnet", *words)
                self.assertEqual(result.returncode, 2)
                self.assertRegex(result.stderr, "^porthole telnet: ")


class Prompt(TelnetTest):
    def ask(self, terminal, words):
        """Types a command at a new prompt."""
        press_escape(terminal)
        terminal.press(words + "\r")

    def test_commands(self):
        terminal, server = self.connected()
        self.ask(terminal, "send ayt")
        server.wait_for(AYT)
        self.ask(terminal, "se br")
        server.wait_for(IAC + b"\xf3")
        self.ask(terminal, "send escape")
        server.wait_for(ESCAPE.encode())
        self.ask(terminal, "")
        terminal.press("back\r")
        self.assertEqual(server.wait_for(b"back\r\n"), b"")
        self.ask(terminal, "st")
        terminal.wait_for(r"Connected to 127\.0\.0\.1\.\r\nOperating in line mode\r\nLocal character echo\r\n")
        terminal.wait_for(r"Escape character is '\^\]'\.\r\n")
        self.ask(terminal, "close")
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(server.end(), b"")
        self.assertTrue(terminal.text.endswith("Connection closed.\r\n"))

    def test_help_and_mistakes_ask_again(self):
        terminal, server = self.connected()
        self.ask(terminal, "s")
        terminal.wait_for(r"\?Ambiguous command\r\ntelnet> ")
        for words, answer in (("xyzzy", r"\?Invalid command"), ("?", "Commands may be abbreviated"),
                              ("help", "suspend this program"), ("send", "need at least one argument"),
                              ("send ?", "ayt +are you there"), ("send foo", r"\?there are: ao, ayt"),
                              ("send do 999", r"\?an option is"), ("mode", "format is:")):  # fmt: skip
            with self.subTest(words):
                terminal.text = ""
                terminal.press(words + "\r")
                terminal.wait_for(f"(?s){answer}.*telnet> $")
        terminal.press("\r")
        terminal.press("line\r")
        self.assertEqual(server.wait_for(b"line\r\n"), b"")

    def test_what_arrives_meanwhile_waits(self):
        terminal, server = self.connected()
        press_escape(terminal)
        server.say(b"later\r\n")
        terminal.press("?\r")
        terminal.wait_for("(?s)Commands.*telnet> $")
        self.assertNotIn("later", terminal.text)
        terminal.press("\r")
        terminal.wait_for("later")

    def test_the_rest_of_a_line(self):
        terminal, server = self.connected()
        terminal.press("before" + ESCAPE)
        terminal.wait_for("telnet> ")
        server.wait_for(b"before")
        terminal.press("\rafter\r")
        server.wait_for(b"after\r\n")

    def test_ctrl_d_sends_itself_and_ends_at_the_prompt(self):
        terminal, server = self.connected()
        terminal.press("\x04")
        server.wait_for(b"\x04")
        press_escape(terminal)
        terminal.press("\x04")
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(server.end(), b"")

    def test_typed_at_once(self):
        terminal, server = self.character_mode()
        terminal.press("ab" + ESCAPE + "send ayt\rcd" + ESCAPE + "quit\r")
        server.wait_for(b"ab" + AYT + b"cd")
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(server.end(), b"")
        self.assert_restored(terminal)

    def test_another_escape_character(self):
        terminal, server = self.connected("-e", "^X")
        terminal.wait_for(r"Escape character is '\^X'\.")
        terminal.press(ESCAPE + "\r")
        server.wait_for(ESCAPE.encode() + b"\r\n")
        terminal.press("\x18")
        terminal.wait_for("telnet> ")
        terminal.press("send escape\r")
        server.wait_for(b"\x18")

    def test_no_escape_character(self):
        for options in (["-E"], ["-e", "none"]):
            with self.subTest(options):
                terminal, server = self.connected(*options)
                self.assertNotIn("Escape", terminal.text)
                terminal.press(ESCAPE + "\r")
                server.wait_for(ESCAPE.encode() + b"\r\n")

    def test_modes(self):
        terminal, server = self.connected()
        self.ask(terminal, "mode character")
        server.wait_for(IAC + DO + SGA + IAC + DO + ECHO)
        terminal.press("x")  # no line end
        server.wait_for(b"x")
        server.say(IAC + WILL + SGA + IAC + WILL + ECHO)
        wait_until(lambda: not attributes(terminal)[1] & termios.OPOST, "raw mode")
        terminal.press("\r\n")
        server.wait_for(b"\r\0\n")
        self.ask(terminal, "mode l")
        server.wait_for(IAC + DONT + ECHO + IAC + DONT + SGA)
        server.say(IAC + WONT + ECHO + IAC + WONT + SGA)
        terminal.press("a\x7fb\r")  # is edited here
        server.wait_for(b"b\r\n")


class Characters(TelnetTest):
    def test_keys_go_one_by_one_and_unseen(self):
        terminal, server = self.character_mode()
        terminal.text = ""
        terminal.press("k")
        server.wait_for(b"k")
        terminal.press("\x03\x04\x1a\x11\r")
        server.wait_for(b"\x03\x04\x1a\x11\r\0")
        server.say(b"echo\r\nnext\ndown\r\n")
        terminal.wait_for("down\r\n")
        self.assertEqual(terminal.text, "echo\r\nnext\ndown\r\n")

    def test_a_password_is_not_shown(self):
        """ECHO without SUPPRESS-GO-AHEAD: lines, edited here, without echo."""
        terminal, server = self.connected()
        server.say(IAC + WILL + ECHO + b"Password: ")
        server.wait_for(IAC + DO + ECHO)
        terminal.wait_for("Password: ")
        wait_until(lambda: not attributes(terminal)[3] & termios.ECHO, "no echo")
        self.assertTrue(attributes(terminal)[3] & termios.ICANON)
        terminal.press("wrongx\x7f\x7f\x7f\x7f\x7f\x7fsecret\r")
        server.wait_for(b"secret\r\n")
        server.say(IAC + WONT + ECHO + b"\r\nWelcome\r\n")
        server.wait_for(IAC + DONT + ECHO)
        terminal.wait_for("Welcome")
        terminal.press("seen\r")
        terminal.wait_for("seen")
        self.assertNotIn("secret", terminal.text)

    def test_the_window_and_the_terminal_type(self):
        terminal, server = self.connected()
        server.say(IAC + DO + NAWS + IAC + DO + TYPE + IAC + SB + TYPE + b"\1" + IAC + SE)
        server.wait_for(IAC + WILL + TYPE + IAC + SB + TYPE + b"\0xterm" + IAC + SE)
        # Nobody has given this terminal a size: NAWS was refused.
        terminal, server = self.with_window(100, 40)
        server.say(IAC + DO + NAWS)
        server.wait_for(IAC + WILL + NAWS + IAC + SB + NAWS + struct.pack(">HH", 100, 40) + IAC + SE)
        fcntl.ioctl(terminal.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 255, 0, 0))
        server.wait_for(IAC + SB + NAWS + b"\0" + IAC + IAC + b"\0\x18" + IAC + SE)

    def with_window(self, columns, rows):
        """Telnet on a terminal of this size."""
        script = f'stty cols {columns} rows {rows} && exec "$0" "$@"'
        return self.connected(program=["/bin/sh", "-c", script, *command("telnet")])

    def test_line_mode_again(self):
        terminal, server = self.character_mode()
        server.say(IAC + WONT + ECHO + IAC + WONT + SGA)
        server.wait_for(IAC + DONT + SGA)
        wait_until(lambda: attributes(terminal)[3] & termios.ICANON, "line mode")
        terminal.press("line\r")
        server.wait_for(b"line\r\n")


class Restored(TelnetTest):
    def test_at_the_end(self):
        terminal, server = self.character_mode()
        server.close()
        terminal.wait_for(r"Connection closed by foreign host\.\r\n")
        self.assertEqual(terminal.finish(), 0)
        self.assert_restored(terminal)

    def test_after_signals(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # two of them would leave a core file
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT):
            with self.subTest(number):
                terminal, server = self.character_mode()
                os.kill(terminal.pid, number)
                status = terminal.finish()
                self.assertIn(status, (128 + number, -number))
                self.assert_restored(terminal)
                server.close()

    def test_after_a_reset(self):
        terminal, server = self.character_mode()
        server.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        self.assertEqual(terminal.finish(), 1)
        self.assert_restored(terminal)

    def test_while_it_is_stopped(self):
        """Under a shell with job control: at the prompt, and by a signal from elsewhere."""
        server = Server(self)
        environment = {"PS1": "$ ", "HISTFILE": ""}
        shell = self.on_terminal(program=["bash", "--norc", "--noprofile", "-i"], environment=environment)
        shell.press(f"{PROGRAM} telnet {HOST} {server.port}\r")
        server.accept()
        self.addCleanup(server.close)
        shell.wait_for(r"Escape character is")
        server.say(IAC + WILL + ECHO + IAC + WILL + SGA)
        server.wait_for(IAC + DO + SGA)
        shell.press("a" + ESCAPE)
        server.wait_for(b"a")
        shell.wait_for("telnet> ")
        shell.press("z\r")
        shell.wait_for("Stopped")
        shell.press("stty -a\r")
        shell.wait_for(r"[^-]icanon.*[^-]echo ")
        shell.text = ""
        shell.press("echo job $(jobs -p)\r")
        job = int(shell.wait_for(r"job (\d+)")[1])
        shell.press("fg\r")
        wait_until(lambda: not attributes(shell)[3] & termios.ICANON, "character mode again")
        shell.press("b")
        server.wait_for(b"b")
        shell.text = ""
        os.kill(job, signal.SIGTSTP)
        shell.wait_for("Stopped")
        shell.press("fg\r")
        wait_until(lambda: not attributes(shell)[3] & termios.ICANON, "character mode again")
        shell.press("c")
        server.wait_for(b"c")
        server.close()
        shell.wait_for("Connection closed by foreign host")
        shell.press("exit\r")
        shell.finish()


class WithoutTerminal(TelnetTest):
    def talk(self, said, typed, expected, *options):
        """The server says `said` and hears `expected`, all of it and nothing else; returns what
        standard output has."""
        server = Server(self)
        words = command("telnet", *options, HOST, server.port)
        with tempfile.TemporaryFile() as output, subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL
        ) as process:
            server.accept()

            def write():
                process.stdin.write(typed)
                process.stdin.flush()

            writer = threading.Thread(target=write)
            writer.start()
            server.say(said)
            before = server.wait_for(expected)
            writer.join()
            process.stdin.close()  # after that nothing can be answered
            self.assertEqual((before, server.end()), (b"", b""))
            server.close()
            self.assertEqual(process.wait(PATIENCE), 0)
            output.seek(0)
            return output.read()

    def test_line_ends_and_iac(self):
        output = self.talk(b"one\r\ntwo\r\0three\n" + IAC + IAC, b"a\nb\r\n\rc\xff" + ESCAPE.encode(),
                           b"a\r\nb\r\n\r\0c\xff\xff" + ESCAPE.encode())  # fmt: skip
        self.assertEqual(output, b"one\ntwo\rthree\n\xff")

    def test_much_of_it(self):
        typed = bytes(range(256)) * 4096 + b"end"
        sent = typed.replace(b"\xff", b"\xff\xff").replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
        said = bytes(range(14, 255)) * 4096
        output = self.talk(said, typed, sent)
        self.assertTrue(output == said, f"{len(output)} bytes, not {len(said)}")

    def test_options_of_a_terminal_are_refused(self):
        self.talk(IAC + DO + TYPE + IAC + DO + NAWS + IAC + DO + ENVIRON, b"",
                  IAC + WONT + TYPE + IAC + WONT + NAWS + IAC + WONT + ENVIRON)  # fmt: skip

    def test_the_user_is_told_to_who_asks(self):
        self.talk(IAC + DO + ENVIRON + IAC + SB + ENVIRON + b"\1" + IAC + SE, b"",
                  IAC + WILL + ENVIRON + IAC + SB + ENVIRON + b"\0\0USER\1gast" + IAC + SE,
                  "-l", "gast")  # fmt: skip

    def test_binary_on_request(self):
        output = self.talk(IAC + WILL + b"\0" + IAC + DO + b"\0\r\n\r\0", b"",
                           IAC + DO + b"\0" + IAC + WILL + b"\0", "-8")  # fmt: skip
        self.assertEqual(output, b"\r\n\r\0")

    def test_the_urgent_byte_of_a_synch(self):
        """Telnet's data mark may come as TCP's urgent byte, and is still part of the stream."""
        server = Server(self)
        with subprocess.Popen(command("telnet", HOST, server.port), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # fmt: skip
            server.accept()
            server.say(b"before" + IAC)
            server.connection.send(b"\xf2", socket.MSG_OOB)
            server.say(b"after")
            server.close()
            self.assertEqual(process.communicate(timeout=PATIENCE)[0], b"beforeafter")

    def test_the_first_word_on_port_23(self):
        try:
            server = Server(self, 23, "127.0.0.23")
        except OSError as error:
            self.skipTest(f"port 23 cannot be had: {error}")
        process = subprocess.Popen(command("telnet", "127.0.0.23"), stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        with process:
            server.accept()
            server.wait_for(IAC + DO + SGA)
            server.close()
            process.stdin.close()


@unittest.skipUnless(os.path.exists(TELNETD) and shutil.which("socat") and os.geteuid() == 0,
                     "a real telnetd needs inetutils-telnetd, socat and root")  # fmt: skip
class Telnetd(TelnetTest):
    def setUp(self):
        super().setUp()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        login = pathlib.Path(folder) / "login"
        # Telnetd asks for the size of the window while this runs already.
        login.write_text("#!/bin/sh\nPS1='ready> ' exec sh -i\n", encoding="ascii")
        login.chmod(0o755)
        self.port = free_port()
        # pylint: disable-next=consider-using-with
        process = subprocess.Popen(
            ["socat", f"TCP-LISTEN:{self.port},bind={HOST},reuseaddr,fork",
             f"EXEC:{TELNETD} -h -E {login},nofork"], stderr=subprocess.DEVNULL)  # fmt: skip
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        wait_until(lambda: self.port in listening_ports(HOST), "socat listens")

    def logged_in(self, *options):
        """Telnet on a terminal of 100 × 40, where a shell asks for commands."""
        script = 'stty cols 100 rows 40 && exec "$0" "$@"'
        terminal = self.on_terminal(*options, HOST, self.port,
                                    program=["/bin/sh", "-c", script, *command("telnet")])  # fmt: skip
        terminal.wait_for("ready> ")
        return terminal

    def ask(self, terminal, words, answer):
        """A command to the shell there, and what it says."""
        terminal.text = ""
        terminal.press(words + "\r")
        return terminal.wait_for(f"(?s){answer}.*ready> ")

    def interrupt(self, terminal):
        """Ctrl-C. What the other side had not sent yet, its prompt say, may be dropped, and what is typed
        before cat is dead may be read by cat: so Return is pressed until the shell answers."""
        terminal.text = ""
        terminal.press("\x03")
        wait_until(lambda: terminal.press("\r") or "ready> " in terminal.look(0.2), "a prompt")

    def test_a_session(self):
        terminal = self.logged_in()
        self.ask(terminal, "echo $((6 * 7)) $TERM", "\r\n42 xterm\r\n")
        self.assertEqual(terminal.text.count("echo"), 1)  # by the server alone
        wait_until(lambda: "40 100" in self.ask(terminal, "stty size", r"\d+ \d+")[0], "40 100")
        fcntl.ioctl(terminal.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        wait_until(lambda: "30 90" in self.ask(terminal, "stty size", r"\d+ \d+")[0], "30 90")
        self.ask(terminal, r"printf 'a\nb\n'", r"\r\na\r\nb\r\n")
        terminal.press("cat\r")
        terminal.press("begun\r")
        terminal.wait_for("(?s)begun\r\n.*begun\r\n")  # by the terminal there, and by cat
        self.interrupt(terminal)
        self.ask(terminal, "echo back$((1 + 1))", "back2\r\n")
        press_escape(terminal)
        terminal.press("send ayt\r")
        terminal.wait_for(r"\[[^\]]*(?i:yes)[^\]]*\]")
        terminal.press("exit\r")
        self.assertEqual(terminal.finish(), 0)
        self.assertTrue(terminal.text.endswith("Connection closed by foreign host.\r\n"), terminal.text)
        self.assert_restored(terminal)

    def test_in_lines(self):
        terminal = self.logged_in()
        press_escape(terminal)
        terminal.press("mode line\r")
        wait_until(lambda: attributes(terminal)[3] & termios.ICANON, "line mode")
        self.ask(terminal, "echo $((5 * 5))", "25\r\n")
        press_escape(terminal)
        terminal.press("st\r")
        terminal.wait_for("Operating in line mode")
        press_escape(terminal)
        terminal.press("mode char\r")
        wait_until(lambda: not attributes(terminal)[3] & termios.ICANON, "character mode")
        self.ask(terminal, "echo $((6 * 6))", "36\r\n")

    def test_much_output(self):
        terminal = self.logged_in()
        self.ask(terminal, "seq 1 20000; echo done", "\r\ndone")
        numbers = re.findall(r"^(\d+)\r$", terminal.text, re.M)
        self.assertEqual(numbers, [str(number) for number in range(1, 20001)])


if __name__ == "__main__":
    unittest.main()

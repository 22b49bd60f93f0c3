#!/usr/bin/python3
"""`sockets`: how its list is laid out, and what else is told of a socket."""

import os
import pathlib
import re
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import Namespace
from porthole import PROGRAM
from sockets import listen
from talk_run import own_network
from terminal import Terminal
from test_sockets import LISTENER, ROOT, Sockets


def setUpModule():
    own_network()


class Layout(Sockets):
    def on_terminal(self, columns, *words):
        """The lines of a list on a terminal this wide."""
        with Terminal(["sh", "-c", f'stty cols {columns} && exec "$0" "$@"', PROGRAM, "sockets", *words],
                      {"NO_COLOR": "1"}) as terminal:  # fmt: skip
            terminal.finish()
        return terminal.text.replace("\r\n", "\n").splitlines()

    def test_lines_fit_the_terminal(self):
        made = self.keep(socket.socket(socket.AF_UNIX))
        made.bind("\0" + "long" * 25)
        made.listen()
        words = ["-x", "pid", str(os.getpid())]
        lines = self.on_terminal(72, *words)
        self.assertTrue(any(re.search(r" @long\w+…\w+long ", line) for line in lines), lines)
        self.assertLessEqual(max(map(len, lines)), 72)
        self.assertIn("@" + "long" * 25, self.sockets(*words))  # a pipe is not cut

    @unittest.skipUnless(ROOT, "not root: no interface of the test's own")
    def test_what_matters_is_never_cut(self):
        """Ports, numbers of processes, and the mark of what everybody reaches."""
        space = Namespace(self)
        space.ip("link", "set", "lo", "up")
        space.ip("address", "add", "fd00::1234:5678:9abc:def0/64", "dev", "lo", "nodad")
        space.ip("link", "add", "bridge0", "type", "bridge")
        space.ip("link", "set", "bridge0", "up")
        space.ip("address", "add", "198.18.0.1/24", "dev", "bridge0")
        self.stack.enter_context(space.entered())
        made = self.keep(listen("fd00::1234:5678:9abc:def0", 8443))
        for address, port in (("127.0.0.1", 5432), ("0.0.0.0", 5222)):
            self.keep(listen(address, port))
        self.keep(socket.create_connection(made.getsockname()[:2]))
        self.keep(made.accept()[0])
        named = self.process(LISTENER, "a long name")
        for columns, service in ((200, True), (80, None), (60, False)):
            lines = self.on_terminal(columns)
            self.assertLessEqual(max(map(len, lines)), columns)
            text = "\n".join(lines)
            self.assertRegex(text, rf"tcp +0\.0\.0\.0:5222 .*every interface \* .* {os.getpid()}\b")
            self.assertRegex(text, rf"tcp +127\.0\.0\.1:5432 .* {os.getpid()}\b")
            self.assertRegex(text, rf"tcp +\[fd00[^ ]*def0\]:8443 .* {os.getpid()}\b")
            self.assertRegex(text, rf":{named.line} .* {named.pid}\b")
            if service is not None:
                self.assertEqual("(postgresql)" in text, service)
                self.assertEqual("[fd00::1234:5678:9abc:def0]:8443 " in text, service)
        port = r"\[[^ ]*…[^ ]*\]:8443"
        self.assertRegex("\n".join(self.on_terminal(66, "-a")), rf"ESTABLISHED +{port} +\[[^ ]*…[^ ]*\]:\d+ .* {os.getpid()}\b|"
                         rf"ESTABLISHED +\[[^ ]*…[^ ]*\]:\d+ +{port} .* {os.getpid()}\b")  # fmt: skip


if __name__ == "__main__":
    unittest.main()

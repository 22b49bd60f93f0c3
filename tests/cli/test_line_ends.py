#!/usr/bin/python3
"""--crlf: whom it reaches, and that what is shown and kept is what went over the wire."""

import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
import records
from talk_peers import directory, free_port
from talk_run import (
    Conversation, Listening, Peer, own_network, receive, receive_all, run, talk, wait_until,
)  # fmt: skip

TYPED, WIRE = b"one\ntwo\r\n\n", b"one\r\ntwo\r\n\r\n"


def setUpModule():
    own_network()


def bytes_of(dump, arrow):
    """What a dump shows of one direction."""
    lines = [line for line in dump.decode().splitlines() if line.startswith(arrow)]
    return b"".join(bytes.fromhex(line[12:61]) for line in lines)


class Dialling(Conversation):
    def say(self, *words):
        peer = Peer(self, receive_all)
        done = run(*words, "127.0.0.1", peer.port, data=TYPED)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(peer.result(), WIRE)
        return done

    def test_a_dump_and_a_record_show_what_was_sent(self):
        file = directory(self) / "record.jsonl"
        done = self.say("connect", "--crlf", "--hex", "--record", file)
        self.assertEqual(bytes_of(done.stdout, ">"), WIRE)
        told = records.parse(file.read_text(encoding="utf-8"))
        records.check_conversations(told)
        self.assertEqual(records.streams(told), (WIRE, b""))
        self.assertEqual(told[-1]["sent"], len(WIRE))

    def test_the_count_is_that_of_the_wire(self):
        done = self.say("connect", "--crlf", "-v")
        self.assertIn(b"sent %d bytes," % len(WIRE), done.stderr)

    def test_files_of_nc_have_it_too(self):
        folder = directory(self)
        self.say("nc", "-C", "-N", "-o", folder / "plain", "--hex-dump", folder / "hex")
        self.assertEqual((folder / "plain").read_bytes(), WIRE)
        self.assertEqual(bytes_of((folder / "hex").read_bytes(), ">"), WIRE)


class ManyClients(Conversation):
    """What is typed goes to all of them."""

    def hear(self, side, clients):
        side.write(b"one\ntwo\r")
        for client in clients:
            self.assertEqual(receive(client, 9), b"one\r\ntwo\r")
        side.write(b"\n\n")
        for client in clients:
            self.assertEqual(receive(client, 3), b"\n\r\n")

    def test_all_of_a_listener(self):
        listener = Listening(self, "listen", "--keep", "--crlf", "--json")
        clients = [listener.connect(self) for _ in range(3)]
        wait_until(lambda: listener.said().count("Connection received") == 3)
        self.hear(listener.side, clients)
        for client in clients:
            client.close()
        wait_until(lambda: listener.side.received.count(b'"end"') == 3)
        told = records.parse(listener.side.received.decode())
        records.check_conversations(told)
        for number in 1, 2, 3:
            self.assertEqual(records.streams(told, number), (WIRE, b""))

    def test_all_of_nc_s(self):
        port = free_port()
        side = talk(self, "nc", "-v", "-l", "-k", "-C", "127.0.0.1", port)
        side.expect_said("Listening on ")
        clients = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(2)]
        for client in clients:
            self.addCleanup(client.close)
        wait_until(lambda: side.said.count(b"Connection received") == 2)
        self.hear(side, clients)


if __name__ == "__main__":
    unittest.main()

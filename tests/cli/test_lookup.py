"""porthole lookup: names of ports, as a user types it.

Each run sees an /etc/services of the test's own, where the kernel lets an ordinary user mount one
into a namespace; tests that need that are skipped elsewhere.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PORTHOLE = os.environ["PORTHOLE"]
MOUNTED = [
    "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
    'mount --bind "$1" /etc/services && shift && exec "$@"', "sh",
]  # fmt: skip


def can_mount():
    try:
        run = subprocess.run([*MOUNTED, "/dev/null", "true"], capture_output=True, timeout=10)
    except OSError:
        return False
    return run.returncode == 0


CAN_MOUNT = can_mount()


def lookup(*words, services="", stdin=""):
    """Runs `porthole lookup WORDS…` on a machine with these /etc/services."""
    with tempfile.NamedTemporaryFile("w", suffix=".services") as file:
        file.write(services)
        file.flush()
        before = [*MOUNTED, file.name] if CAN_MOUNT else []
        return subprocess.run(
            [*before, PORTHOLE, "lookup", *words],
            input=stdin, capture_output=True, encoding="utf-8", timeout=30,
        )  # fmt: skip


class LookupTest(unittest.TestCase):
    maxDiff = None

    def expect(self, run, status, stdout, stderr=""):
        self.assertEqual(run.stderr, stderr)
        self.assertEqual(run.stdout, stdout)
        self.assertEqual(run.returncode, status)

    def expect_names(self, run, *names):
        """Exactly these ports and names, in this order, and nothing missing."""
        self.assertEqual(run.stderr, "")
        rows = [line.split()[:2] for line in run.stdout.splitlines()]
        self.assertEqual([" ".join(row) for row in rows], ["PORT NAME", *names])
        self.assertEqual(run.returncode, 0)


class Questions(LookupTest):
    def test_a_port(self):
        self.expect(
            lookup("443"),
            0,
            "PORT      NAME   DESCRIPTION\n"
            "443/tcp   https  http protocol over TLS/SSL\n"
            "443/udp   https  http protocol over TLS/SSL\n"
            "443/sctp  https  HTTPS\n",
        )

    def test_a_name(self):
        self.assertEqual(lookup("https").stdout, lookup("443").stdout)
        self.assertEqual(lookup("HTTPS").stdout, lookup("443").stdout)

    def test_a_name_in_common_use(self):
        self.expect(
            lookup("rdp", "postgres", "--tcp"),
            0,
            "PORT      NAME           DESCRIPTION\n"
            "3389/tcp  ms-wbt-server  MS WBT Server (also rdp)\n"
            "5432/tcp  postgresql     PostgreSQL Database (also postgres, pgsql)\n",
        )

    def test_a_range_leaves_out_what_has_no_name(self):
        self.expect_names(
            lookup("--tcp", "2-9"), "5/tcp rje", "7/tcp echo", "9/tcp discard"
        )

    def test_lists_patterns_and_open_ranges(self):
        self.expect_names(lookup("--tcp", "22,80"), "22/tcp ssh", "80/tcp http")
        self.expect_names(lookup("--tcp", "pop?"), "109/tcp pop2", "110/tcp pop3")
        self.assertIn("https", lookup("440-").stdout)

    def test_protocols(self):
        self.expect_names(lookup("443/udp"), "443/udp https")
        self.expect_names(lookup("https/udp"), "443/udp https")
        self.expect_names(lookup("--udp", "512"), "512/udp biff")
        self.expect_names(lookup("--udp", "--sctp", "22"), "22/udp ssh", "22/sctp ssh")
        self.expect_names(lookup("--udp", "512/tcp"), "512/tcp exec")

    def test_a_slash_in_a_name(self):
        self.expect_names(lookup("cl/1/tcp"), "172/tcp cl/1")
        self.expect_names(lookup("cl/1"), "172/tcp cl/1", "172/udp cl/1")

    def test_answers_stand_in_the_order_of_the_words_and_once(self):
        self.expect_names(
            lookup("--tcp", "https", "22", "443", "ssh"), "443/tcp https", "22/tcp ssh"
        )

    def test_a_registered_range(self):
        self.expect_names(lookup("--tcp", "6063"), "6063/tcp x11")

    def test_standard_input(self):
        self.expect_names(
            lookup("--tcp", "-", stdin="# mine\n22 https\n\n25 # mail\n"),
            "22/tcp ssh", "443/tcp https", "25/tcp smtp",
        )  # fmt: skip
        self.expect(lookup("-", stdin=""), 0, "")


class Json(LookupTest):
    def test_records(self):
        run = lookup("--json", "--tcp", "443", "4413")
        self.assertEqual(
            run.stdout.splitlines()[0],
            '{"type":"service","port":443,"protocol":"tcp","name":"https",'
            '"description":"http protocol over TLS/SSL","source":"registry"}',
        )
        records = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual([record["port"] for record in records], [443, 4413])
        self.assertEqual(records[1]["description"], "FORTÉ Vision Monitoring platform")
        self.assertEqual(run.returncode, 0)

    def test_everything_is_valid(self):
        run = lookup("--json", "0-65535")
        records = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertGreater(len(records), 11000)
        self.assertEqual(
            {tuple(record) for record in records},
            {("type", "port", "protocol", "name", "description", "source")},
        )
        places = [(record["port"], record["protocol"]) for record in records]
        self.assertEqual(len(set(places)), len(places))

    def test_nothing_found(self):
        run = lookup("--json", "nosuchthing")
        self.assertEqual((run.stdout, run.returncode), ("", 1))


class Faults(LookupTest):
    def test_unknown_words_are_told_and_the_rest_is_answered(self):
        run = lookup("--tcp", "htps", "22")
        self.assertEqual(
            run.stderr,
            "porthole lookup: no service is called 'htps' for tcp; did you mean 'https'?\n",
        )
        self.assertIn("22/tcp  ssh", run.stdout)
        self.assertEqual(run.returncode, 1)

    def test_messages(self):
        for words, status, message in [
            (["zqzqzqzq"], 1, "no service is called 'zqzqzqzq'"),
            (["elastic"], 1, "no service is called 'elastic'; did you mean 'elasticsearch'?"),
            (["biff/tcp"], 1, "no service is called 'biff' for tcp"),
            (["qzq*"], 1, "no service matches 'qzq*'"),
            (["4"], 1, "nothing is registered at 4"),
            (["--tcp", "--udp", "4"], 1, "nothing is registered at 4 for tcp and udp"),
            (["65000-65010"], 1, "nothing is registered at 65000-65010"),
            (["a\x1b[2Jb"], 1, "no service is called 'a\\x1b[2Jb'"),
            ([], 2, "which port or service? For example: porthole lookup 443"),
            (["70000"], 2, "port 70000 is above 65535\n  70000\n  ^"),
            (["22", "80-22"], 2, "the range runs backwards, from 80 to 22\n  80-22\n     ^"),
            (["22,,80"], 2, "a port is missing before this comma\n  22,,80\n     ^"),
            (["80/foo"], 2, "unknown protocol: write tcp, udp or sctp\n  80/foo\n     ^"),
        ]:
            with self.subTest(words=words):
                self.expect(lookup(*words), status, "", f"porthole lookup: {message}\n")

    def test_nothing_is_printed_when_a_word_makes_no_sense(self):
        self.assertEqual(lookup("22", "443", "70000").stdout, "")

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            run = subprocess.run(
                [PORTHOLE, "lookup", "443"], stdout=full, stderr=subprocess.PIPE, text=True
            )
        self.assertEqual(
            run.stderr,
            "porthole lookup: cannot write standard output: No space left on device\n",
        )
        self.assertEqual(run.returncode, 3)

    def test_closed_pipe_is_no_fault(self):
        reader, writer = os.pipe()
        os.close(reader)
        run = subprocess.run(
            [PORTHOLE, "lookup", "*"], stdout=writer, stderr=subprocess.PIPE, text=True
        )
        os.close(writer)
        self.assertEqual((run.stderr, run.returncode), ("", 141))


@unittest.skipUnless(CAN_MOUNT, "no user namespace in which to mount an /etc/services")
class SystemFile(LookupTest):
    SERVICES = (
        "intranet 8080/tcp  portal\tfrontdoor # Our \\ pages\x1b[31m\n"
        "https    443/tcp   # the registry says the same\n"
        "nonsense\n"
        "hatch    4/tcp\n"
    )

    def test_its_names_come_first_and_are_marked(self):
        self.expect(
            lookup("--tcp", "8080", "443", "4", services=self.SERVICES),
            0,
            "PORT      NAME      DESCRIPTION\n"
            "8080/tcp  intranet  Our \\\\ pages\\x1b[31m (also portal, frontdoor) [/etc/services]\n"
            "443/tcp   https     http protocol over TLS/SSL\n"
            "4/tcp     hatch     [/etc/services]\n",
        )

    def test_its_aliases_and_the_names_of_the_registry_are_found(self):
        for word in ["intranet", "frontdoor", "http-proxy"]:
            with self.subTest(word=word):
                self.expect_names(
                    lookup("--tcp", word, services=self.SERVICES), "8080/tcp intranet"
                )

    def test_json(self):
        run = lookup("--json", "8080/tcp", services=self.SERVICES)
        record = json.loads(run.stdout)
        self.assertEqual(record["source"], "system")
        self.assertEqual(record["description"], "Our \\ pages\x1b[31m")

    def test_binary_rubbish_changes_nothing(self):
        rubbish = pathlib.Path(PORTHOLE).read_bytes()[:100000].decode("latin-1")
        run = lookup("443", services=rubbish)
        self.assertIn("443/tcp   https  http protocol over TLS/SSL\n", run.stdout)
        self.assertEqual((run.stderr, run.returncode), ("", 0))


if __name__ == "__main__":
    unittest.main()

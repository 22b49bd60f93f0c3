"""porthole scan as a user types it, on loopback: what is scanned, and what is said about it."""

import contextlib
import csv
import io
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
# pylint: disable=wrong-import-position
from namespaces import need
from porthole import ROOT, Records, command, run, scan, start
from sockets import free_port, listen, port_of

SHARED = pathlib.Path(os.environ.get("PORTHOLE_SHARED", ROOT.parent / "shared"))
DTD = SHARED / "data" / "xml" / "nmap.dtd"


class ScanTest(unittest.TestCase):
    """With two open ports and a closed one on every loopback address, and a directory."""

    maxDiff = None

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        listeners = [stack.enter_context(listen("::", dual=True)) for _ in range(2)]
        self.open = sorted(port_of(listener) for listener in listeners)
        self.closed = free_port()
        self.ports = f"{self.open[0]},{self.open[1]},{self.closed}"
        self.directory = pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="porthole-"))
        )

    def file(self, name, text):
        """A file in the directory; returns its path."""
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def succeed(self, *words, stdin="", status=0):
        """Standard output of a run that must end so and say nothing else."""
        done = run("scan", *words, stdin=stdin)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return done.stdout

    def targets(self, *words, stdin=""):
        """What --list makes of the words."""
        return self.succeed("--list", *words, stdin=stdin).split()

    def listed_ports(self, *words):
        """What --list-ports makes of the words."""
        return self.succeed("--list-ports", *words).split()


class Targets(ScanTest):
    def test_every_form(self):
        for words, expected in [
            (["192.0.2.1"], "192.0.2.1"),
            (["192.0.2.0/30"], "192.0.2.0 192.0.2.1 192.0.2.2 192.0.2.3"),
            (["192.0.2.7/30"], "192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7"),
            (["192.0.2.254-192.0.3.1"], "192.0.2.254 192.0.2.255 192.0.3.0 192.0.3.1"),
            (["192.0.2.9-11"], "192.0.2.9 192.0.2.10 192.0.2.11"),
            (["192.0-1.2.1-2"], "192.0.2.1 192.0.2.2 192.1.2.1 192.1.2.2"),
            (["192.0.2.1,3,5-6"], "192.0.2.1 192.0.2.3 192.0.2.5 192.0.2.6"),
            (["2001:db8::1"], "2001:db8::1"),
            (["2001:DB8:0:0::0/127"], "2001:db8:: 2001:db8::1"),
            (["2001:db8::fffe-2001:db8::1:1"],
             "2001:db8::fffe 2001:db8::ffff 2001:db8::1:0 2001:db8::1:1"),
            (["::ffff:192.0.2.1"], "192.0.2.1"),
            (["fe80::1%lo"], "fe80::1%lo"),
            (["2001:db8::1", "192.0.2.2", "192.0.2.1"], "192.0.2.1 192.0.2.2 2001:db8::1"),
        ]:  # fmt: skip
            with self.subTest(words=words):
                self.assertEqual(self.targets(*words), expected.split())

    def test_overlaps_merge_and_exclusions_win(self):
        self.assertEqual(
            self.targets("192.0.2.0/30", "192.0.2.1-192.0.2.2", "192.0.2.2"),
            ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
        )
        for exclusion in (
            ["--exclude", "192.0.2.1,192.0.2.3"],
            ["--exclude=192.0.2.1", "--exclude", "192.0.2.3"],
            ["--exclude", "192.0.2.1,3"],
            ["--exclude-file", self.file("ex", "# not these\n192.0.2.1 192.0.2.3/32\n\n")],
            ["--excludefile", self.file("ex2", "192.0.2.1\r\n192.0.2.3\r\n")],
        ):
            with self.subTest(exclusion=exclusion):
                self.assertEqual(
                    self.targets("192.0.2.0/30", *exclusion), ["192.0.2.0", "192.0.2.2"]
                )

    def test_an_exclusion_takes_every_zone(self):
        """Link-local addresses without a zone exclude those of every interface."""
        self.assertEqual(self.targets("fe80::1%lo", "fe80::2%lo", "--exclude", "fe80::1"),
                         ["fe80::2%lo"])  # fmt: skip

    def test_files_of_targets(self):
        text = "# my hosts\n192.0.2.1\t2001:db8::1 # two\n\n192.0.2.8/31\n"
        expected = ["192.0.2.1", "192.0.2.8", "192.0.2.9", "2001:db8::1"]
        path = self.file("hosts", text)
        for words in (["--target-file", path], ["-iL", path], [f"-iL{path}"],
                      [f"--target-file={path}"]):  # fmt: skip
            self.assertEqual(self.targets(*words), expected)
        for words in (["--target-file", "-"], ["-iL", "-"], ["-"]):
            self.assertEqual(self.targets(*words, stdin=text), expected)
        self.assertEqual(self.targets("-iL", path, "203.0.113.1")[-2], "203.0.113.1")

    def test_names(self):
        self.assertEqual(self.targets("-4", "localhost"), ["127.0.0.1"])
        self.assertIn(self.targets("localhost"), (["127.0.0.1"], ["::1"]))
        found = {info[4][0] for info in socket.getaddrinfo("localhost", 1)}
        self.assertEqual(set(self.targets("--all-addresses", "localhost")), found)

    def test_a_name_without_an_address_does_not_stop_the_others(self):
        done = run("scan", "--list", "no-such-host.invalid", "192.0.2.1")
        self.assertEqual((done.returncode, done.stdout), (1, "192.0.2.1\n"))
        self.assertRegex(done.stderr, r"^porthole scan: .*no-such-host\.invalid.*\n")

    def test_this_machine(self):
        own = self.targets("--self")
        self.assertIn("127.0.0.1", own)
        self.assertTrue(all(":" not in address for address in self.targets("--self", "-4")))
        self.assertEqual(set(own) - set(self.targets("--self", "-4")),
                         set(self.targets("--self", "-6")))  # fmt: skip

    def test_millions_of_addresses_cost_nothing(self):
        with start("scan", "--list", "10.0.0.0/8", "2001:db8::/72") as process:
            lines = [process.stdout.readline() for _ in range(3)]
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            process.stdout.close()
        self.assertEqual(lines, ["10.0.0.0\n", "10.0.0.1\n", "10.0.0.2\n"])
        peak = int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)[1])
        self.assertLess(peak, 64 * 1024)


class Ports(ScanTest):
    def test_every_form(self):
        for words, expected in [
            (["-p", "22,80,8000-8002"], "22 80 8000 8001 8002"),
            (["-p22"], "22"),
            (["--ports=443,22,22-23"], "22 23 443"),
            (["-p", "22", "-p", "80"], "22 80"),
            (["-p", "-3"], "1 2 3"),
            (["-p", "65533-"], "65533 65534 65535"),
            (["-p", "0"], "0"),
            (["-p", "0-2"], "0 1 2"),
            (["-p", "ssh,https"], "22 443"),
            (["-p", "T:22,80"], "22 80"),
            (["-p", "T:22,U:53,67"], "T:22 U:53 U:67"),
            (["-p", "20-25", "--exclude-ports", "21-23"], "20 24 25"),
            (["-p", "pop?"], "109 110"),
        ]:
            with self.subTest(words=words):
                self.assertEqual(self.listed_ports(*words), expected.split())

    def test_all_of_them(self):
        everything = [str(port) for port in range(65536)]
        self.assertEqual(self.listed_ports("-p-"), everything[1:])
        self.assertEqual(self.listed_ports("-p", "0-65535"), everything)
        self.assertEqual(len(self.listed_ports("--top", "65536")), 65536)

    def test_the_most_often_open(self):
        self.assertEqual(len(self.listed_ports()), 1000)
        self.assertEqual(self.listed_ports(), self.listed_ports("--top", "1000"))
        self.assertEqual(len(self.listed_ports("-F")), 100)
        self.assertEqual(self.listed_ports("--fast"), self.listed_ports("--top-ports", "100"))
        fast = self.listed_ports("-F")
        self.assertLess(set(fast), set(self.listed_ports()))
        self.assertLessEqual({"22", "80", "443", "3389"}, set(fast))
        self.assertEqual(set(self.listed_ports("-F", "-p", "1")), {"1", *fast})

    def test_listed_ports_can_be_asked_for_again(self):
        listed = self.listed_ports("-p", "http*,T:22,U:53")
        self.assertEqual(self.listed_ports("-p", ",".join(listed)), listed)


class States(ScanTest):
    def test_the_table(self):
        text = self.succeed("-p", self.ports, "127.0.0.1")
        self.assertRegex(text, r"\A127\.0\.0\.1\nPORT +STATE +SERVICE ")
        for port in self.open:
            self.assertRegex(text, rf"(?m)^{port}/tcp +open ")
        self.assertRegex(text, rf"(?m)^{self.closed}/tcp +closed .* conn-refused ")
        self.assertRegex(text, r"\n1 host, 3 ports: 2 open, 1 closed in \S+; 3 probes, ")
        self.assertTrue(text.endswith("recall 100%\n"))

    def test_open_ports_come_first_in_their_order(self):
        text = self.succeed("-p", self.ports, "127.0.0.1")
        rows = re.findall(r"^(\d+)/tcp +(\w+)", text, re.M)
        self.assertEqual(rows[:2], [(str(port), "open") for port in self.open])
        self.assertEqual(len(rows), 3)

    def test_what_is_not_shown_is_counted(self):
        text = self.succeed("-p", f"{self.open[0]},1-50", "127.0.0.1")
        found = re.search(r"^not shown: (\d+) closed \(conn-refused\)$", text, re.M)
        self.assertTrue(found, text)

    def test_open_only(self):
        text = self.succeed("--open", "-p", self.ports, "127.0.0.1")
        self.assertNotIn("conn-refused", text)
        records = scan("--open", "-p", self.ports, "127.0.0.1")
        self.assertEqual(records.open("127.0.0.1"), set(self.open))
        self.assertEqual(len(records.of("port")), 2)
        self.assertEqual(records.summary["closed"], 1)

    def test_reasons(self):
        text = self.succeed("--reason", "-p", str(self.open[0]), "127.0.0.1")
        self.assertRegex(text, rf"(?m)^{self.open[0]}/tcp +open +\S+ +syn-ack +1 ")

    def test_both_families_and_several_hosts(self):
        records = scan("-p", self.ports, "127.0.0.1", "127.0.0.2-3", "::1")
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"):
            self.assertEqual(records.open(address), set(self.open))
        self.assertEqual(records.summary["hosts_answered"], 4)

    def test_a_family(self):
        self.assertEqual(scan("-4", "-p", self.ports, "localhost").open("127.0.0.1"),
                         set(self.open))  # fmt: skip
        done = run("scan", "-6", "-p", "22", "127.0.0.1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("is not IPv6", done.stderr)

    def test_the_same_seed_asks_in_the_same_order(self):
        def order(seed):
            records = scan("--seed", seed, "--in-flight", 1, "-p", "1-64", "127.0.0.1")
            return [record["port"] for record in records.of("port")]

        self.assertEqual(order(7), order(7))
        self.assertNotEqual(order(7), order(8))
        self.assertEqual(sorted(order(7)), list(range(1, 65)))

    def test_whatever_the_speed_the_result_is_the_same(self):
        expected = scan("-p", self.ports, "127.0.0.1").states()
        for words in (["--in-flight", 1], ["--rate", 100], ["--tries", 1], ["--recall", "100%"],
                      ["--timeout", "1ms", "--min-timeout", "1ms", "--max-timeout", "10ms"],
                      ["--max-time", "1m"], ["-T4"], ["-T", "5"], ["-Tpolite"]):  # fmt: skip
            with self.subTest(words=words):
                self.assertEqual(scan(*words, "-p", self.ports, "127.0.0.1").states(), expected)

    def test_a_rate_is_kept(self):
        records = scan("--rate", 200, "-p", "1-100", "127.0.0.1")
        self.assertGreaterEqual(records.summary["duration_s"], 0.4)

    def test_the_time_is_over(self):
        records = scan("--max-time", "200ms", "--rate", 50, "-p", "1-1000", "127.0.0.1",
                       status=1)
        self.assertEqual(records.summary["end"], "timed-out")
        self.assertGreater(records.summary["undecided"], 900)
        self.assertEqual(records.summary["filtered"], 0)
        text = self.succeed("--max-time", "200ms", "--rate", 50, "-p", "1-1000", "127.0.0.1",
                            status=1)
        self.assertIn("undecided", text)
        self.assertNotIn("filtered", text)

    def test_a_verbose_scan_tells_what_is_open_as_it_is_found(self):
        done = run("scan", "-v", "-p", self.ports, "127.0.0.1")
        self.assertEqual(
            sorted(re.findall(r"^open: 127\.0\.0\.1:(\d+)", done.stderr, re.M)),
            sorted(str(port) for port in self.open),
        )


class Names(ScanTest):
    """Services by number: of the registry, or of /etc/services where that differs."""

    SERVICES = "mine 22/tcp\nother 80/udp\n\x1b[31mred 81/tcp\n"

    def service(self, port, protocol="tcp"):
        """What the record of a port says of its service."""
        words = command("scan", "--json", "-p", port, "127.0.0.1")
        path = self.file("services", self.SERVICES)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c",
             'mount --bind "$1" /etc/services && shift && exec "$@"', "sh", path, *words],
            capture_output=True, encoding="utf-8", timeout=60,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (record,) = Records(done.stdout).of("port")
        self.assertEqual(record["protocol"], protocol)
        return record.get("service")

    @need("unshare", "mount")
    def test_by_whom(self):
        self.assertEqual(self.service(22), {"name": "mine", "source": "system"})
        self.assertEqual(self.service(443), {"name": "https", "source": "registry"})
        self.assertEqual(self.service(80), {"name": "http", "source": "registry"})
        self.assertIsNone(self.service(4))

    def test_that_the_name_is_a_guess_is_said_where_one_is_used(self):
        text = self.succeed("-p", "22", "127.0.0.1")
        self.assertIn("\nservices are named by port number, not by what answers\n", text)
        self.assertNotIn("named by port number", self.succeed("-p", "4", "127.0.0.1"))


class Formats(ScanTest):
    def test_json_is_valid_and_agrees_with_itself(self):
        records = scan("-p", self.ports, "127.0.0.1", "::1")
        self.assertEqual(records.all[0]["ports"], ",".join(sorted(self.ports.split(","), key=int)))
        self.assertIn("--json", records.all[0]["command"])
        self.assertEqual(len(records.of("port")), 6)
        for record in records.of("port"):
            self.assertGreater(record["rtt_us"], 0)

    def test_csv(self):
        text = self.succeed("--csv", "-p", self.ports, "127.0.0.1")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        fields = ("address", "port", "state", "reason")
        self.assertEqual(
            {tuple(row[field] for field in fields) for row in rows},
            {("127.0.0.1", str(self.closed), "closed", "conn-refused"),
             *(("127.0.0.1", str(port), "open", "syn-ack") for port in self.open)},
        )  # fmt: skip
        self.assertEqual(len(rows), 3)

    def test_grep(self):
        text = self.succeed("--grep", "-p", self.ports, "127.0.0.1")
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^# porthole \S+ scan initiated .* as: porthole scan --grep ")
        self.assertEqual(lines[1], "Host: 127.0.0.1 ()\tStatus: Up")
        self.assertRegex(lines[2], r"^Host: 127\.0\.0\.1 \(\)\tPorts: ")
        fields = lines[2].split("\tPorts: ")[1].split("\t")[0].split(", ")
        found = {tuple(field.split("/")[:3]) for field in fields}
        self.assertEqual(found, {(str(self.closed), "closed", "tcp"),
                                 *((str(port), "open", "tcp") for port in self.open)})  # fmt: skip
        self.assertTrue(all(field.count("/") == 7 for field in fields), fields)
        self.assertRegex(lines[-1], r"^# porthole done at .* -- 1 IP address \(1 host up\)")

    def xml_ports(self, text):
        """(address, port) → state, of an XML document."""
        found = {}
        for host in xml.etree.ElementTree.fromstring(text).iter("host"):
            for port in host.iter("port"):
                place = host.find("address").get("addr"), int(port.get("portid"))
                found[place] = port.find("state").get("state")
        return found

    def test_xml(self):
        text = self.succeed("--xml", "-p", self.ports, "127.0.0.1", "::1")
        expected = {self.closed: "closed", **{port: "open" for port in self.open}}
        self.assertEqual(
            self.xml_ports(text),
            {(at, port): expected[port] for at in ("127.0.0.1", "::1") for port in expected},
        )

    @unittest.skipUnless(DTD.exists(), f"no nmap.dtd at {DTD} (PORTHOLE_SHARED says where)")
    @unittest.skipUnless(shutil.which("xmllint"), "no xmllint")
    def test_xml_is_valid_by_nmaps_document_type(self):
        for words in (
            ["-p", self.ports, "127.0.0.1"],
            ["-p", "1-2000", "-v", "127.0.0.1", "::1"],
            ["-p", "1-100", "--open", "127.0.0.1"],
            ["-p", "1-1000", "--max-time", "100ms", "--rate", "50", "127.0.0.1"],
            ["-p", self.ports, "127.0.0.1-3", "--exclude", "127.0.0.2", "--", "localhost"],
        ):
            with self.subTest(words=words):
                status = 1 if "--max-time" in words else 0
                path = self.file("scan.xml", self.succeed("--xml", *words, status=status))
                done = subprocess.run(["xmllint", "--noout", "--nonet", "--dtdvalid", DTD, path],
                                      capture_output=True, text=True, check=False)  # fmt: skip
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_many_outputs_at_once(self):
        names = ("a.txt", "a.json", "a.jsonl", "a.xml", "a.csv", "a.gnmap")
        paths = [str(self.directory / name) for name in names]
        odd = str(self.directory / "odd")
        text = self.succeed("-p", self.ports, "127.0.0.1", *(w for p in paths for w in ("-o", p)),
                            "--output", f"json:{odd}")  # fmt: skip
        written = [pathlib.Path(path).read_text() for path in paths]
        table, json, jsonl, document, rows, grep = written
        self.assertEqual(table, text)
        self.assertEqual(Records(json).states(), Records(jsonl).states())
        self.assertEqual(Records(pathlib.Path(odd).read_text()).states(), Records(json).states())
        self.assertEqual(len(self.xml_ports(document)), 3)
        self.assertEqual(rows.count("\n"), 4)
        self.assertIn("Ports: ", grep)
        self.assertEqual(sorted(os.listdir(self.directory)), sorted([*names, "odd"]))

    def test_a_format_on_standard_output_beside_files(self):
        path = self.directory / "a.csv"
        text = self.succeed("--json", "-o", path, "-p", self.ports, "127.0.0.1")
        self.assertEqual(len(Records(text).of("port")), 3)
        self.assertEqual(path.read_text().count("\n"), 4)
        self.assertEqual(len(Records(self.succeed("-o", "json:-", "-p", "1", "127.0.0.1")).all), 4)

    def test_nmaps_three_formats(self):
        name = str(self.directory / "scan")
        self.succeed("-oA", name, "-p", self.ports, "127.0.0.1")
        single = {"-oN": ".n", "-oX": ".x", "-oG": ".g"}
        words = [word for flag, end in single.items() for word in (flag, name + end)]
        self.succeed("-p", self.ports, "127.0.0.1", *words)
        for one, other in ((".nmap", ".n"), (".xml", ".x"), (".gnmap", ".g")):
            self.assertEqual(self.ports_in(name + one), self.ports_in(name + other))
            self.assertGreaterEqual(len(self.ports_in(name + one)), 3)

    @staticmethod
    def ports_in(path):
        """What looks like a port in a document of any format."""
        text = pathlib.Path(path).read_text()
        return set(re.findall(r'portid="(\d+)"|\b(\d+)/(?:tcp|open|closed)', text))

    def test_a_document_replaces_the_old_one_only_when_it_is_whole(self):
        path = self.file("scan.xml", "old")
        done = run("scan", "-o", path, "-p", "1-1000", "--rate", "100", "127.0.0.1",
                   "--max-time", "50ms")  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertTrue(pathlib.Path(path).read_text().endswith("</nmaprun>\n"))
        self.assertEqual(os.listdir(self.directory), ["scan.xml"])


class NmapFlags(ScanTest):
    def test_what_fingers_know(self):
        text = self.succeed("-sT", "-Pn", "-n", "-p", self.ports, "--reason", "127.0.0.1")
        for port in self.open:
            self.assertRegex(text, rf"(?m)^{port}/tcp +open .* syn-ack ")
        self.assertEqual(self.targets("-sL", "192.0.2.1-2"), ["192.0.2.1", "192.0.2.2"])

    def test_timing_templates(self):
        for word in ("-T0", "-T1", "-T2", "-T3", "-T4", "-T5", "-Tinsane", "-Tsneaky"):
            with self.subTest(word):
                records = scan(word, "-p", self.open[0], "127.0.0.1")
                self.assertEqual(records.open("127.0.0.1"), {self.open[0]})

    def test_limits(self):
        records = scan("--max-retries", 0, "--host-timeout", "1m", "--max-rate", 1000,
                       "--max-parallelism", 10, "--initial-rtt-timeout", "50ms",
                       "--min-rtt-timeout", "10ms", "--max-rtt-timeout", "1s",
                       "-p", self.ports, "127.0.0.1")  # fmt: skip
        self.assertEqual(records.open("127.0.0.1"), set(self.open))

    def test_what_is_not_there_says_what_to_do_instead(self):
        for word in ("-sU", "-sV", "-O", "-A", "-sn", "--traceroute", "-D", "--script"):
            with self.subTest(word):
                done = run("scan", word, "127.0.0.1")
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(done.stderr, rf"^porthole scan: .*{word}.*\n\Z")


if __name__ == "__main__":
    unittest.main()

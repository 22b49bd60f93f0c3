"""The records' description, schema and examples say the same; the sinks' documents are valid."""

import copy
import csv
import re
import shutil
import subprocess
import unittest
import xml.etree.ElementTree

import records

DOCUMENTS = records.ROOT / "tests" / "unit" / "documents"
DESCRIPTION = (records.ROOT / "docs" / "records.md").read_text()
STATES = (records.ROOT / "docs" / "states.md").read_text()
DTD = records.ROOT.parent / "shared" / "data" / "xml" / "nmap.dtd"  # not ours: see its notice


def section(kind):
    """The part of the description that is about a type of record."""
    return re.search(rf"^### {kind}\n(.*?)(?=^##)", DESCRIPTION, re.M | re.S)[1]


def examples(kind):
    (text,) = re.findall(r"```json\n(.*?)```", section(kind), re.S)
    return records.parse(text)


def read(path):
    return path.read_bytes().decode().replace("@VERSION@", "0.0.0")


def properties(kind):
    return records.SCHEMA["$defs"][kind]["properties"]


class Description(unittest.TestCase):
    def test_examples_are_valid(self):
        for kind in records.VALIDATORS:
            with self.subTest(kind):
                for record in examples(kind):
                    self.assertEqual(record["type"], kind)

    def test_every_member_is_described(self):
        for kind in records.VALIDATORS:
            rows = re.findall(r"^\| (`[^|]*) \|", section(kind), re.M)
            described = set(re.findall(r"`(\w+)`", " ".join(rows)))
            missing = set(properties(kind)) - {"type"} - described
            self.assertEqual(missing, set(), f"{kind}: not in the table of docs/records.md")

    def test_reasons_are_the_scans_own(self):
        source = (records.ROOT / "src" / "scan" / "reason.def").read_text()
        rows = re.findall(r'^REASON\(\w+, "([^"]+)", STATE_(\w+),\s*"([^"]+)"\)', source, re.M)
        expected = [(state.lower(), name, meaning) for name, state, meaning in rows]
        row = r"^\| `(\w+)` \| `([\w-]+)` \| (.*) \|$"
        self.assertEqual(sorted(re.findall(row, DESCRIPTION, re.M)), sorted(expected))
        self.assertEqual(records.SCHEMA["$defs"]["reason"]["enum"], [name for name, _, _ in rows])


    def test_techniques_are_the_probers(self):
        source = (records.ROOT / "src" / "probe" / "probe.def").read_text()
        names = [name.replace("_", "-") for name in re.findall(r"^PROBE\((\w+)", source, re.M)]
        self.assertEqual(sorted(properties("scan")["prober"]["enum"]), sorted(names))
        self.assertEqual(sorted(re.findall(r"^\| `(tcp-\w+)` \|", STATES, re.M)), sorted(names))
        for name in names:
            self.assertIn(f"`{name}`", section("scan"))

    def test_what_answers_mean_is_what_the_probers_say(self):
        """The states of refusals and silence in the table are those of each prober's `words`."""
        words = re.compile(
            r'\.name = "([\w-]+)".*?\.refused = STATE_(\w+), \.silence = STATE_(\w+)', re.S
        )
        for path in sorted((records.ROOT / "src" / "probe").glob("tcp_*.c")):
            for name, refused, silence in words.findall(path.read_text()):
                part = re.search(rf"^\| `{name}` .*?(?=^\| `|^\| all)", STATES, re.M | re.S)[0]
                rows = re.findall(r"\| ([^|]+) \| `([^`]+)` \| `([\w-]+)` \|$", part, re.M)
                with self.subTest(name):
                    told = [state for _, state, reason in rows if reason == "no-response"]
                    self.assertEqual(told, [silence.lower().replace("_", "\\|")])
                    told = [state for answer, state, _ in rows if answer.startswith("RST")]
                    self.assertIn(refused.lower(), told)


class Schema(unittest.TestCase):
    """A drift is a fault: the validator must not be one that says yes to everything."""

    def setUp(self):
        (self.port, *_) = records.parse(re.search(r"```json\n(.*?)```", section("port"), re.S)[1])

    def refuse(self, **members):
        record = copy.deepcopy(self.port)
        for name, value in members.items():
            if value is None:
                del record[name]
            else:
                record[name] = value
        with self.assertRaises(AssertionError):
            records.validate(record)

    def test_drifts_are_refused(self):
        records.validate(self.port)
        self.refuse(banner="SSH-2.0")
        self.refuse(reason=None)
        self.refuse(reason="because")
        self.refuse(state="undecided")
        self.refuse(state="open_filtered")
        self.refuse(port=65536)
        self.refuse(port="22")
        self.refuse(rtt_us=0)
        self.refuse(tries=0)
        self.refuse(time="2026-11-21 02:34:03")
        self.refuse(address="localhost")
        self.refuse(service={"name": "ssh"})
        self.refuse(type="sport")

    def test_summaries_that_contradict_themselves_are_refused(self):
        summary, raw = records.parse(re.search(r"```json\n(.*?)```", section("summary"), re.S)[1])
        for record, members in (
            (summary, {"responders_only": True}),
            (summary, {"hosts_silent": None, "silent_addresses": None}),
            (summary, {"unfiltered": None}),
            (summary, {"packets": 3}),
            (raw, {"missed": None}),
        ):
            changed = {**record, **members}
            changed = {name: value for name, value in changed.items() if value is not None}
            with self.subTest(members), self.assertRaises(AssertionError):
                records.validate(changed)

    def test_conversations_that_contradict_themselves_are_refused(self):
        connection, *_ = examples("connection")
        text, _, binary = examples("data")
        end, failed = examples("end")
        (listening,), (denied,) = examples("listening"), examples("denied")
        for record, members in (
            (text, {"base64": "AA=="}),
            (text, {"text": None}),
            (text, {"text": "\x1b[m"}),
            (text, {"direction": "forth"}),
            (binary, {"base64": "AA"}),
            (binary, {"base64": ""}),
            (end, {"error": "EPIPE", "message": "Broken pipe"}),
            (end, {"outcome": "finished"}),
            (end, {"duration_s": -1}),
            (failed, {"message": None}),
            (connection, {"protocol": "sctp"}),
            (connection, {"role": "client"}),
            (connection, {"connection": 0}),
            (connection, {"remote": "127.0.0.1"}),
            (connection, {"remote": "::1:80"}),
            (connection, {"remote": "?"}),
            (listening, {"local": None}),
            (denied, {"reason": ""}),
        ):
            records.validate(record)
            changed = {**record, **members}
            changed = {name: value for name, value in changed.items() if value is not None}
            with self.subTest(members), self.assertRaises(AssertionError):
                records.validate(changed)

    def test_conversations_must_agree_with_themselves(self):
        connection, *_ = examples("connection")
        data = {**examples("data")[0], "text": "gr\u00fc\u00df", "length": 6}
        reply = {**data, "direction": "received", "base64": "AP/+/Q==", "length": 4}
        del reply["text"]
        end = {**examples("end")[0], "sent": 6, "received": 4}
        good = [connection, data, reply, end]
        records.check_conversations(good)
        self.assertEqual(records.streams(good), ("gr\u00fc\u00df".encode(), b"\0\xff\xfe\xfd"))
        second = [{**record, "connection": 2} for record in good]
        records.check_conversations([pair for both in zip(good, second) for pair in both])
        records.check_conversations(good[:-1], whole=False)
        records.check_conversations([connection, end])
        records.check_conversations([{**end, "outcome": "failed"}])
        for bad in (
            [*good[:3]],
            [data, reply, end],
            [connection, data, end],
            [connection, end, data],
            [connection, connection, end],
            [*good, {**end, "connection": 2}],
            [connection, {**data, "length": 4}, reply, end],
            [end],
        ):
            with self.subTest(bad), self.assertRaises(AssertionError):
                records.check_conversations(bad)

    def test_streams_are_refused(self):
        for text in ('{"type":"port"}\n', '{"type":"scan","type":"scan"}\n', "[]\n", "{}", "\x1b\n"):
            with self.subTest(text), self.assertRaises(AssertionError):
                records.parse(text)


class Documents(unittest.TestCase):
    """What the unit test of the sinks compares with, seen by those who read such documents."""

    def for_each(self, suffix, check):
        paths = sorted(DOCUMENTS.glob(f"*{suffix}"))
        self.assertTrue(paths)
        for path in paths:
            with self.subTest(path.name):
                check(path.name, read(path))

    def test_json(self):
        def check(name, text):
            records.check_scan(records.parse(text), ".open." in name)

        self.for_each(".jsonl", check)

    def test_json_scans_must_agree_with_themselves(self):
        good = records.parse(read(DOCUMENTS / "few-ports.jsonl"))
        records.check_scan(good)
        for at, record in enumerate(good):
            with self.subTest(f"without the {record['type']} of line {at + 1}"):
                with self.assertRaises(AssertionError):
                    records.check_scan(good[:at] + good[at + 1 :])
        with self.assertRaises(AssertionError):
            records.check_scan(good[:2] + good[1:])

    def test_csv(self):
        header = (
            "address name protocol port state reason from tries rtt_us service error time".split()
        )

        def check(name, text):
            rows = list(csv.reader(text.splitlines(keepends=True), strict=True))
            self.assertEqual(rows[0], header)
            self.assertEqual({len(row) for row in rows}, {len(header)})
            self.assertEqual(text.count("\r\n"), text.count("\n"))
            for row in rows[1:]:
                self.assertNotRegex(" ".join(row), r"(^| )[=+@-]")

        self.for_each(".csv", check)

    def test_xml_tells_of_every_port(self):
        def check(name, text):
            run = xml.etree.ElementTree.fromstring(text)
            asked = sum(int(info.get("numservices")) for info in run.iter("scaninfo"))
            for host in run.iter("host"):
                extra = sum(int(extraports.get("count")) for extraports in host.iter("extraports"))
                told = extra + len(list(host.iter("port")))
                left_out = ".open." in name or "only open ports were kept" in text
                left_out = left_out or "; shard 2 of 2" in text
                self.assertTrue(told == asked or (told < asked and left_out))

        self.for_each(".xml", check)

    @unittest.skipUnless(DTD.exists(), f"{DTD.name} is not on this machine")
    @unittest.skipUnless(shutil.which("xmllint"), "there is no xmllint")
    def test_xml_follows_nmaps_document_type(self):
        def check(name, text):
            run = subprocess.run(
                ["xmllint", "--noout", "--nonet", "--dtdvalid", str(DTD), "-"],
                input=text, capture_output=True, encoding="utf-8", timeout=30,
            )  # fmt: skip
            self.assertEqual((run.returncode, run.stderr), (0, ""))

        self.for_each(".xml", check)

    def test_nothing_controls_a_terminal(self):
        def check(name, text):
            if ".colour." not in name:
                self.assertNotRegex(text, r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

        for suffix in (".txt", ".jsonl", ".xml", ".csv", ".gnmap"):
            self.for_each(suffix, check)


if __name__ == "__main__":
    unittest.main()

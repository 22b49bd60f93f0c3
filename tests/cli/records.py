"""porthole's JSON Lines, read and held to docs/records.schema.json: for tests of every verb.

    records = records.parse(run.stdout)      # each valid by itself, or AssertionError
    records.check_scan(records)              # and together they are one whole scan
    records.check_conversations(records)     # or whole conversations

As a program it does both with files: `python3 tests/cli/records.py FILE…`.
"""

import base64
import collections
import json
import pathlib
import sys

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA_FILE = ROOT / "docs" / "records.schema.json"
STATES = ("open", "closed", "filtered", "unfiltered", "open|filtered")
CONVERSATION = ("connection", "data", "end")
POSSIBLY_OPEN = ("open", "unfiltered", "open|filtered")  # what --open shows


def load_schema():
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def make_validators(schema):
    """One for each type of record: what it says of a fault is clearer than what the whole one says."""
    return {
        kind["$ref"].rsplit("/", 1)[1]: jsonschema.Draft202012Validator(
            {"$defs": schema["$defs"], "$ref": kind["$ref"]}
        )
        for kind in schema["oneOf"]
    }


SCHEMA = load_schema()
VALIDATORS = make_validators(SCHEMA)


def refuse_twins(pairs):
    """JSON readers take the last of two members of one name without a word."""
    record = dict(pairs)
    assert len(record) == len(pairs), f"a member stands twice in {pairs}"
    return record


def validate(record):
    """Raises AssertionError unless the record is one of the schema's."""
    kind = record.get("type") if isinstance(record, dict) else None
    assert kind in VALIDATORS, f"no record of docs/records.md has the type {kind!r}"
    assert next(iter(record)) == "type", f"'type' is not the first member of {record}"
    for fault in VALIDATORS[kind].iter_errors(record):
        where = ".".join(str(step) for step in fault.absolute_path)
        raise AssertionError(f"{kind} record: {where}: {fault.message}")


def parse(text):
    """The valid records of a whole stream."""
    assert text == "" or text.endswith("\n"), "the last line is not complete"
    assert text.isascii() and text.replace("\n", "").isprintable(), "not printable ASCII"
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            record = json.loads(line, object_pairs_hook=refuse_twins)
            validate(record)
        except (AssertionError, ValueError) as fault:
            raise AssertionError(f"line {number}: {fault}\n{line}") from None
        records.append(record)
    return records


def of_type(records, kind):
    return [record for record in records if record["type"] == kind]


def endpoint(record):
    return record["address"], record["protocol"], record["port"]


def open_ports(records):
    """{(address, protocol, port)} of the open ones."""
    return {endpoint(record) for record in of_type(records, "port") if record["state"] == "open"}


def counted(record, state):
    """What a host or summary record counts of a state; None where it leaves it out."""
    return record.get(state.replace("|", "_"))


def check_order(records):
    """scan, (port | error)*, host*, summary."""
    stages = {"scan": 0, "port": 1, "error": 1, "host": 2, "summary": 3}
    order = [stages[record["type"]] for record in records]
    assert order == sorted(order), "the records are not in the order of docs/records.md"
    for kind in ("scan", "summary"):
        assert len(of_type(records, kind)) == 1, f"not exactly one {kind} record"


def count_errors(errors, ports, port_count):
    """How many ports of a host could not be asked: an error without a port means all that are left."""
    whole = [error for error in errors if "port" not in error]
    assert len(whole) <= 1, f"{errors[0]['address']}: two errors for the whole host"
    return port_count - len(ports) if whole else len(errors)


def check_host(host, ports, errors, scan, summary, open_only):
    """A host record against the port and error records of its address."""
    sparse, complete = "responders_only" in summary, summary["end"] == "complete"
    address = host["address"]
    states = collections.Counter(port["state"] for port in ports)
    reasons = collections.Counter((p["state"], p["reason"], p.get("from")) for p in ports)
    told = {(r["state"], r["reason"], r.get("from")): r["count"] for r in host["reasons"]}
    assert len(told) == len(host["reasons"]), f"{address}: a reason stands twice"
    assert told == dict(reasons), f"{address}: reasons {told}, but port records {dict(reasons)}"
    if not open_only and "shard" not in scan:  # which leaves out ports of the host
        failed = count_errors(errors, ports, scan["port_count"])
        assert host["errors"] == failed, f"{address}: errors and error records differ"
    left_out = open_only or sparse
    assert ("closed" not in host) == left_out, f"{address}: counts and --open don't go together"
    assert ("undecided" not in host) == sparse, f"{address}: counts of what was not kept"
    assert sparse or host["undecided"] == 0 or not complete, f"{address}: undecided when complete"
    for state in shown_states(summary, open_only):
        assert counted(host, state) == states[state], f"{address}: {state} and port records differ"


def shown_states(summary, open_only):
    """Those of which every port has a record."""
    if "responders_only" in summary:
        return ("open",)
    return POSSIBLY_OPEN if open_only else STATES


def check_hosts(records, open_only):
    ports, errors = collections.defaultdict(list), collections.defaultdict(list)
    for record in of_type(records, "port"):
        ports[record["address"]].append(record)
    for record in of_type(records, "error"):
        errors[record["address"]].append(record)
    hosts = {host["address"]: host for host in of_type(records, "host")}
    assert len(hosts) == len(of_type(records, "host")), "a host has two records"
    for address, host in hosts.items():
        check_host(host, ports[address], errors[address], records[0], records[-1], open_only)
    for address in ports:
        silent = all(port["reason"] == "no-response" for port in ports[address])
        silent = silent and not errors[address]
        told = address in hosts
        assert silent or told, f"{address}: no host record"
        assert not silent or not told or open_only, f"{address}: a host record of silence"


def check_summary(records, open_only):
    scan, summary = records[0], records[-1]
    states = collections.Counter(port["state"] for port in of_type(records, "port"))
    shard, shards = map(int, scan.get("shard", "1/1").split("/"))
    assert summary.get("shard") == scan.get("shard")
    assert summary["hosts"] <= scan["hosts"] if shards > 1 else summary["hosts"] == scan["hosts"]
    every = scan["hosts"] * scan["port_count"]
    assert summary["ports"] == (every - shard) // shards + 1, f"of {every} ports"
    parts = [*(counted(summary, state) for state in STATES)]
    parts += [summary["undecided"], summary["errors"]]
    sparse = "responders_only" in summary
    assert sparse or sum(parts) == summary["ports"], f"{parts} are not {summary['ports']}"
    assert (summary["undecided"] == 0) or summary["end"] != "complete"
    assert ("silent_addresses" not in summary) == (open_only or sparse)
    for state in shown_states(summary, open_only):
        assert counted(summary, state) == states[state], f"{state} and the port records differ"
    assert set(states) <= set(shown_states(summary, open_only)), "states that should be left out"
    if not open_only and not sparse:
        hosts = of_type(records, "host")
        assert summary["errors"] == sum(host["errors"] for host in hosts), "errors differ"
        assert summary["undecided"] >= sum(host["undecided"] for host in hosts)
        assert summary["hosts_silent"] == summary["hosts"] - len(hosts)
        assert summary["hosts_answered"] == sum(host["answered"] for host in hosts)


def check_scan(records, open_only=None):
    """Raises AssertionError unless the records are one scan that agrees with itself."""
    check_order(records)
    if open_only is None:
        open_only = not {"silent_addresses", "responders_only"} & set(records[-1])
    endpoints = [endpoint(record) for record in records if "port" in record]
    twins = [key for key, count in collections.Counter(endpoints).items() if count > 1]
    assert not twins, f"more than one record for {twins[:3]}"
    check_hosts(records, open_only)
    check_summary(records, open_only)


def said(record):
    """The bytes of a data record."""
    if "text" in record:
        return record["text"].encode()
    return base64.b64decode(record["base64"], validate=True)


def streams(records, connection=None):
    """All that was sent and all that was received in one conversation."""
    told = [r for r in of_type(records, "data") if r.get("connection") == connection]
    return tuple(
        b"".join(said(record) for record in told if record["direction"] == direction)
        for direction in ("sent", "received")
    )


def check_conversation(records, connection=None, whole=True):
    """connection, data*, end, which agree; where there are no data records none is missed. `whole`
    is False for a record that was cut off."""
    mine = [r for r in records if r["type"] in CONVERSATION and r.get("connection") == connection]
    kinds = [record["type"] for record in mine]
    began, ended = kinds[:1] == ["connection"], kinds[-1:] == ["end"]
    assert set(kinds[began : len(kinds) - ended]) <= {"data"}, f"{connection}: {kinds}"
    assert ended or not whole, f"{connection}: no end"
    for record in of_type(mine, "data"):
        assert len(said(record)) == record["length"], f"a wrong length: {record}"
    if not began:
        assert kinds == ["end"] and mine[0]["outcome"] == "failed", f"{connection}: no beginning"
    if ended and "data" in kinds:
        sent, received = map(len, streams(records, connection))
        told = mine[-1]["sent"], mine[-1]["received"]
        assert (sent, received) == told, f"{connection}: {sent}, {received} bytes are not {told}"


def check_conversations(records, whole=True):
    """Raises AssertionError unless each conversation agrees with itself."""
    numbers = {r.get("connection") for r in records if r["type"] in CONVERSATION}
    for connection in numbers:
        check_conversation(records, connection, whole)


def main(paths):
    for path in paths:
        try:
            records = parse(pathlib.Path(path).read_text())
            if any(record["type"] == "scan" for record in records):
                check_scan(records)
            check_conversations(records)
        except AssertionError as fault:
            print(f"{path}: {fault}", file=sys.stderr)
            return 1
        print(f"{path}: {len(records)} records")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

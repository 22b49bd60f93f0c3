#!/usr/bin/python3
"""Turns the data files about ports into C tables, in the shapes of src/net/service_table.h.

    make_service_table.py services.txt services_aliases.txt top-ports.txt OUTPUT.c

The build runs it; it needs nothing but Python, and stops at the line at fault when a file is wrong.
"""

import re
import sys

PROTOCOLS = ("tcp", "udp", "sctp")  # in the order of enum protocol
KEY = re.compile(r"(\d+)(?:-(\d+))?/([a-z,]+)")


class Service:
    """One (port, protocol): what it is called."""

    def __init__(self, name, description):
        self.name = name
        self.description = description
        self.aliases = []

    def text(self):
        return self.name, self.description, " ".join(self.aliases)


def rows(path):
    """Yields (place, content) for each line that says something."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith("#"):
                yield f"{path}:{number}", line.strip()


def fail(place, message):
    sys.exit(f"{place}: {message}")


def ports_of(place, word):
    """[(port, protocol number), …] of "80/tcp,udp" or "6000-6063/tcp"."""
    match = KEY.fullmatch(word)
    if not match:
        fail(place, f"'{word}' is not PORT/PROTOCOLS")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last <= 65535:
        fail(place, f"'{word}' is not a range of ports")
    unknown = set(match[3].split(",")) - set(PROTOCOLS)
    if unknown:
        fail(place, f"unknown protocol '{unknown.pop()}'")
    protocols = [PROTOCOLS.index(protocol) for protocol in match[3].split(",")]
    return [(port, protocol) for port in range(first, last + 1) for protocol in protocols]


def check_names(place, names):
    """Names are printed unescaped, so they are printable ASCII."""
    for name in names:
        if not name.isascii() or not name.isprintable():
            fail(place, f"the name {name!r} is not printable ASCII")


def read_services(path):
    services = {}
    for place, line in rows(path):
        key, name, description = (line.split(" ", 2) + [""])[:3]
        check_names(place, [name])
        for port in ports_of(place, key):
            if port in services:
                fail(place, "this port and protocol already has a name")
            services[port] = Service(name, description)
    return services


def read_aliases(path, services):
    """Adds the aliases to `services`, and the services that only this file has."""
    used = {}
    for place, line in rows(path):
        words, _, description = line.partition(" : ")
        key, *names = words.split()
        main = names.pop(0)[1:] if names and names[0].startswith("=") else None
        check_names(place, [main or "-", *names])
        for port in ports_of(place, key):
            if main and port not in services:
                services[port] = Service(main, description)
            elif main:
                service = services[port]
                if service.name == main:
                    fail(place, f"'{main}' already is the name of {port[0]}")
                service.aliases.append(service.name)
                service.name, service.description = main, description or service.description
            elif port not in services:
                fail(place, f"{port[0]}/{PROTOCOLS[port[1]]} is not registered")
            services[port].aliases += names
            for name in names:
                used.setdefault(name, []).append((place, port[0]))

    ports = {}
    for (port, _), service in services.items():
        ports.setdefault(service.name.lower(), set()).add(port)
    for name, uses in used.items():
        for place, port in uses:
            if ports.get(name.lower(), {port}) != {port}:
                fail(place, f"'{name}' is the registered name of another port")


def read_top(path):
    ranked = []
    for place, line in rows(path):
        port, mark, reason = line.partition("#")
        if not port.strip().isdigit() or not 1 <= int(port) <= 65535:
            fail(place, "a line begins with a port")
        if not mark or not reason.strip():
            fail(place, "a port stands with its reason")
        if int(port) in ranked:
            fail(place, f"{int(port)} is ranked twice")
        ranked.append(int(port))
    return ranked


def literal(text):
    """The bytes of `text` and a NUL as the inside of a C string literal."""
    escaped = []
    for byte in text.encode():
        if byte in b'"\\?' or not 32 <= byte < 127:
            escaped.append(f"\\{byte:03o}")
        else:
            escaped.append(chr(byte))
    return "".join(escaped) + "\\000"


def merged(services):
    """[(port, protocol bits, text), …]: protocols that say the same of a port share a row."""
    rows_of = {}
    for (port, protocol), service in services.items():
        key = port, service.text()
        rows_of[key] = rows_of.get(key, 0) | 1 << protocol
    table = [(port, bits, text) for (port, text), bits in rows_of.items()]
    return sorted(table, key=lambda row: (row[0], row[1] & -row[1]))


def array(kind, name, values):
    yield f"const {kind} {name}[] = {{"
    for start in range(0, len(values), 12):
        yield "    " + ", ".join(str(value) for value in values[start : start + 12]) + ","
    yield "};"


def generated(services, ranked):
    yield "/* Made by tools/make_service_table.py from data/; do not edit. */"
    yield '#include "net/service_table.h"'
    yield ""
    yield "/* ISO C guarantees 4,095 characters; every compiler that we build with takes more. */"
    yield '#pragma GCC diagnostic ignored "-Woverlength-strings"'
    yield "const char service_text[] ="
    table = merged(services)
    offsets = {}
    end = 0
    for _, _, text in table:
        if text not in offsets:
            offsets[text] = end
            end += sum(len(part.encode()) + 1 for part in text)
            yield '    "' + "".join(literal(part) for part in text) + '"'
    yield "    ;"
    if end >= 1 << 24:
        sys.exit("the texts no longer fit the 24 bits of SERVICE_ROW_TEXT")
    yield f"const uint32_t service_count = {len(table)};"
    yield from array("uint16_t", "service_ports", [port for port, _, _ in table])
    words = [bits << 24 | offsets[text] for _, bits, text in table]
    yield from array("uint32_t", "service_rows", words)
    yield f"const uint32_t top_port_count = {len(ranked)};"
    yield from array("uint16_t", "top_ports", ranked)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__.strip())
    services = read_services(sys.argv[1])
    read_aliases(sys.argv[2], services)
    ranked = read_top(sys.argv[3])
    with open(sys.argv[4], "w", encoding="ascii") as file:
        file.write("\n".join(generated(services, ranked)) + "\n")


if __name__ == "__main__":
    main()

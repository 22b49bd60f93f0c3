#!/usr/bin/env python3
"""Makes the corpora that are not text: checkpoint, error_queue, packet, judge, neighbour, endpoint,
proxy, proxy_header, telnet, diag and procnet in fuzz/corpus.

    python3 fuzz/make_corpus.py

The formats are written here a second time, from their description in src/scan/checkpoint.c and from
recvmsg(2), ip(7), sock_diag(7), <linux/errqueue.h> and the RFCs, and not by the code that reads them.
"""
import ipaddress
import pathlib
import socket
import struct
import sys
import zlib

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


# ---- IP packets ----

TCP, ICMP, ICMP6 = 6, 1, 58
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, NOTHING, DESTINATION = 0, 43, 44, 51, 59, 60
MORE, DO_NOT_FRAGMENT = 0x2000, 0x4000
FIRST_PORT = 60000
US4, THEM4, ROUTER4 = '192.0.2.1', '198.51.100.7', '203.0.113.9'
US6, THEM6, ROUTER6 = '2001:db8::1', '2001:db8:7::7', '2001:db8:9::9'


def packed(value):
    return ipaddress.ip_address(value).packed


def checksum(content):
    """RFC 1071, in its plainest form."""
    total = sum(struct.unpack(f'>{len(content) // 2 + len(content) % 2}H', content + bytes(len(content) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def with_checksum(content, at, before=b''):
    value = checksum(before + content[:at] + bytes(2) + content[at + 2:])
    return content[:at] + struct.pack('>H', value) + content[at + 2:]


def pseudo_header(source, destination, protocol, length):
    if len(packed(source)) == 4:
        return packed(source) + packed(destination) + struct.pack('>BBH', 0, protocol, length)
    return packed(source) + packed(destination) + struct.pack('>II', length, protocol)


def tcp(source, destination, source_port, destination_port, sequence=0, acknowledgment=0, flags=SYN | ACK,
        window=64240, options=b''):
    segment = struct.pack('>HHIIBBHHH', source_port, destination_port, sequence & 0xffffffff,
                          acknowledgment & 0xffffffff, 5 + len(options) // 4 << 4, flags, window, 0, 0) + options
    return with_checksum(segment, 16, pseudo_header(source, destination, TCP, len(segment)))


def ipv4(source, destination, protocol, payload, options=b'', fragment=DO_NOT_FRAGMENT, total=None):
    header = struct.pack('>BBHHHBBH', 0x45 + len(options) // 4, 0,
                         20 + len(options) + len(payload) if total is None else total,
                         7, fragment, 57, protocol, 0) + packed(source) + packed(destination) + options
    return with_checksum(header, 10) + payload


def ipv6(source, destination, protocol, payload, headers=(), length=None):
    """`headers` are pairs of a type and what follows the next one's type."""
    chain = b''
    following = [kind for kind, _ in headers] + [protocol]
    for (_, content), after in zip(headers, following[1:]):
        chain += bytes([after]) + content
    return struct.pack('>IHBB', 6 << 28, len(chain + payload) if length is None else length,
                       following[0], 57) + packed(source) + packed(destination) + chain + payload


def icmp(kind, code, quoted, rest=bytes(4)):
    return with_checksum(struct.pack('>BBH', kind, code, 0) + rest + quoted, 2)


def icmp6(source, destination, kind, code, quoted):
    message_ = struct.pack('>BBH', kind, code, 0) + bytes(4) + quoted
    return with_checksum(message_, 2, pseudo_header(source, destination, ICMP6, len(message_)))


def answer4(flags=SYN | ACK, tag=0, options=b'', fragment=DO_NOT_FRAGMENT, total=None, **fields):
    segment = tcp(THEM4, US4, 443, FIRST_PORT + tag, flags=flags, **fields)
    return ipv4(THEM4, US4, TCP, segment, options, fragment, total)


def answer6(flags=SYN | ACK, tag=0, headers=(), length=None, **fields):
    segment = tcp(THEM6, US6, 443, FIRST_PORT + tag, flags=flags, **fields)
    return ipv6(THEM6, US6, TCP, segment, headers, length)


def probe4(tag=0, sequence=0x01020304, total=None, fragment=DO_NOT_FRAGMENT, options=b''):
    segment = tcp(US4, THEM4, FIRST_PORT + tag, 443, sequence, flags=SYN, window=1024, options=b'\2\4\5\xb4')
    return ipv4(US4, THEM4, TCP, segment, options, fragment, total)


def probe6(tag=0, sequence=0x01020304, headers=()):
    segment = tcp(US6, THEM6, FIRST_PORT + tag, 443, sequence, flags=SYN, window=1024, options=b'\2\4\5\xa0')
    return ipv6(US6, THEM6, TCP, segment, headers)


def error4(kind, code, quoted, source=ROUTER4):
    return ipv4(source, US4, ICMP, icmp(kind, code, quoted), fragment=0)


def error6(kind, code, quoted, source=ROUTER6):
    return ipv6(source, US6, ICMP6, icmp6(source, US6, kind, code, quoted))


CHAIN = ((HOP_BY_HOP, bytes(7)), (DESTINATION, b'\1' + bytes(14)), (ROUTING, bytes(7)),
         (FRAGMENT, bytes(7)), (AUTHENTICATION, b'\4' + bytes(22)))


def packets():
    """For fuzz_packet."""
    swapped = struct.unpack('<H', struct.pack('>H', len(probe4())))[0]
    extended = probe4() + bytes(128 - len(probe4())) + b'\x20\0' + bytes(2) + bytes(8)
    return {
        'syn-ack4': answer4(acknowledgment=1, options=b''),
        'reset4': answer4(RST | ACK, window=0),
        'options4': answer4(options=b'\x94\4\0\0\1\1\1\0'),
        'trailer4': answer4(RST) + bytes(6),
        'first-fragment4': answer4(fragment=MORE),
        'later-fragment4': answer4(fragment=2),
        'cut-total4': answer4(total=39),
        'total-beyond4': answer4(total=41),
        'total-in-header4': answer4(total=19),
        'short-header4': b'\x44' + answer4()[1:],
        'syn-ack6': answer6(acknowledgment=1),
        'chain6': answer6(headers=CHAIN),
        'first-fragment6': answer6(headers=[(FRAGMENT, b'\0\0\1' + bytes(4))]),
        'later-fragment6': answer6(headers=[(FRAGMENT, b'\0\0\x09' + bytes(4))]),
        'endless6': answer6(headers=[(DESTINATION, bytes(7))] * 30),
        'nothing6': ipv6(THEM6, US6, NOTHING, b''),
        'jumbo6': answer6(headers=[(HOP_BY_HOP, b'\0\xc2\4\0\1\0\0')], length=0),
        'long-header6': answer6(headers=[(DESTINATION, b'\xff' + bytes(6))]),
        'unreachable4': error4(3, 3, probe4()[:28], THEM4),
        'exceeded4': error4(11, 0, probe4()),
        'problem4': error4(12, 0, probe4(options=b'\1\1\1\0')[:32]),
        'quench4': error4(4, 0, probe4()),
        'echo4': error4(0, 0, probe4()),
        'cut-quote4': error4(3, 13, probe4()[:27]),
        'swapped-total4': error4(3, 1, probe4(total=swapped)),
        'swapped-flags4': error4(3, 1, probe4(fragment=0x40)),
        'later-quote4': error4(3, 1, probe4(fragment=2)),
        'extension4': error4(11, 0, extended),
        'quote6-in4': error4(3, 1, probe6()),
        'unreachable6': error6(1, 4, probe6(), THEM6),
        'too-big6': error6(2, 0, probe6()),
        'exceeded6': error6(3, 0, probe6()[:48]),
        'problem6': error6(4, 1, probe6(headers=[(DESTINATION, bytes(7))])),
        'cut-quote6': error6(1, 1, probe6()[:47]),
        'ping6': error6(128, 0, probe6()),
        'empty': b'',
    }


# ---- packets that give back a cookie ----

TECHNIQUES = ('syn', 'ack', 'fin', 'null', 'xmas', 'window', 'maimon')
PLUS_ONE, VERIFIED, MENDED = 0x20, 0x40, 0x80


def cookie(source, destination, source_port, destination_port):
    """With the fuzz target's key."""
    words = packed(source) + packed(destination)
    if len(words) == 4 + 4:
        words = struct.pack('=Q', int(packed(source).hex() + packed(destination).hex(), 16))
    else:
        words = struct.pack('=4Q', *struct.unpack('>4Q', words))
    words += struct.pack('=Q', source_port << 16 | destination_port)
    return siphash((1, 2), words) & 0xffffffff


def judgement(technique, packet, how=0):
    return bytes([TECHNIQUES.index(technique) | how]) + packet


def judgements():
    """For fuzz_judge."""
    four = cookie(US4, THEM4, FIRST_PORT + 3, 443)
    six = cookie(US6, THEM6, FIRST_PORT + 3, 443)
    out = {
        'syn-open4': judgement('syn', answer4(tag=3, acknowledgment=four + 1)),
        'syn-open6': judgement('syn', answer6(tag=3, acknowledgment=six + 1)),
        'syn-closed4': judgement('syn', answer4(RST | ACK, tag=3, acknowledgment=four + 1)),
        'syn-closed6': judgement('syn', answer6(RST | ACK, tag=3, acknowledgment=six + 1)),
        'syn-wrong4': judgement('syn', answer4(tag=3, acknowledgment=four)),
        'syn-sum-wrong4': judgement('syn', answer4(tag=3, acknowledgment=four + 1)[:-1] + b'\1'),
        'syn-mended4': judgement('syn', answer4(), VERIFIED | MENDED | PLUS_ONE),
        'syn-mended6': judgement('syn', answer6(), VERIFIED | MENDED | PLUS_ONE),
        'unreachable4': judgement('syn', error4(3, 3, probe4(3, four)[:28], THEM4)),
        'unreachable6': judgement('syn', error6(1, 4, probe6(3, six), THEM6)),
        'exceeded4': judgement('fin', error4(11, 0, probe4(3, four))),
        'exceeded6': judgement('null', error6(3, 0, probe6(3, six, CHAIN[:2]))),
        'problem6': judgement('ack', error6(4, 1, probe6(3, six))),
        'mended-error4': judgement('ack', error4(3, 10, probe4()), VERIFIED | MENDED),
        'mended-error6': judgement('ack', error6(1, 1, probe6()), VERIFIED | MENDED),
    }
    for technique in TECHNIQUES[1:]:
        fields = {'sequence': four, 'flags': RST} if technique in ('ack', 'window', 'maimon') else \
            {'acknowledgment': four + (technique != 'null'), 'flags': RST | ACK}
        out[technique + '-reset4'] = judgement(technique, answer4(tag=3, **fields))
        out[technique + '-mended6'] = judgement(technique, answer6(RST | ACK), VERIFIED | MENDED)
    return out


# ---- ARP and neighbour discovery ----

FOR_ARP, FOR_IPV6, FOR_IPV4, ELSEWHERE = 0, 1, 2, 0x80
ASKED4, ASKED6, ASKED_LOCAL = '198.18.7.7', 'fd00::cc65:4321', 'fe80::1'
HARDWARE = bytes.fromhex('0200005e1007')
TARGET_OPTION = b'\2\1' + HARDWARE


def arp(operation=2, hardware=HARDWARE, sender=ASKED4, kind=1):
    return struct.pack('>HHBBH', kind, 0x0800, 6, 4, operation) + hardware + packed(sender) + \
        bytes.fromhex('020000000001') + packed(US4)


def advertisement(target=ASKED6, options=TARGET_OPTION, hops=255):
    content = struct.pack('>BBHI', 136, 0, 0, 0x60000000) + packed(target) + options
    content = with_checksum(content, 2, pseudo_header(target, US6, ICMP6, len(content)))
    packet = bytearray(ipv6(target, US6, ICMP6, content))
    packet[7] = hops
    return bytes(packet)


def neighbours():
    """For fuzz_neighbour."""
    out = {
        'reply': (FOR_ARP, arp()),
        'reply-padded': (FOR_ARP, arp() + bytes(18)),
        'reply-cut': (FOR_ARP, arp()[:17]),
        'reply-elsewhere': (FOR_ARP | ELSEWHERE, arp()),
        'reply-of-a-group': (FOR_ARP, arp(hardware=b'\xff' * 6)),
        'request': (FOR_ARP, arp(1)),
        'other-hardware': (FOR_ARP, arp(kind=6)),
        'stranger': (FOR_ARP, arp(sender=THEM4)),
        'advertisement': (FOR_IPV6, advertisement()),
        'advertisement-local': (FOR_IPV6, advertisement(ASKED_LOCAL)),
        'advertisement-routed': (FOR_IPV6, advertisement(hops=254)),
        'advertisement-bare': (FOR_IPV6, advertisement(options=b'')),
        'advertisement-nonce': (FOR_IPV6, advertisement(options=b'\x0e\2' + bytes(14) + TARGET_OPTION)),
        'advertisement-no-length': (FOR_IPV6, advertisement(options=b'\2\0' + HARDWARE)),
        'advertisement-too-long': (FOR_IPV6, advertisement(options=b'\2\xff' + HARDWARE)),
        'advertisement-twice': (FOR_IPV6, advertisement(options=2 * TARGET_OPTION)),
        'segment': (FOR_IPV6, answer6()),
        'segment4': (FOR_IPV4, answer4()),
    }
    return {name: bytes([how]) + packet for name, (how, packet) in out.items()}


# ---- words for endpoints, and proxies ----

LISTENS, TWO_WORDS = 1, 2
OF_TCP, OF_UDP, OF_TLS, OF_UNIX = 0, 16, 32, 48


def endpoints():
    """For fuzz_endpoint: the first byte says how the rest is read."""
    out = {
        'port': (LISTENS, '8080'),
        'service': (LISTENS, 'tls:https'),
        'every-address': (LISTENS, 'udp4:*:0'),
        'no-host': (LISTENS, ':8080'),
        'name': (0, 'tcp:www.example.com.:443'),
        'address4': (0, '127.0.0.1:80'),
        'address6': (0, 'tcp6:[2001:db8::1]:80'),
        'zone': (0, 'udp:[fe80::1%999999]:domain'),
        'mapped': (0, 'tls4:[::ffff:192.0.2.1]:443'),
        'path': (0, 'unix:/run/x'),
        'abstract': (LISTENS, 'unix:@name'),
        'bad-kind': (0, 'tcpp:db:5432'),
        'bad-kind-of-path': (0, 'unx:/run/x'),
        'bad-service': (0, 'db:postgras'),
        'bad-brackets': (0, '[::1'),
        'url': (0, 'http://localhost/'),
        'words': (TWO_WORDS | OF_TCP, 'localhost\n80'),
        'words-address6': (TWO_WORDS | OF_UDP, '[::1]\ntftp'),
        'words-listen': (TWO_WORDS | LISTENS | OF_TLS, '\n0'),
        'words-path': (TWO_WORDS | OF_UNIX, '/run/x'),
        'words-path-with-port': (TWO_WORDS | OF_UNIX, '/run/x\n80'),
    }
    return {name: bytes([how]) + word.encode() for name, (how, word) in out.items()}


HTTP, SOCKS4, SOCKS5, WITH_USER, PROXY_WORD = 1, 2, 3, 4, 0x80


def proxies():
    """For fuzz_proxy: the first byte chooses the request, and the rest is what the proxy answers; or
    the rest is a word for a proxy."""
    bound = b'\5\0\0\1\x7f\0\0\1\x04\x38'
    out = {
        'socks4': (SOCKS4, b'\0\x5a' + bytes(6)),
        'socks4-refused': (SOCKS4 | WITH_USER, b'\0\x5b' + bytes(6)),
        'socks5': (SOCKS5, b'\5\0' + bound + b'target'),
        'socks5-bound6': (SOCKS5, b'\5\0\5\0\0\4' + bytes(18)),
        'socks5-bound-name': (SOCKS5, b'\5\0\5\0\0\3\4name\0\1'),
        'socks5-password': (SOCKS5 | WITH_USER, b'\5\2\1\0' + bound),
        'socks5-bad-password': (SOCKS5 | WITH_USER, b'\5\2\1\1'),
        'socks5-bad-method': (SOCKS5, b'\5\xff'),
        'socks5-refused': (SOCKS5, b'\5\0\5\5\0\1' + bytes(6)),
        'socks5-bad-type': (SOCKS5, b'\5\0\5\0\0\2' + bytes(6)),
        'http': (HTTP, b'HTTP/1.1 200 Connection established\r\nServer: x\r\n\r\ntarget'),
        'http-bare': (HTTP, b'HTTP/1.0 200\n\n'),
        'http-interim': (HTTP, b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'),
        'http-password': (HTTP | WITH_USER, b'HTTP/1.1 407 Proxy Authentication Required\r\n'),
        'http-refused': (HTTP, b'HTTP/1.1 503 Service \x1bUnavailable\r\n\r\n'),
        'http-long': (HTTP, b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 20000),
        'http-not': (HTTP, b'SSH-2.0-OpenSSH\r\n'),
        'word': (PROXY_WORD, b'http://me:secret@proxy:8080/'),
        'word-escaped': (PROXY_WORD, b'socks5h://m%65:%25%3a@[::1]:9'),
        'word-bare': (PROXY_WORD | SOCKS5, b'127.0.0.1:1080'),
        'word-bad-scheme': (PROXY_WORD, b'socks6://x'),
        'word-bad-escape': (PROXY_WORD, b'http://%4@x'),
    }
    return {name: bytes([how]) + rest for name, (how, rest) in out.items()}


# ---- the PROXY protocol ----

def crc32c(message):
    crc = 0xffffffff
    for byte in message:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def version2(command, family, content):
    return b'\r\n\r\n\0\r\nQUIT\n' + struct.pack('>BBH', 0x20 | command, family, len(content)) + \
        content


def summed(command, family, before, behind=b''):
    """With a checksum between additions."""
    def whole(crc):
        return version2(command, family, before + struct.pack('>BHI', 3, 4, crc) + behind)
    return whole(crc32c(whole(0)))


def proxy_headers():
    both4 = packed('192.0.2.1') + packed('198.51.100.2') + struct.pack('>HH', 56324, 443)
    both6 = packed('2001:db8::1') + packed('2001:db8::2') + struct.pack('>HH', 56324, 443)
    paths = b'/run/x'.ljust(108, b'\0') + b'\0abstract'.ljust(108, b'\0')
    return {
        'v1-tcp4': b'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n',
        'v1-tcp6': b'PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n',
        'v1-unknown': b'PROXY UNKNOWN\r\n',
        'v1-unknown-more': b'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n',
        'v1-cut': b'PROXY TCP4 192.0.2.1 198.51',
        'v1-long': b'PROXY UNKNOWN '.ljust(108, b'x') + b'\r\n',
        'v1-bad-port': b'PROXY TCP4 192.0.2.1 198.51.100.2 056 443\r\n',
        'v1-zone': b'PROXY TCP6 fe80::1%lo ::1 1 2\r\n',
        'v2-local': version2(0, 0, b''),
        'v2-local-more': version2(0, 0x11, both4[:5]),
        'v2-tcp4': version2(1, 0x11, both4) + b'behind',
        'v2-udp4': version2(1, 0x12, both4),
        'v2-tcp6': version2(1, 0x21, both6),
        'v2-unix': version2(1, 0x31, paths),
        'v2-unix-at': version2(1, 0x31, b'@'.ljust(108, b'\0') + bytes(108)),
        'v2-unspecified': version2(1, 0, b'anything'),
        'v2-cut': version2(1, 0x21, both6)[:-1],
        'v2-short': version2(1, 0x21, both4),
        'v2-bad-family': version2(1, 0x44, both4),
        'v2-bad-command': version2(2, 0x11, both4),
        'v2-additions': version2(1, 0x11, both4 + b'\x02\0\x0bexample.com\x04\0\0'),
        'v2-addition-beyond': version2(1, 0x11, both4 + b'\x04\0\x09x'),
        'v2-checksum': summed(1, 0x11, both4, b'\x01\0\x02h2'),
        'v2-checksum6': summed(1, 0x21, both6),
        'v2-checksum-wrong': version2(1, 0x11, both4 + b'\x03\0\x04abcd'),
        'http': b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    }


# ---- telnet: how the session begins, the length of segments less one, what the server says ----

IAC, WILL, WONT, DO, DONT, SB, SE = (bytes([code]) for code in (255, 251, 252, 253, 254, 250, 240))
T_BINARY, T_ECHO, T_SGA, T_TYPE, T_NAWS, T_ENVIRON, T_COMPRESS = (
    bytes([option]) for option in (0, 1, 3, 24, 31, 39, 86))


def telnet_sessions():
    everything = b''.join(IAC + command + option for command in (WILL, DO, DO, WONT, DONT, WONT)
                          for option in (T_BINARY, T_ECHO, T_SGA, T_TYPE, T_NAWS, T_ENVIRON, T_COMPRESS))
    questions = IAC + DO + T_TYPE + IAC + SB + T_TYPE + b'\1' + IAC + SE
    environ = IAC + DO + T_ENVIRON + IAC + SB + T_ENVIRON + b'\1'
    login = IAC + DO + T_TYPE + IAC + WILL + T_SGA + IAC + WILL + T_ECHO + b'login: '
    streams = {
        'text': b'one\r\ntwo\r\0three\rfour\n' + IAC + IAC + b'\r',
        'login': login,
        'everything': everything,
        'type': questions + IAC + SB + T_TYPE + b'\0xterm' + IAC + SE,
        'environ': environ + b'\0USER\3OTHER\0' + IAC + SE + environ + IAC + SE,
        'environ-escapes': environ + b'\0FO\2\2O\3B\2\1AR\2' + IAC + SE,
        'mssp': IAC + SB + bytes([70]) + b'\1FOO\2BAR\1BAZ' + IAC + SE,
        'zmp': IAC + SB + bytes([93]) + b'zmp.ping\0' + IAC + SE,
        'binary': IAC + DO + T_BINARY + IAC + WILL + T_BINARY + b'\r\n\r\0' + IAC + WONT + T_BINARY + b'\r\n',
        'compress': b'x' + IAC + WILL + T_COMPRESS + IAC + SB + T_COMPRESS + IAC + SE + zlib.compress(b'y' * 4096),
        'compress-torn': IAC + SB + T_COMPRESS + b'z' + IAC + IAC + WILL + b'x\x9c',
        'torn': IAC + SB + T_TYPE + b'\1' + IAC + DO + T_ECHO + IAC + SB + T_NAWS,
        'commands': b''.join(IAC + bytes([code]) for code in range(236, 250)),
    }
    return {f'{name}-{how:x}-{segment}': bytes([how, segment]) + stream
            for name, stream in streams.items() for how, segment in ((7, 0), (31, 2))}


# ---- netlink's messages about sockets, and /proc/net ----

DIAG_DONE, DIAG_ERROR, DIAG_SOCKET, DIAG_INTERRUPTED = 3, 2, 20, 0x10
DIAG_KINDS = {'tcp': 0, 'udp': 2, 'sctp': 4, 'raw': 5, 'unix': 6}
DIAG_INFO, DIAG_CONGESTION, DIAG_SHUTDOWN, DIAG_V6ONLY, DIAG_PEERS = 2, 4, 8, 11, 13
DIAG_MARK, DIAG_CGROUP = 15, 21
UNIX_NAME, UNIX_PEER, UNIX_QUEUES, UNIX_SHUTDOWN, UNIX_UID = 0, 2, 4, 6, 7


def diag_pad(value):
    return value + bytes(-len(value) % 4)


def diag_message(kind, body, flags=2, length=None):
    return diag_pad(struct.pack('=IHHII', 16 + len(body) if length is None else length, kind, flags,
                                1, 0) + body)


def diag_attribute(kind, value, length=None):
    return diag_pad(struct.pack('=HH', 4 + len(value) if length is None else length, kind) + value)


def diag_inet(state, local, local_port, remote, remote_port, *attributes, timer=0, flags=2):
    local, remote = ipaddress.ip_address(local), ipaddress.ip_address(remote)
    family = socket.AF_INET if local.version == 4 else socket.AF_INET6
    body = struct.pack('=BBBB', family, state, timer, 0) + \
        struct.pack('>HH', local_port, remote_port) + local.packed.ljust(16, b'\0') + \
        remote.packed.ljust(16, b'\0') + \
        struct.pack('=IIIIIIII', 0, local_port, remote_port, 7200, 1, 2, 1000, 4711)
    return diag_message(DIAG_SOCKET, body + b''.join(attributes), flags)


def diag_unix(kind, state, *attributes):
    body = struct.pack('=BBBBIII', socket.AF_UNIX, kind, state, 0, 4711, 1, 0)
    return diag_message(DIAG_SOCKET, body + b''.join(attributes))


def diag_done(code=0):
    return diag_message(DIAG_DONE, struct.pack('=i', code))


def diag_record(kind, value=b'', length=None):
    return struct.pack('=II', kind, len(value) if length is None else length) + value


def diag_question(space, kind, family):
    return diag_record(2, struct.pack('=IIIII', space, kind, family, 0xfffe, 0))


def diag_tape(*parts):
    return b'\xff' + b'porthole sockets 1\n' + struct.pack('=IQ', 0x01020304, 0) + b''.join(parts) + \
        diag_record(0)


def diag_interfaces(space, interfaces, *addresses):
    value = struct.pack('=II', space, len(interfaces))
    for name, index, flags in interfaces:
        value += struct.pack('=16sII', name, index, flags)
    for index, text in addresses:
        address = ipaddress.ip_address(text)
        value += struct.pack('=II', index, 4 if address.version == 4 else 6) + \
            int(address).to_bytes(16, sys.byteorder)
    return diag_record(7, value)


def diag_process(pid, *texts):
    value = struct.pack('=QQIIII', 1795227243512000000, 4026531840, pid, 33, 0, 0)
    return diag_record(8, value + b''.join(text + b'\0' for text in texts))


def diag_holders(*holders):
    return diag_record(9, b''.join(struct.pack('=III', *holder) for holder in holders))


def diag_sight(unseen=0, processes=1):
    return diag_record(10, struct.pack('=QQII', unseen, 0, 0, processes))


def diag_owner_tapes(*listing):
    nginx = diag_process(7, b'nginx', b'www-data', b'nginx.service', b'', b'')
    docker = diag_process(8, b'', b'', b'', b'docker', b'0a' * 32)
    interfaces = [(b'lo', 1, 3), (b'eth0', 2, 1)], (1, '127.0.0.1'), (2, '192.0.2.1'), (2, 'fe80::1')
    return {
        'tape-owners': diag_tape(diag_interfaces(0, *interfaces), *listing, nginx, docker,
                                 diag_holders((4711, 7, 3), (4711, 7, 4), (4712, 8, 3)), diag_sight()),
        'tape-owners-mixed': diag_tape(
            *listing, docker, nginx, docker, diag_holders((9, 9, 9), (4712, 8, 3), (4711, 7, 3)),
            diag_holders((4711, 7, 3)), diag_sight(3)),
        'tape-owners-unsound': diag_tape(
            diag_interfaces(9, *interfaces), diag_record(7, struct.pack('=II', 0, 0xffffffff)),
            *listing, diag_process(0, *[b''] * 5), diag_process(9, b'n', b'u', b'un it', b'', b''),
            diag_process(10, b'n' * 64, *[b''] * 4), diag_process(11, b'a', b'b'),
            diag_holders((4711, 0, 3), (4711, 7, 0xffffffff)), diag_record(9, b'odd'), diag_sight()),
        'tape-interfaces-unsound': diag_tape(
            diag_interfaces(0, [(b'sixteen-letters!', 1, 0xffffffff)], (1, '::')),
            diag_record(7, struct.pack('=II', 0, 0) + struct.pack('=II16s', 1, 5, b'\1')), *listing),
    }


def diag_inputs():
    listener = diag_inet(10, '192.0.2.1', 22, '0.0.0.0', 0,
                         diag_attribute(DIAG_SHUTDOWN, b'\0'),
                         diag_attribute(DIAG_CGROUP, struct.pack('=Q', 1)))
    figures = diag_inet(1, '2001:db8::1', 443, '2001:db8::2', 50000,
                        diag_attribute(DIAG_INFO, bytes(range(232))),
                        diag_attribute(DIAG_CONGESTION, b'cubic\0'),
                        diag_attribute(DIAG_MARK, struct.pack('=I', 7)), timer=2)
    both = diag_inet(7, '::', 53, '::', 0, diag_attribute(DIAG_V6ONLY, b'\1'))
    mapped = diag_inet(1, '::ffff:192.0.2.1', 80, '::ffff:192.0.2.2', 4000)
    association = diag_inet(5, '192.0.2.1', 9, '192.0.2.2', 10,
                            diag_attribute(DIAG_PEERS, bytes(128)))
    path = diag_unix(socket.SOCK_STREAM, 10, diag_attribute(UNIX_NAME, b'/run/x\0'),
                     diag_attribute(UNIX_QUEUES, struct.pack('=II', 0, 4096)),
                     diag_attribute(UNIX_SHUTDOWN, b'\0'),
                     diag_attribute(UNIX_UID, struct.pack('=I', 1000)))
    abstract = diag_unix(socket.SOCK_SEQPACKET, 1, diag_attribute(UNIX_NAME, b'\0a\0b'),
                         diag_attribute(UNIX_PEER, struct.pack('=I', 4712)))
    line = b'   0: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 5 2 0\n'
    space = diag_record(1, struct.pack('=QI', 4026531840, 1) + b'blue')
    return {
        **{'kind-' + name: bytes([kind, 0, 0]) + content + diag_done() for name, kind, content in (
            ('tcp', 0, listener + figures + mapped), ('udp', 2, both), ('sctp', 4, association),
            ('unix', 6, path + abstract))},
        'port': bytes([0, 0, 22]) + listener + figures,
        'states': bytes([0, 2, 0]) + listener + figures,
        'refused': bytes([5, 0, 0]) + diag_done(-2),
        'error': bytes([5, 0, 0]) + diag_message(DIAG_ERROR, struct.pack('=i', -1), 0),
        'attribute-too-long': bytes([0, 0, 0]) +
        diag_inet(1, '192.0.2.1', 1, '192.0.2.2', 2, diag_attribute(DIAG_INFO, b'abcd', 400)),
        'message-too-long': bytes([0, 0, 0]) + diag_message(DIAG_SOCKET, bytes(72), length=4000),
        'message-too-short': bytes([0, 0, 0]) + diag_message(DIAG_SOCKET, bytes(72), length=15),
        'tape': diag_tape(space, diag_question(0, 0, 4), diag_record(3, listener + diag_done()),
                          diag_question(0, 6, 0), diag_record(3, path + diag_done()),
                          diag_question(0, 5, 4), diag_record(5, struct.pack('=I', 1)),
                          diag_question(0, 2, 4),
                          diag_record(6, b'udp\0  sl  local_address\n' + line)),
        'tape-again': diag_tape(diag_question(0, 0, 4), diag_record(3, listener), diag_record(4),
                                diag_record(3, diag_inet(1, '::', 1, '::', 2, flags=2 |
                                                         DIAG_INTERRUPTED))),
        'tape-too-long': diag_tape(diag_record(3, b'abc', 0xffffffff)),
        **diag_owner_tapes(space, diag_question(0, 0, 4), diag_record(3, listener + diag_done())),
    }


def procnet_inputs():
    heading = b'  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid' \
              b'  timeout inode\n'
    rest = b' 01 00000000:00000000 02:000002CF 00000003  1000        0 10125729 4 0000 21 4 30\n'
    unix = b'Num       RefCount Protocol Flags    Type St Inode Path\n'
    return {
        'tcp': b'\0' + heading + b'   0: 0100007F:0016 0100007F:C350' + rest,
        'tcp6': b'\1' + heading + b'   0: 0000000000000000FFFF00000100007F:0016 '
        b'0000000000000000FFFF00000100007F:C350' + rest,
        'cut': b'\2' + heading + b'   1: 00000000:0016 00000000:0000 0A\n',
        'raw6': b'\7' + heading + b'   58: ' + b'0' * 32 + b':003A ' + b'0' * 32 + b':0000' + rest,
        'unix': b'\x08' + unix + b'0000000000000000: 00000002 00000000 00010000 0001 01 34425 /a b\n'
        b'0000000000000000: 00000003 00000000 00000000 0005 03 34426\n',
        'unix-line-feed': b'\x08' + unix + b'0: 2 0 10000 1 1 3 /a\nb\n\n',
        'unix-without-inode': b'\x08' + unix.replace(b'Inode ', b'') + b'0: 2 0 10000 1 1 /a\n',
    }


def net_counter_inputs():
    igmp = b'Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n'
    return {
        'counters': b'\0Tcp: RtoMin MaxConn InSegs\nTcp: 200 -1 18446744073709551615\n',
        'other-section': b'\0Tcp: RtoMin\nUdp: 200\n',
        'value-missing': b'\0Ip: A B\nIp: 1\n',
        'name-with-escape': b'\0Ip: \x1b[31m\nIp: 1\n',
        'ipv6': b'\1Ip6InReceives \t17\nUdpLite6InErrors 0\n',
        'groups': b'\2' + igmp + b'1\tlo        :     1      V3\n\t\t\t\t010000E0     1 '
        b'0:00000000\t\t0\n',
        'group-of-none': b'\2' + igmp + b'\t\t\t\t010000E0     1 0:00000000\t\t0\n',
        'group-of-zero': b'\x031 \0lo ff020000000000000000000000000001 1 0000000C 0\n',
        'groups6': b'\3' + b'1    lo              ff020000000000000000000000000001     1 0000000C 0\n',
    }


def main():
    corpora = {'checkpoint': checkpoints(), 'error_queue': messages(), 'packet': packets(),
               'judge': judgements(), 'neighbour': neighbours(),
               'endpoint': endpoints(), 'proxy': proxies(), 'proxy_header': proxy_headers(),
               'telnet': telnet_sessions(), 'diag': diag_inputs(), 'procnet': procnet_inputs(),
               'net_counters': net_counter_inputs()}
    for folder, files in corpora.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (CORPUS / folder / name).write_bytes(content)


if __name__ == '__main__':
    main()

"""IKE_SA_INIT requests that come in IP fragments of every kind, made by hand: which of them a gateway answers.

As a program, in a namespace: pieces.py SOURCE TARGET ANSWERED SILENT prints what was answered. ANSWERED and SILENT are ways, with commas.
"""
import ipaddress
import json
import os
import pathlib
import socket
import struct
import sys
import time

# RFC 791 3.2, RFC 8200 4.5, RFC 3128 (tiny), RFC 5722 (overlap), RFC 6946 (atomic), RFC 7112 (headless)
ANSWERED = ("whole", "two", "reverse", "twice", "tiny", "many")
SILENT = ("overlap", "gap", "endless")
ANSWERED6 = (*ANSWERED, "atomic", "behind")
SILENT6 = (*SILENT, "headless", "odd")
PORT = 500
UDP, FRAGMENT, OPTIONS = 17, 44, 60
PADDED = b"\x11\x00\x01\x04\0\0\0\0"  # a Destination Options header of nothing, before UDP


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ike_sa_init(spi):
    """AES-256-GCM, PRF-HMAC-SHA2-384, MODP-2048; any number below the prime is a public value (RFC 7296 1.2, 3.3)."""
    transforms = (struct.pack(">BBHBBHHH", 3, 0, 12, 1, 0, 20, 0x800e, 256) + struct.pack(">BBHBBH", 3, 0, 8, 2, 0, 6) +
                  struct.pack(">BBHBBH", 0, 0, 8, 4, 0, 14))
    proposal = struct.pack(">BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms
    payloads = struct.pack(">BBH", 34, 0, 4 + len(proposal)) + proposal
    payloads += struct.pack(">BBHHH", 40, 0, 8 + 256, 14, 0) + b"\x01" + os.urandom(255)
    payloads += struct.pack(">BBH", 0, 0, 4 + 32) + os.urandom(32)
    return spi + struct.pack(">8sBBBBII", bytes(8), 33, 0x20, 34, 8, 0, 28 + len(payloads)) + payloads


def datagram(source, target, port, message):
    """UDP, with its checksum (RFC 768, RFC 8200 8.1)."""
    head = struct.pack(">HHHH", port, PORT, 8 + len(message), 0)
    pseudo = source.packed + target.packed + struct.pack(">IBBH" if source.version == 6 else ">BBH",
                                                         *((8 + len(message), 0, 0, UDP) if source.version == 6 else (0, UDP, 8 + len(message))))
    return head[:6] + struct.pack(">H", checksum(pseudo + head + message) or 0xffff) + message


def parts(way, text):
    """(offset, bytes, more) of each fragment."""
    half, last = 200, len(text)

    def cut(*ends):
        return [(begin, text[begin:end], end < last) for begin, end in zip((0, *ends), (*ends, last))]
    return {"two": cut(half), "reverse": cut(half)[::-1], "twice": [one for one in cut(half) for _ in range(2)], "tiny": cut(8),
            "many": cut(*range(16, last, 16)), "atomic": cut(), "headless": cut(8), "behind": cut(16), "odd": [(0, text[:204], True), *cut(200)[1:]],
            "overlap": [cut(half)[0], (half - 8, text[half - 8:], False)],
            "gap": [cut(8, half)[0], cut(8, half)[2]], "endless": [cut(half)[0], (half, text[half:last - last % 8], True)]}[way]


def packets(way, source, target, text, number):
    if source.version == 4:
        def header(length, bits):
            head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, number, bits, 64, UDP, 0, source.packed, target.packed)
            return head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        if way == "whole":
            return [header(len(text), 0) + text]
        return [header(len(part), at // 8 | (0x2000 if more else 0)) + part for at, part, more in parts(way, text)]

    def header6(length, following):
        return struct.pack(">IHBB16s16s", 6 << 28, length, following, 64, source.packed, target.packed)
    if way == "whole":
        return [header6(len(text), UDP) + text]
    following = UDP
    if way in ("headless", "behind"):
        text, following = PADDED + text, OPTIONS
    return [header6(8 + len(part), FRAGMENT) + struct.pack(">BBHI", following, 0, at | more, number) + part
            for at, part, more in parts(way, text)]


def receive(sock, waiting, until, enough):
    """The ways of the answers that come: responses to IKE_SA_INIT with both SPIs."""
    answered = set()
    while not enough <= answered and (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            message = sock.recv(4096)
        except TimeoutError:
            break
        if message[:8] in waiting and message[18] == 34 and message[19] & 0x20 and message[8:16] != bytes(8):
            answered.add(waiting[message[:8]])
    return answered


def main(source, target, answered, silent):
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    family = socket.AF_INET6 if source.version == 6 else socket.AF_INET
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((str(source), 0))
    waiting = {}
    number = int.from_bytes(os.urandom(2), "big")
    for way in (*silent, *answered):
        spi = os.urandom(8)
        waiting[spi] = way
        number = (number + 1) % 65536
        for packet in packets(way, source, target, datagram(source, target, sock.getsockname()[1], ike_sa_init(spi)), number):
            raw.sendto(packet, (str(target), 0))
    found = receive(sock, waiting, time.monotonic() + 10, set(answered))
    found |= receive(sock, waiting, time.monotonic() + 0.5, set(waiting.values()))
    print(json.dumps(sorted(found)))


def ask(lab, node, source, target, answered, silent=()):
    """Which of these ways the gateway answers."""
    from lab import PYTHON
    out = lab.run(node, PYTHON, pathlib.Path(__file__).resolve(), source, target, ",".join(answered), ",".join(silent)).stdout
    return set(json.loads(out))


if __name__ == "__main__":
    main(*sys.argv[1:3], *(tuple(filter(None, words.split(","))) for words in sys.argv[3:5]))

"""responder.py ADDRESS=FAULT ...: an IKEv2 gateway that misbehaves, for tests of the side that starts.

At each address it is another gateway, whose one fault is named. It knows just what a handshake with a pre-shared key needs
(RFC 7296 1.2, 2.14, 2.15; RFC 5282 for AES-GCM), carries no traffic, and prints a line for each message that it takes.
"""
import hashlib
import hmac
import ipaddress
import os
import select
import socket
import struct
import sys

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PSK = b"the key of the scripted gateway"
SA_INIT, AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
SA, KE, IDI, IDR, AUTH_PAYLOAD, NONCE, NOTIFY, DELETE, TSI, TSR, SK = 33, 34, 35, 36, 39, 40, 41, 42, 44, 45, 46
NO_PROPOSAL_CHOSEN, INVALID_SYNTAX, INVALID_KE_PAYLOAD, NO_ADDITIONAL_SAS, TS_UNACCEPTABLE = 14, 7, 17, 35, 38
ECP_384, GCM_16, PRF_SHA2_256 = 20, 20, 5
PAD = b"Key Pad for IKEv2"

# What stands in the answer to IKE_SA_INIT: a notify and nothing else.
INIT_NOTIFY = {"no-proposal": NO_PROPOSAL_CHOSEN, "refuse": INVALID_SYNTAX}
# Beside AUTH, in place of the Child SA.
CHILD_NOTIFY = {"child-selectors": TS_UNACCEPTABLE, "child-proposal": NO_PROPOSAL_CHOSEN}


def prf(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def prf_plus(key, seed, length):
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = prf(key, block + seed + bytes([n]))
        out, n = out + block, n + 1
    return out[:length]


def payloads_of(kind, data):
    """(type, body) of each payload of a chain."""
    found = []
    while kind:
        following, _, length = struct.unpack_from(">BBH", data)
        found.append((kind, data[4:length]))
        kind, data = following, data[length:]
    return found


def chain(payloads):
    """(type of the first, bytes)"""
    kinds = [kind for kind, _ in payloads] + [0]
    return kinds[0], b"".join(struct.pack(">BBH", kinds[n + 1], 0, 4 + len(body)) + body
                              for n, (_, body) in enumerate(payloads))


def notify(kind):
    return NOTIFY, struct.pack(">BBH", 0, 0, kind)


def proposal(protocol, spi, transforms):
    """The one proposal of an answer; transforms: (type, id, key bits)."""
    body = b""
    for n, (kind, number, bits) in enumerate(transforms):
        attribute = struct.pack(">HH", 0x800e, bits) if bits else b""
        body += struct.pack(">BBHBBH", 0 if n == len(transforms) - 1 else 3, 0, 8 + len(attribute), kind, 0, number) + attribute
    return SA, struct.pack(">BBHBBBB", 0, 0, 8 + len(spi) + len(body), 1, protocol, len(spi), len(transforms)) + spi + body


class Session:
    """One IKE SA as the responder."""

    def __init__(self, gateway, fault, spi_i):
        self.gateway, self.fault, self.spi_i = gateway, fault, spi_i
        self.spi_r, self.nonce, self.up, self.iv, self.answers = os.urandom(8), os.urandom(32), False, 0, {}

    def header(self, first, exchange, flags, number, length):
        return self.spi_i + self.spi_r + struct.pack(">BBBBII", first, 0x20, exchange, flags, number, 28 + length)

    def plain(self, exchange, number, payloads):
        first, body = chain(payloads)
        return self.header(first, exchange, 0x20, number, len(body)) + body

    def sealed(self, exchange, flags, number, payloads):
        first, body = chain(payloads)
        body += b"\0"  # no padding
        length = 4 + 8 + len(body) + 16
        head = self.header(SK, exchange, flags, number, length) + struct.pack(">BBH", first, 0, length)
        self.iv += 1
        iv = struct.pack(">Q", self.iv)
        return head + iv + AESGCM(self.er[:32]).encrypt(self.er[32:] + iv, body, head)

    def opened(self, message):
        first, _, _ = struct.unpack_from(">BBH", message, 28)
        plain = AESGCM(self.ei[:32]).decrypt(self.ei[32:] + message[32:40], message[40:], message[:32])
        return payloads_of(first, plain[:len(plain) - 1 - plain[-1]])

    # ---- the exchanges ----

    def init(self, message):
        found = dict(payloads_of(message[16], message[28:]))
        if self.fault in INIT_NOTIFY:
            return self.plain(SA_INIT, 0, [notify(INIT_NOTIFY[self.fault])])
        if struct.unpack_from(">H", found[KE])[0] != ECP_384:
            return self.plain(SA_INIT, 0, [(NOTIFY, struct.pack(">BBHH", 0, 0, INVALID_KE_PAYLOAD, ECP_384))])
        key = ec.generate_private_key(ec.SECP384R1())
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), b"\x04" + found[KE][4:])
        shared = key.exchange(ec.ECDH(), theirs)
        own = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        if self.fault == "bad-key":
            own = b"\x01" * len(own)  # no point of the curve
        answer = self.plain(SA_INIT, 0, [
            proposal(1, b"", [(1, GCM_16, 256), (2, PRF_SHA2_256, 0), (4, ECP_384, 0)]),
            (KE, struct.pack(">HH", ECP_384, 0) + own), (NONCE, self.nonce)])
        nonces = found[NONCE] + self.nonce
        keys = prf_plus(prf(nonces, shared), nonces + self.spi_i + self.spi_r, 32 + 36 + 36 + 32 + 32)
        self.ei, self.er, self.pr = keys[32:68], keys[68:104], keys[136:168]
        self.signed = answer + found[NONCE]
        return answer

    def auth(self, message):
        found = dict(self.opened(message))
        if self.fault == "silent":
            return None
        if self.fault == "refuse-auth":
            return self.sealed(AUTH, 0x20, 1, [notify(24)])
        name = b"another.example.net" if self.fault == "other-name" else None
        idr = struct.pack(">B3x", 2) + name if name else struct.pack(">B3x", 1) + ipaddress.ip_address(self.gateway).packed
        psk = b"not the key" if self.fault == "other-key" else PSK
        proof = prf(prf(psk, PAD), self.signed + prf(self.pr, idr))
        method = 1 if self.fault == "signature" else 2
        payloads = [(IDR, idr)] if self.fault != "no-name" else []
        payloads.append((AUTH_PAYLOAD, struct.pack(">B3x", method) + proof))
        if self.fault in CHILD_NOTIFY:
            payloads.append(notify(CHILD_NOTIFY[self.fault]))
        else:
            payloads += [proposal(3, os.urandom(4), [(1, GCM_16, 256), (5, 0, 0)]), (TSI, found[TSI]), (TSR, found[TSR])]
        self.up = True
        return self.sealed(AUTH, 0x20, 1, payloads)

    def established(self, exchange, number, message):
        self.opened(message)
        if self.fault == "dies":
            return None
        answer = [notify(NO_ADDITIONAL_SAS)] if exchange == CREATE_CHILD_SA else []
        return self.sealed(exchange, 0x20, number, answer)

    def take(self, message):
        """The answers to a message: none, one, or the answer and a request of our own behind it."""
        exchange, flags, number = struct.unpack_from(">BBI", message, 18)
        if flags & 0x20:
            return []
        if number in self.answers:
            return [self.answers[number]]
        answer = (self.init(message) if exchange == SA_INIT else self.auth(message) if exchange == AUTH else
                  self.established(exchange, number, message))
        if answer is None:
            return []
        if not (exchange == SA_INIT and NOTIFY in dict(payloads_of(answer[16], answer[28:]))):
            self.answers[number] = answer
        if exchange == INFORMATIONAL and self.fault == "deletes":  # the first liveness check
            return [answer, self.sealed(INFORMATIONAL, 0, 0, [(DELETE, struct.pack(">BBH", 1, 0, 0))])]
        return [answer]


def main():
    sockets, sessions = {}, {}
    for word in sys.argv[1:]:
        address, fault = word.split("=")
        for port in (500, 4500):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, port))
            sockets[one] = address, fault, port
    print("ready", flush=True)
    while True:
        for one in select.select(list(sockets), [], [])[0]:
            address, fault, port = sockets[one]
            data, sender = one.recvfrom(4096)
            marker = b"\0" * 4 if port == 4500 else b""
            message = data[len(marker):]
            if not data.startswith(marker) or len(message) < 28:
                continue
            session = sessions.setdefault((address, message[:8]), Session(address, fault, message[:8]))
            answers = session.take(message)
            print(f"{fault}: exchange {message[18]}, message {message[20:24].hex()}: {len(answers)} sent", flush=True)
            for answer in answers:
                one.sendto(marker + answer, sender)


if __name__ == "__main__":
    main()

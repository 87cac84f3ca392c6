"""ESP (RFC 4303) of one SA, as the kernel would do it: AES-GCM (RFC 4106), AES-CBC (RFC 3602) and NULL with an HMAC.

None of Onramp's code is in here: what it seals this must open, and the other way round.
"""
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

IPV4, IPV6, NO_NEXT = 4, 41, 59
GCM, CBC, NULL = "gcm", "cbc", "null"


class EspError(Exception):
    """A packet that this SA does not open."""


class Gcm:
    block, iv_size, icv_size = 4, 8, 16

    def __init__(self, key):
        self.salt, self.key = key[-4:], AESGCM(key[:-4])

    def seal(self, head, high, text):
        iv = os.urandom(self.iv_size)
        return head + iv + self.key.encrypt(self.salt + iv, text, self.associated(head, high))

    def open(self, packet, high):
        head, iv = packet[:8], packet[8:16]
        try:
            return self.key.decrypt(self.salt + iv, packet[16:], self.associated(head, high))
        except InvalidTag as error:
            raise EspError("bad ICV") from error

    @staticmethod
    def associated(head, high):
        """RFC 4106 5: with extended sequence numbers all 64 bits."""
        return head if high is None else head[:4] + high + head[4:]


class CipherAndHmac:
    def __init__(self, cipher, key, digest, auth_key, icv_size):
        self.cipher, self.key, self.digest, self.auth_key, self.icv_size = cipher, key, digest, auth_key, icv_size
        self.iv_size = self.block = 16 if cipher == CBC else 0
        self.block = self.block or 4

    def icv(self, data, high):
        """RFC 4303 2.2.1: the high half is not sent, and counts behind everything else."""
        return hmac.digest(self.auth_key, data + (high or b""), self.digest)[:self.icv_size]

    def seal(self, head, high, text):
        iv = os.urandom(self.iv_size)
        if self.cipher == CBC:
            cipher = Cipher(algorithms.AES(self.key), modes.CBC(iv)).encryptor()
            text = cipher.update(text) + cipher.finalize()
        packet = head + iv + text
        return packet + self.icv(packet, high)

    def open(self, packet, high):
        end = len(packet) - self.icv_size
        if not hmac.compare_digest(self.icv(packet[:end], high), packet[end:]):
            raise EspError("bad ICV")
        text = packet[8 + self.iv_size:end]
        if self.cipher == CBC:
            cipher = Cipher(algorithms.AES(self.key), modes.CBC(packet[8:24])).decryptor()
            text = cipher.update(text) + cipher.finalize()
        return text


def transform(cipher, key, digest, auth_key, icv_size):
    if cipher == GCM:
        return Gcm(key)
    return CipherAndHmac(cipher, key, digest, auth_key, icv_size)


def seal(transform, spi, sequence, esn, inner, tfc=0):
    """The ESP packet; tfc: zeros behind the inner packet until it is that long (RFC 4303 2.7)."""
    following = IPV6 if inner[0] >> 4 == 6 else IPV4
    text = inner + bytes(max(0, tfc - len(inner)))
    padding = -(len(text) + 2) % transform.block
    text += bytes(range(1, padding + 1)) + bytes([padding, following])
    head = struct.pack(">II", spi, sequence & 0xffffffff)
    return transform.seal(head, struct.pack(">I", sequence >> 32) if esn else None, text)


def open_packet(transform, esn, packet):
    """(sequence number, inner packet without its padding). No test sends as many packets as would move the high half."""
    if len(packet) < 8 + transform.iv_size + 2 + transform.icv_size:
        raise EspError("too short")
    text = transform.open(packet, bytes(4) if esn else None)
    padding, following = text[-2], text[-1]
    body = text[:len(text) - 2 - padding]
    if text[len(body):-2] != bytes(range(1, padding + 1)):
        raise EspError("bad padding")
    if following == NO_NEXT:
        return struct.unpack_from(">I", packet, 4)[0], b""
    if following == IPV4 and len(body) >= 20:
        size = struct.unpack_from(">H", body, 2)[0]
    elif following == IPV6 and len(body) >= 40:
        size = 40 + struct.unpack_from(">H", body, 4)[0]
    else:
        raise EspError(f"next header {following}, {len(body)} bytes")
    if size > len(body):
        raise EspError("the inner packet is longer than what came")
    return struct.unpack_from(">I", packet, 4)[0], body[:size]

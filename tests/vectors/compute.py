#!/usr/bin/python3
"""Known answers that no RFC prints, computed by other means than libcrypto's ciphers and key exchange.

    compute.py > computed.h          writes the header
    compute.py --check computed.h    fails when the header is not what this program computes

AES, GHASH, the curves and X25519 are written out here; the primes come from the formula of RFC 3526; HMAC is Python's.
"""
import hashlib
import hmac
import sys


# ---- AES (FIPS 197), GCM (SP 800-38D), CBC ----

def xtime(a):
    a <<= 1
    return (a ^ 0x11b) if a & 0x100 else a


def gf_mul(a, b):
    r = 0
    while b:
        if b & 1:
            r ^= a
        a, b = xtime(a), b >> 1
    return r


def make_sbox():
    box = []
    for x in range(256):
        inv = next((y for y in range(256) if gf_mul(x, y) == 1), 0)
        s = 0x63
        for shift in range(5):
            s ^= ((inv << shift) | (inv >> (8 - shift))) & 0xff
        box.append(s)
    return box


SBOX = make_sbox()


def expand_key(key):
    nk = len(key) // 4
    words = [list(key[4 * i:4 * i + 4]) for i in range(nk)]
    rcon = 1
    for i in range(nk, 4 * (nk + 7)):
        t = list(words[-1])
        if i % nk == 0:
            t = [SBOX[b] for b in t[1:] + t[:1]]
            t[0] ^= rcon
            rcon = xtime(rcon)
        elif nk == 8 and i % nk == 4:
            t = [SBOX[b] for b in t]
        words.append([a ^ b for a, b in zip(words[i - nk], t)])
    return [sum(words[4 * r:4 * r + 4], []) for r in range(nk + 7)]


def aes(key, block):
    keys = expand_key(key)
    s = [a ^ b for a, b in zip(block, keys[0])]
    for r, k in enumerate(keys[1:], 1):
        s = [SBOX[s[(4 * (i // 4) + 5 * (i % 4)) % 16]] for i in range(16)]
        if r != len(keys) - 1:
            mixed = []
            for c in range(0, 16, 4):
                col = s[c:c + 4]
                for i in range(4):
                    mixed.append(gf_mul(col[i], 2) ^ gf_mul(col[(i + 1) % 4], 3) ^ col[(i + 2) % 4] ^ col[(i + 3) % 4])
            s = mixed
        s = [a ^ b for a, b in zip(s, k)]
    return bytes(s)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def cbc(key, iv, text):
    out, last = b"", iv
    for i in range(0, len(text), 16):
        last = aes(key, xor(text[i:i + 16], last))
        out += last
    return out


def ghash(h, data):
    h, y = int.from_bytes(h, "big"), 0
    for i in range(0, len(data), 16):
        x, v, z = y ^ int.from_bytes(data[i:i + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                z ^= v
            v = (v >> 1) ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def pad16(b):
    return b + bytes(-len(b) % 16)


def gcm(key, nonce, aad, text):
    out = b""
    for i in range(0, len(text), 16):
        out += xor(text[i:i + 16], aes(key, nonce + (2 + i // 16).to_bytes(4, "big")))
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(text)).to_bytes(8, "big")
    tag = xor(ghash(aes(key, bytes(16)), pad16(aad) + pad16(out) + lengths), aes(key, nonce + b"\0\0\0\1"))
    return out, tag


# ---- RFC 3526: p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + offset) ----

def pi_scaled(bits):
    """floor(2^bits * pi), by Machin's formula."""
    one = 1 << (bits + 64)

    def arctan_inverse(n):
        total = term = one // n
        k, sign = 3, -1
        while term:
            term //= n * n
            total += sign * (term // k)
            k, sign = k + 2, -sign
        return total

    return (4 * (4 * arctan_inverse(5) - arctan_inverse(239))) >> 64


def modp(n, offset):
    return 2**n - 2**(n - 64) - 1 + 2**64 * (pi_scaled(n - 130) + offset)


# group: bits of the prime, prime, bytes of a private value
GROUPS = {5: (1536, modp(1536, 741804), 32), 14: (2048, modp(2048, 124476), 32),
          15: (3072, modp(3072, 1690314), 36), 16: (4096, modp(4096, 240904), 42)}


def private(label, size=32):
    """With the top bit set, as a real private value has."""
    digest = hashlib.sha512(label.encode()) if size > 32 else hashlib.sha256(label.encode())
    return int.from_bytes(digest.digest()[:size], "big") | 1 << (8 * size - 1)


def exchange(group, a, b):
    bits, p, n = GROUPS[group]
    size = bits // 8
    ya, yb = pow(2, a, p), pow(2, b, p)
    shared = pow(yb, a, p)
    assert shared == pow(ya, b, p)
    return [x.to_bytes(n, "big") for x, n in ((a, n), (b, n), (ya, size), (yb, size), (shared, size))]


def exchanges():
    for group, (bits, p, size) in sorted(GROUPS.items()):
        a = private("a %d" % group, size)
        yield group, exchange(group, a, private("b %d" % group, size))
        public, n = pow(2, a, p), 0
        while pow(public, private("zero %d %d" % (group, n), size), p) >> (bits - 8):
            n += 1  # one secret in 256 begins with a zero byte
        yield group, exchange(group, a, private("zero %d %d" % (group, n), size))


# ---- curves over a prime (FIPS 186-4 D.1.2), affine: y^2 = x^3 - 3x + b ----

class Curve:
    def __init__(self, p, order, b, gx, gy):
        self.p, self.order, self.b, self.base = p, order, b, (gx, gy)
        self.size = (p.bit_length() + 7) // 8
        assert (gy * gy - gx**3 + 3 * gx - b) % p == 0

    def add(self, a, b):
        """None is the point at infinity."""
        if a is None or b is None:
            return a or b
        if a[0] == b[0]:
            if (a[1] + b[1]) % self.p == 0:
                return None
            slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, self.p)
        else:
            slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, self.p)
        x = (slope * slope - a[0] - b[0]) % self.p
        return x, (slope * (a[0] - x) - a[1]) % self.p

    def times(self, k, point):
        result = None
        for bit in bin(k)[2:]:
            result = self.add(result, result)
            if bit == "1":
                result = self.add(result, point)
        return result

    def text(self, point):
        return b"".join(v.to_bytes(self.size, "big") for v in point)


CURVES = {
    19: Curve(2**256 - 2**224 + 2**192 + 2**96 - 1,
              0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
              0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
              0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
              0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5),
    20: Curve(2**384 - 2**128 - 2**96 + 2**32 - 1,
              0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
              0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
              0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
              0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f),
    21: Curve(2**521 - 1,
              0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa
              << 256 | 0x51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409,
              0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1
              << 256 | 0x56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00,
              0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba
              << 256 | 0xa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66,
              0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c
              << 256 | 0x97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650),
}


def curve_exchange(curve, a, b):
    pa, pb = curve.times(a, curve.base), curve.times(b, curve.base)
    shared = curve.times(a, pb)
    assert shared == curve.times(b, pa)
    return [a.to_bytes(curve.size, "big"), b.to_bytes(curve.size, "big"), curve.text(pa), curve.text(pb),
            shared[0].to_bytes(curve.size, "big")]


def curve_exchanges():
    for group, curve in sorted(CURVES.items()):
        a, b = (int.from_bytes(hashlib.shake_256(b"%s %d" % (name, group)).digest(curve.size), "big") % curve.order
                for name in (b"a", b"b"))
        yield group, curve_exchange(curve, a, b)
        step = curve.times(a, curve.base)
        shared = curve.times(b, step)
        while shared[0] >> (8 * curve.size - 8):
            b, shared = b + 1, curve.add(shared, step)
        yield group, curve_exchange(curve, a, b)
        # the last private value: the peer gets its own point with the other sign
        yield group, curve_exchange(curve, curve.order - 1, a)


# ---- prf+ (RFC 7296 2.13) and HKDF (RFC 5869) ----

def prf_plus(hash_name, key, seed, size):
    out = t = b""
    n = 1
    while len(out) < size:
        t = hmac.new(key, t + seed + bytes([n]), hash_name).digest()
        out += t
        n += 1
    return out[:size]


def hkdf(salt, key, info, size):
    return prf_plus("sha256", hmac.new(salt, key, "sha256").digest(), info, size)


# ---- X25519 (RFC 7748) ----

def x25519(k, u):
    p = 2**255 - 19
    k = bytearray(k)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k, u = int.from_bytes(k, "little"), int.from_bytes(u, "little") & (2**255 - 1)
    x2, z2, x3, z3 = 1, 0, u, 1
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        e = aa - bb
        x3, z3 = (da + cb)**2 % p, u * (da - cb)**2 % p
        x2, z2 = aa * bb % p, e * (aa + 121665 * e) % p
        if bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


def x25519_exchange(a, b):
    base = (9).to_bytes(32, "little")
    ya, yb = x25519(a, base), x25519(b, base)
    assert x25519(a, yb) == x25519(b, ya)
    return [a, b, ya, yb, x25519(a, yb)]


def x25519_exchanges():
    a, n = hashlib.sha256(b"a 31").digest(), 0
    public = x25519(a, (9).to_bytes(32, "little"))
    yield 31, x25519_exchange(a, hashlib.sha256(b"b 31").digest())
    while x25519(hashlib.sha256(b"zero 31 %d" % n).digest(), public)[0]:
        n += 1
    yield 31, x25519_exchange(a, hashlib.sha256(b"zero 31 %d" % n).digest())


def count(n, start=0):
    return bytes((start + i) % 256 for i in range(n))


# ---- the header ----

def field(value):
    if isinstance(value, str):
        return value
    text = value.hex()
    lines = [text[i:i + 80] for i in range(0, len(text), 80)] or [""]
    return "\n\t\t".join('"%s"' % line for line in lines)


def table(kind, name, rows, out):
    out.append("static const struct %s %s[] = {" % (kind, name))
    for row in rows:
        out.append("\t{")
        for key, value in row:
            out.append("\t\t.%s = %s," % (key, field(value)))
        out.append("\t},")
    out.append("};")
    out.append("")


def dh_rows():
    for group, values in [*exchanges(), *curve_exchanges(), *x25519_exchanges()]:
        yield [("group", str(group))] + list(zip(("a", "b", "public_a", "public_b", "shared"), values))


def prf_rows():
    for number, name, size in ((5, "sha256", 32), (6, "sha384", 48), (7, "sha512", 64)):
        for key_len, out_len in ((size, 3 * size + 7), (200, 2 * size), (1, 255 * size)):
            key, seed = count(key_len, 3), count(80, 100)
            out = prf_plus(name, key, seed, out_len)
            # The last block tells for all before it: each depends on the former.
            yield [("prf", str(number)), ("key", key), ("seed", seed), ("len", str(out_len)), ("tail", out[-32:])]


def ike_rows():
    aad, text = count(36, 0x40), count(48, 0x80)
    for bits in (128, 256):
        key, iv = count(bits // 8 + 4, 1), count(8, 0xf0)
        sealed, icv = gcm(key[:-4], key[-4:] + iv, aad, text)
        yield [("encr", "20"), ("bits", str(bits)), ("integ", "0"), ("encr_key", key), ("integ_key", b""),
               ("aad", aad), ("iv", iv), ("text", text), ("sealed", sealed), ("icv", icv)]
    key, mac_key, iv = count(32, 1), count(32, 0x55), count(16, 0xf0)
    sealed = cbc(key, iv, text)
    icv = hmac.new(mac_key, aad + iv + sealed, "sha256").digest()[:16]
    yield [("encr", "12"), ("bits", "256"), ("integ", "12"), ("encr_key", key), ("integ_key", mac_key),
           ("aad", aad), ("iv", iv), ("text", text), ("sealed", sealed), ("icv", icv)]


def esp_rows():
    head, text = bytes.fromhex("c0de000100000007"), count(64, 0x20)
    for bits in (128, 256):
        key, iv = count(bits // 8 + 4, 9), count(8, 0x70)
        sealed, icv = gcm(key[:-4], key[-4:] + iv, head, text)
        yield [("encr", "20"), ("bits", str(bits)), ("integ", "0"), ("encr_key", key), ("integ_key", b""),
               ("packet", head + iv + text), ("sealed", head + iv + sealed + icv)]
    for integ, hash_name, key_len, icv_len in ((2, "sha1", 20, 12), (12, "sha256", 32, 16)):
        mac_key = count(key_len, 0x30)
        for encr, bits in ((12, 128), (12, 256), (11, 0)):
            key = count(bits // 8, 5)
            iv = count(16, 0xa0) if encr == 12 else b""
            sealed = head + iv + (cbc(key, iv, text) if encr == 12 else text)
            sealed += hmac.new(mac_key, sealed, hash_name).digest()[:icv_len]
            yield [("encr", str(encr)), ("bits", str(bits)), ("integ", str(integ)), ("encr_key", key),
                   ("integ_key", mac_key), ("packet", head + iv + text), ("sealed", sealed)]


def seal_rows():
    base = (9).to_bytes(32, "little")
    own, ephemeral = count(32, 0x11), count(32, 0x77)
    public, ephemeral_public = x25519(own, base), x25519(ephemeral, base)
    aad, text = b"/onramp/psk/1", b"a secret of the tunnel"
    key = hkdf(ephemeral_public + public, x25519(ephemeral, public), b"onramp box", 32)
    box = b"\1" + ephemeral_public + b"".join(gcm(key, bytes(12), aad, text))
    sa_key, salt = hkdf(b"", own, b"onramp sa", 32), count(32, 0xc0)
    locked = b"\2" + salt + b"".join(gcm(hkdf(salt, sa_key, b"onramp lock", 32), bytes(12), aad, text))
    yield [("private", own), ("public", public), ("sa_key", sa_key), ("aad", aad), ("text", text),
           ("box", box), ("locked", locked)]


def make_header():
    out = ["// Known answers, written by compute.py: not to be edited.",
           "// Tests only.",
           "#pragma once",
           "",
           '#include "rows.h"',
           ""]
    table("dh_row", "dh_rows", dh_rows(), out)
    table("prf_row", "prf_rows", prf_rows(), out)
    table("ike_row", "ike_rows", ike_rows(), out)
    table("esp_row", "esp_rows", esp_rows(), out)
    table("seal_row", "seal_rows", seal_rows(), out)
    return "\n".join(out)


if __name__ == "__main__":
    assert aes(bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")).hex() == \
        "69c4e0d86a7b0430d8cdb78070b4c55a"  # FIPS 197 C.1
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2]) as f:
            sys.exit(0 if f.read() == make_header() else sys.argv[2] + " is not what compute.py computes")
    sys.stdout.write(make_header())

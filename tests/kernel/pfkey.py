"""PF_KEY version 2 (RFC 2367) with Linux's extensions (linux/pfkeyv2.h), as far as OpenIKED sends it: each message is
answered by itself, with what was found out."""
import errno
import ipaddress
import struct

import esp
import sadb

VERSION = 2
GETSPI, UPDATE, ADD, DELETE, GET, REGISTER, EXPIRE, FLUSH = 1, 2, 3, 4, 5, 7, 8, 9
SPDUPDATE, SPDADD, SPDDELETE, SPDFLUSH = 13, 14, 15, 19
SA, HARD, SOFT, SRC, DST, KEY_AUTH, KEY_ENCRYPT, SPI_RANGE = 1, 3, 4, 5, 6, 8, 9, 16
POLICY, NAT_TYPE, NAT_SRC, NAT_DST = 18, 20, 21, 22
SATYPE_ESP, SASTATE_MATURE = 3, 1
WAYS = {1: sadb.IN, 2: sadb.OUT, 3: sadb.FORWARD}
CIPHERS = {12: esp.CBC, 11: esp.NULL, 20: esp.GCM}
DIGESTS = {3: ("sha1", 12), 5: ("sha256", 12), 6: ("sha384", 24), 7: ("sha512", 32)}

HEADER = struct.Struct("=BBBBHHII")
SA_BODY = struct.Struct("=4s4BI")
LIFETIME = struct.Struct("=IQQQ")


class Refused(Exception):
    """A request that the kernel answers with this errno."""


def extensions(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length == 0:
            break
        found[kind] = data[4:8 * length]
        data = data[8 * length:]
    return found


def extension(kind, body):
    return struct.pack("=HH", (4 + len(body)) // 8, kind) + body


def socket_address(data):
    """(address, length of the structure)"""
    family = struct.unpack_from("=H", data)[0]
    if family == 2:
        return str(ipaddress.ip_address(data[4:8])), 16
    if family == 10:
        return str(ipaddress.ip_address(data[8:24])), 28
    raise Refused(errno.EINVAL)


def key_of(body):
    return body[4:4 + struct.unpack_from("=H", body)[0] // 8]


def transform(found):
    _, _, _, auth, encrypt, _ = SA_BODY.unpack_from(found[SA])
    if encrypt not in CIPHERS:
        raise Refused(errno.EINVAL)
    cipher, key = CIPHERS[encrypt], key_of(found[KEY_ENCRYPT]) if KEY_ENCRYPT in found else b""
    if cipher == esp.GCM:
        return esp.transform(cipher, key, None, None, None), f"gcm-{8 * (len(key) - 4)}"
    digest, icv = DIGESTS[auth]
    return esp.transform(cipher, key, digest, key_of(found[KEY_AUTH]), icv), f"{cipher}-{8 * len(key)}/{digest}-{8 * icv}"


def limit(found, kind):
    if kind not in found:
        return sadb.Limit()
    _, octets, seconds, _ = LIFETIME.unpack_from(found[kind])
    return sadb.Limit(octets or sadb.NEVER, sadb.NEVER, seconds or sadb.NEVER)


class PfKey:
    def __init__(self, database):
        self.sadb = database
        self.known = {GETSPI: self.reserve, UPDATE: self.put_sa, ADD: self.put_sa, DELETE: self.delete_sa, GET: self.get_sa,
                      REGISTER: None, FLUSH: self.flush_sas, SPDUPDATE: self.put_policy, SPDADD: self.put_policy,
                      SPDDELETE: self.delete_policy, SPDFLUSH: self.flush_policies}

    def answer(self, message):
        _, kind, _, kind_of_sa, _, _, number, port = HEADER.unpack_from(message)
        failure, body = 0, None
        try:
            if kind not in self.known:
                raise Refused(errno.EOPNOTSUPP)
            if self.known[kind]:
                body = self.known[kind](extensions(message[HEADER.size:]))
        except Refused as refused:
            failure = refused.args[0]
        body = message[HEADER.size:] if body is None else body
        return self.message(kind, kind_of_sa, body, failure, number, port)

    @staticmethod
    def message(kind, kind_of_sa, body, failure=0, number=0, port=0):
        return HEADER.pack(VERSION, kind, failure, kind_of_sa, (HEADER.size + len(body)) // 8, 0, number, port) + body

    @staticmethod
    def ends(found):
        """The addresses of a message: source, destination."""
        return tuple(socket_address(found[kind][4:])[0] for kind in (SRC, DST))

    # ---- SAs ----

    def reserve(self, found):
        low, high = struct.unpack_from("=II", found[SPI_RANGE])
        spi = self.sadb.reserve(*self.ends(found), 0, low, high)
        return extension(SA, SA_BODY.pack(spi.to_bytes(4, "big"), 0, 0, 0, 0, 0))

    def put_sa(self, found):
        spi, window, *_ = SA_BODY.unpack_from(found[SA])
        made, name = transform(found)
        ports = None
        if NAT_TYPE in found:
            ports = tuple(struct.unpack_from(">H", found[kind])[0] for kind in (NAT_SRC, NAT_DST))
        self.sadb.put(sadb.Sa(int.from_bytes(spi, "big"), *self.ends(found), 0, True, made, name, replay_window=window,
                              encap=ports, soft=limit(found, SOFT), hard=limit(found, HARD)))

    def named(self, found):
        return int.from_bytes(found[SA][:4], "big"), self.ends(found)[1]

    def delete_sa(self, found):
        if not self.sadb.delete(*self.named(found)):
            raise Refused(errno.ESRCH)

    def get_sa(self, found):
        if not self.sadb.find(*self.named(found)):
            raise Refused(errno.ESRCH)

    def flush_sas(self, _):
        self.sadb.sas.clear()

    def expiry(self, sa, hard):
        body = SA_BODY.pack(sa.spi.to_bytes(4, "big"), sa.replay_window, SASTATE_MATURE, 0, 0, 0)
        reached = sa.hard if hard else sa.soft
        used = LIFETIME.pack(0, *(0 if value == sadb.NEVER else value for value in (reached.bytes, reached.seconds)), 0)
        return self.message(EXPIRE, SATYPE_ESP, extension(SA, body) + extension(HARD if hard else SOFT, used))

    # ---- policies ----

    def chosen(self, found):
        """(way, selector)"""
        ends = []
        for kind in (SRC, DST):
            protocol, bits = found[kind][:2]
            ends.append(sadb.network(socket_address(found[kind][4:])[0], bits))
        _, way = struct.unpack_from("=HB", found[POLICY])
        return WAYS[way], sadb.Selector(*ends, 0 if protocol == 255 else protocol)

    def put_policy(self, found):
        policy = sadb.Policy(0)
        request = found[POLICY][12:]
        if len(request) > 16:
            policy.src, size = socket_address(request[16:])
            policy.dst, _ = socket_address(request[16 + size:])
        self.sadb.policies[self.chosen(found)] = policy

    def delete_policy(self, found):
        if not self.sadb.policies.pop(self.chosen(found), None):
            raise Refused(errno.ENOENT)

    def flush_policies(self, _):
        self.sadb.policies.clear()

"""Linux's XFRM netlink messages (linux/xfrm.h), as far as libreswan's pluto sends them: each gets one answer."""
import errno
import ipaddress
import socket
import struct

import esp
import sadb

NLMSG_ERROR = 2
NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY, ALLOCSPI = range(0x10, 0x17)
EXPIRE, UPDPOLICY, UPDSA = 0x18, 0x19, 0x1a
FLUSHSA, FLUSHPOLICY, MIGRATE = 0x1c, 0x1d, 0x21
ALG_CRYPT, ENCAP, TMPL, MIGRATE_ADDRESSES, ALG_AEAD, ALG_AUTH_TRUNC, TFCPAD = 2, 4, 5, 17, 18, 20, 22
FLAG_ESN, MODE_TUNNEL, ACTION_BLOCK = 128, 1, 1
WAYS = [sadb.IN, sadb.OUT, sadb.FORWARD]

SELECTOR = struct.Struct("=16s16s4H H3B3x2I")
LIFETIMES, CURRENT = "8Q", "4Q"
SA_INFO = struct.Struct("=56s 16s4sB3x 16s" + LIFETIMES + CURRENT + "12x I I H 3B 7x")
SA_ID = struct.Struct("=16s4sHBx")
POLICY_INFO = struct.Struct("=56s" + LIFETIMES + CURRENT + "II4B4x")
POLICY_ID = struct.Struct("=56sIB3x")
TEMPLATE = struct.Struct("=16s4sB3x H2x 16s I 4B 3I")
MIGRATION = struct.Struct("=16s16s16s16s2BxxI2H")
ENCAP_TEMPLATE = struct.Struct("=H2s2s2x16s")

CIPHERS = {"cbc(aes)": esp.CBC, "aes": esp.CBC, "ecb(cipher_null)": esp.NULL, "cipher_null": esp.NULL}
DIGESTS = {"sha1": "sha1", "hmac(sha1)": "sha1", "hmac(sha256)": "sha256", "hmac(sha384)": "sha384", "hmac(sha512)": "sha512"}


class Refused(Exception):
    """A request that the kernel answers with this errno."""


def address(raw, family):
    return str(ipaddress.ip_address(raw[:4] if family == 2 else raw))


def raw(text):
    return ipaddress.ip_address(text).packed.ljust(16, b"\0")


def family_of(text):
    return 2 if ipaddress.ip_address(text).version == 4 else 10


def selector(data):
    dst, src, _, _, src_port, _, family, bits_dst, bits_src, protocol, _, _ = SELECTOR.unpack(data)
    if family not in (2, 10):
        raise Refused(errno.EINVAL)
    return sadb.Selector(sadb.network(address(src, family), bits_src), sadb.network(address(dst, family), bits_dst), protocol,
                         socket.ntohs(src_port))


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def algorithm(data, more):
    """(name, what stands between length and key, key)"""
    name = data[:64].split(b"\0")[0].decode()
    bits, *rest = struct.unpack_from("=" + "I" * (1 + more), data, 64)
    start = 68 + 4 * more
    return name, rest, data[start:start + bits // 8]


def encap(found):
    if ENCAP not in found:
        return None
    _, src, dst, _ = ENCAP_TEMPLATE.unpack_from(found[ENCAP])
    return int.from_bytes(src, "big"), int.from_bytes(dst, "big")


def transform(found):
    """(transform of esp.py, its name)"""
    if ALG_AEAD in found:
        name, (icv_bits,), key = algorithm(found[ALG_AEAD], 1)
        if name != "rfc4106(gcm(aes))" or icv_bits != 128:
            raise Refused(errno.ENOSYS)
        return esp.transform(esp.GCM, key, None, None, None), f"gcm-{8 * (len(key) - 4)}"
    cipher, _, key = algorithm(found[ALG_CRYPT], 0)
    digest, (icv_bits,), auth_key = algorithm(found[ALG_AUTH_TRUNC], 1)
    if cipher not in CIPHERS or digest not in DIGESTS:
        raise Refused(errno.ENOSYS)
    return (esp.transform(CIPHERS[cipher], key, DIGESTS[digest], auth_key, icv_bits // 8),
            f"{CIPHERS[cipher]}-{8 * len(key)}/{DIGESTS[digest]}-{icv_bits}")


class Xfrm:
    def __init__(self, database):
        self.sadb = database
        self.known = {NEWSA: self.put_sa, UPDSA: self.put_sa, DELSA: self.delete_sa, GETSA: self.get_sa,
                      NEWPOLICY: self.put_policy, UPDPOLICY: self.put_policy, DELPOLICY: self.delete_policy,
                      ALLOCSPI: self.reserve, MIGRATE: self.migrate, FLUSHSA: self.flush_sas, FLUSHPOLICY: self.flush_policies}

    def answer(self, message):
        _, kind, _, number, port = struct.unpack_from("=IHHII", message)
        failure, answer = 0, None
        try:
            if kind not in self.known:
                raise Refused(errno.EOPNOTSUPP)
            answer = self.known[kind](message[16:])
        except Refused as refused:
            failure = refused.args[0]
        if answer is None:
            answer = NLMSG_ERROR, struct.pack("=i", -failure) + message[:16]
        return self.message(*answer, number, port)

    @staticmethod
    def message(kind, body, number=0, port=0):
        return struct.pack("=IHHII", 16 + len(body), kind, 0, number, port) + body

    # ---- SAs ----

    def put_sa(self, body):
        (_, dst, spi, protocol, src, soft_bytes, hard_bytes, soft_packets, hard_packets, *_,
         _, reqid, family, mode, window, flags) = SA_INFO.unpack_from(body)
        if protocol != 50:
            raise Refused(errno.EPROTONOSUPPORT)
        found = attributes(body[SA_INFO.size:])
        made, name = transform(found)
        self.sadb.put(sadb.Sa(
            int.from_bytes(spi, "big"), address(src, family), address(dst, family), reqid, mode == MODE_TUNNEL, made, name,
            bool(flags & FLAG_ESN), int.from_bytes(found.get(TFCPAD, b""), "little"), window, encap(found),
            sadb.Limit(soft_bytes, soft_packets), sadb.Limit(hard_bytes, hard_packets)))

    def delete_sa(self, body):
        dst, spi, family, _ = SA_ID.unpack_from(body)
        if not self.sadb.delete(int.from_bytes(spi, "big"), address(dst, family)):
            raise Refused(errno.ESRCH)

    def get_sa(self, body):
        dst, spi, family, _ = SA_ID.unpack_from(body)
        sa = self.sadb.find(int.from_bytes(spi, "big"), address(dst, family))
        if not sa:
            raise Refused(errno.ESRCH)
        return NEWSA, self.sa_info(sa)

    def reserve(self, body):
        _, dst, _, _, src, *_, _, reqid, family, _, _, _ = SA_INFO.unpack_from(body)
        low, high = struct.unpack_from("=II", body, SA_INFO.size)
        spi = self.sadb.reserve(address(src, family), address(dst, family), reqid, low, high)
        return NEWSA, self.sa_info(self.sadb.find(spi, address(dst, family)))

    @staticmethod
    def sa_info(sa):
        limits = (sa.soft.bytes, sa.hard.bytes, sa.soft.packets, sa.hard.packets, 0, 0, 0, 0)
        current = (sa.bytes, sa.packets, int(sa.added), 0)
        return SA_INFO.pack(bytes(56), raw(sa.dst), sa.spi.to_bytes(4, "big"), 50, raw(sa.src), *limits, *current, 0, sa.reqid,
                            family_of(sa.dst), MODE_TUNNEL, sa.replay_window, FLAG_ESN if sa.esn else 0)

    def expiry(self, sa, hard):
        return self.message(EXPIRE, self.sa_info(sa) + struct.pack("=B7x", hard))

    def flush_sas(self, _):
        self.sadb.sas.clear()

    # ---- policies ----

    def put_policy(self, body):
        chosen, *_, priority, _, way, action, _, _ = POLICY_INFO.unpack_from(body)
        found = attributes(body[POLICY_INFO.size:])
        policy = sadb.Policy(priority, blocks=action == ACTION_BLOCK)
        if TMPL in found:
            dst, _, _, family, src, reqid, *_ = TEMPLATE.unpack_from(found[TMPL])
            policy.src, policy.dst, policy.reqid = address(src, family), address(dst, family), reqid
        self.sadb.policies[WAYS[way], selector(chosen)] = policy

    def delete_policy(self, body):
        chosen, _, way = POLICY_ID.unpack_from(body)
        if not self.sadb.policies.pop((WAYS[way], selector(chosen)), None):
            raise Refused(errno.ENOENT)

    def flush_policies(self, _):
        self.sadb.policies.clear()

    def migrate(self, body):
        chosen, _, way = POLICY_ID.unpack_from(body)
        policy = self.sadb.policies.get((WAYS[way], selector(chosen)))
        if not policy:
            raise Refused(errno.ENOENT)
        found = attributes(body[POLICY_ID.size:])
        old_dst, old_src, new_dst, new_src, _, _, reqid, old, new = MIGRATION.unpack_from(found[MIGRATE_ADDRESSES])
        was, to = (address(old_src, old), address(old_dst, old)), (address(new_src, new), address(new_dst, new))
        if (policy.src, policy.dst) != was:
            raise Refused(errno.ENODATA)
        policy.src, policy.dst = to
        for sa in list(self.sadb.sas.values()):
            if (sa.src, sa.dst) == was and sa.reqid == reqid:
                self.sadb.move(sa, *to, encap(found))

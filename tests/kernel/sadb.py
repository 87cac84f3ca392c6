"""The SAs and the policies of one namespace (RFC 4301 4.4): what the messages of xfrm.py and pfkey.py change, and what
ipsec.py asks for each packet."""
import dataclasses
import ipaddress
import random
import time

IN, OUT, FORWARD = "in", "out", "forward"
NEVER = 2**64 - 1


@dataclasses.dataclass
class Limit:
    """What an SA may be used for until its daemon is told."""
    bytes: int = NEVER
    packets: int = NEVER
    seconds: int = NEVER

    def is_over(self, sa):
        return sa.bytes > self.bytes or sa.packets > self.packets or time.time() - sa.added > self.seconds


@dataclasses.dataclass
class Sa:
    spi: int
    src: str
    dst: str
    reqid: int = 0
    tunnel: bool = True
    transform: object = None  # of esp.py; None: the SPI is only reserved
    name: str = ""  # of the algorithms
    esn: bool = False
    tfc: int = 0
    replay_window: int = 0
    encap: tuple = None  # UDP ports: source, destination
    soft: Limit = dataclasses.field(default_factory=Limit)
    hard: Limit = dataclasses.field(default_factory=Limit)
    sequence: int = 0
    packets: int = 0
    bytes: int = 0
    added: float = dataclasses.field(default_factory=time.time)
    number: int = 0
    told: set = dataclasses.field(default_factory=set)

    def describe(self):
        return {key: getattr(self, key) for key in
                ("spi", "src", "dst", "reqid", "tunnel", "name", "esn", "tfc", "replay_window", "encap", "packets", "bytes")}


@dataclasses.dataclass(frozen=True)
class Selector:
    src: object  # networks of module ipaddress
    dst: object
    protocol: int = 0
    kind: int = 0  # of ICMP; of no other protocol is there a policy for less than all of it

    def takes(self, inner):
        src, dst, protocol, kind = inner
        return (src.version == self.src.version and src in self.src and dst in self.dst and
                self.protocol in (0, protocol) and self.kind in (0, kind))


@dataclasses.dataclass
class Policy:
    priority: int
    src: str = None  # of the tunnel; None: what the policy takes needs none
    dst: str = None
    reqid: int = 0
    blocks: bool = False


def network(address, bits):
    return ipaddress.ip_network((address, bits), strict=False)


def selected_by(packet):
    """(source, destination, protocol, first octet behind the header, which is the type of ICMP) of an IP packet."""
    if packet[0] >> 4 == 6:
        return ipaddress.ip_address(packet[8:24]), ipaddress.ip_address(packet[24:40]), packet[6], packet[40]
    return ipaddress.ip_address(packet[12:16]), ipaddress.ip_address(packet[16:20]), packet[9], packet[4 * (packet[0] & 15)]


class Sadb:
    def __init__(self):
        self.sas, self.policies, self.count = {}, {}, 0

    def reserve(self, src, dst, reqid, low, high):
        while True:
            spi = random.SystemRandom().randint(max(low, 256), high)
            if (spi, dst) not in self.sas:
                self.sas[spi, dst] = Sa(spi, src, dst, reqid)
                return spi

    def put(self, sa):
        self.count += 1
        sa.number = self.count
        self.sas[sa.spi, sa.dst] = sa

    def find(self, spi, dst):
        return self.sas.get((spi, dst))

    def delete(self, spi, dst):
        return self.sas.pop((spi, dst), None)

    def move(self, sa, src, dst, encap):
        """To other addresses (RFC 4555 3.5)."""
        del self.sas[sa.spi, sa.dst]
        sa.src, sa.dst, sa.encap = src, dst, encap
        self.sas[sa.spi, dst] = sa

    def outbound(self, packet):
        """The SA that a packet leaves by: of the first policy that takes it, the newest. None, and why."""
        inner = selected_by(packet)
        found = [policy for (way, selector), policy in self.policies.items() if way == OUT and selector.takes(inner)]
        if not found:
            return None, "no policy"
        policy = min(found, key=lambda one: one.priority)
        if policy.blocks or policy.dst is None:
            return None, "policy without SA"
        fitting = [sa for sa in self.sas.values() if sa.transform and sa.reqid == policy.reqid and
                   (sa.src, sa.dst) == (policy.src, policy.dst)]
        return max(fitting, key=lambda sa: sa.number, default=None), "no SA"

    def takes_in(self, sa, packet):
        """Whether what came by an SA may have come by it."""
        inner = selected_by(packet)
        return any(way in (IN, FORWARD) and selector.takes(inner) and
                   (policy.src, policy.dst, policy.reqid) == (sa.src, sa.dst, sa.reqid)
                   for (way, selector), policy in self.policies.items())

    def over(self):
        """(SA, whether its hard limit) of each SA whose daemon is to be told now; once."""
        for sa in list(self.sas.values()):
            for kind, limit in (("hard", sa.hard), ("soft", sa.soft)):
                if sa.transform and kind not in sa.told and limit.is_over(sa):
                    sa.told |= {kind, "soft"}
                    yield sa, kind == "hard"

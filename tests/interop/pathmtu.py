#!/usr/bin/python3
"""Path MTU: a link between two routers is narrower than the tunnel is set to. Both ends learn it from the routers' messages, for every
way in which ESP travels; forged messages change nothing.

    hq ---- gw ---- r1 ==== r2 ---- site
"""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from lab import ANYCAST4, ANYCAST6, HQ, PYTHON, Gateway, Lab, wait_until
from site_role import Site

LAN = "10.1.0.1"
SITE, SITE6 = "203.0.113.2", "2001:db8:a::2"
NARROW = 1320
FILE = 1 << 20
WAYS = (("ESP in UDP", ANYCAST4, {"encap": "udp"}), ("native ESP", ANYCAST4, {"encap": "native"}),
        ("IPv6 outside, ESP in UDP", ANYCAST6, {"gateway": ANYCAST6, "encap": "udp"}),
        ("IPv6 outside, native ESP", ANYCAST6, {"gateway": ANYCAST6, "encap": "native"}))

# Sends "fragmentation needed" about ESP that gw may have sent: the packet's source and destination, MTU, protocol, SPI.
FORGE = r"""
import socket, struct, sys
mtu, protocol, spi = int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
def checksum(b):
    total = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff
esp = struct.pack(">II", spi, 7) + bytes(16)
body = struct.pack(">HHHH", 4500, 4500, 8 + 1400, 0) + esp if protocol == 17 else esp
quote = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 1428, 1, 0x4000, 60, protocol, 0, socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[2])) + body
message = struct.pack(">BBHHH", 3, 4, 0, 0, mtu) + quote
message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(message, (sys.argv[1], 0))
"""


def build_network(lab):
    for node in ("hq", "gw", "r1", "r2", "site"):
        lab.add_node(node, router=node != "hq")
    lab.link("hq", "eth0", [f"{HQ}/24"], "gw", "lan", ["192.168.0.1/24"])
    lab.link("gw", "wan", ["100.64.0.2/30", "2001:db8:ff::2/64"], "r1", "to-gw", ["100.64.0.1/30", "2001:db8:ff::1/64"])
    lab.link("r1", "to-r2", ["192.0.2.1/30", "2001:db8:2::1/64"], "r2", "to-r1", ["192.0.2.2/30", "2001:db8:2::2/64"])
    lab.link("r2", "to-site", ["203.0.113.1/24", "2001:db8:a::1/64"], "site", "wan", [f"{SITE}/24", f"{SITE6}/64"])
    for node, via, via6 in (("gw", "100.64.0.1", "2001:db8:ff::1"), ("site", "203.0.113.1", "2001:db8:a::1"),
                            ("r1", "192.0.2.2", "2001:db8:2::2")):
        lab.ip(node, f"route add default via {via}")
        lab.ip(node, f"-6 route add default via {via6}")
    lab.ip("hq", "route add default via 192.168.0.1")
    lab.ip("gw", f"addr add {ANYCAST4}/32 dev lo")
    lab.ip("gw", f"addr add {ANYCAST6}/128 dev lo nodad")
    lab.ip("r2", f"route add {ANYCAST4}/32 via 192.0.2.1")
    lab.ip("r2", f"-6 route add {ANYCAST6}/128 via 2001:db8:2::1")
    lab.ip("r1", f"route add {ANYCAST4}/32 via 100.64.0.2")
    lab.ip("r1", f"-6 route add {ANYCAST6}/128 via 2001:db8:ff::2")
    lab.ip("site", f"addr add {LAN}/32 dev lo")


def set_link(lab, mtu):
    lab.ip("r1", f"link set to-r2 mtu {mtu}")
    lab.ip("r2", f"link set to-r1 mtu {mtu}")


class Rig:
    def __init__(self, lab):
        self.lab = lab
        self.gateway = Gateway(lab)
        self.gateway.start()
        self.gateway.create_account("pathmtu")
        self.number = 0
        self.site = None
        data = os.urandom(FILE)
        self.sum = hashlib.sha256(data).hexdigest()
        (lab.directory / "www").mkdir()
        (lab.directory / "www" / "file").write_bytes(data)
        lab.serve_files("hq", HQ, lab.directory / "www")
        lab.serve_files("site", LAN, lab.directory / "www")

    def connect(self, endpoint, keys):
        """A tunnel of its own, which nobody told anything yet."""
        self.number += 1
        inner = f"10.252.0.{2 * self.number + 1}"
        self.tunnel = self.gateway.create_tunnel(f"way{self.number}", f"10.252.0.{2 * self.number}/31", endpoint=endpoint)
        self.route = self.gateway.create_route(f"{LAN}/32", inner)
        self.site = Site(self.lab, "site", {"hq": {
            "identity": "fqdn:" + self.tunnel["remote_identities"]["fqdn_id"], "psk": self.gateway.generate_psk(self.tunnel),
            "addresses": f"{inner}/31", "routes": "192.168.0.0/24", **keys}}, name=f"way{self.number}")
        self.site.start()
        check(self.site.up("hq") and self.lab.ping_until("site", LAN, HQ), f"not up: {self.site.log()[-2000:]}")

    def disconnect(self):
        self.site.stop()
        for route in self.gateway.call("GET", "/routes")["routes"]:
            self.gateway.call("DELETE", f"/routes/{route['id']}")

    def mtus(self):
        return self.gateway.tunnel_status(self.tunnel)["effective_mtu"], self.site.status("hq")["effective_mtu"]

    def ignored(self):
        return next(counter["value"] for counter in self.gateway.status()["counters"] if counter["name"] == "drop_icmp_ignored")


def forget_routes(lab):
    """What hosts learned of the inner path before."""
    for node in ("hq", "site", "gw"):
        lab.run(node, "ip", "route", "flush", "cache")


def one_way(rig, endpoint, keys):
    lab = rig.lab
    set_link(lab, 1500)
    forget_routes(lab)
    rig.connect(endpoint, keys)
    wide = rig.mtus()
    check(wide[0] == wide[1] and wide[0] > NARROW, f"{wide} at 1500")
    set_link(lab, NARROW)
    for node, source, target in (("hq", HQ, LAN), ("site", LAN, HQ)):
        # The first tells the router, the router the gateway; the next ones are told by the gateway.
        out = lab.run(node, "ping", "-n", "-M", "do", "-c", 4, "-i", "0.2", "-W", 1, "-s", 1340, "-I", source, target, check=False).stdout
        check("0 received" in out, f"{node}: passed: {out}")
    check(wait_until(lambda: all(NARROW - 100 < mtu < NARROW - 40 for mtu in rig.mtus()), 3), f"not learned: {rig.mtus()}")
    narrow = rig.mtus()
    for node, source, target in (("hq", HQ, LAN), ("site", LAN, HQ)):
        fits = narrow[0] - 28
        out = lab.run(node, "ping", "-n", "-M", "do", "-c", 3, "-i", "0.05", "-W", 2, "-s", fits, "-I", source, target, check=False).stdout
        check("3 received" in out, f"{node}: what fits does not pass: {out}")
        forget_routes(lab)
        out = lab.run(node, "ping", "-n", "-M", "do", "-c", 2, "-i", "0.2", "-W", 1, "-s", fits + 1, "-I", source, target, check=False).stdout
        check(f"mtu = {narrow[0]}" in out or f"mtu={narrow[0]}" in out, f"{node}: is not told {narrow[0]}: {out}")
        check(lab.ping(node, source, target, size=1372) == 3, f"{node}: with fragments allowed 1372 bytes are lost")
    forget_routes(lab)
    for node, source, target in (("site", LAN, HQ), ("hq", HQ, LAN)):
        got, seconds = lab.fetch_sum(node, source, f"http://{target}:8000/file", timeout=20)
        check(got == rig.sum, f"{node}: the file arrived changed")
        check(seconds < 15, f"{node}: {seconds:.1f} s")


def forged(rig):
    """By somebody who knows addresses and ports but not the SPI, which the peer chose."""
    lab = rig.lab
    before, ignored = rig.mtus(), rig.ignored()
    for protocol, spi in ((17, 0xc0ffee01), (50, 0xc0ffee02), (17, 7), (6, 0xc0ffee03)):
        lab.run("r1", PYTHON, "-c", FORGE, ANYCAST4, SITE, 600, protocol, spi)
    check(wait_until(lambda: rig.ignored() >= ignored + 4, 5),
          f"{rig.ignored() - ignored} of 4 counted")
    check(rig.mtus() == before, f"{before} became {rig.mtus()}")


def main():
    with Lab() as lab:
        build_network(lab)
        checks = Checks("path MTU", lab)
        rig = Rig(lab)
        for number, (name, endpoint, keys) in enumerate(WAYS):
            with checks.case(f"{name}: learned both ways, TCP and large packets pass"):
                one_way(rig, endpoint, keys)
            if number == 0:
                with checks.case("forged messages change nothing and are counted"):
                    forged(rig)
            rig.disconnect()
        checks.finish()


if __name__ == "__main__":
    main()

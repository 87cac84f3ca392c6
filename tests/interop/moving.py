#!/usr/bin/python3
"""Addresses that change under traffic: a NAT that forgets its mappings, strongSwan that moves, and `onrampd --site` that does."""
import os
import re
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from flow import Flow
from lab import ANYCAST4, HQ, NAT, SITE_A, Gateway, Lab, wait_until
from site_role import Site

LAN = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}
SECOND = "198.18.0.2"        # of site-a, by another uplink
NAT_AGAIN = "192.0.2.3"


class Customer:
    def __init__(self, gateway, node, number, **more):
        self.node, self.inner = node, f"10.252.0.{2 * number + 1}"
        self.tunnel = gateway.create_tunnel(f"{node}-{number}", f"10.252.0.{2 * number}/31", **more)
        self.psk = gateway.generate_psk(self.tunnel)
        self.fqdn = self.tunnel["remote_identities"]["fqdn_id"]
        for route in gateway.call("GET", "/routes")["routes"]:
            if route["prefix"] == f"{LAN[node]}/32":
                gateway.call("DELETE", f"/routes/{route['id']}")
        gateway.create_route(f"{LAN[node]}/32", self.inner)


def remote_of(gateway, customer):
    """Where the gateway sends to, without the port."""
    return gateway.tunnel_status(customer.tunnel)["remote"].rpartition(":")[0]


def counters(gateway):
    return {one["name"]: one["value"] for one in gateway.status()["counters"]}


def follows(gateway, customer, address, timeout=10):
    return wait_until(lambda: remote_of(gateway, customer) == address, timeout, 0.1)


def build_second_uplink(lab):
    lab.link("inet", "to-a2", ["198.18.0.1/24"], "site-a", "wan2", [f"{SECOND}/24"])


def use_uplink(lab, gateway_address):
    lab.ip("site-a", f"route replace default via {gateway_address}")


class Replay:
    """One ESP packet of a site, sent again from an address that is not its own."""

    def __init__(self, lab, node):
        self.path = lab.directory / "one.pcap"
        self.lab = lab
        self.process = lab.spawn(node, "tcpdump", "-i", "to-nat", "-n", "-U", "-Z", "root", "-c", "1", "-w", self.path,
                                 "src host %s and udp dst port 4500 and udp[8:4] != 0 and udp[4:2] > 20" % NAT,
                                 log="tcpdump-one.log")
        if not wait_until(lambda: self.path.exists() and self.path.stat().st_size >= 24, 10):
            raise OSError("tcpdump does not start")

    def packet(self):
        self.process.popen.wait(10)
        frame = self.path.read_bytes()[24 + 16:]
        head = 14 + 4 * (frame[14] & 15)
        return frame[head + 8:14 + struct.unpack_from(">H", frame, 16)[0]]

    def send(self, node, times):
        program = ("import socket, sys, time\n"
                   "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('192.0.2.1', 4500))\n"
                   "data = sys.stdin.buffer.read()\n"
                   f"for _ in range({times}): s.sendto(data, ('{ANYCAST4}', 4500)); time.sleep(0.05)\n")
        subprocess.run(self.lab.argv(node, sys.executable, "-c", program), input=self.packet(), check=True, timeout=30)


def change_nat_address(lab, old, new):
    """The kernel forgets the mappings of an address that goes."""
    lab.ip("nat", f"addr del {old}/24 dev wan")
    lab.ip("nat", f"addr add {new}/24 dev wan")
    lab.ip("nat", "route replace default via 192.0.2.1")


def behind_nat(checks, lab, gateway):
    customer = Customer(gateway, "site-b", 1)
    charon = Charon(lab, "site-b", "10.99.0.2")
    charon.start()
    charon.configure(customer.fqdn, customer.psk, start_port=4500)
    with checks.case("NAT: a mapping that changes under traffic is followed, after a check, and soon"):
        check(charon.initiate(), charon.said)
        check(lab.ping_until("site-b", LAN["site-b"], HQ), "no traffic")
        before = counters(gateway)
        flow = Flow(lab, (("site-b", LAN["site-b"]), ("hq", HQ)), 50)
        time.sleep(0.5)
        change_nat_address(lab, NAT, NAT_AGAIN)
        check(follows(gateway, customer, NAT_AGAIN), f"still at {remote_of(gateway, customer)}")
        time.sleep(1)
        out, back = flow.finish(1)
        check(not out.repeated and not back.repeated, f"{out}; {back}")
        check(len(out.lost) <= 5, f"{out}")  # none of these waits for the gateway
        check(back.longest_gap < 2, f"{back}")
        check(counters(gateway)["address_changes"] == before["address_changes"] + 1, "not one change")
    steady = lab.spawn("site-b", "ping", "-q", "-i", "0.1", "-I", LAN["site-b"], HQ, log="ping-steady.log")
    with checks.verdict("natt.flapping", "a NAT that changes its address again and again") as verdict:
        for old, new in ((NAT_AGAIN, NAT), (NAT, NAT_AGAIN), (NAT_AGAIN, NAT)):
            change_nat_address(lab, old, new)
            check(follows(gateway, customer, new), f"still at {remote_of(gateway, customer)}")
        why = gateway.curl("GET", f"/accounts/{gateway.account['id']}/onramp/tunnels/{customer.tunnel['id']}/why")[1]["result"]
        verdict.take(next((one for one in why["history"] if one["code"] == "natt.flapping"), None),
                     sentence=("4 changes", NAT, NAT_AGAIN), change=("keep_alive",), side="peer")
    with checks.case("NAT: an old ESP packet from elsewhere moves nothing"):
        before, at = counters(gateway), gateway.tunnel_status(customer.tunnel)["remote"]
        replay = Replay(lab, "inet")
        replay.send("inet", 3)
        check(lab.ping("hq", HQ, LAN["site-b"], count=20, interval=0.1) == 20, "packets lost")
        check(gateway.tunnel_status(customer.tunnel)["remote"] == at, "the gateway has followed")
        check(counters(gateway)["address_changes"] == before["address_changes"], "a change was counted")
    steady.stop()
    charon.stop()


def strongswan_moves(checks, lab, gateway):
    customer = Customer(gateway, "site-a", 2)
    charon = Charon(lab, "site-a", "%any")
    charon.start()
    charon.configure(customer.fqdn, customer.psk, mobike="yes")
    with checks.case("strongSwan moves to another address: no new IKE SA, the traffic goes on"):
        check(charon.initiate(), charon.said)
        check(lab.ping_until("site-a", LAN["site-a"], HQ), "no traffic")
        ike = re.findall(r"#\d+, ESTABLISHED.*?([0-9a-f]{16})_i", charon.sas())
        lab.ip("site-a", "addr add 203.0.113.3/24 dev wan")
        lab.ip("site-a", f"addr del {SITE_A}/24 dev wan")
        use_uplink(lab, "203.0.113.1")
        check(follows(gateway, customer, "203.0.113.3"), f"still at {remote_of(gateway, customer)}: {charon.log()[-2500:]}")
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 5) and lab.ping_until("hq", HQ, LAN["site-a"], 5), "no traffic")
        check(re.findall(r"#\d+, ESTABLISHED.*?([0-9a-f]{16})_i", charon.sas()) == ike, f"another IKE SA: {charon.sas()}")
        check("UPD_SA_ADDR" in charon.log(), "no UPDATE_SA_ADDRESSES")
    charon.stop()
    lab.ip("site-a", f"addr add {SITE_A}/24 dev wan")
    lab.ip("site-a", "addr del 203.0.113.3/24 dev wan")
    use_uplink(lab, "203.0.113.1")


def ups(site):
    return len(re.findall("IKE SA up", site.log()))


def site_moves(checks, lab, gateway):
    customer = Customer(gateway, "site-a", 3)
    keys = {"identity": f"fqdn:{customer.fqdn}", "psk": customer.psk, "addresses": f"{customer.inner}/31"}
    site = Site(lab, "site-a", {"hq": {**keys, "routes": "0.0.0.0/0", "default_route": "yes"}})
    site.start()
    with checks.case("a site whose default route is the tunnel: its own IKE and ESP stay outside"):
        check(site.up("hq") and lab.ping_until("site-a", LAN["site-a"], HQ), f"not up: {site.log()[-1500:]}")
        check("dev onr0" in lab.run("site-a", "ip", "route", "get", "9.9.9.9").stdout, "the default route is another one")
        check("dev wan" in lab.run("site-a", "ip", "route", "get", ANYCAST4).stdout, "the gateway is inside")
        check(site.status("hq")["remote"].endswith(":4500") and not site.status("hq")["udp_encap"], f"{site.status('hq')}")
    with checks.case("its uplink changes, there and back: the same IKE SA, the traffic goes on"):
        flow = Flow(lab, (("site-a", LAN["site-a"]), ("hq", HQ)), 50)
        time.sleep(0.5)
        for address, next_hop in ((SECOND, "198.18.0.1"), (SITE_A, "203.0.113.1")):
            use_uplink(lab, next_hop)
            check(follows(gateway, customer, address), f"still at {remote_of(gateway, customer)}: {site.log()[-2500:]}")
            time.sleep(0.7)
        out, back = flow.finish(1)
        check(ups(site) == 1, "there was a new handshake")
        check(out.longest_gap < 2 and back.longest_gap < 2 and len(out.lost) + len(back.lost) < 100, f"{out}; {back}")
    with checks.case("stopped, it takes leave of the gateway"):
        start = time.monotonic()
        check(site.stop() == 0, "it did not end well")
        check(time.monotonic() - start < 4, "it took too long")
        check(wait_until(lambda: not gateway.tunnel_status(customer.tunnel)["up"], 3), "the gateway does not know")
        check("171" not in lab.run("site-a", "ip", "route").stdout, "routes are left behind")
    with checks.case("stopped while the gateway does not answer, it ends nevertheless"):
        site.start()
        check(site.up("hq"), f"not up: {site.log()[-1500:]}")
        lab.ip("inet", "link set to-gw down")
        start = time.monotonic()
        check(site.stop() == 0, "it did not end well")
        check(1.5 < time.monotonic() - start < 5, "not after two seconds")
        lab.ip("inet", "link set to-gw up")
        lab.ip("inet", f"route replace {ANYCAST4}/32 via 100.64.0.2")
        lab.ip("gw", "route replace default via 100.64.0.1")
    return keys


def site_into_nat(checks, lab, gateway):
    """site-b, whose uplink gets a NAT with another address while keepalives alone hold the mapping."""
    customer = Customer(gateway, "site-b", 4)
    site = Site(lab, "site-b", {"hq": {"identity": f"fqdn:{customer.fqdn}", "psk": customer.psk, "routes": "192.168.0.0/24",
                                       "addresses": f"{customer.inner}/31", "dpd_delay": 5}}, settings={"nat_keepalive": 1})
    site.start()
    with checks.case("a site behind a NAT keeps its mapping by keepalives, which the gateway takes silently"):
        check(site.up("hq"), f"not up: {site.log()[-1500:]}")
        before = counters(gateway)["drop_natt_keepalive"]
        check(wait_until(lambda: counters(gateway)["drop_natt_keepalive"] >= before + 2, 5), "no keepalives")
    with checks.case("a mapping that changes while the tunnel is idle is found by the site's liveness check"):
        change_nat_address(lab, NAT, NAT_AGAIN)
        check(follows(gateway, customer, NAT_AGAIN, 12), f"still at {remote_of(gateway, customer)}: {site.log()[-1500:]}")
        check(lab.ping_until("hq", HQ, LAN["site-b"], 5), "no traffic")
        check(ups(site) == 1, "there was a new handshake")
        change_nat_address(lab, NAT_AGAIN, NAT)
    site.stop()


def refused(checks, lab, gateway):
    customer = Customer(gateway, "site-a", 5, customer_endpoint=SITE_A)
    site = Site(lab, "site-a", {"hq": {"identity": f"fqdn:{customer.fqdn}", "psk": customer.psk, "routes": "192.168.0.0/24",
                                       "addresses": f"{customer.inner}/31"}}, name="refused")
    site.start()
    with checks.verdict("live.move_refused", "a site moves away from the customer_endpoint of its tunnel") as verdict:
        check(site.up("hq"), f"not up: {site.log()[-1500:]}")
        use_uplink(lab, "198.18.0.1")
        check(wait_until(lambda: "UNACCEPTABLE_ADDRESSES" in site.log() or "move to another address was refused" in site.log(), 8),
              f"not refused: {site.log()[-1500:]}")
        verdict.take(wait_until(lambda: gateway.find_verdict("live.move_refused"), 5), sentence=(SECOND, SITE_A),
                     change=("customer_endpoint",), side="either")
    site.stop()
    use_uplink(lab, "203.0.113.1")


def without_mobike(checks, lab, gateway):
    customer = Customer(gateway, "site-a", 6)
    site = Site(lab, "site-a", {"hq": {"identity": f"fqdn:{customer.fqdn}", "psk": customer.psk, "routes": "192.168.0.0/24",
                                       "addresses": f"{customer.inner}/31", "mobike": "no"}}, name="plain")
    site.start()
    with checks.verdict("live.moved", "without MOBIKE a site starts anew from its new address") as verdict:
        check(site.up("hq") and lab.ping_until("site-a", LAN["site-a"], HQ), f"not up: {site.log()[-1500:]}")
        use_uplink(lab, "198.18.0.1")
        check(follows(gateway, customer, SECOND), f"still at {remote_of(gateway, customer)}: {site.log()[-1500:]}")
        check(ups(site) == 2, "no new handshake")
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 5), "no traffic")
        verdict.take(site.failure("hq", "live.moved"), side="none")
    site.stop()
    use_uplink(lab, "203.0.113.1")


def site_moves_from_strongswan(checks, lab):
    """strongSwan is the gateway, and follows what the site says (RFC 4555 3.5)."""
    identity, psk = "branch.example.net", "a key for strongSwan"
    charon = Charon(lab, "gw", ANYCAST4, name="gateway")
    charon.start()
    charon.configure(ANYCAST4, psk, gateway="%any", gateway_id=identity, ike="aes256gcm16-prfsha256-modp2048",
                     esp="aes256gcm16-modp2048", mobike="yes", local_ts="192.168.0.0/24", remote_ts=f"{LAN['site-a']}/32")
    site = Site(lab, "site-a", {"swan": {"identity": f"fqdn:{identity}", "psk": psk, "routes": "192.168.0.0/24"}}, name="swan")
    site.start()
    with checks.case("a site moves, there and back, and strongSwan as the gateway follows: the same IKE SA, the traffic goes on"):
        check(site.up("swan") and lab.ping_until("site-a", LAN["site-a"], HQ, 10), f"not up: {site.log()[-1500:]}")
        flow = Flow(lab, (("site-a", LAN["site-a"]), ("hq", HQ)), 50)
        time.sleep(0.5)
        for address, next_hop in ((SECOND, "198.18.0.1"), (SITE_A, "203.0.113.1")):
            use_uplink(lab, next_hop)
            check(wait_until(lambda: re.search(rf"remote\s+'{identity}' @ {address}", charon.sas()), 10, 0.1),
                  f"not at {address}: {charon.sas()} {site.log()[-2500:]}")
            time.sleep(0.7)
        out, back = flow.finish(1)
        check(ups(site) == 1, "there was a new handshake")
        check(out.longest_gap < 2 and back.longest_gap < 2 and len(out.lost) + len(back.lost) < 100, f"{out}; {back}")
    site.stop()
    charon.stop()


def main():
    with Lab() as lab:
        lab.build_network()
        for node, address in LAN.items():
            lab.ip(node, f"addr add {address}/32 dev lo")
        build_second_uplink(lab)
        lab.run("site-a", "sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1")
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("moving", lab)
        gateway.create_account("moving")
        for part in (behind_nat, strongswan_moves, site_moves, site_into_nat, refused, without_mobike):
            part(checks, lab, gateway)
        gateway.stop()
        site_moves_from_strongswan(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

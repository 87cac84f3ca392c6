#!/usr/bin/python3
"""With an initiator of our own, what strongSwan's user-space ESP cannot do: native ESP, no NAT, IPv6 outside and inside."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from lab import ANYCAST4, ANYCAST6, HQ, SITE_A, SITE_A6, SITE_B, Gateway, Lab, wait_until

HQ6 = "fd00:0:0:1::10"
ESP = ["aes128gcm16", "aes256gcm16", "aes256-sha256", "aes256-sha1"]
ALL_STEPS = "ping,rekey,ping,rekey-ike,ping,liveness,rekey,ping,delete"


class Peer:
    def __init__(self, lab, gateway, node, tunnel, psk, inner, ping):
        self.lab, self.gateway, self.node, self.tunnel = lab, gateway, node, tunnel
        self.program = gateway.build / "tests" / "peer" / "onramp-peer"
        self.env = {**os.environ, "ONRAMP_PEER_PSK": psk}
        self.inner = [word for address in inner for word in ("--inner", address)]
        self.ping = [word for address in ping for word in ("--ping", address)]

    def argv(self, gateway, local, *options):
        return [self.program, "--gateway", gateway, "--local", local,
                "--id", f"fqdn:{self.tunnel['remote_identities']['fqdn_id']}", *self.inner, *self.ping,
                "--count", 5, "--interval-ms", 10, "--timeout", 5, *options]

    def run(self, gateway, local, *options):
        """Runs the initiator; its report. Raises when a step did not hold."""
        done = self.lab.run(self.node, *self.argv(gateway, local, *options), check=False, env=self.env)
        check(done.returncode == 0, f"status {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)


def counter(gateway, name):
    return next(c["value"] for c in gateway.status()["counters"] if c["name"] == name)


def families(checks, gateway, peers):
    """Outer IPv4 and IPv6, native and in UDP, with both families inside."""
    for outer, (peer, anycast, local) in peers.items():
        for name, options, encap in ((f"native ESP over {outer}, no NAT", ("--nat", "true"), False),
                                     (f"ESP in UDP over {outer}, start on 500", ("--nat", "fake"), True),
                                     (f"ESP in UDP over {outer}, start on 4500", ("--nat", "fake", "--start-port", 4500), True)):
            with checks.case(f"{name}: traffic of both families, rekeys, Delete"):
                peer.run(anycast, local, *options, "--do", ALL_STEPS)
        with checks.case(f"status of native ESP over {outer}"):
            process = peer.lab.spawn(peer.node, *peer.argv(anycast, local, "--do", "ping,wait:3,delete"),
                                     log=f"peer-{outer}.log", env=peer.env)
            live = wait_until(lambda: (s := gateway.tunnel_status(peer.tunnel))["up"] and s["in_packets"] and s, 3)
            check(live, f"not up: {gateway.tunnel_status(peer.tunnel)}; {process.log_tail()}")
            check(not live["udp_encap"] and not live["nat_claimed"] and not live["nat_seen"], f"status: {live}")
            check(process.popen.wait(20) == 0, process.log_tail())


def suites(checks, gateway, peers):
    peer, anycast, local = peers["IPv4"]
    gateway.call("PUT", f"/ipsec_tunnels/{peer.tunnel['id']}", {"allow_null_cipher": True})
    for esp in ESP + ["null-sha256", "null-sha1"]:
        for group in ("modp2048", "modp1536"):
            with checks.case(f"native {esp}, sizes from 0 to 1380, rekey with {group}"):
                for size in (0, 1, 13, 14, 15, 16, 17, 64, 577, 1380):
                    peer.run(anycast, local, "--esp", f"{esp}-{group}", "--size", size, "--do", "ping,delete")
                peer.run(anycast, local, "--esp", f"{esp}-{group}", "--do", "ping,rekey-pfs,ping,delete")


def selectors(checks, gateway, peers):
    peer, anycast, local = peers["IPv4"]
    narrow = ("--ts-local", "10.1.0.0/28", "--ts-remote", "192.168.0.0/24")
    with checks.case("narrower selectors are taken as they are"):
        four = Peer(peer.lab, gateway, peer.node, peer.tunnel, peer.env["ONRAMP_PEER_PSK"], ["10.1.0.1"], [HQ])
        four.run(anycast, local, *narrow, "--do", "ping,delete")
    for name, inner, ping, reason in (("inner source outside the selectors", "10.1.0.99", HQ, "drop_inner_source"),
                                      ("inner destination outside the selectors", "10.1.0.1", "192.168.1.1", "drop_inner_selector")):
        with checks.case(f"{name}: dropped and counted"):
            before = counter(gateway, reason)
            wrong = Peer(peer.lab, gateway, peer.node, peer.tunnel, peer.env["ONRAMP_PEER_PSK"], [inner], [ping])
            done = peer.lab.run(peer.node, *wrong.argv(anycast, local, *narrow, "--do", "ping"), check=False, env=wrong.env)
            check(done.returncode != 0 and '"received":0' in done.stdout, f"answered: {done.stdout}{done.stderr}")
            after = counter(gateway, reason)
            check(after - before == 5, f"{reason} went from {before} to {after}")


def refusals(checks, peers):
    peer, anycast, local = peers["IPv4"]
    for name, expect, options in (
            ("transport mode becomes tunnel mode", "up", ("--transport",)),
            ("ESN alone", "no-proposal", ("--esn",)),
            ("no AUTH payload", "auth-failed", ("--no-auth",)),
            ("a configuration request is not answered with an address", "up", ("--ask-config",)),
            ("IKEv1", "silence", ("--fault", "ikev1", "--timeout", 2)),
            ("a first KE of the other group is corrected", "up", ("--ke-group", 5)),
            ("a selector of other networks alone", "up", ("--ts-local", "172.16.0.0/12"))):
        with checks.case(name):
            peer.run(anycast, local, *options, "--expect", expect)
    with checks.case("padding behind inner packets and dummy packets are taken and thrown away"):
        before = counter(peer.gateway, "drop_esp_dummy")
        for tfc in (1, 37, 600):
            peer.run(anycast, local, "--tfc", tfc, "--dummies", "--do", "ping,rekey,ping,delete")
        check(counter(peer.gateway, "drop_esp_dummy") - before >= 15, "no dummy packet was counted")
    path = f"/ipsec_tunnels/{peer.tunnel['id']}"
    peer.gateway.call("PUT", path, {"replay_protection": True, "onramp": {"esn": True}})
    for esp in ("aes256gcm16", "aes128gcm16", "aes256-sha256", "aes128-sha1"):
        with checks.case(f"extended sequence numbers with {esp}"):
            peer.run(anycast, local, "--esn", "--esp", esp, "--do", ALL_STEPS)
            peer.run(anycast, local, "--esn-too", "--esp", esp, "--do", "ping,rekey,ping,delete")
    with checks.case("where both sides may they are taken, and a peer without them is taken too"):
        process = peer.lab.spawn(peer.node, *peer.argv(anycast, local, "--esn-too", "--do", "ping,wait:2,delete"),
                                 log="peer-esn.log", env=peer.env)
        check(wait_until(lambda: "ESN" in str(peer.gateway.tunnel_status(peer.tunnel).get("child_suite")), 3),
              f"{peer.gateway.tunnel_status(peer.tunnel)}")
        check(process.popen.wait(20) == 0, process.log_tail())
        peer.run(anycast, local, "--do", "ping,rekey,ping,delete")
    peer.gateway.call("PUT", path, {"replay_protection": False, "onramp": {"esn": False}})
    with checks.case("a peer that says no NAT detection at all stays native on 500"):
        peer.run(anycast, local, "--nat", "none", "--do", "ping,delete")


def restarts(checks, peers):
    peer, anycast, local = peers["IPv4"]
    with checks.case("a peer that starts again without a Delete gets every answer, ten times"):
        for _ in range(10):
            peer.run(anycast, local, "--do", "ping")
    with checks.case("one that forgets its SAs, and never says that it knows of no other, has 16 of them at most"):
        for _ in range(18):
            peer.run(anycast, local, "--no-initial-contact", "--do", "liveness")
        check(wait_until(lambda: counter(peer.gateway, "child_sas") == 16, 3), f"{counter(peer.gateway, 'child_sas')} Child SAs")
        peer.run(anycast, local, "--do", "ping,delete")
        check(wait_until(lambda: counter(peer.gateway, "child_sas") == 0, 3), f"{counter(peer.gateway, 'child_sas')} Child SAs")


def behind_nat(checks, lab, gateway, tunnel, psk):
    peer = Peer(lab, gateway, "site-b", tunnel, psk, ["10.2.0.1"], [HQ])
    for port in (500, 4500):
        with checks.case(f"behind the NAT, start on {port}"):
            peer.run(ANYCAST4, SITE_B, "--start-port", port, "--do", ALL_STEPS)


def main():
    with Lab() as lab:
        lab.build_network()
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("native", lab)
        gateway.create_account("native")
        peers = {}
        inner6 = {"interface_address6": "fd00:252::/127"}
        four = gateway.create_tunnel("four", "10.252.0.2/31", **inner6)
        four_psk = gateway.generate_psk(four)
        gateway.create_route("10.1.0.0/24", "10.252.0.3")
        gateway.create_route("fd00:1::/64", "fd00:252::1")
        peers["IPv4"] = (Peer(lab, gateway, "site-a", four, four_psk, ["10.1.0.1", "fd00:1::1"], [HQ, HQ6, "10.252.0.2", "fd00:252::"]),
                         ANYCAST4, SITE_A)
        six = gateway.create_tunnel("six", "10.252.0.4/31", ANYCAST6)
        six_psk = gateway.generate_psk(six)
        gateway.create_route("10.3.0.0/24", "10.252.0.5")
        peers["IPv6"] = (Peer(lab, gateway, "site-a", six, six_psk, ["10.3.0.1"], [HQ, "10.252.0.4"]), ANYCAST6, SITE_A6)
        nat = gateway.create_tunnel("nat", "10.252.0.6/31")
        gateway.create_route("10.2.0.0/24", "10.252.0.7")
        families(checks, gateway, peers)
        suites(checks, gateway, peers)
        selectors(checks, gateway, peers)
        refusals(checks, peers)
        restarts(checks, peers)
        behind_nat(checks, lab, gateway, nat, gateway.generate_psk(nat))
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Rekeys without loss, a NAT that forgets, Deletes, killed processes, stop and start."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import HQ, SITE_A, SITE_B, Gateway, Lab, ping_argv, pings_lost, wait_until

LANS = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}
RECOVERY = "dpd_delay = 2s"
RECOVERY_CHILD = "dpd_action = start\n\t\t\t\tclose_action = start\n\t\t\t\tstart_action = start"


class Stream:
    """Echo requests every 10 ms in the background; the count of those without an answer."""

    def __init__(self, lab, node, source, target, seconds):
        self.count, self.deadline = seconds * 100, seconds * 3 + 5
        self.process = lab.spawn(node, *ping_argv(source, target, self.count, 0.01, self.deadline),
                                 log=f"ping-{node}-{time.monotonic_ns()}.log")

    def lost(self):
        self.process.popen.wait(self.deadline + 30)
        return pings_lost(self.process.log_tail(2 * self.count), self.count)


def rekeyed(site, rekey, spis):
    old = spis(site)
    check(rekey(), "swanctl --rekey failed")
    check(wait_until(lambda: spis(site) and not set(spis(site)) & set(old), 10), f"not rekeyed:\n{site.sas()}")


def ike_spis(site):
    return re.findall(r"IKEv2, ([0-9a-f]{16})_i", site.sas())


def rekeys(checks, lab, site):
    with checks.case("three Child rekeys under traffic lose nothing"):
        stream = Stream(lab, "site-a", LANS["site-a"], HQ, 6)
        back = Stream(lab, "hq", HQ, LANS["site-a"], 6)
        for _ in range(3):
            time.sleep(1)
            rekeyed(site, site.rekey_child, Charon.child_spis)
        lost, lost_back = stream.lost(), back.lost()
        check(lost == 0 and lost_back == 0, f"{lost} lost to hq, {lost_back} lost from hq, of 600 each")
    with checks.case("an IKE rekey under traffic loses nothing"):
        stream = Stream(lab, "site-a", LANS["site-a"], HQ, 3)
        time.sleep(0.5)
        rekeyed(site, site.rekey_ike, ike_spis)
        lost = stream.lost()
        check(lost == 0, f"{lost} of 300 lost")
    with checks.case("the Child SA is rekeyed under the new IKE SA, and the IKE SA again"):
        rekeyed(site, site.rekey_child, Charon.child_spis)
        rekeyed(site, site.rekey_ike, ike_spis)
        rekeyed(site, site.rekey_child, Charon.child_spis)
        check(lab.ping("site-a", LANS["site-a"], HQ) == 3, "no traffic afterwards")


def deletes(checks, lab, gateway, site, tunnel):
    with checks.case("a Delete by the peer ends the tunnel"):
        check(site.terminate(), "not answered")
        check(wait_until(lambda: not gateway.tunnel_status(tunnel)["up"], 5), "still up")
        check(site.initiate() and lab.ping_until("site-a", LANS["site-a"], HQ), "it does not come back")
    with checks.case("a peer that lost its memory starts again at once"):
        site.process.kill()
        site.start()
        site.load()
        check(wait_until(site.child_spis, 15), f"not up: {site.log()[-2000:]}")
        check(lab.ping_until("site-a", LANS["site-a"], HQ), "no traffic")
        check(wait_until(lambda: gateway.tunnel_status(tunnel)["child_count"] == 1, 10),
              f"the former Child SA is still there: {gateway.tunnel_status(tunnel)}")


def nat_timeouts(lab, unreplied, stream):
    lab.run("nat", "sysctl", "-qw", f"net.netfilter.nf_conntrack_udp_timeout={unreplied}",
            f"net.netfilter.nf_conntrack_udp_timeout_stream={stream}")


def nat_forgets(checks, lab, gateway, tunnel):
    with checks.case("a NAT that gives another port is followed"):
        before = gateway.tunnel_status(tunnel)["remote"]
        nat_timeouts(lab, 1, 1)
        lab.ping("site-b", LANS["site-b"], HQ, 1)
        time.sleep(3.5)
        nat_timeouts(lab, 30, 120)
        check(lab.ping_until("site-b", LANS["site-b"], HQ, 15), "no traffic after the NAT forgot")
        after = gateway.tunnel_status(tunnel)["remote"]
        check(after != before, f"the address is still {before}: did the NAT give the same port?")


def both_reach(lab, seconds=60):
    for node in LANS:
        check(lab.ping_until(node, LANS[node], HQ, seconds), f"no traffic from {node}")
        check(lab.ping_until("hq", HQ, LANS[node], 10), f"no traffic to {node}")


def crashes(checks, lab, gateway):
    with checks.case("kill -9 of the api process: traffic untouched, the API comes back"):
        stream = Stream(lab, "site-a", LANS["site-a"], HQ, 4)
        time.sleep(0.5)
        pid = gateway.child_pid("api")
        os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: gateway.child_pid("api") not in (None, pid), 10), "not started again")
        gateway.wait_ready(20)
        lost = stream.lost()
        check(lost == 0, f"{lost} of 400 lost")
        check(wait_until(lambda: gateway.status(), 5), "no status")
    with checks.case("kill -9 of the gateway process: it comes back, and the peers too"):
        pid = gateway.child_pid("gateway")
        os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: gateway.child_pid("gateway") not in (None, pid), 10), "not started again")
        both_reach(lab)
        gateway.wait_ready(20)
    with checks.case("stop and start: the configuration is intact, the peers come back"):
        before = [gateway.call("GET", path) for path in ("/ipsec_tunnels", "/routes")]
        status = gateway.stop()
        check(status == 0, f"onrampd ended with status {status}")
        devices = lab.run("gw", "ip", "-br", "link").stdout
        check("onr-" not in devices, f"a device was left behind: {devices}")
        gateway.start()
        after = [gateway.call("GET", path) for path in ("/ipsec_tunnels", "/routes")]
        check(before == after, f"before {before}, after {after}")
        both_reach(lab)


def main():
    with Lab() as lab:
        lab.build_network()
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("lifecycle", lab)
        gateway.create_account("lifecycle")
        sites, tunnels = {}, {}
        for number, (node, address, port) in enumerate((("site-a", SITE_A, 500), ("site-b", SITE_B, 4500)), 1):
            lab.ip(node, f"addr add {LANS[node]}/32 dev lo")
            tunnels[node] = gateway.create_tunnel(node, f"10.252.0.{2 * number}/31")
            gateway.create_route(f"10.{number}.0.0/24", f"10.252.0.{2 * number + 1}")
            sites[node] = Charon(lab, node, address)
            sites[node].start()
            sites[node].configure(tunnels[node]["remote_identities"]["fqdn_id"], gateway.generate_psk(tunnels[node]),
                                  start_port=port, esp="aes256gcm16-modp2048", more=RECOVERY, child_more=RECOVERY_CHILD)
            with checks.case(f"{node} up"):
                check(wait_until(sites[node].child_spis, 15), f"not up: {sites[node].log()[-2000:]}")
                check(lab.ping_until(node, LANS[node], HQ), "no traffic")
        rekeys(checks, lab, sites["site-a"])
        deletes(checks, lab, gateway, sites["site-a"], tunnels["site-a"])
        nat_forgets(checks, lab, gateway, tunnels["site-b"])
        crashes(checks, lab, gateway)
        checks.finish()


if __name__ == "__main__":
    main()

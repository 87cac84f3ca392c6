#!/usr/bin/python3
"""Policy-based peers: many Child SAs with selectors of their own on one IKE SA, a childless start, protocols and ports, beside a
route-based peer with 0.0.0.0/0."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import HQ, SITE_A, SITE_B, Gateway, Lab, wait_until

POLICIES = 12
WEB = 20  # of this network only TCP to port 8000
CHILD = """{name} {{
				local_ts = {local}
				remote_ts = {remote}
				esp_proposals = aes256gcm16
				replay_window = 0
			}}
			"""


def children():
    more = "".join(CHILD.format(name=f"net{n}", local=f"10.1.{n}.0/24", remote="192.168.0.0/24") for n in range(1, POLICIES))
    return more + CHILD.format(name="web", local=f"10.1.{WEB}.0/24", remote="192.168.0.0/24[tcp/8000]")


def main():
    with Lab() as lab:
        lab.build_network()
        for n in [*range(POLICIES), WEB]:
            lab.ip("site-a", f"addr add 10.1.{n}.1/32 dev lo")
        lab.ip("site-b", "addr add 10.2.0.1/32 dev lo")
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("policies", lab)
        gateway.create_account("policies")
        a, b = gateway.create_tunnel("a", "10.252.0.2/31"), gateway.create_tunnel("b", "10.252.0.4/31")
        gateway.create_route("10.1.0.0/16", "10.252.0.3")
        gateway.create_route("10.2.0.0/16", "10.252.0.5")
        site, other = Charon(lab, "site-a", SITE_A), Charon(lab, "site-b", SITE_B)
        site.start()
        other.start()
        with checks.case("a route-based peer with 0.0.0.0/0 is up"):
            other.configure(b["remote_identities"]["fqdn_id"], gateway.generate_psk(b))
            check(other.initiate(), f"not up: {other.said}")
        psk = gateway.generate_psk(a)
        with checks.case("a childless start, and the first Child SA by CREATE_CHILD_SA"):
            site.configure(a["remote_identities"]["fqdn_id"], psk, esp="aes256gcm16", local_ts="10.1.0.0/24",
                           remote_ts="192.168.0.0/24", more="childless = force", more_children=children())
            check(site.initiate(), f"not up: {site.said}")
            check("CREATE_CHILD_SA" in site.log(), "the Child SA came with IKE_AUTH")
            check(lab.ping("site-a", "10.1.0.1", HQ) == 3, "no traffic")
        with checks.case(f"{POLICIES} Child SAs on one IKE SA, each for its own network"):
            for n in range(1, POLICIES):
                check(site.initiate(child=f"net{n}"), f"net{n} is not up: {site.said}")
            check(gateway.tunnel_status(a)["child_count"] == POLICIES, f"status: {gateway.tunnel_status(a)}")
            for n in range(POLICIES):
                check(lab.ping("site-a", f"10.1.{n}.1", HQ) == 3, f"network {n}: no traffic to hq")
                check(lab.ping("hq", HQ, f"10.1.{n}.1") == 3, f"network {n}: no traffic from hq")
        with checks.case("selectors with protocol and port let pass what they name and nothing else"):
            check(lab.ping("hq", HQ, f"10.1.{WEB}.1", 1, wait=1) == 0, "a packet for no selector passed")
            check(site.initiate(child="web"), f"not up: {site.said}")
            directory = lab.directory / "web"
            directory.mkdir()
            (directory / "file").write_bytes(os.urandom(200000))
            lab.serve_files("hq", HQ, directory)
            lab.fetch_sum("site-a", f"10.1.{WEB}.1", f"http://{HQ}:8000/file")
            check(lab.ping("hq", HQ, f"10.1.{WEB}.1", 1, wait=1) == 0, "a packet outside of the selectors passed")
        with checks.case("an IKE rekey takes all of them along"):
            check(site.rekey_ike(), "swanctl --rekey failed")
            check(wait_until(lambda: "established" in site.sas().lower() and site.sas().count("INSTALLED") == POLICIES + 1, 10),
                  site.sas())
            for n in (0, POLICIES - 1):
                check(lab.ping("site-a", f"10.1.{n}.1", HQ) == 3 and lab.ping("hq", HQ, f"10.1.{n}.1") == 3, f"network {n}")
        with checks.case("after a restart of the gateway process each is there again"):
            pid = gateway.child_pid("gateway")
            os.kill(pid, 9)
            check(wait_until(lambda: gateway.child_pid("gateway") not in (None, pid), 10), "not started again")
            gateway.wait_ready(20)
            check(wait_until(lambda: gateway.tunnel_status(a)["child_count"] == POLICIES + 1, 10),
                  f"status: {gateway.tunnel_status(a)}")
            for n in range(POLICIES):
                check(lab.ping_until("hq", HQ, f"10.1.{n}.1"), f"network {n}: no traffic")
            check(lab.ping_until("hq", HQ, "10.2.0.1"), "no traffic to the route-based peer")
        with checks.case("one Child SA is deleted, the others stay; then all of it"):
            check(site.swanctl("--terminate", "--child", "net3", check=False).returncode == 0, "not terminated")
            check(wait_until(lambda: gateway.tunnel_status(a)["child_count"] == POLICIES, 5), "not deleted")
            check(lab.ping("hq", HQ, "10.1.3.1", 1, wait=1) == 0, "its network still has traffic")
            check(lab.ping("hq", HQ, "10.1.4.1") == 3, "another one has none")
            check(site.terminate(), "Delete not answered")
            check(wait_until(lambda: not gateway.tunnel_status(a)["up"], 5), "still up")
            check(lab.ping("hq", HQ, "10.2.0.1") == 3, "the other tunnel suffered")
        checks.finish()


if __name__ == "__main__":
    main()

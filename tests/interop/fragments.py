#!/usr/bin/python3
"""IKE messages in fragments (RFC 7383), both ways, with strongSwan: whole handshakes and rekeys in pieces, and pieces that get lost."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import HQ, SITE_A, Gateway, Lab, wait_until

LAN = "10.1.0.1"
# Eight selectors a side: with a Diffie-Hellman value beside them an answer does not fit 576 bytes.
LOCAL_TS = ", ".join(f"10.1.{n}.0/24" for n in range(8))
REMOTE_TS = "192.168.0.0/24, " + ", ".join(f"192.168.{n}.0/24" for n in range(1, 8))
LOSS = """table inet loss {
	chain forward {
		type filter hook forward priority 0; policy accept;
		udp dport { 500, 4500 } ip saddr 203.0.113.2 meta length > 200 numgen random mod 100 < 30 drop
	}
}
"""


def counter(gateway, name):
    return next(c["value"] for c in gateway.status()["counters"] if c["name"] == name)


def grown(gateway, name, before, least=1):
    return wait_until(lambda: counter(gateway, name) >= before + least, 3)


def rekeyed(site, rekey, spis):
    old = spis()
    check(rekey(), "swanctl --rekey failed")
    check(wait_until(lambda: spis() and not set(spis()) & set(old), 15), f"not rekeyed:\n{site.sas()}")


def main():
    with Lab() as lab:
        lab.build_network()
        for n in range(8):
            lab.ip("site-a", f"addr add 10.1.{n}.1/32 dev lo")
        gateway = Gateway(lab, settings={"gateway": {"ike_fragment_mtu": 576}})
        gateway.start()
        checks = Checks("fragments", lab)
        gateway.create_account("fragments")
        tunnel = gateway.create_tunnel("a", "10.252.0.2/31")
        psk = gateway.generate_psk(tunnel)
        gateway.create_route("10.1.0.0/16", "10.252.0.3")
        site = Charon(lab, "site-a", SITE_A, more="fragment_size = 300", tries=8, retransmit=0.5)
        site.start()

        def up(mode):
            site.configure(tunnel["remote_identities"]["fqdn_id"], psk, esp="aes256gcm16-modp2048", local_ts=LOCAL_TS,
                           remote_ts=REMOTE_TS, more=f"fragmentation = {mode}")
            check(site.initiate(40), f"not up: {site.said}")
            check(lab.ping("site-a", LAN, HQ) == 3 and lab.ping("hq", HQ, "10.1.7.1") == 3, "no traffic")

        for mode in ("yes", "force"):
            with checks.case(f"fragmentation = {mode}: IKE_AUTH comes in fragments"):
                before = counter(gateway, "ike_fragmented_in")
                up(mode)
                check(grown(gateway, "ike_fragmented_in", before), "it came in one piece")
            with checks.case(f"fragmentation = {mode}: a Child rekey in fragments, both ways"):
                before_in, before_out = (counter(gateway, f"ike_fragmented_{way}") for way in ("in", "out"))
                rekeyed(site, site.rekey_child, site.child_spis)
                check(grown(gateway, "ike_fragmented_in", before_in), "the request came in one piece")
                check(grown(gateway, "ike_fragmented_out", before_out), "the answer went in one piece")
                check("EF(1/2)" in site.log() or "received fragment #1 of 2" in site.log(), "strongSwan saw no fragment")
                check(lab.ping("site-a", LAN, HQ) == 3, "no traffic afterwards")
                check(site.terminate(), "Delete not answered")
        with checks.case("fragmentation = no: nothing goes in fragments"):
            before = [counter(gateway, f"ike_fragmented_{way}") for way in ("in", "out")]
            up("no")
            rekeyed(site, site.rekey_child, site.child_spis)
            check(site.terminate(), "Delete not answered")
            check([counter(gateway, f"ike_fragmented_{way}") for way in ("in", "out")] == before, "fragments went")
        with checks.case("a third of the fragments gets lost: it comes up, is rekeyed and answers each request once"):
            lab.run("inet", "nft", "-f", "-", input=LOSS)
            begin = time.monotonic()
            established = counter(gateway, "ike_established")
            up("yes")
            rekeyed(site, site.rekey_child, site.child_spis)
            rekeyed(site, site.rekey_child, site.child_spis)
            lab.run("inet", "nft", "delete", "table", "inet", "loss")
            check(counter(gateway, "ike_established") == established + 1, "more than one IKE SA was made")
            check(wait_until(lambda: gateway.tunnel_status(tunnel)["child_count"] == 1, 10), "Child SAs were left over")
            check(time.monotonic() - begin < 60, "it took too long")
        checks.finish()


if __name__ == "__main__":
    main()

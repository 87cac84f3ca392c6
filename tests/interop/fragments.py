#!/usr/bin/python3
"""IKE messages in fragments (RFC 7383), both ways, with strongSwan: whole handshakes and rekeys in pieces, and pieces that get lost.
And in IP fragments, over IPv4 and IPv6: a handshake of onramp-peer's, and requests made by hand whose fragments are as they should be or not."""
import ipaddress
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import ANYCAST4, ANYCAST6, HQ, SITE_A, SITE_A6, Gateway, Lab, wait_until
from pieces import ANSWERED, ANSWERED6, SILENT, SILENT6, ask

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


# ---- IP fragments ----

def put_together(lab, version):
    """Datagrams that the gateway's kernel has put together."""
    if version == 6:
        lines = dict(line.split() for line in lab.run("gw", "cat", "/proc/net/snmp6").stdout.splitlines())
        return int(lines["Ip6ReasmOKs"])
    names, values = [line.split() for line in lab.run("gw", "cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Ip:")]
    return int(dict(zip(names, values))["ReasmOKs"])


def auth_in_ip_fragments(lab, gateway, number, source, target, mtu):
    """Fifteen selectors of IPv6 a side are more than a packet holds, and more than the gateway takes: it narrows them."""
    version = ipaddress.ip_address(target).version
    tunnel = gateway.create_tunnel(f"v{version}", f"10.252.{number}.0/31", endpoint=target)
    psk = gateway.generate_psk(tunnel)
    route = f"-{version} route replace default via {source[:-1]}1"
    selectors = [word for side in ("local", "remote")
                 for prefix in ("10.1.0.0/16", *(f"2001:db8:{n:x}::/48" for n in range(256, 270))) for word in (f"--ts-{side}", prefix)]
    before = put_together(lab, version)
    lab.ip("site-a", f"{route} mtu {mtu}")
    done = lab.run("site-a", gateway.build / "tests/peer/onramp-peer", "--gateway", target, "--local", source, "--id",
                   f"fqdn:{tunnel['remote_identities']['fqdn_id']}", "--timeout", 5, *selectors, "--expect", "up", check=False,
                   env={**os.environ, "ONRAMP_PEER_PSK": psk})
    lab.ip("site-a", route)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")
    check(put_together(lab, version) > before, "nothing came in IP fragments")


def pieces_of_every_kind(lab, source, target, answered, silent):
    found = ask(lab, "site-a", source, target, answered, silent)
    check(found == set(answered), f"answered: {sorted(found)}")


def in_ip_fragments(lab, gateway, checks):
    with checks.case("an IKE_AUTH in IPv4 fragments"):
        auth_in_ip_fragments(lab, gateway, 4, SITE_A, ANYCAST4, 576)
    with checks.case("an IKE_AUTH in IPv6 fragments"):
        auth_in_ip_fragments(lab, gateway, 6, SITE_A6, ANYCAST6, 1280)
    with checks.case("IPv4 fragments: the whole is answered, however it was cut; what overlaps or is not all there is not"):
        pieces_of_every_kind(lab, SITE_A, ANYCAST4, ANSWERED, SILENT)
    with checks.case("IPv6 fragments: likewise; one that is all of its datagram is taken, one without the headers is not"):
        pieces_of_every_kind(lab, SITE_A6, ANYCAST6, ANSWERED6, SILENT6)


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
        check(site.terminate(), "Delete not answered")
        site.stop()
        in_ip_fragments(lab, gateway, checks)
        checks.finish()


if __name__ == "__main__":
    main()

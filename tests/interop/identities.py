#!/usr/bin/python3
"""Each form of identity, both start ports, with a public address and behind a real NAT."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import ANYCAST4, HQ, SITE_A, SITE_B, Gateway, Lab, wait_until

LANS = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}


def forms(account, tunnel):
    """(name of the case, the identity in strongSwan's words, the form that the status must name)"""
    names = tunnel["remote_identities"]
    key = bytes.fromhex(names["hex_id"]).decode()
    check(key == f"{account['onramp']['number']}_{tunnel['id']}", f"hex_id says {key}")
    domain = names["fqdn_id"].split(".", 2)[2]
    return [
        ("FQDN", names["fqdn_id"], "fqdn"),
        ("RFC822", names["user_id"], "rfc822"),
        ("KEY_ID", f"keyid:{key}", "keyid"),
        ("FQDN in capitals", names["fqdn_id"].upper(), "fqdn"),
        ("FQDN with the 32-hex account", f"{tunnel['id']}.{account['id']}.{domain}", "fqdn"),
    ]


def one(lab, gateway, site, tunnel, psk, identity, port, form):
    site.configure(identity, psk, start_port=port)
    check(site.initiate(), f"not up: {site.said}")
    node = site.node
    got = lab.ping(node, LANS[node], HQ)
    check(got == 3, f"{got} of 3 pings to hq answered")
    got = lab.ping("hq", HQ, LANS[node])
    check(got == 3, f"{got} of 3 pings from hq answered")
    live = gateway.tunnel_status(tunnel)
    check(live["up"], f"status says it is not up: {live}")
    check(live["identity_type"] == form, f"status names the form {live['identity_type']}")
    check(live["start_port"] == port, f"status says start on {live['start_port']}")
    check(live["nat_seen"] == (node == "site-b"), f"status says NAT seen: {live['nat_seen']}")
    check(live["nat_claimed"], "status does not say that the peer claims a NAT")
    check(site.terminate(), "Delete not answered")
    check(wait_until(lambda: not gateway.tunnel_status(tunnel)["up"], 5), "still up after the peer's Delete")


def paste_key(gateway, site, tunnel, psk, identity):
    """The tunnel gets another key, and its router what the verdict says, letter by letter: that key."""
    new = gateway.generate_psk(tunnel)
    site.configure(identity, psk)
    check(not site.initiate(), "up with the former key")
    change = gateway.why(tunnel)["verdict"]["change"]
    own, far = re.search(r'id-1 = "(.*?)" and id-2 = (\S+) in lines of their own', change).groups()
    line = re.search(r"secrets \{.*?\} \}", change)[0].replace("THE KEY", new)
    for secrets in (line, line.replace("secret =", f'\nid-1 = "{own}"\nid-2 = {far}\nsecret =')):
        conf = site.directory / "swanctl" / "swanctl.conf"
        conf.write_text(conf.read_text().partition("secrets {")[0] + secrets + "\n")
        site.load()
        check(site.initiate(), f"not up with {secrets!r}: {site.said}")
        site.terminate()
    return new


def main():
    with Lab() as lab:
        lab.build_network()
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("identities", lab)
        account = gateway.create_account("identities")
        sites = {}
        for number, (node, address) in enumerate((("site-a", SITE_A), ("site-b", SITE_B)), 1):
            lab.ip(node, f"addr add {LANS[node]}/32 dev lo")
            tunnel = gateway.create_tunnel(node, f"10.252.0.{2 * number}/31")
            gateway.create_route(f"10.{number}.0.0/24", f"10.252.0.{2 * number + 1}")
            sites[node] = Charon(lab, node, address), tunnel, gateway.generate_psk(tunnel)
            sites[node][0].start()
        for node, (site, tunnel, psk) in sites.items():
            for name, identity, form in forms(account, tunnel):
                for port in (500, 4500):
                    with checks.case(f"{name} from {node} on UDP {port}"):
                        one(lab, gateway, site, tunnel, psk, identity, port, form)
        site, tunnel, psk = sites["site-a"]
        for name, identity, _ in forms(account, tunnel)[:3]:
            with checks.case(f"the line that the advice gives for a wrong key is taken by strongSwan as {name}"):
                psk = paste_key(gateway, site, tunnel, psk, identity)
        for port in (500, 4500):
            with checks.case(f"IPV4_ADDR on UDP {port}, with customer_endpoint"):
                gateway.call("PUT", f"/ipsec_tunnels/{tunnel['id']}", {"customer_endpoint": SITE_A})
                one(lab, gateway, site, tunnel, psk, SITE_A, port, "ipv4")
        with checks.case("IPV4_ADDR without customer_endpoint is refused"):
            site, tunnel, psk = sites["site-b"]
            site.configure(SITE_B, psk, start_port=4500)
            check(not site.initiate(), "accepted")
            check("AUTHENTICATION_FAILED" in site.said, f"not AUTHENTICATION_FAILED: {site.said}")
        checks.finish()


if __name__ == "__main__":
    main()

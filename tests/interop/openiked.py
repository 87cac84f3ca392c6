#!/usr/bin/python3
"""OpenIKED's iked as the customer's router (its IKE is the real one, its ESP that of tests/kernel). On Linux it has no ESP algorithm
that Onramp has but AES-CBC with HMAC-SHA1-96, so it is tested with that alone."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from iked import Iked
from ipsec_kernel import cut_batches
from lab import HQ, ROOT, SITE_A, Gateway, Lab, wait_until

LAN = "10.1.0.1"


class World:
    def __init__(self, lab, checks):
        self.lab, self.checks = lab, checks
        self.gateway = Gateway(lab, settings={"gateway": {"ike_fragment_mtu": 576}})
        self.gateway.start()
        self.gateway.create_account("openiked")
        self.tunnel = self.gateway.create_tunnel("a", "10.252.0.2/31")
        self.psk = self.gateway.generate_psk(self.tunnel)
        self.gateway.create_route("10.1.0.0/16", "10.252.0.3")
        self.names = self.tunnel["remote_identities"]
        self.iked = Iked(lab, "site-a", SITE_A)

    def change(self, **settings):
        self.gateway.call("PUT", f"/ipsec_tunnels/{self.tunnel['id']}", settings)

    def status(self):
        return self.gateway.tunnel_status(self.tunnel)

    def up(self, *options, **settings):
        """Starts iked with these settings, which starts the tunnel."""
        self.iked.configure(settings.pop("identity", self.names["fqdn_id"]), self.psk, **settings)
        self.start(*options)

    def start(self, *options):
        self.iked.start(*options)
        check(wait_until(lambda: self.status()["up"] and self.iked.child_spis(), 10), f"not up:\n{self.iked.log()}")
        self.traffic("established")

    def traffic(self, when):
        for size in (56, 1300):
            got = self.lab.ping("site-a", LAN, HQ, size=size, interval=0.01)
            check(got == 3, f"{when}: {got} of 3 pings of {size} bytes answered; iked's kernel dropped {self.iked.kernel.drops()}")
        got = self.lab.ping("hq", HQ, LAN, interval=0.01)
        check(got == 3, f"{when}: {got} of 3 pings from hq answered")

    def down(self):
        self.iked.ikectl("reset", "sa")
        check(wait_until(lambda: not self.status()["up"], 5), "still up after the peer's Delete")
        self.iked.stop()

    def rekey_by_us(self, ike):
        self.gateway.cli("tunnel", "rekey", self.tunnel["id"], *(["--ike"] if ike else []))

    def rekeyed(self, rekey, numbers):
        old = numbers()
        rekey()
        check(wait_until(lambda: set(numbers()) - set(old), 10), f"{old} became {numbers()}:\n{self.iked.log()}")
        self.traffic("rekeyed")


def documented(w):
    """The page's iked.conf, but for what is of the reader's own."""
    section = (ROOT / "doc" / "devices.md").read_text().split("## OpenIKED")[1].split("\n## ")[0]
    text = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ")) + "\n"
    with w.checks.case("the iked.conf of doc/devices.md"):
        w.iked.write(re.sub(r"srcid \S+", f"srcid {w.names['fqdn_id']}", text).replace("the PSK", w.psk))
        w.start()
        check(w.status()["identity_type"] == "fqdn", f"status names the form {w.status()['identity_type']}")
        w.down()


def ways(w):
    """iked begins 2 s after its start, so each start is for several things."""
    cbc = {"ike": "auth hmac-sha2-256 enc aes-256 prf hmac-sha2-256 group ecp384", "esp": "enc aes-128 auth hmac-sha1 group ecp384"}
    many = {"ike": None, "esp": "enc aes-256 enc aes-192 auth hmac-sha2-512 auth hmac-sha1 group ecp384",
            "lifetimes": "ikelifetime 3 lifetime 1h"}
    for name, identity, form, options, settings, in_udp in (
            ("RFC822; AES-CBC in both phases, group ecp384; start on 4500 (-t), MOBIKE offered", w.names["user_id"], "rfc822", ("-t",),
             {"options": "set mobike", **cbc}, True),
            ("IPV4_ADDR; its default proposals of phase 1, several transforms of phase 2; it rekeys the IKE SA", SITE_A, "ipv4", (),
             many, False)):
        with w.checks.case(name):
            w.change(customer_endpoint=SITE_A if form == "ipv4" else "")
            w.up(*options, identity=identity, **settings)
            check(w.status()["identity_type"] == form, f"status names the form {w.status()['identity_type']}")
            check({bool(sa["encap"]) for sa in w.iked.kernel.sas()} == {in_udp}, f"{w.iked.kernel.sas()}")
            if "lifetimes" in settings:
                w.rekeyed(lambda: None, w.iked.ike_spis)
            w.down()


def rekeys(w):
    with w.checks.case("rekeys of both kinds by the gateway, and of a Child SA by iked when it has carried its bytes"):
        w.up(lifetimes="ikelifetime 8h lifetime 1h bytes 40K")
        w.rekeyed(lambda: w.rekey_by_us(ike=True), w.iked.ike_spis)
        w.rekeyed(lambda: w.rekey_by_us(ike=False), w.iked.child_spis)
        w.rekeyed(lambda: w.lab.ping("site-a", LAN, HQ, count=40, size=1300, interval=0.005), w.iked.child_spis)
    with w.checks.case("the gateway ends the tunnel by a Delete"):
        w.change(customer_endpoint="203.0.113.99")
        check(wait_until(lambda: not w.iked.kernel.sas(), 5), f"still there:\n{w.iked.log()}")
        w.change(customer_endpoint="")
        w.iked.stop()


def main():
    with Lab() as lab:
        lab.build_network()
        cut_batches(lab)
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        checks = Checks("openiked", lab)
        world = World(lab, checks)
        for part in (documented, ways, rekeys):
            part(world)
        checks.finish()


if __name__ == "__main__":
    main()

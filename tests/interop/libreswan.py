#!/usr/bin/python3
"""libreswan's pluto as the customer's router (its IKE is the real one, its ESP that of tests/kernel): identities, suites, ways to
travel, rekeys and Deletes by both sides, and what pluto says and does that is its own; then as the gateway of `onrampd --site`."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from lab import ANYCAST4, HQ, SITE_A, SITE_B, Gateway, Lab, wait_until
from pluto import Pluto
from site_role import Site

LAN = "10.1.0.1"


class World:
    def __init__(self, lab, checks):
        self.lab, self.checks = lab, checks
        self.gateway = Gateway(lab, settings={"gateway": {"ike_fragment_mtu": 576}})
        self.gateway.start()
        self.account = self.gateway.create_account("libreswan")
        self.tunnel = self.gateway.create_tunnel("a", "10.252.0.2/31")
        self.psk = self.gateway.generate_psk(self.tunnel)
        self.gateway.create_route("10.1.0.0/16", "10.252.0.3")
        self.names = self.tunnel["remote_identities"]
        self.pluto = Pluto(lab, "site-a", SITE_A)
        self.pluto.start()

    def change(self, **settings):
        got = self.gateway.call("PUT", f"/ipsec_tunnels/{self.tunnel['id']}", settings)
        return got["modified_ipsec_tunnel"]

    def status(self):
        return self.gateway.tunnel_status(self.tunnel)

    def configure(self, **settings):
        self.pluto.configure(settings.pop("identity", "@" + self.names["fqdn_id"]), settings.pop("psk", self.psk), **settings)

    def up(self, **settings):
        self.configure(**settings)
        check(self.pluto.initiate(), f"not up: {self.pluto.said}")
        self.traffic("established")
        return self.pluto.said

    def traffic(self, when):
        for size in (56, 1300):
            got = self.lab.ping("site-a", LAN, HQ, size=size, interval=0.01)
            check(got == 3, f"{when}: {got} of 3 pings of {size} bytes answered; pluto's kernel dropped {self.pluto.kernel.drops()}")
        got = self.lab.ping("hq", HQ, LAN, interval=0.01)
        check(got == 3, f"{when}: {got} of 3 pings from hq answered")
        check(not self.pluto.kernel.drops(), f"{when}: pluto's kernel dropped {self.pluto.kernel.drops()}")

    def down(self):
        self.pluto.terminate()
        check(wait_until(lambda: not self.status()["up"], 5), "still up after the peer's Delete")

    def rekeyed(self, rekey, numbers):
        """rekey() adds to what numbers() gave before, and there is traffic. What is old goes within some seconds."""
        old = numbers()
        rekey()
        check(wait_until(lambda: set(numbers()) - set(old), 10), f"{old} became {numbers()}: {self.pluto.states()}")
        self.traffic("rekeyed")


def identities(w):
    key = bytes.fromhex(w.names["hex_id"]).decode()
    for name, identity, form in (("FQDN", "@" + w.names["fqdn_id"], "fqdn"), ("RFC822", w.names["user_id"], "rfc822"),
                                 ("KEY_ID in hexadecimal", "@#" + w.names["hex_id"], "keyid"),
                                 ("KEY_ID as text", f"@[{key}]", "keyid")):
        with w.checks.case(f"identity {name}"):
            w.up(identity=identity)
            check(w.status()["identity_type"] == form, f"status names the form {w.status()['identity_type']}")
            w.down()
    with w.checks.case("identity IPV4_ADDR, with customer_endpoint"):
        w.change(customer_endpoint=SITE_A)
        w.up(identity=SITE_A)
        check(w.status()["identity_type"] == "ipv4", f"status names the form {w.status()['identity_type']}")
        w.down()


def suites(w):
    """What pluto asks for, the profile, what its IPsec got."""
    for ike, esp, profile, name in (
            ("aes_gcm256-sha2_512-modp2048", "aes_gcm256;modp2048", "magic", "gcm-256"),
            ("aes_gcm128-sha2_256-dh20", "aes_gcm128;dh20", "magic", "gcm-128"),
            ("aes256-sha2_256-modp2048", "aes256-sha2_256;modp2048", "magic", "cbc-256/sha256-128"),
            ("aes256-sha2_256-modp1536", "aes128-sha1;modp1536", "magic", "cbc-128/sha1-96"),
            ("aes_gcm256-sha2_384-dh19", "aes_gcm256;dh19", "modern", "gcm-256"),
            ("aes_gcm256-sha2_256-dh31", "aes256-sha2_256;dh31", "modern", "cbc-256/sha256-128"),
            ("aes_gcm256-sha2_512-dh21", "aes_gcm256;dh21", "modern", "gcm-256"),
            ("aes_gcm256-sha2_512-modp4096", "aes_gcm256;modp4096", "modern", "gcm-256")):
        with w.checks.case(f"{profile}: ike={ike} esp={esp}, with a Child rekey"):
            w.change(onramp={"profile": profile})
            w.up(ike=ike, esp=esp)
            w.rekeyed(lambda: check(w.pluto.rekey(ike=False), "refused"), w.pluto.child_spis)
            got = {sa["name"] for sa in w.pluto.kernel.sas()}
            check(got == {name}, f"{name} wanted, its IPsec has {got}")
            w.down()
    w.change(onramp={"profile": "magic"})


def ways(w):
    """How it travels: (settings, IKE at which port of the gateway, ESP in UDP)."""
    for name, settings, port, in_udp in (
            ("start on 500, nothing between: IKE stays there, native ESP", {}, 500, False),
            ("encapsulation=yes: all on 4500", {"encapsulation": "yes"}, 4500, True),
            ("start on 4500, native ESP", {"leftikeport": 4500, "rightikeport": 4500}, 4500, False),
            ("start on 4500, encapsulation=yes", {"leftikeport": 4500, "rightikeport": 4500, "encapsulation": "yes"}, 4500, True)):
        with w.checks.case(name):
            w.up(**settings)
            status = w.status()
            check(status["remote"].endswith(f":{port}"), f"it is at {status['remote']}")
            check({bool(sa["encap"]) for sa in w.pluto.kernel.sas()} == {in_udp}, f"{w.pluto.kernel.sas()}")
            w.down()


def rekeys(w):
    def by_us(ike):
        w.gateway.cli("tunnel", "rekey", w.tunnel["id"], *(["--ike"] if ike else []))
    with w.checks.case("rekeys of both kinds by pluto and by the gateway, in turn"):
        w.up()
        w.rekeyed(lambda: check(w.pluto.rekey(ike=False), "refused"), w.pluto.child_spis)
        w.rekeyed(lambda: by_us(ike=True), w.pluto.ike_numbers)
        w.rekeyed(lambda: by_us(ike=False), w.pluto.child_spis)
        w.rekeyed(lambda: check(w.pluto.rekey(ike=True), "refused"), w.pluto.ike_numbers)
        w.rekeyed(lambda: by_us(ike=False), w.pluto.child_spis)
        check(wait_until(lambda: w.status()["child_count"] == 1 and len(w.pluto.kernel.sas()) == 2, 5), w.pluto.states())
        w.down()


def main():
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        checks = Checks("libreswan", lab)
        world = World(lab, checks)
        for part in (identities, suites, ways, rekeys):
            part(world)
        checks.finish()


if __name__ == "__main__":
    main()

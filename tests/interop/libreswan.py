#!/usr/bin/python3
"""libreswan's pluto as the customer's router (its IKE is the real one, its ESP that of tests/kernel): identities, suites, ways to
travel, rekeys and Deletes by both sides, and what pluto says and does that is its own; then as the gateway of `onrampd --site`."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from ipsec_kernel import cut_batches
from lab import ANYCAST4, HQ, ROOT, SITE_A, SITE_B, Gateway, Lab, wait_until
from pluto import Pluto
from site_role import Site

LAN, SECOND_LAN, LAN6, HQ6, NAT_LAN = "10.1.0.1", "10.1.1.1", "fd00:1::1", "fd00:0:0:1::10", "10.2.0.1"
SECOND = "198.18.0.2"  # of site-a, by another uplink


class World:
    def __init__(self, lab, checks):
        self.lab, self.checks, self.node, self.lan = lab, checks, "site-a", LAN
        self.gateway = Gateway(lab, settings={"gateway": {"ike_fragment_mtu": 576}})
        self.gateway.start()
        self.account = self.gateway.create_account("libreswan")
        self.tunnel = self.gateway.create_tunnel("a", "10.252.0.2/31", interface_address6="fd00:252::2/127")
        self.psk = self.gateway.generate_psk(self.tunnel)
        self.gateway.create_route("10.1.0.0/16", "10.252.0.3")
        self.gateway.create_route("fd00:1::/64", "fd00:252::3")
        self.names = self.tunnel["remote_identities"]
        self.pluto = Pluto(lab, "site-a", SITE_A, routes=("192.168.0.0/24", "fd00:0:0:1::/64"))
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
            got = self.lab.ping(self.node, self.lan, HQ, size=size, interval=0.01)
            check(got == 3, f"{when}: {got} of 3 pings of {size} bytes answered; pluto's kernel dropped {self.pluto.kernel.drops()}")
        got = self.lab.ping("hq", HQ, self.lan, interval=0.01)
        check(got == 3, f"{when}: {got} of 3 pings from hq answered")
        check(not self.pluto.kernel.drops(), f"{when}: pluto's kernel dropped {self.pluto.kernel.drops()}")

    def down(self):
        self.pluto.terminate()
        check(wait_until(lambda: not self.status()["up"], 5), "still up after the peer's Delete")

    def rekey_by_us(self, ike):
        self.gateway.cli("tunnel", "rekey", self.tunnel["id"], *(["--ike"] if ike else []))

    def counters(self):
        return {one["name"]: one["value"] for one in self.gateway.status()["counters"]}

    def rekeyed(self, rekey, numbers):
        """rekey() adds to what numbers() gave before, and there is traffic. What is old goes within some seconds."""
        old = numbers()
        rekey()
        check(wait_until(lambda: set(numbers()) - set(old), 10), f"{old} became {numbers()}: {self.pluto.states()}")
        self.traffic("rekeyed")


def documented(w):
    """The connection of doc/devices.md, but for what is of the reader's own, and the interface that needs the kernel's XFRM."""
    section = (ROOT / "doc" / "devices.md").read_text().split("## libreswan")[1].split("\n## ")[0]
    settings = dict(re.findall(r"^ {8}([a-z0-9-]+)=(.*)$", section, re.MULTILINE))
    with w.checks.case("the connection of doc/devices.md"):
        check(len(settings) > 15, f"read {settings}")
        for own in ("leftid", "ipsec-interface", "auto"):
            del settings[own]
        w.up(**settings)
        w.down()


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
            ("aes_gcm256-sha2_512-dh21", "aes_gcm256;dh21", "modern", "gcm-256")):
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
    with w.checks.case("rekeys of both kinds by pluto and by the gateway, in turn"):
        w.up()
        w.rekeyed(lambda: check(w.pluto.rekey(ike=False), "refused"), w.pluto.child_spis)
        w.rekeyed(lambda: w.rekey_by_us(ike=True), w.pluto.ike_numbers)
        w.rekeyed(lambda: w.rekey_by_us(ike=False), w.pluto.child_spis)
        w.rekeyed(lambda: check(w.pluto.rekey(ike=True), "refused"), w.pluto.ike_numbers)
        w.rekeyed(lambda: w.rekey_by_us(ike=False), w.pluto.child_spis)
        check(wait_until(lambda: w.status()["child_count"] == 1 and len(w.pluto.kernel.sas()) == 2, 5), w.pluto.states())
        w.down()


def offers(w):
    with w.checks.case("several proposals of both phases, of which one is allowed; the group is asked for again"):
        said = w.up(ike="chacha20_poly1305-sha2_512-dh31,aes256-sha2_512-modp4096,aes_gcm256-sha2_512-dh31+dh20+modp2048",
                    esp="chacha20_poly1305,aes_ccm256,aes192-sha2_512,aes_gcm256,aes256-sha2_256")
        check("INVALID_KE_PAYLOAD" in said and "group=DH20" in said, f"it went otherwise: {said}")
        w.down()
    with w.checks.case("ESN and no ESN offered, and the tunnel has no ESN"):
        w.up(esn="either", replay_window=64)
        check({sa["esn"] for sa in w.pluto.kernel.sas()} == {False}, "ESN was chosen")
        w.down()
    with w.checks.case("ESN and no ESN offered, and the tunnel has ESN, with an anti-replay window"):
        w.change(replay_protection=True, onramp={"esn": True})
        w.up(esn="either", replay_window=64)
        check({sa["esn"] for sa in w.pluto.kernel.sas()} == {True}, "ESN was not chosen")
        w.down()
        w.change(replay_protection=False, onramp={"esn": False})
    with w.checks.case("pluto with tfc= sends no TFC padding, because the gateway says that it wants none"):
        w.up(tfc=1380)
        check({sa["tfc"] for sa in w.pluto.kernel.sas()} == {0}, "pluto pads")
        w.down()
    with w.checks.case("no Child SA in IKE_AUTH (RFC 6023), then one with a Diffie-Hellman of its own"):
        w.configure()
        w.pluto.impair("omit-v2-ike-auth-child")
        w.pluto.initiate()
        w.pluto.impair()
        check(not w.pluto.kernel.sas() and w.pluto.ike_numbers(), f"not childless: {w.pluto.said}")
        check(w.pluto.initiate() and "MODP2048" in w.pluto.said, f"no Child SA: {w.pluto.said}")
        w.traffic("a Child SA later")
        w.down()
    for impairment, code in (("ikev2-add-ike-transform:0x60001", "ike.no_proposal"),
                             ("ikev2-add-child-transform:0x60001", "child.no_proposal")):
        with w.checks.case(f"{code}: a proposal with a type of transform that nobody knows (RFC 7296 3.3.6)"):
            w.configure(retransmit_timeout="1s")
            w.pluto.impair(impairment)
            check(not w.pluto.initiate(), "it came up")
            w.pluto.terminate()  # it would try again
            w.pluto.impair()
            verdict = wait_until(lambda: w.gateway.find_verdict(code), 5)
            check(verdict and "type 6" in verdict["sentence"], f"verdict: {verdict}")


def oddities(w):
    """What a receiver is to ignore (RFC 7296 2.5), or to take once."""
    for impairment in ("minor-version-bump", "send-nonzero-reserved", "send-bogus-payload-flag", "send-no-idr", "jacob-two-two",
                       "add-unknown-v2-payload-to:IKE_SA_INIT", "add-unknown-v2-payload-to-sk:IKE_AUTH"):
        with w.checks.case(f"pluto with --impair {impairment}"):
            w.configure()
            w.pluto.impair(impairment)
            check(w.pluto.initiate(), f"not up: {w.pluto.said}")
            w.pluto.impair()
            w.traffic("established")
            w.down()
    with w.checks.case("an unknown payload that is critical is refused"):
        w.configure(retransmit_timeout="1s")
        w.pluto.impair("add-unknown-v2-payload-to-sk:IKE_AUTH", "unknown-v2-payload-critical")
        check(not w.pluto.initiate(), "it came up")
        w.pluto.terminate()
        w.pluto.impair()
        check("UNSUPPORTED_CRITICAL_PAYLOAD" in w.pluto.said, f"not by that: {w.pluto.said}")


def fragments(w):
    with w.checks.case("IKE_AUTH and both sides of a Child rekey in fragments (RFC 7383)"):
        before = w.counters()
        w.up(fragmentation="force", ike="aes256-sha2_256-modp2048", esp=",".join(
            f"{cipher}-{integ};modp2048" for cipher in ("aes192", "3des", "aes128", "aes256")
            for integ in ("sha2_512", "aes_xcbc", "aes_cmac", "sha2_256")))
        check(w.counters()["ike_fragmented_in"] > before["ike_fragmented_in"], "IKE_AUTH came in one piece")
        w.rekeyed(lambda: check(w.pluto.rekey(ike=False), "refused"), w.pluto.child_spis)
        w.rekeyed(lambda: w.rekey_by_us(ike=True), w.pluto.ike_numbers)
        w.rekeyed(lambda: w.rekey_by_us(ike=False), w.pluto.child_spis)
        check(w.counters()["ike_fragmented_out"] > before["ike_fragmented_out"], "nothing went out in fragments")
        w.down()


def ends(w):
    with w.checks.verdict("auth.wrong_psk", "pluto has another key") as verdict:
        w.configure(psk="not the key", retransmit_timeout="1s")
        check(not w.pluto.initiate(), "it came up")
        check("AUTHENTICATION_FAILED" in w.pluto.said, f"not by that: {w.pluto.said}")
        w.pluto.terminate()
        verdict.take(wait_until(lambda: w.gateway.find_verdict("auth.wrong_psk"), 5))
    with w.checks.case("liveness checks by pluto are answered"):
        w.up(dpddelay=1, dpdtimeout=5)
        before = w.counters()["ike_in"]
        check(wait_until(lambda: w.counters()["ike_in"] > before, 6), "it does not ask")
        check(w.pluto.ike_numbers(), "given up")
    with w.checks.case("pluto dies and starts anew, with INITIAL_CONTACT: what it had is gone"):
        w.pluto.process.kill()
        w.pluto.kernel.stop()
        w.pluto.kernel.start(*w.pluto.routes)
        w.pluto.start()
        w.up(initial_contact="yes")
        check(w.status()["child_count"] == 1, f"{w.status()['child_count']} Child SAs")
    with w.checks.case("the gateway ends the tunnel by a Delete"):
        w.change(customer_endpoint=SITE_B)
        check(wait_until(lambda: not w.pluto.ike_numbers() and not w.pluto.kernel.sas(), 5), f"still there: {w.pluto.states()}")
        w.change(customer_endpoint="")


def selectors(w):
    with w.checks.case("two pairs of subnets: a Child SA each under one IKE SA"):
        w.pluto.delete()  # the names of two are others
        w.configure(leftsubnet="", leftsubnets="10.1.0.0/24,10.1.1.0/24", rightsubnet="192.168.0.0/24")
        w.pluto.initiate()
        check(wait_until(lambda: w.status()["child_count"] == 2, 5), f"{w.status()['child_count']} Child SAs: {w.pluto.said}")
        check(len(w.pluto.ike_numbers()) == 1, w.pluto.states())
        w.traffic("by the first")
        got = w.lab.ping("site-a", SECOND_LAN, HQ), w.lab.ping("hq", HQ, SECOND_LAN)
        check(got == (3, 3), f"by the second: {got} of 3 pings answered")
        w.pluto.delete()
        check(wait_until(lambda: not w.status()["up"], 5), "still up after the peer's Delete")
    with w.checks.case("IPv6 inside"):
        w.configure(leftsubnet="fd00:1::/64", rightsubnet="fd00:0:0:1::/64")
        check(w.pluto.initiate(), f"not up: {w.pluto.said}")
        got = w.lab.ping("site-a", LAN6, HQ6), w.lab.ping("hq", HQ6, LAN6)
        check(got == (3, 3), f"{got} of 3 pings answered; pluto's kernel dropped {w.pluto.kernel.drops()}")
        w.down()


def moves(w):
    with w.checks.case("MOBIKE: pluto moves to its other uplink with its SAs, and back"):
        w.change(customer_endpoint="")
        w.up(mobike="yes", left="%defaultroute")
        old = w.pluto.ike_numbers(), {sa["spi"] for sa in w.pluto.kernel.sas()}
        for device, former, now, router in (("wan", SITE_A, SECOND, "198.18.0.1"), ("wan2", SECOND, SITE_A, "203.0.113.1")):
            w.lab.ip("site-a", f"route replace default via {router}")
            w.lab.ip("site-a", f"addr del {former}/24 dev {device}")
            check(wait_until(lambda: w.status()["remote"].startswith(now + ":"), 8), f"still at {w.status()['remote']}")
            w.traffic("moved")
            w.lab.ip("site-a", f"addr add {former}/24 dev {device}")
        check((w.pluto.ike_numbers(), {sa["spi"] for sa in w.pluto.kernel.sas()}) == old, "the SAs are others")
        w.down()


def behind_nat(w):
    pluto = Pluto(w.lab, "site-b", SITE_B)
    pluto.start()
    w.pluto, w.node, w.lan = pluto, "site-b", NAT_LAN
    w.tunnel = w.gateway.create_tunnel("b", "10.252.0.4/31")
    w.psk, w.names = w.gateway.generate_psk(w.tunnel), w.tunnel["remote_identities"]
    w.gateway.create_route(f"{NAT_LAN}/32", "10.252.0.5")
    with w.checks.case("behind a NAT: from 500 to 4500, with rekeys by both sides"):
        w.up()
        check(w.status()["nat_seen"] and w.pluto.kernel.sas()[0]["encap"], f"no NAT seen: {w.status()}")
        w.rekeyed(lambda: w.rekey_by_us(ike=True), w.pluto.ike_numbers)
        w.rekeyed(lambda: w.rekey_by_us(ike=False), w.pluto.child_spis)
        w.rekeyed(lambda: check(w.pluto.rekey(ike=False), "refused"), w.pluto.child_spis)
        w.down()
    pluto.stop()


def as_gateway(lab, checks):
    """pluto answers, `onrampd --site` starts."""
    pluto = Pluto(lab, "gw", ANYCAST4, routes=(f"{LAN}/32",))
    pluto.start()
    identity, psk = "branch.example.net", "a key for libreswan"
    pluto.configure(ANYCAST4, psk, gateway=SITE_A, gateway_id=f"@{identity}", leftsubnet="192.168.0.0/24", rightsubnet=f"{LAN}/32",
                    ike="aes_gcm256-sha2_256-modp2048", mobike="yes", replay_window="64", narrowing="yes")
    site = Site(lab, "site-a", {"swan": {"identity": f"fqdn:{identity}", "psk": psk, "routes": "192.168.0.0/24"}}, name="libreswan")
    site.start()

    def traffic():
        return lab.ping("site-a", LAN, HQ, interval=0.01) == 3 and lab.ping("hq", HQ, LAN, interval=0.01) == 3
    with checks.case("pluto as the gateway of onrampd --site, which narrows to its networks"):
        check(site.up("swan"), f"not up: {site.log()[-1500:]} {pluto.log()[-1500:]}")
        check(traffic(), "no traffic")
    for ike in (False, True):
        for name, rekey in (("the site", lambda: site.ask("site", "rekey", "swan", *(["--ike"] if ike else []))),
                            ("pluto", lambda: check(pluto.rekey(ike), "refused"))):
            with checks.case(f"{'IKE' if ike else 'Child'} rekey by {name}"):
                numbers = pluto.ike_numbers if ike else pluto.child_spis
                old = numbers()
                rekey()
                check(wait_until(lambda: set(numbers()) - set(old), 10), f"{old} became {numbers()}: {pluto.states()}")
                check(traffic(), "no traffic")
    site.stop()
    pluto.stop()


def main():
    with Lab() as lab:
        lab.build_network()
        cut_batches(lab)
        for address in (f"{LAN}/32", f"{SECOND_LAN}/32", f"{LAN6}/128"):
            lab.ip("site-a", f"addr add {address} dev lo")
        lab.ip("site-b", f"addr add {NAT_LAN}/32 dev lo")
        lab.link("inet", "to-a2", ["198.18.0.1/24"], "site-a", "wan2", [f"{SECOND}/24"])
        checks = Checks("libreswan", lab)
        world = World(lab, checks)
        site_a = world.pluto
        for part in (documented, identities, suites, ways, rekeys, offers, oddities, fragments, selectors, moves, ends, behind_nat):
            part(world)
        site_a.stop()
        site_a.kernel.stop()
        world.gateway.stop()
        as_gateway(lab, checks)
        checks.finish()


if __name__ == "__main__":
    main()

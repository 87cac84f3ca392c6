#!/usr/bin/python3
"""Every allowed suite negotiated with strongSwan, and traffic across it: phase 1 x PRF x group, phase 2 x PFS by a rekey."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import ANYCAST4, HQ, SITE_A, Gateway, Lab, wait_until

LAN = "10.1.0.1"
IKE_CIPHERS = {"aes128gcm16": "AES_GCM_16-128", "aes256gcm16": "AES_GCM_16-256",
               "aes256-sha256": "AES_CBC-256/HMAC_SHA2_256_128"}
PRFS = {"prfsha256": "PRF_HMAC_SHA2_256", "prfsha384": "PRF_HMAC_SHA2_384", "prfsha512": "PRF_HMAC_SHA2_512"}
GROUPS = {"ecp384": "ECP_384", "modp2048": "MODP_2048", "modp1536": "MODP_1536"}
MODERN_GROUPS = {"ecp256": "ECP_256", "ecp384": "ECP_384", "ecp521": "ECP_521", "curve25519": "CURVE_25519",
                 "modp2048": "MODP_2048", "modp3072": "MODP_3072", "modp4096": "MODP_4096"}
ESP = {"aes128gcm16": "AES_GCM_16-128", "aes256gcm16": "AES_GCM_16-256",
       "aes128-sha256": "AES_CBC-128/HMAC_SHA2_256_128", "aes128-sha1": "AES_CBC-128/HMAC_SHA1_96",
       "aes256-sha256": "AES_CBC-256/HMAC_SHA2_256_128", "aes256-sha1": "AES_CBC-256/HMAC_SHA1_96"}
NULL_ESP = {"null-sha256": "NULL/HMAC_SHA2_256_128", "null-sha1": "NULL/HMAC_SHA1_96"}
PFS = {"": None, **GROUPS}


def pings(lab, when):
    for size in (56, 1300):
        got = lab.ping("site-a", LAN, HQ, size=size)
        check(got == 3, f"{when}: {got} of 3 pings of {size} bytes answered")
    got = lab.ping("hq", HQ, LAN)
    check(got == 3, f"{when}: {got} of 3 pings from hq answered")


def phase1(checks, lab, site, setup):
    for cipher, cipher_name in IKE_CIPHERS.items():
        for prf, prf_name in PRFS.items():
            for group, group_name in GROUPS.items():
                proposal = f"{cipher}-{prf}-{group}"
                with checks.case(f"phase 1 {proposal}"):
                    setup(ike=proposal, esp="aes128gcm16")
                    check(site.initiate(), f"not up: {site.said}")
                    wanted = f"{cipher_name}/{prf_name}/{group_name}"
                    check(wanted in site.sas(), f"{wanted} not in:\n{site.sas()}")
                    pings(lab, "established")
                    check(site.terminate(), "Delete not answered")


def rekey_child(site):
    old = site.child_spis()
    check(site.rekey_child(), "swanctl --rekey failed")
    check(wait_until(lambda: site.child_spis() and not set(site.child_spis()) & set(old), 10),
          f"no new Child SA in the place of {old}:\n{site.sas()}")


def phase2(checks, lab, site, setup, ciphers):
    for cipher, cipher_name in ciphers.items():
        for group, group_name in PFS.items():
            proposal = f"{cipher}-{group}" if group else cipher
            with checks.case(f"phase 2 {proposal}"):
                setup(ike="aes128gcm16-prfsha256-modp2048", esp=proposal)
                check(site.initiate(), f"not up: {site.said}")
                pings(lab, "first Child SA")
                rekey_child(site)
                wanted = f"{cipher_name}/{group_name}" if group else cipher_name
                got = [suite for _, suite in site.children()]
                check(got == [wanted], f"{wanted} wanted, have {got}")
                pings(lab, "rekeyed")
                check(site.terminate(), "Delete not answered")


def modern(checks, lab, site, setup, gateway, tunnel):
    """The groups of the other profile in both phases, and what the profile does not have."""
    with checks.case("profile modern by the API"):
        got = gateway.call("PUT", f"/ipsec_tunnels/{tunnel['id']}", {"onramp": {"profile": "modern"}})
        check(got["modified_ipsec_tunnel"]["onramp"]["profile"] == "modern", f"answer: {got}")
    for group, group_name in MODERN_GROUPS.items():
        with checks.case(f"modern: {group} in both phases"):
            setup(ike=f"aes256gcm16-prfsha384-{group}", esp=f"aes256gcm16-{group}")
            check(site.initiate(), f"not up: {site.said}")
            check(f"AES_GCM_16-256/PRF_HMAC_SHA2_384/{group_name}" in site.sas(), site.sas())
            rekey_child(site)
            check([suite for _, suite in site.children()] == [f"AES_GCM_16-256/{group_name}"], site.sas())
            pings(lab, "rekeyed")
            check(site.terminate(), "Delete not answered")
    for name, settings, code in (("group 5", {"ike": "aes256gcm16-prfsha256-modp1536", "esp": "aes256gcm16"}, "ike.no_group"),
                                 ("SHA-1", {"ike": "aes256gcm16-prfsha256-ecp256", "esp": "aes256-sha1"}, "child.no_integ")):
        with checks.case(f"modern: {name} is refused"):
            setup(**settings)
            check(not site.initiate(timeout=6), "it came up")
            check(wait_until(lambda: gateway.find_verdict(code), 5), f"no verdict {code}: {gateway.verdict(tunnel)}")
            site.drop()
    with checks.case("a suite outside of the tunnel's profile is refused when the tunnel is known"):
        other = gateway.create_tunnel("b", "10.252.0.4/31")
        site.configure(other["remote_identities"]["fqdn_id"], gateway.generate_psk(other), gateway=ANYCAST4,
                       ike="aes256gcm16-prfsha256-curve25519", esp="aes256gcm16")
        check(not site.initiate(timeout=6), "it came up")
        verdict = wait_until(lambda: gateway.verdict(other), 5)
        check(verdict and verdict["code"] == "ike.profile" and "CURVE25519" in verdict["sentence"], f"verdict: {verdict}")
        site.drop()


def null_refused(checks, site, setup, gateway, tunnel):
    with checks.case("NULL is refused, and the verdict says so"):
        setup(ike="aes128gcm16-prfsha256-modp2048", esp="null-sha256")
        check(not site.initiate(), "NULL was accepted without the opt-in")
        verdict = wait_until(lambda: gateway.verdict(tunnel), 5)
        check(verdict and verdict["code"] == "child.null_not_allowed", f"verdict: {verdict}")
        site.drop()


def main():
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("suites", lab)
        gateway.create_account("suites")
        tunnel = gateway.create_tunnel("a", "10.252.0.2/31")
        psk = gateway.generate_psk(tunnel)
        gateway.create_route("10.1.0.0/24", "10.252.0.3")
        site = Charon(lab, "site-a", SITE_A)
        site.start()

        def setup(**proposals):
            site.drop()  # what a case that failed has left
            site.configure(tunnel["remote_identities"]["fqdn_id"], psk, gateway=ANYCAST4, **proposals)

        phase1(checks, lab, site, setup)
        phase2(checks, lab, site, setup, ESP)
        null_refused(checks, site, setup, gateway, tunnel)
        with checks.case("opt-in to NULL by the API"):
            got = gateway.call("PUT", f"/ipsec_tunnels/{tunnel['id']}", {"allow_null_cipher": True})
            check(got["modified_ipsec_tunnel"]["allow_null_cipher"] is True, f"answer: {got}")
        phase2(checks, lab, site, setup, NULL_ESP)
        modern(checks, lab, site, setup, gateway, tunnel)
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""What goes wrong on the customer's side is named in `onramp status`, and strangers learn nothing from the answers."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, VerdictCase, check
from lab import ANYCAST4, HQ, SITE_A, Gateway, Lab, wait_until

GOOD_IKE = "aes256gcm16-prfsha512-modp2048"

# what the router has set wrong, and words that the sentence and the advice must hold
CASES = [
    VerdictCase("ike.no_proposal", "AES-CBC-128 with HMAC-SHA1", set={"ike": "aes128-sha1-modp2048"},
                sentence=["AES-CBC-128"]),
    VerdictCase("ike.no_group", "a group that is not allowed", set={"ike": "aes256gcm16-prfsha256-ecp521"},
                sentence=["ECP-521", "MODP-2048"]),
    VerdictCase("auth.wrong_psk", "another pre-shared key", set={"psk": "not the right one"}),
    VerdictCase("auth.unknown_identity", "the name of a tunnel that never was",
                set={"identity": "0" * 32 + ".1.ipsec.cloudflare.com"}, sentence=["0" * 32]),
    VerdictCase("auth.unknown_identity", "a name of its own", set={"identity": "router.example.com"},
                sentence=["router.example.com"]),
    VerdictCase("child.no_integ", "AES-CBC-128 with HMAC-SHA2-512", set={"esp": "aes128-sha512"},
                sentence=["HMAC-SHA2-512-256"]),
    VerdictCase("child.null_not_allowed", "NULL with HMAC-SHA1", set={"esp": "null-sha1"},
                change=["allow_null_cipher"]),
    VerdictCase("child.esn_only", "extended sequence numbers alone", set={"esp": "aes256gcm16-esn"}),
    VerdictCase("ike.ikev1", "IKEv1", set={"version": 1, "ike": "aes256-sha256-modp2048"}, sentence=["IKE version 1.0"],
                change=["version = 2"]),
]


def answer_sizes(site):
    """Sizes of what the gateway answered in the last attempt, IKE_AUTH only."""
    return re.findall(r"received packet: from \S+ to \S+ \((\d+) bytes\)", site.said)[1:]


def main():
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", "addr add 10.1.0.1/32 dev lo")
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("verdicts", lab)
        gateway.create_account("verdicts")
        tunnel = gateway.create_tunnel("a", "10.252.0.2/31")
        gateway.create_route("10.1.0.0/24", "10.252.0.3")
        psk = gateway.generate_psk(tunnel)
        site = Charon(lab, "site-a", SITE_A)
        site.start()
        good = {"identity": tunnel["remote_identities"]["fqdn_id"], "psk": psk, "ike": GOOD_IKE, "esp": "aes256gcm16"}
        sizes = {}
        for case in CASES:
            with checks.verdict(case.code, case.what) as provoked:
                site.configure(**{**good, **case.set})
                up = site.initiate(timeout=6)
                sizes[case.code] = answer_sizes(site)
                check(not up, "it came up")
                site.drop()
                verdict = wait_until(lambda: gateway.find_verdict(case.code), 5)
                provoked.take(verdict, getattr(case, "sentence", ()), getattr(case, "change", ()))
                check(psk not in str(verdict), "a verdict shows the PSK")
        with checks.case("unknown identity and wrong PSK look the same"):
            wrong, unknown = sizes["auth.wrong_psk"], sizes["auth.unknown_identity"]
            check(wrong and wrong == unknown, f"sizes of the answers: {sizes}")
        with checks.case("no answer to IKEv1"):
            check(not sizes["ike.ikev1"], f"sizes of the answers: {sizes['ike.ikev1']}")
        with checks.case("a group that the first message missed is corrected by INVALID_KE_PAYLOAD"):
            site.configure(**{**good, "ike": "aes256gcm16-prfsha512-ecp521-modp2048"})
            check(site.initiate(), f"not up: {site.said}")
            check("MODP_2048" in site.sas() and lab.ping("site-a", "10.1.0.1", HQ) == 3, site.sas())
        with checks.case("a tunnel that works has no verdict"):
            check(not gateway.verdict(tunnel), f"{gateway.verdict(tunnel)}")
        with checks.case("a changed PSK counts from the next IKE_AUTH"):
            check(lab.ping("site-a", "10.1.0.1", HQ) == 3, "down before the change")
            new = gateway.generate_psk(tunnel)
            check(lab.ping("site-a", "10.1.0.1", HQ) == 3, "the change took the running tunnel down")
            site.terminate()
            site.configure(**good)
            check(not site.initiate(), "the former PSK is still taken")
            verdict = wait_until(lambda: gateway.verdict(tunnel), 5)
            check(verdict["code"] in ("auth.previous_psk", "auth.wrong_psk"), f"{verdict}")
            site.configure(**{**good, "psk": new})
            check(site.initiate() and lab.ping("site-a", "10.1.0.1", HQ) == 3, f"the new one is not: {site.said}")
        with checks.case("no PSK in the daemon's log"):
            log = (lab.directory / "onrampd-gw.log").read_text()
            check(psk not in log and new not in log, "found")
        checks.finish()


if __name__ == "__main__":
    main()

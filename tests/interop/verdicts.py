#!/usr/bin/python3
"""What goes wrong on the customer's side is named in `onramp status`, and strangers learn nothing from the answers."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import ANYCAST4, HQ, SITE_A, Gateway, Lab, wait_until

GOOD_IKE = "aes256gcm16-prfsha512-modp2048"

# name, settings of the router, verdict's code, words that the sentence or the advice must hold
CASES = [
    ("no phase 1 proposal", {"ike": "aes128-sha1-modp2048"}, "ike.no_proposal", ["AES-CBC-128"]),
    ("no phase 1 group", {"ike": "aes256gcm16-prfsha256-ecp521"}, "ike.no_group", ["ECP-521", "MODP-2048"]),
    ("wrong PSK", {"psk": "not the right one"}, "auth.wrong_psk", []),
    ("unknown identity", {"identity": "0" * 32 + ".1.ipsec.cloudflare.com"}, "auth.unknown_identity", ["0" * 32]),
    ("identity of another domain", {"identity": "router.example.com"}, "auth.unknown_identity", ["router.example.com"]),
    ("no phase 2 integrity", {"esp": "aes128-sha512"}, "child.no_integ", ["HMAC-SHA2-512-256"]),
    ("NULL not allowed", {"esp": "null-sha1"}, "child.null_not_allowed", ["allow_null_cipher"]),
    ("ESN only", {"esp": "aes256gcm16-esn"}, "child.esn_only", []),
    ("IKEv1", {"version": 1, "ike": "aes256-sha256-modp2048"}, "ike.ikev1", ["2"]),
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
        for name, settings, code, words in CASES:
            with checks.case(name):
                site.configure(**{**good, **settings})
                up = site.initiate(timeout=6)
                sizes[name] = answer_sizes(site)
                check(not up, "it came up")
                site.drop()
                verdict = wait_until(lambda: gateway.find_verdict(code), 5)
                check(verdict, f"no verdict {code}; the tunnel's is {gateway.verdict(tunnel)}")
                missing = [word for word in words if word not in verdict["sentence"] + verdict["change"]]
                check(not missing, f"{missing} not in: {verdict}")
                check(psk not in str(verdict), "a verdict shows the PSK")
        with checks.case("unknown identity and wrong PSK look the same"):
            check(sizes["wrong PSK"] and sizes["wrong PSK"] == sizes["unknown identity"], f"sizes of the answers: {sizes}")
        with checks.case("no answer to IKEv1"):
            check(not sizes["IKEv1"], f"sizes of the answers: {sizes['IKEv1']}")
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

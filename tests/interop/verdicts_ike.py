#!/usr/bin/python3
"""Every verdict of the first exchange is provoked by a peer that does that one thing wrong. What the advice names comes up."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import VerdictCase, check
from lab import SITE_A
from provoke import Provoker

SILENT = ["--timeout-ms", 100]  # nothing is to come back
PHASE_1 = ["AES-GCM-16-256", "AES-CBC-256", "HMAC-SHA2-256-128", "PRF-HMAC-SHA2-512", "MODP-2048"]


REFUSED = [
    VerdictCase("ike.no_proposal", "nothing of 3DES, SHA-1 and group 2 is allowed", offer="encr=3-integ=2-prf=2-group=2",
                sentence=["3DES", "HMAC-SHA1-96", "PRF-HMAC-SHA1", "MODP-1024", *PHASE_1],
                misfits=["encryption", "integrity", "prf", "group"]),
    VerdictCase("ike.no_encr", "3DES", offer="encr=3-sha256-prfsha256-modp2048", sentence=["3DES", *PHASE_1],
                misfits=["encryption"]),
    VerdictCase("ike.no_encr", "AES-CBC-128", offer="encr=12/128-sha256-prfsha256-modp2048", sentence=["AES-CBC-128", *PHASE_1],
                misfits=["encryption"]),
    VerdictCase("ike.no_encr", "ChaCha20, the nearer of two proposals",
                offer="encr=3-integ=2-prf=2-group=2 encr=28-prfsha256-modp2048",
                sentence=["3DES", "CHACHA20-POLY1305", *PHASE_1], misfits=["encryption"]),
    VerdictCase("ike.no_integ", "HMAC-SHA1 for AES-CBC-256", offer="aes256-integ=2-prfsha256-modp2048",
                sentence=["HMAC-SHA1-96", *PHASE_1], misfits=["integrity"]),
    VerdictCase("ike.no_prf", "the PRF of SHA-1", offer="aes256-sha256-prf=2-modp2048", sentence=["PRF-HMAC-SHA1", *PHASE_1],
                misfits=["prf"]),
    VerdictCase("ike.no_group", "group 2", offer="aes256-sha256-prfsha256-group=2",
                sentence=["MODP-1024", "ECP-384", "MODP-2048"], misfits=["group"]),
]

OTHERS = [
    VerdictCase("ike.wrong_group", "a key for group 5, and not tried again with group 14",
                options=["--ke-group", 5, "--keep-group"], expect="invalid-ke", stage="sa_init",
                sentence=["MODP-1536", "MODP-2048"], change=["the router tries again", "proposals = "]),
    VerdictCase("ike.bad_key_exchange", "the public value 0", options=["--fault", "ke-zero", *SILENT], expect="silence",
                sentence=["MODP-2048", "2 to p-2"], change=["another group"], stage="sa_init"),
    VerdictCase("ike.bad_key_exchange", "the public value 1", options=["--fault", "ke-one", *SILENT], expect="silence",
                sentence=["MODP-2048", "2 to p-2"], stage="sa_init"),
    VerdictCase("ike.bad_key_exchange", "4 bytes for a value of 256", options=["--fault", "ke-short", *SILENT],
                expect="silence", sentence=["4 bytes", "256 bytes"], stage="sa_init"),
    VerdictCase("ike.bad_key_exchange", "a point that is not on the curve", expect="silence", stage="sa_init",
                options=["--ike", "aes256gcm16-prfsha256-ecp384", "--fault", "ke-changed", *SILENT],
                sentence=["ECP-384", "96 bytes"]),
    VerdictCase("ike.ikev1", "Main Mode", options=["--fault", "ikev1", *SILENT], expect="silence",
                sentence=["IKE version 1.0", "IKE version 2.0"], change=["version = 2"], stage="sa_init"),
    VerdictCase("ike.bad_message", "IKE version 3", options=["--fault", "ikev3"], expect="version",
                sentence=["IKE version 3.0", "IKE version 2.0"], stage="sa_init"),
    VerdictCase("ike.bad_message", "a nonce of 8 bytes", options=["--fault", "nonce-short", *SILENT], expect="silence",
                sentence=["IKE_SA_INIT", "nonce of a wrong length"], change=["on the way"], stage="sa_init"),
    VerdictCase("ike.bad_message", "a payload longer than its message", options=["--fault", "init-lengths", *SILENT],
                expect="silence", sentence=["IKE_SA_INIT", "lengths that do not add up"], stage="sa_init"),
    VerdictCase("ike.bad_message", "an unknown critical payload in IKE_SA_INIT", options=["--fault", "init-critical"],
                expect="other", sentence=["IKE_SA_INIT", "critical payload"], stage="sa_init"),
    VerdictCase("ike.bad_message", "random bytes under a good integrity check", options=["--fault", "auth-random"],
                expect="invalid-syntax", sentence=["IKE_AUTH", "lengths that do not add up"], change=["integrity check held"],
                stage="auth"),
    VerdictCase("ike.bad_message", "IKE_AUTH without an identity", options=["--fault", "auth-no-id"], expect="invalid-syntax",
                sentence=["IKE_AUTH", "payload 35 missing"], stage="auth"),
    VerdictCase("ike.bad_message", "an unknown critical payload in IKE_AUTH", options=["--fault", "auth-critical"],
                expect="other", sentence=["IKE_AUTH", "critical payload, type 200"], stage="auth"),
    VerdictCase("ike.bad_message", "a traffic selector that is cut off", options=["--fault", "auth-ts"], expect="invalid-syntax",
                sentence=["IKE_AUTH", "traffic selectors that cannot be read"], stage="child"),
    VerdictCase("ike.decrypt", "IKE_AUTH with a wrong integrity check value", options=["--fault", "auth-icv", "--timeout", 1],
                expect="silence", sentence=["IKE_AUTH", "AES-GCM-16-256", "MODP-2048"],
                change=["pre-shared key has no part", "proposals = "], stage="auth"),
]


def look_at_misfits(case):
    """Just these do not fit in the nearest proposal, and each is marked."""
    evidence = case.verdict["evidence"]
    near = next(p for p in evidence["proposals"] if p["number"] == evidence["nearest"]["of_proposal"])
    check(sorted(near["misfits"]) == sorted(case.misfits), f"misfits: {near}")
    for kind, offered in near["offered"].items():
        check(any(t["allowed"] for t in offered) == (kind not in case.misfits), f"{kind}: {offered}")
    check(f"proposals = {evidence['nearest']['swanctl']}" in case.verdict["change"], f"{case.verdict}")


def main():
    with Provoker("verdicts_ike") as p:
        checks = p.checks
        tunnel = p.new_tunnel(customer_endpoint=SITE_A)
        for case in REFUSED:
            case.options = [word for offer in case.offer.split() for word in ("--ike", offer)]
            case.expect, case.side, case.stage, case.also = "no-proposal", "peer", "sa_init", look_at_misfits
            p.hold(case, tunnel)
        for case in OTHERS:
            case.side = "peer"
            p.hold(case, tunnel)
        modern = p.new_tunnel(onramp={"profile": "modern"})
        p.hold(VerdictCase("ike.profile", "group 5 on a tunnel of the profile modern", expect="auth-failed", side="either",
                           options=["--ike", "aes256-sha256-prfsha256-modp1536"], stage="auth",
                           sentence=["MODP-1536", "CURVE25519", "profile modern"],
                           change=["proposals = ", '"profile"', modern["id"]]), modern)
        with checks.case("refusals of a proposal are all the same 36 bytes, and what cannot be answered is not"):
            for case in REFUSED:
                check(case.report["sizes"] == [36] and case.report["notify"] == 14, f"{case.what}: {case.report}")
            for case in OTHERS:
                check(case.expect != "silence" or len(case.report["sizes"]) == (case.stage == "auth"),
                      f"{case.what}: {case.report}")
        stranger = p.new_address()
        p.hold(VerdictCase("ike.no_encr", "3DES of a peer that is no tunnel's", options=["--ike", "encr=3-sha256-prfsha256-modp2048"],
                           expect="no-proposal", sentence=["3DES", *PHASE_1]), tunnel, stranger, unknown=True)
        for case in REFUSED:
            with checks.case(f"the nearest proposal comes up for the one that had {case.what}"):
                p.run(tunnel, SITE_A, "--ike", case.verdict["evidence"]["nearest"]["swanctl"], "--do", "delete", expect="up")
        p.comes_up(tunnel, REFUSED + OTHERS)
        p.no_psk_anywhere()
        checks.finish()


if __name__ == "__main__":
    main()

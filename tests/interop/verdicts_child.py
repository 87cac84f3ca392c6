#!/usr/bin/python3
"""Every verdict of the Child SA is provoked by a peer whose phase 1 is good. What the advice names comes up."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import VerdictCase, check
from lab import SITE_A
from provoke import Provoker

PHASE_2 = ["AES-GCM-16-256", "AES-CBC-128", "HMAC-SHA2-256-128", "NO-ESN"]

REFUSED = [
    VerdictCase("child.no_proposal", "3DES with MD5", esp="encr=3-integ=1", sentence=["3DES / HMAC-MD5-96", *PHASE_2],
                misfits=["encryption", "integrity"]),
    VerdictCase("child.no_encr", "3DES", esp="encr=3-sha256", sentence=["3DES", *PHASE_2], misfits=["encryption"]),
    VerdictCase("child.no_encr", "ChaCha20", esp="encr=28", sentence=["CHACHA20-POLY1305", *PHASE_2], misfits=["encryption"]),
    VerdictCase("child.no_integ", "HMAC-SHA2-512", esp="aes256-integ=14", sentence=["HMAC-SHA2-512-256", *PHASE_2],
                misfits=["integrity"]),
    VerdictCase("child.null_not_allowed", "NULL alone", esp="null-sha256", sentence=["NULL / HMAC-SHA2-256-128", *PHASE_2],
                change=["switch encryption on", "allow_null_cipher"], misfits=["encryption"]),
]

# up: phase 1 and the first Child SA are good. fails: the step that is not.
OTHERS = [
    VerdictCase("child.selectors", "IPv4 on its side and IPv6 on ours", expect="ts-unacceptable", change=["0.0.0.0/0"],
                options=["--ts-local", "10.0.0.0/8", "--ts-remote", "fd00::/8"],
                sentence=["TSi 10.0.0.0-10.255.255.255", "TSr fd00::-fdff"]),
    VerdictCase("child.no_pfs_group", "group 2 at the first rekey", options=["--esp", "aes256gcm16-group=2", "--do", "rekey-pfs"],
                fails=14, sentence=["MODP-1024", "ECP-384", "MODP-2048"], change=["esp_proposals = aes256gcm16-", "first rekey"]),
    VerdictCase("ike.wrong_group", "a key for group 5 in a rekey that chose group 14", fails=17,
                options=["--esp", "aes256gcm16-modp2048", "--ke-group", 5, "--do", "rekey-pfs"],
                sentence=["MODP-1536", "MODP-2048"], change=["child section", "esp_proposals = "]),
    VerdictCase("child.too_many", "a hundred and thirty children", options=["--do", "children:130"], fails=35,
                sentence=["the limit is 128"], change=["one child for all networks"]),
    VerdictCase("child.transport_mode", "transport mode; it gets tunnel mode", options=["--transport"], fails=None,
                sentence=["tunnel mode"], change=["mode = tunnel"]),
]


def look_at_misfits(case):
    evidence = case.verdict["evidence"]
    check(evidence["proposals"][0]["misfits"] == case.misfits, f"misfits: {evidence}")
    check(f"esp_proposals = {evidence['nearest']['swanctl']}" in case.verdict["change"], f"{case.verdict}")


def look_at_step(case):
    steps = case.report.get("steps", [{}])
    check(case.report["outcome"] == "up" and steps[-1].get("notify") == case.fails, f"{case.report}")


def main():
    with Provoker("verdicts_child") as p:
        checks = p.checks
        tunnel = p.new_tunnel()
        for case in REFUSED:
            case.options, case.expect, case.also = ["--esp", case.esp], "no-proposal", look_at_misfits
        for case in REFUSED + OTHERS:
            case.side, case.stage = "peer", "child"
            case.tunnel = tunnel
            if hasattr(case, "fails"):
                case.tunnel, case.also = p.new_tunnel(), look_at_step
            p.hold(case, case.tunnel)
        with checks.case("starting again and again does not hide why"):
            codes = {v["code"] for v in p.why(tunnel)["history"]}
            check("live.restart_loop" not in codes, f"{codes}")
        with checks.case("what works and yet is odd stands while the tunnel is up, and is over with the next handshake"):
            odd = OTHERS[-1].tunnel
            check(p.why(odd)["up"] and p.gateway.verdict(odd)["code"] == "child.transport_mode", f"{p.why(odd)}")
            p.run(odd, SITE_A, "--do", "delete", expect="up")
            found = [v["over_since"] for v in p.why(odd)["history"] if v["code"] == "child.transport_mode"]
            check(len(found) == 1 and found[0], f"{p.why(odd)['history']}")
        with checks.case("a rekey that is good ends the verdict of one that was not"):
            pfs = OTHERS[1].tunnel
            check(p.why(pfs)["up"] and p.gateway.verdict(pfs)["code"] == "child.no_pfs_group", f"{p.why(pfs)}")
            p.run(pfs, SITE_A, "--esp", "aes256gcm16-modp2048", "--do", "rekey-pfs,delete", expect="up")
            found = [v["over_since"] for v in p.why(pfs)["history"] if v["code"] == "child.no_pfs_group"]
            check(len(found) == 1 and found[0], f"{p.why(pfs)['history']}")
        with checks.case("a refused Child SA leaves the IKE SA, and the answer says so in one notify"):
            sizes = {case.report["sizes"][-1] for case in REFUSED}
            check(len(sizes) == 1 and all(case.report["ike_up"] for case in REFUSED), f"{sizes}")
        for case in REFUSED:
            with checks.case(f"the nearest proposal comes up for the one that had {case.what}"):
                p.run(tunnel, SITE_A, "--esp", case.verdict["evidence"]["nearest"]["swanctl"], "--do", "delete", expect="up")
        with checks.case("NULL comes up as soon as the tunnel allows it"):
            p.gateway.call("PUT", f"/ipsec_tunnels/{tunnel['id']}", {"allow_null_cipher": True})
            p.run(tunnel, SITE_A, "--esp", "null-sha256", "--do", "delete", expect="up")
        p.comes_up(tunnel, [case for case in REFUSED + OTHERS if case.tunnel is tunnel])
        p.no_psk_anywhere()
        checks.finish()


if __name__ == "__main__":
    main()

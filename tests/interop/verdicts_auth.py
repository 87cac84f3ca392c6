#!/usr/bin/python3
"""Every verdict of IKE_AUTH is provoked by a peer with that one thing wrong. Strangers learn nothing from the answers, which are
the same for every reason."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import VerdictCase, check
from lab import ANYCAST4, SITE_A, wait_until
from provoke import OTHER_ANYCAST4, Provoker

# What the peer calls itself. {id}, {number}, {domain} are those of a tunnel; the rest is said in main().
NAMES = [
    VerdictCase("auth.unknown_identity", "the name of a tunnel that never was", name="fqdn:{zero}.{number}.{domain}",
                sentence=["{zero}", "ipsec@TUNNEL.ACCOUNT.{domain}"], change=["remote_identities"]),
    VerdictCase("auth.unknown_identity", "a host name of its own", name="fqdn:router.example.com",
                sentence=["fqdn:router.example.com"], change=["remote_identities"]),
    VerdictCase("auth.unknown_identity", "a distinguished name", name="dn:CN=router", sentence=["type 9:434e3d726f75746572"]),
    VerdictCase("auth.identity_typo", "one digit is another one", name="fqdn:{typo}.{number}.{domain}", sentence=["{typo}"]),
    VerdictCase("auth.identity_typo", "the last digit is missing", name="email:ipsec@{short}.{number}.{domain}",
                sentence=["{short}"]),
    VerdictCase("auth.identity_account", "the number of another account", name="fqdn:{id}.77.{domain}", sentence=["{id}.77."]),
    VerdictCase("auth.identity_form", "a name sent as a key id", name="keyid:{id}.{number}.{domain}", sentence=["keyid:{id}"]),
    VerdictCase("auth.identity_form", "a key id sent as a name", name="fqdn:{number}_{id}", sentence=["fqdn:{number}_{id}"]),
    VerdictCase("auth.identity_form", "a key id in hex as the API shows it", name="keyid:{hex}", sentence=["keyid:{hex}"]),
    VerdictCase("auth.identity_form", "the tunnel's id alone", name="fqdn:{id}", sentence=["fqdn:{id}"]),
    VerdictCase("auth.identity_form", "another user than ipsec", name="email:me@{id}.{number}.{domain}", sentence=["me@{id}"]),
    VerdictCase("auth.identity_domain", "the domain of another service", name="fqdn:{id}.{number}.example.com",
                sentence=["{number}.example.com"]),
    VerdictCase("auth.identity_address", "an address that no tunnel has", name="address", side="either", sentence=["ipv4:203."],
                change=["customer_endpoint", "the packets came from 203."]),
    VerdictCase("auth.tunnel_deleted", "the name of a tunnel that was deleted", name="fqdn:{gone}.{number}.{domain}",
                sentence=["{gone}"], change=["Take the connection out of the router"]),
]

# What is wrong with the key, or with all that comes besides.
KEYS = [
    VerdictCase("auth.wrong_psk", "another key", key=lambda psk: "f" * 64,
                change=["secret = ", 'id-1 = "{own}"', ANYCAST4, "/psk_generate"]),
    VerdictCase("auth.psk_blank", "a line end behind the key", key=lambda psk: psk + "\n", sentence=["a line end behind it"]),
    VerdictCase("auth.psk_blank", "a DOS line end behind the key", key=lambda psk: psk + "\r\n", sentence=["DOS line end"]),
    VerdictCase("auth.psk_blank", "a blank behind the key", key=lambda psk: psk + " ", sentence=["a blank behind it"]),
    VerdictCase("auth.psk_blank", "a blank before the key", key=lambda psk: " " + psk, sentence=["a blank before it"],
                change=["no blank or line end more or less", "{own}"]),
    VerdictCase("auth.not_psk", "a signature with RSA", options=["--auth-method", 1], sentence=["RSA signature", "pre-shared key"],
                change=["auth = psk"]),
    VerdictCase("auth.not_psk", "a digital signature", options=["--auth-method", 14], sentence=["14 (digital signature)"]),
    VerdictCase("auth.not_psk", "NULL authentication", options=["--auth-method", 13], sentence=["13 (none at all)"]),
    VerdictCase("auth.eap", "no AUTH payload", options=["--no-auth"], sentence=["EAP", "a pre-shared key"], change=["auth = psk"]),
    VerdictCase("auth.wrong_endpoint", "another of the gateway's addresses", to=OTHER_ANYCAST4,
                sentence=[f"it came to {OTHER_ANYCAST4}; the tunnel's is {ANYCAST4}"],
                change=[f"remote_addrs = {ANYCAST4}", f"remote {{ id = {ANYCAST4} }}"]),
]


def fill(case, words):
    for key in ("sentence", "change"):
        case.__dict__[key] = [word.format(**words) if re.fullmatch(r"[^{}]*(\{\w+\}[^{}]*)+", word) else word
                              for word in getattr(case, key, ())]


def hold_names(p, tunnel):
    """Identities that belong to no tunnel; who was meant is looked for after the answer has gone."""
    gone = p.new_tunnel()
    p.gateway.call("DELETE", f"/ipsec_tunnels/{gone['id']}")
    names = tunnel["remote_identities"]
    own = tunnel["id"]
    _, number, domain = names["fqdn_id"].split(".", 2)
    words = {"id": own, "number": number, "domain": domain, "hex": names["hex_id"], "zero": "0" * 32, "gone": gone["id"],
             "typo": ("0" if own[0] != "0" else "1") + own[1:], "short": own[:-1]}
    for case in NAMES:
        fill(case, words)
        case.expect, case.stage, case.side = "auth-failed", "auth", getattr(case, "side", "peer")
        case.identity, case.local = case.name.format(**words), p.new_address()
        p.attempt(case, tunnel, case.local)
    for case in NAMES:
        p.hold(case, tunnel, case.local, unknown=True)
    meant = [case for case in NAMES if case.code in ("auth.identity_typo", "auth.identity_account", "auth.identity_form",
                                                     "auth.identity_domain")]
    with p.checks.case("who was meant is named, in the verdict and at the tunnel itself"):
        near = [(v["code"], v["identity"]) for v in p.why(tunnel)["unknown_near"]]
        for case in meant:
            nearest = case.verdict["nearest_tunnel"]
            check(nearest and nearest["identity"] == names["user_id"], f"{case.what}: {nearest}")
            check((case.code, case.verdict["identity"]) in near, f"{case.what}: not at the tunnel: {near}")
        others = [case for case in NAMES if case not in meant and case.verdict["nearest_tunnel"]]
        check(not others, f"{[case.what for case in others]} name one")
    with p.checks.case("the line that the advice names is taken"):
        line = re.search(r'local \{ id = "(.*?)" \}', meant[0].verdict["change"])[1]
        p.run(tunnel, SITE_A, "--do", "delete", identity=f"email:{line}", expect="up")


def hold_address(p):
    """A name that is like none, from an address that is one tunnel's: that one was meant."""
    local = p.new_address()
    tunnel = p.new_tunnel(customer_endpoint=local)
    user = tunnel["remote_identities"]["user_id"]
    case = VerdictCase("auth.unknown_identity", "a host name, from the address of a tunnel", identity="fqdn:branch-7.example.com",
                       expect="auth-failed", sentence=["branch-7.example.com"])
    p.attempt(case, tunnel, local)
    p.hold(case, tunnel, local, unknown=True)
    with p.checks.case("the tunnel with that address is named"):
        near = wait_until(lambda: next((v for v in p.why(tunnel)["unknown_near"] if v["code"] == case.code), None), 5)
        check(near and near["nearest_tunnel"]["identity"] == user and user in near["change"], f"{near}, {p.unknown(local)}")


def hold_keys(p, tunnel):
    words = {"own": tunnel["remote_identities"]["fqdn_id"]}
    for case in KEYS:
        fill(case, words)
        case.expect, case.stage, case.side = "auth-failed", "auth", "peer"
        if hasattr(case, "key"):
            case.psk = case.key(tunnel["psk"])
        p.hold(case, tunnel)


def hold_settings(p):
    """What is wrong on a tunnel of its own."""
    bare = p.new_tunnel(psk=False)
    cases = [(bare, VerdictCase("auth.no_psk", "a tunnel without a key", side="gateway", sentence=[bare["id"]],
                                change=[f"/ipsec_tunnels/{bare['id']}/psk_generate"]))]
    rolled = p.new_tunnel()
    former = rolled["psk"]
    rolled["psk"] = p.gateway.generate_psk(rolled)
    p.psks.append(rolled["psk"])
    cases.append((rolled, VerdictCase("auth.previous_psk", "the key before the present one", side="peer", psk=former,
                                      sentence=[rolled["id"]], change=["newer key", rolled["remote_identities"]["fqdn_id"]])))
    elsewhere = p.new_tunnel(customer_endpoint=p.new_address())
    cases.append((elsewhere, VerdictCase("auth.wrong_peer_address", "another address than the customer_endpoint", side="either",
                                         sentence=[f"it came from {SITE_A}; the tunnel's is {elsewhere['customer_endpoint']}"],
                                         change=[f"customer_endpoint here to {SITE_A}", elsewhere["id"],
                                                 f"local_addrs = {elsewhere['customer_endpoint']}"])))
    blank = p.new_tunnel()
    applied = p.gateway.call("POST", "/ipsec_tunnels/psk", {"psks": [{"id": blank["id"], "psk": blank["psk"] + " "}]})
    check(blank["id"] in applied["successfully_applied_psks"], f"{applied}")
    cases.append((blank, VerdictCase("auth.psk_blank", "a blank behind the key here", side="peer", psk=blank["psk"],
                                     sentence=["without the blanks"], change=["set here with a blank", blank["id"]])))
    for tunnel, case in cases:
        case.expect, case.stage = "auth-failed", "auth"
        p.hold(case, tunnel)
    return [case for _, case in cases]


def main():
    with Provoker("verdicts_auth") as p:
        tunnel = p.new_tunnel()
        hold_names(p, tunnel)
        hold_address(p)
        hold_keys(p, tunnel)
        cases = NAMES + KEYS + hold_settings(p)
        with p.checks.case("every refusal is the same notify in the same number of bytes"):
            seen = {(tuple(case.report["sizes"][1:]), case.report["notify"]) for case in cases}
            check(len(seen) == 1 and next(iter(seen))[1] == 24, f"{seen}")
        p.comes_up(tunnel, KEYS)
        p.no_psk_anywhere()
        p.checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""What goes wrong where `onrampd --site` starts the tunnel: faulty gateways, and what `onramp site why` says of each.

One site with a tunnel to each fault: at `swan` strongSwan with wrong settings, at `script` gateways that misbehave as no
real one does (tests/netns/responder.py), and addresses where nobody answers."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
import responder
from charon import Charon
from checks import Checks, VerdictCase, check
from lab import PYTHON, ROOT, Lab, wait_until
from site_role import Site

SITE, SWAN, SCRIPT = "203.0.113.2", "198.51.100.%d", "198.51.101.%d"
PSK, NAME = "a key for strongSwan", "branch.example.net"
GOOD = {"ike": "aes256gcm16-prfsha256-ecp384", "esp": "aes256gcm16", "id": None, "remote_id": NAME, "psk": PSK,
        "local_ts": "192.168.0.0/24", "remote_ts": "0.0.0.0/0"}

# strongSwan's connections: name, what differs from a good one
SWANS = {
    "good": {},
    "no-proposal": {"ike": "aes128-sha1-modp1024"},
    "other-name": {"id": "gateway.example.net"},
    "unknown-site": {"remote_id": "nobody.example.net"},
    "other-key": {"psk": "not the right one", "remote_id": "branch-2.example.net"},
    "two-keys": {"psk": "not the right one"},
    "esp": {"esp": "aes256ctr-sha512"},
    "selectors": {"remote_ts": "10.77.0.0/16"},
    "pfs": {"esp": "aes256gcm16-ecp521"},
}
SWAN_CONNECTION = """	{name} {{
		version = 2
		local_addrs = {address}
		remote_addrs = %any
		proposals = {ike}
		local {{ auth = psk
			id = {id} }}
		remote {{ auth = psk
			id = {remote_id} }}
		children {{ net {{
			local_ts = {local_ts}
			remote_ts = {remote_ts}
			esp_proposals = {esp} }} }}
	}}
"""
SWAN_SECRET = """	ike-{name} {{ id-1 = {id}
		id-2 = {remote_id}
		secret = "{psk}" }}
"""

# Settings of the site's tunnels beside gateway, identity and key.
SETTINGS = {
    "swan-selectors": {"local_ts": "10.1.0.0/24", "remote_ts": "192.168.0.0/24"},
    "swan-other-key": {"identity": "fqdn:branch-2.example.net"},
    "dies": {"dpd_delay": 5},
    "deletes": {"dpd_delay": 5},
}

CASES = [
    VerdictCase("start.no_answer", "nothing answers at the gateway's address", tunnel="nobody", stage="sa_init", side="either",
                sentence=["IKE_SA_INIT on UDP 500"], change=["UDP 500 and 4500", "198.51.101.99"], wait=40),
    VerdictCase("start.no_answer", "a firewall lets UDP 500 pass and drops UDP 4500", tunnel="silent", stage="auth",
                side="either", sentence=["IKE_SA_INIT was answered"], change=["UDP 4500"], wait=45),
    VerdictCase("start.no_proposal", "strongSwan takes AES-CBC-128 with SHA-1 and MODP-1024 only", tunnel="swan-no-proposal",
                stage="sa_init", side="either", sentence=["NO_PROPOSAL_CHOSEN (14)", "we offered", "ECP-384"],
                change=["profile = "]),
    VerdictCase("start.no_proposal", "a gateway says NO_PROPOSAL_CHOSEN", tunnel="no-proposal", stage="sa_init"),
    VerdictCase("start.refused", "a gateway says INVALID_SYNTAX to IKE_SA_INIT", tunnel="refuse", stage="sa_init",
                side="gateway", sentence=["INVALID_SYNTAX (7)"], change=["own log"]),
    VerdictCase("start.auth_refused", "strongSwan has another pre-shared key", tunnel="swan-other-key", stage="auth",
                side="either", sentence=["AUTHENTICATION_FAILED (24)", "fqdn:branch-2.example.net"], change=["identity =", "psk_file ="]),
    VerdictCase("start.auth_refused", "strongSwan knows nobody by the site's identity", tunnel="swan-unknown-site",
                stage="auth", sentence=["AUTHENTICATION_FAILED (24)"]),
    VerdictCase("start.auth_refused", "a gateway answers IKE_AUTH with AUTHENTICATION_FAILED", tunnel="refuse-auth"),
    VerdictCase("start.wrong_gateway", "strongSwan's own identity is not its address", tunnel="swan-other-name",
                stage="auth", side="either", sentence=["fqdn:gateway.example.net", f"ipv4:{SWAN % 12}"],
                change=["gateway_id = fqdn:gateway.example.net"]),
    VerdictCase("auth.wrong_psk", "strongSwan has two keys for the site, takes the one and proves itself with the other",
                tunnel="swan-two-keys", stage="auth", side="either", sentence=["ipv4:198.51.100."], change=["psk_file ="]),
    VerdictCase("auth.wrong_psk", "a gateway takes the site's key and proves itself with another", tunnel="other-key",
                stage="auth", side="either", sentence=["ipv4:198.51.101."], change=["psk_file ="]),
    VerdictCase("auth.not_psk", "a gateway proves itself by a signature", tunnel="signature", stage="auth", side="gateway",
                sentence=["method 1"], change=["auth = psk"]),
    VerdictCase("ike.bad_message", "a gateway leaves its identity out of IKE_AUTH", tunnel="no-name", stage="auth",
                side="gateway", sentence=["IDr"]),
    VerdictCase("ike.bad_key_exchange", "a gateway sends a point that is not on the curve", tunnel="bad-key", stage="sa_init",
                side="gateway"),
    VerdictCase("child.refused", "strongSwan has other networks for the tunnel", tunnel="swan-selectors", stage="child",
                side="either", sentence=["TS_UNACCEPTABLE (38)", "10.1.0.0-10.1.0.255"], change=["local_ts ="]),
    VerdictCase("child.refused", "strongSwan takes no phase 2 proposal of the site", tunnel="swan-esp", stage="child",
                sentence=["NO_PROPOSAL_CHOSEN (14)", "AES-GCM-16-256"], change=["profile ="]),
    VerdictCase("child.refused", "a gateway has another selector", tunnel="child-selectors", stage="child"),
    VerdictCase("live.peer_deleted", "a gateway deletes the IKE SA", tunnel="deletes", stage="live",
                side="none"),
    VerdictCase("live.timeout", "a gateway dies without a word", tunnel="dies", stage="live", side="gateway",
                sentence=["no answer to 6 requests"], change=["dpd_delay"], wait=40),
    VerdictCase("live.rekey_refused", "strongSwan wants the PFS group ECP-521 at the rekey", tunnel="swan-pfs", stage="live",
                side="gateway", sentence=["NO_PROPOSAL_CHOSEN (14) to the rekey of a Child SA", "we offered"],
                change=["PFS group"], rekey=[]),
    VerdictCase("live.rekey_refused", "a gateway says NO_ADDITIONAL_SAS to the rekey of the IKE SA", tunnel="no-rekeys",
                stage="live", sentence=["NO_ADDITIONAL_SAS (35) to the rekey of the IKE SA"], rekey=["--ike"]),
]


def start_swan(lab):
    swan = Charon(lab, "swan", SWAN % 10)
    swan.start()
    connections, secrets = "", ""
    for number, (name, more) in enumerate(SWANS.items(), 10):
        values = {**GOOD, "name": name, "address": SWAN % number, **more}
        values["id"] = values["id"] or values["address"]
        connections += SWAN_CONNECTION.format(**values)
        secrets += SWAN_SECRET.format(**values)
    path = swan.directory / "swanctl" / "swanctl.conf"
    path.touch(mode=0o600)
    path.write_text(f"connections {{\n{connections}}}\nsecrets {{\n{secrets}}}\n")
    swan.load()
    return swan


def start_script(lab, faults):
    words = [f"{SCRIPT % number}={fault}" for number, fault in enumerate(faults, 10)]
    process = lab.spawn("script", PYTHON, ROOT / "tests/netns/responder.py", *words, log="responder.log")
    check(wait_until(lambda: "ready" in process.log_tail(), 10), process.log_tail())
    return {fault: SCRIPT % number for number, fault in enumerate(faults, 10)}


def build(lab, faults):
    for node in ("site", "swan", "script"):
        lab.add_node(node)
    lab.add_node("inet", router=True)
    lab.link("inet", "to-site", ["203.0.113.1/24"], "site", "wan", [f"{SITE}/24", "10.1.0.1/32"])
    lab.link("inet", "to-swan", ["198.51.100.1/24"], "swan", "wan",
             [f"{SWAN % number}/24" for number in range(10, 10 + len(SWANS))] + ["192.168.0.10/32"])
    lab.link("inet", "to-script", ["198.51.101.1/24"], "script", "wan",
             [f"{SCRIPT % number}/24" for number in range(10, 10 + len(faults))])
    for node, gateway in (("site", "203.0.113.1"), ("swan", "198.51.100.1"), ("script", "198.51.101.1")):
        lab.ip(node, f"route add default via {gateway}")


def tunnels_of(addresses):
    tunnels = {"nobody": {"gateway": SCRIPT % 99, "psk": PSK}}
    for number, name in enumerate(SWANS, 10):
        tunnels[f"swan-{name}"] = {"gateway": SWAN % number, "psk": PSK}
    for fault, address in addresses.items():
        tunnels[fault] = {"gateway": address, "psk": responder.PSK.decode()}
    tunnels["swan-good"]["routes"] = "192.168.0.0/24"
    return {name: {"identity": f"fqdn:{NAME}", **keys, **SETTINGS.get(name, {})} for name, keys in tunnels.items()}


def provoke(checks, site, began):
    for case in CASES:
        with checks.verdict(case.code, case.what) as provoked:
            more = vars(case)
            if "rekey" in more:
                check(site.up(case.tunnel), f"it is not up: {site.why(case.tunnel)}")
                site.ask("site", "rekey", case.tunnel, *case.rekey)
            wait = began + more.get("wait", 20) - time.monotonic()
            found = wait_until(lambda: site.failure(case.tunnel, case.code), max(wait, 5), 0.2)
            check(found, f"it says {site.why(case.tunnel)}")
            provoked.take(found, **{key: more[key] for key in ("sentence", "change", "side", "stage") if key in more})
            check(PSK not in str(found) and responder.PSK.decode() not in str(found), "it shows the key")


def readable(checks, site):
    """The commands as somebody reads them at night."""
    with checks.case("site why: the sentence, who acts, what to change, how often; exit status 4"):
        done = site.ask("site", "why", "swan-other-name", check=False)
        check(done.returncode == 4, f"status {done.returncode}")
        lines = done.stdout.splitlines()
        check(lines[0].startswith("Tunnel swan-other-name") and "Why: The gateway has another identity" in done.stdout, done.stdout)
        for word in ("to act    one of the two sides", "gateway_id = fqdn:gateway.example.net", "start.wrong_gateway", "seen "):
            check(word in done.stdout, f"{word}: {done.stdout}")
    with checks.case("site why of a tunnel that works: nothing is wrong, exit status 0"):
        done = site.ask("site", "why", "swan-good", check=False)
        check(done.returncode == 0 and "Nothing is wrong" in done.stdout, f"{done.returncode} {done.stdout}")
        check(site.why("swan-good")["verdict"] is None, f"{site.why('swan-good')}")
    with checks.case("site why of a name that is none: exit status 1, and where the names are"):
        done = site.ask("site", "why", "nothing", check=False)
        check(done.returncode == 1 and "onramp site status" in done.stderr, f"{done.returncode} {done.stderr}")
    with checks.case("site status points to site why for what is down, and for nothing else"):
        text = site.ask("site", "status").stdout
        check("onramp site why refuse\n" in text and "onramp site why swan-good\n" not in text, text)
    with checks.case("the log has a verdict once, not each time that it happens again"):
        tries = site.failure("refuse", "start.refused")["count"]
        told = [line for line in site.log().splitlines() if "start.refused" in line and "tunnel refuse " in line]
        check(tries >= 4 and len(told) == 1, f"{tries} times, {len(told)} lines: {told}")


def main():
    faults = ["no-proposal", "refuse", "refuse-auth", "other-name", "other-key", "signature", "no-name", "bad-key",
              "child-selectors", "child-proposal", "silent", "deletes", "dies", "no-rekeys"]
    with Lab() as lab:
        build(lab, faults)
        swan = start_swan(lab)
        addresses = start_script(lab, faults)
        lab.run("inet", "nft", "-f", "-", input="table ip f { chain forward { type filter hook forward priority 0;\n"
                f"ip daddr {addresses['silent']} udp dport 4500 drop\n}}\n}}\n")
        site = Site(lab, "site", tunnels_of(addresses))
        site.start()
        began = time.monotonic()
        checks = Checks("verdicts_site", lab)
        with checks.case("the tunnel without a fault is up and carries traffic"):
            check(site.up("swan-good") and lab.ping_until("site", "10.1.0.1", "192.168.0.10"), f"{site.why('swan-good')}")
        provoke(checks, site, began)
        readable(checks, site)
        swan.stop()
        checks.finish()


if __name__ == "__main__":
    main()

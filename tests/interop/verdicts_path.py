#!/usr/bin/python3
"""Verdicts of what does not get through: firewalls and NATs on the way, and peers that stop half-way. They need time, in which a
peer could still go on; so all begin at once, and are looked at in the end."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import VerdictCase, check
from lab import ANYCAST4, NAT, SITE_A, SITE_B, wait_until
from provoke import Provoker

HALF_OPEN_S = 30  # so long a half-open IKE SA waits for IKE_AUTH
CHILDLESS_S = 20  # and an IKE SA for a Child SA, until that is said

# The gateway's answers do not come back to one address of site-a.
LOSE_ANSWERS = """table ip lose {{
	chain in {{
		type filter hook input priority 0
		ip daddr {local} udp sport 500 drop
	}}
}}
"""
# Nothing of site-b passes to port 4500.
CLOSE_4500 = """table ip close {
	chain forward {
		type filter hook forward priority 0
		udp dport 4500 drop
	}
}
"""


def nft(p, node, rules):
    p.lab.run(node, "nft", "-f", "-", input=rules)


def half_open(p, tunnel, local, *options):
    """Starts twice, and never comes back."""
    for _ in range(2):
        p.run(tunnel, local, "--only-init", *options, expect="half-open")


HALF_OPEN = [
    VerdictCase("ike.half_open_timeout", "IKE_SA_INIT on 500, and no more", at="500", count=2, sentence=["UDP 500", "no NAT"],
                change=["fragments", "router's own log"]),
    VerdictCase("ike.half_open_timeout", "IKE_SA_INIT on 4500, and no more", at="4500", count=2, sentence=["UDP 4500"],
                change=[f"Let UDP 4500 pass between the router and {ANYCAST4}"]),
    VerdictCase("natt.port_4500", "a peer that finds a NAT, and no more", at="claims", count=2,
                sentence=["UDP 500", "NAT detection finds a NAT", "it has to move to UDP 4500"],
                change=[f"UDP 4500 pass between the router and {ANYCAST4}"]),
    VerdictCase("ike.answer_lost", "a firewall takes the answers away", at="lost", count=1,
                sentence=["IKE_SA_INIT 4 time(s) on UDP 500"], change=[f"Let UDP 500 pass from {ANYCAST4} back"]),
    VerdictCase("ike.fragments_lost", "the last fragment of IKE_AUTH does not come", at="fragments", count=2,
                sentence=["1 of 2 fragments"], change=["fragment_size"]),
]


class Slow:
    """Peers that were started, each with an address of its own."""

    def __init__(self, p):
        self.p = p
        self.tunnel = p.new_tunnel()
        self.at = {name: p.new_address() for name in ("500", "4500", "claims", "lost", "fragments", "icv", "own")}
        self.own = p.new_tunnel(customer_endpoint=self.at["own"])
        self.childless, self.refused = p.new_tunnel(), p.new_tunnel()

    def start(self):
        p, tunnel, at = self.p, self.tunnel, self.at
        half_open(p, tunnel, at["500"])
        half_open(p, tunnel, at["4500"], "--start-port", 4500)
        half_open(p, tunnel, at["claims"], "--nat", "fake")
        half_open(p, self.own, at["own"])
        nft(p, "site-a", LOSE_ANSWERS.format(local=at["lost"]))
        p.spawn(tunnel, at["lost"], "--timeout", 4, "--expect", "silence")
        for _ in range(2):
            p.run(tunnel, at["fragments"], "--fragments", 300, "--fault", "lose-fragment", "--timeout-ms", 1000,
                  expect="silence")
        p.run(tunnel, at["icv"], "--fault", "auth-icv", "--timeout-ms", 1000, expect="silence")
        p.spawn(self.childless, p.new_address(), "--childless", "--do", f"wait:{CHILDLESS_S + 6},child,wait:30", name="childless")
        p.spawn(self.refused, p.new_address(), "--esp", "encr=3-sha256", "--expect", "no-proposal", "--do", "wait:60",
                name="refused")


def start_charon(p):
    """strongSwan behind the NAT, with UDP 4500 closed: it starts on 500 and goes on on 4500."""
    nft(p, "nat", CLOSE_4500)
    tunnel = p.new_tunnel(customer_endpoint=NAT)
    site = Charon(p.lab, "site-b", SITE_B, tries=1, retransmit=0.5)
    site.start()
    site.configure(tunnel["remote_identities"]["fqdn_id"], tunnel["psk"], ike="aes256gcm16-prfsha512-modp2048", esp="aes256gcm16")
    check(not site.initiate(timeout=4), "strongSwan came up through a closed port")
    site.stop()
    return tunnel


def hold_ports(p):
    """What is seen at once."""
    local = p.new_address()
    options = ("--fault", "no-marker", "--start-port", 4500, "--timeout-ms", 100)
    with p.checks.verdict("natt.no_marker", "IKE on UDP 4500 without the marker") as provoked:
        tunnel = p.new_tunnel()
        counts = []
        for _ in range(2):
            p.run(tunnel, local, *options, expect="silence")
            after = counts[-1]["last_seen"] if counts else ""
            counts.append(provoked.take(p.of_address(local, "natt.no_marker", after), ["UDP 4500", "4 zero bytes"],
                                        ["UDP 500", "RFC 3948"], "peer", "sa_init"))
        check(counts[1]["count"] == counts[0]["count"] + 1, f"{counts}")
    with p.checks.verdict("natt.wrong_port", "behind a NAT, and on UDP 500 to the end") as provoked:
        tunnel = p.new_tunnel()
        p.run(tunnel, SITE_B, "--stay-on-500", node="site-b", expect="up")
        verdict = provoked.take(p.of_tunnel(tunnel, "natt.wrong_port"), [NAT, "UDP 4500", "ESP in UDP"],
                                ["NAT traversal", "local_port = 4500"], "peer", "auth")
        check(p.why(tunnel)["up"] and verdict["peer"].startswith(f"{NAT}:"), f"{verdict}")
    with p.checks.verdict("natt.forbidden", "a peer that allows no NAT, behind one") as provoked:
        strict = p.new_tunnel()
        report = p.run(strict, SITE_B, "--no-nats", node="site-b", expect="other")
        check(report["notify"] == 41, f"{report}")
        provoked.take(p.of_tunnel(strict, "natt.forbidden"), [f"its messages come from {NAT}:"], ["NAT traversal"], "peer", "auth")
        p.run(strict, SITE_A, "--no-nats", "--do", "delete", expect="up")
    with p.checks.case("natt.wrong_port is over as soon as the peer moves"):
        p.run(tunnel, SITE_B, "--do", "delete", node="site-b", expect="up")
        found = [v["over_since"] for v in p.why(tunnel)["history"] if v["code"] == "natt.wrong_port"]
        check(len(found) == 1 and found[0], f"{p.why(tunnel)['history']}")
    for former in (tunnel, strict):  # another one's peer will be seen at the address of the NAT
        p.gateway.call("DELETE", f"/ipsec_tunnels/{former['id']}")


def hold_childless(p, slow):
    with p.checks.verdict("child.none", "an IKE SA that never asks for a Child SA") as provoked:
        provoked.take(p.of_tunnel(slow.childless, "child.none", timeout=CHILDLESS_S + 10), ["IKE SA without a Child SA for 2"],
                      ["start_action = start"], "peer", "child")
    with p.checks.case("child.none is over with the first Child SA"):
        up = wait_until(lambda: (why := p.why(slow.childless))["up"] and why, 15)
        check(up and up["verdict"] is None, f"{up and up['verdict']}")
    with p.checks.case("an IKE SA whose Child SA was refused keeps saying why"):
        why = p.why(slow.refused)
        check(why["verdict"]["code"] == "child.no_encr", f"{why['verdict']}")
        check([v["code"] for v in why["history"]] == ["child.no_encr"], f"{why['history']}")


def hold_half_open(p, slow):
    at = slow.at
    for case in HALF_OPEN:
        local = at[case.at]
        with p.checks.verdict(case.code, case.what) as provoked:
            verdict = p.of_address(local, case.code, timeout=HALF_OPEN_S + 10)
            if case.count == 2:
                verdict = p.of_address(local, case.code, verdict["first_seen"])
            provoked.take(verdict, case.sentence, case.change, "peer", "auth")
            check(verdict["count"] == case.count, f"{verdict['count']} times: {verdict}")
            codes = [v["code"] for v in p.unknown(local)]
            check(codes == [case.code], f"and others: {codes}")
    with p.checks.case("a message that does not decrypt is not said to be missing"):
        codes = [v["code"] for v in p.unknown(at["icv"])]
        check(codes == ["ike.decrypt"], f"{codes}")
    with p.checks.verdict("ike.half_open_timeout", "the peer at the address of a tunnel") as provoked:
        provoked.take(p.of_tunnel(slow.own, "ike.half_open_timeout"), [slow.at["own"]], (), "peer", "auth")
    with p.checks.verdict("natt.port_4500", "strongSwan behind a NAT, and UDP 4500 is closed") as provoked:
        provoked.take(p.of_tunnel(slow.natted, "natt.port_4500", timeout=HALF_OPEN_S), ["NAT detection finds a NAT", NAT],
                      [f"Let UDP 4500 pass between the router and {ANYCAST4}"], "peer", "auth")


def main():
    with Provoker("verdicts_path") as p:
        slow = Slow(p)
        slow.start()
        hold_ports(p)
        slow.natted = start_charon(p)
        hold_childless(p, slow)
        hold_half_open(p, slow)
        p.no_psk_anywhere()
        p.checks.finish()


if __name__ == "__main__":
    main()

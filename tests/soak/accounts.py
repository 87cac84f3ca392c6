#!/usr/bin/python3
"""accounts.py [SECONDS]: superpackets of numbered UDP both ways between an onrampd and a site, with a rekey by each side every second.
Every packet arrives once, or is counted under one reason: by the gateway, by the site, or by the kernel between them. ESP is native,
so that what a full socket drops is single packets."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import check
from lab import HQ, ROOT, wait_until
from rekeying import LAN, Rekeying, SitePeer, network, site_counters

FLOW = ROOT / "build" / "release" / "bench" / "flow"
ROUND = 10
PORT = 9000
# Packets a second and bytes, by round: light, full size, many, and so many that something has to give.
LOADS = ((2000, 1372), (20000, 1372), (60000, 200), (150000, 1372))
ENDS = 6  # both senders say three times that they have ended: no packets of the flow, which a queue that is still full drops too
NODES = ("site-a", "inet", "gw", "hq")
# Of these nothing is a packet of the flow; the kernel tells a new TUN's multicast groups to nobody.
OTHERS = ("drop_natt_keepalive", "drop_icmp_", "drop_inner_martian")


def daemon_drops(counters):
    """Drops of packets, by reason."""
    return {name: value for name, value in counters.items()
            if name.startswith("drop_") and not name.startswith(("drop_ike_", *OTHERS))}


def batch(rate, size):
    """Packets of a sender's superpacket, which the kernel counts as one where it drops it."""
    return max(1, min(64, 61000 // size, int(rate * 0.0005)))


def kernel_drops(lab):
    """What the kernel did not deliver, by node and reason: full sockets and full queues."""
    found = {}
    for node in NODES:
        for kind in ("udp", "raw"):
            lines = lab.run(node, "cat", f"/proc/net/{kind}").stdout.splitlines()[1:]
            found[f"{node} full {kind} sockets"] = sum(int(line.split()[-1]) for line in lines)
        for link in json.loads(lab.run(node, "ip", "-j", "-s", "link").stdout):
            for way in ("rx", "tx"):
                found[f"{node} {link['ifname']} {way}"] = link["stats64"][way]["dropped"]
    return found


def whole(lost, each):
    """As packets: a queue of a TUN holds superpackets as their senders made them."""
    return {name: value * each if name.endswith(" tx") and " onr" in name else value for name, value in lost.items()}


def changes(before, after):
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


class Accounts:
    def __init__(self, lab, rekeying):
        self.lab, self.rekeying = lab, rekeying
        self.number = 0
        self.sinks = {node: lab.spawn(node, FLOW, "sink", address, PORT, log=f"sink-{node}.log")
                      for node, address in (("site-a", LAN), ("hq", HQ))}

    def drops(self):
        own = daemon_drops(self.rekeying.counters())
        site = daemon_drops(site_counters(self.rekeying.peer.site))
        return {**{f"gateway {name}": value for name, value in own.items()},
                **{f"site {name}": value for name, value in site.items()}, **kernel_drops(self.lab)}

    def tally(self, node):
        """The sink's line of this round."""
        marker = f'"run": {self.number},'
        line = wait_until(lambda: next((text for text in self.sinks[node].log_tail(4).splitlines() if marker in text), None), 5)
        check(line, f"{node}: the sink has no round {self.number}")
        return json.loads(line)

    def round(self, rate, size, seconds):
        self.number += 1
        before = self.drops()
        senders = [self.lab.spawn(node, FLOW, "send", own, other, PORT, size, rate, seconds, self.number,
                                  log=f"send-{node}-{self.number}.log")
                   for node, own, other in (("site-a", LAN, HQ), ("hq", HQ, LAN))]
        rekeys, by_gateway = 0, True
        while any(sender.alive() for sender in senders):
            time.sleep(1)
            self.rekeying.rekey(by_gateway, rekeys % 5 == 4)
            rekeys, by_gateway = rekeys + 1, not by_gateway
        tallies = [self.tally(node) for node in ("hq", "site-a")]
        # What the sender says is what its socket took: what a queue behind it dropped is the kernel's.
        sent = sum(json.loads(sender.log_tail(1))["sent"] for sender in senders)
        for sender in senders:
            self.lab.processes.remove(sender)
        received = sum(tally["received"] for tally in tallies)
        lost = whole(changes(before, self.drops()), batch(rate, size))
        print(f"  round {self.number}: {rate}/s of {size} bytes both ways, {rekeys} rekeys: {sent} sent, {received} received, "
              f"counted: {lost}", flush=True)
        check(all(tally["duplicates"] == 0 and tally["beyond"] == 0 for tally in tallies), f"came twice: {tallies}")
        check(0 <= sum(lost.values()) - (sent - received) <= ENDS,
              f"{sent - received} did not arrive, {sum(lost.values())} are counted: {lost}")
        return sent, received


def main():
    end = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 600)
    with network("accounts") as (lab, gateway, checks):
        accounts = Accounts(lab, Rekeying(lab, gateway, SitePeer))
        with checks.case("every packet arrives once or is counted under one reason, through rekeys by both sides"):
            sent = received = 0
            while time.monotonic() < end or accounts.number < len(LOADS):
                rate, size = LOADS[accounts.number % len(LOADS)]
                more = accounts.round(rate, size, ROUND)
                sent, received = sent + more[0], received + more[1]
            print(f"  {sent} sent, {received} received", flush=True)
            check(received > sent / 20, "too little arrived to say anything")
        checks.finish()


if __name__ == "__main__":
    main()

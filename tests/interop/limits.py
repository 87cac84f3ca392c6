#!/usr/bin/python3
"""Child SAs that have carried enough are rekeyed by us: under numbered traffic, with strongSwan and with Onramp's site as the
peer, also with extended sequence numbers. Nothing is lost, no SA is left over, and a killed gateway goes on."""
import os
import signal
import sqlite3
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import check
from flow import Flow
from lab import HQ, wait_until
from rekeying import LAN, SitePeer, SwanPeer, each_peer, network
from wire import Capture

RATE, PACKETS, REKEYS = 200, 300, 3


class LimitedSwan(SwanPeer):
    tunnel = {"onramp": {"child_rekey_packets": PACKETS}}


class LimitedSite(SitePeer):
    """Both sides count, and the site is to be first."""
    tunnel = {"replay_protection": True, "onramp": {"child_rekey_packets": PACKETS, "esn": True, "replay_window": 1024}}
    keys = {"rekey_packets": PACKETS, "esn": "yes", "replay_window": 1024}


def under_traffic(lab, rekeying):
    before = rekeying.drops()
    captures = [Capture(lab, "inet", device) for device in ("to-gw", "to-a")]
    first = rekeying.status()["child_rekeys"]
    flow = Flow(lab, (("site-a", LAN), ("hq", HQ)), RATE)
    done = wait_until(lambda: rekeying.status()["child_rekeys"] >= first + REKEYS, 12, 0.2)
    directions = flow.finish(1)
    links = [capture.finish() for capture in captures]
    print("  " + "; ".join(map(str, directions)), flush=True)
    check(done, f"{rekeying.status()['child_rekeys'] - first} rekeys after {RATE * 12} packets")
    rekeying.judge(directions, links, before, rekeying.drops())
    return directions


def goes_on(lab, gateway):
    pid = gateway.child_pid("gateway")
    os.kill(pid, signal.SIGKILL)
    check(wait_until(lambda: gateway.child_pid("gateway") not in (None, pid), 10), "not started again")
    check(lab.ping_until("site-a", LAN, HQ, 10) and lab.ping_until("hq", HQ, LAN, 10), "no traffic")


def set_numbers(directory, used):
    """Says in the store of a stopped process that so many outbound numbers of its Child SA are used (control/child.h)."""
    with sqlite3.connect(next(directory.glob("state/*.db")), timeout=10) as db:
        keys = [bytes(row[0]) for row in db.execute("SELECT key FROM kv")]
        children = [key for key in keys if key.startswith(b"child/")]
        check(len(children) == 1, f"Child SAs: {children}")
        db.execute("INSERT INTO kv (id, key, value, create_rev) SELECT (SELECT max(id) + 1 FROM kv), ?, ?, rev FROM meta WHERE id = 1 "
                   "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                   (children[0].replace(b"child/", b"seq/"), struct.pack(">QQQ", used, 0, 0)))
    db.close()


def cross_the_border(lab, gateway, rekeying):
    """Both sides go on 40 packets below 2^32, with the same SA, and nothing is lost."""
    site = rekeying.peer.site
    child = site.child_pid()
    site.process.kill()
    check(wait_until(lambda: not os.path.exists(f"/proc/{child}"), 5), "the site's child outlived its parent")
    check(gateway.stop() == 0, "the gateway did not end well")
    for directory in (site.directory, gateway.directory):
        set_numbers(directory, 2 ** 32 - 40)
    gateway.start()
    site.start()
    capture = Capture(lab, "inet", "to-gw")
    check(lab.ping("site-a", LAN, HQ, count=120, interval=0.01) == 120, "not all came")
    seen = {}
    for esp in capture.finish():
        seen.setdefault(esp.spi, []).append(esp.seq)
    check(len(seen) == 2, f"not one Child SA: {len(seen)} SPIs")
    for numbers in seen.values():
        check(numbers[0] > 2 ** 32 - 50 and 50 < numbers[-1] < 200, f"numbers from {numbers[0]} to {numbers[-1]}")


def main():
    with network("limits") as (lab, gateway, checks):
        for rekeying in each_peer(lab, gateway, checks, (LimitedSwan, LimitedSite)):
            with checks.case(f"{rekeying.peer.name}: rekeyed after {PACKETS} packets, again and again, and nothing is lost"):
                under_traffic(lab, rekeying)
            with checks.case(f"{rekeying.peer.name}: no SA is left over"):
                rekeying.check_left()
            if isinstance(rekeying.peer, LimitedSite):
                with checks.case("extended sequence numbers were agreed on, and a killed gateway goes on with them"):
                    check("ESN" in rekeying.status()["child_suite"], f"{rekeying.status()}")
                    begin = time.monotonic()
                    goes_on(lab, gateway)
                    check(rekeying.status()["child_count"] >= 1, f"{time.monotonic() - begin:.1f} s: no Child SA")
                with checks.case("extended sequence numbers cross 2^32 in both directions"):
                    cross_the_border(lab, gateway, rekeying)
        checks.finish()


if __name__ == "__main__":
    main()

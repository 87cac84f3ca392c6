#!/usr/bin/python3
"""rekeys.py [CHILDREN [IKES]]: 1,000 rekeys of Child SAs and 50 of IKE SAs, half of each by each side, under numbered traffic
both ways; Onramp's site as the peer, then strongSwan. Nothing may be lost by us, come twice, or be left over."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks
from lab import Gateway, Lab
from rekeying import LAN, Rekeying, SitePeer, SwanPeer

RATE = 250


def main():
    children, ikes = (int(word) for word in (sys.argv[1:] + ["1000", "50"][len(sys.argv) - 1:])[:2])
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        gateway = Gateway(lab)
        gateway.start()
        gateway.create_account("rekeys")
        checks = Checks("rekeys", lab)
        for number, kind in enumerate((SitePeer, SwanPeer), 1):
            peers = []
            with checks.case(f"{kind.name}: up"):
                peers.append(Rekeying(lab, gateway, kind, number))
            for rekeying in peers:
                with checks.case(f"{kind.name}: {children} Child rekeys and {ikes} IKE rekeys lose nothing"):
                    rekeying.run(children, ikes, RATE)
                print(f"  lost: {dict(rekeying.lost_of)}", flush=True)
                with checks.case(f"{kind.name}: no SA is left over"):
                    rekeying.check_left(wait_closed=True)
                rekeying.end()
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""rekeys.py [CHILDREN [IKES]]: 1,000 rekeys of Child SAs and 50 of IKE SAs, half of each by each side, under numbered traffic
both ways; Onramp's site as the peer, then strongSwan. Nothing may be lost by us, come twice, or be left over."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from rekeying import SitePeer, SwanPeer, each_peer, network

RATE = 250


def main():
    children, ikes = (int(word) for word in (sys.argv[1:] + ["1000", "50"][len(sys.argv) - 1:])[:2])
    with network("rekeys") as (lab, gateway, checks):
        for rekeying in each_peer(lab, gateway, checks, (SitePeer, SwanPeer)):
            with checks.case(f"{rekeying.peer.name}: {children} Child rekeys and {ikes} IKE rekeys lose nothing"):
                rekeying.run(children, ikes, RATE)
            print(f"  lost: {dict(rekeying.lost_of)}", flush=True)
            with checks.case(f"{rekeying.peer.name}: no SA is left over"):
                rekeying.check_left(wait_closed=True)
        checks.finish()


if __name__ == "__main__":
    main()

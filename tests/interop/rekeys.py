#!/usr/bin/python3
"""Rekeys of Child and IKE SAs by both sides, Onramp's site and strongSwan as the peer: no packet is lost by us, none comes
twice, no SA is left over. tests/soak/rekeys.py is the long form."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from rekeying import SitePeer, SwanPeer, each_peer, network


def main():
    with network("rekeys") as (lab, gateway, checks):
        for rekeying in each_peer(lab, gateway, checks, (SitePeer, SwanPeer)):
            with checks.case(f"{rekeying.peer.name}: 20 Child rekeys by each side and 4 IKE rekeys lose nothing"):
                rekeying.run(40, 4, 150)
            with checks.case(f"{rekeying.peer.name}: no SA is left over"):
                rekeying.check_left()
        checks.finish()


if __name__ == "__main__":
    main()

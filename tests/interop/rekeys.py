#!/usr/bin/python3
"""Rekeys of Child and IKE SAs by both sides, Onramp's site and strongSwan as the peer: no packet is lost by us, none comes
twice, no SA is left over. tests/soak/rekeys.py is the long form."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks
from lab import Gateway, Lab
from rekeying import LAN, Rekeying, SitePeer, SwanPeer


def main():
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
                with checks.case(f"{kind.name}: 20 Child rekeys by each side and 4 IKE rekeys lose nothing"):
                    rekeying.run(40, 4, 150)
                with checks.case(f"{kind.name}: no SA is left over"):
                    rekeying.check_left()
                rekeying.end()
        checks.finish()


if __name__ == "__main__":
    main()

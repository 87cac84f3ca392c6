#!/usr/bin/python3
"""Floods of spoofed first messages and of junk: tunnels that stand keep their load, a new peer gets in, memory and log stay
small, and nobody unproven is sent more than he sent. tests/soak/flood.py is the long form."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from flooding import JUNK, STRANGERS, Flooding
from lab import Lab


def main():
    with Lab() as lab:
        checks = Checks("flood", lab)
        flooding = Flooding(lab)
        with checks.case("a pace that the lab carries"):
            flooding.choose_pace(1)
        with checks.case("12,000 spoofed IKE_SA_INIT, cookies, fragments: the load arrives, nobody is answered with more than he sent"):
            result = flooding.flood(STRANGERS, 12000, 4000, flooding.come_new)
            flooding.judge(result, 60)
            check(result["cookies"] > 100 and result["changed"].get("drop_ike_cookie", 0) > 100, "no cookie was asked for")
        with checks.case("a new peer gets in meanwhile"):
            flooding.check_new()
        with checks.case("junk to half-open and standing SAs, fragments of nobody, ESP of nobody: the load arrives, the SA stands"):
            result = flooding.flood(JUNK, 8000, 4000)
            flooding.judge(result, 60)
            for drop in ("ike_auth", "ike_unknown_spi"):
                check(result["changed"].get(f"drop_{drop}", 0) > 0, f"no drop_{drop}: the junk did not come that far")
            check(flooding.site.status("hq")["up"] and flooding.site.status("hq")["ike_rekeys"] == 0, "the SA did not stand")
        checks.finish()


if __name__ == "__main__":
    main()

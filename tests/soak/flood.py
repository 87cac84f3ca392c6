#!/usr/bin/python3
"""flood.py [COUNT [RATE]]: 100,000 spoofed IKE_SA_INIT and half as many packets of junk while tunnels carry 30 % of what they
could, new peers come, and afterwards all that was half open is gone again."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from flooding import JUNK, STRANGERS, Flooding
from lab import Lab, wait_until


def main():
    count, rate = (int(word) for word in (sys.argv[1:] + ["100000", "4000"][len(sys.argv) - 1:])[:2])
    with Lab() as lab:
        checks = Checks("flood", lab)
        flooding = Flooding(lab)
        with checks.case("a pace that the lab carries"):
            flooding.choose_pace(3)
        with checks.case(f"{count} spoofed IKE_SA_INIT"):
            result = flooding.flood(STRANGERS, count, rate, flooding.come_new)
            flooding.judge(result, 60 + count // 1000)
            check(result["cookies"] > count // 4, "no cookie was asked for")
        with checks.case("a new peer gets in meanwhile"):
            flooding.check_new()
        with checks.case(f"{count // 2} packets of junk: the SA stands"):
            result = flooding.flood(JUNK, count // 2, rate)
            flooding.judge(result, 60 + count // 1000)
            check(flooding.site.status("hq")["up"] and flooding.site.status("hq")["ike_rekeys"] == 0, "the SA did not stand")
        with checks.case("what was half open is gone again, and the tunnels are up"):
            check(wait_until(lambda: flooding.counters()["half_open"] == 0, 90, 1), f"{flooding.counters()['half_open']} half open")
            check(flooding.counters()["ike_sas"] == 2 and flooding.counters()["child_sas"] == 2, "SAs are left over")
            sent, arrived = flooding.load(flooding.pace, 2)
            check(arrived >= 0.95 * flooding.quiet * sent, f"{arrived} of {sent} arrive afterwards")
            print(f"  memory afterwards: {flooding.memory_kb()} KiB", flush=True)
        with checks.case("the same flood again takes no more memory"):
            again = flooding.flood(STRANGERS, count // 2, rate)
            check(again["peak"] <= result["peak"] + 16384, f"{again['peak']} KiB after {result['peak']}")
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""traffic.py MINUTES: two sites carry traffic while Child and IKE SAs are rekeyed every few seconds and the peers start
again now and then. Nothing may be lost by a rekey, and the daemon's memory may not grow."""
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from lab import HQ, SITE_A, SITE_B, Gateway, Lab, LabError, ping_argv, pings_lost, wait_until

LANS = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}
ROUND = 20
GROWTH_KB = 8192


def resident_kb(gateway):
    text = pathlib.Path(f"/proc/{gateway.child_pid('gateway')}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


def one_round(lab, sites, number):
    """Pings both ways through ROUND seconds of rekeys; how many were lost."""
    count = ROUND * 50
    streams = [lab.spawn(node, *ping_argv(source, target, count, 0.02, ROUND * 2), log=f"ping-{node}-{target}.log")
               for site in LANS for node, source, target in ((site, LANS[site], HQ), ("hq", HQ, LANS[site]))]
    for second in range(ROUND - 4):
        for node, charon in sites.items():
            rekey = charon.rekey_ike if (number + second) % 5 == 4 else charon.rekey_child
            if not rekey():
                raise LabError(f"round {number}: a rekey of {node} failed")
        time.sleep(0.5)
    lost = 0
    for stream in streams:
        stream.popen.wait(ROUND * 3)
        lost += pings_lost(stream.log_tail(2 * count), count)
        os.unlink(stream.log)
        lab.processes.remove(stream)
    return lost


def main():
    end = time.monotonic() + float(sys.argv[1]) * 60
    with Lab() as lab:
        lab.build_network()
        gateway = Gateway(lab)
        gateway.start()
        gateway.create_account("soak")
        sites = {}
        for number, (node, address, port) in enumerate((("site-a", SITE_A, 500), ("site-b", SITE_B, 4500)), 1):
            lab.ip(node, f"addr add {LANS[node]}/32 dev lo")
            tunnel = gateway.create_tunnel(node, f"10.252.0.{2 * number}/31")
            gateway.create_route(f"10.{number}.0.0/24", f"10.252.0.{2 * number + 1}")
            sites[node] = Charon(lab, node, address, log=0)
            sites[node].start()
            sites[node].configure(tunnel["remote_identities"]["fqdn_id"], gateway.generate_psk(tunnel), start_port=port,
                                  esp="aes256gcm16-modp2048")
            if not sites[node].initiate():
                raise LabError(f"{node} is not up: {sites[node].said}")
        number = lost_in_all = 0
        first = None
        while time.monotonic() < end:
            number += 1
            lost = one_round(lab, sites, number)
            lost_in_all += lost
            kb = resident_kb(gateway)
            first = first or kb
            print(f"round {number}: {lost} of {ROUND * 200} lost, gateway {kb} KiB", flush=True)
            if number % 10 == 0:  # a peer that lost its memory
                for node, charon in sites.items():
                    charon.process.kill()
                    lab.processes.remove(charon.process)
                    charon.start()
                    charon.load()
                    if not charon.initiate() or not wait_until(lambda: lab.ping(node, LANS[node], HQ) == 3, 10):
                        raise LabError(f"{node} does not come back")
        if lost_in_all:
            raise LabError(f"{lost_in_all} packets lost")
        if kb > first + GROWTH_KB:
            raise LabError(f"the gateway grew from {first} to {kb} KiB")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"{error}")

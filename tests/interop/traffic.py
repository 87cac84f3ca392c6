#!/usr/bin/python3
"""What the packet road does with real kernels on both sides: routes, TTL, ICMP errors, MSS, big packets, IPv6 inside."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
import exposition
from lab import HQ, PYTHON, SITE_A, SITE_B, Gateway, Lab

LANS = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}
ACCEPT = """import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((sys.argv[1], 9000)); s.listen()
print("ready", flush=True)
c = s.accept()[0]; print("mss", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), flush=True); c.recv(1)"""


def ping_says(lab, node, source, target, *options):
    return lab.run(node, "ping", "-n", "-c", 1, "-W", 2, "-I", source, *options, target, check=False).stdout


def errors(checks, lab):
    a, b = LANS["site-a"], LANS["site-b"]
    for node, lan in LANS.items():
        with checks.case(f"the gateway's inner address answers {node}"):
            inner = {"site-a": "10.252.0.2", "site-b": "10.252.0.4"}[node]
            check(lab.ping(node, lan, inner) == 3, "no answer")
            check(lab.ping(node, lan, inner, size=1200) == 3, "no answer to 1200 bytes")
    with checks.case("TTL runs out at the gateway, which says so"):
        said = ping_says(lab, "site-a", a, b, "-t", 1)
        check("Time to live exceeded" in said and "From 10.252.0.2" in said, said)
    with checks.case("one hop between the sites"):
        check("1 received" in ping_says(lab, "site-a", a, b, "-t", 2), "TTL 2 does not suffice")
        said = ping_says(lab, "site-a", a, b)
        check("ttl=63" in said, f"the gateway is not one hop: {said}")
    with checks.case("what the network behind the gateway cannot reach is told to the site"):
        lab.ip("gw", "route add unreachable 10.3.0.0/24")
        said = ping_says(lab, "site-a", a, "10.3.0.1")
        check("Unreachable" in said or "unreachable" in said, said)
    with checks.case("a packet that may not be cut and does not fit: too big, with the room there is"):
        said = ping_says(lab, "hq", HQ, a, "-M", "do", "-s", 1472)
        found = re.search(r"Frag needed.*mtu = (\d+)", said)
        check(found and 1380 < int(found.group(1)) < 1450, said)
        fits = int(found.group(1)) - 28
        lab.run("hq", "ip", "route", "flush", "cache")
        check("1 received" in ping_says(lab, "hq", HQ, a, "-M", "do", "-s", fits), f"{fits} bytes do not fit after all")


def sizes(checks, lab):
    with checks.case("every size from 0 to what ipsec0 takes, both ways"):
        for size in list(range(0, 64)) + list(range(64, 1372, 97)) + list(range(1340, 1373)):
            check(lab.ping("site-a", LANS["site-a"], LANS["site-b"], 1, size=size) == 1, f"{size} bytes lost")
        for size in (0, 1, 15, 16, 17, 700, 1372):
            check(lab.ping("hq", HQ, LANS["site-b"], 1, size=size) == 1, f"{size} bytes from hq lost")
    with checks.case("packets in fragments"):
        check(lab.ping("site-a", LANS["site-a"], HQ, size=4000) == 3, "4000 bytes from the site lost")
        check(lab.ping("hq", HQ, LANS["site-a"], size=4000) == 3, "4000 bytes to the site lost")


def mss(checks, lab):
    with checks.case("the MSS of TCP is lowered to what the tunnel takes"):
        # With ipsec0 at 1500 and 1500 at hq nobody but the gateway lowers it.
        lab.ip("site-a", "link set ipsec0 mtu 1500")
        server = lab.spawn("site-a", PYTHON, "-c", ACCEPT, LANS["site-a"], log="accept.log")
        lab.run("hq", "bash", "-c", f"until exec 3<>/dev/tcp/{LANS['site-a']}/9000; do sleep 0.1; done; echo >&3", timeout=10)
        server.popen.wait(10)
        got = int(server.log_tail().split()[-1])
        check(1300 <= got <= 1400, f"MSS at the site: {got}")
        lab.ip("site-a", "link set ipsec0 mtu 1400")


def metrics(checks, gateway):
    with checks.case("metrics are in the format of Prometheus, and count what passed"):
        samples, wrong = exposition.read(gateway.cli("metrics").stdout)
        check(not wrong, wrong[:3])
        check(all(counter["help"] for counter in gateway.status()["counters"]), "a counter that says not what it counts")
        check(samples["onramp_gateway_up"] == 1 and samples["onramp_esp_in_packets_total"] > 100, samples)
        check(samples['onramp_dropped_total{reason="ttl_expired"}'] >= 1, "no drop is counted")
        for name in ("up", "in_packets_total", "in_bytes_total", "out_packets_total", "changed_timestamp_seconds", "last_in_timestamp_seconds"):
            found = [value for sample, value in samples.items() if sample.startswith(f'onramp_tunnel_{name}{{account="traffic",tunnel="site-')]
            check(len(found) == 2 and min(found) >= 1, f"{name}: {found}")


def ready(checks, gateway):
    with checks.case("a gateway that is alone is ready: for the health check of a BGP speaker"):
        done = gateway.cli("node", "ready", check=False)
        check(done.returncode == 0 and done.stdout == "Ready.\n", f"{done.returncode} {done.stdout}{done.stderr}")


def down(checks, lab, gateway, sites, tunnels):
    with checks.case("traffic to a tunnel that is down: unreachable, not lost in silence"):
        sites["site-b"].terminate()
        said = ping_says(lab, "hq", HQ, LANS["site-b"])
        check("nreachable" in said, said)
        check(sites["site-b"].initiate() and lab.ping_until("hq", HQ, LANS["site-b"]), "it does not come back")
    with checks.case("a deleted route counts at once, and its kernel route is gone"):
        route = next(r for r in gateway.call("GET", "/routes")["routes"] if r["prefix"] == "10.2.0.0/24")
        gateway.call("DELETE", f"/routes/{route['id']}")
        check(lab.ping("site-a", LANS["site-a"], LANS["site-b"], 1, wait=1) == 0, "still routed")
        check("10.2.0.0/24" not in lab.run("gw", "ip", "route").stdout, "kernel route still there")
        gateway.create_route("10.2.0.0/24", "10.252.0.5")
        check(lab.ping_until("site-a", LANS["site-a"], LANS["site-b"]), "not routed again")
        check("10.2.0.0/24 dev onr-" in lab.run("gw", "ip", "route").stdout, "no kernel route")
    with checks.case("a deleted tunnel is closed, at the peer as well"):
        for route in gateway.call("GET", "/routes")["routes"]:
            if route["prefix"] == "10.2.0.0/24":
                gateway.call("DELETE", f"/routes/{route['id']}")
        gateway.call("DELETE", f"/ipsec_tunnels/{tunnels['site-b']['id']}")
        check(lab.ping("site-b", LANS["site-b"], HQ, 2, wait=1) == 0, "traffic still passes")


def main():
    with Lab() as lab:
        lab.build_network()
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("traffic", lab)
        gateway.create_account("traffic")
        sites, tunnels = {}, {}
        ciphers = {"site-a": "aes256gcm16", "site-b": "aes256-sha1"}
        for number, (node, address, port) in enumerate((("site-a", SITE_A, 500), ("site-b", SITE_B, 4500)), 1):
            lab.ip(node, f"addr add {LANS[node]}/32 dev lo")
            tunnels[node] = gateway.create_tunnel(node, f"10.252.0.{2 * number}/31")
            gateway.create_route(f"10.{number}.0.0/24", f"10.252.0.{2 * number + 1}")
            sites[node] = Charon(lab, node, address)
            sites[node].start()
            sites[node].configure(tunnels[node]["remote_identities"]["fqdn_id"], gateway.generate_psk(tunnels[node]),
                                  start_port=port, esp=ciphers[node])
            with checks.case(f"{node} up"):
                check(sites[node].initiate(), sites[node].said)
        errors(checks, lab)
        sizes(checks, lab)
        mss(checks, lab)
        metrics(checks, gateway)
        ready(checks, gateway)
        down(checks, lab, gateway, sites, tunnels)
        checks.finish()


if __name__ == "__main__":
    main()

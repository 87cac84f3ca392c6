"""The demo: two branch routers bring up IPsec tunnels that an HTTP API has just created, and traffic flows.

Run by tools/demo (make demo). KEEP=1 in the environment leaves everything running; --stop ends what was left.
"""
import hashlib
import json
import os
import sys
import time

from demo_stage import KEEP, ROOT, play, say, stop_all, title
from charon import Charon
from lab import ANYCAST4, HQ, SITE_A, SITE_B, Gateway, Lab, LabError

NODES = ("hq", "gw", "inet", "site-a", "nat", "site-b")
FILE_MB = 50
PINGS = 5


class Site:
    def __init__(self, node, address, lan, port, form, ike, esp, interface, customer_side, prefix):
        self.node, self.address, self.lan, self.port = node, address, lan, port
        self.form, self.ike, self.esp = form, ike, esp
        self.interface, self.customer_side, self.prefix = interface, customer_side, prefix
        self.checked, self.bytes_in, self.bytes_out = [], 0, 0


SITES = [
    Site("site-a", SITE_A, "10.1.0.1", 500, "FQDN", "aes256gcm16-prfsha512-modp2048", "aes256gcm16-modp2048",
         "10.252.0.2/31", "10.252.0.3", "10.1.0.0/24"),
    Site("site-b", SITE_B, "10.2.0.1", 4500, "KEY_ID", "aes256-sha256-prfsha256-modp2048", "aes256-sha256-modp2048",
         "10.252.0.4/31", "10.252.0.5", "10.2.0.0/24"),
]


# ---- the steps ----

def show_call(gateway, method, path, body):
    """Shows a request as a curl command, makes it, shows the answer with the PSK masked."""
    account = gateway.account["id"]
    url = f"http://127.0.0.1:{gateway.port}/client/v4/accounts/{account}/magic{path}"
    data = f" -d '{json.dumps(body)}'" if body else ""
    say(f"  $ curl -X {method} -H \"Authorization: Bearer $TOKEN\" {url}{data}")
    result = gateway.call(method, path, body)
    shown = dict(result)
    if "psk" in shown:
        shown["psk"] = shown["psk"][:4] + "*" * (len(shown["psk"]) - 4)
    for key in ("ipsec_tunnels", "routes", "health_check", "onramp"):
        shown.pop(key, None)
    say("    " + json.dumps(shown, indent=2).replace("\n", "\n    "))
    return result


def start_gateway(lab):
    gateway = Gateway(lab, ROOT / "build" / "release")
    gateway.start()
    n = lab.name
    say(f"""network namespaces, each one a machine:

  {n}-hq {HQ} ---- {n}-gw {ANYCAST4} ---- {n}-inet ---- {n}-site-a {SITE_A}      (strongSwan, starts on UDP 500)
                          onrampd                     \\--- {n}-nat ---- {n}-site-b {SITE_B}  (strongSwan, starts on UDP 4500)
""")
    say(f"onrampd runs in {n}-gw, its API listens there on 127.0.0.1:{gateway.port}")
    return gateway


def make_account(gateway):
    title("1. An account and a token, from the CLI")
    say("  $ onramp account create demo --json")
    account = gateway.create_account("demo")
    say("    " + json.dumps(account))
    say(f"  $ onramp token create --account {account['id']} --write --json")
    say(f"    the token, shown once: {gateway.token[:4]}{'*' * 12}")


def make_tunnels(gateway):
    title("2. Tunnels, keys and routes, from HTTP calls")
    for site in SITES:
        site.tunnel = show_call(gateway, "POST", "/ipsec_tunnels", {
            "name": site.node, "cloudflare_endpoint": ANYCAST4, "interface_address": site.interface,
            "description": f"branch {site.node}"})
        site.psk = show_call(gateway, "POST", f"/ipsec_tunnels/{site.tunnel['id']}/psk_generate", {})["psk"]
        show_call(gateway, "POST", "/routes", {"prefix": site.prefix, "nexthop": site.customer_side, "priority": 100})


def identity_of(site):
    names = site.tunnel["remote_identities"]
    return names["fqdn_id"] if site.form == "FQDN" else "keyid:" + bytes.fromhex(names["hex_id"]).decode()


def bring_up(lab):
    title("3. The routers, configured from those answers")
    begin = time.monotonic()
    for site in SITES:
        lab.ip(site.node, f"addr add {site.lan}/32 dev lo")
        lab.ip(site.node, f"addr add {site.customer_side}/32 dev lo")
        site.charon = Charon(lab, site.node, site.address)
        site.charon.start()
        site.charon.configure(identity_of(site), site.psk, start_port=site.port, ike=site.ike, esp=site.esp,
                              child_more="start_action = start\n\t\t\t\tdpd_action = start", more="dpd_delay = 30s")
    waiting = list(SITES)
    say(f"  waiting for {len(waiting)} tunnels ...")
    while waiting:
        for site in [site for site in waiting if site.charon.child_spis()]:
            waiting.remove(site)
            say(f"  {site.node}: up after {time.monotonic() - begin:.1f} s, as {site.form} {identity_of(site)}")
        if time.monotonic() - begin > 30:
            raise LabError(f"not up: {', '.join(site.node for site in waiting)}; "
                           f"strongSwan's log:\n{waiting[0].charon.log()[-3000:]}")
        if waiting and sys.stdout.isatty():
            print(f"\r  waiting for {len(waiting)} of {len(SITES)} tunnels, {time.monotonic() - begin:.0f} s \r", end="", flush=True)
        time.sleep(0.1)


def make_files(lab, places):
    """A file of random bytes at each place, and its checksum."""
    for place in places.values():
        folder = lab.directory / f"files-{place['node']}"
        folder.mkdir()
        digest = hashlib.sha256()
        with open(folder / "file", "wb") as out:
            for _ in range(FILE_MB):
                block = os.urandom(1 << 20)
                digest.update(block)
                out.write(block)
        place["sum"] = digest.hexdigest()
        lab.serve_files(place["node"], place["address"], folder)


def work(lab):
    title(f"4. Work: pings, and {FILE_MB} MB with checksum in each direction")
    a, b = SITES
    places = {node: {"node": node, "address": address, "site": site}
              for node, address, site in (("hq", HQ, None), (a.node, a.lan, a), (b.node, b.lan, b))}
    make_files(lab, places)
    failed = []
    for one, other in ((a.node, "hq"), (b.node, "hq"), (a.node, b.node)):
        for source, target in ((places[one], places[other]), (places[other], places[one])):
            name = f"{source['node']} -> {target['node']}"
            got = lab.ping(source["node"], source["address"], target["address"], PINGS)
            # The target fetches, so that the file goes from the source to the target.
            got_sum, seconds = lab.fetch_sum(target["node"], target["address"], f"http://{source['address']}:8000/file")
            good = got == PINGS and got_sum == source["sum"]
            say(f"  {name:18} ping {got}/{PINGS}   {FILE_MB} MB, SHA-256 {'equal' if got_sum == source['sum'] else 'DIFFERENT'}"
                f"   {FILE_MB * 8.388608 / seconds:6.0f} Mbit/s")
            if not good:
                failed.append(name)
            for place, word in ((source, "sent"), (target, "received")):
                if place["site"]:
                    place["site"].checked.append(good)
                    if word == "sent":
                        place["site"].bytes_in += FILE_MB << 20
                    else:
                        place["site"].bytes_out += FILE_MB << 20
    for site in SITES:
        gateway_side = site.interface.split("/")[0]
        got = lab.ping(site.node, site.lan, gateway_side, PINGS)
        say(f"  {site.node} -> the gateway's inner address {gateway_side}   ping {got}/{PINGS}")
        if got != PINGS:
            failed.append(f"{site.node} -> {gateway_side}")
    return failed


def table(gateway):
    """The table from the gateway's own status, held against what the routers and the transfers say."""
    title("5. What the gateway says (onramp status)")
    failed, rows = [], [("tunnel", "identity", "IKE SA", "Child SA", "NAT", "from peer", "to peer", "checked")]
    for site in SITES:
        live = gateway.tunnel_status(site.tunnel)
        nat = "seen" if live["nat_seen"] else "claimed" if live["nat_claimed"] else "none"
        rows.append((site.node, f"{live['identity_type']}, UDP {live['start_port']}", live["ike_suite"], live["child_suite"],
                     nat, f"{live['in_packets']} pkt {live['in_bytes'] / 1e6:.1f} MB",
                     f"{live['out_packets']} pkt {live['out_bytes'] / 1e6:.1f} MB",
                     f"{sum(site.checked)} of {len(site.checked)} ways ok"))
        expected = {"up": True, "start_port": site.port, "nat_seen": site.node == "site-b",
                    "identity_type": {"FQDN": "fqdn", "KEY_ID": "keyid"}[site.form]}
        failed += [f"status of {site.node}: {key} is {live[key]}, should be {value}"
                   for key, value in expected.items() if live[key] != value]
        if live["in_bytes"] < site.bytes_in or live["out_bytes"] < site.bytes_out:
            failed.append(f"status of {site.node}: fewer bytes than the files that were carried")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    say("  NAT: strongSwan's user-space ESP claims one always; seen is what the gateway finds in the packets' source port")
    return failed


def look_around(lab, gateway, failed):
    n = lab.name
    if KEEP and not failed:
        title("It is still running. Three commands to try:")
        say(f"  {gateway.cli_argv()[0]} status --socket {gateway.socket}")
        say(f"  ip netns exec {n}-site-b ping -I {SITES[1].lan} {SITES[0].lan}")
        say(f"  ip netns exec {n}-inet tcpdump -ni to-nat udp      # ESP in UDP, as the Internet sees it")
        say(f"\nlogs and configurations: {lab.directory}      end it: make demo-stop")
    else:
        title("Four commands to try next:")
        say("  make demo KEEP=1      # leaves it running and says how to look around; make demo-stop ends it")
        say("  make demo-cluster     # three nodes behind one address: some die under traffic, no tunnel does")
        say("  make test             # unit tests, the official SDK, every suite against strongSwan")
        say("  less README.md        # from nothing to a tunnel with a real router, on a real host")


def act(lab):
    lab.build_network()
    gateway = start_gateway(lab)
    make_account(gateway)
    make_tunnels(gateway)
    bring_up(lab)
    failed = work(lab) + table(gateway)
    look_around(lab, gateway, failed)
    return failed


if __name__ == "__main__":
    sys.exit(stop_all() if "--stop" in sys.argv[1:] else play(Lab, NODES, act))

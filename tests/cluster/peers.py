#!/usr/bin/env python3
"""What peers do, every packet of theirs at a random node: they fall silent, say goodbye, change their address behind a NAT, and send
fragments, of IKE messages and of IP packets; their ESP is lost. The third is strongSwan, the others are `onrampd --site`, the first of them
behind a NAT, the last two over IPv6. Last line: "N passed, N failed"."""
import os
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, Flows, Window, audited, build_of, lost_outside  # noqa: E402
from checks import Checks, check  # noqa: E402
from fire import ask_rekey, count_drops, more_drops  # noqa: E402
from lab import ANYCAST4, ANYCAST6, HQ, LabError, ping_argv, pings_lost, wait_until  # noqa: E402
from pieces import ANSWERED, ANSWERED6, SILENT, SILENT6, ask  # noqa: E402

NODES = int(os.environ.get("NODES", 3))
NAT, NAT_AGAIN = "192.0.2.2", "192.0.2.3"
# What comes from these: each packet, and each IP fragment, to the node after that of the one before.
IN_TURN = """table ip turns {{
	chain pre {{
		type filter hook prerouting priority -149; policy accept;
		ip saddr {{ {sources} }} ip protocol udp meta mark set numgen inc mod {count} map {{ {marks} }}
	}}
}}
table ip6 turns {{
	chain pre {{
		type filter hook prerouting priority -149; policy accept;
		exthdr frag exists meta mark set numgen inc mod {count} map {{ {marks} }}
	}}
}}
"""
# A kernel that tracks connections gathers fragments before it asks whose they are.
TRACKING = """table inet tracking {
	chain in {
		type filter hook input priority filter; policy accept;
		ct state invalid counter
	}
}
"""
MUTE = """table ip6 mute {{
	chain forward {{
		type filter hook forward priority filter; policy accept;
		ip6 saddr {source} ip6 nexthdr esp drop
	}}
}}
"""
# Eight selectors a side: with a Diffie-Hellman value beside them no message fits 576 bytes.
LOCAL_TS = ", ".join(f"10.1.{n}.0/24" for n in range(8))
REMOTE_TS = ", ".join(f"192.168.{n}.0/24" for n in range(8))


def of_all(lab, customer, key):
    """What each node says of the customer's tunnel."""
    return [node.tunnel_status(customer.tunnel)[key] for node in lab.nodes]


def everywhere(lab, customer, key, value, timeout=10):
    check(wait_until(lambda: of_all(lab, customer, key) == [value] * NODES, timeout, 0.1),
          f"{customer.node}: {key} is {of_all(lab, customer, key)} and not {value}")


def total(lab, name):
    return sum(lab.counters(node)[name] for node in lab.nodes)


def has_verdict(node, customer, code):
    """Whichever node has found it: the others hear of it by the store, within seconds."""
    check(wait_until(lambda: node.failure(customer.tunnel, code), 5, 0.3), f"{node.node} has no verdict {code}: {node.why(customer.tunnel)}")


# ---- IKE fragments (RFC 7383) ----

def in_turn(lab):
    lab.run("rtr", "nft", "-f", "-", input=IN_TURN.format(
        sources=", ".join(customer.address for customer in lab.customers[1:]), count=NODES,
        marks=", ".join(f"{at} : {at + 1}" for at in range(NODES))))


def start_charon(lab):
    customer = lab.customers[2]
    for n in range(8):
        if n != customer.number:
            lab.ip(customer.node, f"addr add 10.1.{n}.1/32 dev lo")
    customer.start_charon(conf={"more": "fragment_size = 300", "tries": 8, "retransmit": 0.5}, local_ts=LOCAL_TS, remote_ts=REMOTE_TS,
                          more="fragmentation = force\n\t\tdpd_delay = 1s")
    return customer


def auth_in_fragments(lab):
    customer = start_charon(lab)
    check(customer.router.initiate(40), f"not up: {customer.router.said}")
    check(total(lab, "ike_fragmented_in") >= 1, "it came in one piece")
    check(total(lab, "ike_sent_on") >= 1, "no node has sent a fragment on")
    check(customer.works(), "no traffic")
    everywhere(lab, customer, "up", True)


def rekeys_in_fragments(lab):
    """By either side; liveness checks of strongSwan lie between, of which the store knows nothing."""
    customer, charon = lab.customers[2], lab.customers[2].router
    time.sleep(2.5)
    for number in range(4):
        before, old = [total(lab, f"ike_fragmented_{way}") for way in ("in", "out")], charon.child_spis()
        if number % 2 == 0:
            check(charon.rekey_child(), "swanctl --rekey failed")
        else:
            ask_rekey(customer, lab.node(number % NODES + 1))
        check(wait_until(lambda: charon.child_spis() and not set(charon.child_spis()) & set(old), 15), f"not rekeyed:\n{charon.sas()}")
        check(wait_until(lambda: all(total(lab, f"ike_fragmented_{way}") > n for way, n in zip(("in", "out"), before)), 3),
              f"not in fragments both ways: {before}")
        everywhere(lab, customer, "child_count", 1)
    check(charon.rekey_ike() and wait_until(lambda: len(charon.sessions()) == 1, 10), f"the IKE SA: {charon.sas()}")
    check(customer.works(), "no traffic")


# ---- IP fragments ----

def narrow(lab, customer, mtu):
    lab.ip(customer.node, f"link set wan mtu {mtu}")
    lab.ip("rtr", f"link set {customer.device} mtu {mtu}")


def auth_in_ip_fragments(lab):
    customer, charon = lab.customers[2], lab.customers[2].router
    check(charon.terminate(), "the Delete is not answered")
    narrow(lab, customer, 400)
    before = total(lab, "ip_fragments_sent_on"), total(lab, "ike_fragmented_in")
    charon.configure(customer.tunnel["remote_identities"]["fqdn_id"], customer.psk, esp="aes256gcm16-modp2048", local_ts=LOCAL_TS,
                     remote_ts=REMOTE_TS, more="fragmentation = no")
    check(charon.initiate(40), f"not up: {charon.said}")
    check(total(lab, "ip_fragments_sent_on") > before[0] and total(lab, "ike_fragmented_in") == before[1], "no IP fragments were sent on")


def esp_in_ip_fragments(lab):
    """Each packet of the customer is two fragments, most of which come to two nodes. None is lost, and none comes twice."""
    customer = lab.customers[1]
    narrow(lab, customer, 1000)
    before, drops = total(lab, "ip_fragments_sent_on"), count_drops(lab)
    out = lab.run(customer.node, *ping_argv(customer.lan, HQ, 30, 0.05, 10, 1200), check=False).stdout
    narrow(lab, customer, 1500)
    check(pings_lost(out, 30) == 0 and "DUP" not in out, f"{out}\n{more_drops(drops, count_drops(lab))}")
    check(total(lab, "ip_fragments_sent_on") >= before + 10, f"{total(lab, 'ip_fragments_sent_on') - before} fragments were sent on")


def esp_in_ip6_fragments(lab, customer):
    """The customer's kernel makes two of each packet that has no DF: they come to two nodes."""
    way = f"-6 route replace default via {customer.address6[:-1]}1"
    lab.ip(customer.node, f"{way} mtu 1280")
    before, drops = total(lab, "ip_fragments_sent_on"), count_drops(lab)
    out = lab.run(customer.node, *ping_argv(customer.lan, HQ, 20, 0.05, 10, 1310), "-M", "dont", check=False).stdout
    lab.ip(customer.node, way)
    check(pings_lost(out, 20) == 0 and "DUP" not in out, f"{out}\n{more_drops(drops, count_drops(lab))}")
    check(total(lab, "ip_fragments_sent_on") >= before + 20, f"{total(lab, 'ip_fragments_sent_on') - before} fragments were sent on")


def neighbour(lab, customer, last):
    """Another host on the customer's link, which no packet of the customer comes from: the address is a deprecated one (RFC 4862)."""
    address = f"{customer.address6[:-1]}{last}"
    lab.ip(customer.node, f"addr add {address}/64 dev wan nodad preferred_lft 0")
    return address


def auth_in_ip6_fragments(lab, customer):
    """A second router at the customer's link. Fifteen selectors of IPv6 a side are more than a packet of the least MTU holds."""
    tunnel = lab.node(1).create_tunnel("v6", "10.252.1.0/31", endpoint=ANYCAST6)
    psk = lab.node(1).generate_psk(tunnel)
    way, local = f"-6 route replace default via {customer.address6[:-1]}1", neighbour(lab, customer, 9)
    selectors = [word for side in ("local", "remote") for n in range(256, 271) for word in (f"--ts-{side}", f"2001:db8:{n:x}::/48")]
    lab.ip(customer.node, f"{way} mtu 1280")
    before = total(lab, "ip_fragments_sent_on")
    done = lab.run(customer.node, build_of() / "tests/peer/onramp-peer", "--gateway", ANYCAST6, "--local", local, "--id",
                   f"fqdn:{tunnel['remote_identities']['fqdn_id']}", "--timeout", 20, *selectors, "--do", "delete", "--expect", "up",
                   check=False, env={**os.environ, "ONRAMP_PEER_PSK": psk})
    lab.ip(customer.node, way)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")
    check(total(lab, "ip_fragments_sent_on") > before, "none was sent on")


def pieces_at_different_nodes(lab, customer, source, target, answered, silent):
    """Requests made by hand: each fragment comes to the node after that of the one before."""
    before = total(lab, "ip_fragments_sent_on")
    found = ask(lab, customer.node, source, target, answered, silent)
    check(found == set(answered), f"answered: {sorted(found)}")
    check(total(lab, "ip_fragments_sent_on") > before, "none was sent on")


# ---- ESP that does not arrive ----

def mute(lab, customer):
    """The customer's firewall takes its ESP for something bad; from the start."""
    lab.run("rtr", "nft", "-f", "-", input=MUTE.format(source=customer.address6))


def talk(lab, customer):
    """The network behind the gateway asks, all the time."""
    lab.spawn("hq", "ping", "-n", "-q", "-i", "0.2", "-w", 120, "-I", HQ, customer.lan, log=f"ping-{customer.node}.log")


def no_esp_is_found(lab, customer):
    """One verdict, which all nodes tell, although each of them gets and sends what it gets and sends."""
    for node in lab.nodes:
        check(wait_until(lambda: (node.verdict(customer.tunnel) or {}).get("code") == "data.no_esp", 60, 0.3),
              f"{node.node}: {node.why(customer.tunnel)}")
    found = [node.failure(customer.tunnel, "data.no_esp") for node in lab.nodes]
    check(all(one["count"] == 1 and one["first_seen"] == found[0]["first_seen"] and "and 0 from it" in one["sentence"] for one in found),
          f"{found}")


def nothing_is_found(lab, customer):
    for node in lab.nodes:
        why = node.why(customer.tunnel)
        check(why["up"] and why["verdict"] is None and why["history"] == [], f"{node.node}: {why}")


def no_esp_is_over(lab, customer):
    lab.run("rtr", "nft", "delete", "table", "ip6", "mute")
    for node in lab.nodes:
        check(wait_until(lambda: node.verdict(customer.tunnel) is None, 15, 0.3), f"{node.node}: {node.why(customer.tunnel)}")
        check(node.failure(customer.tunnel, "data.no_esp")["over_since"], f"{node.node}: {node.why(customer.tunnel)}")


# ---- silence ----

def cut_off(lab):
    lab.ip("rtr", f"link set {lab.customers[1].device} down")


def found_dead(lab, since):
    """Both sides have asked six times, and have given up."""
    customer = lab.customers[1]
    check(wait_until(lambda: not customer.router.status("hq")["up"], 40, 0.5), "the customer believes it is up")
    print(f"  the customer after {time.monotonic() - since:.0f} s", flush=True)
    everywhere(lab, customer, "up", False, 20)
    print(f"  all nodes after {time.monotonic() - since:.0f} s", flush=True)
    has_verdict(lab.node(2), customer, "live.timeout")
    lab.ip("rtr", f"link set {customer.device} up")
    check(customer.works(30), "it does not come up again")
    everywhere(lab, customer, "up", True)


# ---- a NAT that forgets ----

def change_nat(lab, old, new):
    """The kernel forgets the mappings of an address that goes."""
    lab.ip("nat", f"addr del {old}/24 dev wan")
    lab.ip("nat", f"addr add {new}/24 dev wan")
    lab.ip("nat", "route replace default via 192.0.2.1")


def rebound(lab):
    customer, changes = lab.customers[0], total(lab, "address_changes")
    up, drops = customer.router.sessions(), count_drops(lab)
    flows = Flows([customer], 200)
    time.sleep(0.5)
    window = Window()
    change_nat(lab, NAT, NAT_AGAIN)
    check(wait_until(lambda: {at.rpartition(":")[0] for at in of_all(lab, customer, "remote")} == {NAT_AGAIN}, 10, 0.05),
          f"the nodes send to {of_all(lab, customer, 'remote')}")
    window.close(0)
    check(len(set(of_all(lab, customer, "remote"))) == 1, f"the nodes send to {of_all(lab, customer, 'remote')}")
    time.sleep(1)
    out, back = flows.finish(1)
    lost = lost_outside((out, back), window)
    print(f"  followed by all after {window.end - window.begin:.1f} s; meanwhile lost {len(out.lost)} to the nodes, {len(back.lost)} to the "
          f"customer, longest gap {back.longest_gap * 1000:.0f} ms; otherwise {len(lost)}", flush=True)
    check(not lost, f"lost {lost}, counted meanwhile: {more_drops(drops, count_drops(lab))}")
    check(back.longest_gap < 2, f"{back}")
    check(total(lab, "address_changes") == changes + 1, f"{total(lab, 'address_changes') - changes} changes")
    check(customer.router.sessions() == up, "set up anew")


class Replay:
    """An ESP packet of the first customer, sent again by somebody else behind its NAT."""

    def __init__(self, lab):
        self.lab, self.path = lab, lab.directory / "one.pcap"
        self.process = lab.spawn("rtr", "tcpdump", "-i", lab.customers[0].device, "-n", "-U", "-Z", "root", "-c", "1", "-w", self.path,
                                 f"src host {NAT_AGAIN} and udp dst port 4500 and udp[8:4] != 0 and udp[4:2] > 20", log="tcpdump.log")
        if not wait_until(lambda: self.path.exists() and self.path.stat().st_size >= 24, 10):
            raise LabError("tcpdump does not start")

    def send(self, times):
        check(self.lab.customers[0].works(), "no traffic")
        self.process.popen.wait(10)
        frame = self.path.read_bytes()[24 + 16:]
        head = 14 + 4 * (frame[14] & 15)
        packet = frame[head + 8:14 + struct.unpack_from(">H", frame, 16)[0]]
        self.lab.run("c1", sys.executable, "-c", "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     f"for _ in range({times}): s.sendto(bytes.fromhex('{packet.hex()}'), ('{ANYCAST4}', 4500))\n")


def replayed(lab):
    customer, changes = lab.customers[0], total(lab, "address_changes")
    at = of_all(lab, customer, "remote")
    Replay(lab).send(3 * NODES)
    flows = Flows([customer], 100)
    time.sleep(1)
    out, back = flows.finish(1)
    check(not out.lost and not back.lost, f"{out}; {back}")
    check(of_all(lab, customer, "remote") == at and total(lab, "address_changes") == changes, f"followed to {of_all(lab, customer, 'remote')}")


# ---- goodbyes ----

def site_leaves(lab):
    customer = lab.customers[0]
    check(customer.router.stop() == 0, "the site did not stop cleanly")
    everywhere(lab, customer, "up", False)
    has_verdict(lab.node(1), customer, "live.peer_deleted")
    customer.router.start()
    check(customer.works(20), "it does not come up again")


def charon_leaves(lab):
    customer = lab.customers[2]
    check(customer.router.terminate(), "the Delete is not answered")
    everywhere(lab, customer, "up", False)


def node_deletes(lab):
    """By one node's API; the customer hears of it, and no node has it any more."""
    customer, node = lab.customers[1], lab.node(NODES)
    for route in node.call("GET", "/routes")["routes"]:
        if route["prefix"] == f"{customer.lan}/32":
            node.call("DELETE", f"/routes/{route['id']}")
    node.call("DELETE", f"/ipsec_tunnels/{customer.tunnel['id']}")
    check(wait_until(lambda: not customer.router.status("hq")["up"], 10), "the customer's tunnel is still up")
    check(lab.everywhere(lambda node: customer.tunnel["id"] not in str(node.status()["accounts"])), "a node still has it")


def nothing_left(lab):
    def counts():
        return [lab.etcd.count("child/")] + [lab.counters(node)["child_sas"] for node in lab.nodes]
    check(wait_until(lambda: counts() == [3] * (NODES + 1), 15, 0.5), f"Child SAs of the store and of the nodes: {counts()}")


def main():
    with Anycast(nodes=NODES, customers=5, behind_nat=(1,), gateway={"ike_fragment_mtu": 576}) as lab:
        lab.build()
        lab.start_nodes()
        checks = Checks("peers", lab)
        silent, talking = lab.customers[3:]
        mute(lab, silent)
        with checks.case("four sites come up, one behind a NAT, two over IPv6"):
            for number, customer in enumerate(lab.customers):
                over = {"endpoint": ANYCAST6} if number >= 3 else {}
                customer.create(lab.node(number % NODES + 1), onramp={"dpd_delay": 5}, **over)
            silent.start_site(gateway=ANYCAST6)
            talking.start_site(gateway=ANYCAST6, encap="udp")
            for customer in lab.customers[:2]:
                customer.start_site(dpd_delay=5)
            for customer in (*lab.customers[:2], silent, talking):
                check(customer.router.up("hq", 30), f"{customer.node}: {customer.router.log()[-2000:]}")
                check(customer is silent or customer.works(), f"{customer.node}: no traffic")
            for customer in (silent, talking):
                talk(lab, customer)
        for node in lab.nodes[1:]:
            lab.run(node.node, "nft", "-f", "-", input=TRACKING)
        in_turn(lab)
        with checks.case("ESP in IP fragments that come to different nodes: no packet is lost, none comes twice"):
            esp_in_ip_fragments(lab)
        with checks.case("ESP in UDP in IPv6 fragments that come to different nodes: likewise"):
            esp_in_ip6_fragments(lab, talking)
        with checks.case("IKE requests in IPv4 fragments of every kind that come to different nodes: the whole ones are answered, no other"):
            pieces_at_different_nodes(lab, lab.customers[1], lab.customers[1].address, ANYCAST4, ANSWERED, SILENT)
        with checks.case("IKE requests in IPv6 fragments: likewise"):
            pieces_at_different_nodes(lab, talking, neighbour(lab, talking, 8), ANYCAST6, ANSWERED6, SILENT6)
        with checks.case("an IKE_AUTH in IPv6 fragments that come to different nodes"):
            auth_in_ip6_fragments(lab, talking)
        cut_off(lab)
        since = time.monotonic()
        with checks.case("an IKE_AUTH in fragments, each at another node"):
            auth_in_fragments(lab)
        with checks.case("rekeys in fragments, each at another node, after liveness checks that were answered without a word to the store"):
            rekeys_in_fragments(lab)
        with checks.case("an IKE_AUTH in IP fragments that come to different nodes"):
            auth_in_ip_fragments(lab)
        with checks.case("a NAT maps the peer to another address: all nodes follow, when it has answered from there"):
            rebound(lab)
        with checks.case("an old ESP packet from elsewhere moves nothing"):
            replayed(lab)
        with checks.case("data.no_esp of a customer whose ESP is dropped: found by what all nodes have seen, once, and told by all of them"):
            no_esp_is_found(lab, silent)
        with checks.case("the tunnel beside it, whose packets each node sees a share of, has no verdict and no history"):
            nothing_is_found(lab, talking)
        with checks.case("its ESP passes: at all nodes it is over"):
            no_esp_is_over(lab, silent)
        with checks.case("ESP in IPv6 fragments that come to different nodes: no packet is lost, none comes twice"):
            esp_in_ip6_fragments(lab, silent)
        with checks.case("live.timeout at both ends of a link that was cut; when it is there again the customer comes back"):
            found_dead(lab, since)
        with checks.case("a site that says goodbye is gone at all nodes, and may come again"):
            site_leaves(lab)
        with checks.case("strongSwan says goodbye"):
            charon_leaves(lab)
        with checks.case("a tunnel is deleted at one node: it is gone at all, and its customer hears of it"):
            node_deletes(lab)
        with checks.case("the store and the nodes have the SAs of the tunnels that are left"):
            nothing_left(lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

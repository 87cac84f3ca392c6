#!/usr/bin/python3
"""What goes wrong with tunnels that were up: peers that die, leave, start again and again or fight, a NAT that flaps, ESP that
does not come through; and that healthy tunnels, busy or idle, have no verdict.

Routers a to d are strongSwan; one `onrampd --site` has a tunnel for each fault of the data road, from an address of its own, so
that the way between can do something to each, and one to a gateway that refuses rekeys (tests/netns/responder.py)."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
import responder
from charon import Charon
from checks import Checks, check
from lab import HQ, PYTHON, ROOT, SITE_A, SITE_B, Gateway, Lab, wait_until
from site_role import Site

WAYS = ("idle", "busy", "no-esp", "stopped", "one-way", "replay")
FORK = "203.0.114.%d"    # where the site's tunnels start
SCRIPT = "203.0.117.%d"  # gateways that refuse rekeys
WINDOW, BATCH = 32, 256  # of the site's anti-replay check; that the way reorders
ROUTERS = {"site-a": SITE_A, "site-b": SITE_B, "site-c": "203.0.115.2", "site-d": "203.0.116.2"}


class Customer:
    def __init__(self, gateway, name, number, routed=True, **more):
        self.name, self.inner, self.lan = name, f"10.252.0.{2 * number + 1}", f"10.{number}.0.1"
        self.tunnel = gateway.create_tunnel(name, f"10.252.0.{2 * number}/31", onramp={"dpd_delay": 5}, **more)
        self.psk = gateway.generate_psk(self.tunnel)
        self.id = self.tunnel["remote_identities"]["fqdn_id"]
        if routed:
            gateway.create_route(f"10.{number}.0.0/24", self.inner)


def build(lab):
    lab.build_network()
    for number, node in enumerate(("site-c", "site-d"), 115):
        lab.add_node(node)
        lab.link("inet", f"to-{node[-1]}", [f"203.0.{number}.1/24"], node, "wan", [f"203.0.{number}.2/24"])
        lab.ip(node, f"route add default via 203.0.{number}.1")
    lab.add_node("fork")
    lab.link("inet", "to-fork", ["203.0.114.1/24"], "fork", "wan", [f"{FORK % number}/24" for number in range(10, 10 + len(WAYS))])
    lab.ip("fork", "route add default via 203.0.114.1")
    lab.add_node("script")
    lab.link("inet", "to-script", ["203.0.117.1/24"], "script", "wan", [f"{SCRIPT % number}/24" for number in (2, 3)])
    lab.ip("script", "route add default via 203.0.117.1")
    for table in ("f", "mute"):
        lab.run("inet", "nft", "-f", "-", input=f"table ip {table} {{\nchain forward {{\ntype filter hook forward priority 0;\n}}\n}}\n")


def drop(lab, rule):
    lab.run("inet", "nft", "add", "rule", "ip", "f", "forward", *rule.split(), "drop")


def pass_all(lab):
    lab.run("inet", "nft", "flush", "chain", "ip", "f", "forward")


def forget(lab, router):
    """The router loses its IKE SAs, and nothing of what it may say of that comes through."""
    lab.run("inet", "nft", "add", "rule", "ip", "mute", "forward", "ip", "saddr", ROUTERS[router.node], "drop")
    router.drop()
    lab.run("inet", "nft", "flush", "chain", "ip", "mute", "forward")


class Data:
    """The site, and what hosts behind the gateway and behind it send each other. Its clocks run beside everything else."""

    def __init__(self, lab, gateway):
        self.lab, self.gateway = lab, gateway
        self.customers, self.hosts, tunnels = {}, {}, {}
        for number, name in enumerate(WAYS):
            customer = self.customers[name] = Customer(gateway, name, 20 + number, routed=name != "one-way")
            self.hosts[name] = f"192.168.0.{20 + number}"
            lab.ip("hq", f"addr add {self.hosts[name]}/24 dev eth0")
            lab.ip("fork", f"addr add {customer.lan}/32 dev lo")
            tunnels[name] = {"identity": f"fqdn:{customer.id}", "psk": customer.psk, "local_address": FORK % (10 + number),
                             "routes": f"{self.hosts[name]}/32"}
        tunnels["replay"]["replay_window"] = WINDOW
        for number, lifetime in ((2, "ike_lifetime"), (3, "child_lifetime")):
            tunnels[lifetime] = {"gateway": SCRIPT % number, "psk": responder.PSK.decode(), lifetime: 60}  # the shortest
        lab.run("fork", "nft", "-f", "-",
                input="table ip f {\nchain in {\ntype filter hook input priority 0; udp dport 9000-9007 drop\n}\n}\n")
        self.site = Site(lab, "fork", tunnels)

    def address(self, name):
        return FORK % (10 + WAYS.index(name))

    def start(self):
        drop(self.lab, f"ip saddr {self.address('no-esp')} ip protocol esp")
        script = self.lab.spawn("script", PYTHON, ROOT / "tests/netns/responder.py",
                                *(f"{SCRIPT % number}=no-rekeys" for number in (2, 3)), log="responder.log")
        check(wait_until(lambda: "ready" in script.log_tail(), 10), script.log_tail())
        self.site.start()
        for name in WAYS:
            check(self.site.up(name, 20), f"{name} is not up: {self.site.why(name)}")

    def ping(self, name, interval, seconds=150):
        """From behind the gateway; of the one way from behind the site."""
        ends = (self.hosts[name], self.customers[name].lan)
        node, (source, target) = ("fork", ends[::-1]) if name == "one-way" else ("hq", ends)
        self.lab.spawn(node, "ping", "-n", "-q", "-i", interval, "-w", seconds, "-I", source, target, log=f"ping-{name}.log")

    def send(self, name, rate, seconds):
        """Datagrams of many flows that nobody answers."""
        self.lab.spawn("hq", PYTHON, ROOT / "tests/netns/send_udp.py", self.hosts[name], self.customers[name].lan, 9000, 8, rate,
                       seconds, log=f"udp-{name}.log")

    def begin(self):
        check(self.lab.ping_until("hq", self.hosts["stopped"], self.customers["stopped"].lan), "no traffic before it stops")
        drop(self.lab, f"ip saddr {self.address('stopped')} ip protocol esp")
        for name, interval in (("no-esp", 0.5), ("stopped", 0.5), ("one-way", 0.5), ("busy", 0.05), ("replay", 0.05)):
            self.ping(name, interval)
        self.began = time.monotonic()

    def mix(self):
        """After two slots of the usual answers: flows of several threads, and a way that changes their order."""
        time.sleep(max(0, self.began + 24 - time.monotonic()))
        process = self.lab.spawn("inet", PYTHON, ROOT / "tests/netns/reorder.py", "to-gw", self.address("replay"), BATCH,
                                 log="reorder.log")
        check(wait_until(lambda: "ready" in process.log_tail(), 10), process.log_tail())
        drop(self.lab, f"ip daddr {self.address('replay')} ip protocol esp")
        for name in ("busy", "replay"):
            self.send(name, 100, 120)

    def failure(self, name, code):
        return self.gateway.failure(self.customers[name].tunnel, code)


def check_data(checks, data):
    """The verdicts of the data road, when their time has come."""
    with checks.verdict("data.no_esp", "a firewall drops the router's ESP from the start, IKE passes") as provoked:
        provoked.take(wait_until(lambda: data.failure("no-esp", "data.no_esp"), 40, 0.5), stage="data", side="either",
                      sentence=["packets to the peer and 0 from it"], change=["IP protocol 50", "encap = yes"])
    with checks.verdict("data.one_way", "packets come out of the tunnel, and no route leads back into it") as provoked:
        provoked.take(wait_until(lambda: data.failure("one-way", "data.one_way"), 40, 0.5), stage="data", side="either",
                      sentence=["0 packets to the peer"], change=["/magic/routes"])
    with checks.case("the site whose packets are not answered says data.no_esp, with its own advice"):
        found = wait_until(lambda: data.site.failure("one-way", "data.no_esp"), 20, 0.5)
        check(found and "encap = udp" in found["change"], f"{data.site.why('one-way')}")
    with checks.verdict("data.esp_stopped", "a firewall drops the router's ESP after it had passed, IKE goes on") as provoked:
        wait = data.began + 60 - time.monotonic()
        provoked.take(wait_until(lambda: data.failure("stopped", "data.esp_stopped"), wait, 0.5), stage="data", side="either",
                      sentence=["none from it for", "heard in IKE"], change=["IP protocol 50"])
    with checks.verdict("data.anti_replay", "a router with a small anti-replay window behind a way that changes the order") as provoked:
        wait = data.began + 80 - time.monotonic()
        provoked.take(wait_until(lambda: data.failure("replay", "data.anti_replay"), wait, 0.5), stage="data", side="peer",
                      sentence=["several"], change=["replay_window = 0", "no proof"])
    for name, what in (("idle", "an idle"), ("busy", "a busy")):
        with checks.case(f"{what} tunnel has no verdict, neither here nor there, and no failure in its history"):
            why = data.gateway.why(data.customers[name].tunnel)
            check(why["up"] and why["verdict"] is None and why["history"] == [] and why["status"] == 0, f"{why}")
            why = data.site.why(name)
            check(why["up"] and why["history"] == [] and why["status"] == 0, f"{why}")


def check_end_of_data(checks, lab, gateway, data):
    with checks.case("a verdict that stood when the gateway's process died is over when ESP comes again"):
        tunnel = data.customers["no-esp"].tunnel
        pid = gateway.child_pid("gateway")
        os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: gateway.child_pid("gateway") not in (None, pid), 10), "not started again")
        gateway.wait_ready(20)
        check(wait_until(lambda: (gateway.verdict(tunnel) or {}).get("code") == "data.no_esp", 10), f"{gateway.why(tunnel)}")
        pass_all(lab)
        check(wait_until(lambda: gateway.verdict(tunnel) is None, 20, 0.3), f"{gateway.why(tunnel)}")
        check(gateway.failure(tunnel, "data.no_esp")["over_since"], "it is not over")
    with checks.case("the log has one line for its begin and one for its end"):
        lines = [line for line in (lab.directory / "onrampd-gw.log").read_text().splitlines() if "data.esp_stopped" in line]
        check(wait_until(lambda: data.failure("stopped", "data.esp_stopped")["over_since"], 15, 0.3), "esp_stopped is not over")
        lines = [line for line in (lab.directory / "onrampd-gw.log").read_text().splitlines() if "data.esp_stopped" in line]
        check(len(lines) == 2 and "it is over" in lines[1], f"{lines}")


def check_lifetimes(checks, data):
    with checks.verdict("live.expired", "a gateway refuses the rekey of the IKE SA to the end") as provoked:
        wait = data.began + 90 - time.monotonic()
        found = wait_until(lambda: data.site.failure("ike_lifetime", "live.expired"), wait, 0.5)
        provoked.take(found, stage="live", side="either", change=["ike_lifetime", "live.rekey_refused"])
        check(data.site.failure("ike_lifetime", "live.rekey_refused"), "it does not say that the rekeys were refused")
    with checks.case("a Child SA whose rekey was refused to its end: a new IKE SA brings another"):
        def again():
            return data.site.log().count("tunnel child_lifetime: IKE SA up") > 1 and data.site.status("child_lifetime")["up"]
        check(wait_until(again, data.began + 90 - time.monotonic(), 0.5), f"{data.site.why('child_lifetime')}")
        check(data.site.failure("child_lifetime", "live.rekey_refused"), f"{data.site.why('child_lifetime')}")


# ---- IKE SAs that live and die ----

def router(lab, node, customer, port=500):
    one = Charon(lab, node, ROUTERS[node])
    lab.ip(node, f"addr add {customer.lan}/32 dev lo")
    one.start()
    one.configure(customer.id, customer.psk, start_port=port, esp="aes256gcm16")
    return one


def flap(lab, customer, failures):
    """A NAT that forgets after a second and gives another port, again and again, in the background."""
    lab.run("nat", "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=1", "net.netfilter.nf_conntrack_udp_timeout_stream=1")
    for _ in range(12):
        if failures():
            return
        lab.ping("site-b", customer.lan, HQ, 1)
        time.sleep(2.2)


def starts(checks, lab, gateway, router_a, customer):
    """One router that leaves, is changed, starts again, and in a loop."""
    tunnel = customer.tunnel
    with checks.verdict("live.peer_deleted", "a router deletes its IKE SA") as provoked:
        check(router_a.initiate(), router_a.said)
        router_a.terminate()
        provoked.take(wait_until(lambda: gateway.verdict(tunnel), 5), stage="live", side="none", change=["close_action = start"])
    with checks.verdict("live.config_removed", "the tunnel is given another customer_endpoint") as provoked:
        check(router_a.initiate(), router_a.said)
        put = {key: tunnel[key] for key in ("name", "cloudflare_endpoint", "interface_address")}
        gateway.call("PUT", f"/ipsec_tunnels/{tunnel['id']}", {**put, "customer_endpoint": SITE_A})
        provoked.take(wait_until(lambda: gateway.failure(tunnel, "live.config_removed"), 5), stage="live", side="none",
                      change=[tunnel["id"]])
        check(wait_until(lambda: not router_a.child_spis(), 5), "it is still up")
    with checks.verdict("live.replaced", "a router forgets its IKE SA and starts anew") as provoked:
        for _ in range(2):
            check(router_a.initiate(), router_a.said)
            forget(lab, router_a)
        provoked.take(wait_until(lambda: gateway.failure(tunnel, "live.replaced"), 5), stage="live", side="none")
    with checks.verdict("live.restart_loop", "a router starts anew five times, never with a Delete") as provoked:
        for _ in range(3):
            check(router_a.initiate(), router_a.said)
            forget(lab, router_a)
        check(router_a.initiate(), router_a.said)
        provoked.take(wait_until(lambda: gateway.verdict(tunnel), 5), stage="live", side="peer",
                      sentence=["new IKE SAs from 203.0.113.2"], change=["reauth_time = 0"])


def fight(checks, lab, gateway, c, d, customer):
    with checks.verdict("live.two_peers", "two routers with one identity start in turns") as provoked:
        for one in (c, d, c, d):
            forget(lab, one)
            check(one.initiate(), one.said)
        provoked.take(wait_until(lambda: gateway.verdict(customer.tunnel), 5), stage="live", side="peer",
                      sentence=[ROUTERS["site-c"], ROUTERS["site-d"]], change=["identity of its own"])


def status_points(checks, gateway, customer):
    with checks.case("onramp status points to tunnel why; its text has the sentence, who acts, what to change, and how often"):
        check(f"onramp tunnel why {customer.name}\n" in gateway.cli("status").stdout, "no pointer")
        done = gateway.cli("tunnel", "why", customer.name, "--account", gateway.account["id"], check=False)
        check(done.returncode == 4, f"status {done.returncode}: {done.stderr}")
        for word in (f"Tunnel {customer.name} is ", "Why: The peer starts again", "to act    the router's side", "reauth_time = 0",
                     "live.restart_loop", " times, first ", "Before: The peer started again"):
            check(word in done.stdout, f"{word}: {done.stdout}")


def main():
    with Lab() as lab:
        build(lab)
        gateway = Gateway(lab, settings={"gateway": {"workers": 2}})
        gateway.start()
        checks = Checks("verdicts_live", lab)
        gateway.create_account("live")
        data = Data(lab, gateway)
        customers = {name: Customer(gateway, name, number) for number, name in enumerate(("loop", "nat", "shared"), 1)}
        with checks.case("the site's tunnels are up"):
            data.start()
            data.begin()
        routers = {"site-a": router(lab, "site-a", customers["loop"]), "site-b": router(lab, "site-b", customers["nat"], 4500)}
        for node in ("site-c", "site-d"):
            routers[node] = router(lab, node, customers["shared"])
        with checks.case("the router behind NAT is up"):
            check(routers["site-b"].initiate(), routers["site-b"].said)
            check(lab.ping_until("site-b", customers["nat"].lan, HQ), "no traffic")
        nat = customers["nat"]
        flapping = threading.Thread(target=flap, args=(lab, nat, lambda: gateway.failure(nat.tunnel, "natt.flapping")), daemon=True)
        flapping.start()
        fight(checks, lab, gateway, routers["site-c"], routers["site-d"], customers["shared"])
        dead = time.monotonic()
        routers["site-c"].process.kill()
        routers["site-d"].process.kill()
        mixing = threading.Thread(target=data.mix, daemon=True)
        mixing.start()
        starts(checks, lab, gateway, routers["site-a"], customers["loop"])
        status_points(checks, gateway, customers["loop"])
        flapping.join(60)
        with checks.verdict("natt.flapping", "a NAT forgets its mapping every second and gives another port") as provoked:
            provoked.take(gateway.failure(nat.tunnel, "natt.flapping"), stage="live", side="peer",
                          sentence=["4 changes in"], change=["keep_alive"])
        with checks.verdict("live.timeout", "a router dies without a word") as provoked:
            wait = dead + 45 - time.monotonic()
            provoked.take(wait_until(lambda: gateway.failure(customers["shared"].tunnel, "live.timeout"), wait, 0.5), stage="live",
                          side="peer", sentence=["no answer to 6 requests"], change=["dpd_action = restart"])
        mixing.join(60)
        check_data(checks, data)
        check_end_of_data(checks, lab, gateway, data)
        check_lifetimes(checks, data)
        checks.finish()


if __name__ == "__main__":
    main()

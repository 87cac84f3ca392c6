"""The demo of a cluster: nodes and a leader of the store die under traffic that is counted, and no tunnel does.

Run by tools/demo --cluster (make demo-cluster). KEEP=1 in the environment leaves everything running. --short: without the pauses
in which there is nothing but the counter to see.
"""
import concurrent.futures
import sys
import time

from demo_stage import KEEP, play, say, title
from anycast import Anycast
from counted import Traffic
from fire import count_drops, more_drops
from lab import ANYCAST4, HQ, LabError, wait_until

NODES, CUSTOMERS, MEMBERS = 3, 2, 3
NAMES = ("rtr", "core", "mg", "hq", *(f"n{n}" for n in range(1, NODES + 1)), *(f"c{n}" for n in range(1, CUSTOMERS + 1)))
RATE = 250        # packets a second, each way, each customer
REACTION = 0.3    # seconds until the routers take a dead node out, as with BFD
TAKEOVER = 1.0    # seconds until another node numbers what a dead one has numbered
UNDER_WAY = 0.1   # seconds that a packet may be on its way
PAUSE = 1 if "--short" in sys.argv[1:] else 3
ESP = "aes256gcm16-modp2048"


class Step:
    """What happened, and what it has cost."""

    def __init__(self, name):
        self.name, self.begin = name, time.time()
        self.excused = None  # from when until when packets may be lost

    def finish(self, traffic, anew):
        self.end, self.anew = traffic.settle(), anew
        self.loss = traffic.loss(self.begin, self.end)

    def faults(self):
        begin, end = self.excused or (0, 0)
        lost = sum(not begin <= sent <= end for sent in self.loss.times)
        if lost:
            yield f"{self.name}: {lost} packets were lost that should not be"
        if self.anew:
            yield f"{self.name}: {self.anew} tunnels were set up anew"


class Demo:
    def __init__(self, lab):
        self.lab, self.steps, self.failed, self.counted = lab, [], [], (0, 0)

    # ---- the beginning ----

    def set_up(self):
        lab, n = self.lab, self.lab.name
        say(f"""network namespaces, each one a machine:

                                     etcd x {MEMBERS} ---- {n}-mg (management network, the nodes' mesh)
                                                  |
  {n}-c1 (strongSwan) ---.             .---- {n}-n1 ----.
                          {n}-rtr ----+---- {n}-n2 ----+---- {n}-core ---- {n}-hq {HQ}
  {n}-c2 (strongSwan) ---'             '---- {n}-n3 ----'

  Every node has the address {ANYCAST4}. The routers rtr and core send every single packet to one of the nodes at random.""")
        title(f"1. A store of {MEMBERS} etcd members with TLS, and {NODES} nodes")
        lab.build()
        lab.start_nodes("demo")
        for node in lab.nodes:
            self.wait_ready(node)
        self.show_nodes()

    def show_nodes(self):
        say("  $ onramp node list")
        say("    " + self.lab.node(1).cli("node", "list").stdout.rstrip().replace("\n", "\n    "))

    def wait_ready(self, node):
        def ready():
            routes = self.lab.run(node.node, "ip", "route").stdout
            return (node.cli("node", "ready", check=False).returncode == 0 and
                    all(customer.lan in routes for customer in self.lab.customers if hasattr(customer, "tunnel")))
        if not wait_until(ready, 30, 0.1):
            raise LabError(f"{node.node} does not become ready: {node.cli('node', 'list').stdout}")

    def bring_up(self):
        title("2. Two customers; each message of their handshakes meets a node at random")

        def one(customer):
            begin = time.monotonic()
            customer.create(self.lab.node(customer.number), replay_protection=True)
            customer.start_charon(ESP, child_more="dpd_action = start", more="dpd_delay = 10s")
            if not customer.router.initiate():
                raise LabError(f"{customer.node}: {customer.router.said}")
            if not customer.works():
                raise LabError(f"{customer.node}: no traffic")
            return time.monotonic() - begin
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for customer, seconds in zip(self.lab.customers, pool.map(one, self.lab.customers)):
                say(f"  {customer.node}: tunnel, key and route by node n{customer.number}'s API, up after {seconds:.1f} s, "
                    f"{HQ} answers")
        say("  strongSwan's ESP drops what does not rise in number, so the tunnels have replay_protection: one node numbers for all.")

    def handshakes(self):
        """How many IKE SAs the customers have begun from nothing: a rekey is none."""
        return sum(customer.router.log().count("generating IKE_SA_INIT request") for customer in self.lab.customers)

    # ---- the counter ----

    def each_second(self, second, sent, lost):
        now, before = (sent, lost), self.counted
        self.counted = now
        say(f"  {second:5d} s   {sent:7d} sent   {lost:5d} lost{f'   (+{lost - before[1]})' if lost > before[1] else ''}")

    def step(self, number, text, name, act):
        title(f"{number}. {text}")
        self.now = Step(name)
        before, drops = self.handshakes(), count_drops(self.lab)
        act()
        time.sleep(PAUSE)
        self.now.finish(self.traffic, self.handshakes() - before)
        loss = self.now.loss
        if loss.packets:
            say(f"  lost: {loss.packets} of {loss.sent} packets, all of them sent within {1000 * loss.seconds:.0f} ms")
        faults = list(self.now.faults())
        if faults:
            say(f"  that should not be; who has dropped packets: {more_drops(drops, count_drops(self.lab))}")
        self.failed += faults
        self.steps.append(self.now)

    # ---- what happens ----

    def nothing(self):
        time.sleep(PAUSE)

    def kill_node(self):
        node = self.lab.node(2)
        say("  $ kill -9 all of onrampd at n2        # its parent too: as when the machine loses its power")
        died = time.time()
        node.kill_all()
        time.sleep(REACTION)
        self.lab.withdraw(2)
        noticed = time.time()
        self.now.excused = died - UNDER_WAY, max(noticed + UNDER_WAY, died + TAKEOVER)
        say(f"  the routers noticed after {1000 * (noticed - died):.0f} ms, and send to n1 and n3 alone; if n2 numbered the packets to a customer,\n"
            "  another node takes that over")
        time.sleep(PAUSE)
        say("  $ onrampd        # at n2 again")
        node.start()
        self.wait_ready(node)
        self.lab.announce(2)
        say("  n2 has all tunnels from the store; the routers send to it again")

    def drain_node(self):
        node = self.lab.node(3)
        say("  $ onramp node drain        # at n3: its health check fails, and the routers turn away")
        node.cli("node", "drain")
        if node.cli("node", "ready", check=False).returncode == 0:
            raise LabError("n3 is ready though it is drained")
        self.lab.withdraw(3)
        time.sleep(0.5)
        say("  $ systemctl restart onrampd")
        if node.stop() != 0:
            raise LabError("n3 did not stop cleanly")
        node.start()
        self.wait_ready(node)
        self.lab.announce(3)
        say("  n3 is ready, and the routers send to it again")

    def kill_leader(self):
        leader = self.lab.etcd.leader()
        say(f"  $ kill -9 etcd m{leader}        # the leader, and c1 rekeys its Child SA at the same moment")
        begin = time.time()
        self.lab.etcd.kill(leader)
        self.rekey_child(self.lab.customers[0])
        say(f"  the rekey waited for the election: {time.time() - begin:.1f} s")
        self.lab.etcd.restart(leader)
        say(f"  m{leader} is back")

    def rekey_child(self, customer, node=None):
        """By the customer, or by a node; returns when there is a new one."""
        before = customer.router.child_spis()
        if node is None:
            customer.router.rekey_child()
        else:
            node.cli("tunnel", "rekey", customer.tunnel["id"], "--account", node.account["id"])
        if not wait_until(lambda: customer.router.child_spis() not in ([], before), 20):
            raise LabError(f"{customer.node}: its Child SA was not rekeyed by {'itself' if node is None else node.node}")

    def rekey_ike(self, customer):
        before = customer.router.ike_spis()
        customer.router.rekey_ike()
        if not wait_until(lambda: customer.router.ike_spis() not in ([], before), 20):
            raise LabError(f"{customer.node}: its IKE SA was not rekeyed")

    def rekey_all(self):
        for customer in self.lab.customers:
            node = self.lab.node(customer.number)
            self.rekey_child(customer)
            self.rekey_ike(customer)
            self.rekey_child(customer, node)
            say(f"  {customer.node}: Child SA and IKE SA rekeyed by the customer, then the Child SA by {node.node}")

    # ---- the whole ----

    def play(self):
        self.set_up()
        self.bring_up()
        pairs = [((customer.node, customer.lan), ("hq", HQ)) for customer in self.lab.customers]
        with Traffic(self.lab, pairs, RATE, each_second=self.each_second) as self.traffic:
            self.step(3, f"Traffic: {RATE} numbered packets a second from each customer and to each, counted all the time",
                      "nothing, all three nodes carry", self.nothing)
            self.step(4, "A node dies", "kill -9 of a node, and its return", self.kill_node)
            self.step(5, "A node is drained and restarted, as for an upgrade", "drain, restart, return of a node", self.drain_node)
            self.step(6, "The leader of the store dies", "kill -9 of etcd's leader, and a rekey", self.kill_leader)
            self.step(7, "Everything is rekeyed", f"{3 * CUSTOMERS} rekeys by both sides", self.rekey_all)
        if self.traffic.repeated():
            self.failed.append(f"{self.traffic.repeated()} packets came twice")
        self.summary()
        return self.failed

    def summary(self):
        title("8. What it cost")
        rows = [("event", "packets sent", "lost", "lost for", "tunnels set up anew")]
        rows += [(step.name, f"{step.loss.sent}", f"{step.loss.packets}", f"{1000 * step.loss.seconds:.0f} ms", f"{step.anew}")
                 for step in self.steps]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            say("  " + row[0].ljust(widths[0]) + "".join(cell.rjust(width + 3) for cell, width in zip(row[1:], widths[1:])))
        try:
            found = self.lab.auditor.finish()
            say(f"  An auditor in the router saw {found['esp']} ESP packets of all nodes: none had the key and IV of another, and the")
            say("  numbers of each SA rose from one packet to the next, whichever nodes sent them.")
        except LabError as error:
            self.failed.append(str(error))


def act(lab):
    demo = Demo(lab)
    failed = demo.play()
    n = lab.name
    if KEEP and not failed:
        title("It is still running. Three commands to try:")
        say(f"  {lab.node(1).cli_argv()[0]} node list --socket {lab.node(1).socket}")
        say(f"  ip netns exec {n}-c1 ping -I {lab.customers[0].lan} {HQ}")
        say(f"  ip netns exec {n}-rtr tcpdump -ni any udp port 4500      # one SA by all nodes, packet by packet")
        say(f"\nlogs and configurations: {lab.directory}      end it: make demo-stop")
    else:
        title("Two commands to try next:")
        say("  make demo-cluster KEEP=1      # leaves it running and says how to look around; make demo-stop ends it")
        say("  less doc/cluster.md           # from one node to three, and what each failure looks like")
    return failed


def make_lab(name):
    return Anycast(NODES, CUSTOMERS, MEMBERS, rising=range(1, CUSTOMERS + 1), name=name)


if __name__ == "__main__":
    sys.exit(play(make_lab, NAMES, act))

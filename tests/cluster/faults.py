#!/usr/bin/env python3
"""What dies, freezes, leaves or goes away in a cluster, every packet at a random node: no tunnel is set up anew, and nothing is
lost but what a router sends to a dead node until it notices, 0.3 s later. Last line: "N passed, N failed".

In the environment: NODES; LONG, for each point of each rekey at which a node may die, and for nodes that leave and come back
(which upgrade.py has as well); AWAY, the seconds without any etcd."""
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, audited  # noqa: E402
from checks import Checks, check  # noqa: E402
from fire import Fire, ask_rekey, rekey, rekeys, wait_rekeyed  # noqa: E402
from lab import wait_until  # noqa: E402

NODES = int(os.environ.get("NODES", 3))
LONG = "LONG" in os.environ
AWAY = int(os.environ.get("AWAY", 3))
NOTICED = 0.3  # after that the routers send nothing to a dead node any more


def react(lab, node, fire):
    """What the routers do about a node that is dead."""
    window = fire.window()
    time.sleep(NOTICED)
    lab.withdraw(node.number)
    window.close()


# ---- a node that dies while it rekeys ----

class Crash:
    """A rekey of the first customer, and where in it node 1 dies, to which all IKE goes. by: the customer asks; or node 1 does,
    and dies over its request; or node 2 does, and node 1 dies over the answer."""

    WORDS = {"customer": "by the customer", "request": "that the node itself starts",
             "answer": "that another node has started, over the answer"}

    def __init__(self, point, by, ike):
        self.point, self.by, self.ike = point, by, ike

    def __str__(self):
        return (f"kill -9 {self.point.replace('-', ' the ')} of a rekey of {'an IKE' if self.ike else 'a Child'} SA "
                f"{self.WORDS[self.by]}")

    def run(self, lab, fire):
        node, customer = lab.node(1), lab.customers[0]
        before, pid = rekeys(customer), node.pid()
        lab.pin_ike(1)
        node.arm(self.point)
        ask_rekey(customer, {"customer": None, "request": node, "answer": lab.node(2)}[self.by], self.ike)
        check(node.crashed(), f"{self}: it did not come to that point")
        lab.ike_at = None
        react(lab, node, fire)
        if self.by == "request" and self.point == "before-commit":  # nobody has heard of it
            time.sleep(1)
            check(rekeys(customer) == before, f"{self}: rekeyed: {before} became {rekeys(customer)}")
            rekey(customer, lab.node(2), self.ike)
        else:
            wait_rekeyed(customer, before, self.ike)
        node.back(pid)
        lab.wait_ready(node)
        lab.announce(1)


POINTS = ("before-commit", "after-commit", "after-reply")
SOME = (Crash("before-commit", "customer", False), Crash("after-commit", "customer", True), Crash("after-reply", "request", False),
        Crash("after-commit", "answer", False))


def power_loss(lab, fire):
    """The others have all of its tunnels, and rekey them."""
    node = lab.node(2)
    node.kill_all()
    react(lab, node, fire)
    for customer in lab.customers:
        rekey(customer)
    node.start()
    lab.wait_ready(node)
    lab.announce(2)


def nodes_that_die(checks, lab):
    if not LONG:
        with checks.case("; ".join(map(str, SOME)) + "; and a node that loses its power"):
            with Fire(lab) as fire:
                for crash in SOME:
                    crash.run(lab, fire)
                power_loss(lab, fire)
        return
    for by in Crash.WORDS:
        for ike in (False, True):
            for point in POINTS:
                crash = Crash(point, by, ike)
                with checks.case(str(crash)):
                    with Fire(lab) as fire:
                        crash.run(lab, fire)
    with checks.case("a node loses its power: the others have all of its tunnels, and rekey them"):
        with Fire(lab) as fire:
            power_loss(lab, fire)


# ---- a node that freezes, or leaves ----

def zombie(lab):
    """What waited in its queues for 5 s goes out when it wakes up; its IVs are its own."""
    node = lab.node(3)
    with Fire(lab) as fire:
        pid = node.freeze()
        react(lab, node, fire)
        rekey(lab.customers[0])
        rekey(lab.customers[0], lab.node(1), ike=True)
        time.sleep(5)
        os.kill(pid, signal.SIGCONT)
        lab.wait_ready(node)
        lab.announce(3)
        rekey(lab.customers[0], node)
        time.sleep(1)


def leave(lab, node):
    check(node.is_ready(), f"{node.node} is not ready")
    node.cli("node", "drain")
    check(not node.is_ready(), "ready though it is drained")
    lab.withdraw(node.number)
    time.sleep(0.3)


def drained(lab):
    """It takes part again without a restart."""
    node = lab.node(NODES)
    with Fire(lab):
        leave(lab, node)
        rekey(lab.customers[0], lab.node(1))
        node.cli("node", "undrain")
        check(wait_until(node.is_ready, 5, 0.1), "not ready though it takes part again")
        lab.announce(NODES)
        time.sleep(0.5)


def restarted(lab):
    with Fire(lab):
        for node in lab.nodes:
            leave(lab, node)
            check(node.stop() == 0, f"{node.node} did not stop cleanly")
            for customer in lab.customers:
                rekey(customer, lab.node(node.number % NODES + 1))
            node.start()
            lab.wait_ready(node)
            lab.announce(node.number)


# ---- the store ----

def leader_dies(lab):
    leader = lab.etcd.leader()
    with Fire(lab):
        lab.etcd.kill(leader)
        begin = time.monotonic()
        rekey(lab.customers[0])
        print(f"  rekeyed after {time.monotonic() - begin:.1f} s", flush=True)
    lab.etcd.restart(leader)


def all_frozen(lab):
    with Fire(lab):
        with lab.etcd.frozen():
            time.sleep(AWAY)
    for customer in lab.customers:
        rekey(customer)
        rekey(customer, lab.node(2))
    check(lab.everywhere(lambda node: node.is_ready()), "a node is not ready afterwards")


# ---- afterwards ----

def same_everywhere(lab):
    """An IKE SA that was rekeyed away stays for 3 minutes, for repeated requests."""
    def counts():
        return [lab.etcd.count("child/")] + [lab.counters(node)["child_sas"] for node in lab.nodes]
    check(wait_until(lambda: counts() == [len(lab.customers)] * (NODES + 1), 15, 0.5), f"Child SAs of the store and of the nodes: {counts()}")
    ike = [lab.etcd.count("ike/")] + [lab.counters(node)["ike_sas"] for node in lab.nodes]
    check(len(set(ike)) == 1, f"IKE SAs of the store and of the nodes: {ike}")


def main():
    with Anycast(nodes=NODES, customers=2) as lab:
        lab.build()
        lab.start_nodes()
        checks = Checks("faults", lab)
        with checks.case(f"two tunnels over {NODES} nodes"):
            for number, customer in enumerate(lab.customers):
                customer.create(lab.node(number + 1), onramp={"dpd_delay": 10})
                customer.start_site(dpd_delay=10)
                check(customer.router.up("hq", 30), f"{customer.node}: {customer.router.log()[-2000:]}")
                check(customer.works(), f"{customer.node}: no traffic")
        nodes_that_die(checks, lab)
        with checks.case("a zombie: SIGSTOP, the others go on, and after 5 s it wakes up"):
            zombie(lab)
        if LONG:
            with checks.case("a node is drained and takes part again: nothing is lost"):
                drained(lab)
            with checks.case("all nodes are restarted, one after the other: nothing is lost"):
                restarted(lab)
        with checks.case("the leader of etcd is killed: nothing is lost, a rekey waits for the election"):
            leader_dies(lab)
        with checks.case(f"all of etcd frozen for {AWAY} s: nothing is lost"):
            all_frozen(lab)
        with checks.case("in the end each node has the Child SAs that the store has, and no other"):
            same_everywhere(lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

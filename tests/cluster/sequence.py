#!/usr/bin/env python3
"""Tunnels whose routers check for replays, over several nodes that get each packet at random: one node numbers them, and what takes
its place when it is drained, dies or freezes, all of it under traffic. One tunnel has numbers of 32 bits, the other extended ones.
The customers (`onrampd --site`) drop what is not above their window, and the auditor sees whether numbers rise. Last line:
"N passed, N failed".

CHILD_REKEYS, IKE_REKEYS (by each side of each tunnel) and ROUNDS (of everything that ends a node) in the environment make it longer."""
import contextlib
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast  # noqa: E402
from checks import Checks, check  # noqa: E402
from fire import Fire, rekey  # noqa: E402
from lab import wait_until  # noqa: E402

NODES = 3
CHILD_REKEYS, IKE_REKEYS = int(os.environ.get("CHILD_REKEYS", 1)), int(os.environ.get("IKE_REKEYS", 1))
ROUNDS = int(os.environ.get("ROUNDS", 1))
RATE = 250
TAKEOVER = 1.0  # seconds within which another node numbers
SETTLE = 2.0    # for so long a node leaves an SA to one that lives (src/cluster/sequence.h)
WINDOW = 64


def sent(lab, customer):
    """Packets that each node has numbered for the customer."""
    return {node: node.tunnel_status(customer.tunnel)["out_packets"] for node in lab.nodes if node.process.alive()}


def sequencers(lab, customer, seconds=0.3):
    """The nodes that number for the customer, under traffic."""
    before = sent(lab, customer)
    time.sleep(seconds)
    after = sent(lab, customer)
    return [node for node in after if after[node] > before.get(node, after[node])]


def sequencer(lab, customer):
    """The one that does, and goes on to: whoever is back has taken back what is its own by the hash."""
    found = []
    def one():
        found[:] = sequencers(lab, customer)
        return len(found) == 1
    time.sleep(SETTLE)
    check(wait_until(one, 10), f"{customer.node} is numbered by {[node.node for node in found]}")
    print(f"  {found[0].node} numbers for {customer.node} at {time.time():.3f}", flush=True)
    return found[0]


def rekeys(lab):
    done = 0
    for number in range(CHILD_REKEYS + IKE_REKEYS):
        for customer in lab.customers:
            for node in (None, lab.node(done % NODES + 1)):
                rekey(customer, node, number >= CHILD_REKEYS)
                done += 1


def drained(lab):
    """It stops when the others have its tunnels, which is long before it gets no packets any more."""
    customer = lab.customers[0]
    node = sequencer(lab, customer)
    node.cli("node", "drain")
    time.sleep(0.5)
    check(node not in sequencers(lab, customer), "it still numbers")
    lab.withdraw(node.number)
    time.sleep(0.2)
    check(node.stop() == 0, "did not stop cleanly")
    node.start()
    node.cli("node", "undrain")
    lab.wait_ready(node)
    lab.announce(node.number)


def takes_over(lab, fire, node):
    """The others have what it numbered within TAKEOVER; the routers notice after 0.3 s that it is gone."""
    window = fire.window()
    end = time.time() + TAKEOVER
    time.sleep(0.3)
    lab.withdraw(node.number)
    time.sleep(max(0, end - time.time()))
    window.close(0)


def killed(lab, fire, point=None):
    node = sequencer(lab, lab.customers[0])
    pid = node.pid()
    if point is None:
        node.kill_all()
    else:
        node.arm(point)
        check(node.crashed(), f"it did not come to {point}")
    takes_over(lab, fire, node)
    if point is None:
        node.start()
    else:
        node.back(pid)
    lab.wait_ready(node)
    lab.announce(node.number)


def successors_die(lab, fire, point):
    """Whoever takes over from a drained node dies at that point, and perhaps the next one too; then one of them is back."""
    node = sequencer(lab, lab.customers[0])
    others = [other for other in lab.nodes if other is not node]
    pids = {other: other.pid() for other in others}
    window = fire.window()
    for other in others:
        other.arm(point)
    node.cli("node", "drain")
    check(wait_until(lambda: any(not other.crash_file.exists() for other in others), 10), f"nobody came to {point}")
    time.sleep(2 * TAKEOVER)
    for other in others:
        died = not other.crash_file.exists()
        other.disarm()
        if died:
            other.back(pids[other])
        lab.wait_ready(other)
    window.close(0)
    check(node not in sequencers(lab, lab.customers[0]), "it still numbers")
    node.cli("node", "undrain")


def zombie(lab, fire):
    node = sequencer(lab, lab.customers[0])
    pid = node.freeze()
    takes_over(lab, fire, node)
    time.sleep(3)
    os.kill(pid, signal.SIGCONT)
    lab.wait_ready(node)
    lab.announce(node.number)
    sequencer(lab, lab.customers[0])  # it has taken back what is its own by the hash


def main():
    with Anycast(nodes=NODES, customers=2, rising=(1, 2)) as lab, contextlib.ExitStack() as stack:
        lab.build()
        lab.start_nodes()
        checks = Checks("sequence", lab)
        with checks.case("two tunnels with replay protection come up"):
            for number, customer in enumerate(lab.customers):
                esn = number == 1
                customer.create(lab.node(number + 1), replay_protection=True, onramp={"esn": esn})
                customer.start_site(replay_window=WINDOW, **({"esn": "yes"} if esn else {}))
                check(customer.router.up("hq", 30), f"{customer.node}: {customer.router.log()[-2000:]}")
                check(customer.works(), f"{customer.node}: no traffic")
        fire = stack.enter_context(Fire(lab, RATE))
        with checks.case("of each one node numbers all packets, whatever node gets them"):
            for customer in lab.customers:
                check(len(sequencers(lab, customer)) == 1, f"{customer.node}: {sent(lab, customer)}")
        with checks.case(f"{CHILD_REKEYS} Child and {IKE_REKEYS} IKE rekeys by each side of each tunnel"):
            rekeys(lab)
        for _ in range(ROUNDS):
            with checks.case("the node that numbers is drained and stopped"):
                drained(lab)
            with checks.case("kill -9 inside a block of numbers"):
                killed(lab, fire, "mid-block")
            with checks.case("the node that numbers loses its power"):
                killed(lab, fire)
            for point in ("before-block", "after-block") if ROUNDS > 1 else ():
                with checks.case(f"kill -9 {point} of whoever takes over"):
                    successors_die(lab, fire, point)
            with checks.case("a zombie: SIGSTOP of the node that numbers, and after some seconds it wakes up"):
                zombie(lab, fire)
        with checks.case(f"nothing came twice, and nothing was lost but within {TAKEOVER:.0f} s of a node's death"):
            stack.close()
        with checks.case("auditor: no IV was used twice, and the numbers of each SA rose at the customers"):
            found = lab.finish_audit()
            check(found["rising_esp"] > 1000 and found["falls"] == 0, f"it saw {found}")
            check(found["late"] <= 64 * ROUNDS, f"more than a burst came late from a zombie: {found}")
        checks.finish()


if __name__ == "__main__":
    main()

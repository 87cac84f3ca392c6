#!/usr/bin/env python3
"""Every packet at random to one of several nodes, IKE and ESP alike: rekeys by both sides, deletes, a node that dies.
The customers are `onrampd --site`: strongSwan's user-space ESP has a replay window that cannot be switched off, and drops what
several senders have numbered. Last line: "N passed, N failed".

NODES, CHILD_REKEYS and IKE_REKEYS (by each side of each tunnel) in the environment make it longer."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, Flows, Window, audited, lost_outside  # noqa: E402
from checks import Checks, check  # noqa: E402
from lab import wait_until  # noqa: E402

NODES = int(os.environ.get("NODES", 3))
CHILD_REKEYS, IKE_REKEYS = int(os.environ.get("CHILD_REKEYS", 3)), int(os.environ.get("IKE_REKEYS", 1))
RATE = 500


def since(lab):
    """Since when the tunnels are up, as the customers know it: the same as before if no IKE SA was lost."""
    return [customer.router.status("hq")["since"] for customer in lab.customers]


def rekeys(customer):
    status = customer.router.status("hq")
    return status["child_rekeys"], status["ike_rekeys"]


def judge(directions, *windows):
    lost = lost_outside(directions, *windows)
    print(f"  {sum(len(d.sent) for d in directions)} packets, lost to a dead node: {sum(len(d.lost) for d in directions) - len(lost)}, "
          f"otherwise: {len(lost)}, longest gap {max(d.longest_gap for d in directions) * 1000:.0f} ms", flush=True)
    check(not lost, f"{len(lost)} lost: {lost[:6]} ... {lost[-1:]}")
    check(not any(direction.repeated for direction in directions), "packets came twice")


def rekey(lab, customer, node, ike):
    """By the customer, or by a node; returns when both ends are through."""
    before, at = rekeys(customer), 1 if ike else 0
    if node is None:
        customer.router.ask("site", "rekey", "hq", *(["--ike"] if ike else []))
    else:
        node.cli("tunnel", "rekey", customer.tunnel["id"], "--account", node.account["id"], *(["--ike"] if ike else []))
    check(wait_until(lambda: rekeys(customer)[at] > before[at], 20, 0.05), f"{customer.node}: not rekeyed: {rekeys(customer)}")


def rekeys_under_traffic(lab):
    up, flows, done = since(lab), Flows(lab.customers, RATE), 0
    for number in range(CHILD_REKEYS + IKE_REKEYS):
        for customer in lab.customers:
            for node in (None, lab.node(done % NODES + 1)):
                rekey(lab, customer, node, number >= CHILD_REKEYS)
                done += 1
    time.sleep(0.3)
    print(f"  {done} rekeys", flush=True)
    judge(flows.finish())
    check(since(lab) == up, "a tunnel was set up anew")


def is_ready(node):
    return node.cli("node", "ready", check=False).returncode == 0


def wait_ready(lab, node):
    """Routers may send there: the node says so, and the kernel leads the tunnels' prefixes to its off-ramp."""
    def done():
        routes = lab.run(node.node, "ip", "route").stdout
        return is_ready(node) and all(customer.lan in routes for customer in lab.customers)
    check(wait_until(done, 20, 0.1), f"{node.node} is not ready: {node.cli('node', 'list').stdout}")


def power_loss(lab):
    """The routers notice after 0.3 s; the tunnels are all nodes'."""
    up, flows, node = since(lab), Flows(lab.customers, RATE), lab.node(2)
    time.sleep(0.3)
    window = Window()
    node.kill_all()
    time.sleep(0.3)
    lab.withdraw(2)
    window.close()
    for customer in lab.customers:
        rekey(lab, customer, None, False)
    time.sleep(0.5)
    judge(flows.finish(), window)
    check(since(lab) == up, "a tunnel was set up anew")
    node.start()
    wait_ready(lab, node)
    lab.announce(2)
    check(lab.customers[0].works(), "no traffic")


def drain(lab):
    up, flows, node = since(lab), Flows(lab.customers, RATE), lab.node(3)
    time.sleep(0.3)
    check(is_ready(node), "not ready before")
    node.cli("node", "drain")
    check(not is_ready(node), "ready though it is drained")
    node.cli("node", "undrain")
    check(is_ready(node), "not ready though it takes part again")
    node.cli("node", "drain")
    check(wait_until(lambda: "draining" in lab.node(1).cli("node", "list").stdout, 5, 0.1), "the others do not hear of it")
    lab.withdraw(3)
    time.sleep(0.3)
    check(node.stop() == 0, "did not stop cleanly")
    for customer in lab.customers:
        rekey(lab, customer, lab.node(1), False)
    node.start()
    wait_ready(lab, node)
    lab.announce(3)
    time.sleep(0.5)
    judge(flows.finish())
    check(since(lab) == up, "a tunnel was set up anew")


def deleted(lab):
    """By one node's API; the customer hears of it, and no node has it any more."""
    customer = lab.customers[-1]
    node = lab.node(NODES)
    for route in node.call("GET", "/routes")["routes"]:
        if route["prefix"] == f"{customer.lan}/32":
            node.call("DELETE", f"/routes/{route['id']}")
    node.call("DELETE", f"/ipsec_tunnels/{customer.tunnel['id']}")
    check(wait_until(lambda: not customer.router.status("hq")["up"], 10), "the customer's tunnel is still up")
    check(lab.everywhere(lambda node: customer.tunnel["id"] not in str(node.status()["accounts"])), "a node still has it")


def main():
    with Anycast(nodes=NODES, customers=2) as lab:
        lab.build()
        lab.start_nodes()
        checks = Checks("spray", lab)
        with checks.case(f"two tunnels come up, each packet of the handshake to one of {NODES} nodes at random"):
            for number, customer in enumerate(lab.customers):
                customer.create(lab.node(number + 1), onramp={"dpd_delay": 10})
                customer.start_site(dpd_delay=10)
                check(customer.router.up("hq", 30), f"{customer.node}: {customer.router.log()[-2000:]}")
                check(customer.works(), f"{customer.node}: no traffic")
        with checks.case(f"{CHILD_REKEYS} Child and {IKE_REKEYS} IKE rekeys by each side of each tunnel lose nothing"):
            rekeys_under_traffic(lab)
        with checks.case("a node loses its power: the others have all of its tunnels, and rekey them"):
            power_loss(lab)
        with checks.case("a node is drained, stopped and started: nothing is lost"):
            drain(lab)
        with checks.case("a tunnel is deleted at one node: it is gone at all"):
            deleted(lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

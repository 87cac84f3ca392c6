#!/usr/bin/env python3
"""What dies, freezes or goes away in a cluster under traffic: no tunnel is set up anew, and nothing is lost but what a
router sends to a dead node until it notices. Last line: "N passed, N failed"."""
import os
import pathlib
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, Flows, Window, audited, lost_outside  # noqa: E402
from checks import Checks, check  # noqa: E402
from lab import wait_until  # noqa: E402

NODES = int(os.environ.get("NODES", 1))
RATE = 500
AWAY = int(os.environ.get("AWAY", 10))  # seconds without any etcd


def ike_spis(charon):
    return sorted(re.findall(r"IKEv2, ([0-9a-f]{16})_i\*? ([0-9a-f]{16})_r", charon.sas()))


class Fire:
    """Traffic of all customers while something happens."""

    def __init__(self, lab):
        self.lab, self.windows = lab, []

    def __enter__(self):
        self.flows = Flows(self.lab.customers, RATE)
        self.spis = [ike_spis(customer.router) for customer in self.lab.customers]
        time.sleep(0.3)
        return self

    def window(self, before=0.1):
        self.windows.append(Window(before))
        return self.windows[-1]

    def __exit__(self, kind, *_):
        time.sleep(0.5)
        directions = self.flows.finish()
        if kind is not None:
            return
        lost = lost_outside(directions, *self.windows)
        allowed = sum(len(direction.lost) for direction in directions) - len(lost)
        print(f"  {sum(len(d.sent) for d in directions)} packets, lost to a dead node: {allowed}, otherwise: {len(lost)}, "
              f"longest gap {max(d.longest_gap for d in directions) * 1000:.0f} ms", flush=True)
        check(not lost, f"{len(lost)} lost: {lost[:6]} ... {lost[-1:]}")
        check(not any(direction.repeated for direction in directions), "packets came twice")
        for customer, before in zip(self.lab.customers, self.spis):
            check(ike_spis(customer.router) == before, f"{customer.node}: other IKE SAs: {before} became {ike_spis(customer.router)}")


def react(lab, node, fire, seconds=0.3):
    """What the routers do about a dead node: after a while they send nothing to it any more."""
    window = fire.window()
    time.sleep(seconds)
    if NODES > 1:
        lab.withdraw(node.number)
        window.close()
    return window


def return_to_work(lab, node, window):
    lab.announce(node.number)
    window.close()


def crash_at(lab, point, rekey):
    """IKE goes to node 1, which dies at the point; the others then have the rest of it."""
    node, charon = lab.node(1), lab.customers[0].router
    lab.pin_ike(1)
    pid = node.pid()
    with Fire(lab) as fire:
        before = charon.child_spis()
        node.arm(point)
        asked = lab.spawn("c1", "swanctl", "--rekey", *rekey, "--uri", f"unix://{charon.socket}", log="rekey.log", env=charon.env)
        check(node.crashed(), "it did not come to that point")
        window = react(lab, node, fire)
        lab.pin_ike(None)
        node.back(pid)
        return_to_work(lab, node, window)
        check(wait_until(lambda: asked.popen.poll() is not None, 20), "the rekey does not end")
        if rekey == ("--child", "net"):
            check(wait_until(lambda: len(charon.child_spis()) == 1 and charon.child_spis() != before, 10),
                  f"no new Child SA: {before}, {charon.sas()}")


def nodes_that_die(checks, lab):
    for point in ("before-commit", "after-commit", "after-reply"):
        with checks.case(f"kill -9 {point.replace('-', ' the ')} of a rekey of a Child SA"):
            crash_at(lab, point, ("--child", "net"))
    if NODES == 1:
        return
    with checks.case("a node loses its power: the others have all of its tunnels"):
        node = lab.node(2)
        with Fire(lab) as fire:
            node.kill_all()
            react(lab, node, fire)
            check(lab.customers[0].router.rekey_child(), "no rekey")
        node.start()
        lab.announce(2)
    with checks.case("a zombie: SIGSTOP, the others go on, and after 5 s it wakes up"):
        node = lab.node(3)
        with Fire(lab) as fire:
            pid = node.freeze()
            react(lab, node, fire)
            check(lab.customers[0].router.rekey_child(), "no rekey")
            time.sleep(5)
            os.kill(pid, signal.SIGCONT)
            node.wait_ready()
            time.sleep(1)
            lab.announce(3)
            check(lab.customers[0].router.rekey_child(), "no rekey")
            time.sleep(1)


def store_that_dies(checks, lab):
    with checks.case("the leader of etcd is killed: no packet is lost, a rekey waits for the election"):
        leader = lab.etcd.leader()
        with Fire(lab):
            lab.etcd.kill(leader)
            check(lab.customers[0].router.rekey_child(), "no rekey")
        lab.etcd.restart(leader)
    with checks.case(f"all of etcd frozen for {AWAY} s: no packet is lost"):
        with Fire(lab):
            for i in range(lab.member_cnt):
                lab.etcd.freeze(i)
            time.sleep(AWAY)
            for i in range(lab.member_cnt):
                lab.etcd.thaw(i)
        check(wait_until(lambda: lab.customers[0].router.rekey_child(), 20, 1), "no rekey afterwards")


def drained(lab, number):
    node = lab.node(number)
    node.cli("node", "drain")
    check(wait_until(lambda: node.cli("node", "ready", check=False).returncode != 0, 10), "still ready")
    lab.withdraw(number)
    return node


def nodes_that_leave(checks, lab):
    if NODES == 1:
        return
    with checks.case("a node is drained and comes back: nothing is lost"):
        with Fire(lab):
            node = drained(lab, 4)
            time.sleep(1)
            node.cli("node", "undrain")
            check(wait_until(lambda: node.cli("node", "ready", check=False).returncode == 0, 10), "not ready")
            lab.announce(4)
            time.sleep(0.5)
    with checks.case("all nodes are restarted, one after the other: nothing is lost"):
        with Fire(lab):
            for number in range(1, NODES + 1):
                node = drained(lab, number)
                time.sleep(0.3)
                check(node.stop() == 0, "did not stop cleanly")
                node.start()
                check(wait_until(lambda: node.cli("node", "ready", check=False).returncode == 0, 10), "not ready")
                lab.announce(number)
            check(lab.customers[0].router.rekey_child(), "no rekey")


def main():
    with Anycast(nodes=NODES, customers=2) as lab:
        lab.build()
        lab.start_nodes()
        checks = Checks("crashes", lab)
        with checks.case("two tunnels are up"):
            for customer in lab.customers:
                customer.create(lab.node(1))
                check(customer.start_charon().initiate(), f"{customer.node}: {customer.router.said}")
                check(customer.works(), f"{customer.node}: no traffic")
        nodes_that_die(checks, lab)
        store_that_dies(checks, lab)
        nodes_that_leave(checks, lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""One gateway over etcd that dies under traffic, and etcd that does: no tunnel of strongSwan is set up anew. What dies in a
cluster of several nodes is in faults.py. Last line: "N passed, N failed"."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, audited  # noqa: E402
from checks import Checks, check  # noqa: E402
from fire import Fire  # noqa: E402
from lab import wait_until  # noqa: E402

AWAY = int(os.environ.get("AWAY", 10))  # seconds without any etcd


def crash_at(lab, point):
    node, charon = lab.node(1), lab.customers[0].router
    pid = node.pid()
    with Fire(lab) as fire:
        before = charon.child_spis()
        node.arm(point)
        asked = lab.spawn("c1", "swanctl", "--rekey", "--child", "net", "--uri", f"unix://{charon.socket}", log="rekey.log", env=charon.env)
        check(node.crashed(), "it did not come to that point")
        window = fire.window()
        node.back(pid)
        window.close()
        check(wait_until(lambda: asked.popen.poll() is not None, 20), "the rekey does not end")
        check(wait_until(lambda: len(charon.child_spis()) == 1 and charon.child_spis() != before, 10),
              f"no new Child SA: {before}, {charon.sas()}")


def store_that_dies(checks, lab):
    charon = lab.customers[0].router
    with checks.case("the leader of etcd is killed: no packet is lost, a rekey waits for the election"):
        leader = lab.etcd.leader()
        with Fire(lab):
            lab.etcd.kill(leader)
            check(charon.rekey_child(), "no rekey")
        lab.etcd.restart(leader)
    with checks.case(f"all of etcd frozen for {AWAY} s: no packet is lost"):
        with Fire(lab):
            with lab.etcd.frozen():
                time.sleep(AWAY)
        check(wait_until(charon.rekey_child, 20, 1), "no rekey afterwards")


def main():
    with Anycast(nodes=1, customers=2) as lab:
        lab.build()
        lab.start_nodes()
        checks = Checks("crashes", lab)
        with checks.case("two tunnels are up"):
            for customer in lab.customers:
                customer.create(lab.node(1))
                check(customer.start_charon().initiate(), f"{customer.node}: {customer.router.said}")
                check(customer.works(), f"{customer.node}: no traffic")
        for point in ("before-commit", "after-commit", "after-reply"):
            with checks.case(f"kill -9 {point.replace('-', ' the ')} of a rekey of a Child SA"):
                crash_at(lab, point)
        store_that_dies(checks, lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

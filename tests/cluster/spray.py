#!/usr/bin/env python3
"""Every packet at random to one of several nodes, IKE and ESP alike: rekeys by both sides under traffic.
The customers are `onrampd --site`: strongSwan's user-space ESP has a replay window that cannot be switched off, and drops what
several senders have numbered. Last line: "N passed, N failed".

NODES, RATE (packets a second, each way of each tunnel), CHILD_REKEYS and IKE_REKEYS (by each side of each tunnel) in the
environment make it longer."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, audited  # noqa: E402
from checks import Checks, check  # noqa: E402
from fire import Fire, rekey  # noqa: E402
from lab import wait_until  # noqa: E402

NODES, RATE = int(os.environ.get("NODES", 3)), int(os.environ.get("RATE", 500))
CHILD_REKEYS, IKE_REKEYS = int(os.environ.get("CHILD_REKEYS", 3)), int(os.environ.get("IKE_REKEYS", 1))


def rekeys_under_traffic(lab):
    """The IKE rekeys among the others, by all nodes in turn."""
    every, done, ikes = max(1, CHILD_REKEYS // max(1, IKE_REKEYS)), 0, 0
    times = []
    with Fire(lab, RATE):
        for number in range(CHILD_REKEYS):
            kinds = [False] + [True] * (number % every == every - 1 and ikes < IKE_REKEYS)
            ikes += len(kinds) - 1
            for ike in kinds:
                for customer in lab.customers:
                    for node in (None, lab.node(done % NODES + 1)):
                        begin = time.monotonic()
                        rekey(customer, node, ike)
                        times.append(time.monotonic() - begin)
                        done += 1
        print(f"  {done} rekeys, {ikes} of the IKE SA by each side; median {sorted(times)[done // 2] * 1000:.0f} ms, "
              f"longest {max(times) * 1000:.0f} ms", flush=True)


def one_child_each(lab):
    """What was replaced is gone, everywhere."""
    def counts():
        return [lab.etcd.count("child/")] + [lab.counters(node)["child_sas"] for node in lab.nodes]
    check(wait_until(lambda: counts() == [len(lab.customers)] * (NODES + 1), 15, 0.5), f"Child SAs of the store and of the nodes: {counts()}")


def main():
    with Anycast(nodes=NODES, customers=2) as lab:
        lab.build()
        lab.start_nodes()
        checks = Checks("spray", lab)
        with checks.case(f"two tunnels come up, each packet of the handshake to one of {NODES} nodes at random"):
            for number, customer in enumerate(lab.customers):
                customer.create(lab.node(number + 1))
                customer.start_site()
                check(customer.router.up("hq", 30), f"{customer.node}: {customer.router.log()[-2000:]}")
                check(customer.works(), f"{customer.node}: no traffic")
        with checks.case(f"{CHILD_REKEYS} Child and {IKE_REKEYS} IKE rekeys by each side of each tunnel lose nothing"):
            rekeys_under_traffic(lab)
        with checks.case("in the end each node has one Child SA for each tunnel, as the store has"):
            one_child_each(lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

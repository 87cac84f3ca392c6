#!/usr/bin/env python3
"""Three nodes go from one release to the next, one after the other, and between the two the format of the records of SAs
changes. The release before is this one with ONRAMP_RECORD_FORMAT=1 (src/model/format.h): for builds with sanitizers.
Last line: "N passed, N failed"."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, audited  # noqa: E402
from checks import Checks, check  # noqa: E402
from fire import Fire, rekey  # noqa: E402
from lab import LabError, wait_until  # noqa: E402

RATE = 200
OLD = {"ONRAMP_RECORD_FORMAT": "1"}
SETTLE = 6  # seconds; the nodes wait 4 (src/control/format.c)


def writes_new(node):
    return "written in format 2" in node.process.log_tail()


def restart(lab, number, old):
    """As an upgrade does it: drained, stopped, started as another release, announced."""
    node = lab.node(number)
    node.cli("node", "drain")
    lab.withdraw(number)
    time.sleep(0.3)
    check(node.stop() == 0, f"{node.node} did not stop cleanly")
    node.env = {**node.env, **OLD} if old else {key: value for key, value in node.env.items() if key not in OLD}
    node.start()
    node.cli("node", "undrain")
    lab.wait_ready(node)
    lab.announce(number)


def rekeyed_by_all(lab):
    for customer in lab.customers:
        for node in (None, *lab.nodes):
            rekey(customer, node, node is lab.nodes[0])


def begin_old(lab):
    for number, customer in enumerate(lab.customers):
        customer.create(lab.node(number + 1))
        customer.start_site()
        check(customer.router.up("hq", 30), f"{customer.node}: {customer.router.log()[-2000:]}")
        check(customer.works(), "no traffic")


def mixed(lab):
    """Two of three are new: all write what the third reads, for as long as it is there."""
    with Fire(lab, RATE):
        for number in (1, 2):
            restart(lab, number, old=False)
        time.sleep(SETTLE)
        rekeyed_by_all(lab)
    check(not any(writes_new(node) for node in lab.nodes), "a format is written that one of the nodes cannot read")


def all_new(lab):
    with Fire(lab, RATE):
        restart(lab, 3, old=False)
        check(lab.everywhere(writes_new, SETTLE * 3), "the old format is written still")
        rekeyed_by_all(lab)
        restart(lab, 1, old=False)  # records of both formats are in the store
        rekeyed_by_all(lab)


def back(lab):
    """The release before cannot read what there is: it says so and leaves it alone."""
    node = lab.node(2)
    with Fire(lab, RATE):
        node.cli("node", "drain")
        lab.withdraw(2)
        time.sleep(0.3)
        node.stop()
        node.env.update(OLD)
        try:
            node.start(5)
        except LabError:
            pass
        check(wait_until(lambda: "reads up to 1" in node.process.log_tail(), 10), f"it does not say why: {node.process.log_tail()}")
        node.process.stop()
        for name in OLD:
            del node.env[name]
        node.start()
        node.cli("node", "undrain")
        lab.wait_ready(node)
        lab.announce(2)
        time.sleep(0.5)


def main():
    with Anycast(nodes=3, customers=1) as lab:
        lab.build()
        lab.start_nodes(env=OLD)
        checks = Checks("upgrade", lab)
        with checks.case("three nodes of the release before have a tunnel"):
            begin_old(lab)
        with checks.case("with one old node among new ones all write what it reads, and nothing is lost"):
            mixed(lab)
        with checks.case("when the last one is new the format rises, and nothing is lost"):
            all_new(lab)
        with checks.case("the release before does not start any more, and says why"):
            back(lab)
        audited(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()

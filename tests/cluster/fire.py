"""Traffic of all customers of a lab while something happens to its nodes: what was lost, where, and whether a tunnel was set up anew."""
import http.client
import time

from anycast import Flows, Window, lost_outside
from checks import check
from lab import LabError, wait_until
from rekeying import site_counters


def count_drops(lab):
    """Whoever may drop a packet says how many it did: nodes, sites, and the kernels of their namespaces."""
    found = {}
    for node in lab.nodes:
        if node.process.alive() and node.pid():
            found[node.node] = {name: n for name, n in lab.counters(node).items() if name.startswith("drop_")}
    for customer in lab.customers:
        if hasattr(customer.router, "socket") and hasattr(customer.router, "ask"):
            found[customer.node] = {name: n for name, n in site_counters(customer.router).items() if name.startswith("drop_")}
    for name in [node.node for node in lab.nodes] + [customer.node for customer in lab.customers] + ["hq", "rtr", "core"]:
        names, values = (line.split() for line in lab.run(name, "cat", "/proc/net/snmp").stdout.splitlines()
                         if line.startswith("Udp:"))
        kernel = {f"kernel {key}": int(value) for key, value in zip(names, values) if key.endswith("Errors")}
        for line in lab.run(name, "cat", "/proc/net/dev").stdout.splitlines()[2:]:
            device, _, rest = line.partition(":")
            words = rest.split()
            kernel[f"{device.strip()} in dropped"], kernel[f"{device.strip()} out dropped"] = int(words[3]), int(words[11])
        found.setdefault(name, {}).update(kernel)
    return found


def more_drops(before, after):
    """What was counted since, of those who were there before."""
    return {name: more for name, counts in after.items()
            if (more := {key: n - before.get(name, {}).get(key, 0) for key, n in counts.items()
                         if n > before.get(name, {}).get(key, 0)})}


class Fire:
    """A context manager. Loses nothing but what the windows excuse, and no tunnel is set up anew; else it raises LabError."""

    def __init__(self, lab, rate=500):
        self.lab, self.rate, self.windows = lab, rate, []

    def __enter__(self):
        self.drops = count_drops(self.lab)
        self.flows = Flows(self.lab.customers, self.rate)
        self.sessions = [customer.router.sessions() for customer in self.lab.customers]
        time.sleep(0.3)
        return self

    def window(self, before=0.1):
        self.windows.append(Window(before))
        return self.windows[-1]

    def __exit__(self, kind, *_):
        time.sleep(0.5)
        directions = self.flows.finish()
        if kind is None:
            self.judge(directions)

    def judge(self, directions):
        lost = lost_outside(directions, *self.windows)
        allowed = sum(len(direction.lost) for direction in directions) - len(lost)
        print(f"  {sum(len(d.sent) for d in directions)} packets, lost to a dead node: {allowed}, otherwise: {len(lost)}, "
              f"longest gap {max(d.longest_gap for d in directions) * 1000:.0f} ms", flush=True)
        if lost:
            print(f"  counted meanwhile: {more_drops(self.drops, count_drops(self.lab))}", flush=True)
        check(not lost, f"{len(lost)} lost: {lost[:6]} ... {lost[-1:]}")
        check(not any(direction.repeated for direction in directions), "packets came twice")
        for customer, before in zip(self.lab.customers, self.sessions):
            check(customer.router.sessions() == before, f"{customer.node}: set up anew: {before} became {customer.router.sessions()}")


# ---- rekeys of customers that are sites ----

def rekeys(customer):
    """How many Child SAs and IKE SAs the customer has rekeyed, whoever asked for it."""
    counters = site_counters(customer.router)
    return counters["child_rekeyed"], counters["ike_rekeyed"]


def ask_rekey(customer, node=None, ike=False):
    """The customer asks for it, or the node, which may die over the answer; nobody waits for it."""
    if node is None:
        customer.router.ask("site", "rekey", "hq", *(["--ike"] if ike else []))
        return
    try:
        node.ask(f"/accounts/{node.account['id']}/onramp/tunnels/{customer.tunnel['id']}/rekey", "POST", {"ike": ike})
    except (LabError, OSError, http.client.HTTPException) as error:
        print(f"  {node.node} gave no answer: {error}", flush=True)


def wait_rekeyed(customer, before, ike=False, timeout=20):
    at = 1 if ike else 0
    check(wait_until(lambda: rekeys(customer)[at] > before[at], timeout, 0.05),
          f"{customer.node}: not rekeyed: {before} became {rekeys(customer)}")


def rekey(customer, node=None, ike=False):
    before = rekeys(customer)
    ask_rekey(customer, node, ike)
    wait_rekeyed(customer, before, ike)

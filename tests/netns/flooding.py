"""Strangers flood a gateway while tunnels that stand carry a paced load and a new peer comes (tests/flood/*.c).

All that is asserted of load is a share within one run: of packets that were sent, of the capacity measured before.
"""
import json
import pathlib
import re
import threading
import time

from checks import check
from lab import ANYCAST4, HQ, ROOT, SITE_A, Gateway, wait_until
from rekeying import Admin, store_keys
from site_role import Site

LAN = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}
BUILD = ROOT / "build" / "release"  # sanitizers would make a flood out of a trickle
STRANGERS = "init=62,proven=8,cookie=16,piece=4,lost=5,auth=5"
JUNK = "known=40,auth=15,proven=5,lost=15,esp=25"
HALF_OPEN_KB = 24  # more than one half-open SA takes


def program(name):
    return BUILD / "tests" / "flood" / name


class Flooding:
    def __init__(self, lab):
        self.lab = lab
        lab.build_network()
        lab.add_node("flood")
        lab.link("inet", "to-flood", ["100.65.0.1/30"], "flood", "wan", ["100.65.0.2/30"])
        lab.ip("flood", "route add default via 100.65.0.1")
        lab.ip("inet", "route add 198.18.0.0/15 via 100.65.0.2")
        self.gateway = Gateway(lab, build=BUILD)
        self.gateway.start()
        self.gateway.create_account("flood")
        self.admin = Admin(self.gateway)
        self.keys = {}
        for number, node in enumerate(LAN, 1):
            lab.ip(node, f"addr add {LAN[node]}/32 dev lo")
            tunnel = self.gateway.create_tunnel(node, f"10.252.0.{2 * number}/31")
            self.gateway.create_route(f"{LAN[node]}/32", f"10.252.0.{2 * number + 1}")
            self.keys[node] = {"identity": "fqdn:" + tunnel["remote_identities"]["fqdn_id"],
                               "psk": self.gateway.generate_psk(tunnel), "addresses": f"10.252.0.{2 * number + 1}/31",
                               "routes": "192.168.0.0/24"}
        self.site = self.start_site("site-a")
        check(self.site.up("hq") and lab.ping_until("site-a", LAN["site-a"], HQ), "the tunnel is not up")

    def start_site(self, node):
        site = Site(self.lab, node, {"hq": self.keys[node]}, build=BUILD, settings={"log_level": "info"})
        site.start()
        return site

    # ---- load ----

    def load(self, rate, seconds):
        """Packets both ways at this rate each (0: as fast as it goes, one way): (sent, arrived)."""
        ways = [("site-a", LAN["site-a"], "hq", HQ, 9001), ("hq", HQ, "site-a", LAN["site-a"], 9002)][:1 if rate == 0 else 2]
        counts = [self.lab.spawn(target, program("onramp-load"), "count", to, port, log=f"count-{port}-{time.monotonic_ns()}.log")
                  for _, _, target, to, port in ways]
        for (_, _, target, _, port) in ways:
            wait_until(lambda: f":{port}" in self.lab.run(target, "ss", "-Hlun").stdout, 5)
        sends = [self.lab.spawn(node, program("onramp-load"), "send", source, to, port, rate, seconds,
                                log=f"send-{port}-{time.monotonic_ns()}.log") for node, source, _, to, port in ways]
        sent = 0
        for send in sends:
            check(send.popen.wait(seconds * 4 + 20) == 0, f"onramp-load: {send.log_tail()}")
            sent += int(send.log_tail())
        time.sleep(0.3)
        arrived = 0
        for count in counts:
            count.stop()
            arrived += int(count.log_tail())
        return sent, arrived

    def choose_pace(self, seconds):
        """Packets a second each way, 30 % of the capacity together or less, that arrive while nobody floods."""
        _, arrived = self.load(0, seconds)
        self.capacity = arrived / seconds
        pace = 0.3 * self.capacity / 2
        for _ in range(4):
            sent, arrived = self.load(pace, seconds)
            if arrived >= 0.99 * sent:
                break
            pace /= 2
        self.pace, self.quiet = pace, arrived / sent
        print(f"  capacity {self.capacity:.0f} packets/s; pace {2 * pace:.0f}, {100 * self.quiet:.2f} % arrive without a flood", flush=True)
        check(self.quiet >= 0.95, "even without a flood packets are lost")

    # ---- the gateway's process ----

    def memory_kb(self, field="VmRSS"):
        text = pathlib.Path(f"/proc/{self.gateway.child_pid('gateway')}/status").read_text()
        return int(re.search(field + r":\s+(\d+)", text).group(1))

    def counters(self):
        return {counter["name"]: counter["value"] for counter in self.admin.call("GET", "/admin/status")["counters"]}

    def log_lines(self):
        """Without what the test's own questions make the api process write."""
        return [line for line in pathlib.Path(self.gateway.process.log).read_text().splitlines() if " audit: " not in line]

    # ---- the flood ----

    def flood(self, shares, count, rate, meanwhile=None):
        """What became of everything while strangers sent count packets; meanwhile() runs during it. Up to three times where the
        load did not arrive: what else the machine does at the moment is not the flood's doing, and does not stay."""
        for _ in range(3):
            result = self.flood_once(shares, count, rate, meanwhile)
            if result["share"] >= 0.95 * self.quiet:
                break
            meanwhile = None
        return result

    def flood_once(self, shares, count, rate, meanwhile):
        before, lines = self.counters(), len(self.log_lines())
        pid = self.gateway.child_pid("gateway")
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5\n")
        rss = self.memory_kb()
        spis = [f"{store_keys(side.directory, 'ike')[0]}" for side in (self.site, self.gateway)]
        stranger = self.lab.spawn("flood", program("onramp-flood"), "wan", ANYCAST4, count, rate, shares, *spis, SITE_A, 500,
                                  log=f"flood-{time.monotonic_ns()}.log")
        thread = threading.Thread(target=meanwhile or (lambda: None))
        thread.start()
        sent, arrived = self.load(self.pace, max(1.5, count / rate * 0.8))
        check(stranger.popen.wait(count / rate * 6 + 30) == 0, f"onramp-flood: {stranger.log_tail()}")
        thread.join()
        said = json.loads(stranger.log_tail())
        after = self.counters()
        changed = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)
                   and (name.startswith(("drop_", "ike_")) or name == "half_open")}
        peak = self.memory_kb("VmHWM")
        written = self.log_lines()[lines:]
        print(f"  {count} packets in {said['seconds']:.1f} s: {said}\n  load: {100 * arrived / sent:.2f} % of {sent} arrived; memory {rss} -> "
              f"peak {peak} -> {self.memory_kb()} KiB; {len(written)} log lines; {changed}", flush=True)
        check(self.gateway.child_pid("gateway") == pid, "the gateway's process was started again")
        return {**said, "share": arrived / sent, "rss": rss, "peak": peak, "lines": written, "changed": changed, "count": count}

    def judge(self, result, new_lines):
        check(result["failed"] == 0, f"{result['failed']} packets could not be sent")
        check(result["share"] >= 0.95 * self.quiet, f"only {100 * result['share']:.1f} % of the load arrived")
        check(result["bigger"] == 0 and result["unasked"] == 0, f"answers bigger than questions: {result}")
        check(result["bytes_in"] <= result["bytes_out"], "more was sent to unproven sources than they sent")
        halves = result["changed"].get("half_open", 0)
        room = 32768 + HALF_OPEN_KB * max(0, result["initiated"])
        check(result["peak"] - result["rss"] <= room, f"memory grew by {result['peak'] - result['rss']} KiB with {halves} half open")
        check(len(result["lines"]) <= new_lines, f"{len(result['lines'])} log lines: {result['lines'][:40]}")

    def come_new(self):
        """A new honest peer: how many seconds until its tunnel is up; None: not within half a minute."""
        begin = time.monotonic()
        self.new = self.start_site("site-b")
        self.came = time.monotonic() - begin if self.new.up("hq", 30) else None
        print(f"  the new peer was up after {self.came and round(self.came, 2)} s", flush=True)

    def check_new(self):
        check(self.came is not None, f"the new peer did not get in: {self.new.log()[-1500:]}")
        check(self.lab.ping_until("site-b", LAN["site-b"], HQ), "no traffic of the new peer")

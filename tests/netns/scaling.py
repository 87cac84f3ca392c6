"""Many tunnels between one gateway and one `onrampd --site`, both on this machine: all come up, every Child SA is rekeyed, none is
lost; the gateway is killed, and all go on with the SAs that they had. Prints what each step took, and the gateway's memory
and CPU time for a tunnel."""
import os
import signal
import time

from checks import Checks, check
from fleet import (GATEWAY_SETTINGS, all_up, bulk, count_up, cpu_ms, create_routes, create_tunnels, pids, prefix, resident_kb,
                   sections)
from lab import HQ, Gateway, Lab, wait_until
from site_role import Site

QUIET = {"node": {"log_level": "warn"}}


def say(what):
    print(f"     {what}", flush=True)


class Scale:
    def __init__(self, lab, count, lifetime):
        self.lab, self.count, self.lifetime = lab, count, lifetime
        lab.build_network()
        self.gateway = Gateway(lab, settings={**GATEWAY_SETTINGS, **QUIET})
        self.gateway.start()
        self.gateway.create_account("fleet")

    def configure(self):
        begin = time.monotonic()
        self.tunnels = create_tunnels(self.gateway, 0, self.count,
                                      onramp={"dpd_delay": 60})
        create_routes(self.gateway, 0, self.count)
        say(f"{self.count} tunnels, keys and routes by the API in {time.monotonic() - begin:.1f} s")
        tunnels = sections(self.tunnels, 0, self.lab.directory, dpd_delay=60,
                           **({"child_lifetime": self.lifetime} if self.lifetime else {}))
        tunnels[self.tunnels[-1]["name"]]["routes"] = "192.168.0.0/24"  # the one that carries traffic
        self.inner = prefix(self.count - 1).replace(".0/24", ".1")
        self.lab.ip("site-a", f"addr add {self.inner}/32 dev lo")
        self.site = Site(self.lab, "site-a", tunnels, settings={"log_level": "warn"})

    def come_up(self):
        gateway = [self.gateway.child_pid("gateway")]
        memory, cpu, begin = resident_kb(gateway), cpu_ms(pids(self.gateway)), time.monotonic()
        self.site.start(timeout=60)
        all_up(self.site, self.count, 60 + self.count / 20)
        self.check_up()
        say(f"all up in {time.monotonic() - begin:.1f} s, {(cpu_ms(pids(self.gateway)) - cpu) / self.count:.2f} ms of the "
                 f"gateway's CPU each, {(resident_kb(gateway) - memory) * 1024 / self.count:.0f} bytes of its memory each")

    def rekeys(self):
        return [tunnel["child_rekeys"] for tunnel in self.site.status()]

    def rekey(self):
        """By their lifetime, or all at once because somebody asks for it."""
        begin, cpu, before = time.monotonic(), cpu_ms(pids(self.gateway)), sum(self.rekeys())
        if self.lifetime is None:
            bulk(self.gateway, [("POST", f"/onramp/tunnels/{tunnel['id']}/rekey", None) for tunnel in self.tunnels])
        wait_until(lambda: min(self.rekeys()) > 0, 60 + self.count / 20 + 3 * (self.lifetime or 0), 0.5 + self.count / 5000)
        left = self.rekeys().count(0)
        check(left == 0, f"{left} tunnels were not rekeyed")
        done = sum(self.rekeys()) - before
        say(f"{done} rekeys in {time.monotonic() - begin:.1f} s, {(cpu_ms(pids(self.gateway)) - cpu) / done:.2f} ms of the "
                 f"gateway's CPU each, all tunnels included")
        self.check_up()

    def check_up(self):
        up = count_up(self.site)
        check(up == self.count, f"{up} of {self.count} tunnels are up")

    def kill(self, seconds):
        """Watches for so long afterwards."""
        before = self.since()
        old, begin = self.gateway.child_pid("gateway"), time.monotonic()
        os.kill(old, signal.SIGKILL)
        check(wait_until(lambda: self.gateway.child_pid("gateway") not in (None, old), 30), "the gateway process did not come back")
        check(self.lab.ping_until("site-a", self.inner, HQ, 60 + self.count / 100), "no traffic after the gateway was killed")
        say(f"killed, traffic again after {time.monotonic() - begin:.1f} s")
        wait_until(lambda: self.since() != before, seconds, 2)
        self.check_up()
        check(self.since() == before, "tunnels came up anew: their SAs were lost")

    def since(self):
        """Since when each tunnel is up, as the site knows it: the same as before if no IKE SA was lost."""
        return {tunnel["name"]: tunnel["since"] for tunnel in self.site.status()}


def run(count, lifetime, seconds_after_kill):
    with Lab() as lab:
        checks, scale = Checks("scale", lab), Scale(lab, count, lifetime)
        for name, step in (("tunnels, keys and routes through the API", scale.configure), ("all tunnels come up", scale.come_up),
                           ("every Child SA is rekeyed, no tunnel is lost", scale.rekey),
                           ("kill -9 of the gateway: all go on with their SAs", lambda: scale.kill(seconds_after_kill))):
            with checks.case(f"{count} tunnels: {name}"):
                step()
            if checks.failed:
                break
    checks.finish()

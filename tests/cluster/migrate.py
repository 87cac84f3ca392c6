#!/usr/bin/env python3
"""The store of a gateway moves from SQLite into etcd and back, with a tunnel that stays up. Last line: "N passed, N failed"."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from etcd import Etcd  # noqa: E402
from charon import Charon  # noqa: E402
from checks import Checks, check  # noqa: E402
from gateway import LAN, ike_spis, settings  # noqa: E402
from lab import HQ, SITE_A, Gateway, Lab, LabError, wait_until  # noqa: E402

class IkeWatch:
    """Every IKE message on the way between the site and the gateway."""

    def __init__(self, lab):
        self.path = lab.directory / "ike.txt"
        self.process = lab.spawn("inet", "tcpdump", "-i", "to-gw", "-n", "-l", "--immediate-mode", "-Z", "root",
                                 "udp port 500 or (udp port 4500 and udp[8:4] = 0)", log="ike.txt")
        if not wait_until(lambda: "listening on" in self.process.log_tail(), 10):
            raise LabError("tcpdump does not start")

    def seen(self):
        return [line for line in self.path.read_text().splitlines() if "isakmp" in line]


def migrate(lab, gateway, source, target):
    return lab.run("gw", gateway.build / "src/bin/onrampd", "--migrate", source, target, check=False)


def main():
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        etcd = Etcd(lab, "gw", ["127.0.0.1"])
        gateway = Gateway(lab)
        old = gateway.conf.rename(gateway.directory / "sqlite.conf")
        gateway.write_conf(settings(etcd, etcd.tls))
        new, gateway.conf = gateway.conf, old
        gateway.start()
        checks = Checks("migration", lab)
        site = Charon(lab, "site-a", SITE_A)
        gateway.create_account("moving")
        with checks.case("a tunnel over SQLite"):
            tunnel = gateway.create_tunnel("site-a", "10.252.0.2/31")
            gateway.create_route("10.1.0.0/24", "10.252.0.3")
            site.start()
            site.configure(tunnel["remote_identities"]["fqdn_id"], gateway.generate_psk(tunnel), esp="aes256gcm16-modp2048")
            check(site.initiate(), f"not up: {site.said}")
            check(site.rekey_child() and lab.ping_until("site-a", LAN, HQ), "no traffic")
            before = gateway.call("GET", "/ipsec_tunnels"), gateway.call("GET", "/routes")
            spis = ike_spis(site), site.child_spis()
        with checks.case("a daemon that runs is not moved"):
            done = migrate(lab, gateway, old, new)
            check(done.returncode == 1 and "stop it first" in done.stderr, f"{done}")
        with checks.case("another sealing key is refused, and nothing is written"):
            check(gateway.stop() == 0, "did not stop cleanly")
            other = gateway.directory / "other.conf"
            other.write_text(new.read_text().replace("seal.key", "other.key"))
            (gateway.directory / "other.key").write_text("ab" * 32 + "\n")
            (gateway.directory / "other.key").chmod(0o600)
            done = migrate(lab, gateway, old, other)
            check(done.returncode == 1 and "not the same sealing key" in done.stderr, f"{done}")
        watch = IkeWatch(lab)
        with checks.case("SQLite to etcd with the gateway stopped: one command, and the count of keys is said"):
            done = migrate(lab, gateway, old, new)
            check(done.returncode == 0 and re.search(r"moved \d\d+ keys", done.stdout), f"{done}")
        with checks.case("a gateway does not start on the store that was moved away"):
            refused = lab.spawn("gw", gateway.build / "src/bin/onrampd", "-c", old, log="refused.log")
            said = wait_until(lambda: "has moved its content" in refused.log_tail(), 15)
            refused.stop()
            check(said, refused.log_tail())
        with checks.case("what was moved is not moved again, and no store with keys is overwritten"):
            done = migrate(lab, gateway, old, new)
            check(done.returncode == 1 and "moved before" in done.stderr, f"{done}")
        gateway.conf = new
        gateway.start()
        with checks.case("the tunnel goes on, its SAs and its traffic, and not one IKE message was sent"):
            check(lab.ping_until("site-a", LAN, HQ, 20), "no traffic")
            check((ike_spis(site), site.child_spis()) == spis, "other SAs")
            check(not watch.seen(), f"IKE messages: {watch.seen()}")
            check((gateway.call("GET", "/ipsec_tunnels"), gateway.call("GET", "/routes")) == before, "another configuration")
        with checks.case("its Child SA and its IKE SA can be rekeyed there"):
            check(site.rekey_child() and site.rekey_ike() and lab.ping_until("site-a", LAN, HQ), "no rekey")
            check(wait_until(watch.seen, 5), "the watch does not see IKE messages")
        with checks.case("and back into a new file"):
            check(gateway.stop() == 0, "did not stop cleanly")
            spis = ike_spis(site)
            back = gateway.directory / "back.conf"
            back.write_text(old.read_text().replace("/state\n", "/state-again\n"))
            done = migrate(lab, gateway, new, back)
            check(done.returncode == 0, f"{done}")
            gateway.conf = back
            gateway.start()
            check(lab.ping_until("site-a", LAN, HQ, 20) and ike_spis(site) == spis, "the tunnel is not there")
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""The sealing key is changed in three steps, and the tunnel goes on; a key that is lost costs the pre-shared keys, no more."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import HQ, SITE_A, Gateway, Lab, wait_until

LAN = "10.1.0.1"
OLD, NEW, OTHER = "11" * 32, "22" * 32, "33" * 32


class Setup:
    def __init__(self, lab):
        self.lab, self.gateway = lab, Gateway(lab)
        self.file = self.gateway.directory / "seal.key"
        self.write(OLD)
        self.gateway.start()
        self.gateway.create_account("sealing")
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        self.tunnel = self.gateway.create_tunnel("site-a", "10.252.0.2/31")
        self.gateway.create_route("10.1.0.0/24", "10.252.0.3")
        self.site = Charon(lab, "site-a", SITE_A)
        self.site.start()
        self.site.configure(self.tunnel["remote_identities"]["fqdn_id"], self.gateway.generate_psk(self.tunnel))

    def write(self, *keys):
        self.file.touch(mode=0o600)
        self.file.write_text("".join(f"{key}\n" for key in keys))

    def restart(self, *keys):
        self.gateway.stop()
        self.write(*keys)
        self.gateway.start()

    def log(self):
        return self.gateway.process.log_tail(200)

    def goes_on(self, *keys):
        before = self.site.child_spis()
        self.restart(*keys)
        check(self.lab.ping_until("site-a", LAN, HQ, 10), "no traffic")
        check(self.site.child_spis() == before, "the tunnel was set up anew")

    def new_handshake(self):
        self.site.terminate()
        check(self.site.initiate(), f"refused: {self.site.log()[-1500:]}")
        check(self.lab.ping_until("site-a", LAN, HQ, 10), "no traffic")


def main():
    with Lab() as lab:
        lab.build_network()
        setup = Setup(lab)
        checks = Checks("sealing", lab)
        with checks.case("up under the first key"):
            setup.new_handshake()
        with checks.case("the new key stands behind the old one: the tunnel goes on"):
            setup.goes_on(OLD, NEW)
            check("sealed again" not in setup.log(), "something was sealed again")
        with checks.case("the new key stands before the old one: the tunnel goes on, its PSK is sealed again"):
            setup.goes_on(NEW, OLD)
            check("1 pre-shared keys lay under an older sealing key and are sealed again, 0 could not be" in setup.log(),
                  f"log: {setup.log()}")
            check(wait_until(lambda: setup.site.rekey_child(), 10), "no rekey")
            setup.new_handshake()
        with checks.case("the old key is gone: tunnel and handshakes go on"):
            setup.goes_on(NEW)
            setup.new_handshake()
            check(setup.site.rekey_ike() and setup.site.rekey_child(), "no rekey")
            check("cannot be opened" not in setup.log(), f"log: {setup.log()}")
        with checks.case("another key alone: the gateway says so, and a new PSK brings the tunnel up again"):
            setup.restart(OTHER)
            check(wait_until(lambda: "the sealing key is not the one that the store was made with" in setup.log(), 5), "not said")
            psk = setup.gateway.generate_psk(setup.tunnel)
            setup.site.configure(setup.tunnel["remote_identities"]["fqdn_id"], psk)
            setup.new_handshake()
        with checks.case("a file that holds no key is named"):
            setup.gateway.stop()
            setup.file.write_text(NEW + "\n" + NEW[:-1] + "\n")
            process = lab.spawn("gw", setup.gateway.build / "src" / "bin" / "onrampd", "-c", setup.gateway.conf, log="bad-key.log")
            check(wait_until(lambda: not process.alive(), 10), "it runs")
            check("does not hold 64 hex digits in a line" in process.log_tail(), process.log_tail())
        checks.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Two accounts with the same addresses at their sites and behind their off-ramps stay apart."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import SITE_A, SITE_B, Gateway, Lab, wait_until

SERVER = "192.168.7.10"
LAN = "10.1.0.1"


def main():
    with Lab() as lab:
        lab.build_network()
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("overlap", lab)
        accounts = []
        for number, (node, address, port) in enumerate((("site-a", SITE_A, 500), ("site-b", SITE_B, 4500)), 1):
            off = f"off{number}"
            lab.add_node(off)
            lab.ip(off, f"addr add {SERVER}/32 dev lo")
            lab.ip(node, f"addr add {LAN}/32 dev lo")
            account = gateway.create_account(f"tenant {number}", "--netns", lab.ns(off))
            tunnel = gateway.create_tunnel("branch", "10.252.0.2/31")
            gateway.create_route("10.1.0.0/24", "10.252.0.3")
            site = Charon(lab, node, address)
            site.start()
            site.configure(tunnel["remote_identities"]["fqdn_id"], gateway.generate_psk(tunnel), start_port=port)
            files = lab.directory / off
            files.mkdir()
            (files / "whoami").write_text(f"tenant {number}")
            lab.serve_files(off, SERVER, files)
            here = lab.directory / f"{node}-files"
            here.mkdir()
            (here / "whoami").write_text(f"site of tenant {number}")
            lab.serve_files(node, LAN, here)
            accounts.append((number, node, off, site, account, gateway.token))
        for number, node, off, site, account, _ in accounts:
            with checks.case(f"tenant {number} up from {node}"):
                check(site.initiate(), f"not up: {site.said}")
                devices = lab.run(off, "ip", "-br", "link").stdout
                check(f"onr-{account['onramp']['number']} " in devices, f"no off-ramp in {off}: {devices}")
        for number, node, off, _, _, _ in accounts:
            with checks.case(f"tenant {number} reaches its own server and its server its own site"):
                text = lab.run(node, "curl", "-sS", "--noproxy", "*", "-m", "10", "--interface", LAN,
                               f"http://{SERVER}:8000/whoami").stdout
                check(text == f"tenant {number}", f"{node} sees the server of: {text}")
                text = lab.run(off, "curl", "-sS", "--noproxy", "*", "-m", "10", "--interface", SERVER,
                               f"http://{LAN}:8000/whoami").stdout
                check(text == f"site of tenant {number}", f"the server sees: {text}")
        with checks.case("a token of one account does not see the other"):
            first, second = accounts
            status, _ = gateway.curl("GET", f"/accounts/{first[4]['id']}/magic/ipsec_tunnels", token=second[5], check=False)
            check(status in (401, 403, 404), f"status {status}")
        with checks.case("an account's off-ramp moves to another namespace, with its routes"):
            number, node, _, _, account, _ = accounts[0]
            device = f"onr-{account['onramp']['number']}"
            lab.add_node("off3")
            lab.ip("off3", f"addr add {SERVER}/32 dev lo")
            gateway.cli("account", "update", account["id"], "--netns", lab.ns("off3"))
            check(wait_until(lambda: f"10.1.0.0/24 dev {device}" in lab.run("off3", "ip", "route").stdout, 10), "no route in the new one")
            check(device not in lab.run("off1", "ip", "-br", "link").stdout, "the device is still in the former one")
            check(lab.ping_until(node, LAN, SERVER), "no way to the new one")
        with checks.case("an account that is deleted leaves nothing behind"):
            gateway.account, gateway.token = account, accounts[0][5]
            for route in gateway.call("GET", "/routes")["routes"]:
                gateway.call("DELETE", f"/routes/{route['id']}")
            check(gateway.cli("account", "delete", account["id"], check=False).returncode == 1, "deleted with a tunnel")
            for tunnel in gateway.call("GET", "/ipsec_tunnels")["ipsec_tunnels"]:
                gateway.call("DELETE", f"/ipsec_tunnels/{tunnel['id']}")
            gateway.cli("account", "delete", account["id"])
            check(wait_until(lambda: device not in lab.run("off3", "ip", "-br", "link").stdout, 10), "the off-ramp is still there")
            check(len(gateway.status()["accounts"]) == 1, gateway.status()["accounts"])
            check(lab.ping("site-b", LAN, SERVER) == 3, "the other account's traffic has stopped")
        checks.finish()


if __name__ == "__main__":
    main()

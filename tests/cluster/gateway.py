#!/usr/bin/env python3
"""One gateway over an etcd of three members: tunnels, the API, and what it lives through. Last line: "N passed, N
failed"."""
import os
import pathlib
import re
import shutil
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from etcd import Etcd  # noqa: E402
from charon import Charon  # noqa: E402
from checks import Checks, check  # noqa: E402
from lab import HQ, SITE_A, Gateway, Lab, ping_argv, pings_lost, wait_until  # noqa: E402

LAN = "10.1.0.1"


def ike_spis(site):
    return re.findall(r"IKEv2, ([0-9a-f]{16})_i", site.sas())


def settings(etcd, tls):
    return {"store": {"engine": "etcd", "etcd_endpoints": ", ".join(f"{a}:2379" for a in etcd.addresses),
                      "etcd_ca": tls / "ca.pem", "etcd_cert": tls / "client.pem", "etcd_key": tls / "client.key"}}


def traffic_while(lab, seconds, what):
    """Echo requests every 10 ms; what happens meanwhile; how many were lost."""
    count = seconds * 100
    process = lab.spawn("site-a", *ping_argv(LAN, HQ, count, 0.01, seconds * 3 + 5), log="ping.log")
    what()
    process.popen.wait(seconds * 3 + 30)
    return pings_lost(pathlib.Path(process.log).read_text(), count)


def kill_gateway(gateway):
    pid = gateway.child_pid("gateway")
    os.kill(pid, signal.SIGKILL)
    check(wait_until(lambda: gateway.child_pid("gateway") not in (None, pid), 10), "not started again")


def main():
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        etcd = Etcd(lab, "gw", [f"127.0.0.{i + 1}" for i in range(3)])
        gateway = Gateway(lab, settings=settings(etcd, etcd.tls))
        gateway.start()
        checks = Checks("gateway over etcd", lab)
        site = Charon(lab, "site-a", SITE_A)
        gateway.create_account("etcd")

        with checks.case("nothing is kept in a file, and a tunnel comes up"):
            check(not list((gateway.directory / "state").glob("onramp.db*")), "there is a database")
            tunnel = gateway.create_tunnel("site-a", "10.252.0.2/31")
            gateway.create_route("10.1.0.0/24", "10.252.0.3")
            site.start()
            site.configure(tunnel["remote_identities"]["fqdn_id"], gateway.generate_psk(tunnel),
                           esp="aes256gcm16-modp2048")
            check(site.initiate(), f"not up: {site.said}")
            check(lab.ping_until("site-a", LAN, HQ), "no traffic")
        with checks.case("kill -9 of the gateway process keeps the tunnel: the same IKE SA carries traffic and is rekeyed"):
            before = ike_spis(site), site.child_spis()
            kill_gateway(gateway)
            check(lab.ping_until("site-a", LAN, HQ, 20), "no traffic")
            check((ike_spis(site), site.child_spis()) == before, "another SA")
            check(site.rekey_child(), "the Child SA cannot be rekeyed")
            check(lab.ping_until("site-a", LAN, HQ), "no traffic after the rekey")
            gateway.wait_ready(20)
        with checks.case("the leader of etcd killed: no packet lost, a rekey and the API go on"):
            leader = etcd.leader()

            def kill_leader():
                etcd.kill(leader)
                check(site.rekey_child(), "the Child SA cannot be rekeyed")
                gateway.create_route("10.77.0.0/24", "10.252.0.3")
            lost = traffic_while(lab, 5, kill_leader)
            check(lost == 0, f"{lost} of 500 lost")
            etcd.restart(leader)
        with checks.case("all of etcd frozen: no packet lost, the API says so and recovers"):
            def freeze_all():
                for i in range(3):
                    etcd.freeze(i)
                status, _ = gateway.curl("POST", f"/accounts/{gateway.account['id']}/magic/routes",
                                         {"prefix": "10.78.0.0/24", "nexthop": "10.252.0.3", "priority": 1}, check=False)
                for i in range(3):
                    etcd.thaw(i)
                check(status == 503, f"a write was answered {status}")
            lost = traffic_while(lab, 7, freeze_all)
            check(lost == 0, f"{lost} of 700 lost")
            check(wait_until(lambda: gateway.curl("GET", "/user/tokens/verify", check=False)[0] == 200, 10), "no API")
            gateway.create_route("10.79.0.0/24", "10.252.0.3")
        with checks.case("stop and start: configuration and tunnel are there again, from etcd alone"):
            before, spis = gateway.call("GET", "/routes"), ike_spis(site)
            check(gateway.stop() == 0, "did not stop cleanly")
            shutil.rmtree(gateway.directory / "state")
            gateway.start()
            check(gateway.call("GET", "/routes") == before, "other routes than before")
            check(lab.ping_until("site-a", LAN, HQ, 20), "no traffic")
            check(ike_spis(site) == spis, "another IKE SA")
        with checks.case("certificates that etcd does not take: the daemon says what is wrong"):
            gateway.stop()
            gateway.write_conf(settings(etcd, etcd.tls) | {"api": {"api_listen": "127.0.0.1:8080"}})
            text = gateway.conf.read_text().replace("/ca.pem", "/other-ca.pem")
            gateway.conf.write_text(text)
            refused = lab.spawn("gw", gateway.build / "src/bin/onrampd", "-c", gateway.conf, log="refused.log")
            said = wait_until(lambda: "no member answers" in refused.log_tail(), 15)
            refused.stop()
            check(said and "certificate" in refused.log_tail(), refused.log_tail())
        checks.finish()


if __name__ == "__main__":
    main()

"""Many tunnels between one onrampd gateway and one `onrampd --site`: what the tests of scale and the bench use."""
import json
import os
import pathlib
import re

from lab import ANYCAST4, PYTHON, ROOT, wait_until

PSK = "the key of a whole fleet, long enough"
AT_ONCE = 30  # tunnels in one request, each with its PSK

GATEWAY_SETTINGS = {"gateway": {"half_open_per_address": 10000, "half_open_per_prefix": 10000, "cookie_threshold": 10000}}


def interface(i):
    """Our side of tunnel i, and the customer's."""
    return tuple(f"10.{128 + i // 32768}.{i // 128 % 256}.{i % 128 * 2 + side}" for side in (0, 1))


def prefix(i):
    return f"10.{i // 256}.{i % 256}.0/24"


def cpu_ms(pids):
    """User and system time of processes so far."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * 1000 / os.sysconf("SC_CLK_TCK")


def resident_kb(pids):
    return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) for pid in pids)


def pids(gateway):
    return [gateway.process.pid, *gateway.children().values()]


def bulk(gateway, requests, timeout=1800, pace=0):
    """Requests of the present account, so many a second (0: one after the other); their results."""
    base = f"/accounts/{gateway.account['id']}"
    text = gateway.token + "\n" + "".join(json.dumps([method, base + path, body]) + "\n" for method, path, body in requests)
    done = gateway.lab.run(gateway.node, PYTHON, ROOT / "tests/netns/bulk.py", gateway.port, pace, input=text, timeout=timeout)
    return [json.loads(line)["result"] for line in done.stdout.splitlines()]


def create_tunnels(gateway, first, count, **more):
    """Tunnels first.., each with the PSK of the fleet; as the API shows them."""
    def body(i):
        return {"name": f"t{i}", "cloudflare_endpoint": ANYCAST4, "interface_address": interface(i)[0] + "/31", "psk": PSK, **more}
    made = bulk(gateway, [("POST", "/magic/ipsec_tunnels", {"ipsec_tunnels": [body(i) for i in range(at, min(at + AT_ONCE, first + count))]})
                          for at in range(first, first + count, AT_ONCE)])
    return [tunnel for result in made for tunnel in result["ipsec_tunnels"]]


def create_routes(gateway, first, count):
    bulk(gateway, [("POST", "/magic/routes", {"routes": [{"prefix": prefix(i), "nexthop": interface(i)[1], "priority": 100}
                                                   for i in range(at, min(at + AT_ONCE, first + count))]})
                   for at in range(first, first + count, AT_ONCE)])


def sections(tunnels, first, directory, **more):
    """The sections of a site's file for them."""
    key = directory / "fleet.psk"
    key.touch(mode=0o600)
    key.write_text(PSK + "\n")
    return {tunnel["name"]: {"psk_file": key, "identity": f"fqdn:{tunnel['remote_identities']['fqdn_id']}",
                             "local_ts": prefix(first + i), "remote_ts": "192.168.0.0/24", **more}
            for i, tunnel in enumerate(tunnels)}


def count_up(site):
    return sum(tunnel["up"] for tunnel in site.status())


def all_up(site, count, timeout):
    return wait_until(lambda: count_up(site) == count, timeout, 0.3)

"""Rekeys by both sides under numbered traffic both ways: what each packet met, and what is left of the SAs.

The gateway is always Onramp; the customer's side is a Peer: `onrampd --site`, or strongSwan. Each lost packet is followed
through captures on both links of the router between the two: had it left its sender, did it arrive, under which SPI.
"""
import collections
import contextlib
import http.client
import json
import re
import socket
import sqlite3
import struct
import time

from charon import Charon
from checks import Checks, check
from flow import Flow
from lab import ANYCAST4, HQ, SITE_A, Gateway, Lab, wait_until
from site_role import Site
from wire import Capture, match

LAN = "10.1.0.1"
SUITE = "aes256gcm16-modp2048"


class Admin(http.client.HTTPConnection):
    """The gateway's API by the administrator's socket: no process for each question."""

    def __init__(self, gateway):
        super().__init__("localhost")
        self.path = str(gateway.socket)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)

    def call(self, method, path, body=None):
        self.request(method, f"/client/v4{path}", None if body is None else json.dumps(body),
                     {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        check(answer.status == 200, f"{method} {path}: {answer.status} {text}")
        return json.loads(text)["result"]


def store_keys(directory, kind):
    """The SPIs of the IKE SAs, Child SAs or sequence marks that a state_dir has."""
    path = next(directory.glob("state/*.db"))
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
        keys = [bytes(row[0]).decode() for row in db.execute("SELECT key FROM kv")]
    return [key.partition("/")[2] for key in keys if key.startswith(kind + "/")]


def store_counts(directory):
    return {kind: len(store_keys(directory, kind)) for kind in ("ike", "child", "seq")}


def has_one_of_each(directory):
    """An IKE SA and its Child SA, which has a mark once it has used up what its record allows."""
    children = store_keys(directory, "child")
    return len(store_keys(directory, "ike")) == len(children) == 1 and set(store_keys(directory, "seq")) <= set(children)


def site_counters(site):
    """Counters of an onrampd --site, asked of its socket (src/model/live.h)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(10)
        sock.connect(str(site.socket))
        sock.send(struct.pack(">HHHB", 1, 1, 1, 3))
        data = sock.recv(1 << 16)
    return {name.decode(): value for name, value in read_counters(data[2:])}


def fields(data):
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">HH", data, at)
        yield kind, data[at + 4:at + 4 + length]
        at += 4 + length


def read_counters(data):
    for kind, value in fields(data):
        if kind == 3:
            inside = dict(fields(value))
            yield inside[1], int.from_bytes(inside[2], "big")


class SitePeer:
    """onrampd --site."""

    name, ours = "Onramp's site", True
    tunnel, keys = {}, {}  # what else the gateway's tunnel has, and the site's file

    def __init__(self, lab, tunnel, psk):
        self.site = Site(lab, "site-a", {"hq": {"identity": "fqdn:" + tunnel["remote_identities"]["fqdn_id"], "psk": psk,
                                                "addresses": "10.252.0.3/31", "routes": "192.168.0.0/24", **self.keys}})
        self.site.start()
        check(self.site.up("hq"), f"not up: {self.site.log()[-2000:]}")

    def rekey(self, ike):
        self.site.ask("site", "rekey", "hq", *(["--ike"] if ike else []))

    def drops(self):
        return {name: value for name, value in site_counters(self.site).items() if name.startswith("drop_esp") or
                name in ("drop_tunnel_down", "drop_send_failed", "drop_tun_write", "drop_inner_selector")}

    def check_left(self):
        check(wait_until(lambda: has_one_of_each(self.site.directory), 15, 0.5),
              f"the site's store has {store_counts(self.site.directory)}")
        check(site_counters(self.site)["child_sas"] == 1, f"the site has {site_counters(self.site)['child_sas']} Child SAs")

    def ike_sas(self):
        return site_counters(self.site)["ike_sas"]

    def stop(self):
        self.site.stop()


class SwanPeer:
    """strongSwan's charon, which logs when it installs and removes an SPI."""

    name, ours = "strongSwan", False
    tunnel = {}

    def __init__(self, lab, tunnel, psk):
        self.charon = Charon(lab, "site-a", SITE_A, log=1, sub="esp = 2\n\t\ttime_add_ms = yes")
        self.charon.start()
        self.charon.configure(tunnel["remote_identities"]["fqdn_id"], psk, esp=SUITE)
        check(self.charon.initiate(), f"not up: {self.charon.said}")

    def rekey(self, ike):
        check(self.charon.rekey_ike() if ike else self.charon.rekey_child(), "swanctl --rekey failed")

    def installed(self, spi, when):
        """Whether charon had its inbound SPI then, by its log; None: the log does not say."""
        state = None
        for line in self.charon.log().splitlines():
            found = re.match(r"(\d\d):(\d\d):(\d\d)\.(\d{3}) .*(adding|deleted inbound) SAD entry with SPI ([0-9a-f]{8})", line)
            if not found or int(found[6], 16) != spi:
                continue
            at = time.mktime((*time.localtime(when)[:3], *map(int, found.group(1, 2, 3)), 0, 0, -1)) + int(found[4]) / 1000
            if at <= when:
                state = found[5] == "adding"
            elif state is None:
                state = False
        return state

    def drops(self):
        return {}

    def check_left(self):
        """What it lists as DELETED is gone for both sides: it shows that for 5 s, and for ever if its IKE SA was rekeyed
        within them."""
        check(wait_until(lambda: [state for state in re.findall(r"reqid \S+, (\S+),", self.charon.sas())
                                  if state != "DELETED"] == ["INSTALLED"], 15, 0.5), f"strongSwan has more:\n{self.charon.sas()}")

    def ike_sas(self):
        return len(re.findall(r"IKEv2, [0-9a-f]{16}_i", self.charon.sas()))

    def stop(self):
        self.charon.stop()


class Rekeying:
    """A gateway with one tunnel to the peer, and traffic between the networks behind both."""

    def __init__(self, lab, gateway, peer_kind, number=1):
        self.lab, self.gateway = lab, gateway
        self.tunnel = gateway.create_tunnel(f"site-{number}", "10.252.0.2/31", **peer_kind.tunnel)
        gateway.create_route(f"{LAN}/32", "10.252.0.3")
        self.admin = Admin(gateway)
        self.path = f"/accounts/{gateway.account['id']}/onramp/tunnels/{self.tunnel['id']}"
        self.peer = peer_kind(lab, self.tunnel, gateway.generate_psk(self.tunnel))
        check(lab.ping_until("site-a", LAN, HQ) and lab.ping_until("hq", HQ, LAN), "no traffic")
        self.lost_of = collections.Counter()

    def status(self):
        return self.admin.call("GET", self.path + "/status")

    def counters(self):
        return {counter["name"]: counter["value"] for counter in self.admin.call("GET", "/admin/status")["counters"]}

    def drops(self):
        mine = {name: value for name, value in self.counters().items() if name.startswith("drop_esp") or
                name in ("drop_tunnel_down", "drop_send_failed", "drop_tun_write", "drop_inner_selector")}
        return mine, self.peer.drops()

    def rekey(self, by_gateway, ike):
        count = "ike_rekeys" if ike else "child_rekeys"
        before = self.status()[count]
        begin = time.monotonic()
        if by_gateway:
            self.admin.call("POST", self.path + "/rekey", {"ike": ike})
        else:
            self.peer.rekey(ike)
        check(wait_until(lambda: self.status()[count] > before, 30, 0.02),
              f"{count} stays {before}, {'gateway' if by_gateway else self.peer.name} was asked")
        return time.monotonic() - begin

    def run(self, children, ikes, rate, pause=0.05):
        """Half of the rekeys by each side, under traffic. Raises LabError when something of ours was lost or left over."""
        before = self.drops()
        captures = [Capture(self.lab, "inet", device) for device in ("to-gw", "to-a")]
        flow = Flow(self.lab, (("site-a", LAN), ("hq", HQ)), rate)
        first = self.status()
        every = max(1, children // ikes) if ikes else children + 1
        done_ike, times = 0, []
        for number in range(children):
            times.append(self.rekey(number % 2 == 0, False))
            if number % every == every - 1 and done_ike < ikes:
                self.rekey(done_ike % 2 == 0, True)
                done_ike += 1
            time.sleep(pause)
        last = self.status()
        directions = flow.finish()
        links = [capture.finish() for capture in captures]
        after = self.drops()
        check(last["child_rekeys"] - first["child_rekeys"] >= children and last["ike_rekeys"] - first["ike_rekeys"] >= ikes,
              f"{first} became {last}")
        print(f"  {self.peer.name}: {children} Child rekeys, {done_ike} IKE rekeys, median {sorted(times)[len(times) // 2] * 1000:.0f} ms; "
              + "; ".join(map(str, directions)), flush=True)
        self.judge(directions, links, before, after)

    def judge(self, directions, links, before, after):
        changed = [{name: value - old[name] for name, value in new.items() if value != old[name]}
                   for old, new in zip(before, after)]
        ours = []
        for direction in directions:
            check(direction.repeated == 0 and direction.foreign == 0, f"{direction}, {direction.foreign} that nobody sent")
            check(len(direction.sent) > 100, f"only {len(direction.sent)} packets were sent")
            ours += self.follow(direction, links)
        check(not ours, f"lost by us: {ours}; drops of the gateway and the site meanwhile: {changed}")
        if self.peer.ours:
            check(changed == [{}, {}], f"drops of the gateway and the site: {changed}")

    def follow(self, direction, links):
        """Says of each lost packet where it was lost; returns those that are ours."""
        from_gateway = direction.source[0] == "hq"
        outer = ANYCAST4 if from_gateway else SITE_A
        near, far = (links[0], links[1]) if from_gateway else (links[1], links[0])
        if not direction.lost:
            return []
        left, came = match(near, outer, len(direction.sent)), match(far, outer, len(direction.sent))
        ours = []
        for number in direction.lost:
            where, mine = self.explain(from_gateway, left.get(number), came.get(number))
            self.lost_of[where] += 1
            line = f"{direction.source[0]} packet {number} of {direction.sent[number]:.3f}: {where}"
            print(f"    {line}", flush=True)
            if mine:
                ours.append(line)
        return ours

    def explain(self, from_gateway, left, came):
        """(where a packet was lost, is it ours)"""
        sender, receiver = ("Onramp", self.peer.name) if from_gateway else (self.peer.name, "Onramp")
        if left is None:
            return f"never left {sender}", from_gateway or self.peer.ours
        if came is None:
            return "lost between the two: the lab's", True
        spi = came[0].spi
        if not from_gateway:
            return f"arrived at {receiver} under SPI {spi:08x}", True
        if self.peer.ours:
            return f"arrived at {receiver} under SPI {spi:08x}", True
        installed = self.peer.installed(spi, came[0].at)
        words = {True: "which was installed there", False: "which was not installed there", None: "of which its log is silent"}
        return f"arrived at {receiver} under SPI {spi:08x}, {words[installed]}", installed is not True

    def check_left(self, wait_closed=False):
        """Nothing of the SAs that were replaced is left: gateway, peer, stores. Closed IKE SAs answer repeats for a minute."""
        check(wait_until(lambda: has_one_of_each(self.gateway.directory), 15, 0.5),
              f"the gateway's store has {store_counts(self.gateway.directory)}")
        check(self.counters()["child_sas"] == 1 and self.status()["child_count"] == 1,
              f"the gateway has {self.counters()['child_sas']} Child SAs")
        self.peer.check_left()
        if wait_closed:
            check(wait_until(lambda: self.counters()["ike_sas"] == 1 and self.peer.ike_sas() == 1, 90, 1),
                  f"IKE SAs are left: {self.counters()['ike_sas']} here, {self.peer.ike_sas()} there")

    def end(self):
        """The peer is there until it has answered the Delete."""
        for route in self.gateway.call("GET", "/routes")["routes"]:
            self.gateway.call("DELETE", f"/routes/{route['id']}")
        self.gateway.call("DELETE", f"/ipsec_tunnels/{self.tunnel['id']}")
        wait_until(lambda: store_counts(self.gateway.directory)["ike"] == 0, 10, 0.2)
        self.peer.stop()


@contextlib.contextmanager
def network(name):
    """A lab with the site's LAN and a gateway that has one account: the lab, the gateway, and the checks of that name."""
    with Lab() as lab:
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        gateway = Gateway(lab)
        gateway.start()
        gateway.create_account(name)
        yield lab, gateway, Checks(name, lab)


def each_peer(lab, gateway, checks, kinds):
    """A tunnel with one kind of peer after the other, as long as it is used; none with a kind that does not come up."""
    for number, kind in enumerate(kinds, 1):
        rekeying = None
        with checks.case(f"{kind.name}: up"):
            rekeying = Rekeying(lab, gateway, kind, number)
        if rekeying is not None:
            yield rekeying
            rekeying.end()

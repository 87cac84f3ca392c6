"""One onrampd, and peers that do one thing wrong each: what the tests of the verdicts share.

Each peer is an onramp-peer in site-a with an address of its own, so that what stands in the list of unknown peers can be
told apart. A case is a VerdictCase with what run() and hold() take.
"""
import json
import os

from checks import Checks, check
from lab import ANYCAST4, SITE_A, Gateway, Lab, wait_until

OTHER_ANYCAST4 = "198.51.100.2"
NO_PSK = "0" * 64


class Provoker:
    """A context manager: a lab with a gateway, an account and the checks of one test."""

    def __init__(self, suite, addresses=40):
        self.lab = Lab()
        self.suite, self.addresses = suite, addresses
        self.psks = []

    def __enter__(self):
        self.lab.__enter__()
        try:
            self.start()
        except BaseException:
            self.lab.__exit__(Exception)
            raise
        return self

    def __exit__(self, *error):
        self.lab.__exit__(*error)

    def start(self):
        lab = self.lab
        lab.build_network()
        lab.ip("gw", f"addr add {OTHER_ANYCAST4}/32 dev lo")
        lab.ip("inet", f"route add {OTHER_ANYCAST4}/32 via 100.64.0.2")
        self.free = [f"203.0.113.{n}" for n in range(10, 10 + self.addresses)]
        for address in self.free:
            lab.ip("site-a", f"addr add {address}/24 dev wan")
        self.gateway = Gateway(lab, addresses=(ANYCAST4, OTHER_ANYCAST4))
        self.gateway.start()
        self.checks = Checks(self.suite, lab)
        self.gateway.create_account(self.suite)
        self.program = self.gateway.build / "tests" / "peer" / "onramp-peer"
        self.tunnels = 0

    def new_address(self):
        return self.free.pop(0)

    def new_tunnel(self, psk=True, **more):
        """A tunnel of the account, with its key in tunnel["psk"]."""
        self.tunnels += 1
        tunnel = self.gateway.create_tunnel(f"t{self.tunnels}", f"10.252.{self.tunnels}.0/31", **more)
        tunnel["psk"] = self.gateway.generate_psk(tunnel) if psk else NO_PSK
        self.psks.append(tunnel["psk"])
        return tunnel

    # ---- peers ----

    def argv(self, tunnel, local, *options, identity=None, to=ANYCAST4):
        identity = identity or f"fqdn:{tunnel['remote_identities']['fqdn_id']}"
        return [self.program, "--gateway", to, "--local", local, "--id", identity, "--timeout", 5, *options]

    def env(self, psk):
        return {**os.environ, "ONRAMP_PEER_PSK": psk}

    def run(self, tunnel, local, *options, psk=None, expect=None, node="site-a", **more):
        """A peer from its start to its end: its report."""
        done = self.lab.run(node, *self.argv(tunnel, local, *options, "--expect", expect or "up", **more), check=False,
                            env=self.env(psk or tunnel["psk"]))
        check(done.stdout, f"status {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        check(expect is None or report["outcome"] == expect, f"{report['outcome']} and not {expect}: {report}{done.stderr}")
        return report

    def spawn(self, tunnel, local, *options, psk=None, name=None, node="site-a", **more):
        """A peer that runs on beside the test."""
        return self.lab.spawn(node, *self.argv(tunnel, local, *options, **more), log=f"peer-{name or local}.log",
                              env=self.env(psk or tunnel["psk"]))

    # ---- what the gateway says ----

    def why(self, tunnel):
        account = self.gateway.account["id"]
        return self.gateway.curl("GET", f"/accounts/{account}/onramp/tunnels/{tunnel['id']}/why")[1]["result"]

    def unknown(self, address):
        """The verdicts of peers without a tunnel that came from an address, the newest first."""
        found = [v for v in self.gateway.cli_json("unknown")["unknown_peers"] if (v["peer"] or "").startswith(f"{address}:")]
        return sorted(found, key=lambda v: v["last_seen"], reverse=True)

    def of_tunnel(self, tunnel, code, after="", timeout=5):
        """The tunnel's verdict, when it is this code and was seen after that."""
        def look():
            verdict = self.why(tunnel)["verdict"]
            return verdict if verdict and verdict["code"] == code and verdict["last_seen"] > after else None
        found = wait_until(look, timeout)
        check(found, f"no {code} after {after or 'the start'}, but {self.why(tunnel)['verdict']}")
        return found

    def of_address(self, address, code, after="", timeout=5):
        """The same for a peer that no tunnel knows."""
        def look():
            return next((v for v in self.unknown(address) if v["code"] == code and v["last_seen"] > after), None)
        found = wait_until(look, timeout)
        check(found, f"no {code} after {after or 'the start'}, but {self.unknown(address)}")
        return found

    # ---- a row of a table ----

    def attempt(self, case, tunnel, local):
        """One run of a case; what came of it is case.report."""
        more = {key: case.__dict__[key] for key in ("psk", "identity", "to", "expect") if key in case.__dict__}
        case.report = self.run(tunnel, local, *getattr(case, "options", ()), **more)

    def hold(self, case, tunnel, local=SITE_A, unknown=False):
        """Attempts a case twice, or once more where that was done: the verdict with its words, and the same one counted
        again, which is case.verdict.

        options, psk, identity, to, expect: of run(). sentence, change, side, stage: of take(). also(case): what else must
        hold. unknown: it is no tunnel's verdict, and stands in the list of unknown peers."""
        words = {key: case.__dict__[key] for key in ("sentence", "change", "side", "stage") if key in case.__dict__}
        seen = []
        with self.checks.verdict(case.code, case.what) as provoked:
            after = "" if unknown else max((v["last_seen"] for v in self.why(tunnel)["history"]), default="")
            for turn in range(2):
                if turn == 1 or not hasattr(case, "report"):
                    self.attempt(case, tunnel, local)
                verdict = self.of_address(local, case.code, after) if unknown else self.of_tunnel(tunnel, case.code, after)
                seen.append(provoked.take(verdict, **words))
                after = verdict["last_seen"]
            case.verdict = seen[1]
            check(local in seen[0]["sentence"] and seen[0]["peer"].startswith(f"{local}:"), f"not from {local}: {seen[0]}")
            check(seen[1]["count"] > seen[0]["count"], f"not counted again: {seen}")
            check(seen[1]["first_seen"] == seen[0]["first_seen"] < seen[1]["last_seen"], f"first and last time: {seen}")
            if hasattr(case, "also"):
                case.also(case)

    def comes_up(self, tunnel, cases, *options, local=SITE_A, **more):
        """With the tunnel up none of the verdicts stands, and all of them are history."""
        with self.checks.case("with the tunnel up all of it is history"):
            self.run(tunnel, local, *options, expect="up", **more)
            why = self.why(tunnel)
            check(why["up"] and why["verdict"] is None, f"{why['verdict']}")
            for case in cases:
                found = [v for v in why["history"] if v["code"] == case.code]
                check(found and all(v["over_since"] for v in found), f"{case.code} is not over: {found}")

    def no_psk_anywhere(self):
        """Of the keys that there were none stands in an answer or in a log."""
        with self.checks.case("no pre-shared key in any answer or log"):
            said = json.dumps([self.gateway.status(), self.gateway.cli_json("unknown")]) + self.gateway.cli("status").stdout
            account = self.gateway.account["id"]
            for tunnel in self.gateway.call("GET", "/ipsec_tunnels")["ipsec_tunnels"]:
                said += json.dumps(self.why(tunnel))
                said += json.dumps(self.gateway.curl("GET", f"/accounts/{account}/onramp/tunnels/{tunnel['id']}/status")[1])
            said += (self.lab.directory / "onrampd-gw.log").read_text()
            found = [psk for psk in self.psks if psk.strip() in said and psk != NO_PSK]
            check(not found, f"{len(found)} of {len(self.psks)} keys were said")

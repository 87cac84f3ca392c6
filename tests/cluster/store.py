#!/usr/bin/env python3
"""The etcd engine against a real etcd of three members: what every engine must do, and what a network client must live
through. Set ONRAMP_BUILD to another build folder. Last line: "N passed, N failed"."""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from etcd import Etcd  # noqa: E402
from lab import ROOT, Lab  # noqa: E402

BUILD = pathlib.Path(os.environ.get("ONRAMP_BUILD", ROOT / "build/test"))


def run(lab, environment, *argv):
    """A cmocka program in the namespace; how many of its tests passed and failed."""
    done = subprocess.run(lab.argv("etcd", *argv), env={**os.environ, **environment}, text=True, capture_output=True,
                          timeout=120, errors="replace")
    text = done.stdout + done.stderr
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", text)))
    failed = sum(map(int, re.findall(r"^\[  FAILED  \] (\d+) test", text, re.MULTILINE)))
    if done.returncode != 0:
        print(text)
        failed = max(failed, 1)
    return passed, failed


def main():
    counts = []
    with Lab() as lab:
        lab.add_node("etcd")
        etcd = Etcd(lab, "etcd", [f"127.0.0.{i + 1}" for i in range(3)])
        for test in ("conformance", "leases"):
            counts.append(run(lab, etcd.environment(), BUILD / f"tests/unit/unit_store_{test}"))
        counts.append(run(lab, etcd.environment(), BUILD / "tests/cluster/etcd_traps"))
        counts.append(run(lab, etcd.environment(etcd.leader()), BUILD / "tests/cluster/etcd_traps", "kill"))
        small = Etcd(lab, "etcd", ["127.0.0.11"], "small", ["--quota-backend-bytes", "3000000"])
        counts.append(run(lab, small.environment(), BUILD / "tests/cluster/etcd_traps", "full"))
        guarded = Etcd(lab, "etcd", ["127.0.0.12"], "guarded")
        guarded.allow_only("test-allowed/")
        counts.append(run(lab, guarded.environment(), BUILD / "tests/cluster/etcd_traps", "roles"))
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()

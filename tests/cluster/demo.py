#!/usr/bin/env python3
"""The demo of a cluster holds, in its short form, and leaves nothing behind, also when it is interrupted. Last line: "N passed, N
failed"."""
import os
import pathlib
import re
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "netns"))
from checks import Checks, check  # noqa: E402
from lab import PYTHON  # noqa: E402


class Demo:
    def __init__(self):
        self.process = subprocess.Popen([PYTHON, ROOT / "tools/demo_cluster.py", "--short"], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env={**os.environ, "KEEP": ""})
        self.said = ""

    def read_until(self, words):
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return
        check(False, f"it never said \"{words}\": {self.said[-2000:]}")

    def end(self):
        self.said += self.process.stdout.read()
        return self.process.wait()

    def left(self):
        """What there is of it still."""
        name = re.search(r"(demo\d*)-c1 ", self.said)[1]
        namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
        return [one for one in namespaces if one.startswith(f"{name}-")] + list(pathlib.Path("/run/onramp-demo").glob(name))


def main():
    checks = Checks("demo of a cluster")
    with checks.case("a node dies, one is drained, etcd's leader dies: no tunnel does, and only a dead node costs packets"):
        demo = Demo()
        status = demo.end()
        check(status == 0 and "All of it held" in demo.said, demo.said)
        check(not demo.left(), f"it left {demo.left()}")
        print(demo.said[demo.said.index("8. What"):], flush=True)
    with checks.case("interrupted, it ends all that it has started"):
        demo = Demo()
        demo.read_until("1. A store")
        demo.process.send_signal(signal.SIGINT)
        status = demo.end()
        check(status == 130 and "Interrupted" in demo.said, demo.said)
        check(not demo.left(), f"it left {demo.left()}")
    checks.finish()


if __name__ == "__main__":
    main()

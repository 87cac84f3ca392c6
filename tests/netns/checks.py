"""Counts what held and what did not. The last line is `N passed, N failed`, the exit status says the same."""
import contextlib
import subprocess
import sys
import time
import traceback

from lab import LabError


def check(condition, message):
    if not condition:
        raise LabError(message)


class Checks:
    def __init__(self, suite, lab=None):
        self.suite, self.lab = suite, lab
        self.passed, self.failed = 0, 0

    @contextlib.contextmanager
    def case(self, name):
        """A case holds when its body ends without an exception."""
        start = time.monotonic()
        try:
            yield
        except (LabError, AssertionError, KeyError, IndexError, TypeError, ValueError, OSError,
                subprocess.SubprocessError) as error:
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAIL {self.suite}: {name}: {type(error).__name__}: {error} ({where.name}, line {where.lineno})", flush=True)
            if self.lab and self.failed <= 3:
                self.lab.show_logs(25)
        else:
            self.passed += 1
            print(f"ok   {self.suite}: {name} ({time.monotonic() - start:.1f} s)", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)

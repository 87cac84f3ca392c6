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


class VerdictCase:
    """A row of a table: what provokes a verdict, and whatever else the test that runs the table wants to know.
    The code stands first and as it is, because tools/check-verdicts reads it here."""

    def __init__(self, code, what, **more):
        self.code, self.what = code, what
        self.__dict__.update(more)


class Provoked:
    """The verdict that a case is about, as it came back from the API or the CLI."""

    def __init__(self, code):
        self.code, self.verdict = code, None

    def take(self, verdict, sentence=(), change=(), side=None, stage=None):
        """It came back, with these words in what it says. Returns it."""
        check(verdict, f"no verdict {self.code}")
        check(verdict["code"] == self.code, f"{verdict['code']} and not {self.code}: {verdict}")
        for key, words in (("sentence", sentence), ("change", change)):
            missing = [word for word in words if word not in verdict[key]]
            check(not missing, f"{missing} not in the {key}: {verdict[key]}")
        for key, value in (("side", side), ("stage", stage)):
            check(value in (None, verdict[key]), f"{key} is {verdict[key]} and not {value}: {verdict}")
        self.verdict = verdict
        return verdict


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

    @contextlib.contextmanager
    def verdict(self, code, what):
        """A case that provokes a verdict from outside: the body hands what came back to take() of what it gets.
        Every code of src/model/failure.h needs one: tools/check-verdicts."""
        with self.case(f"{code}: {what}"):
            provoked = Provoked(code)
            yield provoked
            check(provoked.verdict, f"the case never asked for {code}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)

"""Lines of our processes' logs, by their time."""
import datetime
import pathlib
import re


def stamp(line):
    """The time at the head of a line, in seconds since 1970."""
    return datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()


def lines(log, pattern, since=0.0):
    """(time, match) of those that match."""
    for line in pathlib.Path(log).read_text(errors="replace").splitlines():
        found = re.search(pattern, line)
        if found and stamp(line) >= since:
            yield stamp(line), found

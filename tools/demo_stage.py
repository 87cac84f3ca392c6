"""What the demos share: what they say, the name of each among several that run, and the end of one that was left running."""
import os
import pathlib
import shutil
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "netns"), str(ROOT / "tests" / "cluster")]
from lab import LabError, end_namespaces  # noqa: E402

LEFT = pathlib.Path("/run/onramp-demo")
KEEP = os.environ.get("KEEP", "") not in ("", "0", "no")


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n{text}")


def take_name():
    LEFT.mkdir(mode=0o755, exist_ok=True)
    for number in range(1, 100):
        name = "demo" if number == 1 else f"demo{number}"
        try:
            (LEFT / name).mkdir()
            return name
        except FileExistsError:
            continue
    raise LabError(f"too many demos under {LEFT}: make demo-stop")


def note(name, what, text):
    """For whoever ends it: the owner's pid, the directory, the nodes; and that it was left running."""
    (LEFT / name / what).write_text(text)


def give_name(name):
    if not (LEFT / name / "left").exists():
        shutil.rmtree(LEFT / name, ignore_errors=True)


def read(entry, what):
    path = entry / what
    return path.read_text() if path.exists() else ""


def stop_all():
    stopped = 0
    for entry in sorted(LEFT.glob("demo*")) if LEFT.is_dir() else []:
        owner = read(entry, "pid")
        if owner and not (entry / "left").exists() and pathlib.Path(f"/proc/{owner}").exists():
            say(f"{entry.name} is still at work (process {owner}): left alone")
            continue
        end_namespaces(f"{entry.name}-{node}" for node in read(entry, "nodes").split())
        if read(entry, "directory"):
            shutil.rmtree(read(entry, "directory"), ignore_errors=True)
        shutil.rmtree(entry, ignore_errors=True)
        stopped += 1
        say(f"{entry.name}: ended")
    if not stopped:
        say("nothing was left running")


def interrupt(*_):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one does not disturb the end of what was started
    raise KeyboardInterrupt


def play(make_lab, nodes, act):
    """make_lab(name) gives the lab, which has these nodes; act(lab) says what failed, as a list. Returns the exit status.
    With KEEP=1 in the environment the lab stays when nothing failed."""
    name, begin, failed = take_name(), time.monotonic(), []
    note(name, "pid", str(os.getpid()))
    note(name, "nodes", " ".join(nodes))
    signal.signal(signal.SIGINT, interrupt)
    try:
        with make_lab(name) as lab:
            note(name, "directory", str(lab.directory))
            failed = act(lab)
            lab.keep = KEEP and not failed
            if lab.keep:
                note(name, "left", "")
    except LabError as error:
        failed = [str(error)]
    except KeyboardInterrupt:
        say("\nInterrupted. All that was started is ended.")
        return 130
    finally:
        give_name(name)
    for what in failed:
        say(f"FAILED: {what}")
    say(f"\n{'The demo did not hold' if failed else 'All of it held'} ({time.monotonic() - begin:.0f} s after the build).")
    return 1 if failed else 0

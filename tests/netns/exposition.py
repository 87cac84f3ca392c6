"""Prometheus' text format (0.0.4), and what `promtool check metrics` finds fault with."""
import re

LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"([a-z][a-z0-9_]*)(\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9]+)")


def read(text):
    """The samples, by name and labels as they stand there, and the lines that are wrong."""
    samples, families, wrong, family = {}, {}, [], None
    for line in text.splitlines():
        words = line.split(" ", 3)
        if words[:2] == ["#", "HELP"]:
            family = words[2]
            if family in families or len(words) < 4 or not words[3]:  # each family once and whole, with a help text
                wrong.append(line)
            families[family] = None
        elif words[:2] == ["#", "TYPE"]:
            kind = words[3]
            if words[2] != family or kind not in ("counter", "gauge") or (kind == "counter") != family.endswith("_total"):
                wrong.append(line)
            families[family] = kind
        else:
            match = SAMPLE.fullmatch(line)
            if not match or match[1] != family or not families[family] or line.rpartition(" ")[0] in samples or family.endswith(("_count", "_sum", "_bucket")):
                wrong.append(line)
            else:
                samples[line.rpartition(" ")[0]] = int(match[3])
    return samples, wrong

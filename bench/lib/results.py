"""Rows of build/bench/results.json and the tables for people.

A row is {"name", "unit", "median", "min", "max", "runs", "to": {other: ratio}}. What is measured in turns, round by round,
is noted by system; the row is Onramp's, and a ratio is the median of the rounds' own ratios, which what else the machine
does moves less than a ratio of medians.
"""
import json
import statistics

OURS = "onramp"


class Results:
    def __init__(self, path):
        self.path = path
        self.values, self.units = {}, {}

    def note(self, name, unit, system, value):
        """One value of one round; a missing one is noted as None, so that the rounds stay beside each other."""
        self.units[name] = unit
        self.values.setdefault(name, {}).setdefault(system, []).append(value)
        shown = "failed" if value is None else f"{value:12.3f} {unit}"
        print(f"  {name:34} {system:14} {shown}", flush=True)

    def rows(self):
        return [row(name, self.units[name], by_system) for name, by_system in self.values.items() if known(by_system.get(OURS, []))]

    def write(self):
        """Puts the rows into the file's list; those with other names stay."""
        write_rows(self.path, self.rows())

    def print_table(self):
        others = {system: None for by_system in self.values.values() for system in by_system if system != OURS}
        print(f"\n{'medians':34} {'unit':10}" + "".join(f"{system:>26}" for system in (OURS, *others)))
        for name, by_system in self.values.items():
            cells = []
            for system in (OURS, *others):
                values = known(by_system.get(system, []))
                cells.append(f"{statistics.median(values):.4g} [{min(values):.3g}..{max(values):.3g}]" if values else "")
            print(f"{name:34} {self.units[name]:10}" + "".join(f"{cell:>26}" for cell in cells))


def known(values):
    return [value for value in values if value is not None]


def ratio(ours, theirs):
    if len(ours) == len(theirs):
        pairs = [a / b for a, b in zip(ours, theirs) if a is not None and b]
        return statistics.median(pairs) if pairs else None
    ours, theirs = known(ours), known(theirs)
    return statistics.median(ours) / statistics.median(theirs) if ours and theirs and statistics.median(theirs) else None


def row(name, unit, by_system):
    ours = known(by_system[OURS])
    to = {other: ratio(by_system[OURS], values) for other, values in by_system.items() if other != OURS}
    return {"name": name, "unit": unit, "median": round(statistics.median(ours), 4), "min": round(min(ours), 4),
            "max": round(max(ours), 4), "runs": len(ours),
            "to": {other: round(value, 4) for other, value in to.items() if value is not None}}


def read_rows(path):
    return json.loads(path.read_text()) if path.exists() else []


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {new["name"] for new in rows}
    kept = [old for old in read_rows(path) if old["name"] not in names]
    path.write_text(json.dumps(kept + rows, indent=1) + "\n")


class Target:
    """What a row is to reach: its median, or its ratio to another, at least or at most."""

    def __init__(self, says, name, to, least, stretch, at_most=False):
        self.says, self.name, self.to = says, name, to
        self.least, self.stretch, self.at_most = least, stretch, at_most

    def reached(self, rows):
        found = next((entry for entry in rows if entry["name"] == self.name), None)
        if found is None:
            return None
        return found["median"] if self.to is None else found["to"].get(self.to)

    def verdict(self, value):
        def holds(bound):
            return value <= bound if self.at_most else value >= bound
        return "stretch" if holds(self.stretch) else "reached" if holds(self.least) else "MISSED"


def print_targets(path, targets):
    rows = read_rows(path)
    print(f"\n{'to reach':66} {'got':>9} {'least':>9} {'stretch':>9}")
    for target in targets:
        value = target.reached(rows)
        sign = "<=" if target.at_most else ">="
        got = "-" if value is None else f"{value:.3g}"
        verdict = "not measured" if value is None else target.verdict(value)
        print(f"{target.says:66} {got:>9} {sign + f'{target.least:g}':>9} {sign + f'{target.stretch:g}':>9}  {verdict}")

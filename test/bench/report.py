"""What was measured, the rows made of it, the table and the document.

A measurement is put under (case, program, connections), one entry a round. A row compares two of them; one that belongs to a
goal says which, and whether it was met.
"""
import datetime
import os
import statistics

FIGURES = ("per_s", "p50_us", "p99_us", "server_us", "postgresql_us", "server_cores", "postgresql_cores", "client_cores")
OTHERS = {"cpu_ratio": "CPU", "work_ratio": "CPU with PostgreSQL", "p50_ratio": "p50"}
HEAD = ("goal", "what", "measured against", "figure", "wanted", "met", "p50 ms", "p99 ms", "CPU us: service", "PostgreSQL", "other")


class Report:
    def __init__(self):
        self.measured = {}
        self.rows = []
        self.skipped = []

    def put(self, case, program, connections, result):
        self.measured.setdefault((case, program, connections), []).append(result)

    def of(self, case, program, connections, name):
        return [result[name] for result in self.measured[case, program, connections]]

    def median(self, case, program, connections, name):
        values = [value for value in self.of(case, program, connections, name) if value is not None]
        return statistics.median(values) if values else None

    def ratios(self, case, connections, limit, limit_connections, name="per_s"):
        """Service / limit, round by round; limit is (case, program)."""
        pairs = zip(self.of(case, "service", connections, name), self.of(*limit, limit_connections, name))
        return [mine / theirs for mine, theirs in pairs]

    def ratio(self, *of):
        return statistics.median(self.ratios(*of))

    def best(self, case, connections):
        """The number of pgbench clients that did best beside so many connections."""
        known = [key[2][0] for key in self.measured if key[:2] == (case, "pgbench") and key[2][1] == connections]
        return max(known, key=lambda clients: self.median(case, "pgbench", (clients, connections), "per_s"))

    def figures(self, case, connections, program="service"):
        return {name: self.median(case, program, connections, name) for name in FIGURES}

    def row(self, what, against, values, goal=None, at_least=None, at_most=None, unit="", **more):
        """values: ratios or figures of the rounds, or one, or None. goal: "P1" to "P10", with at_least or at_most, which is
        compared with the median."""
        every = values if isinstance(values, list) else [values] if values is not None else []
        value = statistics.median(every) if every else None
        row = {"goal": goal, "what": what, "against": against, "value": value, "unit": unit,
               "least": min(every, default=None), "most": max(every, default=None), **more}
        if at_least is not None or at_most is not None:
            row["at_least"], row["at_most"] = at_least, at_most
            row["met"] = value is not None and (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        self.rows.append(row)

    def skip(self, what, why):
        """A row that this machine cannot have."""
        self.skipped.append({"what": what, "why": why})

    # what comes out

    def table(self):
        lines = [HEAD]
        for row in sorted(self.rows, key=_by_goal):
            other = [f"{word} x{row[name]:.2f}" for name, word in OTHERS.items() if row.get(name) is not None]
            lines.append((
                row["goal"] or "", row["what"], row["against"], _span(row), _wanted(row), {True: "met", False: "MISSED"}.get(row.get("met"), ""),
                _number(row.get("p50_us"), 1000, 2), _number(row.get("p99_us"), 1000, 2), _number(row.get("server_us"), 1, 1),
                _number(row.get("postgresql_us"), 1, 1), ", ".join([*other, *([row["note"]] if row.get("note") else [])])))
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
        lines.insert(1, tuple("-" * width for width in widths))
        table = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
        return "\n".join([*table, *(f"left out: {one['what']}: {one['why']}" for one in self.skipped), "", self.summary()])

    def summary(self):
        """One line: which goals are met, which are not."""
        judged = {}
        for row in self.rows:
            if row.get("met") is not None:
                judged.setdefault(row["goal"], []).append(row["met"])
        ordered = sorted(judged, key=_goal_number)
        met = [goal for goal in ordered if all(judged[goal])]
        missed = [f"{goal} ({judged[goal].count(False)} of {len(judged[goal])} rows)" for goal in ordered if not all(judged[goal])]
        return f"goals met: {', '.join(met) or 'none'}; missed: {', '.join(missed) or 'none'}"

    def document(self, options):
        measured = {f"{case}/{program}/{n}": results for (case, program, n), results in self.measured.items()}
        return {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cpus": os.cpu_count(),
            "rounds": options.rounds, "seconds": options.seconds, "load_generators": ["wrk -t1", "pgbench -j1"],
            "rows": self.rows, "skipped": self.skipped, "measured": measured,
        }


def _goal_number(goal):
    return int(goal[1:]) if goal else 99


def _by_goal(row):
    return _goal_number(row["goal"])


def _digits(value):
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _span(row):
    if row["value"] is None:
        return ""
    spread = f" ({_digits(row['least'])}-{_digits(row['most'])})" if row["most"] > row["least"] else ""
    return f"{_digits(row['value'])}{' ' if row['unit'] else ''}{row['unit']}{spread}"


def _wanted(row):
    if row.get("at_least") is not None:
        return f">= {row['at_least']:g}"
    return f"<= {row['at_most']:g}" if row.get("at_most") is not None else ""


def _number(value, divisor, digits):
    return "" if value is None else f"{value / divisor:.{digits}f}"

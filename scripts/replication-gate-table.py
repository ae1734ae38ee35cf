#!/usr/bin/env python3
"""Holds figures of kitedb-bench against bounds; used by the gates of replication.

    replication-gate-table.py REPORT.json... < RULES

A rule is a line of four fields with tabs between them: what the table calls it, the name of the figure, `<=` or `>=`,
and the bound. Where there are several reports, the best of a figure counts: they are attempts. Prints a table; exits
with 1 if a bound is missed or a figure is not there, with 2 if a rule cannot be read.

    python3 -m doctest scripts/replication-gate-table.py      # tests it
"""

import json
import math
import sys


def rule(line):
    """Reads one rule.

    >>> rule("a\\tb: c\\t<=\\t1.03")
    ('a', 'b: c', '<=', 1.03)
    >>> rule("a\\tb\\t<=\\tnan")
    Traceback (most recent call last):
        ...
    ValueError: not a bound: nan
    """
    label, figure, side, bound = line.rstrip("\n").split("\t")
    number = float(bound)
    if side not in ("<=", ">=") or not math.isfinite(number):
        raise ValueError(f"not a bound: {bound}" if side in ("<=", ">=") else f"neither <= nor >=: {side}")
    return label, figure, side, number


def best(figure, side, reports):
    """The best value of a figure; None where no report has it.

    >>> reports = [{"figures": {"a": {"value": 2}}}, {"figures": {"a": {"value": 3}}}, {"figures": {}}]
    >>> best("a", "<=", reports), best("a", ">=", reports), best("b", ">=", reports)
    (2, 3, None)
    """
    values = [report["figures"][figure]["value"] for report in reports if figure in report["figures"]]
    values = [value for value in values if isinstance(value, (int, float))]
    return None if not values else min(values) if side == "<=" else max(values)


def judge(rules, reports):
    """The table's rows, and whether every bound is met.

    >>> reports = [{"figures": {"a": {"value": 1.0}, "b": {"value": 400000}}}]
    >>> rows, met = judge([("x", "a", "<=", 1.03), ("y", "b", ">=", 398970.0), ("z", "c", ">=", 1.0)], reports)
    >>> for row in rows: print(row)
    ('x', '1.000', '<= 1.03', 'met')
    ('y', '400,000', '>= 398,970', 'met')
    ('z', '-', '>= 1', 'missed')
    >>> met
    False
    """
    rows = []
    for label, figure, side, bound in rules:
        value = best(figure, side, reports)
        met = value is not None and (value <= bound if side == "<=" else value >= bound)
        shown = "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
        limit = f"{bound:,.0f}" if abs(bound) >= 1000 else f"{bound:g}"
        rows.append((label, shown, f"{side} {limit}", "met" if met else "missed"))
    return rows, all(row[3] == "met" for row in rows)


def main():
    try:
        rules = [rule(line) for line in sys.stdin if line.strip()]
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    reports = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            reports.append(json.load(file))
    rows, met = judge(rules, reports)
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    for row in rows:
        print("  {:<{}}   {:>{}}   {:>{}}   {:>{}}".format(*(x for pair in zip(row, widths) for x in pair)))
    return 0 if met and rows else 1


if __name__ == "__main__":
    sys.exit(main())

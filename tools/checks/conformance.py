#!/usr/bin/env python3
"""Counts how many of the behaviours that CPython's own tests check are covered here.

tests/ported/rows.tsv names them: id, area, applicable (yes, adapted or no). A row is covered when
a test case has its id in its name, or when docs/python_map.md says why C++ cannot have it. In the
areas below every row must be one or the other."""
import collections
import re

from lib_tree import cases, files, finish, text

REQUIRED = """process futures thread_pool process_pool as_completed wait_futures shutdown init deadlock
    lock condition event barrier shared_memory value array resource_tracker
    queue connection listener poll wait fdpassing forkserver logging""".split()
SECTION = "Rows that C++ cannot have"

rows = [line.split("\t") for line in text("tests/ported/rows.tsv").splitlines()[1:]]


def case_names():
    """The names of all test cases that run by default, one string."""
    names = [case for name in files("tests/**/*.cpp") for case in cases(name)]
    return "\n".join(title for _, title, tags in names if "[." not in tags)


def excused():
    page = text("docs/python_map.md")
    match = re.search(rf"^#+ {re.escape(SECTION)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    table = match[1] if match else ""
    rows = dict(re.findall(r"^\|\s*`?([\w.]+)`?\s*\|\s*(\S.*?)\s*\|\s*$", table, re.MULTILINE))
    rows.pop("row", None)  # the table's head
    return rows


names, reasons = case_names(), excused()
problems = []
counts = collections.defaultdict(collections.Counter)
for row, area, applicable in rows:
    named = re.search(rf"(?<![\w.]){re.escape(row)}(?!\w)", names)
    kind = "tested" if named else "excused" if row in reasons else "open"
    if applicable == "no" and kind == "open":
        kind = "not applicable"
    counts[area][kind] += 1
    if kind == "open" and area in REQUIRED:
        problems.append(f"tests: no test case is named {row} ({area})")
known = {row for row, _, _ in rows}
problems += [f"docs/python_map.md: no such row: {row}" for row in reasons if row not in known]

kinds = ("tested", "excused", "open", "not applicable")
print(f"{'area':18}" + "".join(f"{kind:>16}" for kind in kinds))
total = collections.Counter()
for area in sorted(counts, key=lambda area: (area not in REQUIRED, area)):
    total += counts[area]
    print(f"{area:18}" + "".join(f"{counts[area][kind]:16}" for kind in kinds))
print(f"{'all':18}" + "".join(f"{total[kind]:16}" for kind in kinds))
finish(problems, f"{total['tested'] + total['excused']} of {len(rows) - total['not applicable']} rows covered")

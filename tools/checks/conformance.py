#!/usr/bin/env python3
"""Counts how many of the behaviours that CPython's own tests check are covered here.

tests/ported/rows.tsv names them: id, area, applicable (yes, adapted or no). A row is covered when
a test case has its id in its name, or when docs/python_map.md says why C++ cannot have it. In the
areas below every row must be one or the other."""
import collections
import re

from lib_tree import code, files, finish, text

REQUIRED = """process futures thread_pool process_pool as_completed wait_futures shutdown init deadlock
    lock condition event barrier shared_memory value array resource_tracker
    queue connection listener poll wait fdpassing forkserver logging""".split()
SECTION = "Rows that C++ cannot have"

rows = [line.split("\t") for line in text("tests/ported/rows.tsv").splitlines()[1:]]


def case_names():
    """The names of all test cases that run by default, one string."""
    names = []
    for name in files("tests/**/*.cpp"):
        source = code(name, strings=True)
        for match in re.finditer(r"\bTEST_CASE(?:_METHOD)?\s*\(", source):
            rest = source[match.end() : match.end() + 2000]
            literal = r'"((?:\\.|[^"\\])*)"'
            head = re.match(rf"\s*(?:\w+\s*,)?\s*((?:{literal}\s*)+)(?:,\s*((?:{literal}\s*)+))?\)", rest)
            if head is None:
                continue
            join = lambda part: "".join(re.findall(literal, part or ""))
            title, tags = join(head[1]), join(head[3])
            if "[." not in tags:
                names.append(title)
    return "\n".join(names)


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

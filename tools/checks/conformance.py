#!/usr/bin/env python3
"""Counts how many behaviours are covered here that the tests of others check: those of CPython
(tests/ported/rows.tsv), those of other pools, pebble, mpire, loky and so on
(tests/ported/pool_rows.tsv), and those of AnyIO, trio and lionpride (tests/ported/async_rows.tsv). A
list has id, area, applicable (yes, adapted or no) of each row.

A row is covered when a test case has its id in its name, or when docs/python_map.md says why C++
cannot have it. In the areas that a list demands, every row must be one or the other; the others
are only counted."""
import collections
import re

from lib_tree import cases, files, finish, ids_of, text

DEMANDED = """process futures thread_pool process_pool as_completed wait_futures shutdown init deadlock
    lock condition event barrier shared_memory value array resource_tracker
    queue connection listener poll wait fdpassing forkserver logging""".split()

# An area of other pools that is not in this list belongs to what comes later.
DEMANDED_OF_POOLS = """errors shutdown callbacks thread_pool reuse lazy unordered timeout retry loss
    crash_report resize idle init worker_local chunk cancel priority dependency deadlock limits exit_hook
    map mpi""".split()


DEMANDED_OF_ASYNC = """cancel errors package primitives task patterns priority_queue resource_tracker utils
    run_async lionpride group loop start shield scope checkpoint deadline local lock event
    condition semaphore limiter run_sync queue from_thread process subprocess signal""".split()


def read(name):
    return [line.split("\t") for line in text(name).splitlines()[1:]]


def section(heading):
    """Reasons by row: what a section's table on the page says."""
    page = text("docs/python_map.md")
    match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    table = match[1] if match else ""
    reasons = dict(re.findall(r"^\|\s*`?([\w.:]+)`?\s*\|\s*(\S.*?)\s*\|\s*$", table, re.MULTILINE))
    reasons.pop("row", None)  # the table's head
    return reasons


KINDS = ("tested", "excused", "open", "not applicable")


def count(title, rows, demanded, is_tested, reasons):
    """Prints a table; gives the sums, and what is wrong."""
    problems = []
    counts = collections.defaultdict(collections.Counter)
    for row, area, applicable in rows:
        kind = "tested" if is_tested(row) else "excused" if row in reasons else "open"
        if applicable == "no" and kind == "open":
            kind = "not applicable"
        counts[area][kind] += 1
        if kind == "open" and area in demanded:
            problems.append(f"tests: no test case is named {row} ({area})")
    known = {row for row, _, _ in rows}
    problems += [f"docs/python_map.md: no such row: {row}" for row in reasons if row not in known]

    print(f"{title:18}" + "".join(f"{kind:>16}" for kind in KINDS))
    total = collections.Counter()
    for area in sorted(counts, key=lambda area: (area not in demanded, area)):
        total += counts[area]
        mark = "" if area in demanded else "-"
        print(f"{f'{area} {mark}':18}" + "".join(f"{counts[area][kind]:16}" for kind in KINDS))
    print(f"{'all':18}" + "".join(f"{total[kind]:16}" for kind in KINDS) + "\n")
    return total, problems


# The names of all cases that run by default.
names = [title for name in files("tests/**/*.cpp") for _, title, tags in cases(name) if "[." not in tags]
all_names = "\n".join(names)
shown = {one for title in names for one in ids_of(title)}

rows, pool_rows = read("tests/ported/rows.tsv"), read("tests/ported/pool_rows.tsv")
total, problems = count(
    "CPython", rows, DEMANDED,
    lambda row: re.search(rf"(?<![\w.]){re.escape(row)}(?!\w)", all_names),
    section("Rows that C++ cannot have"),
)
pool_total, pool_problems = count(
    "other pools", pool_rows, DEMANDED_OF_POOLS,
    shown.__contains__,
    section("Behaviours of other pools that C++ cannot have"),
)
async_rows = read("tests/ported/async_rows.tsv")
async_total, async_problems = count(
    "AnyIO, trio, ...", async_rows, DEMANDED_OF_ASYNC,
    shown.__contains__,
    section("Behaviours of AnyIO and trio that C++ cannot have"),
)
print("without a mark: demanded; -: later")


def covered(total, rows):
    return f"{total['tested'] + total['excused']} of {len(rows) - total['not applicable']}"


finish(
    problems + pool_problems + async_problems,
    f"{covered(total, rows)} rows of CPython covered, {covered(pool_total, pool_rows)} of other pools, "
    f"{covered(async_total, async_rows)} of AnyIO, trio and lionpride",
)

#!/usr/bin/env python3
"""The names of test cases: each is given once; ids of CPython's tests stand in tests/ported/, and once
more in tests/mpi/, those of faults in tests/faults/, and each fault has its row in docs/faults.md. Ids
of the behaviours of other pools and of asynchronous libraries may stand in any folder, before the name's
colon, and have their row in tests/ported/pool_rows.tsv or async_rows.tsv."""
import collections
import re

from lib_tree import BEHAVIOUR, FAULT, ROOT, cases, files, finish, ids_of, text

PAGE = "docs/faults.md"


def ids_in(name):
    return {line.split("\t")[0] for line in text(name).splitlines()[1:]}


rows, behaviours = ids_in("tests/ported/rows.tsv"), ids_in("tests/ported/pool_rows.tsv") | ids_in("tests/ported/async_rows.tsv")
# The ids in the first cell of a table's line.
page = text(PAGE) if (ROOT / PAGE).is_file() else ""
described = {one for cell in re.findall(r"^\|([^|]*)\|", page, re.MULTILINE) for one in re.findall(rf"\b{FAULT}\b", cell)}

problems = [] if page else [f"{PAGE}: is missing"]
used = set()
shown = set()
places = collections.defaultdict(list)
for name in files("tests/*.cpp"):
    for number, title, _ in cases(name):
        places[title].append(f"{name}:{number}")
        ported = sorted(row for row in re.findall(r"[\w.]+", title) if row.strip(".") in rows)
        # What runs for an MPI job is run by its ranks.
        if ported and not name.startswith(("tests/ported/", "tests/mpi/")):
            problems.append(f"{name}:{number}: {ported[0]} is a row of CPython's tests: the case belongs in tests/ported/")
        ids = ids_of(title)
        faults = [one for one in ids if re.fullmatch(FAULT, one)]
        shown.update(ids)
        # What looks like an id and does not stand before the colon would count for nothing.
        for one in set(re.findall(rf"\b{BEHAVIOUR}", title)) - set(ids):
            problems.append(f"{name}:{number}: {one} must stand before the name's colon, beside other ids only")
        for one in set(ids) - set(faults) - behaviours:
            problems.append(f"{name}:{number}: neither tests/ported/pool_rows.tsv nor async_rows.tsv has a row {one}")
        if faults and not name.startswith("tests/faults/"):
            problems.append(f"{name}:{number}: {faults[0]} is a fault: the case belongs in tests/faults/")
            continue
        used.update(faults)
        if page:
            problems += [f"{name}:{number}: {PAGE} has no row for {one}" for one in faults if one not in described]

# One program may hold all tests (MP_COMBINED_TESTS).
problems += [f"{others[0]}: {where} has a case of that name, too" for where, *others in places.values() if others]

finish(
    problems,
    f"{len(places)} cases, {len(used)} faults, {len(rows)} rows of CPython's tests, "
    f"{len(shown & behaviours)} of {len(behaviours)} behaviours of other pools and libraries",
)

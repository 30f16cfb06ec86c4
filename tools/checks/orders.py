#!/usr/bin/env python3
"""Every atomic operation of the libraries that is weaker than seq_cst says why that is enough: an
`order:` comment in its statement or directly above."""
import re

from lib_tree import code, files, finish, text

WEAKER = r"\bmemory_order(?:_|::)(?:relaxed|consume|acquire|release|acq_rel)\b|__ATOMIC_(?:RELAXED|CONSUME|ACQUIRE|RELEASE|ACQ_REL)\b"
ABOVE = 6  # lines of code between the comment and the operation


def explained(lines, index):
    """Looks to the end of the statement; then upwards, past comments and so many lines of code, up
    to an empty line."""
    for line in lines[index:]:
        if re.search(r"//.*\border:", line):
            return True
        if re.search(r"[;{}]\s*(?://|$)", line):
            break
    left = ABOVE
    while index >= 0 and left >= 0 and lines[index].strip():
        if re.search(r"//.*\border:", lines[index]):
            return True
        left -= 0 if lines[index].strip().startswith("//") else 1
        index -= 1
    return False


problems = []
count = 0
for name in files("libmp/*.cpp", "libmp/*.hpp", "libfutures/*.cpp", "libfutures/*.hpp"):
    lines = text(name).splitlines()
    for number, line in enumerate(code(name).splitlines(), 1):
        if order := re.search(WEAKER, line):
            count += 1
            if not explained(lines, number - 1):
                problems.append(f"{name}:{number}: no `// order:` comment says why {order[0]} is enough")

finish(problems, f"{count} operations weaker than seq_cst")

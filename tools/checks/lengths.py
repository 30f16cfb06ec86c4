#!/usr/bin/env python3
"""No C++ file is longer than 500 lines, unless its opening comment says why: `// Long because ...`.
A file that grows holds two concepts."""
import itertools

from lib_tree import files, finish, text

LONGEST = 500
REASON = "// Long because "

problems = []
sources = files("*.hpp", "*.cpp")
for name in sources:
    lines = text(name).splitlines()
    opening = itertools.takewhile(lambda line: line.startswith("//"), lines[1:])
    reason = any(line.startswith(REASON) for line in opening)
    if len(lines) > LONGEST and not reason:
        problems.append(f"{name}: {len(lines)} lines, more than {LONGEST}: split it by concept, or say `{REASON}...` at its top")
    elif len(lines) <= LONGEST and reason:
        problems.append(f"{name}: {len(lines)} lines need no `{REASON}...`")

finish(problems, f"{len(sources)} files")

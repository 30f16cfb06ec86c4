#!/usr/bin/env python3
"""Every failpoint of the libraries has a name of its own, and a test that uses it: a place at which
no process is ever killed shows nothing."""
import collections
import re

from lib_tree import code, files, finish

places = collections.defaultdict(list)
for name in files("libmp/*.cpp", "libmp/*.hpp", "libfutures/*.cpp", "libfutures/*.hpp"):
    source = code(name, strings=True)
    for match in re.finditer(r'\bMP_FAILPOINT\(\s*"([^"]*)"', source):
        places[match[1]].append(f"{name}:{source.count(chr(10), 0, match.start()) + 1}")

tested = set()
for name in files("tests/*.cpp", "tests/*.hpp"):
    tested.update(re.findall(r'"((?:\\.|[^"\\\n])*)"', code(name, strings=True)))

problems = [
    f'{where[0]}: "{point}" is also the failpoint at {other}' for point, where in places.items() for other in where[1:]
]
problems += [f'{where[0]}: no test names the failpoint "{point}"' for point, where in places.items() if point not in tested]
finish(problems, f"{len(places)} failpoints, each in a test")

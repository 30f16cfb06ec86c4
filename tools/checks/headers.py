#!/usr/bin/env python3
"""The first block of every public header says what it is, which Python it ports, where it differs
and which threads may use it; and a test of the same name shows it."""
import posixpath

from lib_tree import files, finish, text

LABELS = ("Python:", "Differs:", "Threads:")
# Headers without a test of their own, and why.
UNTESTED = {
    "libmp/include/mp/mp.hpp": "includes the others, nothing else",
    "libmp/include/mp/synchronize.hpp": "includes the others, nothing else",
    "libfutures/include/futures/futures.hpp": "includes the others, nothing else",
    "libfutures/include/concurrency/concurrency.hpp": "includes the others, nothing else",
    "libfutures/include/concurrency/patterns.hpp": "includes the others, nothing else",
    "libfutures/include/futures/mpi_options.hpp": "the tests of tests/mpi have them",
    "libfutures/include/futures/mpi_pool.hpp": "tests/mpi/test_mpi_rows.cpp, by the rows' ids",
}

problems = []
headers = files("libmp/include/mp/*.hpp", "libfutures/include/futures/*.hpp",
                "libfutures/include/concurrency/*.hpp")
headers = [name for name in headers if "/detail/" not in name]
for name in headers:
    block = []
    for line in text(name).splitlines()[1:]:
        if not line.startswith("//"):
            break
        block.append(line)
    opening = "\n".join(block)
    if not block or any(block[0].startswith(f"// {label}") for label in LABELS):
        problems.append(f"{name}:2: the block does not start with what this is")
    for label in LABELS:
        if label not in opening:
            problems.append(f"{name}:2: the first block has no `{label}`")

# The names of tests are unique: where two libraries have a header, the test of the upper one says so.
AREAS = ("mp", "futures", "concurrency", "mpi")
tests = {posixpath.basename(name): name for name in files(*(f"tests/{area}/*.cpp" for area in AREAS))}
for name in headers:
    library, short = name.split("/")[2], posixpath.basename(name).removesuffix(".hpp")
    below = {other.split("/")[2] for other in headers if posixpath.basename(other) == f"{short}.hpp"}
    in_both = any(AREAS.index(other) < AREAS.index(library) for other in below)
    wanted = f"test_{short}_{library}.cpp" if in_both else f"test_{short}.cpp"
    folder = "mpi" if short.startswith("mpi_") else library
    tested = tests.get(wanted, "").startswith(f"tests/{folder}/")
    if not tested and name not in UNTESTED:
        problems.append(f"{name}: no test is called tests/{library}/<folder>/{wanted}")
    elif tested and name in UNTESTED:
        problems.append(f"{name}: has a test, but tools/checks/headers.py says that it needs none")
problems += [f"tools/checks/headers.py: no such header: {name}" for name in UNTESTED if name not in headers]

finish(problems, f"{len(headers)} public headers, {len(headers) - len(UNTESTED)} with a test of their own")

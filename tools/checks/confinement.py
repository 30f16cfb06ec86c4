#!/usr/bin/env python3
"""Each third-party library and each delicate mechanism has one place, and no place is kept for what
is no longer there."""
import fnmatch
import re

from lib_tree import code, files, finish, includes

# What an #include starts with -> where it may stand.
HEADERS = {
    "spdlog/": ["libmp/include/mp/log.hpp", "libmp/src/util/log.cpp", "tests/*"],
    "boost/process": [
        "libfutures/src/concurrency/processes/child_program.cpp",
        "tests/support/program.cpp",
    ],
    "boost/interprocess": [
        "libmp/src/os/shm.cpp",
        "libmp/include/mp/shared_heap.hpp",
        "libmp/include/mp/detail/heap_algorithm.hpp",
        "tests/mp/shared/test_shared_heap.cpp",
        "tools/benchmarks/*",
    ],
    "boost/asio": [
        "libfutures/include/concurrency/asio.hpp",
        "libfutures/include/concurrency/detail/loop_executor.hpp",
        "libfutures/include/concurrency/run.hpp",
        "libfutures/src/concurrency/asio/*",
        "libfutures/src/concurrency/loop/asio_driver.hpp",
        "libfutures/src/concurrency/loop/asio_driver.cpp",
        "libfutures/src/concurrency/loop/drive.cpp",
        "libfutures/src/concurrency/processes/child_program.cpp",
        "libfutures/src/concurrency/processes/descriptor.hpp",
        "tests/concurrency/*",
        "tests/support/program.cpp",
        "tools/benchmarks/*",
        "docs/examples/70_mirrors/*",
    ],
    "mpi.h": ["libfutures/include/futures/mpi_comm.hpp", "tools/benchmarks/mpi_bare.cpp"],
    "mpi-ext.h": ["libfutures/src/mpi/mpi_transport.cpp"],
    "openssl/": ["libmp/src/os/hmac.cpp", "tools/mpsum/*"],
    "catch2/": ["tests/support/catch.hpp", "docs/recipes/catch2.cpp"],
    "CLI/": ["tools/*"],
    "backtrace.h": ["libfutures/src/process_pool/source_lines.cpp"],
    "nlohmann/": ["tools/benchmarks/*"],
    "oneapi/": ["tools/benchmarks/*"],
    "tbb/": [],
    "format": [],
    "source_location": [],
    "ranges": ["tests/futures/executor/map_views.hpp"],  # where the compiler can read it
}

LIBRARIES = ["libmp/*", "libfutures/*"]
ALL = ["*"]

# What code may not contain -> which files are meant, where it may stand all the same, and why.
CODE = [
    (r"\berrno\b", LIBRARIES, ["libmp/src/os/check.cpp"], "only libmp/src/os/check.cpp reads errno"),
    (r"(?<![\w.>])(?:::|std::)?(?:system|popen)\s*\(", LIBRARIES, [], "no shell"),
    (r"(?i)thread\w*\s*(?:\.|->|\([^)]*\)\.)\s*detach\s*\(", LIBRARIES, [], "no detached threads"),
    (r"\bwaitpid\s*\(\s*-1\b", LIBRARIES, [], "never waits for children that others started"),
    (r"\bset_robust_list\b", LIBRARIES, [], "glibc's own list would break"),
    (r"\bstd::format\b", LIBRARIES, [], "GCC 12 has none"),
    (r"\b__forced_unwind\b", LIBRARIES, ["libmp/include/mp/detail/forced_unwind.hpp"], "libc++ has none"),
    (r"\batomic_ref\b", ALL, [], "libc++ 16 has none"),
    (r"\bstable_partition\b", LIBRARIES, [], "takes a temporary buffer by a deprecated function"),
    (r"#\s*include <iostream>", LIBRARIES, ["libmp/src/os/stream_text.cpp"], "makes the standard streams in each program"),
    (r"#\s*include <(?:fstream|sstream)>", LIBRARIES, ["libmp/src/os/stream_text.cpp"], "follows the program's locale: os/file_text.hpp reads"),
    (r"\bCatch::", ALL, ["tests/support/*"], "tests take Catch2's names from support/catch.hpp"),
]


def matching(name, places):
    return [place for place in places if fnmatch.fnmatch(name, place)]


problems = []
used = set()  # (what, place): permissions that something needs
sources = files("*.hpp", "*.cpp")
for name in sources:
    for number, included, _ in includes(name):
        for prefix, places in HEADERS.items():
            if not (included.startswith(prefix) if "/" in prefix else included == prefix):
                continue
            here = matching(name, places)
            used.update((prefix, place) for place in here)
            if not here:
                problems.append(f"{name}:{number}: <{included}> belongs to {' '.join(places) or 'no file'}")
    for number, line in enumerate(code(name).splitlines(), 1):
        for pattern, meant, places, why in CODE:
            if matching(name, meant) and re.search(pattern, line):
                here = matching(name, places)
                used.update((pattern, place) for place in here)
                if not here:
                    problems.append(f"{name}:{number}: {why}: {line.strip()}")

permissions = list(HEADERS.items()) + [(pattern, places) for pattern, _, places, _ in CODE]
for what, places in permissions:
    unused = [place for place in places if (what, place) not in used]
    problems += [f"tools/checks/confinement.py: nothing in {place} needs what it allows there: {what}" for place in unused]

finish(problems, f"{len(sources)} files")

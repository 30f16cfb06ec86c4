#!/usr/bin/env python3
"""Each third-party library and each delicate mechanism has one place."""
import fnmatch
import re

from lib_tree import code, files, finish, includes

# What an #include starts with -> where it may stand.
HEADERS = {
    "spdlog/": ["libmp/include/mp/log.hpp", "libmp/src/util/log.cpp", "tests/*"],
    "boost/process": [],
    "boost/interprocess": [
        "libmp/src/os/shm.cpp",
        "libmp/include/mp/shared_heap.hpp",
        "libmp/include/mp/detail/heap_algorithm.hpp",
        "tools/bench*/*",
    ],
    "boost/asio": ["libmp/src/os/exec.cpp", "tools/bench*/*"],
    "openssl/": ["libmp/src/os/hmac.cpp", "tools/mpsum/*"],
    "catch2/": ["tests/support/catch.hpp"],
    "CLI/": ["tools/*"],
    "oneapi/": ["tools/bench*/*"],
    "tbb/": ["tools/bench*/*"],
    "format": [],
    "source_location": [],
    "ranges": [],
}

# What code may not contain -> where it may all the same, and why.
CODE = [
    (r"\berrno\b", ["libmp/src/os/check.cpp"], "only libmp/src/os/check.cpp reads errno"),
    (r"(?<![\w.>])(?:::|std::)?(?:system|popen)\s*\(", [], "no shell"),
    (r"(?i)thread\w*\s*(?:\.|->|\([^)]*\)\.)\s*detach\s*\(", [], "no detached threads"),
    (r"\bwaitpid\s*\(\s*-1\b", [], "never waits for children that others started"),
    (r"\bset_robust_list\b", [], "glibc's own list would break"),
    (r"\bstd::format\b", [], "GCC 12 has none"),
]
LIBRARIES = ("libmp/*", "libfutures/*")


def allowed(name, places):
    return any(fnmatch.fnmatch(name, place) for place in places)


problems = []
sources = files("*.hpp", "*.cpp")
for name in sources:
    for number, included, _ in includes(name):
        for prefix, places in HEADERS.items():
            hit = included.startswith(prefix) if "/" in prefix else included == prefix
            if hit and not allowed(name, places):
                problems.append(f"{name}:{number}: <{included}> belongs to {places or 'no file'}")
    if not allowed(name, LIBRARIES):
        continue
    for number, line in enumerate(code(name).splitlines(), 1):
        for pattern, places, why in CODE:
            if re.search(pattern, line) and not allowed(name, places):
                problems.append(f"{name}:{number}: {why}: {line.strip()}")

finish(problems, f"{len(sources)} files")

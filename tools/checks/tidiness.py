#!/usr/bin/env python3
"""Nothing half-done, nothing of one machine, no test that sleeps, measures or that nobody runs, no
time that changes when the clock is set."""
import posixpath
import re

from lib_tree import ROOT, code, files, finish, text

PATTERNS = [
    (r"TODO\(now\)|\bFIXME\b|\bXXX\b", "left to do"),
    (r"(?<![\w.$}/])/(?:work|home|root)/\w", "a path of one machine"),
]
# The check itself, and the rule that it enforces.
EXEMPT = ("tools/checks/", "docs/style.md")

problems = []
for name in files():
    if name.startswith(EXEMPT) or name.endswith((".png", ".svg")):
        continue
    for number, line in enumerate(text(name).splitlines(), 1):
        for pattern, what in PATTERNS:
            if re.search(pattern, line):
                problems.append(f"{name}:{number}: {what}: {line.strip()[:80]}")

# Waiting is by the monotonic clock: setting the machine's clock has no effect (case S8 of the faults).
for name in files("libmp/**", "libfutures/**"):
    if name.endswith((".cpp", ".hpp")) and (clock := re.search(
            r"system_clock|CLOCK_REALTIME|gettimeofday|pthread_\w*timed\w*lock", code(name))):
        problems.append(f"{name}: {clock[0]}, which jumps when the clock is set")

namesakes = {}
for name in files("tests/*.cpp"):
    folder, short = posixpath.split(name.removesuffix(".cpp"))
    if short.startswith("test_"):
        # In one program for all tests, the file's name selects its cases.
        if namesakes.setdefault(short, name) != name:
            problems.append(f"{name}: has the name of {namesakes[short]}")
        lists = f"{folder}/CMakeLists.txt"
        if not (ROOT / lists).is_file() or not re.search(rf"^\s*mp_(mpi_)?test(_target)?\(.*\b{short}[ .)]", text(lists), re.MULTILINE):
            problems.append(f"{name}: no `mp_test({short})` in {lists}")
    if name.startswith("tests/support/"):
        continue
    source = code(name)
    # (concurrency::sleep() suspends a coroutine; a test of a clock or a limit needs one that is short.)
    for match in re.finditer(r"(?:\bstd::this_thread::|(?<!\bconcurrency)::)(?:sleep_for|sleep_until|usleep|nanosleep|sleep)\b[^;]*", source):
        # Random pauses vary the moment of a kill; a task that takes time says so above the line.
        number = source.count("\n", 0, match.start()) + 1
        above = text(name).splitlines()[number - 2].strip()
        if "random" not in match[0] and not above.startswith("//"):
            problems.append(f"{name}:{number}: a test that sleeps: {match[0].strip()}")
    # How fast a busy machine is, is not the library's fault.
    for match in re.finditer(r"<=? *(?:std::chrono::\w+\()?[\d'.]+ *(?:ns|us|ms|s|min)\b", source):
        number = source.count("\n", 0, match.start()) + 1
        problems.append(f"{name}:{number}: a bound on time without test::patience(): {match[0]}")

finish(problems, f"{len(files())} files")

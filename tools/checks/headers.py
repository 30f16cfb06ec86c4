#!/usr/bin/env python3
"""The first block of every public header says what it is, which Python it ports, where it differs
and which threads may use it."""
from lib_tree import files, finish, text

LABELS = ("Python:", "Differs:", "Threads:")

problems = []
headers = files("libmp/include/mp/*.hpp", "libfutures/include/futures/*.hpp")
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

finish(problems, f"{len(headers)} public headers")

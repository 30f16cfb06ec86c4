#!/usr/bin/env python3
"""tools/reading_order.txt lists every library file, and a file includes only what stands before
it there."""
from lib_tree import ORDER, ROOT, files, finish, includes, reading_order, resolve

LIBRARIES = ("libmp", "libfutures")

order = [name for _, name, _ in reading_order()]
place = {name: index for index, name in enumerate(order)}
present = files(*(f"{library}/{part}/**" for library in LIBRARIES for part in ("include", "src")))
present = [name for name in present if not name.endswith("/README.md")]

problems = [f"{ORDER}: {name} is listed twice" for name in place if order.count(name) > 1]
problems += [f"{ORDER}: {name} does not exist" for name in order if not (ROOT / name).is_file()]
problems += [f"{name}: not in {ORDER}" for name in present if name not in place]

for name in order:
    if not (ROOT / name).is_file():
        continue
    for number, included, quoted in includes(name):
        if not quoted:
            continue
        target = resolve(included, name)
        if target is None:
            problems.append(f"{name}:{number}: no such file: {included}")
        elif target not in place:
            problems.append(f"{name}:{number}: {target} is not in {ORDER}")
        elif place[target] > place[name]:
            problems.append(f"{name}:{number}: {target} stands later in {ORDER}")
        elif "/include/" in name and "/src/" in target:
            problems.append(f"{name}:{number}: a public header includes the private {target}")

finish(problems, f"{len(order)} files in order")

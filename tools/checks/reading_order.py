#!/usr/bin/env python3
"""tools/reading_order.txt lists every library file, and a file includes only what stands before
it there."""
import posixpath

from lib_tree import ROOT, files, finish, includes, text

LIST = "tools/reading_order.txt"
LIBRARIES = {"libmp": "mp", "libfutures": "futures"}

order = [line for line in text(LIST).splitlines() if line and not line.startswith("#")]
place = {name: index for index, name in enumerate(order)}
present = files(*(f"{library}/{part}/**" for library in LIBRARIES for part in ("include", "src")))

problems = [f"{LIST}: {name} is listed twice" for name in place if order.count(name) > 1]
problems += [f"{LIST}: {name} does not exist" for name in order if not (ROOT / name).is_file()]
problems += [f"{name}: not in {LIST}" for name in present if name not in place]


def resolve(included, includer):
    """The library file that a quoted include means."""
    for folder in (posixpath.dirname(includer), "libmp/src", "libfutures/src", "libmp/include", "libfutures/include"):
        candidate = posixpath.normpath(posixpath.join(folder, included))
        if (ROOT / candidate).is_file():
            return candidate
    return None


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
            problems.append(f"{name}:{number}: {target} is not in {LIST}")
        elif place[target] > place[name]:
            problems.append(f"{name}:{number}: {target} stands later in {LIST}")
        elif "/include/" in name and "/src/" in target:
            problems.append(f"{name}:{number}: a public header includes the private {target}")

finish(problems, f"{len(order)} files in order")

#!/usr/bin/env python3
"""The folders of the libraries' sources are their floors: a section of tools/reading_order.txt
each, includes that only go down, a README.md, and a place in docs/architecture.md."""
import collections
import posixpath
import re

from lib_tree import ORDER, ROOT, files, finish, includes, reading_order, resolve, text

LIBRARIES = ("libmp", "libfutures")
PAGE = "docs/architecture.md"

order = list(reading_order())
sources = files(*(f"{library}/src/**" for library in LIBRARIES))
# concurrency/ is a library of its own in libfutures: its floors are the folders in it.
folders = sorted({posixpath.dirname(name) for name in sources if name.count("/") > 2})
problems = []

# -- The reading order: a section for each folder.
sections = {}  # section -> the file it begins with, in order
section_of = {}
last = None
for number, name, section in order:
    if section is None:
        problems.append(f"{ORDER}:{number}: {name} stands under no heading")
    elif section != last and section in sections:
        problems.append(f"{ORDER}:{number}: {section} has two sections")
    sections.setdefault(section, name)
    section_of[name] = last = section
    library, part, *rest = name.split("/")
    folder = posixpath.dirname(name) if len(rest) > 1 else f"{library} door"
    if part == "src" and section != folder:
        problems.append(f"{ORDER}:{number}: {name} belongs under the heading `# {folder}: ...`, not under {section}")
    elif section is not None and not section.startswith(library):
        problems.append(f"{ORDER}:{number}: {name} stands under {section}")
for section in sections:
    if section is not None and "/" in section and section not in folders:
        problems.append(f"{ORDER}: the heading {section} names no folder")
problems += [f"{ORDER}: no heading `# {folder}: ...`" for folder in folders if folder not in sections]

# -- Includes: a folder knows only those below it.
floor = {section: index for index, section in enumerate(sections)}
edges = collections.defaultdict(list)  # (section, section that it includes) -> where
for _, name, section in order:
    for number, included, quoted in includes(name) if (ROOT / name).is_file() else ():
        target = section_of.get(resolve(included, name)) if quoted else None
        if target not in (None, section):
            edges[section, target].append(f"{name}:{number} includes {included}")
for (above, below), places in edges.items():
    if floor[below] <= floor[above]:
        continue
    problems.append(f"{above} includes {below}, which stands later: {places[0]}")
    if (below, above) in edges:
        problems.append(f"{below} includes {above} as well: {edges[below, above][0]}")

# -- Each folder says what it is for.
for folder in folders:
    readme = ROOT / folder / "README.md"
    lines = len(readme.read_text(encoding="utf-8").splitlines()) if readme.is_file() else 0
    if not 5 <= lines <= 20:
        problems.append(f"{folder}/README.md: " + (f"{lines} lines, not 5 to 20" if lines else "is missing"))

# -- The drawing of the floors names them all.
drawing = re.search(r"^## Floors$.*?^```\n(.*?)^```$", text(PAGE), re.MULTILINE | re.DOTALL)
drawn = re.findall(r"(?<![\w/])(\w+(?:/\w+)?)/(?!\w)", drawing[1] if drawing else "")
names = [folder.partition("/src/")[2] for folder in folders]
problems += [f"{PAGE}: the drawing of the floors has no `{name}/`" for name in names if name not in drawn]
problems += [f"{PAGE}: the drawing of the floors has `{name}/`, which is no folder" for name in drawn if name not in names]

finish(problems, f"{len(folders)} folders, {len(edges)} pairs of them that include one another, all downwards")

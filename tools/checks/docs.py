#!/usr/bin/env python3
"""Every relative link in a Markdown file, and every docs/ path named in a source, leads somewhere."""
import posixpath
import re

from lib_tree import ROOT, files, finish, text


def anchors(name):
    """The anchors that GitHub gives to a page's headings."""
    out = set()
    for heading in re.findall(r"^#+\s+(.*)$", text(name), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        out.add(slug)
    return out


problems = []
pages = files("*.md")
links = 0
for name in pages:
    prose = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), text(name), flags=re.DOTALL)
    for number, line in enumerate(prose.splitlines(), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            links += 1
            path, _, anchor = target.partition("#")
            full = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            if not (ROOT / full).exists():
                problems.append(f"{name}:{number}: dead link: {target}")
            elif anchor and full.endswith(".md") and anchor not in anchors(full):
                problems.append(f"{name}:{number}: no such heading: {target}")

for name in files("*.hpp", "*.cpp", "*.cmake", "*CMakeLists.txt"):
    for number, line in enumerate(text(name).splitlines(), 1):
        for target in re.findall(r"\bdocs/[\w./-]+\.md\b", line):
            links += 1
            if not (ROOT / target).exists():
                problems.append(f"{name}:{number}: no such page: {target}")

finish(problems, f"{links} links in {len(pages)} pages and the sources")

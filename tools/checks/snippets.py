#!/usr/bin/env python3
"""Code in a page is the text of a file that is compiled, and so is what a program prints. Above such a
block stands `<!-- from tutorial/02_pool.cpp -->`, or `<!-- from recipes/log.cpp: sink -->` for the lines
between `// snippet: sink` and `// end snippet`. `tools/checks/snippets.py --write` copies them into the
pages. In the pages for beginners no C++ and no CMake stands without it."""
import posixpath
import re
import sys
import textwrap

from lib_tree import ROOT, files, finish, text

# Pages that are followed to the letter.
FOLLOWED = ("docs/tutorial.md", "docs/recipes.md")

BLOCK = re.compile(r"^(?:<!-- from (?P<file>\S+?)(?:: (?P<part>\w+))? -->\n+)?```(?P<kind>\w*)\n(?P<body>.*?)^```$",
                   re.MULTILINE | re.DOTALL)


def snippet(name, part):
    """A file's text without its licence line and markers, or one part of it; None if it has none."""
    lines = text(name).splitlines()
    if part:
        starts = [i for i, line in enumerate(lines) if re.fullmatch(rf"\s*(?://|#) snippet: {part}", line)]
        if len(starts) != 1:
            return None
        lines = lines[starts[0] + 1:]
        ends = [i for i, line in enumerate(lines) if re.fullmatch(r"\s*(?://|#) end snippet", line)]
        if not ends:
            return None
        lines = lines[:ends[0]]
    lines = [line for line in lines if not re.search(r"SPDX-License-Identifier|^\s*(?://|#) (?:end )?snippet\b", line)]
    return textwrap.dedent("\n".join(lines)).strip("\n") + "\n"


problems = []
count = 0
shown = set()
for page in files("docs/*.md", "README.md"):
    before = text(page)

    def checked(match):
        global count
        line = before.count("\n", 0, match.start()) + 1
        if not match["file"]:
            if page in FOLLOWED and match["kind"] in ("cpp", "cmake", "text"):
                problems.append(f"{page}:{line}: a block without `<!-- from <file> -->` above it")
            return match[0]
        count += 1
        name = posixpath.normpath(posixpath.join(posixpath.dirname(page), match["file"]))
        shown.add(name)
        if not (ROOT / name).is_file():
            problems.append(f"{page}:{line}: no such file: {match['file']}")
            return match[0]
        wanted = snippet(name, match["part"])
        if wanted is None:
            problems.append(f"{page}:{line}: {match['file']} has no `snippet: {match['part']}` with an end")
            return match[0]
        if match["body"] == wanted:
            return match[0]
        if "--write" not in sys.argv:
            problems.append(f"{page}:{line}: differs from {match['file']}; tools/checks/snippets.py --write copies it")
        start, end = (match.start("body") - match.start(), match.end("body") - match.start())
        return match[0][:start] + wanted + match[0][end:]

    known = count
    after = BLOCK.sub(checked, before)
    if before.count("<!-- from ") != count - known:
        problems.append(f"{page}: a `<!-- from <file> -->` without a block below it")
    if "--write" in sys.argv and after != before:
        (ROOT / page).write_text(after, encoding="utf-8")

# What a page's folder holds is on the page.
for page in FOLLOWED:
    folder = page.removesuffix(".md")
    for name in files(f"{folder}/*.cpp", f"{folder}/*.txt"):
        if name not in shown:
            problems.append(f"{name}: is not shown in {page}")

finish(problems, f"{count} blocks are those of their files")

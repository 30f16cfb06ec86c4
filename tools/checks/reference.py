#!/usr/bin/env python3
"""Every public member of the public headers is documented, every link of the site leads somewhere, and every
page can be reached from docs/index.md. Builds the site to see; an argument is the folder where it is kept
(tools/docs)."""
import html
import pathlib
import posixpath
import re
import sys
import tempfile
import xml.etree.ElementTree as ET

import lib_site
from lib_tree import files, finish, text

# What the compiler, the standard library or the field's use of the word has defined already.
KNOWN = set("""
    value_type reference const_reference pointer iterator const_iterator iterator_category iterator_concept
    difference_type size_type begin end size empty data swap serialize lock unlock try_lock
    save load
    operator= operator*= operator/= operator== operator!= operator<=> operator* operator-> operator++ operator-- operator[] operator+
    operator- operator+= operator-= operator< operator> operator<= operator>=
""".split())


def is_documented(node):
    return any("".join(part.itertext()).strip() for part in (
        *node.findall("briefdescription"), *node.findall("detaileddescription"), *node.findall("inbodydescription")))


def explains_itself(member):
    arguments = member.findtext("argsstring") or ""
    parameters = [("".join(t.itertext())) for t in member.findall("param/type")]
    name, result = member.findtext("name"), "".join(member.find("type").itertext()) if member.find("type") is not None else ""
    return (name in KNOWN or name.startswith("operator ") or re.search(r"=\s*(default|delete)\s*$", arguments)
            or re.search(rf"\b{re.escape(name)}(\s*<.*>)?$", result)  # makes what it is called
            or re.fullmatch(rf"(const )?{re.escape(name)} ?(<.*>)? ?&&?", parameters[0] if len(parameters) == 1 else "")
            or any("detail::" in parameter for parameter in parameters))  # not for users


def undocumented(folder):
    """(place, name) of each public class, function, type, variable and enumerator without a word."""
    members = 0
    for path in sorted((folder / "xml").glob("*.xml")):
        compound = ET.parse(path).getroot().find("compounddef")
        if compound is None or compound.get("kind") not in ("class", "struct", "union", "namespace", "concept", "file"):
            continue
        kind, scope = compound.get("kind"), compound.findtext("compoundname")
        if compound.get("prot", "public") != "public" or "/detail/" in scope:
            continue

        def place(node):
            where = node.find("location")
            return f"{where.get('file')}:{where.get('line')}"

        if kind not in ("namespace", "file"):
            members += 1
            if not is_documented(compound) and not re.search(r"(Iterator|Options|Statistics)$", scope):
                yield f"{place(compound)}: {scope} is not documented"
        own = [m for m in compound.iter("memberdef") if m.get("prot") == "public" and m.get("kind") != "friend"
               and "@" not in (m.findtext("qualifiedname") or "")]
        # A text stands for all overloads.
        documented = {m.findtext("name") for m in own if is_documented(m)}
        is_class = kind in ("class", "struct")
        for member in own:
            members += 1
            name = member.findtext("name")
            constructor = is_class and name == re.sub(r"<.*", "", scope).split("::")[-1]
            if is_class and not constructor and not (member.findtext("type") or member.find("type/ref") is not None) and member.get(
                    "kind") == "function" and re.fullmatch(r"\w+", name):
                continue  # an inherited constructor
            if kind == "file" and member.get("kind") != "define":
                continue  # its namespace has it
            if kind == "file" and name.startswith("MP_"):
                continue  # ours, for the library's own headers
            if name not in documented and not explains_itself(member) and not (constructor and (
                    not member.findall("param") or scope.endswith("Iterator") or name.startswith("~"))) and not name.startswith("~"):
                yield f"{place(member)}: {scope}::{name} is not documented"
            for value in member.findall("enumvalue"):
                members += 1
                if not is_documented(value):
                    yield f"{place(member)}: {scope}::{name}::{value.findtext('name')} is not documented"
    undocumented.members = members


def dead_links(folder):
    """Links inside the site that lead nowhere. What is Doxygen's own summary of a page is its own affair."""
    site = folder / "html"
    contents = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in site.glob("*.html")}
    anchors = {name: set(re.findall(r'\b(?:id|name)="([^"]+)"', content)) for name, content in contents.items()}
    for name, content in sorted(contents.items()):
        content = re.sub(r'<div class="summary">.*?</div>', "", content, flags=re.DOTALL)
        for target in map(html.unescape, re.findall(r'\bhref="([^"]+)"', content)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            if not (site / (file or name)).exists() or anchor and anchor not in anchors.get(file or name, {anchor}):
                yield f"{name}: dead link in the site: {target}"


def unlinked():
    """Pages that no way leads to from the index."""
    pages = set(files("docs/*.md"))
    seen, todo = set(), ["docs/index.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        prose = lib_site.FENCE.sub("", text(page))
        for target in lib_site.LINK.findall(prose):
            full = posixpath.normpath(posixpath.join(posixpath.dirname(page), target[1].partition("#")[0]))
            if full in pages:
                todo.append(full)
    for page in sorted(pages - seen):
        yield f"{page}: no link leads here from docs/index.md"
    index = set(posixpath.normpath("docs/" + target[1].partition("#")[0])
                for target in lib_site.LINK.findall(lib_site.FENCE.sub("", text("docs/index.md"))))
    for page in sorted(pages - index - {"docs/index.md"}):
        if page.startswith(("docs/concepts/", "docs/decisions/", "docs/protocols/")) or page.count("/") == 1:
            yield f"{page}: is not linked in docs/index.md"


def main(folder):
    problems = [f"doxygen: {line}" for line in lib_site.build_site(folder)]
    problems += undocumented(folder)
    problems += dead_links(folder)
    problems += unlinked()
    pages = len(list((folder / "html").glob("*.html")))
    finish(problems, f"{undocumented.members} public members, {pages} pages of the site")


if len(sys.argv) > 1:
    kept = pathlib.Path(sys.argv[1]).resolve()
    kept.mkdir(parents=True, exist_ok=True)
    main(kept)
else:
    with tempfile.TemporaryDirectory() as temporary:
        main(pathlib.Path(temporary))

"""The documentation as one HTML site: the reference of the public headers, and all pages. Doxygen reads
copies in which the comments that are for readers of the source are comments for it, and the links between
pages are its own."""
import posixpath
import re
import shutil
import subprocess

from lib_tree import ROOT, files, text

DOXYFILE = """
PROJECT_NAME           = "libmp and libfutures"
PROJECT_NUMBER         = {version}
INPUT                  = {inputs}
OUTPUT_DIRECTORY       = ..
STRIP_FROM_PATH        = .
STRIP_FROM_INC_PATH    = libmp/include libfutures/include
USE_MDFILE_AS_MAINPAGE = docs/index.md
EXCLUDE_SYMBOLS        = mp::detail mp::detail::* mp::connection::detail* futures::detail futures::detail::* concurrency::detail concurrency::detail::* std std::*
PREDEFINED             = __clang__ "MP_GUARDED_BY(x)=" "MP_REQUIRES(x)="
MACRO_EXPANSION        = YES
EXPAND_ONLY_PREDEF     = YES
JAVADOC_AUTOBRIEF      = YES
MARKDOWN_SUPPORT       = YES
TOC_INCLUDE_HEADINGS   = 0
BUILTIN_STL_SUPPORT    = YES
GENERATE_LATEX         = NO
GENERATE_XML           = YES
XML_PROGRAMLISTING     = NO
SOURCE_BROWSER         = NO
VERBATIM_HEADERS       = NO
GENERATE_TREEVIEW      = YES
DISABLE_INDEX          = NO
HAVE_DOT               = NO
QUIET                  = YES
WARN_IF_UNDOCUMENTED   = NO
WARN_NO_PARAMDOC       = NO
WARN_FORMAT            = "$file:$line: $text"
"""

LABELS = "Python|Differs|Threads|Processes|Owns|Throws|Blocks|Requires|Read next"
FENCE = re.compile(r"^(```|~~~).*?^\1 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]`]|`[^`]*`)*)\]\(([^)\s]+)\)")


def slug(heading):
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def label(page, anchor=""):
    """Doxygen's name for a page or one of its headings; letters that it does not know are spelt out."""
    name = "page/" + page.removesuffix(".md") + ("#" + anchor if anchor else "")
    return re.sub(r"[^A-Za-z0-9-]", lambda m: "_" if m[0] in "/#._" else f"_{ord(m[0])}_", name)


def header_copy(name):
    """A public header whose opening block Doxygen reads, as the file's text, and as that of the classes
    that the block begins with and that have no words of their own. No line moves."""
    lines = text(name).splitlines()
    short = name.split("/include/")[1]
    opening = 1
    while opening < len(lines) and lines[opening].startswith("//"):
        opening += 1
    lines[0] = f"/// \\file {short}"
    what, colon, brief = " ".join(line[2:].strip() for line in lines[1:opening]).partition(": ")
    brief = re.match(rf"(?:(?! (?:{LABELS}):).)*?[.;](?= |$)|.*", brief)[0]
    subjects = re.split(r",\s*", re.sub(r"<.*?>", "", what)) if colon else []
    for number in range(1, opening):
        line = lines[number]
        if labelled := re.match(rf"// ({LABELS}):\s*(.*)", line):
            lines[number] = f"/// <br><b>{labelled[1]}:</b> {labelled[2]}"
        else:
            lines[number] = "///" + (re.sub(r"^ {2,}", "   ", line[2:]))
    for number, line in enumerate(lines):
        declared = re.match(r"(?:class|struct) (\w+)\b(?![^{]*;)", line)
        if not declared or declared[1] not in subjects:
            continue
        first = number
        while re.match(r"template <|    requires|\s+\S.*[,>]$|>$", lines[first - 1]):
            first -= 1
        if not lines[first - 1].startswith("///"):
            lines[first] = f"/** {brief[:1].upper()}{brief[1:]} \\copydetails {short} */ " + lines[first]
    return "\n".join(lines) + "\n"


def page_copy(name, pages, linked):
    """A page with Doxygen's own links. Files that it leads to are added to `linked`; what is no file and
    no page (a folder) keeps its text only."""

    def link(match):
        words, target = match[1], match[2]
        if re.match(r"[a-z]+:", target):
            return match[0]
        path, _, anchor = target.partition("#")
        full = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        if full in pages:
            return f"[{words}](@ref {label(full, anchor)})"
        if (ROOT / full).is_file():
            linked.add(full)
            return f"[{words}](source/{full}.txt)"
        return words

    def prose(part):
        """Not inside of code."""
        out, at = [], 0
        for match in LINK.finditer(part):
            if any(code.start() <= match.start() < code.end() for code in CODE.finditer(part)):
                continue
            out += [part[at:match.start()], link(match)]
            at = match.end()
        part = "".join(out) + part[at:]
        part = re.sub(r"^(#+) +(.*)$", lambda m: f"{m[1]} {m[2]} {{#{label(name, slug(m[2]))}}}", part, flags=re.MULTILINE)
        return part

    source = text(name)
    out, at = [], 0
    for fence in FENCE.finditer(source):
        out += [prose(source[at:fence.start()]), fence[0]]
        at = fence.end()
    source = "".join(out) + prose(source[at:])
    # The first heading is the page's own.
    return re.sub(r"^(# .*) \{#.*\}$", lambda m: f"{m[1]} {{#{label(name)}}}", source, count=1, flags=re.MULTILINE)


def build_site(folder):
    """Builds folder/html and folder/xml; returns what Doxygen has to say."""
    copies = folder / "copies"
    for old in (copies, folder / "html", folder / "xml"):
        shutil.rmtree(old, ignore_errors=True)
    headers = [name for name in files("libmp/include/mp/*.hpp", "libfutures/include/futures/*.hpp",
                                           "libfutures/include/concurrency/*.hpp") if "/detail/" not in name]
    pages = [name for name in files("*.md") if not name.startswith(("tests/", "tools/"))]
    linked = set()
    for name in headers + pages:
        copy = copies / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(header_copy(name) if name in headers else page_copy(name, pages, linked), encoding="utf-8")
    for name in linked:
        copy = folder / "html/source" / (name + ".txt")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    version = re.search(r"project\(libmp VERSION ([\d.]+)", text("CMakeLists.txt"))[1]
    (copies / "Doxyfile").write_text(DOXYFILE.format(version=version, inputs=" ".join(headers + pages)), encoding="utf-8")
    if shutil.which("doxygen") is None:
        return ["is not installed"]
    run = subprocess.run(["doxygen", "Doxyfile"], cwd=copies, capture_output=True, text=True)
    said = [line.replace(str(copies) + "/", "") for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    return said + ([f"doxygen ended with {run.returncode}"] if run.returncode else [])

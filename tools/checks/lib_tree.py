"""What the checkers share: the project's files, C++ without its comments, its includes, its test
cases and the ids in their names, the reading order, and the verdict."""
import pathlib
import posixpath
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(*patterns):
    """The tracked files (and new ones that git does not ignore) that match, as strings."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    names = (name.decode() for name in listed.split(b"\0") if name)
    return sorted(name for name in names if (ROOT / name).is_file())


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<raw>[^(]*)\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL,
)


def code(name, strings=False):
    """C++ text with its comments (and string literals, unless asked for) blanked out; line
    numbers stay right."""

    def blank(match):
        token = match[0]
        comment = token.startswith(("//", "/*"))
        if comment or not strings:
            return "\n" * token.count("\n") if comment else '""' + "\n" * token.count("\n")
        return token

    source = text(name)
    # Digit separators look like character literals.
    source = re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", "", source)
    # An #include's name is no string here.
    source = re.sub(r'(#\s*include\s*)"([^"]*)"', r"\1<<\2>>", source)
    return TOKEN.sub(blank, source)


def includes(name):
    """(line number, name, quoted) of each #include."""
    for number, line in enumerate(code(name).splitlines(), 1):
        if match := re.match(r"\s*#\s*include\s*<<(.*)>>", line):
            yield number, match[1], True
        elif match := re.match(r"\s*#\s*include\s*<(.*)>", line):
            yield number, match[1], False


def resolve(included, includer):
    """The library file that a quoted include means."""
    for folder in (posixpath.dirname(includer), "libmp/src", "libfutures/src", "libmp/include", "libfutures/include"):
        candidate = posixpath.normpath(posixpath.join(folder, included))
        if (ROOT / candidate).is_file():
            return candidate
    return None


ORDER = "tools/reading_order.txt"


def reading_order():
    """(line number, file, section) of each file in the reading order. A section is the folder that
    its heading names ("libmp/src/os"), or a place without one ("libmp door")."""
    section = None
    for number, line in enumerate(text(ORDER).splitlines(), 1):
        if heading := re.match(r"# (lib\w+(?:/src/[\w/]+| \w+)): ", line):
            section = heading[1]
        elif line and not line.startswith("#"):
            yield number, line, section


def cases(name):
    """(line number, name, tags) of each test case in a file."""
    source = code(name, strings=True)
    literal = r'"((?:\\.|[^"\\])*)"'
    literals = rf"((?:{literal}\s*)+)"
    for match in re.finditer(rf"\bTEST_CASE(?:_METHOD)?\s*\(\s*(?:\w+\s*,)?\s*{literals}(?:,\s*{literals})?\)", source):
        title, tags = ("".join(re.findall(literal, part or "")) for part in match.group(1, 3))
        yield source.count("\n", 0, match.start()) + 1, title, tags


# A fault of docs/faults.md, and a behaviour that the tests of others check: of another pool,
# project::place::name, or of an asynchronous library, place::name.
FAULT = r"[A-Z]\d+"
POOLS = "pebble mpire loky billiard mpi4py dask ray taskflow".split()
ASYNC = {line.partition("::")[0] for line in text("tests/ported/async_rows.tsv").splitlines()[1:]}
BEHAVIOUR = rf"(?:{'|'.join(map(re.escape, sorted({*POOLS, *ASYNC}, key=len, reverse=True)))})::[\w.:]*\w"


def ids_of(title):
    """The ids of faults and behaviours with which a case name begins, up to its colon:
    "C8 loky::executor::exits: an exit is a loss"."""
    match = re.match(rf"((?:{FAULT}|{BEHAVIOUR})(?:,? (?:{FAULT}|{BEHAVIOUR}))*):(?!:)", title)
    return re.split(",? ", match[1]) if match else []


def finish(problems, summary):
    """Prints the problems and ends with the status that they deserve."""
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems" if problems else f"ok: {summary}")
    sys.exit(1 if problems else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles what table.txt says must not compile: through each door of its kind, each refusal
must be the first thing that the compiler says, with its text, in few lines, and nothing more.
What a door is must compile with a call that is right.

Usage: refused.py <compiler> <flags...>
"""
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MOST_LINES = 15
# A program includes what prelude.hpp includes itself.
LINES_OF_PRELUDE = 1

# What each door takes, by kind or by whether it takes a type.
RIGHT_CALLS = {
    "range": ["once; range_of(1)", "generic<int>; range_of(1)"],
    "used": ["once; 1", "generic<int>; 1"],
    True: ["int", "std::vector<std::string>"],
    False: ["once; 1", "generic<int>; 1", "any; 1", "std::plus<>(); 1; 2", "twice_of; object",
            "&Object::get; object", "Functor(); 1"],
}

Refusal = collections.namedtuple("Refusal", "call text")
Case = collections.namedtuple("Case", "kind door refusal code")


def read_table():
    """The doors and the refusals of each kind."""
    doors = collections.defaultdict(list)
    refusals = collections.defaultdict(list)
    for line in (HERE / "table.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 3:
            sys.exit(f"table.txt: three fields are wanted: {line}")
        if fields[0] == "door":
            doors[fields[1]].append(fields[2])
        else:
            refusals[fields[0]].append(Refusal(fields[1], fields[2]))
    if not doors or set(doors) != set(refusals):
        sys.exit("table.txt: every kind needs doors and refusals")
    return doors, refusals


def code_of(door, call):
    """The door's code with this call or type."""
    callable_, *arguments = [part.strip() for part in call.split(";")]
    return (
        door.replace("%f", callable_)
        .replace("%a", "".join(", " + argument for argument in arguments))
        .replace("%r", "".join(f", range_of({argument})" for argument in arguments))
        .replace("%v", f"any_value<{callable_}>()")
        .replace("%t", callable_)
    )


class Compiler:
    """A compiler and the prelude that it has compiled ahead."""

    def __init__(self, command, flags, folder):
        self.folder = pathlib.Path(folder)
        self.is_clang = "clang" in subprocess.run(
            [command, "--version"], capture_output=True, text=True, check=True
        ).stdout
        self.command = [command, *flags, "-w"]
        shutil.copy(HERE / "prelude.hpp", self.folder)
        ahead = self.folder / ("prelude.pch" if self.is_clang else "prelude.hpp.gch")
        subprocess.run(
            [*self.command, "-x", "c++-header", self.folder / "prelude.hpp", "-o", ahead],
            check=True,
        )
        self.command += ["-fsyntax-only", "-I", str(self.folder)]
        if self.is_clang:
            self.command += ["-include-pch", str(ahead), "-ferror-limit=0"]

    def run(self, name, cases):
        """Whether it compiles, and what is said; case i stands in line i + 2."""
        lines = ['#include "prelude.hpp"']
        lines += [f"void case_{i}() {{ {case.code} }}" for i, case in enumerate(cases)]
        source = self.folder / f"{name}.cpp"
        source.write_text("\n".join(lines) + "\n")
        result = subprocess.run(
            [*self.command, str(source)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        return result.returncode == 0, result.stderr


CHAIN = re.compile(r"^(In file included from | +from )")
CONTEXT = re.compile(r": In (instantiation|substitution|function|.*function|.*constructor)\b")


def errors_of(output):
    """What a compiler says, as lists of lines: one list for an error and its context, the
    includes apart, as they are not repeated for a second error in the same file."""
    errors = []
    current = []
    has_error = False
    longest_chain = chain = 0
    for line in output.splitlines():
        if re.match(r"^\d+ errors? generated", line):
            continue
        is_chain = CHAIN.match(line) is not None
        starts = is_chain or CONTEXT.search(line) or re.search(r": (fatal )?error: ", line)
        if starts and has_error:
            errors.append(current)
            current, has_error, chain = [], False, 0
        if is_chain:
            chain += 1
            longest_chain = max(longest_chain, chain)
            continue
        has_error = has_error or re.search(r": (fatal )?error: ", line) is not None
        current.append(line)
    if current:
        errors.append(current)
    return errors, max(0, longest_chain - LINES_OF_PRELUDE)


def complaints(name, cases, output):
    """What is wrong with what the compiler said."""
    errors, chain = errors_of(output)
    said = collections.defaultdict(list)
    for error in errors:
        places = re.findall(rf"\b{re.escape(name)}\.cpp:(\d+)", "\n".join(error))
        said[int(places[-1]) - 2 if places else None].append(error)
    for error in said.pop(None, []):
        yield "an error that names no line of the program:\n" + "\n".join(error)
    for i, case in enumerate(cases):
        what = f"{case.kind}: {case.code}\n    wanted: {case.refusal.text}\n"
        groups = said.get(i, [])
        lines = [line for group in groups for line in group]
        length = len(lines) + (chain if lines else 0)
        shown = "\n".join(line[:160] for line in lines)
        if not groups:
            yield what + "    it is not refused"
        elif not any(case.refusal.text in line for line in groups[0]):
            yield what + "    that is not the first thing said:\n" + shown
        elif length > MOST_LINES:
            yield what + f"    {length} lines are too much:\n" + shown


def main():
    command, *flags = sys.argv[1:]
    if shutil.which(command) is None:
        print(f"skipped: no {command} here")
        return 0
    doors, refusals = read_table()
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(command, flags, folder)
        units = []
        for kind, doors_of_kind in doors.items():
            if kind.endswith("_g++" if compiler.is_clang else "_clang++"):
                continue
            for door in doors_of_kind:
                together = []
                for refusal in refusals[kind]:
                    case = Case(kind, door, refusal, code_of(door, refusal.call))
                    # Of the same name without a type there is one text in a source.
                    if "name the overload" in refusal.text:
                        units.append([case])
                    else:
                        together.append(case)
                if together:
                    units.append(together)
        right = [
            Case(kind, door, None, code_of(door, call))
            for kind, doors_of_kind in doors.items()
            for door in doors_of_kind
            for call in RIGHT_CALLS[kind if kind in RIGHT_CALLS else "%t" in door or "%v" in door]
        ]
        compiles, output = compiler.run("right", right)
        failures = [] if compiles else ["right calls do not compile:\n" + output]
        count = 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            names = [f"unit_{i}" for i in range(len(units))]
            for name, unit, (_, output) in zip(names, units, pool.map(compiler.run, names, units)):
                failures += complaints(name, unit, output)
                count += len(unit)
    for failure in failures:
        print(failure)
    print(f"{command}: {len(failures)} of {count} are not refused as they should be"
          if failures else f"{command}: {count} calls are refused as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

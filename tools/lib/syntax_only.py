#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Lets the compiler of a build tree read every source of it, without making anything.

Usage: syntax_only.py <folder of compile_commands.json> <jobs> [<folder of sources>...]
Prints what the compiler says of the files that it refuses, and how many it read.
"""
import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys


def command_of(entry):
    """The entry's command, which reads and writes nothing."""
    command = shlex.split(entry["command"])
    where = command.index("-o")
    del command[where : where + 2]
    return command + ["-fsyntax-only"]


def read(entry):
    result = subprocess.run(
        command_of(entry), cwd=entry["directory"], text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return entry["file"], result.returncode, result.stdout


def main():
    tree = pathlib.Path(sys.argv[1]).resolve()
    wanted = [pathlib.Path(folder).resolve() for folder in sys.argv[3:] or ["."]]
    entries = {}
    for entry in json.loads((tree / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        made = file.is_relative_to(tree)  # by CMake, for its own ends
        if not made and any(file.is_relative_to(folder) for folder in wanted):
            entries.setdefault(file, entry)
    if not entries:
        sys.exit("no sources to read")
    failed = []
    with concurrent.futures.ThreadPoolExecutor(int(sys.argv[2])) as pool:
        for file, code, output in pool.map(read, entries.values()):
            if code != 0:
                failed.append(file)
                print(f"-- {file}\n{output}", flush=True)
    for file in failed:
        print("refused:", file)
    print(f"{len(entries) - len(failed)} files read, {len(failed)} refused")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

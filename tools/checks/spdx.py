#!/usr/bin/env python3
"""Every C++ file starts with its licence, in one line."""
from lib_tree import files, finish, text

LINE = "// SPDX-License-Identifier: BSL-1.0"

sources = files("*.hpp", "*.cpp")
problems = [f"{name}:1: the first line is not `{LINE}`" for name in sources if text(name).split("\n")[0] != LINE]
finish(problems, f"{len(sources)} files")

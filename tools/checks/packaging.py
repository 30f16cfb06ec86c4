#!/usr/bin/env python3
"""What tells others of the project tells the same: one version, the parts of Boost that are included,
and two Conan recipes that differ only where they must."""
import ast
import json
import re

from lib_tree import files, finish, includes, text

RECIPE = "conanfile.py"
CENTER = "tools/packaging/conan-center/libmp"
PORT = "tools/packaging/vcpkg/ports/libmp"
DEBIAN = "tools/packaging/debian"
# Methods that both recipes have, word for word.
SAME = ("requirements", "validate", "package", "package_info")
SAME_ATTRIBUTES = ("license", "description", "topics", "package_type", "settings", "options", "default_options",
                   "implements")

problems = []

version = re.search(r"^project\(libmp VERSION ([\d.]+)", text("CMakeLists.txt"), re.MULTILINE)[1]
told = {
    f"{PORT}/vcpkg.json": json.loads(text(f"{PORT}/vcpkg.json"))["version"],
    f"{CENTER}/config.yml": re.search(r'"([\d.]+)":', text(f"{CENTER}/config.yml"))[1],
    f"{CENTER}/all/conandata.yml": re.search(r'"([\d.]+)":', text(f"{CENTER}/all/conandata.yml"))[1],
    "README.md": re.search(r"^\*\*Version ([\d.]+)\*\*", text("README.md"), re.MULTILINE)[1],
    f"{DEBIAN}/changelog": re.match(r"libmp \(([\d.]+)-", text(f"{DEBIAN}/changelog"))[1],
}
problems += [f"{name}: version {other}, but CMakeLists.txt says {version}"
             for name, other in told.items() if other != version]

# -- The port names Boost's parts one by one; archives are a part of Serialization.
PARTS = {"archive": "boost-serialization", "version.hpp": None}
FEATURES = {"/concurrency/": "concurrency"}  # of the port, by what stands in a file's name
needed = {None: set(), **{feature: set() for feature in FEATURES.values()}}
for name in files("libmp/**", "libfutures/**"):
    if name.endswith((".hpp", ".cpp")):
        feature = next((feature for part, feature in FEATURES.items() if part in name), None)
        for _, included, _ in includes(name):
            if included.startswith("boost/"):
                part = included.split("/")[1]
                needed[feature].add(PARTS.get(part, "boost-" + part.removesuffix(".hpp")))


def boost_of(manifest):
    named = (item for item in manifest["dependencies"] if isinstance(item, str))
    return {item for item in named if item.startswith("boost-")}


port = json.loads(text(f"{PORT}/vcpkg.json"))
always = boost_of(port)
for feature, parts in needed.items():
    parts -= {None} if feature is None else {None, *always}
    boost = always if feature is None else boost_of(port["features"][feature])
    place = f"{PORT}/vcpkg.json" + (f", feature {feature}" if feature else "")
    problems += [f"{place}: no {part}, but the sources include it" for part in sorted(parts - boost)]
    problems += [f"{place}: {part}, which no source includes" for part in sorted(boost - parts)]

# -- The recipes.
def members(name):
    recipe = next(node for node in ast.parse(text(name)).body if isinstance(node, ast.ClassDef))
    out = {}
    for node in recipe.body:
        if isinstance(node, ast.FunctionDef):
            out[node.name] = ast.dump(node)
        elif isinstance(node, ast.Assign):
            out[node.targets[0].id] = ast.dump(node.value)
    return out


own, center = members(RECIPE), members(f"{CENTER}/all/conanfile.py")
for member in SAME + SAME_ATTRIBUTES:
    if own.get(member) is None or own.get(member) != center.get(member):
        problems.append(f"{RECIPE} and {CENTER}/all/conanfile.py differ in {member}")

finish(problems, f"version {version} in {len(told) + 1} places, {len(SAME)} methods in two recipes")

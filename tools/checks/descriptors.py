#!/usr/bin/env python3
"""Every descriptor that the libraries make is above the standard streams: a system call that makes one
stands inside new_fd(), and is closed on exec, which a file stream's is not."""
import re

from lib_tree import code, files, finish

# Calls that make a descriptor; those with everyday names are written with ::, ours without.
MAKERS = re.compile(
    r"(?<![\w>])::(socket|open|accept|dup|pipe)\s*\("
    r"|(?<![\w.>])(?:::)?(socketpair|pipe2|eventfd|epoll_create1?|memfd_create|memfd_secret|openat2?|shm_open|accept4"
    r"|timerfd_create|signalfd|inotify_init1?|mkstemp|mkostemp|fopen|fdopen|opendir|tmpfile)\s*\("
    r"|\bSYS_(pidfd_open|pidfd_getfd|memfd_create|openat2?|open|socket|dup)\b"
    r"|\b(F_DUPFD\w*|recvmsg|recvmmsg)\b"
    r"|\b(std::[io]?fstream|std::filesystem::(?:recursive_)?directory_iterator)\b"
)
# What makes a descriptor of it that is ours.
TAKERS = re.compile(r"(?:new_fd|try_new_fd|new_fd_pair|lifted)$")

# Where a call may stand outside, and why.
ALLOWED = {
    ("libmp/src/os/new_fd.cpp", "F_DUPFD_CLOEXEC"): "the mechanism itself",
    ("libmp/src/os/fd.cpp", "F_DUPFD_CLOEXEC"): "asks for a number from first_own_fd",
    ("libmp/src/os/new_fd.cpp", "open"): "/dev/null, in the place of a stream",
    ("libmp/src/os/fork.cpp", "open"): "/dev/null, for a standard stream",
    ("libmp/src/os/fork.cpp", "opendir"): "read and closed at once",
    ("libmp/src/os/exec.cpp", "open"): "between vfork and exec, where 0 to 2 are open",
    ("libmp/src/os/exec.cpp", "F_DUPFD"): "as above, and asks for a number that is no standard stream's",
    ("libmp/src/os/fd_passing.cpp", "recvmsg"): "collect() lifts what comes",
}

def takers_around(source, at):
    """The names before the parentheses that enclose a place."""
    depth = 0
    for index in range(at - 1, max(at - 2000, 0), -1):
        if source[index] == ")":
            depth += 1
        elif source[index] == "(":
            if depth == 0:
                yield re.search(r"(\w*)\s*$", source[max(index - 40, 0):index])[1]
            else:
                depth -= 1


problems = []
used = set()
names = files("libmp/*.cpp", "libmp/*.hpp", "libfutures/*.cpp", "libfutures/*.hpp")
for name in names:
    source = code(name)
    for match in MAKERS.finditer(source):
        call = next(group for group in match.groups() if group)
        line = source.count("\n", 0, match.start()) + 1
        if any(TAKERS.match(taker) for taker in takers_around(source, match.start())):
            continue
        if (name, call) in ALLOWED:
            used.add((name, call))
            continue
        problems.append(f"{name}:{line}: {call} outside of new_fd(): the descriptor may be 0, 1 or 2")

problems += [f"tools/checks/descriptors.py: {name} has no {call} any more" for name, call in set(ALLOWED) - used]
finish(problems, f"{len(names)} files")

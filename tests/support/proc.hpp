// SPDX-License-Identifier: BSL-1.0
// Reading /proc without allocating, so that a signal handler can do it, too.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace test {

/// Calls visit(name) for each entry of a directory. The directory's own descriptor is
/// open meanwhile; visit gets it as its second argument. False when the directory
/// cannot be opened.
template <class Visit>
bool for_each_entry(const char* directory, Visit visit) {
    const int fd = ::open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    // The kernel's struct linux_dirent64: inode, offset, record length, type, name.
    constexpr std::size_t length_at = 16;
    constexpr std::size_t name_at = 19;
    alignas(8) char buffer[4096];
    for (;;) {
        const long got = ::syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (got <= 0) {
            break;
        }
        for (long at = 0; at < got;) {
            std::uint16_t length = 0;
            std::memcpy(&length, buffer + at + length_at, sizeof length);
            const char* name = buffer + at + name_at;
            if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) {
                visit(name, fd);
            }
            at += length;
        }
    }
    ::close(fd);
    return true;
}

/// How many descriptors are open in this process; -1 when there is none to look with.
inline int open_descriptors() {
    int count = 0;
    const bool seen = for_each_entry("/proc/self/fd", [&](const char* name, int own) {
        count += std::atoi(name) != own ? 1 : 0;
    });
    return seen ? count : -1;
}

/// The start of a small file, as text; empty when it cannot be read.
struct FileText {
    explicit FileText(const char* path) {
        const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            const ssize_t got = ::read(fd, text, sizeof text - 1);
            size = got > 0 ? static_cast<std::size_t>(got) : 0;
            ::close(fd);
        }
        text[size] = '\0';
    }

    char text[2048];
    std::size_t size = 0;
};

/// What /proc/<pid>/stat says about a process that matters here.
struct ProcStat {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t group = 0;
    char state = '?';
    char name[32] = "?";

    bool zombie() const { return state == 'Z' || state == 'X'; }
};

/// False when there is no such process (any more).
inline bool read_stat(pid_t pid, ProcStat& out) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const FileText file(path);
    // The name stands in parentheses and may hold some itself: look for the last one.
    const char* open = std::strchr(file.text, '(');
    const char* close = std::strrchr(file.text, ')');
    if (open == nullptr || close == nullptr || close[1] == '\0') {
        return false;
    }
    out.pid = pid;
    std::snprintf(
        out.name, sizeof out.name, "%.*s", static_cast<int>(close - open - 1), open + 1
    );
    return std::sscanf(close + 2, "%c %d %d", &out.state, &out.parent, &out.group) == 3;
}

/// Calls visit(stat) for each process of the machine.
template <class Visit>
void for_each_process(Visit visit) {
    for_each_entry("/proc", [&](const char* name, int) {
        const pid_t pid = std::atoi(name);
        ProcStat stat;
        if (pid > 0 && read_stat(pid, stat)) {
            visit(stat);
        }
    });
}

/// The children of this process, and whatever else lives in its process group: a
/// grandchild whose parent is gone is still in the group.
template <class Visit>
void for_each_relative(Visit visit) {
    const pid_t self = ::getpid();
    const pid_t group = ::getpgrp() == self ? self : -1;
    for_each_process([&](const ProcStat& stat) {
        const bool child = stat.parent == self;
        // A zombie of somebody else is no concern of ours.
        const bool relative = stat.group == group && stat.pid != self && !stat.zombie();
        if (child || relative) {
            visit(stat);
        }
    });
}

}  // namespace test

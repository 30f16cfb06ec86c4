// SPDX-License-Identifier: BSL-1.0
// Names in /dev/shm: is it there, and waiting until it is not.
#pragma once

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <string>

namespace test {

inline bool has_name(const std::string& name) {
    return ::access(("/dev/shm/" + name).c_str(), F_OK) == 0;
}

/// Until somebody removes it; false after 20 s.
inline bool wait_until_gone(const std::string& name) {
    const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ::inotify_add_watch(watch, "/dev/shm", IN_DELETE);
    bool gone = !has_name(name);
    pollfd entry{.fd = watch, .events = POLLIN, .revents = 0};
    while (!gone && ::poll(&entry, 1, 20'000) == 1) {
        alignas(inotify_event) char events[4096];
        while (::read(watch, events, sizeof events) > 0) {
        }
        gone = !has_name(name);
    }
    ::close(watch);
    return gone;
}

}  // namespace test

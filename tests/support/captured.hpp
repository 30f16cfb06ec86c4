// SPDX-License-Identifier: BSL-1.0
// run_captured and stderr_of: a forked child whose stderr is read, with that of all it
// starts.
#pragma once

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>

namespace test {

struct Captured {
    int status = 0;  ///< exit code, or minus the signal
    std::string text;
};

/// Returns when the child and everything that has its stderr have ended.
template <class Body>
Captured run_captured(Body body) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe2");
    }
    const pid_t child = fork_child([&] {
        ::dup2(ends[1], 2);
        return body();
    });
    ::close(ends[1]);
    Captured captured;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) != 0;) {
        captured.text.append(
            buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0
        );
    }
    ::close(ends[0]);
    captured.status = exit_status(child);
    return captured;
}

/// What `body` writes to stderr in a child, which must end well.
template <class Body>
std::string stderr_of(Body body) {
    const Captured captured = run_captured([&] {
        body();
        return 0;
    });
    CHECK(captured.status == 0);
    return captured.text;
}

}  // namespace test

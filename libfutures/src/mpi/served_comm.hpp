// SPDX-License-Identifier: BSL-1.0
// ServedComms: the communicators that worker_comm() gives. What serves knows of them
// no more than this.
// Threads: the rank's.
#pragma once

#include <cstdint>

namespace futures::detail {

class ServedComms {
public:
    ServedComms() = default;
    ServedComms(const ServedComms&) = delete;
    ServedComms& operator=(const ServedComms&) = delete;
    virtual ~ServedComms() = default;

    /// While it lives, a task of an executor of the first `members` ranks
    /// runs in this thread.
    class Running {
    public:
        Running(ServedComms& comms, std::uint32_t members) noexcept;
        ~Running();
        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;
    };

    /// Whose task runs in this thread; null: none does.
    struct Current {
        ServedComms* comms = nullptr;
        std::uint32_t members = 0;
    };

    static Current& current() noexcept {
        thread_local Current current;
        return current;
    }
};

inline ServedComms::Running::Running(
    ServedComms& comms, std::uint32_t members
) noexcept {
    current() = {&comms, members};
}

inline ServedComms::Running::~Running() {
    current() = {};
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// What the tasks of a soak do: each notes that it was run, and gives a number that is
// known before.
#pragma once

#include "futures/future.hpp"
#include "futures/this_task.hpp"
#include "mp/raw_value.hpp"
#include "mp/remote_error.hpp"
#include "mp/units.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace soak {

using Number = std::int64_t;
using Clock = std::chrono::steady_clock;

/// How often each task was run, in shared memory.
using Runs = mp::RawArray<std::atomic<std::uint32_t>>;

/// What tasks throw.
struct Thrown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline const bool thrown_is_known = (mp::register_exception<Thrown>(), true);

inline Number sum(const Runs& runs, std::uint32_t id, Number a, Number b) {
    ++runs[id];
    return a + b;
}

inline Number
work(const Runs& runs, std::uint32_t id, Number value, std::uint32_t microseconds) {
    ++runs[id];
    const auto end = Clock::now() + std::chrono::microseconds(microseconds);
    while (Clock::now() < end) {
        asm volatile("");
    }
    return value;
}

inline Number add_up(const std::string& text) {
    Number total = 0;
    for (const char c : text) {
        total += static_cast<unsigned char>(c);
    }
    return total;
}

inline Number read_text(const Runs& runs, std::uint32_t id, const std::string& text) {
    ++runs[id];
    return add_up(text);
}

/// Throws in its first `failures` attempts.
inline Number
throw_first(const Runs& runs, std::uint32_t id, Number value, std::uint32_t failures) {
    ++runs[id];
    const auto attempt = futures::this_task().attempt();
    if (attempt <= failures) {
        throw Thrown("attempt " + std::to_string(attempt));
    }
    return value;
}

inline Number go_on_for_ever(const Runs& runs, std::uint32_t id) {
    ++runs[id];
    for (;;) {
        ::pause();
    }
}

inline Number go_on_until_asked(const Runs& runs, std::uint32_t id) {
    ++runs[id];
    for (;;) {
        futures::this_task().check_cancelled();
        std::this_thread::yield();
    }
}

/// With a child that would go on for ever, too.
inline Number go_on_with_child(const Runs& runs, std::uint32_t id) {
    ++runs[id];
    if (::fork() == 0) {
        if (::fork() == 0) {
            ::setsid();
        }
        for (;;) {
            ::pause();
        }
    }
    for (;;) {
        ::pause();
    }
}

inline Number crash(const Runs& runs, std::uint32_t id, std::uint32_t how) {
    ++runs[id];
    switch (how % 4) {
    case 0:
        ::raise(SIGKILL);
        break;
    case 1:
        std::abort();
    case 2:
        ::_exit(3);
    default:
        ::raise(SIGSEGV);
        break;
    }
    return 0;
}

inline Number eat_memory(const Runs& runs, std::uint32_t id) {
    ++runs[id];
    const std::vector<char> much(std::size_t{8} * mp::GiB);
    return static_cast<Number>(much.size());
}

inline Number burn_time(const Runs& runs, std::uint32_t id) {
    ++runs[id];
    for (;;) {
        asm volatile("");
    }
}

/// An item of a map.
inline Number doubled(Number value) {
    return 2 * value;
}

/// On threads: waits for a future of any pool.
inline Number
wait_for_it(const Runs& runs, std::uint32_t id, futures::Future<Number> f) {
    ++runs[id];
    return f.result() + 1;
}

inline void do_nothing() {}

}  // namespace soak

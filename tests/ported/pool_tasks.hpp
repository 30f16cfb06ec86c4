// SPDX-License-Identifier: BSL-1.0
// What the rows of ProcessPoolExecutor share: tasks, and what is expected of a pool
// that is broken or shut down.
#pragma once

#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace test::tasks {

inline int multiply(int a, int b) {
    return a * b;
}

inline pid_t pid() {
    return getpid();
}

inline int ring_and_pass(const std::string& bell, const std::string& gate, int value) {
    test::ring(bell);
    test::pass(gate);
    return value;
}

inline void exit_now(int code) {
    _exit(code);
}

inline void fail() {
    throw std::runtime_error("failed on purpose");
}

template <class T>
void expect_broken(const futures::Future<T>& future, const std::string& text) {
    try {
        future.result(std::chrono::seconds(30));
        FAIL_CHECK("no exception");
    } catch (const futures::BrokenProcessPool& error) {
        CHECK_THAT(error.what(), test::ContainsSubstring(text));
    }
}

/// spawn and forkserver: the methods that max_tasks_per_child can be used with.
inline mp::Context each_replacing_method() {
    return mp::get_context(GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver)
    );
}

inline void expect_gone(const std::vector<pid_t>& pids) {
    for (const pid_t process : pids) {
        CHECK(kill(process, 0) != 0);
    }
}

}  // namespace test::tasks

// SPDX-License-Identifier: BSL-1.0
// What the rows of locks, conditions and barriers share: processes and threads that do
// the same, and what they expect.
#pragma once

#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include <chrono>
#include <thread>
#include <vector>

namespace test {

constexpr std::chrono::milliseconds short_time{100};

/// In a child: ends it with status 1 when it is not so.
inline void expect(bool so) {
    if (!so) {
        throw mp::SystemExit(1);
    }
}

template <class Wait>
std::chrono::steady_clock::duration time_of(Wait wait) {
    const auto begin = std::chrono::steady_clock::now();
    wait();
    return std::chrono::steady_clock::now() - begin;
}

/// A number of processes and threads that each run the same function.
class Bunch {
public:
    template <class... Args>
    Bunch(
        const mp::Context& context,
        int processes,
        int threads,
        void (*target)(Args...),
        const Args&... args
    ) {
        for (int i = 0; i < processes; ++i) {
            processes_.push_back(context.Process(target, args...));
            processes_.back().start();
        }
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back(target, args...);
        }
    }

    bool join() {
        bool well = true;
        for (auto& process : processes_) {
            well = process.join(std::chrono::seconds(40)) && process.exitcode() == 0 &&
                   well;
        }
        for (auto& thread : threads_) {
            thread.join();
        }
        return well;
    }

private:
    std::vector<mp::Process> processes_;
    std::vector<std::thread> threads_;
};

}  // namespace test

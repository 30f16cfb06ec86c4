// SPDX-License-Identifier: BSL-1.0
// What the tests share that kill processes between any two operations of the locks'
// protocols, for each start method: nobody else hangs, exclusion holds, tokens add up.
// The programs are linked with the libraries' sources and their failpoints.
// MP_TEST_SEEDS says how many different runs each place gets.
// ThreadSanitizer does not see what orders accesses of different processes; and a
// thread that may allocate stands beside forks where [no-asan] says so.
#pragma once

#include "mp/context.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include "faults/kill_limits.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace test {

/// Exit codes of processes that saw what may not be.
constexpr int stuck = 3;
constexpr int wrong = 4;

/// What the processes of one run share beside the lock.
struct Shared {
    std::atomic<bool> stop;
    std::atomic<int> rounds;
    std::atomic<int> a;
    std::atomic<int> b;
    std::atomic<int> inside;
    std::atomic<int> made;
    std::atomic<int> used;
};

inline void linger(std::mt19937& random) {
    if (random() % 4 == 0) {
        std::this_thread::yield();
    }
    for (auto i = random() % 2000; i > 0; --i) {
        asm volatile("");
    }
}

/// Some processes of which some are killed and replaced. A run ends after `deaths`, or
/// when it takes too long for the rarer places.
class Run {
public:
    Run(const mp::Context& context, int seed)
        : context_(context), random_(static_cast<unsigned>(seed)) {}

    /// How often a victim passes the place before it is killed there.
    void set_max_passes(unsigned passes) { max_passes_ = passes; }

    Shared& shared() const { return block_.as<Shared>(); }

    const mp::detail::SharedBlock& block() const { return block_; }

    int deaths() const { return deaths_; }

    unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }

    template <class Work, class Object>
    mp::Process
    start(Work work, const Object& object, std::string_view point, int passes) {
        mp::Process process =
            context_.Process(work, object, block_, std::string(point), passes);
        process.start();
        return process;
    }

    /// Victims are killed at `point`; every second one at `first`, if that must happen
    /// before others can get there.
    template <class Work, class Object>
    void kill_at(
        std::string_view point, std::string_view first, Work work, const Object& object
    ) {
        const bool forks = context_.get_start_method() == mp::StartMethod::fork;
        const int wanted = forks ? 8 : 3;
        std::array<mp::Process, 2> bystanders{
            start(work, object, "", 0), start(work, object, "", 0)};
        const auto victim = [&](std::size_t i) {
            const bool prepares = !first.empty() && i == 0;
            return start(
                work,
                object,
                prepares ? first : point,
                1 + static_cast<int>(random(first.empty() ? max_passes_ : 3))
            );
        };
        std::vector<mp::Process> victims;
        for (std::size_t i = 0; i < 2; ++i) {
            victims.push_back(victim(i));
        }
        const mp::Deadline end(
            kill_seeds() > 3 ? std::chrono::seconds(2) : std::chrono::seconds(1)
        );
        while (deaths_ < wanted && !end.expired()) {
            for (std::size_t i = 0; i < victims.size(); ++i) {
                if (victims[i].join(std::chrono::milliseconds(2))) {
                    count(victims[i]);
                    victims[i] = victim(i);
                }
            }
        }
        shared().stop = true;
        for (auto& process : victims) {
            CHECK(process.join(too_long + std::chrono::seconds(10)));
            count(process);
        }
        for (auto& process : bystanders) {
            CHECK(process.join(too_long + std::chrono::seconds(10)));
            CHECK(process.exitcode() == 0);
        }
    }

private:
    void count(const mp::Process& process) {
        const int code = process.exitcode().value_or(stuck);
        CHECK((code == 0 || code == -SIGKILL));
        deaths_ += code == -SIGKILL ? 1 : 0;
    }

    mp::Context context_;
    mp::detail::SharedBlock block_ = mp::detail::SharedBlock::allocate(sizeof(Shared));
    std::mt19937 random_;
    unsigned max_passes_ = 20;
    int deaths_ = 0;
};

[[noreturn]] inline void leave(int code) {
    throw mp::SystemExit(code);
}

/// A failpoint; `first` is the one at which another process must be killed before any
/// can get there.
struct Place {
    const char* point;
    const char* first;
};

template <std::size_t count, class Body>
void at_each_place(const std::array<Place, count>& places, Body body) {
    const auto context = each_start_method();
    for (const auto& [point, first] : places) {
        int deaths = 0;
        for (int seed = 0; seed < kill_seeds(); ++seed) {
            INFO(
                point << ", seed " << seed << ", "
                      << to_string(context.get_start_method())
            );
            Run run(context, seed);
            body(run, point, first);
            deaths += run.deaths();
        }
        if (deaths == 0) {
            WARN("nobody came to: " << point);
        }
    }
}

}  // namespace test

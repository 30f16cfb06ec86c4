// SPDX-License-Identifier: BSL-1.0
// The machine's clock is set while the library waits: this program's clock of the day
// jumps by an hour, forward and back, each time that it is read. The cases:
// docs/faults.md.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/falls_asleep.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::Gate;
using test::inc;
using test::on;

namespace {

constexpr const char* jumps_variable = "MP_TEST_CLOCK_JUMPS";
constexpr long an_hour = 3600;

// In children as well, which have the environment.
std::atomic<bool> clock_jumps = std::getenv(jumps_variable) != nullptr;
std::atomic<unsigned> times_read = 0;

}  // namespace

// In place of the C library's, in all libraries of this program.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
    if (clock == CLOCK_REALTIME && clock_jumps) {
        time->tv_sec += times_read++ % 2 == 0 ? an_hour : -an_hour;
    }
    return result;
}

namespace {

class JumpingClock {
public:
    JumpingClock() {
        ::setenv(jumps_variable, "1", 1);
        clock_jumps = true;
    }

    ~JumpingClock() {
        clock_jumps = false;
        ::unsetenv(jumps_variable);
    }

    JumpingClock(const JumpingClock&) = delete;
    JumpingClock& operator=(const JumpingClock&) = delete;
};

bool jumps_here() {
    const auto first = std::chrono::system_clock::now();
    const auto second = std::chrono::system_clock::now();
    return second - first > 1h || first - second > 1h;
}

int wait_for_ever() {
    test::block_until_killed();
}

/// Calls `wait` in a thread, and `bring_about` when that sleeps.
template <class Wait, class BringAbout>
bool is_in_time(Wait wait, BringAbout bring_about) {
    std::atomic<pid_t> number = 0;
    bool in_time = false;
    std::thread waiting([&] {
        number = ::gettid();
        in_time = wait();
    });
    const bool sleeps = test::falls_asleep(number);
    bring_about();
    waiting.join();
    return sleeps && in_time;
}

/// A wait whose end does not come is over at its timeout, one whose end comes is not
/// over before.
template <class Executor>
void check_futures_of(Executor& pool, const Gate& gate) {
    const auto held = pool.submit(test::pass, gate.path());
    CHECK_THROWS_AS(held.result(20ms), futures::TimeoutError);
    CHECK(futures::wait({held}, 20ms).not_done.size() == 1);
    CHECK_THROWS_AS(futures::as_completed({held}, 20ms).begin(), futures::TimeoutError);
    CHECK(is_in_time(
        [&] { return held.exception(60s) == nullptr; }, [&] { gate.open(1); }
    ));
    const std::vector<std::string> gates(2, gate.path());
    auto late = pool.map({.timeout = 20ms}, test::pass, gates);
    CHECK_THROWS_AS(late.to_vector(), futures::TimeoutError);
    gate.open(2);
    CHECK(pool.map({.timeout = 60s}, inc, {1, 2}).to_vector() == std::vector{2, 3});
}

}  // namespace

TEST_CASE("I16: the clock is set while futures are waited for", "[faults]") {
    const auto context = each_pool_start_method();
    const JumpingClock jumping;
    REQUIRE(jumps_here());
    const Gate gate;
    {
        ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
        CHECK(pool.submit(jumps_here).result(60s));
        check_futures_of(pool, gate);
        CHECK_THROWS_AS(
            pool.submit({.timeout = 20ms}, wait_for_ever).result(60s),
            futures::TaskTimeout
        );
        CHECK(pool.submit({.timeout = 60s}, inc, 1).result(60s) == 2);
        CHECK(pool.submit({.retries = 1}, inc, 1).result(60s) == 2);
    }
    while (gate.has_one()) {
    }
    ThreadPoolExecutor pool(2);
    check_futures_of(pool, gate);
}

TEST_CASE(
    "I16: the clock is set while processes and what they share are waited for",
    "[faults]"
) {
    const auto context = each_start_method();
    const JumpingClock jumping;
    REQUIRE(jumps_here());
    auto process = context.Process(test::block_until_killed);
    process.start();
    CHECK_FALSE(process.join(20ms));
    CHECK(is_in_time([&] { return process.join(60s); }, [&] { process.kill(); }));

    auto queue = context.Queue<int>(1);
    CHECK_THROWS_AS(queue.get(20ms), mp::Empty);
    CHECK(is_in_time([&] { return queue.get(60s) == 1; }, [&] { queue.put(1); }));
    queue.put(1);
    CHECK_THROWS_AS(queue.put(2, 20ms), mp::Full);
    CHECK(is_in_time(
        [&] {
            queue.put(2, 60s);
            return true;
        },
        [&] { queue.get(); }
    ));

    auto lock = context.Lock();
    REQUIRE(lock.acquire());
    CHECK_FALSE(lock.acquire(20ms));
    CHECK(is_in_time(
        [&] { return static_cast<bool>(lock.acquire(60s)); }, [&] { lock.release(); }
    ));

    auto event = context.Event();
    CHECK_FALSE(event.wait(20ms));
    CHECK(is_in_time([&] { return event.wait(60s); }, [&] { event.set(); }));

    auto [reader, writer] = mp::Pipe({.duplex = false});
    CHECK_FALSE(reader.poll(20ms));
    CHECK(is_in_time(
        [&, &reader = reader] { return reader.poll(60s); },
        [&, &writer = writer] { writer.send(1); }
    ));
}

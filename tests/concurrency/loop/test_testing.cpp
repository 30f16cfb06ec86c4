// SPDX-License-Identifier: BSL-1.0
// A clock for tests, and waiting until all tasks wait.
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <thread>

using concurrency::Backend;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::current_time;
using concurrency::inf;
using concurrency::sleep;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::testing::MockClock;
using concurrency::testing::wait_all_tasks_blocked;
using namespace std::chrono_literals;

namespace {

Task<> sleep_and_note(double seconds, std::string& order, char note) {
    co_await sleep(seconds);
    order += note;
}

}  // namespace

TEST_CASE(
    "trio.run::current_time_with_mock_clock trio.run::current_clock: the time stands "
    "still until it is moved",
    "[testing]"
) {
    test::each_backend([](Backend backend) {
        MockClock clock;
        const auto body = [&]() -> Task<> {
            const double begin = current_time();
            CHECK(begin == clock.current_time());
            for (int i = 0; i < 100; ++i) {
                co_await checkpoint();
            }
            CHECK(current_time() == begin);
            clock.jump(3.15);
            CHECK(current_time() == begin + 3.15);
        };
        concurrency::run(body, clock, backend);
        CHECK(clock.current_time() == 3.15);
    });
}

TEST_CASE(
    "eventloop::TrioOptions.clock: sleeping for ten seconds, or for days, takes no "
    "time",
    "[testing]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        co_await sleep(10);
        CHECK(clock.current_time() == 10);
        co_await sleep(72h);
        CHECK(current_time() == 10 + 72 * 3600);
        bool timed_out = false;
        try {
            co_await concurrency::fail_after(3600, concurrency::sleep_forever());
        } catch (const concurrency::TimeoutError&) {
            timed_out = true;
        }
        CHECK(timed_out);
        CHECK(current_time() == 10 + 73 * 3600);
    });
}

TEST_CASE("MockClock: sleepers wake in the order of their times", "[testing]") {
    test::with_mock_clock([]() -> Task<> {
        std::string order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(sleep_and_note, 300, std::ref(order), 'c');
            group.start_soon(sleep_and_note, 0.1, std::ref(order), 'a');
            group.start_soon(sleep_and_note, 0.2, std::ref(order), 'b');
            group.start_soon(sleep_and_note, 1e8, std::ref(order), 'd');
            co_return;
        });
        CHECK(order == "abcd");
        CHECK(current_time() == 1e8);
    });
}

TEST_CASE(
    "MockClock: jump() wakes whoever waited for a time until there", "[testing]"
) {
    test::each_backend([](Backend backend) {
        MockClock clock;
        const auto body = [&]() -> Task<> {
            std::string order;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(sleep_and_note, 0.3, std::ref(order), 'a');
                group.start_soon(sleep_and_note, 0.7, std::ref(order), 'b');
                group.start_soon(sleep_and_note, 1.1, std::ref(order), 'c');
                co_await wait_all_tasks_blocked();
                clock.jump(0.3);
                co_await wait_all_tasks_blocked();
                CHECK(order == "a");
                clock.jump(0.2);
                co_await wait_all_tasks_blocked();
                CHECK(order == "a");
                clock.jump(10);
                co_await wait_all_tasks_blocked();
                CHECK(order == "abc");
            });
            auto scope = concurrency::move_on_after(0.1);
            const bool completed = co_await scope.run([&]() -> Task<> {
                clock.jump(0.1);
                co_await concurrency::sleep_forever();
            });
            CHECK_FALSE(completed);
        };
        concurrency::run(body, clock, backend);
        CHECK(clock.current_time() == 10.6);
    });
}

TEST_CASE("MockClock: with a rate it goes by real time", "[testing]") {
    test::each_backend([](Backend backend) {
        MockClock clock(1e6);
        const auto body = [&]() -> Task<> {
            const double begin = current_time();
            co_await sleep(1000);
            CHECK(current_time() - begin >= 1000);
            clock.set_rate(0);
            const double still = current_time();
            co_await checkpoint();
            CHECK(current_time() == still);
            // A task that waits for a clock that stands still goes on when it is moved
            // by rate again.
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([]() -> Task<> { co_await sleep(2000); });
                co_await wait_all_tasks_blocked();
                CHECK(current_time() == still);
                clock.set_rate(2e6);
            });
            CHECK(current_time() >= still + 2000);
        };
        concurrency::run(body, clock, backend);
    });
}

TEST_CASE("MockClock: a threshold lets it jump after so much real time", "[testing]") {
    test::each_backend([](Backend backend) {
        MockClock clock(0, 0.001);
        const auto body = [&]() -> Task<> {
            const auto begin = std::chrono::steady_clock::now();
            co_await sleep(3600);
            CHECK(std::chrono::steady_clock::now() - begin >= 1ms);
            CHECK(current_time() == 3600);
            clock.set_autojump_threshold(std::nullopt);
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([]() -> Task<> { co_await sleep(3600); });
                co_await wait_all_tasks_blocked(0.002);
                CHECK(current_time() == 3600);
                clock.set_autojump_threshold(0);
            });
            CHECK(current_time() == 7200);
        };
        concurrency::run(body, clock, backend);
    });
}

TEST_CASE("MockClock: works in an io_context of the program's own", "[testing]") {
    boost::asio::io_context context;
    MockClock clock(0, 0);
    const auto body = []() -> Task<double> {
        co_await sleep(3600);
        co_return current_time();
    };
    CHECK(concurrency::run(body, clock, context) == 3600);
}

TEST_CASE("MockClock: refuses what is no rate, jump or second loop", "[testing]") {
    using concurrency::ValueError;
    CHECK_THROWS_AS(MockClock(-1), ValueError);
    CHECK_THROWS_AS(MockClock(inf), ValueError);
    CHECK_THROWS_AS(MockClock(std::numeric_limits<double>::quiet_NaN()), ValueError);
    MockClock clock(1, 5);
    CHECK(clock.rate() == 1);
    CHECK(clock.autojump_threshold() == 5);
    CHECK_THROWS_AS(clock.set_rate(-1), ValueError);
    CHECK_THROWS_AS(clock.jump(-0.1), ValueError);
    CHECK_THROWS_AS(clock.jump(inf), ValueError);
    CHECK(clock.rate() == 1);
    const auto body = [&]() -> Task<> {
        std::string refused;
        std::thread([&] {
            try {
                concurrency::run(checkpoint, clock);
            } catch (const concurrency::RuntimeError& e) {
                refused = e.what();
            }
        }).join();
        CHECK(refused == "the MockClock is that of another loop already");
        co_return;
    };
    concurrency::run(body, clock);
    CHECK_NOTHROW(concurrency::run(body, clock));  // one after another
}

TEST_CASE(
    "wait_all_tasks_blocked: every other task waits when it ends, and those that wait "
    "here as well",
    "[testing]"
) {
    test::over_backends([]() -> Task<> {
        std::string order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                for (int i = 0; i < 1000; ++i) {
                    co_await checkpoint();
                }
                order += 'a';
                co_await concurrency::sleep_forever();
            });
            for (int i = 0; i < 2; ++i) {
                group.start_soon([&]() -> Task<> {
                    co_await wait_all_tasks_blocked();
                    order += 'b';
                });
            }
            co_await wait_all_tasks_blocked(1ms);
            order += 'c';
            group.cancel();
        });
        CHECK(order == "abbc");
    });
}

TEST_CASE("wait_all_tasks_blocked: can be cancelled", "[testing]") {
    test::over_backends([]() -> Task<> {
        bool after = false;
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    co_await wait_all_tasks_blocked(60);
                    after = true;
                });
            });
            co_await wait_all_tasks_blocked();
            scope.cancel();
        });
        CHECK(scope.cancelled_caught());
        scope.cancel();
        CancelScope cancelled;
        cancelled.cancel();
        CHECK_AWAITED(cancelled.run(wait_all_tasks_blocked()), == false);
        CHECK_FALSE(after);
    });
}

TEST_CASE("MockClock: made by the names of its options", "[testing]") {
    MockClock jumping({.autojump_threshold = 0});
    CHECK(jumping.rate() == 0);
    concurrency::run(
        []() -> Task<> {
            co_await sleep(1h);
            CHECK(current_time() == 3600);
        },
        jumping
    );
    MockClock moved;
    moved.jump(1h);
    CHECK(moved.current_time() == 3600);
    const MockClock running({.rate = 2});
    CHECK(running.rate() == 2);
    CHECK(running.autojump_threshold() == inf);
    CHECK_THROWS_AS(MockClock({.rate = -1}), concurrency::ValueError);
}

// SPDX-License-Identifier: BSL-1.0
// ThreadPoolExecutor: its tasks, its threads, and its end.
#include "futures/as_completed.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/cpu_count.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/fork_child.hpp"
#include "support/proc.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <numeric>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ThreadPoolExecutor;
using test::Counted;

static_assert(futures::Executor<ThreadPoolExecutor>);
static_assert(!std::is_copy_constructible_v<ThreadPoolExecutor>);

namespace {

int square(int x) {
    return x * x;
}

struct alignas(128) Wide {
    int value = 0;
};

bool main_thread_sleeps() {
    test::ProcStat stat;
    return test::read_stat(::getpid(), stat) && stat.state == 'S';
}

/// Counts its living copies.
class Tracked {
public:
    explicit Tracked(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }

    Tracked(const Tracked& other) : alive_(other.alive_) { ++*alive_; }

    Tracked& operator=(const Tracked&) = delete;

    ~Tracked() { --*alive_; }

private:
    std::atomic<int>* alive_;
};

}  // namespace

TEST_CASE("ThreadPoolExecutor: runs any callable", "[thread_pool]") {
    ThreadPoolExecutor threads(2);
    CHECK(threads.submit(square, 7).result() == 49);
    CHECK(threads.submit([] { return std::string("text"); }).result() == "text");
    auto only = std::make_unique<int>(5);
    CHECK(threads.submit([p = std::move(only)] { return *p; }).result() == 5);
    auto moved = threads.submit(
        [](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(6)
    );
    CHECK(*std::move(moved).result() == 6);
    CHECK(threads.submit(&std::string::size, std::string("four")).result() == 4);
    int changed = 0;
    threads.submit([](int& x) { x = 9; }, std::ref(changed)).result();
    CHECK(changed == 9);
    CHECK(threads.submit([] { return Wide{3}; }).result().value == 3);
    const auto wide =
        threads.submit([w = Wide{4}] { return reinterpret_cast<std::uintptr_t>(&w); });
    CHECK(wide.result() % alignof(Wide) == 0);
}

TEST_CASE(
    "ThreadPoolExecutor: what a task throws reaches its future", "[thread_pool]"
) {
    ThreadPoolExecutor threads(1);
    const auto failed = threads.submit([]() -> int { throw std::out_of_range("far"); });
    CHECK_THROWS_AS(failed.result(), std::out_of_range);
    const auto odd = threads.submit([] { throw 17; });
    CHECK_THROWS_AS(odd.result(), int);
    const auto exits = threads.submit([] { throw mp::SystemExit(3); });
    CHECK_THROWS_AS(exits.result(), mp::SystemExit);
    CHECK(threads.submit(square, 3).result() == 9);
    CHECK(threads.statistics().threads == 1);
}

TEST_CASE(
    "ThreadPoolExecutor: its futures can only be settled by itself", "[thread_pool]"
) {
    ThreadPoolExecutor threads(1);
    std::binary_semaphore go(0);
    const auto blocked = threads.submit([&] { go.acquire(); });
    const auto waiting = threads.submit(square, 2);
    CHECK_THROWS_AS(waiting.set_result(5), futures::InvalidStateError);
    CHECK_THROWS_AS(waiting.set_running_or_notify_cancel(), futures::InvalidStateError);
    go.release();
    CHECK(waiting.result() == 4);
}

TEST_CASE("ThreadPoolExecutor: cancels what has not begun, exactly", "[thread_pool]") {
    std::atomic<int> alive{0};
    ThreadPoolExecutor threads(1);
    std::binary_semaphore go(0);
    std::binary_semaphore begun(0);
    const auto running = threads.submit([&] {
        begun.release();
        go.acquire();
    });
    begun.acquire();
    CHECK(running.running());
    CHECK_FALSE(running.cancel());
    bool ran = false;
    const auto queued = threads.submit([&ran, t = Tracked(alive)] { ran = true; });
    CHECK(alive == 1);
    CHECK(queued.cancel());
    CHECK(alive == 0);  // what it captured is let go of at once
    CHECK(queued.cancelled());
    CHECK(futures::wait({queued}, 0s).done.size() == 1);
    go.release();
    threads.shutdown();
    CHECK_FALSE(ran);
}

TEST_CASE("ThreadPoolExecutor: many submitters, many threads", "[thread_pool]") {
    constexpr int each = 5000;
    std::atomic<std::int64_t> sum{0};
    {
        ThreadPoolExecutor threads(4);
        std::vector<std::thread> submitters;
        for (int s = 0; s < 3; ++s) {
            submitters.emplace_back([&] {
                for (int i = 0; i < each; ++i) {
                    threads.submit([&sum, i] { sum += i; });
                }
            });
        }
        for (auto& submitter : submitters) {
            submitter.join();
        }
    }
    CHECK(sum == 3LL * each * (each - 1) / 2);
}

TEST_CASE(
    "ThreadPoolExecutor: one after the other, whoever sleeps is woken", "[thread_pool]"
) {
    ThreadPoolExecutor threads(3);
    for (int i = 0; i < 20000; ++i) {
        REQUIRE(threads.submit(square, i % 100).result() == (i % 100) * (i % 100));
    }
    for (int i = 0; i < 200; ++i) {
        std::vector<Future<int>> fs;
        for (int k = 0; k < 7; ++k) {
            fs.push_back(threads.submit(square, k));
        }
        REQUIRE(futures::wait(fs).not_done.empty());
        while (i % 20 == 0 &&
               threads.statistics().sleeping < threads.statistics().threads) {
            std::this_thread::yield();
        }
    }
}

TEST_CASE("ThreadPoolExecutor: tasks submit tasks", "[thread_pool]") {
    std::atomic<int> left{2000};
    std::binary_semaphore done(0);
    std::function<void()> step;
    ThreadPoolExecutor threads(2);
    step = [&] {
        const int now = --left;
        if (now == 0) {
            done.release();
        } else if (now > 0) {
            threads.submit(step);
        }
    };
    threads.submit(step);
    threads.submit(step);
    CHECK(done.try_acquire_for(30s));
    threads.shutdown();
    // The second of the two chains ends after the first, or with the shutdown.
    CHECK(left <= 0);
}

TEST_CASE("ThreadPoolExecutor: the waiting ones are not kept waiting by a long task") {
    ThreadPoolExecutor threads(2);
    std::binary_semaphore go(0);
    const auto long_one = threads.submit([&] { go.acquire(); });
    std::vector<Future<int>> fs;
    for (int i = 0; i < 1000; ++i) {
        fs.push_back(threads.submit(square, i));
    }
    CHECK(futures::wait(fs).done.size() == 1000);
    CHECK_FALSE(long_one.done());
    go.release();
}

TEST_CASE("ThreadPoolExecutor: a callback may wait for a task if a thread is left") {
    ThreadPoolExecutor threads(2);
    for (int round = 0; round < 100; ++round) {
        std::promise<int> got;
        threads.submit(square, 2).add_done_callback([&](const auto&) {
            // The second thread is made for it.
            got.set_value(threads.submit(square, 3).result(30s));
        });
        REQUIRE(got.get_future().get() == 9);
    }
}

TEST_CASE("ThreadPoolExecutor: refuses after shutdown(), as often as asked") {
    ThreadPoolExecutor threads(2);
    threads.submit(square, 1);
    threads.shutdown({.wait = false});
    CHECK_THROWS_AS(threads.submit(square, 2), mp::StateError);
    threads.shutdown();
    threads.shutdown();
    CHECK_THROWS_WITH(
        threads.submit(square, 2), test::ContainsSubstring("was shut down")
    );
}

TEST_CASE("ThreadPoolExecutor: submit() against shutdown() loses nothing") {
    for (int round = 0; round < 60; ++round) {
        ThreadPoolExecutor threads(1 + round % 3);
        std::atomic<int> ran{0};
        int accepted = 0;
        std::thread submitter([&] {
            try {
                for (;;) {
                    threads.submit([&] { ++ran; });
                    ++accepted;
                }
            } catch (const mp::StateError&) {
            }
        });
        if (round % 2 == 0) {
            std::this_thread::yield();
        }
        threads.shutdown();
        submitter.join();
        // A task that was accepted while the last thread ended was run by it.
        CHECK(ran == accepted);
    }
}

TEST_CASE("ThreadPoolExecutor: a task cannot wait for its own executor's end") {
    ThreadPoolExecutor threads(1);
    CHECK_THROWS_AS(
        threads.submit([&] { threads.shutdown(); }).result(), mp::StateError
    );
    CHECK(threads.submit(square, 2).result() == 4);
    threads.submit([&] { threads.shutdown({.wait = false}); }).result();
    CHECK_THROWS_AS(threads.submit(square, 2), mp::StateError);
}

TEST_CASE("ThreadPoolExecutor: a task may destroy the last handle of its executor") {
    auto threads = std::make_shared<ThreadPoolExecutor>(2);
    const auto begun = std::make_shared<std::binary_semaphore>(0);
    const auto ended = threads->submit([threads, begun]() mutable {
        begun->acquire();
        threads.reset();
        return 1;
    });
    threads.reset();
    begun->release();
    CHECK(ended.result() == 1);
}

TEST_CASE("ThreadPoolExecutor: a moved one works on, the old handle refuses") {
    ThreadPoolExecutor first(1);
    ThreadPoolExecutor second(std::move(first));
    CHECK(second.submit(square, 2).result() == 4);
    CHECK_THROWS_AS(first.submit(square, 2), mp::StateError);
    second = ThreadPoolExecutor(1);
    CHECK(second.submit(square, 3).result() == 9);
}

TEST_CASE(
    "ThreadPoolExecutor: in a forked child it is an empty shell", "[fork][no-tsan]"
) {
    auto threads = std::make_unique<ThreadPoolExecutor>(2);
    CHECK(threads->submit(square, 2).result() == 4);
    const int status = test::run_in_fork([&] {
        try {
            threads->submit(square, 2);
            return 1;
        } catch (const mp::StateError&) {
        }
        threads->shutdown();
        threads.reset();
        ThreadPoolExecutor own(1);
        return own.submit(square, 3).result() == 9 ? 0 : 2;
    });
    CHECK(status == 0);
    CHECK(threads->submit(square, 4).result() == 16);
}

TEST_CASE("ThreadPoolExecutor: names its threads, the system sees 15 characters") {
    ThreadPoolExecutor threads(
        {.max_workers = 1, .thread_name_prefix = "a-very-long-name"}
    );
    const auto names = threads.submit([] {
        std::array<char, 16> seen{};
        pthread_getname_np(pthread_self(), seen.data(), seen.size());
        return std::pair(futures::current_thread_name(), std::string(seen.data()));
    });
    CHECK(names.result().first == "a-very-long-name_0");
    CHECK(names.result().second == "a-very-long-nam");
}

TEST_CASE(
    "ThreadPoolExecutor: a result is moved out, however long one waits", "[thread_pool]"
) {
    ThreadPoolExecutor threads(1);
    int copies = 0;
    for (int i = 0; i < 2000; ++i) {
        threads
            .submit([&copies, slow = i % 100 == 0] {
                while (slow && !main_thread_sleeps()) {
                    std::this_thread::yield();
                }
                return Counted(copies);
            })
            .result();
    }
    CHECK(copies == 0);
}

TEST_CASE("ThreadPoolExecutor: a worker that no thread can be made for is no loss") {
    ThreadPoolExecutor threads(1000000);
    std::vector<Future<int>> fs;
    for (int i = 0; i < 100; ++i) {
        fs.push_back(threads.submit(square, i));
    }
    CHECK(futures::wait(fs).not_done.empty());
}

TEST_CASE("ThreadPoolExecutor: a million pending futures", "[.slow]") {
    ThreadPoolExecutor threads(1);
    std::binary_semaphore go(0);
    threads.submit([&] { go.acquire(); });
    std::vector<Future<int>> fs;
    for (int i = 0; i < 1000000; ++i) {
        fs.push_back(threads.submit(square, 1));
    }
    go.release();
    std::int64_t sum = 0;
    for (auto& f : fs) {
        sum += f.result();
    }
    CHECK(sum == 1000000);
}

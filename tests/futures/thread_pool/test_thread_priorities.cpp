// SPDX-License-Identifier: BSL-1.0
// Priorities in a thread pool: which of the tasks that wait is the next.
#include "futures/errors.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <latch>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ThreadPoolExecutor;

namespace {

/// Holds the one thread of a pool, so that what is submitted waits.
class HeldPool {
public:
    HeldPool() {
        pool.submit([this] {
            begun_.count_down();
            gate_.wait();
        });
        begun_.wait();
    }

    void let_go() { gate_.count_down(); }

private:
    std::latch begun_{1};
    std::latch gate_{1};

public:
    ThreadPoolExecutor pool{1};
};

/// In which order tasks were run.
class Order {
public:
    auto note(int number) {
        return [this, number] {
            const std::lock_guard lock(mutex_);
            ran_.push_back(number);
        };
    }

    std::vector<int> ran() const {
        const std::lock_guard lock(mutex_);
        return ran_;
    }

    std::ptrdiff_t place_of(int number) const {
        const auto all = ran();
        return std::find(all.begin(), all.end(), number) - all.begin();
    }

private:
    mutable std::mutex mutex_;
    std::vector<int> ran_;
};

int fibonacci_inside(ThreadPoolExecutor& pool, int n) {
    if (n < 2) {
        return n;
    }
    const auto one = pool.submit(fibonacci_inside, std::ref(pool), n - 1);
    return fibonacci_inside(pool, n - 2) + one.result();
}

}  // namespace

TEST_CASE("ThreadPoolExecutor: of the tasks that wait, the larger priority is first") {
    HeldPool held;
    Order order;
    held.pool.submit(order.note(0));
    held.pool.submit({.priority = -3}, order.note(-3));
    held.pool.submit({.priority = 1}, order.note(1));
    held.pool.submit({.priority = 7}, order.note(70));
    held.pool.submit(order.note(2));
    held.pool.submit({.priority = 7}, order.note(71));
    held.pool.submit({.priority = -1}, order.note(-1));
    held.pool.submit({.priority = 7}, order.note(72));
    CHECK(held.pool.statistics().submitted == 9);
    held.let_go();
    held.pool.shutdown();
    CHECK(order.ran() == std::vector{70, 71, 72, 1, 0, 2, -1, -3});
    CHECK(held.pool.statistics().submitted == 9);
    CHECK(held.pool.statistics().begun == 9);
}

TEST_CASE("ThreadPoolExecutor: a task is passed by at most 256 that came later") {
    const int of_old = GENERATE(0, -1, 3);
    const int of_others = of_old + 1;
    HeldPool held;
    Order order;
    for (int i = 1; i <= 10; ++i) {
        held.pool.submit({.priority = of_others}, order.note(i));
    }
    held.pool.submit({.priority = of_old}, order.note(1000));
    held.pool.submit({.priority = of_old}, order.note(1001));
    for (int i = 11; i <= 700; ++i) {
        held.pool.submit({.priority = of_others}, order.note(i));
    }
    held.let_go();
    held.pool.shutdown();
    CHECK(order.ran().size() == 702);
    CHECK(order.place_of(1000) == 10 + 256);
    CHECK(order.place_of(1001) == 10 + 256 + 1 + 256);
}

TEST_CASE(
    "dask::test_client::sub_submit_priority: the children of a task have its priority, "
    "and go before others that have it"
) {
    HeldPool held;
    Order order;
    held.pool.submit({.priority = 5}, [&] {
        order.note(5)();
        held.pool.submit(order.note(50));
        held.pool.submit({.priority = 1}, order.note(10));
        held.pool.submit({.name = "named"}, [&] {
            order.note(51)();
            held.pool.submit(order.note(52));
        });
    });
    held.pool.submit({.priority = 5}, order.note(6));
    held.pool.submit({.priority = 4}, order.note(4));
    held.pool.submit({.priority = 6}, order.note(60));
    held.pool.submit(order.note(0));
    held.let_go();
    while (order.ran().size() < 9) {
        std::this_thread::yield();
    }
    held.pool.shutdown();
    CHECK(order.ran() == std::vector{60, 5, 50, 51, 52, 6, 4, 10, 0});
}

TEST_CASE("ThreadPoolExecutor: what waits for futures takes its priority along") {
    HeldPool held;
    Order order;
    Future<int> value;
    held.pool.submit(order.note(0));
    held.pool.submit({.priority = 2, .after = {value}}, order.note(2));
    held.pool.submit(
        {.priority = 3}, [&](int number) { order.note(number)(); }, value
    );
    held.pool.submit({.priority = 1}, order.note(1));
    value.set_result(3);
    held.let_go();
    held.pool.shutdown();
    CHECK(order.ran() == std::vector{3, 2, 1, 0});
}

TEST_CASE("ThreadPoolExecutor: map() has a priority, too") {
    HeldPool held;
    Order order;
    const auto note = [&](int number) {
        order.note(number)();
    };
    auto plain = held.pool.map(note, {1, 2, 3});
    auto urgent = held.pool.map({.priority = 1}, note, {11, 12, 13});
    held.let_go();
    plain.to_vector();
    urgent.to_vector();
    CHECK(order.ran() == std::vector{11, 12, 13, 1, 2, 3});
}

TEST_CASE("ThreadPoolExecutor: tasks of any priority run once, or are cancelled") {
    const int threads = GENERATE(1, 4);
    ThreadPoolExecutor pool(threads);
    std::vector<std::atomic<int>> runs(20'000);
    std::vector<Future<void>> all(runs.size());
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> submitters;
    for (unsigned seed = 0; seed < 3; ++seed) {
        submitters.emplace_back([&, seed] {
            std::mt19937 random(seed);
            for (std::size_t i = next++; i < runs.size(); i = next++) {
                const int priority =
                    random() % 2 == 0 ? 0 : static_cast<int>(random() % 9) - 4;
                all[i] = pool.submit({.priority = priority}, [&runs, i] { ++runs[i]; });
                if (random() % 16 == 0) {
                    all[i].cancel();
                }
            }
        });
    }
    for (auto& submitter : submitters) {
        submitter.join();
    }
    pool.shutdown();
    bool right = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        right = right && runs[i] == (all[i].cancelled() ? 0 : 1);
    }
    CHECK(right);
    CHECK(pool.statistics().submitted == runs.size());
    CHECK(pool.statistics().begun == runs.size());
}

TEST_CASE("ThreadPoolExecutor: a recursion with a priority needs no more threads") {
    ThreadPoolExecutor pool(2);
    const auto result =
        pool.submit({.priority = 3}, fibonacci_inside, std::ref(pool), 18);
    CHECK(result.result() == 2584);
    CHECK(pool.submit([] { return 1; }).result() == 1);
}

TEST_CASE("ThreadPoolExecutor: what waits with a priority is cancelled with the rest") {
    HeldPool held;
    Order order;
    const auto urgent = held.pool.submit({.priority = 1}, order.note(1));
    const auto plain = held.pool.submit(order.note(2));
    held.pool.shutdown({.wait = false, .cancel_futures = true});
    CHECK(urgent.cancelled());
    CHECK(plain.cancelled());
    held.let_go();
    held.pool.shutdown();
    CHECK(order.ran().empty());
}

TEST_CASE("ThreadPoolExecutor: what waits with a priority fails with a broken pool") {
    std::latch gate(1);
    ThreadPoolExecutor pool({.max_workers = 1, .initializer = [&gate] {
                                 gate.wait();
                                 throw std::runtime_error("not today");
                             }});
    const auto plain = pool.submit([] {});
    const auto urgent = pool.submit({.priority = 1}, [] {});
    gate.count_down();
    CHECK_THROWS_AS(urgent.result(), futures::BrokenThreadPool);
    CHECK_THROWS_AS(plain.result(), futures::BrokenThreadPool);
}

// SPDX-License-Identifier: BSL-1.0
// Executors, map() and the thread pool, by the rows of the conformance table.
#include "futures/executor.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/context.hpp"
#include "mp/cpu_count.hpp"
#include "mp/process.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/soon.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <iterator>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ThreadPoolExecutor;

namespace {

int power(int base, int exponent) {
    return static_cast<int>(std::lround(std::pow(base, exponent)));
}

std::pair<int, int> divmod(int a, int b) {
    if (b == 0) {
        throw std::domain_error("division by zero");
    }
    return {a / b, a % b};
}

template <class Results>
auto list_of(Results&& results) {
    std::vector<typename std::remove_cvref_t<Results>::value_type> values;
    for (auto&& value : results) {
        values.push_back(std::move(value));
    }
    return values;
}

/// 0, 1, 2 ... without end; counts how many were fetched.
class Numbers {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using reference = int;
        using pointer = const int*;

        explicit Iterator(int* fetched) : fetched_(fetched) { ++*fetched_; }

        int operator*() const { return at_; }

        Iterator& operator++() {
            ++*fetched_;
            ++at_;
            return *this;
        }

        void operator++(int) { ++*this; }

        bool operator==(std::default_sentinel_t) const { return false; }

    private:
        int* fetched_;
        int at_ = 0;
    };

    explicit Numbers(int& fetched) : fetched_(&fetched) {}

    Iterator begin() const { return Iterator(fetched_); }

    std::default_sentinel_t end() const { return {}; }

private:
    int* fetched_;
};

}  // namespace

TEST_CASE("ExecutorTest.test_submit: a call and its result") {
    ThreadPoolExecutor threads(4);
    CHECK(threads.submit(power, 2, 8).result() == 256);
}

TEST_CASE("ExecutorTest.test_submit_keyword: options travel as arguments") {
    struct Options {
        int self = 0;
        int fn = 0;
    };
    ThreadPoolExecutor threads(1);
    const auto f = threads.submit(
        [](const Options& options) { return options.self * options.fn; },
        Options{.self = 2, .fn = 21}
    );
    CHECK(f.result() == 42);
}

TEST_CASE("ExecutorTest.test_map: as the loop would do it") {
    ThreadPoolExecutor threads(4);
    std::vector<int> numbers;
    std::vector<int> powers;
    for (int i = 0; i < 10; ++i) {
        numbers.push_back(i);
        powers.push_back(power(i, i));
    }
    CHECK(list_of(threads.map(power, numbers, numbers)) == powers);
    CHECK(list_of(threads.map({.chunksize = 3}, power, numbers, numbers)) == powers);
}

TEST_CASE("ExecutorTest.test_map_exception: the results after it can be had") {
    ThreadPoolExecutor threads(4);
    auto results =
        threads.map(divmod, std::vector{1, 1, 1, 1}, std::vector{2, 3, 0, 5});
    auto it = results.begin();
    CHECK(*it == std::pair(0, 1));
    ++it;
    CHECK(*it == std::pair(0, 1));
    ++it;
    CHECK_THROWS_AS(*it, std::domain_error);
    ++it;
    CHECK(*it == std::pair(0, 1));
    ++it;
    CHECK(it == results.end());
    ++it;
    CHECK(it == results.end());
}

TEST_CASE("ExecutorTest.test_map_timeout: the first results, then the error and the end"
) {
    ThreadPoolExecutor threads(3);
    std::binary_semaphore go(0);
    const auto wait_for = [&](int x) {
        if (x > 0) {
            go.acquire();
        }
        return x;
    };
    auto results = threads.map({.timeout = 200ms}, wait_for, std::vector{0, 0, 6});
    auto it = results.begin();
    CHECK(*it == 0);
    ++it;
    CHECK(*it == 0);
    ++it;
    CHECK_THROWS_AS(*it, futures::TimeoutError);
    CHECK(it == results.end());
    go.release();
}

TEST_CASE("ExecutorTest.test_map_timeout_from_callable: it is not the map's own") {
    ThreadPoolExecutor threads(2);
    const auto task = [](int x) {
        if (x == 1) {
            throw futures::TimeoutError("mine");
        }
        return x;
    };
    for (const mp::Timeout timeout : {mp::Timeout(mp::forever), mp::Timeout(1h)}) {
        auto results = threads.map({.timeout = timeout}, task, std::vector{0, 1, 2});
        auto it = results.begin();
        CHECK(*it == 0);
        ++it;
        CHECK_THROWS_WITH(*it, "mine");
        ++it;
        CHECK(*it == 2);
        ++it;
        CHECK(it == results.end());
    }
}

TEST_CASE("ExecutorTest.test_map_close: cancels the rest") {
    std::atomic<int> ran{0};
    ThreadPoolExecutor threads(1);
    std::binary_semaphore go(0);
    const auto task = [&](int x) {
        if (x > 0) {
            go.acquire();
        }
        return ++ran;
    };
    auto results = threads.map(task, std::vector{0, 1, 2, 3, 4});
    auto it = results.begin();
    CHECK(*it == 1);
    results.close();
    CHECK(it == results.end());
    CHECK_THROWS_AS(*it, futures::InvalidStateError);
    go.release();
    threads.shutdown();
    CHECK(ran <= 2);  // the second may have begun
}

TEST_CASE("ExecutorTest.test_map_buffersize_value_validation: 0 and less are refused") {
    ThreadPoolExecutor threads(1);
    for (const int size : {0, -1}) {
        CHECK_THROWS_WITH(
            threads.map({.buffersize = size}, power, std::vector{1}, std::vector{1}),
            test::ContainsSubstring("buffersize must be nothing or greater than 0")
        );
        CHECK_THROWS_AS(
            threads.map({.buffersize = size}, power, std::vector{1}, std::vector{1}),
            std::invalid_argument
        );
    }
}

TEST_CASE("ExecutorTest.test_map_buffersize: any size gives all results in order") {
    ThreadPoolExecutor threads(2);
    const auto text = [](int x) {
        return std::to_string(x);
    };
    const std::vector<int> numbers{0, 1, 2, 3};
    for (const int size : {1, 2, 4, 8}) {
        CHECK(
            list_of(threads.map({.buffersize = size}, text, numbers)) ==
            std::vector<std::string>{"0", "1", "2", "3"}
        );
    }
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_multiple_iterables: two ranges") {
    ThreadPoolExecutor threads(2);
    const std::vector<int> numbers{0, 1, 2, 3};
    for (const int size : {1, 2, 4, 8}) {
        CHECK(
            list_of(
                threads.map({.buffersize = size}, std::plus<int>(), numbers, numbers)
            ) == std::vector{0, 2, 4, 6}
        );
    }
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_infinite_iterable: it can be read from"
) {
    ThreadPoolExecutor threads(2);
    int fetched = 0;
    auto results = threads.map(
        {.buffersize = 2}, [](int x) { return std::to_string(x); }, Numbers(fetched)
    );
    auto it = results.begin();
    for (const char* expected : {"0", "1", "2"}) {
        CHECK(*it == expected);
        ++it;
    }
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_multiple_infinite_iterables: as well") {
    ThreadPoolExecutor threads(2);
    int fetched = 0;
    auto results = threads.map(
        {.buffersize = 2}, std::plus<int>(), Numbers(fetched), Numbers(fetched)
    );
    auto it = results.begin();
    for (const int expected : {0, 2, 4}) {
        CHECK(*it == expected);
        ++it;
    }
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_empty_iterable: no result") {
    ThreadPoolExecutor threads(1);
    const auto text = [](int x) {
        return std::to_string(x);
    };
    CHECK(list_of(threads.map({.buffersize = 8}, text, std::vector<int>())).empty());
}

TEST_CASE("ExecutorTest.test_map_buffersize_when_buffer_is_full: no more is fetched") {
    ThreadPoolExecutor threads(1);
    int fetched = 0;
    const auto results = threads.map(
        {.buffersize = 2}, [](int x) { return x; }, Numbers(fetched)
    );
    threads.shutdown();
    CHECK(fetched == 2);
}

TEST_CASE("PoolExecutorTest.test_map_buffersize: one more is taken for each result") {
    ThreadPoolExecutor threads(1);
    int fetched = 0;
    auto results = threads.map(
        {.buffersize = 3}, [](int x) { return x; }, Numbers(fetched)
    );
    CHECK(fetched == 3);
    auto it = results.begin();
    CHECK(*it == 0);
    CHECK(fetched == 4);
    CHECK_THROWS_AS(
        threads.map({.buffersize = 0}, power, std::vector{1}, std::vector{1}),
        std::invalid_argument
    );
}

TEST_CASE("ExecutorTest.test_no_stale_references: a task lets go of what it held") {
    ThreadPoolExecutor threads(1);
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    auto f = threads.submit([held = std::move(held)] { return *held; });
    CHECK(f.result() == 1);
    CHECK(watched.expired());
}

TEST_CASE("ExecutorTest.test_max_workers_negative: 0 and less are refused") {
    for (const int n : {0, -1}) {
        CHECK_THROWS_WITH(
            ThreadPoolExecutor(n),
            test::ContainsSubstring("max_workers must be greater than 0")
        );
        CHECK_THROWS_AS(ThreadPoolExecutor({.max_workers = n}), std::invalid_argument);
    }
}

TEST_CASE("ExecutorTest.test_free_reference: given results are not kept") {
    ThreadPoolExecutor threads(1);
    const auto make = [](int x) {
        return std::make_shared<int>(x);
    };
    for (auto&& result : threads.map(make, std::vector{1, 2, 3})) {
        const std::weak_ptr<int> watched = result;
        const auto taken = std::move(result);
        // The thread that ran the call lets go of its result a moment after it is
        // known.
        CHECK(test::soon([&] { return taken.use_count() == 1; }));
    }
}

TEST_CASE("ExecutorTest.test_swallows_falsey_exceptions: presence is what counts") {
    struct Falsey {
        explicit operator bool() const { return false; }
    };
    ThreadPoolExecutor threads(1);
    const auto empty = threads.submit([]() -> int { throw Falsey(); });
    CHECK_THROWS_AS(empty.result(), Falsey);
    const auto null = threads.submit([]() -> int { throw nullptr; });
    CHECK_THROWS_AS(null.result(), std::nullptr_t);
    CHECK(null.exception() != nullptr);
}

TEST_CASE("ThreadPoolExecutorTest.test_map_submits_without_iteration: all run") {
    std::atomic<int> ran{0};
    ThreadPoolExecutor threads(3);
    const auto results = threads.map([&](int) { return ++ran; }, std::vector<int>(10));
    threads.shutdown();
    CHECK(ran == 10);
}

TEST_CASE("ThreadPoolExecutorTest.test_default_workers: min(32, usable CPUs + 4)") {
    const auto most =
        static_cast<std::size_t>(std::min(32, mp::usable_cpu_count() + 4));
    std::counting_semaphore<> go(0);
    ThreadPoolExecutor threads;
    for (std::size_t i = 0; i < most + 5; ++i) {
        threads.submit([&] { go.acquire(); });
    }
    CHECK(threads.statistics().threads == most);
    go.release(static_cast<std::ptrdiff_t>(most) + 5);
}

TEST_CASE("ThreadPoolExecutorTest.test_saturation: no more threads than allowed") {
    std::counting_semaphore<> go(0);
    ThreadPoolExecutor threads(4);
    for (int i = 0; i < 15 * 4; ++i) {
        threads.submit([&] { go.acquire(); });
    }
    CHECK(threads.statistics().threads == 4);
    go.release(15 * 4);
}

TEST_CASE("ThreadPoolExecutorTest.test_idle_thread_reuse: one thread is enough") {
    ThreadPoolExecutor threads;
    threads.submit(power, 21, 2).result();
    threads.submit(power, 6, 7).result();
    threads.submit(power, 3, 14).result();
    CHECK(threads.statistics().threads == 1);
}

// AddressSanitizer's allocator may be locked by another thread at the fork: the child
// hangs.
TEST_CASE(
    "ThreadPoolExecutorTest.test_hang_global_shutdown_lock: forks do not hang",
    "[no-tsan][no-asan]"
) {
    std::atomic<bool> stop{false};
    std::function<void()> again;
    ThreadPoolExecutor threads(2);
    again = [&] {
        if (!stop) {
            threads.submit(again);
        }
    };
    again();
    int failed = 0;
    for (int i = 0; i < 50; ++i) {
        failed += test::run_in_fork([] {
            ThreadPoolExecutor own(1);
            return own.submit(power, 2, 3).result() == 8 ? 0 : 1;
        });
    }
    CHECK(failed == 0);
    stop = true;
}

TEST_CASE("ThreadPoolExecutorTest.test_process_fork_from_a_threadpool: it exits with 0"
) {
    const test::LogCapture log;  // fork beside threads is warned of
    ThreadPoolExecutor threads(1);
    const auto f = threads.submit([] {
        auto process = mp::get_context("fork").Process([] {});
        process.start();
        process.join();
        return process.exitcode();
    });
    CHECK(f.result() == 0);
}

TEST_CASE("ThreadPoolExecutorTest.test_executor_map_current_future_cancel: none runs") {
    std::atomic<int> ran{0};
    std::binary_semaphore go(0);
    {
        ThreadPoolExecutor threads(1);
        threads.submit([&] { go.acquire(); });
        auto results = threads.map(
            {.timeout = 0s}, [&](int) { return ++ran; }, std::vector{1, 2, 3}
        );
        auto it = results.begin();
        CHECK_THROWS_AS(*it, futures::TimeoutError);
        results.close();
        go.release();
    }
    CHECK(ran == 0);
}

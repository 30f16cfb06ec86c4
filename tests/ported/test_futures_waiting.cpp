// SPDX-License-Identifier: BSL-1.0
// wait() and as_completed() with the thread pool, by the rows of the conformance table.
// The process pool's are beside its own tests.
#include "futures/as_completed.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/preset_futures.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;

namespace {

/// A pool whose first task ends when the test says so.
struct Blocked {
    Blocked()
        : blocked(threads.submit([this] {
              go.acquire();
              return 0;
          })) {}

    ~Blocked() { go.release(); }

    std::binary_semaphore go{0};
    futures::ThreadPoolExecutor threads{2};
    Future<int> blocked;
};

std::set<const void*> ids(const std::vector<Future<int>>& fs) {
    std::set<const void*> all;
    for (const auto& f : fs) {
        all.insert(f.id());
    }
    return all;
}

int times(int a, int b) {
    return a * b;
}

int fails() {
    throw std::runtime_error("this is an exception");
}

}  // namespace

TEST_CASE("WaitTests.test_20369: the same future twice is one") {
    futures::ThreadPoolExecutor threads(1);
    const auto f = threads.submit(times, 2, 3);
    const auto sets = futures::wait({f, f}, futures::ALL_COMPLETED);
    CHECK(sets.done == std::vector{f});
    CHECK(sets.not_done.empty());
}

TEST_CASE("WaitTests.test_first_completed: a cancelled one does not count untold") {
    Blocked pool;
    const test::PresetFutures preset;
    const auto quick = pool.threads.submit(times, 21, 2);
    const auto sets = futures::wait(
        {preset.cancelled, pool.blocked, quick}, futures::FIRST_COMPLETED
    );
    CHECK(sets.done == std::vector{quick});
    CHECK(sets.not_done == std::vector{preset.cancelled, pool.blocked});
}

TEST_CASE("WaitTests.test_first_completed_some_already_completed: returns at once") {
    Blocked pool;
    const test::PresetFutures preset;
    const auto sets = futures::wait(
        {preset.cancelled_and_notified, preset.successful, pool.blocked},
        futures::FIRST_COMPLETED
    );
    CHECK(sets.done == std::vector{preset.cancelled_and_notified, preset.successful});
    CHECK(sets.not_done == std::vector{pool.blocked});
}

TEST_CASE("WaitTests.test_first_exception: returns when one fails") {
    Blocked pool;
    const auto good = pool.threads.submit(times, 2, 21);
    const auto bad = pool.threads.submit(fails);
    const auto sets =
        futures::wait({good, bad, pool.blocked}, futures::FIRST_EXCEPTION);
    CHECK(sets.done == std::vector{good, bad});
    CHECK(sets.not_done == std::vector{pool.blocked});
}

TEST_CASE("WaitTests.test_first_exception_some_already_complete: as well") {
    Blocked pool;
    const test::PresetFutures preset;
    const auto bad = pool.threads.submit(fails);
    const auto sets = futures::wait(
        {preset.successful,
         preset.cancelled,
         preset.cancelled_and_notified,
         bad,
         pool.blocked},
        futures::FIRST_EXCEPTION
    );
    CHECK(
        ids(sets.done) == ids({preset.successful, preset.cancelled_and_notified, bad})
    );
    CHECK(ids(sets.not_done) == ids({preset.cancelled, pool.blocked}));
}

TEST_CASE("WaitTests.test_first_exception_one_already_failed: returns at once") {
    Blocked pool;
    const test::PresetFutures preset;
    const auto sets =
        futures::wait({preset.failed, pool.blocked}, futures::FIRST_EXCEPTION);
    CHECK(sets.done == std::vector{preset.failed});
    CHECK(sets.not_done == std::vector{pool.blocked});
}

TEST_CASE("WaitTests.test_all_completed: successes, failures and the cancelled") {
    futures::ThreadPoolExecutor threads(2);
    const test::PresetFutures preset;
    const auto bad = threads.submit(fails);
    const auto good = threads.submit(times, 2, 21);
    const auto sets = futures::wait(
        {preset.successful, preset.cancelled_and_notified, preset.failed, bad, good},
        futures::ALL_COMPLETED
    );
    CHECK(sets.done.size() == 5);
    CHECK(sets.not_done.empty());
}

TEST_CASE("WaitTests.test_timeout: no exception, the running one is not done") {
    Blocked pool;
    const test::PresetFutures preset;
    const auto quick = pool.threads.submit(times, 6, 7);
    quick.result();
    const auto sets = futures::wait(
        {preset.cancelled_and_notified,
         preset.failed,
         preset.successful,
         quick,
         pool.blocked},
        50ms,
        futures::ALL_COMPLETED
    );
    CHECK(sets.done.size() == 4);
    CHECK(sets.not_done == std::vector{pool.blocked});
}

TEST_CASE("ThreadPoolWaitTests.test_pending_calls_race: no wake-up is lost") {
    futures::ThreadPoolExecutor threads(10);
    for (int round = 0; round < 10; ++round) {
        std::atomic<bool> go{false};
        std::vector<Future<void>> fs;
        for (int i = 0; i < 100; ++i) {
            fs.push_back(threads.submit([&] { go.wait(false); }));
        }
        go = true;
        go.notify_all();
        CHECK(futures::wait(fs, futures::ALL_COMPLETED).done.size() == 100);
    }
}

TEST_CASE("AsCompletedTests.test_no_timeout: all five are given") {
    futures::ThreadPoolExecutor threads(2);
    const test::PresetFutures preset;
    const std::vector fs{
        preset.cancelled_and_notified,
        preset.failed,
        preset.successful,
        threads.submit(times, 2, 21),
        threads.submit(times, 7, 6)};
    std::vector<Future<int>> given;
    for (const auto& f : futures::as_completed(fs)) {
        given.push_back(f);
    }
    CHECK(ids(given) == ids(fs));
    CHECK(given.size() == fs.size());
}

TEST_CASE("AsCompletedTests.test_future_times_out: the finished ones, then the error") {
    Blocked pool;
    const test::PresetFutures preset;
    for (const mp::Timeout timeout : {mp::Timeout(0s), mp::Timeout(100ms)}) {
        std::vector<Future<int>> given;
        const auto go_through = [&] {
            for (const auto& f : futures::as_completed(
                     {preset.cancelled_and_notified,
                      preset.failed,
                      preset.successful,
                      pool.blocked},
                     timeout
                 )) {
                given.push_back(f);
            }
        };
        CHECK_THROWS_AS(go_through(), futures::TimeoutError);
        CHECK(
            ids(given) ==
            ids({preset.cancelled_and_notified, preset.failed, preset.successful})
        );
    }
}

TEST_CASE("AsCompletedTests.test_zero_timeout: the finished ones, then the error") {
    Blocked pool;
    const test::PresetFutures preset;
    auto range = futures::as_completed({preset.successful, pool.blocked}, 0s);
    auto it = range.begin();
    CHECK(*it == preset.successful);
    CHECK_THROWS_AS(++it, futures::TimeoutError);
}

TEST_CASE("AsCompletedTests.test_duplicate_futures: given once") {
    futures::ThreadPoolExecutor threads(1);
    const auto f = threads.submit(times, 2, 21);
    int given = 0;
    for (const auto& done : futures::as_completed({f, f, f})) {
        CHECK(done == f);
        ++given;
    }
    CHECK(given == 1);
}

TEST_CASE("AsCompletedTests.test_free_reference_yielded_future: nothing is kept") {
    const auto held = std::make_shared<int>(1);
    Future<std::shared_ptr<int>> before;
    Future<std::shared_ptr<int>> during;
    before.set_result(held);
    auto range = futures::as_completed(std::vector{std::move(before), during});
    auto it = range.begin();
    {
        const auto taken = std::move(*it);
        CHECK(held.use_count() == 2);
    }
    CHECK(held.use_count() == 1);  // it was finished at the start
    std::thread setter([held, f = std::move(during)] { f.set_result(held); });
    ++it;
    setter.join();
    {
        const auto taken = std::move(*it);
        CHECK(held.use_count() == 2);
    }
    CHECK(held.use_count() == 1);  // it was waited for
    ++it;
    CHECK(it == range.end());
}

TEST_CASE("AsCompletedTests.test_correct_timeout_exception_msg: it counts") {
    const test::PresetFutures preset;
    const auto go_through = [&] {
        for (const auto& f : futures::as_completed(
                 {preset.pending, preset.running, preset.failed, preset.successful}, 0s
             )) {
            static_cast<void>(f);
        }
    };
    CHECK_THROWS_WITH(go_through(), "2 (of 4) futures unfinished");
}

// SPDX-License-Identifier: BSL-1.0
// wait() and as_completed() with the thread pool, by the rows of the conformance table.
// The process pool's are beside its own tests.
#include "futures/as_completed.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "ported/waiting_rows.hpp"
#include "support/catch.hpp"
#include "support/preset_futures.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;

namespace {

namespace waiting_rows = test::waiting_rows;

}  // namespace

TEST_CASE("WaitTests.test_20369: the same future twice is one") {
    futures::ThreadPoolExecutor threads(1);
    waiting_rows::same_future_twice(threads);
}

TEST_CASE("WaitTests.test_first_completed: a cancelled one does not count untold") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::first_completed(threads);
}

TEST_CASE("WaitTests.test_first_completed_some_already_completed: returns at once") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::first_completed_some_already_completed(threads);
}

TEST_CASE("WaitTests.test_first_exception: returns when one fails") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::first_exception(threads);
}

TEST_CASE("WaitTests.test_first_exception_some_already_complete: as well") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::first_exception_some_already_complete(threads);
}

TEST_CASE("WaitTests.test_first_exception_one_already_failed: returns at once") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::first_exception_one_already_failed(threads);
}

TEST_CASE("WaitTests.test_all_completed: successes, failures and the cancelled") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::all_completed(threads);
}

TEST_CASE("WaitTests.test_timeout: no exception, the running one is not done") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::timeout(threads);
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
    waiting_rows::no_timeout(threads);
}

TEST_CASE("AsCompletedTests.test_future_times_out: the finished ones, then the error") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::future_times_out(threads);
}

TEST_CASE("AsCompletedTests.test_zero_timeout: the finished ones, then the error") {
    futures::ThreadPoolExecutor threads(2);
    waiting_rows::zero_timeout(threads);
}

TEST_CASE("AsCompletedTests.test_duplicate_futures: given once") {
    futures::ThreadPoolExecutor threads(1);
    waiting_rows::duplicate_futures(threads);
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

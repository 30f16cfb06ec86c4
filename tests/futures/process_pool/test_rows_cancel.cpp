// SPDX-License-Identifier: BSL-1.0
// Maps and event loops that cancel: behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::TaskTimeout;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

int block() {
    test::block_until_killed();
}

int ring_and_block(const std::string& bell) {
    test::ring(bell);
    test::block_until_killed();
}

int block_unless_zero(int x, const std::string& bell) {
    return x == 0 ? 0 : ring_and_block(bell);
}

int pass_unless_zero(int x, const std::string& bell, const std::string& gate) {
    return x == 0 ? 0 : ring_and_pass(bell, gate, x);
}

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// What an event loop is: other threads post to it, its own runs what comes.
class Loop {
public:
    void post(std::function<void()> work) {
        {
            const std::scoped_lock lock(mutex_);
            work_.push_back(std::move(work));
        }
        came_.notify_one();
    }

    /// False when nothing comes.
    bool run_one() {
        std::unique_lock lock(mutex_);
        if (!came_.wait_for(lock, 30s, [&] { return !work_.empty(); })) {
            return false;
        }
        const auto work = std::move(work_.front());
        work_.erase(work_.begin());
        lock.unlock();
        work();
        return true;
    }

    /// `handler` is to run here when the future is done.
    template <class T, class Handler>
    void await(const Future<T>& future, Handler handler) {
        future.add_done_callback([this, handler](const Future<T>& done) {
            post([handler, done] { handler(done); });
        });
    }

private:
    std::mutex mutex_;
    std::condition_variable came_;
    std::vector<std::function<void()>> work_;
};

template <class E>
bool raises(const Future<int>& done) {
    try {
        done.result(0s);
    } catch (const E&) {
        return true;
    } catch (...) {
    }
    return false;
}

}  // namespace

TEST_CASE(
    "pebble::process_pool::map_cancel: each result that is left of a cancelled map is "
    "CancelledError"
) {
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    auto results = pool.map(block_unless_zero, numbers(5), std::vector(5, bell.path()));
    auto it = results.begin();
    CHECK(*it == 0);
    REQUIRE(bell.wait_for(1));
    results.cancel(futures::running);
    for (int i = 1; i < 5; ++i) {
        ++it;
        CHECK_THROWS_AS(*it, CancelledError);
    }
    ++it;
    CHECK((it == results.end()));
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK_FALSE(bell.has_one());
}

TEST_CASE("A map that is cancelled without what runs has that one's result") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    auto results = pool.map(
        pass_unless_zero,
        numbers(5),
        std::vector(5, bell.path()),
        std::vector(5, gate.path())
    );
    auto it = results.begin();
    CHECK(*it == 0);
    REQUIRE(bell.wait_for(1));
    results.cancel();
    gate.open(1);
    ++it;
    CHECK(*it == 1);
    for (int i = 2; i < 5; ++i) {
        ++it;
        CHECK_THROWS_AS(*it, CancelledError);
    }
}

TEST_CASE("A cancelled map takes no more of its input, and chunks go as a whole") {
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const int chunksize = GENERATE(1, 2);
    auto results = pool.map(
        {.chunksize = chunksize, .buffersize = 4},
        block_unless_zero,
        std::vector(10, 1),
        std::vector(10, bell.path())
    );
    REQUIRE(bell.wait_for(1));
    results.cancel(futures::running);
    int left = 0;
    for (auto it = results.begin(); it != results.end(); ++it) {
        CHECK_THROWS_AS(*it, CancelledError);
        ++left;
    }
    CHECK(left == 4);
    results.cancel(futures::running);  // at its end
    futures::MapResults<int>().cancel();
}

TEST_CASE("dask::test_worker::stop_unneeded_work: futures that are dropped stop nothing"
) {
    const Gate bell;
    const Gate gate;
    {
        ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
        for (int i = 0; i < 20; ++i) {
            pool.submit(ring_and_pass, bell.path(), gate.path(), i);
        }
        gate.open(20);
    }
    CHECK(bell.wait_for(20));
}

TEST_CASE(
    "dask::test_worker::stop_unneeded_work: a map that is dropped stops what has not "
    "begun"
) {
    const Gate bell;
    const Gate gate;
    {
        ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
        pool.map(
            ring_and_pass,
            std::vector(1000, bell.path()),
            std::vector(1000, gate.path()),
            numbers(1000)
        );
        gate.open(2);
        pool.shutdown();
        CHECK(pool.statistics().concluded == 1000);
    }
    CHECK((bell.has_one() ? 1 : 0) + (bell.has_one() ? 1 : 0) <= 2);
    CHECK_FALSE(bell.has_one());
}

TEST_CASE(
    "pebble::process_pool::asyncio_timeout: an event loop that awaits the task is told "
    "of the limit, and so are callbacks"
) {
    Loop loop;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto late = pool.submit({.timeout = 100ms}, block);
    int told = 0;
    for (int i = 0; i < 2; ++i) {
        loop.await(late, [&](const Future<int>& done) {
            told += raises<TaskTimeout>(done) ? 1 : 0;
        });
    }
    const auto next = late.recover([](const std::exception_ptr&) { return 7; });
    REQUIRE(loop.run_one());
    REQUIRE(loop.run_one());
    CHECK(told == 2);
    CHECK(next.result(60s) == 7);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "pebble::process_pool::asyncio_cancel: an event loop cancels what it awaits, and "
    "the work is ended"
) {
    const Gate bell;
    Loop loop;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto before = pool.submit(pid).result(60s);
    const auto awaited = pool.submit(ring_and_block, bell.path());
    bool told = false;
    loop.await(awaited, [&](const Future<int>& done) {
        told = raises<CancelledError>(done) && done.cancelled();
    });
    REQUIRE(bell.wait_for(1));
    loop.post([&] { awaited.cancel(futures::running); });
    REQUIRE(loop.run_one());
    REQUIRE(loop.run_one());
    CHECK(told);
    CHECK(gone_within({before}, 1s));
    CHECK(pool.submit(pid).result(60s) != before);
}

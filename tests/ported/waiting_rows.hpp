// SPDX-License-Identifier: BSL-1.0
// The rows of CPython's tests of wait() and as_completed() that futures of every
// executor go through.
#pragma once

#include "futures/as_completed.hpp"
#include "futures/future.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/preset_futures.hpp"

#include <chrono>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace test::waiting_rows {

using namespace std::chrono_literals;
using futures::Future;

inline int times(int a, int b) {
    return a * b;
}

inline int fails() {
    throw std::runtime_error("this is an exception");
}

inline int pass(const std::string& gate) {
    test::pass(gate);
    return 0;
}

/// A task of the pool's that ends when this does.
class Blocked {
public:
    template <class Pool>
    explicit Blocked(Pool& pool) : blocked(pool.submit(pass, gate_.path())) {}

    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;

    ~Blocked() {
        gate_.open(1);
        // It reads from the gate, which goes now.
        futures::wait({blocked});
    }

private:
    const test::Gate gate_;

public:
    const Future<int> blocked;
};

inline std::set<const void*> ids(const std::vector<Future<int>>& fs) {
    std::set<const void*> all;
    for (const auto& f : fs) {
        all.insert(f.id());
    }
    return all;
}

template <class Pool>
void same_future_twice(Pool& pool) {
    const auto f = pool.submit(times, 2, 3);
    const auto sets = futures::wait({f, f}, futures::ALL_COMPLETED);
    CHECK(sets.done == std::vector{f});
    CHECK(sets.not_done.empty());
}

/// Requires: two tasks run at a time.
template <class Pool>
void first_completed(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    const auto quick = pool.submit(times, 21, 2);
    const auto sets = futures::wait(
        {preset.cancelled, holds.blocked, quick}, futures::FIRST_COMPLETED
    );
    CHECK(sets.done == std::vector{quick});
    CHECK(sets.not_done == std::vector{preset.cancelled, holds.blocked});
}

/// Requires: two tasks run at a time.
template <class Pool>
void first_completed_some_already_completed(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    const auto sets = futures::wait(
        {preset.cancelled_and_notified, preset.successful, holds.blocked},
        futures::FIRST_COMPLETED
    );
    CHECK(sets.done == std::vector{preset.cancelled_and_notified, preset.successful});
    CHECK(sets.not_done == std::vector{holds.blocked});
}

/// Requires: two tasks run at a time.
template <class Pool>
void first_exception(Pool& pool) {
    const Blocked holds(pool);
    const auto good = pool.submit(times, 2, 21);
    const auto bad = pool.submit(fails);
    const auto sets =
        futures::wait({good, bad, holds.blocked}, futures::FIRST_EXCEPTION);
    CHECK(sets.done == std::vector{good, bad});
    CHECK(sets.not_done == std::vector{holds.blocked});
}

/// Requires: two tasks run at a time.
template <class Pool>
void first_exception_some_already_complete(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    const auto bad = pool.submit(fails);
    const auto sets = futures::wait(
        {preset.successful,
         preset.cancelled,
         preset.cancelled_and_notified,
         bad,
         holds.blocked},
        futures::FIRST_EXCEPTION
    );
    CHECK(
        ids(sets.done) == ids({preset.successful, preset.cancelled_and_notified, bad})
    );
    CHECK(ids(sets.not_done) == ids({preset.cancelled, holds.blocked}));
}

/// Requires: two tasks run at a time.
template <class Pool>
void first_exception_one_already_failed(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    const auto sets =
        futures::wait({preset.failed, holds.blocked}, futures::FIRST_EXCEPTION);
    CHECK(sets.done == std::vector{preset.failed});
    CHECK(sets.not_done == std::vector{holds.blocked});
}

template <class Pool>
void all_completed(Pool& pool) {
    const test::PresetFutures preset;
    const auto bad = pool.submit(fails);
    const auto good = pool.submit(times, 2, 21);
    const auto sets = futures::wait(
        {preset.successful, preset.cancelled_and_notified, preset.failed, bad, good},
        futures::ALL_COMPLETED
    );
    CHECK(sets.done.size() == 5);
    CHECK(sets.not_done.empty());
}

/// Requires: two tasks run at a time.
template <class Pool>
void timeout(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    const auto quick = pool.submit(times, 6, 7);
    quick.result();
    const auto sets = futures::wait(
        {preset.cancelled_and_notified,
         preset.failed,
         preset.successful,
         quick,
         holds.blocked},
        50ms,
        futures::ALL_COMPLETED
    );
    CHECK(sets.done.size() == 4);
    CHECK(sets.not_done == std::vector{holds.blocked});
}

template <class Pool>
void no_timeout(Pool& pool) {
    const test::PresetFutures preset;
    const std::vector fs{
        preset.cancelled_and_notified,
        preset.failed,
        preset.successful,
        pool.submit(times, 2, 21),
        pool.submit(times, 7, 6)};
    std::vector<Future<int>> given;
    for (const auto& f : futures::as_completed(fs)) {
        given.push_back(f);
    }
    CHECK(ids(given) == ids(fs));
    CHECK(given.size() == fs.size());
}

/// Requires: two tasks run at a time.
template <class Pool>
void future_times_out(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    for (const mp::Timeout timeout : {mp::Timeout(0s), mp::Timeout(100ms)}) {
        std::vector<Future<int>> given;
        const auto go_through = [&] {
            for (const auto& f : futures::as_completed(
                     {preset.cancelled_and_notified,
                      preset.failed,
                      preset.successful,
                      holds.blocked},
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

/// Requires: two tasks run at a time.
template <class Pool>
void zero_timeout(Pool& pool) {
    const Blocked holds(pool);
    const test::PresetFutures preset;
    auto range = futures::as_completed({preset.successful, holds.blocked}, 0s);
    auto it = range.begin();
    CHECK(*it == preset.successful);
    CHECK_THROWS_AS(++it, futures::TimeoutError);
}

template <class Pool>
void duplicate_futures(Pool& pool) {
    const auto f = pool.submit(times, 2, 21);
    int given = 0;
    for (const auto& done : futures::as_completed({f, f, f})) {
        CHECK(done == f);
        ++given;
    }
    CHECK(given == 1);
}

}  // namespace test::waiting_rows

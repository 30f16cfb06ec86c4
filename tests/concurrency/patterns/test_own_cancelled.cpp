// SPDX-License-Identifier: BSL-1.0
// A coroutine that ends with Cancelled by itself: no scope around is cancelled, and its
// pattern has no result in its place.
#include "concurrency/bounded_map.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/gather.hpp"
#include "concurrency/outcome.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <string>
#include <vector>

using concurrency::bounded_map;
using concurrency::Cancelled;
using concurrency::gather;
using concurrency::return_exceptions;
using concurrency::Task;

namespace {

Task<int> give_up(int) {
    throw Cancelled("by itself");
    co_return 0;
}

Task<> give_up_all() {
    throw Cancelled("by itself");
    co_return;
}

// Why this was cancelled, or nothing.
template <class T>
Task<std::string> reason_of(Task<T> task) {
    std::string reason;
    try {
        co_await std::move(task);
    } catch (const Cancelled& cancelled) {
        reason = cancelled.reason();
    }
    co_return reason;
}

std::vector<Task<int>> some() {
    std::vector<Task<int>> tasks;
    tasks.push_back(give_up(1));
    tasks.push_back(give_up(2));
    return tasks;
}

}  // namespace

TEST_CASE("gather: a cancellation that none of its scopes caused goes on", "[gather]") {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(reason_of(gather(some())), == "by itself");
        CHECK_AWAITED(reason_of(gather(return_exceptions, some())), == "by itself");
        CHECK_AWAITED(reason_of(gather(give_up(1), give_up_all())), == "by itself");
        CHECK_AWAITED(reason_of(gather(give_up_all(), give_up_all())), == "by itself");
        CHECK_AWAITED(
            reason_of(gather(return_exceptions, give_up(1), give_up(2))), == "by itself"
        );
    });
}

TEST_CASE(
    "bounded_map: a cancellation that none of its scopes caused goes on",
    "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        const std::vector<int> items{1, 2, 3};
        CHECK_AWAITED(reason_of(bounded_map(give_up, items, 2)), == "by itself");
        CHECK_AWAITED(
            reason_of(bounded_map(return_exceptions, give_up, items, 2)), == "by itself"
        );
    });
}

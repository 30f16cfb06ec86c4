// SPDX-License-Identifier: BSL-1.0
// The one header brings every name; a call or two shows that they go together.
#include "concurrency/concurrency.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <stdexcept>
#include <type_traits>
#include <vector>

namespace {

namespace names {

using concurrency::BaseExceptionGroup;
using concurrency::bounded_map;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::CapacityLimiter;
using concurrency::CompletionStream;
using concurrency::ConcurrencyEvent;
using concurrency::Condition;
using concurrency::create_memory_object_stream;
using concurrency::create_task_group;
using concurrency::current_time;
using concurrency::effective_deadline;
using concurrency::Event;
using concurrency::ExceptionGroup;
using concurrency::fail_after;
using concurrency::fail_at;
using concurrency::gather;
using concurrency::is_cancelled;
using concurrency::is_coro_func;
using concurrency::LeakInfo;
using concurrency::LeakTracker;
using concurrency::Lock;
using concurrency::move_on_after;
using concurrency::move_on_at;
using concurrency::non_cancel_subgroup;
using concurrency::PriorityQueue;
using concurrency::Queue;
using concurrency::QueueEmpty;
using concurrency::QueueFull;
using concurrency::race;
using concurrency::retry;
using concurrency::run;
using concurrency::run_async;
using concurrency::run_sync;
using concurrency::Semaphore;
using concurrency::shield;
using concurrency::sleep;
using concurrency::split_cancellation;
using concurrency::TaskGroup;
using concurrency::track_resource;
using concurrency::untrack_resource;

}  // namespace names

}  // namespace

TEST_CASE(
    "utils::TestPublicExports.test_public_exports_exist: the one header has all names"
) {
    CHECK((std::is_same_v<names::ConcurrencyEvent, names::Event>));
    const auto next_of = [](int number) -> concurrency::Task<int> {
        co_return number + 1;
    };
    CHECK(names::is_coro_func<decltype(next_of), int>);
    CHECK(concurrency::run([&] { return next_of(1); }) == 2);
}

TEST_CASE("wrapper_functions::test_wrapper_integration_timing: sleeping and a call in "
          "a thread "
          "come one after the other") {
    test::over_backends([]() -> concurrency::Task<> {
        const double start = names::current_time();
        co_await concurrency::sleep(0.01);
        const double slept = names::current_time();
        CHECK(slept - start >= 0.01);
        const int number = co_await names::run_sync([] { return 6; });
        CHECK(number == 6);
        CHECK(names::current_time() >= slept);
    });
}

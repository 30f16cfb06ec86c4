// SPDX-License-Identifier: BSL-1.0
// Patterns in a loop that is stopped: they are destroyed where they wait.
#include "concurrency/local.hpp"
#include "concurrency/patterns.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <memory>
#include <utility>
#include <vector>

using concurrency::CompletionStream;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

using Mark = std::shared_ptr<int>;

Task<int> wait_with(Mark held) {
    co_await sleep_forever();
    co_return *held;
}

std::vector<Task<int>> three(const Mark& mark) {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.push_back(wait_with(mark));
    }
    return tasks;
}

}  // namespace

TEST_CASE(
    "patterns: a loop that is stopped destroys them where they wait", "[patterns]"
) {
    const auto mark = std::make_shared<int>(0);
    concurrency::TaskLocal<Mark> local("local");
    boost::asio::io_context context;
    const auto everything = [&]() -> Task<> {
        co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const auto guard = local.scoped(mark);
                co_await concurrency::gather(three(mark));
            });
            group.start_soon([&]() -> Task<> {
                co_await concurrency::gather(wait_with(mark), sleep_forever());
            });
            group.start_soon([&]() -> Task<> {
                co_await concurrency::race(three(mark));
            });
            group.start_soon([&]() -> Task<> {
                const std::vector<Mark> items(5, mark);
                co_await concurrency::bounded_map(wait_with, items, 2);
            });
            group.start_soon([&]() -> Task<> {
                CompletionStream<int> stream(three(mark), {.limit = 2});
                co_await stream.run([](auto& results) -> Task<> {
                    co_await results.next();
                });
            });
            group.start_soon([&]() -> Task<> {
                const auto fail = [&]() -> Task<int> {
                    throw std::make_exception_ptr(mark);
                    co_return 0;
                };
                const auto options =
                    concurrency::RetryOptions()
                        .base_delay(3600)
                        .max_delay(3600)
                        .retry_on([held = mark](const std::exception_ptr&) {
                            return held != nullptr;
                        });
                co_await concurrency::retry(fail, options);
            });
            for (int i = 0; i < 5; ++i) {
                co_await concurrency::checkpoint();
            }
            CHECK(mark.use_count() > 10);
            boost::asio::post(context, [&] { context.stop(); });
        });
    };
    CHECK_THROWS_AS(concurrency::run(everything, context), concurrency::RuntimeError);
    CHECK(mark.use_count() == 1);
}

// SPDX-License-Identifier: BSL-1.0
// CompletionStream: outcomes as the coroutines end.
// Long because each behaviour that others expect of it has its case.
#include "concurrency/cancel.hpp"
#include "concurrency/completion_stream.hpp"
#include "concurrency/local.hpp"
#include "concurrency/running_tasks.hpp"
#include "concurrency/task_group.hpp"
#include "small_tasks.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::CompletionStream;
using concurrency::sleep_forever;
using concurrency::Task;
using test::fail;
using test::give;
using test::until_cancelled;

namespace {

// i*i, each later than the one before, or sooner.
std::vector<Task<int>> squares(int count, bool last_first = false) {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < count; ++i) {
        tasks.push_back(give(i * i, last_first ? count - i : i));
    }
    return tasks;
}

// Counts how many run at once.
Task<int> counted(int& running, int& most) {
    most = std::max(most, ++running);
    for (int i = 0; i < 3; ++i) {
        co_await checkpoint();
    }
    co_return --running;
}

template <class T>
std::vector<T> vector_of(T first) {
    std::vector<T> one;
    one.push_back(std::move(first));
    return one;
}

// Takes them all.
struct TakeAll {
    Task<> operator()(CompletionStream<int>& stream) {
        while (auto item = co_await stream.next()) {
            indices.push_back(item->first);
            values.push_back(item->second.value());
        }
    }

    std::vector<std::size_t> indices;
    std::vector<int> values;
};

}  // namespace

TEST_CASE(
    "completion_stream::test_completion_stream_basic_usage "
    "completion_stream::test_completion_stream_consume_all_results: all results come, "
    "in the order in which they are there",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream(squares(5));
        TakeAll take;
        co_await stream.run(std::ref(take));
        CHECK(take.indices == std::vector<std::size_t>({0, 1, 2, 3, 4}));
        CHECK(take.values == std::vector<int>({0, 1, 4, 9, 16}));
        CompletionStream limited(squares(10), {.limit = 3});
        TakeAll take_ten;
        co_await limited.run(std::ref(take_ten));
        std::sort(take_ten.values.begin(), take_ten.values.end());
        CHECK(
            take_ten.values == std::vector<int>({0, 1, 4, 9, 16, 25, 36, 49, 64, 81})
        );
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_preserves_index_result_pairs "
    "completion_stream::test_completion_stream_handles_slow_tasks: an index and its "
    "result belong together",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream(squares(10, true));
        TakeAll take;
        co_await stream.run(std::ref(take));
        CHECK(take.indices == std::vector<std::size_t>({9, 8, 7, 6, 5, 4, 3, 2, 1, 0}));
        for (std::size_t i = 0; i < 10; ++i) {
            CHECK(
                take.values.at(i) == static_cast<int>(take.indices[i] * take.indices[i])
            );
        }
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_empty_awaitables: of nothing nothing "
    "comes",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream({}, {.limit = 2});
        bool ran = false;
        co_await stream.run([&](auto& same) -> Task<> {
            CHECK(&same == &stream);
            CHECK_AWAITED(same.next(), == std::nullopt);
            ran = true;
        });
        CHECK(ran);
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_with_limit "
    "completion_stream::test_completion_stream_limit_none_allows_all_concurrent: so "
    "many run at once as the limit says, or all",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        for (const std::optional<long> limit : {std::optional<long>(3), {}}) {
            int running = 0;
            int most = 0;
            std::vector<Task<int>> tasks;
            for (int i = 0; i < 8; ++i) {
                tasks.push_back(counted(running, most));
            }
            CompletionStream<int> stream(std::move(tasks), {.limit = limit});
            TakeAll take;
            co_await stream.run(std::ref(take));
            CHECK(take.values.size() == 8);
            CHECK(most == limit.value_or(8));
        }
    });
}

TEST_CASE("CompletionStream: a limit is at least 1", "[completion_stream]") {
    using Stream = CompletionStream<int>;
    CHECK_THROWS_AS(Stream({}, {.limit = 0}), concurrency::ValueError);
    CHECK_THROWS_AS(Stream({}, {.limit = -1}), concurrency::ValueError);
}

TEST_CASE(
    "completion_stream::test_completion_stream_early_break_exits_cleanly "
    "completion_stream::test_completion_stream_partial_consumption_then_break "
    "completion_stream::test_completion_stream_proper_cleanup_in_aexit: a body that "
    "leaves early cancels the rest, and is told of no error",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        std::vector<Task<int>> tasks = squares(3);
        tasks.push_back(until_cancelled(cancelled));
        tasks.push_back(until_cancelled(cancelled));
        CompletionStream<int> stream(std::move(tasks));
        std::vector<int> taken;
        co_await stream.run([&](auto& results) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                taken.push_back((co_await results.next())->second.value());
            }
        });
        CHECK(taken == std::vector<int>({0, 1, 4}));
        CHECK(cancelled == 2);
        CHECK(stream.completed() == 3);
        // What had no room yet never begins.
        int running = 0;
        int begun = 0;
        std::vector<Task<int>> more;
        for (int i = 0; i < 5; ++i) {
            more.push_back(counted(running, begun));
        }
        CompletionStream<int> limited(std::move(more), {.limit = 1});
        co_await limited.run([&](auto& results) -> Task<> { co_await results.next(); });
        CHECK(begun == 1);
        // Nor must a body take anything.
        CompletionStream<int> unread(vector_of(until_cancelled(cancelled)));
        co_await unread.run([](auto&) -> Task<> { co_return; });
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_exception_propagation "
    "completion_stream::test_completion_stream_cleanup_on_exception: an error ends "
    "all, "
    "and comes out in a group",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        std::vector<Task<int>> tasks = squares(3);
        tasks.push_back(fail("s", 5));
        tasks.push_back(until_cancelled(cancelled));
        CompletionStream<int> stream(std::move(tasks));
        int taken = 0;
        auto running = [&] {
            return stream.run([&](auto& results) -> Task<> {
                while (co_await results.next()) {
                    ++taken;
                }
                taken = 100;
            });
        };
        CHECK_AWAITED(test::thrown_by(running), == "[s]");
        CHECK(taken == 3);
        CHECK(cancelled == 1);
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_exception_early_in_iteration: the first "
    "that ends may be the one that fails",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        std::vector<Task<int>> tasks;
        tasks.push_back(fail("first"));
        tasks.push_back(give(1, 3));
        CompletionStream<int> stream(std::move(tasks), {.limit = 1});
        TakeAll take;
        auto running = [&] {
            return stream.run(std::ref(take));
        };
        CHECK_AWAITED(test::thrown_by(running), == "[first]");
        CHECK(take.values.empty());
    });
}

TEST_CASE("CompletionStream: errors may be outcomes", "[completion_stream]") {
    test::over_backends([]() -> Task<> {
        std::vector<Task<int>> tasks;
        tasks.push_back(give(1, 3));
        tasks.push_back(fail("b", 1));
        tasks.push_back(fail("c", 5));
        CompletionStream<int> stream(
            std::move(tasks), {.limit = 2, .return_exceptions = true}
        );
        std::string text;
        co_await stream.run([&](auto& results) -> Task<> {
            while (auto item = co_await results.next()) {
                text +=
                    std::to_string(item->first) + ':' +
                    (item->second.has_value() ? std::to_string(item->second.value())
                                              : test::in_words(item->second.error())) +
                    ' ';
            }
        });
        CHECK(text == "1:b 0:1 2:c ");
    });
}

TEST_CASE(
    "CompletionStream: an error of the body cancels the rest", "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        CompletionStream<int> stream(vector_of(until_cancelled(cancelled)));
        auto running = [&] {
            return stream.run([](auto&) -> Task<> {
                co_await checkpoint();
                throw std::runtime_error("body");
            });
        };
        CHECK_AWAITED(test::thrown_by(running), == "[body]");
        CHECK(cancelled == 1);
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_not_in_context_manager_raises: next() "
    "works in the body only, and a stream runs once",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream(squares(2));
        auto asking = [&] {
            return stream.next();
        };
        const std::string outside =
            "next() of a CompletionStream works in the body of its run()";
        CHECK_AWAITED(test::thrown_by(asking), == outside);
        TakeAll take;
        co_await stream.run(std::ref(take));
        CHECK_AWAITED(test::thrown_by(asking), == outside);
        auto again = [&] {
            return stream.run(std::ref(take));
        };
        CHECK_AWAITED(
            test::thrown_by(again),
            == "a CompletionStream can be run once, and it has been"
        );
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_single_task: one alone, with a limit of "
    "one",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream(vector_of(give(42, 1)), {.limit = 1});
        TakeAll take;
        co_await stream.run(std::ref(take));
        CHECK(take.values == std::vector<int>({42}));
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_completed_count_tracking "
    "completion_stream::test_completion_stream_stop_async_iteration: it knows how many "
    "have come, and ends after all",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream(squares(5));
        CHECK(stream.total() == 5);
        CHECK(stream.completed() == 0);
        co_await stream.run([](auto& results) -> Task<> {
            for (std::size_t i = 1; i <= 5; ++i) {
                CHECK_AWAITED(results.next(), .has_value());
                CHECK(results.completed() == i);
            }
            CHECK_AWAITED(results.next(), == std::nullopt);
            CHECK_AWAITED(results.next(), == std::nullopt);
        });
        CHECK(stream.completed() == 5);
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_with_immediate_results: coroutines that "
    "never wait",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        std::vector<Task<int>> tasks;
        for (int i = 0; i < 1000; ++i) {
            tasks.push_back(give(i));
        }
        CompletionStream<int> stream(std::move(tasks), {.limit = 2});
        TakeAll take;
        co_await stream.run(std::ref(take));
        CHECK(take.values.size() == 1000);
        CHECK(std::is_sorted(take.values.begin(), take.values.end()));
    });
}

TEST_CASE(
    "completion_stream::test_completion_stream_realistic_workload: twenty at random, "
    "five at once",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        std::minstd_rand random(1);
        std::vector<Task<int>> tasks;
        for (int i = 0; i < 20; ++i) {
            tasks.push_back(give(i * i, static_cast<int>(random() % 10)));
        }
        CompletionStream<int> stream(std::move(tasks), {.limit = 5});
        TakeAll take;
        co_await stream.run(std::ref(take));
        int sum = 0;
        for (const int value : take.values) {
            sum += value;
        }
        CHECK(take.values.size() == 20);
        CHECK(sum == 2470);
    });
}

TEST_CASE("CompletionStream: cancelled from outside", "[completion_stream]") {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        bool went_on = false;
        CancelScope scope;
        CompletionStream<int> stream(
            vector_of(until_cancelled(cancelled)), {.return_exceptions = true}
        );
        auto body = [&]() -> Task<> {
            co_await stream.run([&](auto& results) -> Task<> {
                scope.cancel();
                co_await results.next();
                went_on = true;
            });
            went_on = true;
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(cancelled == 1);
        CHECK_FALSE(went_on);
    });
}

TEST_CASE(
    "CompletionStream: several tasks take, and one that is cancelled takes nothing "
    "away",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        CompletionStream<int> stream(squares(6));
        int ends = 0;
        std::vector<int> values;
        co_await stream.run([&](auto& results) -> Task<> {
            CancelScope scope;
            co_await concurrency::create_task_group(
                [&](concurrency::TaskGroup& group) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        auto body = [&]() -> Task<> {
                            co_await results.next();  // the first in the queue
                        };
                        co_await scope.run(body);
                    });
                    for (int i = 0; i < 3; ++i) {
                        group.start_soon([&]() -> Task<> {
                            while (auto item = co_await results.next()) {
                                values.push_back(item->second.value());
                            }
                            ++ends;
                        });
                    }
                    scope.cancel();
                    co_return;
                }
            );
            CHECK(results.completed() == 6);
        });
        CHECK(ends == 3);
        CHECK(values == std::vector<int>({0, 1, 4, 9, 16, 25}));
    });
}

TEST_CASE(
    "CompletionStream: a task outside the body that waits learns that the body left",
    "[completion_stream]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        CompletionStream<int> stream(vector_of(until_cancelled(cancelled)));
        co_await concurrency::create_task_group(
            [&](concurrency::TaskGroup& group) -> Task<> {
                co_await stream.run([&](auto&) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        auto asking = [&] {
                            return stream.next();
                        };
                        CHECK_AWAITED(
                            test::thrown_by(asking),
                            == "next() of a CompletionStream works in the body of its "
                               "run()"
                        );
                    });
                    co_await checkpoint();
                });
            }
        );
        CHECK(cancelled == 1);
    });
}

TEST_CASE("CompletionStream: where its tasks are", "[completion_stream]") {
    test::over_backends([]() -> Task<> {
        concurrency::TaskLocal<int> value("value", 0);
        value.set(1);
        const auto look = [&]() -> Task<std::string> {
            CHECK(value.get() == 1);
            value.set(2);
            co_await checkpoint();
            CHECK(
                concurrency::get_running_tasks().front().where() ==
                std::string("CompletionStream.next")
            );
            co_return concurrency::current_task().name();
        };
        std::vector<Task<std::string>> tasks;
        tasks.push_back(look());
        tasks.push_back(look());
        CompletionStream<std::string> stream(std::move(tasks), {.limit = 1});
        co_await stream.run([&](auto& results) -> Task<> {
            value.set(3);  // after they were started, if not all have begun
            for (const char* name : {"CompletionStream[0]", "CompletionStream[1]"}) {
                const auto item = co_await results.next();
                CHECK(item->second.value() == name);
            }
        });
    });
}

TEST_CASE("CompletionStream: it goes while a task waits in it", "[patterns]") {
    test::over_backends([]() -> Task<> {
        for (const bool is_given : {false, true}) {
            std::string thrown;
            int cancelled = 0;
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                std::vector<Task<int>> tasks;
                tasks.push_back(is_given ? give(1, 2) : until_cancelled(cancelled));
                std::optional<CompletionStream<int>> stream(
                    std::in_place, std::move(tasks)
                );
                auto body = [&](auto& results) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        const auto next = [&]() -> Task<> {
                            static_cast<void>(co_await results.next());
                        };
                        thrown = co_await test::thrown_by(next);
                    });
                    for (int i = 0; i < 5; ++i) {
                        co_await checkpoint();
                    }
                };
                co_await stream->run(body);
                stream.reset();  // before the task goes on
            });
            CHECK((thrown == "nothing") == is_given);
        }
    });
}

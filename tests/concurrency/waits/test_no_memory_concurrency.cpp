// SPDX-License-Identifier: BSL-1.0
// R4 of libmp::concurrency: in each kind of call the allocator fails, once or a few
// times, at the first allocation, at the second, and so on. What comes out is
// std::bad_alloc or what would have come anyway, nothing is kept or lost, and the same
// call works afterwards.
#include "futures/thread_pool.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/concurrency.hpp"
#include "concurrency/run.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

/// What the calls use, and what has to be as before after each.
struct State {
    concurrency::Lock lock;
    concurrency::Semaphore semaphore{1};
    concurrency::CapacityLimiter limiter{1};
    concurrency::Condition condition;
    concurrency::Queue<int> queue{1};
    concurrency::PriorityQueue<int> by_priority{1};
    futures::ThreadPoolExecutor pool{1};
    int alive = 0;

    void check() const {
        CHECK_FALSE(lock.locked());
        CHECK(lock.statistics().tasks_waiting == 0);
        CHECK(semaphore.value() == 1);
        CHECK(semaphore.statistics().tasks_waiting == 0);
        CHECK(limiter.borrowed_tokens() == 0);
        CHECK(limiter.statistics().borrowers.empty());
        CHECK(limiter.statistics().tasks_waiting == 0);
        CHECK_FALSE(condition.locked());
        CHECK(condition.statistics().tasks_waiting == 0);
        CHECK(queue.statistics().tasks_waiting_send == 0);
        CHECK(queue.statistics().tasks_waiting_receive == 0);
        CHECK(by_priority.statistics().tasks_waiting_send == 0);
        CHECK(by_priority.statistics().tasks_waiting_receive == 0);
        CHECK(alive == 0);
    }
};

/// As CHECK, which allocates.
void expect(bool is_so) {
    if (!is_so) {
        throw std::logic_error("not as expected");
    }
}

class Local {
public:
    explicit Local(int& alive) : alive_(alive) { ++alive_; }

    Local(const Local&) = delete;
    Local& operator=(const Local&) = delete;

    ~Local() { --alive_; }

private:
    int& alive_;
};

/// Runs it three times in tasks of a group.
template <class Body>
Task<> thrice(Body body) {
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        for (int i = 0; i < 3; ++i) {
            group.start_soon({.name = "one of those whose name is long"}, body);
        }
        co_return;
    });
}

Task<int> number(int& alive, int value) {
    const Local here(alive);
    co_await checkpoint();
    if (value < 0) {
        throw std::runtime_error("boom");
    }
    co_return value;
}

/// Also when it is cancelled.
Task<> fail_anyway(int& alive) {
    const Local here(alive);
    co_await concurrency::cancel_shielded_checkpoint();
    throw std::runtime_error("boom");
}

std::vector<Task<int>> numbers(State& s, int last) {
    std::vector<Task<int>> tasks;
    tasks.push_back(number(s.alive, 1));
    tasks.push_back(number(s.alive, 2));
    tasks.push_back(number(s.alive, last));
    return tasks;
}

struct Call {
    const char* name;
    Task<> (*call)(State&);
    std::string usual = "nothing";  // what comes out where there is memory
};

const std::vector<Call>& calls();

std::string outcome(const Call& call, State& state) {
    try {
        concurrency::run([&]() -> Task<> { co_await call.call(state); });
    } catch (...) {
        const test::Plenty plenty;
        return test::in_words(std::current_exception());
    }
    return "nothing";
}

void sweep(const Call& call, long refusals) {
    State state;
    CHECK(outcome(call, state) == call.usual);  // what is made once is made
    for (long allocations = 0;; ++allocations) {
        INFO(call.name << " with " << allocations << " allocations");
        test::refused = false;
        test::refusals = refusals;
        test::until_refusal = allocations;
        const std::string words = outcome(call, state);
        test::until_refusal = -1;
        state.check();
        if (!test::refused) {
            CHECK(words == call.usual);
            CHECK(allocations > 0);
            return;
        }
        // A future that there is no memory to give an error is cancelled.
        const bool is_cancelled = words.find("state=cancelled") != std::string::npos;
        if (words != call.usual && !is_cancelled) {
            CHECK_THAT(words, test::ContainsSubstring("bad_alloc"));
        }
        // What an item that was not fetched has left.
        while (!state.queue.empty()) {
            state.queue.get_nowait();
        }
        while (!state.by_priority.empty()) {
            state.by_priority.get_nowait();
        }
        REQUIRE(allocations < 1000);
    }
}

const std::vector<Call>& calls() {
    using S = State;
    static const std::vector<Call> all{
        {"checkpoint",
         [](S&) {
             return checkpoint();
         }},
        {"sleep",
         [](S& s) -> Task<> {
             co_await thrice([&s]() -> Task<> {
                 const Local here(s.alive);
                 co_await concurrency::sleep(1e-6);
             });
         }},
        {"move_on_after",
         [](S& s) -> Task<> {
             const Local here(s.alive);
             const bool completed = co_await concurrency::move_on_after(
                 1e-6, concurrency::sleep_forever()
             );
             expect(!completed);
         }},
        {"fail_after",
         [](S& s) -> Task<> {
             const Local here(s.alive);
             co_await concurrency::fail_after(1e-6, concurrency::sleep_forever());
         },
         "the time limit of a block has passed"},
        {"a cancelled scope with a reason",
         [](S& s) -> Task<> {
             concurrency::CancelScope scope;
             const bool completed = co_await scope.run([&]() -> Task<> {
                 const Local here(s.alive);
                 scope.cancel("a reason that is longer than a short string");
                 co_await checkpoint();
             });
             expect(!completed);
         }},
        {"Lock",
         [](S& s) -> Task<> {
             co_await thrice([&s]() -> Task<> {
                 const Local here(s.alive);
                 auto guard = co_await s.lock.scoped();
                 co_await checkpoint();
             });
         }},
        {"Semaphore",
         [](S& s) -> Task<> {
             co_await thrice([&s]() -> Task<> {
                 auto guard = co_await s.semaphore.scoped();
                 co_await checkpoint();
             });
         }},
        {"CapacityLimiter",
         [](S& s) -> Task<> {
             co_await thrice([&s]() -> Task<> {
                 auto guard = co_await s.limiter.scoped();
                 co_await checkpoint();
             });
         }},
        {"Condition",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&s]() -> Task<> {
                     const Local here(s.alive);
                     auto guard = co_await s.condition.scoped();
                     co_await s.condition.wait();
                 });
                 co_await checkpoint();
                 auto guard = co_await s.condition.scoped();
                 s.condition.notify_all();
             });
         }},
        {"Event",
         [](S& s) -> Task<> {
             concurrency::Event event;
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&]() -> Task<> {
                     const Local here(s.alive);
                     co_await event.wait();
                 });
                 co_await checkpoint();
                 event.set();
             });
         }},
        {"Queue",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&]() -> Task<> {
                     for (int i = 0; i < 5; ++i) {
                         co_await s.queue.put(i);
                     }
                 });
                 for (int i = 0; i < 5; ++i) {
                     const int item = co_await s.queue.get();
                     expect(item == i);
                 }
             });
         }},
        {"PriorityQueue",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&]() -> Task<> {
                     for (int i = 0; i < 5; ++i) {
                         co_await s.by_priority.put(1, i);
                     }
                 });
                 for (int i = 0; i < 5; ++i) {
                     const auto item = co_await s.by_priority.get();
                     expect(item.second == i);
                 }
             });
         }},
        {"memory object stream",
         [](S& s) -> Task<> {
             auto ends = concurrency::create_memory_object_stream<std::string>(2);
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&]() -> Task<> {
                     const Local here(s.alive);
                     auto clone = ends.first.clone();
                     co_await clone.send(std::string(100, 'x'));
                     ends.first.close();
                 });
                 while (auto item = co_await ends.second.next()) {
                     expect(item->size() == 100);
                 }
             });
         }},
        {"a group that fails",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&s] { return fail_anyway(s.alive); });
                 group.start_soon([&s] { return fail_anyway(s.alive); });
                 group.start_soon([&s]() -> Task<> {
                     const Local here(s.alive);
                     co_await concurrency::sleep_forever();
                 });
                 co_await concurrency::sleep_forever();
             });
         },
         "[boom, boom]"},
        {"a group with a cancellation among its errors",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup&) -> Task<> {
                 const Local here(s.alive);
                 std::vector<std::exception_ptr> both{
                     std::make_exception_ptr(concurrency::Cancelled()),
                     std::make_exception_ptr(std::runtime_error("boom"))};
                 throw concurrency::BaseExceptionGroup("mixed", std::move(both));
                 co_return;
             });
         },
         "[[boom]]"},
        {"TaskGroup.start",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 const auto child = [&](concurrency::TaskStatus<int>& status
                                    ) -> Task<> {
                     const Local here(s.alive);
                     co_await checkpoint();
                     status.started(7);
                     co_await checkpoint();
                 };
                 const int value = co_await group.start<int>(child);
                 expect(value == 7);
             });
         }},
        {"gather",
         [](S& s) -> Task<> {
             const auto values = co_await concurrency::gather(numbers(s, 3));
             expect(values.size() == 3);
         }},
        {"gather that fails",
         [](S& s) -> Task<> { co_await concurrency::gather(numbers(s, -1)); },
         "[boom]"},
        {"gather of outcomes",
         [](S& s) -> Task<> {
             co_await concurrency::gather(
                 concurrency::return_exceptions, numbers(s, -1)
             );
         }},
        {"race",
         [](S& s) -> Task<> {
             const int winner = co_await concurrency::race(numbers(s, -1));
             expect(winner > 0);
         }},
        {"bounded_map",
         [](S& s) -> Task<> {
             const std::vector<int> items{1, 2, 3, 4};
             const auto twice = [&](int item) -> Task<std::string> {
                 const Local here(s.alive);
                 co_await checkpoint();
                 co_return std::string(static_cast<std::size_t>(item) * 20, 'x');
             };
             const auto texts = co_await concurrency::bounded_map(twice, items, 2);
             expect(texts.size() == 4);
         }},
        {"retry",
         [](S& s) -> Task<> {
             const auto fail = [&] {
                 return number(s.alive, -1);
             };
             const auto options = concurrency::RetryOptions()
                                      .base_delay(1e-6)
                                      .retry_on<std::runtime_error>();
             co_await concurrency::retry(fail, options);
         },
         "boom"},
        {"CompletionStream",
         [](S& s) -> Task<> {
             concurrency::CompletionStream<int> stream(numbers(s, 3), {.limit = 2});
             co_await stream.run([](auto& results) -> Task<> {
                 while (auto result = co_await results.next()) {
                     expect(result->second.value() > 0);
                 }
             });
         }},
        {"co_await future",
         [](S& s) -> Task<> {
             const auto seven = [] {
                 return 7;
             };
             const int value = co_await s.pool.submit(seven);
             expect(value == 7);
         }},
        {"run_in",
         [](S& s) -> Task<> {
             const auto seven = [] {
                 return 7;
             };
             const int value = co_await concurrency::run_in(s.pool, seven);
             expect(value == 7);
         }},
        {"futures as they get done",
         [](S& s) -> Task<> {
             const Local here(s.alive);
             const std::vector<futures::Future<int>> given{
                 s.pool.submit([] { return 1; }), s.pool.submit([] { return 2; })};
             auto stream = concurrency::as_completed(given);
             int sum = 0;
             while (auto future = co_await stream.next()) {
                 sum += future->result();
             }
             expect(sum == 3);
         }},
        {"run_sync",
         [](S& s) -> Task<> {
             concurrency::ThreadOptions options;
             options.limiter = &s.limiter;
             const auto seven = [] {
                 return 7;
             };
             const int value = co_await concurrency::run_sync(options, seven);
             expect(value == 7);
         }},
        {"submit",
         [](S& s) -> Task<> {
             const Local here(s.alive);
             const auto token = concurrency::current_token();
             const auto future =
                 concurrency::submit(token, [&s] { return number(s.alive, 7); });
             const int value = co_await concurrency::await_future(future);
             expect(value == 7);
         }},
        {"task locals",
         [](S& s) -> Task<> {
             concurrency::TaskLocal<std::string> local("local");
             co_await thrice([&]() -> Task<> {
                 const Local here(s.alive);
                 const auto guard = local.scoped(std::string(100, 'x'));
                 co_await checkpoint();
             });
         }},
        {"get_running_tasks",
         [](S& s) -> Task<> {
             co_await thrice([&s]() -> Task<> {
                 const Local here(s.alive);
                 expect(!to_string(concurrency::get_running_tasks()).empty());
                 co_await checkpoint();
             });
         }},
        {"an operation of Asio",
         [](S& s) -> Task<> {
             const Local here(s.alive);
             boost::asio::steady_timer timer(
                 concurrency::get_executor(), std::chrono::microseconds(1)
             );
             co_await timer.async_wait(concurrency::use_task);
         }},
        {"an operation of Asio that is cancelled",
         [](S& s) -> Task<> {
             const Local here(s.alive);
             boost::asio::steady_timer timer(
                 concurrency::get_executor(), std::chrono::hours(1)
             );
             auto body = [&]() -> Task<> {
                 co_await timer.async_wait(concurrency::use_task);
             };
             const bool completed = co_await concurrency::move_on_after(1e-6, body);
             expect(!completed);
         }},
    };
    return all;
}

}  // namespace

TEST_CASE("no memory: each kind of call, at each allocation", "[no_memory]") {
    for (const Call& call : calls()) {
        for (const long refusals : {1, 4}) {
            sweep(call, refusals);
        }
    }
}

// SPDX-License-Identifier: BSL-1.0
#include "waits.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/testing.hpp"

#include <boost/asio/steady_timer.hpp>

#include <signal.h>

#include <chrono>
#include <stdexcept>

namespace test {

using concurrency::create_task_group;
using concurrency::OnCancel;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

// Asio's pipe for signals is the process's, and stays with the system executor.
[[maybe_unused]] const bool pipe_is_there = [] {
    concurrency::run(
        []() -> Task<> {
            const auto signals = concurrency::open_signal_receiver(SIGUSR1);
            co_await concurrency::checkpoint();
        },
        concurrency::Backend::system_executor
    );
    return true;
}();

void pass(const std::shared_ptr<Barred>& barred) {
    barred->pass();
}

Task<> wait_in(OnCancel on_cancel, Stage& stage) {
    co_await concurrency::run_in(stage.pool(), on_cancel, pass, stage.barred);
}

Task<> wait_in_thread(OnCancel on_cancel, Stage& stage) {
    const concurrency::ThreadOptions options{.on_cancel = on_cancel};
    co_await concurrency::run_sync(options, pass, stage.barred);
}

std::vector<Task<>> two_waits(Stage& stage) {
    std::vector<Task<>> tasks;
    tasks.push_back(stage.event.wait());
    tasks.push_back(stage.event.wait());
    return tasks;
}

Task<> fail() {
    throw std::runtime_error("each time");
    co_return;
}

std::vector<Wait<Stage>> all_waits() {
    using S = Stage;
    return {
        {"sleep",
         [](S&) {
             return concurrency::sleep(3600);
         }},
        {"sleep",
         [](S&) {
             return concurrency::sleep_until(1e9);
         }},
        {"sleep_forever",
         [](S&) {
             return concurrency::sleep_forever();
         }},
        {"sleep_forever",
         [](S&) -> Task<> {
             co_await concurrency::move_on_after(3600, concurrency::sleep_forever());
         }},
        {"wait_all_tasks_blocked",
         [](S&) {
             return concurrency::testing::wait_all_tasks_blocked(3600);
         }},
        {"Lock.acquire", [](S& s) { return s.lock.acquire(); }, Cancelled::ends, true},
        {"Lock.acquire",
         [](S& s) -> Task<> { auto guard = co_await s.lock.scoped(); },
         Cancelled::ends,
         true},
        {"Semaphore.acquire",
         [](S& s) { return s.semaphore.acquire(); },
         Cancelled::ends,
         true},
        {"Semaphore.acquire",
         [](S& s) -> Task<> { auto guard = co_await s.semaphore.scoped(); },
         Cancelled::ends,
         true},
        {"CapacityLimiter.acquire",
         [](S& s) { return s.limiter.acquire(); },
         Cancelled::ends,
         true},
        {"CapacityLimiter.acquire",
         [](S& s) { return s.limiter.acquire_on_behalf_of(1); },
         Cancelled::ends,
         true},
        {"Event.wait", [](S& s) { return s.event.wait(); }, Cancelled::ends, true},
        {"Condition.wait",
         [](S& s) -> Task<> {
             auto guard = co_await s.condition.scoped();
             co_await s.condition.wait();
         },
         Cancelled::ends,
         true},
        {"Queue.put", [](S& s) { return s.full.put(2); }, Cancelled::ends, true},
        {"Queue.get",
         [](S& s) -> Task<> { co_await s.empty.get(); },
         Cancelled::ends,
         true},
        {"PriorityQueue.put",
         [](S& s) { return s.full_by_priority.put(1, 2); },
         Cancelled::ends,
         true},
        {"PriorityQueue.get",
         [](S& s) -> Task<> { co_await s.empty_by_priority.get(); },
         Cancelled::ends,
         true},
        {"MemoryObjectSendStream.send",
         [](S& s) { return s.stream.first.send(1); },
         Cancelled::ends,
         true},
        {"MemoryObjectReceiveStream.receive",
         [](S& s) -> Task<> { co_await s.other_stream.second.receive(); },
         Cancelled::ends,
         true},
        {"MemoryObjectReceiveStream.next",
         [](S& s) -> Task<> { co_await s.other_stream.second.next(); },
         Cancelled::ends,
         true},
        {"TaskGroup",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 group.start_soon([&] { return s.event.wait(); });
                 co_return;
             });
         }},
        {"TaskGroup.start",
         [](S& s) -> Task<> {
             co_await create_task_group([&](TaskGroup& group) -> Task<> {
                 co_await group.start([&](concurrency::TaskStatus<>&) -> Task<> {
                     co_await s.event.wait();
                 });
             });
         }},
        {"gather",
         [](S& s) -> Task<> {
             co_await concurrency::gather(two_waits(s));
         }},
        {"gather",
         [](S& s) -> Task<> {
             co_await concurrency::gather(concurrency::return_exceptions, two_waits(s));
         }},
        {"gather",
         [](S& s) -> Task<> {
             co_await concurrency::gather(s.event.wait(), s.empty.get());
         }},
        {"race",
         [](S& s) {
             return concurrency::race(two_waits(s));
         }},
        {"bounded_map",
         [](S& s) -> Task<> {
             const std::vector<int> items{1, 2, 3};
             const auto wait = [&](int) {
                 return s.event.wait();
             };
             co_await concurrency::bounded_map(wait, items, 2);
         }},
        {"sleep",
         [](S&) -> Task<> {
             const auto options = concurrency::RetryOptions()
                                      .base_delay(3600)
                                      .max_delay(3600)
                                      .retry_on<std::runtime_error>();
             co_await concurrency::retry(fail, options);
         }},
        {"CompletionStream.next",
         [](S& s) -> Task<> {
             concurrency::CompletionStream<void> stream(two_waits(s));
             co_await stream.run([](auto& results) -> Task<> {
                 co_await results.next();
             });
         }},
        {"await_future",
         [](S& s) -> Task<> {
             co_await s.future;
         }},
        {"await_future",
         [](S&) -> Task<> {
             const futures::Future<int> future;  // cancelling one would end both
             co_await concurrency::await_future(future, OnCancel::abandon);
         }},
        {"FutureStream.next",
         [](S& s) -> Task<> { co_await s.futures.next(); },
         Cancelled::ends,
         true},
        {"FutureStream.next",
         [](S& s) -> Task<> {
             const std::vector<futures::Future<int>> all{s.future};
             co_await concurrency::wait(all);
         }},
        {"run_in", [](S& s) { return wait_in(OnCancel::wait, s); }, Cancelled::goes_on},
        {"run_in",
         [](S& s) {
             return wait_in(OnCancel::abandon, s);
         }},
        {"run_in", [](S& s) { return wait_in(OnCancel::kill, s); }, Cancelled::goes_on},
        {"to_thread",
         [](S& s) { return wait_in_thread(OnCancel::wait, s); },
         Cancelled::goes_on},
        {"to_thread",
         [](S& s) {
             return wait_in_thread(OnCancel::abandon, s);
         }},
        {"CapacityLimiter.acquire",  // a thread would be free, and no token
         [](S& s) -> Task<> {
             concurrency::ThreadOptions options;
             options.limiter = &s.limiter;
             co_await concurrency::run_sync(options, pass, s.barred);
         }},
        {"BlockingPortal.sleep_until_stopped",
         [](S&) -> Task<> {
             concurrency::BlockingPortal portal;
             co_await portal.run([](concurrency::BlockingPortal& p) {
                 return p.sleep_until_stopped();
             });
         }},
        {"asio_op",
         [](S& s) -> Task<> { co_await s.signals->receive(); },
         Cancelled::ends_soon,
         true},
        {"asio_op",
         [](S&) -> Task<> {
             boost::asio::steady_timer timer(
                 concurrency::get_executor(), std::chrono::hours(1)
             );
             co_await timer.async_wait(concurrency::use_task);
         },
         Cancelled::ends_soon},
    };
}

}  // namespace

void Stage::prepare() {
    lock.acquire_nowait();
    full.put_nowait(1);
    full_by_priority.put_nowait(1, 1);
    signals.emplace(concurrency::open_signal_receiver(SIGUSR1));
}

// Four, so that all calls of the table run at once.
futures::ThreadPoolExecutor& Stage::pool() {
    if (!pool_) {
        pool_.emplace(4);
    }
    return *pool_;
}

std::string Stage::traces() const {
    std::string traces;
    const auto look = [&](const char* where, std::size_t waiting) {
        if (waiting != 0) {
            traces += std::string(where) + ' ';
        }
    };
    look("lock", lock.statistics().tasks_waiting);
    look("semaphore", semaphore.statistics().tasks_waiting);
    look("limiter", limiter.statistics().tasks_waiting);
    look("limiter's tokens", limiter.statistics().borrowers.size());
    look("event", event.statistics().tasks_waiting);
    look("condition", condition.statistics().tasks_waiting);
    look("condition's lock", condition.locked() ? 1 : 0);
    look("full", full.statistics().tasks_waiting_send);
    look("empty", empty.statistics().tasks_waiting_receive);
    look("full by priority", full_by_priority.statistics().tasks_waiting_send);
    look("empty by priority", empty_by_priority.statistics().tasks_waiting_receive);
    look("stream", stream.first.statistics().tasks_waiting_send);
    look("other stream", other_stream.second.statistics().tasks_waiting_receive);
    look("items", full.qsize() != 1 || !empty.empty() ? 1 : 0);
    return traces;
}

const std::vector<Wait<Stage>>& waits() {
    static const std::vector<Wait<Stage>> all = all_waits();
    return all;
}

}  // namespace test

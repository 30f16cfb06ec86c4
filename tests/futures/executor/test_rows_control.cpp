// SPDX-License-Identifier: BSL-1.0
// Tasks that are cancelled, depend on each other and wait, in pools of either kind:
// behaviours of other pools, by their ids.
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/log.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::DeadlockError;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::inc;
using test::on;

namespace {

/// While it lives, counts what the library logs that has this text in it.
class CountedWarnings {
public:
    explicit CountedWarnings(std::string text)
        : sink_(std::make_shared<Sink>(std::move(text))),
          before_(mp::get_logger().sinks()) {
        mp::get_logger().sinks() = {sink_};
    }

    CountedWarnings(const CountedWarnings&) = delete;
    CountedWarnings& operator=(const CountedWarnings&) = delete;

    ~CountedWarnings() { mp::get_logger().sinks() = before_; }

    int count() const { return sink_->count; }

private:
    struct Sink final : spdlog::sinks::base_sink<std::mutex> {
        explicit Sink(std::string sought) : text(std::move(sought)) {}

        void sink_it_(const spdlog::details::log_msg& message) override {
            const std::string said(message.payload.data(), message.payload.size());
            count += said.find(text) != std::string::npos ? 1 : 0;
        }

        void flush_() override {}

        const std::string text;
        std::atomic<int> count{0};
    };

    std::shared_ptr<Sink> sink_;
    std::vector<spdlog::sink_ptr> before_;
};

/// Ends when it is asked to, or with its worker.
int endless() {
    for (;;) {
        futures::this_task().check_cancelled();
        std::this_thread::yield();
    }
}

int add_up(int x, int y) {
    return x + y;
}

std::size_t index_of_worker() {
    return futures::this_task().worker_index();
}

void wait_until_running(const Future<int>& future) {
    while (!future.running()) {
        std::this_thread::yield();
    }
}

template <class Pool>
void cancel_the_base(Pool& pool) {
    const auto base = pool.submit(endless);
    const auto dependent = pool.submit(inc, base);
    const auto further = pool.submit({.after = {dependent}}, inc, 1);
    wait_until_running(base);
    CHECK(base.cancel(futures::running));
    CHECK_THROWS_AS(dependent.result(60s), CancelledError);
    CHECK_THROWS_AS(further.result(60s), CancelledError);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

template <class Pool>
void cancel_last_and_first(Pool& pool) {
    const auto first = pool.submit(endless);
    const auto second = pool.submit(inc, first);
    const auto third = pool.submit(inc, second);
    const auto behind = pool.submit(inc, 1);
    wait_until_running(first);
    CHECK(third.cancel(futures::running));
    CHECK(first.cancel(futures::running));
    for (const auto& future : {first, second, third}) {
        CHECK_THROWS_AS(future.result(60s), CancelledError);
    }
    CHECK(behind.result(60s) == 2);
}

template <class Pool>
void submit_again(Pool& pool) {
    for (int round = 0; round < 10; ++round) {
        const auto blocks = pool.submit(endless);
        wait_until_running(blocks);
        const auto before = pool.submit(inc, round);
        CHECK(before.cancel());
        const auto again = pool.submit(inc, round);
        CHECK(blocks.cancel(futures::running));
        CHECK(again.result(60s) == round + 1);
        CHECK(before.cancelled());
    }
}

template <class Pool>
void submit_from_many_threads(Pool& pool) {
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < 20; ++t) {
        threads.emplace_back([&pool, &right, t] {
            std::vector<Future<int>> all{pool.submit(inc, t)};
            for (int i = 1; i < 100; ++i) {
                all.push_back(pool.submit(add_up, all.back(), i));
            }
            right += all.back().result(60s) == t + 1 + 4950 ? 1 : 0;
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(right == 20);
}

template <class Pool>
void numbers_of_workers(Pool& pool, std::size_t workers) {
    std::vector<Future<std::size_t>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(pool.submit(index_of_worker));
    }
    for (const auto& future : all) {
        CHECK(future.result(60s) < workers);
    }
}

}  // namespace

TEST_CASE("dask::test_client::cancel_dependency: in threads and in processes") {
    ThreadPoolExecutor threads(1);
    cancel_the_base(threads);
    ProcessPoolExecutor processes(on(each_pool_start_method(), 1, OnWorkerLoss::isolate)
    );
    cancel_the_base(processes);
}

TEST_CASE("ray::test_cancel::single_slot: in threads and in processes") {
    ThreadPoolExecutor threads(1);
    cancel_last_and_first(threads);
    ProcessPoolExecutor processes(on(each_pool_start_method(), 1, OnWorkerLoss::isolate)
    );
    cancel_last_and_first(processes);
}

TEST_CASE(
    "dask::test_scheduler::resubmit_same_work_fast: what is submitted again behind a "
    "cancelled call runs"
) {
    ThreadPoolExecutor threads(1);
    submit_again(threads);
    ProcessPoolExecutor processes(on(each_pool_start_method(), 1, OnWorkerLoss::isolate)
    );
    submit_again(processes);
}

TEST_CASE("dask::test_client::threadsafe: twenty threads submit chains") {
    ThreadPoolExecutor threads(4);
    submit_from_many_threads(threads);
    ProcessPoolExecutor processes(on(each_pool_start_method(), 2));
    submit_from_many_threads(processes);
}

TEST_CASE("mpire::pool::worker_id: each task sees a number below that of the workers") {
    for (const int workers : {1, 3}) {
        ThreadPoolExecutor threads(workers);
        numbers_of_workers(threads, static_cast<std::size_t>(workers));
        ProcessPoolExecutor processes(on(each_pool_start_method(), workers));
        numbers_of_workers(processes, static_cast<std::size_t>(workers));
    }
}

TEST_CASE("ray::test_cancel::from_other_task: a future that a task made and returned") {
    ThreadPoolExecutor pool(1);
    const Future<int> gate;
    const auto outer = pool.submit([&] {
        return std::make_shared<Future<int>>(pool.submit(inc, gate));
    });
    const auto inner = outer.result();
    CHECK(inner->cancel());
    CHECK_THROWS_AS(inner->result(), CancelledError);
    gate.set_result(1);
}

TEST_CASE("taskflow::test_task_group::cancel_group: none of a hundred that wait runs") {
    constexpr int workers = 4;
    ThreadPoolExecutor pool(workers);
    std::latch begun(workers);
    std::promise<void> gate;
    const auto opened = gate.get_future().share();
    std::vector<Future<void>> group;
    std::atomic<int> ran{0};
    for (int i = 0; i < workers; ++i) {
        group.push_back(pool.submit([&] {
            begun.count_down();
            opened.wait();
        }));
    }
    begun.wait();
    for (int i = 0; i < 100; ++i) {
        group.push_back(pool.submit([&ran] { ++ran; }));
    }
    for (const auto& future : group) {
        future.cancel(futures::running);
    }
    gate.set_value();
    futures::wait(group);
    CHECK(ran == 0);
}

TEST_CASE(
    "taskflow::test_cancellation::after_submit "
    "taskflow::test_cancellation::no_error_after_cancel: of ten thousand that are "
    "cancelled at once not all run, and reading one says that it was"
) {
    ThreadPoolExecutor pool(4);
    std::promise<void> gate;
    const auto opened = gate.get_future().share();
    std::atomic<int> ran{0};
    std::vector<Future<void>> all;
    for (int i = 0; i < 10'000; ++i) {
        all.push_back(pool.submit([&ran, &opened] {
            opened.wait();
            ++ran;
        }));
    }
    int cancelled = 0;
    for (const auto& future : all) {
        cancelled += future.cancel() ? 1 : 0;
    }
    gate.set_value();
    futures::wait(all);
    pool.shutdown();
    CHECK(cancelled > 0);
    CHECK(ran == 10'000 - cancelled);
    CHECK_THROWS_AS(all.back().result(), CancelledError);
}

TEST_CASE(
    "taskflow::test_cancellation::from_task: a task cancels one that loops without end"
) {
    ThreadPoolExecutor pool(2);
    std::atomic<int> rounds{0};
    const auto loops = pool.submit([&] {
        for (;;) {
            futures::this_task().check_cancelled();
            std::vector<Future<int>> graph{pool.submit(inc, 0)};
            for (int i = 0; i < 100; ++i) {
                graph.push_back(pool.submit(inc, graph.back()));
            }
            if (graph.back().result() == 101) {
                ++rounds;
            }
        }
    });
    const auto cancels = pool.submit([&] {
        while (rounds == 0) {
            std::this_thread::yield();
        }
        return loops.cancel(futures::running);
    });
    CHECK(cancels.result());
    CHECK_THROWS_AS(loops.result(), CancelledError);
}

TEST_CASE(
    "pebble::thread_pool::map_cancel: closed after its first result, the second may "
    "run, the others do not"
) {
    ThreadPoolExecutor pool(1);
    std::atomic<int> ran{0};
    std::counting_semaphore<5> may_go(1);
    auto results = pool.map(
        [&](int i) {
            may_go.acquire();
            ++ran;
            return i;
        },
        {0, 1, 2, 3, 4}
    );
    CHECK(*results.begin() == 0);
    results.close();
    may_go.release(4);
    pool.shutdown();
    CHECK(ran <= 2);
    CHECK(pool.statistics().submitted == 5);
}

TEST_CASE(
    "ray::test_worker_capping::dependency_runs_later: the only thread waits for a task "
    "that is run again after it failed"
) {
    ThreadPoolExecutor pool(1);
    std::atomic<int> runs{0};
    const auto outer = pool.submit([&] {
        const auto inner = pool.submit(
            {.retries = 2,
             .retry_on = futures::retry_on<std::runtime_error>(),
             .retry_delay = 5ms},
            [&runs] {
                if (++runs < 3) {
                    throw std::runtime_error("not yet");
                }
                return 42;
            }
        );
        return inner.result();
    });
    CHECK(outer.result() == 42);
}

TEST_CASE("ray::test_failure::nested_capacity_warning: when all threads wait, those "
          "that were "
          "added too, the log says so once") {
    const CountedWarnings warnings("all threads of a thread pool wait");
    ThreadPoolExecutor pool(1);
    const Future<int> by_hand;
    std::vector<Future<int>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(pool.submit([&by_hand] { return by_hand.result(); }));
    }
    while (warnings.count() == 0) {
        std::this_thread::yield();
    }
    CHECK(pool.statistics().begun < 100);
    by_hand.set_result(3);
    for (const auto& future : all) {
        CHECK(future.result() == 3);
    }
    pool.shutdown();
    CHECK(warnings.count() == 1);
}

TEST_CASE("mpi4py::test_futures::Then::cycle_chain: a chain that leads back to itself"
) {
    const Future<int> base;
    std::optional<Future<int>> self;
    self = base.then([&self](int) { return *self; });
    base.set_result(1);
    CHECK_THROWS_AS(self->result(), DeadlockError);
    CHECK_THROWS_WITH(self->result(), test::ContainsSubstring("cycle was found"));

    const Future<int> one;
    const Future<int> two;
    std::optional<Future<int>> first;
    std::optional<Future<int>> second;
    first = one.then([&second](int) { return *second; });
    second = two.then([&first](int) { return *first; });
    one.set_result(1);
    CHECK_FALSE(first->done());
    two.set_result(2);
    CHECK_THROWS_AS(second->result(), DeadlockError);
    CHECK(first->done());
}

TEST_CASE(
    "taskflow::test_semaphores::critical_section: a pool of one thread lets one in"
) {
    ThreadPoolExecutor strand(1);
    int counter = 0;
    for (const int threads : {1, 4, 16}) {
        ThreadPoolExecutor pool(threads);
        for (int run = 0; run < 4; ++run) {
            std::vector<Future<void>> all;
            for (int i = 0; i < 1000; ++i) {
                all.push_back(pool.submit([&] {
                    strand.submit([&counter] { ++counter; }).result();
                }));
            }
            for (const auto& future : all) {
                future.result();
            }
        }
    }
    CHECK(counter == 3 * 4 * 1000);
}

// SPDX-License-Identifier: BSL-1.0
// Tasks of a process pool that wait for more than one of the calls which they have
// submitted, for what another thread makes of them, or for what cannot be run.
#include "futures/futures.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <pthread.h>

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::this_pool;
using futures::ThreadPoolExecutor;
using test::on;
using namespace std::chrono_literals;

namespace {

int leaves_of(int height) {
    if (height == 0) {
        return 1;
    }
    const auto both = futures::when_all(
        this_pool().submit(leaves_of, height - 1),
        this_pool().submit(leaves_of, height - 1)
    );
    const auto [left, right] = both.result();
    return left + right;
}

int leaves_in_turn(int height) {
    if (height == 0) {
        return 1;
    }
    std::vector<Future<int>> calls;
    for (int i = 0; i < 3; ++i) {
        calls.push_back(this_pool().submit(leaves_in_turn, height - 1));
    }
    int sum = 0;
    for (const auto& call : futures::as_completed(std::move(calls))) {
        sum += call.result();
    }
    return sum;
}

int nested_inc(int value) {
    return value + 1;
}

/// What it waits for is made by a thread, of a call of the pool.
int waits_for_a_thread() {
    ThreadPoolExecutor threads(1);
    const auto call = this_pool().submit(nested_inc, 1);
    const auto made =
        threads.submit({.after = {call}}, [call] { return call.result() * 10; });
    return made.result();
}

/// A callback asks for the other call while the task waits for it.
int asks_in_a_callback() {
    const auto first = this_pool().submit(nested_inc, 1);
    const auto second = this_pool().submit(nested_inc, 2);
    first.add_done_callback([second](const auto&) {
        static_cast<void>(second.running());
        second.cancel();
    });
    try {
        return second.result();
    } catch (const futures::CancelledError&) {
        return 3;
    }
}

int waits_in_a_callback() {
    const auto first = this_pool().submit(nested_inc, 1);
    const auto second = this_pool().submit(nested_inc, 2);
    const Future<int> told;
    first.add_done_callback([second, told](const auto&) {
        told.set_result(second.result());
    });
    second.result();
    return told.result();
}

int nested_held(const std::string& gate) {
    test::pass(gate);
    return 1;
}

/// Another thread ends what it waits for, while the call that it is made of runs.
int waits_for_what_is_cancelled(const std::string& gate) {
    const auto call = this_pool().submit({.timeout = 60s}, nested_held, gate);
    const auto made = call.then(nested_inc);
    std::thread canceller([made, call] {
        while (!call.running()) {
            std::this_thread::yield();
        }
        made.cancel();
    });
    int result = 0;
    try {
        made.result();
    } catch (const futures::CancelledError&) {
        result = 3;
    }
    canceller.join();
    test::ring(gate);
    return result + call.result();
}

/// When its worker is to end, a callback waits there for what nobody completes.
int leaves_a_callback_that_waits() {
    static const Future<int> never;
    static std::binary_semaphore told(0);
    const auto call = this_pool().submit(nested_inc, 1);
    call.add_done_callback([](const auto&) {
        told.release();
        never.then(nested_inc).result();
    });
    told.acquire();
    return call.result();
}

/// The same, for a call that nobody runs before the worker ends.
int leaves_a_callback_that_waits_for_a_call(const std::string& gate) {
    static std::binary_semaphore told(0);
    const auto held = this_pool().submit({.timeout = 60s}, nested_held, gate);
    this_pool().submit(nested_inc, 1).add_done_callback([held](const auto&) {
        told.release();
        held.result();
    });
    told.acquire();
    return 2;
}

/// When its worker ends, each of its calls still has the other one to ask for.
int leaves_calls_that_ask(const std::string& gate) {
    static Future<int> f = this_pool().submit({.timeout = 60s}, nested_held, gate);
    static Future<int> g = this_pool().submit({.timeout = 60s}, nested_held, gate);
    const auto ask = [](const Future<int>& other) {
        static_cast<void>(other.running());
        other.cancel();
        static_cast<void>(other.exception());
    };
    f.add_done_callback([ask](const auto&) { ask(g); });
    g.add_done_callback([ask](const auto&) { ask(f); });
    return 2;
}

/// A thread of the program goes on asking while the worker ends.
int leaves_a_thread_that_asks(const std::string& gate) {
    static struct Asking {
        std::thread thread;

        ~Asking() { thread.join(); }
    } asking;
    const auto call = this_pool().submit({.timeout = 60s}, nested_held, gate);
    asking.thread = std::thread([call] {
        while (!call.done()) {
            static_cast<void>(call.running());
        }
    });
    return 2;
}

/// The callback of one wants what the thread of the task holds while it asks.
int asks_under_a_lock() {
    struct Both {
        std::mutex mutex;
        std::promise<void> begun;
        std::promise<void> ended;
    };
    const auto both = std::make_shared<Both>();
    const auto first = this_pool().submit(nested_inc, 1);
    const auto second = this_pool().submit(nested_inc, 2);
    std::unique_lock lock(both->mutex);
    first.add_done_callback([both, task = std::this_thread::get_id()](const auto&) {
        both->begun.set_value();
        if (std::this_thread::get_id() != task) {  // it is, if the call is done by now
            const std::lock_guard wanted(both->mutex);
        }
        both->ended.set_value();
    });
    both->begun.get_future().get();
    static_cast<void>(second.running());
    second.cancel();
    lock.unlock();
    both->ended.get_future().get();
    return first.result();
}

/// Of another worker, for what has a limit runs on no stack.
std::string waits_for_another() {
    mp::set_executable("/nowhere/at/all");
    try {
        this_pool().submit({.timeout = 60s}, nested_inc, 1).result();
    } catch (const futures::DeadlockError& error) {
        return error.what();
    }
    return "";
}

int ends_a_thread_in_a_callback() {
    const auto first = this_pool().submit(nested_inc, 1);
    std::binary_semaphore told(0);
    first.add_done_callback([](const auto&) { pthread_exit(nullptr); });
    first.add_done_callback([&](const auto&) { told.release(); });
    told.acquire();
    const auto second = this_pool().submit(nested_inc, 2);
    second.add_done_callback([&](const auto&) { told.release(); });
    told.acquire();
    return first.result() + second.result();
}

}  // namespace

TEST_CASE("this_pool: trees of tasks that wait for several at once end") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int workers = GENERATE(1, 2, 8);
    ProcessPoolExecutor pool(on(quick_pool_context(), workers, loss));
    CHECK(pool.submit(leaves_of, 4).result() == 16);
    CHECK(pool.submit(leaves_in_turn, 3).result() == 27);
}

TEST_CASE("this_pool: a task may wait for what a thread makes of its calls") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int workers = GENERATE(1, 2);
    ProcessPoolExecutor pool(on(quick_pool_context(), workers, loss));
    for (int round = 0; round < 5; ++round) {
        CHECK(pool.submit(waits_for_a_thread).result() == 20);
        CHECK(pool.submit(asks_in_a_callback).result() == 3);
        CHECK(pool.submit(waits_in_a_callback).result() == 3);
    }
}

TEST_CASE("this_pool: who waits for a worker that cannot be started is told") {
    ProcessPoolExecutor pool(
        on(mp::get_context(mp::StartMethod::spawn), 1, OnWorkerLoss::isolate)
    );
    pool.submit(nested_inc, 1).result();
    mp::set_executable("/nowhere/at/all");
    const auto waits = pool.submit(waits_for_another);
    const std::string text = waits.result();
    mp::set_executable("");
    CHECK_THAT(text, test::ContainsSubstring("all workers of the pool wait"));
    CHECK(pool.submit(nested_inc, 1).result() == 2);
}

TEST_CASE("this_pool: a callback may end its thread, and the others run", "[no-asan]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2));
    CHECK(pool.submit(ends_a_thread_in_a_callback).result() == 5);
}

TEST_CASE("this_pool: a task is told that another thread cancelled what it awaits") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2));
    const test::Gate gate;
    for (int round = 0; round < 5; ++round) {
        CHECK(pool.submit(waits_for_what_is_cancelled, gate.path()).result() == 4);
    }
}

TEST_CASE("this_pool: a callback that waits for ever does not keep its worker") {
    auto options = on(mp::get_context(mp::StartMethod::spawn), 2);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(leaves_a_callback_that_waits).result() == 2);
    CHECK(pool.submit(nested_inc, 1).result() == 2);
    CHECK(pool.submit(leaves_a_callback_that_waits).result() == 2);
}

TEST_CASE("this_pool: nor one that waits for a call of the pool") {
    auto options = on(mp::get_context(mp::StartMethod::spawn), 3);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(std::move(options));
    const test::Gate gate;
    CHECK(
        pool.submit(leaves_a_callback_that_waits_for_a_call, gate.path()).result() == 2
    );
    CHECK(pool.submit(nested_inc, 1).result() == 2);
    gate.open(1);
    CHECK(pool.submit(nested_inc, 1).result() == 2);
}

TEST_CASE("this_pool: calls that are left when a worker ends are told, and may ask") {
    auto options = on(mp::get_context(mp::StartMethod::spawn), 4);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(std::move(options));
    const test::Gate gate;
    CHECK(pool.submit(leaves_calls_that_ask, gate.path()).result() == 2);
    CHECK(pool.submit(leaves_a_thread_that_asks, gate.path()).result() == 2);
    CHECK(pool.submit(nested_inc, 1).result() == 2);
    pool.terminate_workers();
}

TEST_CASE("this_pool: a task may ask while it holds what a callback wants") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 3));
    for (int round = 0; round < 5; ++round) {
        CHECK(pool.submit(asks_under_a_lock).result() == 2);
    }
}

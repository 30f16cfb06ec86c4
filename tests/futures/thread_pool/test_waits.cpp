// SPDX-License-Identifier: BSL-1.0
// Thread pools whose tasks wait, begin later, and end their pool, at once.
#include "futures/as_completed.hpp"
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/falls_asleep.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::DeadlockError;
using futures::Future;
using futures::ThreadPoolExecutor;
using test::inc;

namespace {

/// How many threads this process has.
int threads_here() {
    int count = 0;
    test::for_each_entry("/proc/self/task", [&](const char*, int) { ++count; });
    return count;
}

int waits_pass(const std::string& gate) {
    test::pass(gate);
    return 4;
}

int waits_leave_thread(std::binary_semaphore& go) {
    go.acquire();
    pthread_exit(nullptr);
}

}  // namespace

TEST_CASE("waits: a task that may begin while all threads wait is done") {
    ThreadPoolExecutor threads(1);
    const Future<int> f;
    std::atomic<pid_t> waiting{0};
    const auto outer = threads.submit([&] {
        const auto h = threads.submit({.after = {f}}, inc, 1);
        waiting = gettid();
        return h.result();
    });
    REQUIRE(test::falls_asleep(waiting));
    f.set_result(0);
    CHECK(outer.result() == 2);
}

TEST_CASE("waits: a thread that waits for a process pool's task counts as blocked") {
    ThreadPoolExecutor threads(1);
    futures::ProcessPoolExecutor processes(1);
    const test::Gate gate;
    const auto outer = threads.submit([&] {
        threads.submit([&] { gate.open(1); });
        return processes.submit(waits_pass, gate.path()).result();
    });
    CHECK(outer.result() == 4);
}

TEST_CASE("waits: a task drops its pool's last handle, and a thread is added then") {
    const int before = threads_here();
    auto threads = std::make_shared<ThreadPoolExecutor>(1);
    auto* const last = new std::shared_ptr<ThreadPoolExecutor>(threads);
    std::binary_semaphore dropped(0);
    const auto outer = threads->submit([&dropped, last] {
        const auto inner = (*last)->submit(inc, 1);
        dropped.acquire();
        delete last;
        return inner.result(10min);  // not on its own stack
    });
    threads.reset();
    dropped.release();
    CHECK(outer.result() == 2);
    CHECK(test::soon([&] { return threads_here() == before; }));
}

TEST_CASE("waits: a task drops its pool's last handle, and another may begin then") {
    const int before = threads_here();
    auto threads = std::make_shared<ThreadPoolExecutor>(2);
    auto* const last = new std::shared_ptr<ThreadPoolExecutor>(threads);
    const Future<int> f;
    std::binary_semaphore end(0);
    Future<Future<int>> there;
    std::binary_semaphore dropped(0);
    const auto outer = threads->submit([&end, &dropped, last, f, there] {
        const auto after = (*last)->submit({.after = {f}}, inc, 1);
        dropped.acquire();
        delete last;
        there.set_result(after);
        end.acquire();
    });
    threads.reset();
    dropped.release();
    const auto after = there.result();
    f.set_result(0);
    CHECK(after.result() == 2);
    end.release();
    outer.result();
    CHECK(test::soon([&] { return threads_here() == before; }));
}

TEST_CASE("waits: a task drops its pool's last handle, and another depends on it") {
    const int before = threads_here();
    for (const bool in_its_body : {true, false}) {
        auto threads = std::make_shared<ThreadPoolExecutor>(2);
        std::latch both(2);
        const auto busy = [&both] {
            both.arrive_and_wait();
        };
        const auto one = threads->submit(busy);
        threads->submit(busy).result();
        one.result();
        const auto begin = std::make_shared<std::binary_semaphore>(0);
        const auto a = threads->submit([threads, begin, in_its_body]() mutable {
            begin->acquire();
            if (in_its_body) {
                threads.reset();
            }
            return 1;
        });
        const auto b = a.then(*threads, inc);
        threads.reset();
        begin->release();
        CHECK(a.result() == 1);
        CHECK(b.result() == 2);
    }
    CHECK(test::soon([&] { return threads_here() == before; }));
}

TEST_CASE("waits: who waits for the first of several is not buried under another one") {
    ThreadPoolExecutor threads(3);
    const int how = GENERATE(0, 1, 2);
    std::counting_semaphore<2> go(0);
    std::latch busy(3);
    for (int i = 0; i < 2; ++i) {
        threads.submit([&] {
            busy.count_down();
            go.acquire();
        });
    }
    const Future<int> by_hand;
    std::atomic<pid_t> waiting{0};
    const auto first = threads.submit([&] {
        const auto slow = threads.submit([&] { return by_hand.result(); });
        const auto quick = threads.submit([how] {
            if (how == 2) {
                throw std::runtime_error("quick");
            }
            return 1;
        });
        busy.arrive_and_wait();
        waiting = gettid();
        if (how == 0) {
            futures::wait({slow, quick}, futures::FIRST_COMPLETED);
        } else if (how == 1) {
            const std::vector both{slow, quick};
            for (const auto& f : futures::as_completed(both)) {
                f.result();
                break;
            }
        } else {
            futures::wait({slow, quick}, futures::FIRST_EXCEPTION);
        }
        by_hand.set_result(5);
        return slow.result();
    });
    REQUIRE(test::falls_asleep(waiting));
    go.release(2);
    CHECK(first.result() == 5);
}

TEST_CASE("waits: a thread that is one too many ends, also after shutdown()") {
    ThreadPoolExecutor threads(1);
    const Future<int> f;
    const auto after = threads.submit({.after = {f}}, inc, 1);
    const Future<int> by_hand;
    const auto waiting = threads.submit([&] { return by_hand.result(); });
    threads.submit(inc, 1).result();  // by one more
    threads.shutdown({.wait = false});
    by_hand.set_result(1);
    waiting.result();
    CHECK(test::soon([&] { return threads.statistics().threads == 1; }));
    f.set_result(1);
    CHECK(after.result() == 2);
}

TEST_CASE(
    "waits: a cycle is found in a thread that finished another one's callbacks",
    "[no-asan]"
) {
    ThreadPoolExecutor threads(1);
    std::binary_semaphore go(0);
    const auto left = threads.submit(waits_leave_thread, std::ref(go));
    const Future<int> by_hand;
    std::atomic<pid_t> waiting{0};
    std::binary_semaphore waited(0);
    left.add_done_callback([&](const auto&) {
        waiting = gettid();
        by_hand.result();
        waited.release();
    });
    go.release();
    REQUIRE(test::falls_asleep(waiting));
    by_hand.set_result(1);
    waited.acquire();  // else the pool may take its thread for blocked
    std::optional<Future<int>> self;
    std::binary_semaphore there(0);
    std::atomic<bool> same{false};
    self = threads.submit([&] {
        there.acquire();
        same = gettid() == waiting;
        return self->result();
    });
    there.release();
    CHECK_THROWS_AS(self->result(), DeadlockError);
    CHECK(same);
}

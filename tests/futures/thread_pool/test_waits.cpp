// SPDX-License-Identifier: BSL-1.0
// Thread pools whose tasks wait, depend on futures, and end their pool, at once.
#include "futures/as_completed.hpp"
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/patience.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <latch>
#include <memory>
#include <mutex>
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

int add(int a, int b) {
    return a + b;
}

/// True as soon as the thread sleeps.
bool falls_asleep(const std::atomic<pid_t>& thread) {
    return test::soon([&] {
        const auto path = "/proc/self/task/" + std::to_string(thread) + "/stat";
        const test::FileText stat(path.c_str());
        const char* const end = std::strrchr(stat.text, ')');
        return end != nullptr && end[1] == ' ' && end[2] == 'S';
    });
}

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
    REQUIRE(test::soon([&] { return waiting != 0; }));
    REQUIRE(falls_asleep(waiting));
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
    const auto outer = threads->submit([last] {
        const auto inner = (*last)->submit(inc, 1);
        delete last;
        return inner.result(10min);  // not on its own stack
    });
    threads.reset();
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
    const auto outer = threads->submit([&end, last, f, there] {
        const auto after = (*last)->submit({.after = {f}}, inc, 1);
        delete last;
        there.set_result(after);
        end.acquire();
    });
    threads.reset();
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
    REQUIRE(test::soon([&] { return waiting != 0; }));
    REQUIRE(falls_asleep(waiting));
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
    left.add_done_callback([&](const auto&) {
        waiting = gettid();
        by_hand.result();
    });
    go.release();
    REQUIRE(test::soon([&] { return waiting != 0; }));
    REQUIRE(falls_asleep(waiting));
    by_hand.set_result(1);
    std::optional<Future<int>> self;
    std::binary_semaphore there(0);
    self = threads.submit([&] {
        there.acquire();
        CHECK(gettid() == waiting);
        return self->result();
    });
    there.release();
    CHECK_THROWS_AS(self->result(), DeadlockError);
}

// Dependencies

namespace {

int fib_of_tasks(ThreadPoolExecutor& threads, int n) {
    if (n < 2) {
        return n;
    }
    return threads
        .submit(
            add,
            threads.submit(fib_of_tasks, std::ref(threads), n - 1),
            threads.submit(fib_of_tasks, std::ref(threads), n - 2)
        )
        .result();
}

int fib_of_all(ThreadPoolExecutor& threads, int n) {
    if (n < 2) {
        return n;
    }
    const auto both = futures::when_all(
        threads.submit(fib_of_all, std::ref(threads), n - 1),
        threads.submit(fib_of_all, std::ref(threads), n - 2)
    );
    const auto [one, other] = both.result();
    return one + other;
}

int fib_of_any(ThreadPoolExecutor& threads, int n) {
    if (n < 2) {
        return n;
    }
    const std::vector both{
        threads.submit(fib_of_any, std::ref(threads), n - 1),
        threads.submit(fib_of_any, std::ref(threads), n - 2)};
    static_cast<void>(futures::when_any(both).result());
    return both[0].result() + both[1].result();
}

int sum_by_then(ThreadPoolExecutor& threads, int n) {
    if (n == 0) {
        return 0;
    }
    const auto inner = threads.submit(sum_by_then, std::ref(threads), n - 1);
    const auto sum = inner.then([n](int x) { return x + n; });
    inner.result();
    return sum.result();
}

int sum_by_callbacks(ThreadPoolExecutor& threads, int n) {
    if (n == 0) {
        return 0;
    }
    const auto inner = threads.submit(sum_by_callbacks, std::ref(threads), n - 1);
    Future<int> sum;
    inner.add_done_callback([n, sum](const Future<int>& f) {
        sum.set_result(f.result() + n);
    });
    inner.result();
    return sum.result();
}

int sum_by_returned_futures(ThreadPoolExecutor& threads, int n) {
    if (n == 0) {
        return 0;
    }
    Future<int> begin;
    const auto sum = begin.then([n, &threads](int) {
        return threads.submit(sum_by_returned_futures, std::ref(threads), n - 1);
    });
    begin.set_result(0);
    return sum.result() + n;
}

int sum_by_process(
    ThreadPoolExecutor& threads, futures::ProcessPoolExecutor& processes, int n
) {
    if (n == 0) {
        return 0;
    }
    return processes
        .submit(
            add,
            n,
            threads.submit(
                sum_by_process, std::ref(threads), std::ref(processes), n - 1
            )
        )
        .result();
}

}  // namespace

TEST_CASE("waits: a recursion whose tasks depend on each other ends") {
    const int workers = GENERATE(1, 2);
    ThreadPoolExecutor threads(workers);
    CHECK(threads.submit(fib_of_tasks, std::ref(threads), 15).result() == 610);
    CHECK(threads.submit(fib_of_all, std::ref(threads), 13).result() == 233);
    CHECK(threads.submit(fib_of_any, std::ref(threads), 10).result() == 55);
}

TEST_CASE("waits: a recursion that waits for what then() makes ends") {
    const int workers = GENERATE(1, 2);
    ThreadPoolExecutor threads(workers);
    CHECK(threads.submit(sum_by_then, std::ref(threads), 100).result() == 5050);
    CHECK(
        threads.submit(sum_by_returned_futures, std::ref(threads), 100).result() == 5050
    );
}

TEST_CASE("waits: a recursion that waits for what callbacks complete ends") {
    ThreadPoolExecutor threads(1);
    CHECK(threads.submit(sum_by_callbacks, std::ref(threads), 300).result() == 45150);
}

TEST_CASE("waits: a recursion over a pool of threads and one of processes ends") {
    ThreadPoolExecutor threads(1);
    futures::ProcessPoolExecutor processes(1);
    CHECK(
        threads.submit(sum_by_process, std::ref(threads), std::ref(processes), 30)
            .result() == 465
    );
}

TEST_CASE("waits: what a wait needs is begun in another pool, too") {
    ThreadPoolExecutor a(1);
    ThreadPoolExecutor b(1);
    // All threads of b wait, and there are as many more as it may add for them.
    std::vector<Future<int>> waiting;
    const Future<int> by_hand;
    for (int i = 0; i < 200; ++i) {
        waiting.push_back(b.submit([&] { return by_hand.result(); }));
    }
    const auto needed = b.submit(inc, 1);
    const auto outer = a.submit([&] { return a.submit(add, needed, needed).result(); });
    CHECK(outer.result() == 4);
    by_hand.set_result(1);
    for (const auto& f : waiting) {
        f.result();
    }
}

// Cycles

namespace {

/// What a wait that ends with a DeadlockError says.
template <class T>
std::string text_of_cycle(const Future<T>& future) {
    try {
        future.result();
    } catch (const DeadlockError& error) {
        return error.what();
    }
    return {};
}

/// A task that gets its own future, and waits for what `make` makes of it.
template <class Make>
std::string text_of_own_cycle(ThreadPoolExecutor& threads, Make make) {
    Future<std::optional<Future<std::string>>> own;
    const auto task =
        threads.submit([&, make] { return text_of_cycle(make(*own.result(10min))); });
    own.set_result(std::optional(task));
    return task.result();
}

int waits_next(int x) {
    return x + 1;
}

}  // namespace

TEST_CASE("waits: a task that waits for what depends on it gets a DeadlockError") {
    const int workers = GENERATE(1, 2);
    ThreadPoolExecutor threads(workers);
    const auto of_task = text_of_own_cycle(threads, [&](const auto& own) {
        return threads.submit({.after = {own}}, waits_next, 1);
    });
    CHECK_THAT(of_task, test::ContainsSubstring("waits_next"));
    CHECK_THAT(
        text_of_own_cycle(
            threads,
            [](const auto& own) {
                return own.then([](const std::string&) { return 1; });
            }
        ),
        test::ContainsSubstring("waits for")
    );
    const Future<std::string> by_hand;
    CHECK_FALSE(text_of_own_cycle(threads, [&](const auto& own) {
                    return futures::when_all({own, by_hand});
                }).empty());
    CHECK_FALSE(text_of_own_cycle(threads, [&](const auto& own) {
                    return futures::when_any({own, own});
                }).empty());
}

TEST_CASE("waits: a way out of a cycle through dependencies is no cycle") {
    ThreadPoolExecutor threads(1);
    const Future<std::string> by_hand;
    std::binary_semaphore there(0);
    Future<std::optional<Future<std::string>>> own;
    std::atomic<pid_t> waiting{0};
    const auto task = threads.submit([&] {
        const auto any = futures::when_any({*own.result(10min), by_hand});
        waiting = gettid();
        return any.result().future().result();
    });
    own.set_result(std::optional(task));
    REQUIRE(test::soon([&] { return waiting != 0; }));
    REQUIRE(falls_asleep(waiting));
    by_hand.set_result("out");
    CHECK(task.result() == "out");
}

TEST_CASE("waits: a cycle of waits and dependencies over two tasks is found") {
    ThreadPoolExecutor threads(2);
    for (int round = 0; round < 20; ++round) {
        std::latch ready(1);
        std::optional<Future<int>> a;
        std::optional<Future<int>> b;
        std::optional<Future<int>> h;
        std::atomic<int> found{0};
        const auto wait_for = [&](const std::optional<Future<int>>& f) {
            ready.wait();
            try {
                return f->result();
            } catch (const DeadlockError&) {
                ++found;
                return 1;
            }
        };
        a = threads.submit([&] { return wait_for(h); });
        b = threads.submit([&] { return wait_for(a); });
        h = threads.submit(waits_next, *b);
        ready.count_down();
        CHECK(h->result() + a->result() >= 2);
        CHECK(found == 1);
    }
}

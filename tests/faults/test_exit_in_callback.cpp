// SPDX-License-Identifier: BSL-1.0
// A callback of a future ends the program, in whatever thread it runs, whatever the
// others do meanwhile. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::tasks::ring_and_pass;

namespace {

constexpr int code_of_callback = 3;

int ring_and_never_return(const std::string& bell) {
    test::ring(bell);
    test::block_until_killed();
}

/// What the main thread does while the callback exits.
enum class MainThread { waits_for_result, shuts_down, submits, waits_in_wait };

void do_for_ever(MainThread what, ProcessPoolExecutor& pool, const Future<int>& never) {
    switch (what) {
    case MainThread::waits_for_result:
        never.result();
        break;
    case MainThread::shuts_down:
        pool.shutdown();
        break;
    case MainThread::submits:
        try {
            for (;;) {
                pool.submit(inc, 1).result();
            }
        } catch (const std::exception&) {
            // The pool was ended; the program is about to be.
        }
        break;
    case MainThread::waits_in_wait:
        futures::wait({never});
        break;
    }
    test::block_until_killed();
}

}  // namespace

TEST_CASE(
    "L7: a callback of a process pool's future calls exit()",
    "[faults][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const auto main_thread = GENERATE(
        MainThread::waits_for_result,
        MainThread::shuts_down,
        MainThread::submits,
        MainThread::waits_in_wait
    );
    const Gate bell;
    const Gate gate;
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const pid_t program = test::fork_child([&]() -> int {
        ::alarm(50);
        ProcessPoolExecutor pool(on(context, 3, OnWorkerLoss::isolate));
        const auto never = pool.submit(ring_and_never_return, bell.path());
        const auto held = pool.submit(test::pass, gate.path());
        held.add_done_callback([](const auto&) { std::exit(code_of_callback); });
        pool.bootup();
        bell.wait_for(1);
        auto workers = pool.workers();
        workers.resize(3);
        const auto size = static_cast<ssize_t>(workers.size() * sizeof(pid_t));
        if (::write(ends[1], workers.data(), workers.size() * sizeof(pid_t)) != size) {
            return 1;
        }
        gate.open(1);
        do_for_ever(main_thread, pool, never);
        return 2;
    });
    ::close(ends[1]);
    std::vector<pid_t> workers(3);
    const auto size = workers.size() * sizeof(pid_t);
    CHECK(::read(ends[0], workers.data(), size) == static_cast<ssize_t>(size));
    ::close(ends[0]);
    CHECK(test::exit_status(program) == code_of_callback);
    for (const pid_t worker : workers) {
        CHECK(worker > 0);
    }
    CHECK(gone_within(workers, 1s));
}

TEST_CASE(
    "L7: a callback of a thread pool's future calls exit() while other threads of it "
    "work for ever",
    "[faults][no-asan][no-tsan]"
) {
    const int status = test::run_in_fork_for(50s, []() -> int {
        const Gate bell;
        const Gate gate;
        ThreadPoolExecutor pool(2);
        const auto never = pool.submit([&] { ring_and_never_return(bell.path()); });
        bell.wait_for(1);
        const auto held = pool.submit([&] { test::pass(gate.path()); });
        held.add_done_callback([](const auto&) { std::exit(code_of_callback); });
        gate.open(1);
        never.result();
        return 1;
    });
    CHECK(status == code_of_callback);
}

TEST_CASE(
    "L7: a callback of a process pool's future calls exit() while a thread pool waits "
    "for that pool",
    "[faults][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const bool threads_are_older = GENERATE(true, false);
    // What the thread pool waits for ends, or does not.
    const bool ends = GENERATE(true, false);
    enum class Waits { for_result, for_derived, with_argument };
    const auto how =
        GENERATE(Waits::for_result, Waits::for_derived, Waits::with_argument);
    const int status = test::run_in_fork_for(50s, [&]() -> int {
        const Gate bell;
        const Gate gate;
        const Gate last;
        std::unique_ptr<ThreadPoolExecutor> threads;
        if (threads_are_older) {
            threads = std::make_unique<ThreadPoolExecutor>(1);
            threads->submit([] {}).result();
        }
        ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
        const auto work = ends ? pool.submit(ring_and_pass, bell.path(), last.path(), 1)
                               : pool.submit(ring_and_never_return, bell.path());
        const auto held = pool.submit(test::pass, gate.path());
        held.add_done_callback([&](const auto&) {
            last.open(1);
            std::exit(code_of_callback);
        });
        if (!threads_are_older) {
            threads = std::make_unique<ThreadPoolExecutor>(1);
        }
        const auto wait_for_it = [&] {
            switch (how) {
            case Waits::for_derived:
                return threads->submit([derived = work.then(inc)] {
                    return derived.result();
                });
            case Waits::with_argument:
                return threads->submit(inc, work);
            default:
                return threads->submit([&] { return work.result(); });
            }
        };
        const auto waits = wait_for_it();
        bell.wait_for(1);
        gate.open(1);
        try {
            waits.result();
        } catch (const std::exception&) {
            // The program is about to end.
        }
        test::block_until_killed();
    });
    CHECK(status == code_of_callback);
}

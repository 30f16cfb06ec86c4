// SPDX-License-Identifier: BSL-1.0
// Process pools under a loop: to_process::run_sync, and workers that die meanwhile.
#include "futures/process_pool.hpp"
#include "mp/start_method.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/to_process.hpp"
#include "support/backends.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"

#include <signal.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace to_process = concurrency::to_process;
using concurrency::await_future;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::OnCancel;
using concurrency::run_in;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::Gate;

namespace {

int pid_of_worker() {
    return ::getpid();
}

int sum(int a, int b) {
    return a + b;
}

void fail(const std::string& text) {
    throw std::invalid_argument(text);
}

int flood(std::size_t size) {
    const std::string text(size, 'x');
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        std::size_t written = 0;
        while (written < size) {
            const auto n = ::write(fd, text.data() + written, size - written);
            if (n <= 0) {
                return -1;
            }
            written += static_cast<std::size_t>(n);
        }
    }
    return ::getpid();
}

int ring_and_block(const std::string& gate) {
    test::ring(gate);
    test::block_until_killed();
    return 0;
}

int ring_and_pass(const std::string& rung, const std::string& passed) {
    test::ring(rung);
    test::pass(passed);
    return 7;
}

// A program that has threads before main() cannot have the fork server: the system
// executor's, here.
const auto method = mp::StartMethod::spawn;

/// Of the loops' own pools.
void spawn_workers() {
    mp::set_start_method(method, {.force = true});
}

/// Workers of the loop's own pool: one, so that it is known which.
void one_worker() {
    auto& bridge =
        concurrency::detail::Bridge::of(concurrency::detail::this_task().loop());
    bridge.processes().resize(1);
}

std::size_t workers() {
    return concurrency::detail::Bridge::of(concurrency::detail::this_task().loop())
        .processes()
        .workers()
        .size();
}

/// Awaits that the gate is rung, in the loop.
Task<> rung(const Gate& gate) {
    while (!gate.has_one()) {
        co_await checkpoint();
    }
}

mp::Context spawning() {
    return mp::get_context(method);
}

}  // namespace

TEST_CASE(
    "to_process::run_sync_in_process_pool to_process::partial to_process::exception: a "
    "function in a process",
    "[to_process]"
) {
    spawn_workers();
    test::over_backends([]() -> Task<> {
        one_worker();
        const int pid = co_await to_process::run_sync(pid_of_worker);
        CHECK(pid != ::getpid());
        CHECK_AWAITED(to_process::run_sync(pid_of_worker), == pid);
        CHECK_AWAITED(to_process::run_sync(sum, 2, 3), == 5);
        auto fails = [] {
            return to_process::run_sync(fail, std::string("a text"));
        };
        CHECK_AWAITED(test::thrown_by(fails), == "a text");
        bool is_invalid = false;
        try {
            co_await fails();
        } catch (const std::invalid_argument&) {
            is_invalid = true;
        }
        CHECK(is_invalid);
        CHECK_AWAITED(to_process::run_sync(pid_of_worker), == pid);
    });
}

TEST_CASE(
    "to_process::cancel_before: in a cancelled scope no process is started",
    "[to_process]"
) {
    spawn_workers();
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        scope.cancel();
        co_await scope.run([]() -> Task<> {
            co_await to_process::run_sync(pid_of_worker);
        });
        CHECK(scope.cancelled_caught());
        CHECK(workers() == 0);
    });
}

TEST_CASE(
    "to_process::cancel_during: a call that is cancelled ends with its process, and "
    "the next has another",
    "[to_process]"
) {
    spawn_workers();
    const Gate gate;
    const auto main = [&]() -> Task<> {
        one_worker();
        const int pid = co_await to_process::run_sync(pid_of_worker);
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await rung(gate);
                scope.cancel();
            });
            co_await scope.run([&]() -> Task<> {
                co_await to_process::run_sync(
                    {.on_cancel = OnCancel::kill}, ring_and_block, gate.path()
                );
            });
        });
        CHECK(scope.cancelled_caught());
        CHECK_AWAITED(to_process::run_sync(pid_of_worker), != pid);
    };
    CHECK_NOTHROW(concurrency::run(main));
}

TEST_CASE(
    "to_process::print to_process::stderr_flood: what a process prints does not "
    "disturb it",
    "[to_process]"
) {
    spawn_workers();
    // Into nowhere, from this program's streams.
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    const int out = ::dup(STDOUT_FILENO);
    const int err = ::dup(STDERR_FILENO);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
    int first = 0;
    int second = 0;
    concurrency::run([&]() -> Task<> {
        one_worker();
        first = co_await to_process::run_sync(flood, std::size_t{1} << 20U);
        second = co_await to_process::run_sync(pid_of_worker);
    });
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    for (const int fd : {null, out, err}) {
        ::close(fd);
    }
    CHECK(first > 0);
    CHECK(first == second);
}

TEST_CASE("co_await of a process pool's futures", "[to_process]") {
    ProcessPoolExecutor pool(test::on(spawning(), 2));
    test::over_backends([&]() -> Task<> {
        CHECK_AWAITED(pool.submit(sum, 1, 2), == 3);
        CHECK_AWAITED(run_in(pool, sum, 3, 4), == 7);
        int total = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 50; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    total += co_await pool.submit(sum, i, 1);
                });
            }
            co_return;
        });
        CHECK(total == 1275);
        auto fails = [&] {
            return run_in(pool, fail, std::string("there"));
        };
        CHECK_AWAITED(test::thrown_by(fails), == "there");
    });
}

TEST_CASE(
    "co_await future: a worker that is killed is an error of its task", "[to_process]"
) {
    for (const auto loss : {OnWorkerLoss::isolate, OnWorkerLoss::break_pool}) {
        test::over_backends([&]() -> Task<> {
            const Gate gate;
            ProcessPoolExecutor pool(test::on(spawning(), 1, loss));
            auto future = pool.submit(ring_and_block, gate.path());
            bool lost = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await rung(gate);
                    for (const pid_t pid : pool.workers()) {
                        ::kill(pid, SIGKILL);
                    }
                });
                try {
                    co_await future;
                } catch (const futures::BrokenProcessPool&) {
                    lost = true;
                }
            });
            CHECK(lost);
        });
    }
}

TEST_CASE(
    "OnCancel: a process pool's call is waited for, abandoned or killed", "[to_process]"
) {
    ProcessPoolExecutor pool(test::on(spawning(), 2, OnWorkerLoss::isolate));
    test::over_backends([&]() -> Task<> {
        for (const auto mode : {OnCancel::wait, OnCancel::abandon, OnCancel::kill}) {
            const Gate begun;
            const Gate let_go;
            auto other = pool.submit(ring_and_pass, begun.path(), let_go.path());
            co_await rung(begun);
            auto future = pool.submit(ring_and_pass, begun.path(), let_go.path());
            int result = 0;
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await rung(begun);
                    scope.cancel();
                    for (int i = 0; i < 10; ++i) {
                        co_await checkpoint();
                    }
                    CHECK(result == 0);
                    if (mode == OnCancel::wait) {
                        let_go.open(2);
                    }
                });
                co_await scope.run([&]() -> Task<> {
                    result = co_await await_future(future, mode);
                });
            });
            CHECK(scope.cancelled_caught() == (mode != OnCancel::wait));
            CHECK(result == (mode == OnCancel::wait ? 7 : 0));
            CHECK(future.cancelled() == (mode == OnCancel::kill));
            if (mode == OnCancel::kill) {
                let_go.open(1);
            } else if (mode == OnCancel::abandon) {
                let_go.open(2);
                CHECK_AWAITED(future, == 7);
            }
            CHECK_AWAITED(other, == 7);  // nobody else's call is harmed
        }
    });
}

TEST_CASE(
    "to_process: the loop ends before a call that was abandoned", "[to_process]"
) {
    spawn_workers();
    const Gate gate;
    const auto main = [&]() -> Task<> {
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await rung(gate);
                scope.cancel();
            });
            co_await scope.run([&]() -> Task<> {
                co_await to_process::run_sync(
                    {.on_cancel = OnCancel::abandon}, ring_and_block, gate.path()
                );
            });
        });
        CHECK(scope.cancelled_caught());
    };
    CHECK_NOTHROW(concurrency::run(main));
}

TEST_CASE("to_process: what becomes of the call may stand in front") {
    concurrency::run([]() -> Task<> {
        CHECK_AWAITED(to_process::run_sync(OnCancel::kill, sum, 2, 3), == 5);
    });
}

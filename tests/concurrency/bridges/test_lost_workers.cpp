// SPDX-License-Identifier: BSL-1.0
// A worker that is killed while a task awaits its call, in each way that there is to
// await it: the task gets the error, and the pool goes on.
#include "futures/process_pool.hpp"
#include "mp/start_method.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/concurrency.hpp"
#include "support/backends.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/throws.hpp"

#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

using concurrency::OnCancel;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::ProcessPoolExecutor;
using test::Gate;

namespace {

int ring_and_wait_for_the_kill(const std::string& gate) {
    test::ring(gate);
    test::block_until_killed();
}

struct Way {
    const char* name;
    Task<> (*await)(ProcessPoolExecutor& pool, const std::string& gate);
};

template <OnCancel on_cancel>
Task<> by_run_in(ProcessPoolExecutor& pool, const std::string& gate) {
    co_await concurrency::run_in(pool, on_cancel, ring_and_wait_for_the_kill, gate);
}

template <OnCancel on_cancel>
Task<> by_await_future(ProcessPoolExecutor& pool, const std::string& gate) {
    const auto future = pool.submit(ring_and_wait_for_the_kill, gate);
    co_await concurrency::await_future(future, on_cancel);
}

template <OnCancel on_cancel>
Task<> by_to_process(ProcessPoolExecutor& /*pool*/, const std::string& gate) {
    const concurrency::to_process::ProcessOptions options{.on_cancel = on_cancel};
    co_await concurrency::to_process::run_sync(
        options, ring_and_wait_for_the_kill, gate
    );
}

const std::vector<Way>& ways() {
    using Pool = ProcessPoolExecutor;
    static const std::vector<Way> all{
        {"co_await future",
         [](Pool& pool, const std::string& gate) -> Task<> {
             co_await pool.submit(ring_and_wait_for_the_kill, gate);
         }},
        {"await_future, wait", by_await_future<OnCancel::wait>},
        {"await_future, abandon", by_await_future<OnCancel::abandon>},
        {"await_future, kill", by_await_future<OnCancel::kill>},
        {"run_in, wait", by_run_in<OnCancel::wait>},
        {"run_in, abandon", by_run_in<OnCancel::abandon>},
        {"run_in, kill", by_run_in<OnCancel::kill>},
        {"to_process, wait", by_to_process<OnCancel::wait>},
        {"to_process, kill", by_to_process<OnCancel::kill>},
        {"as_completed",
         [](Pool& pool, const std::string& gate) -> Task<> {
             const std::vector<futures::Future<int>> calls{
                 pool.submit(ring_and_wait_for_the_kill, gate)};
             auto stream = concurrency::as_completed(calls);
             const auto done = co_await stream.next();
             done->result();
         }},
        {"wait",
         [](Pool& pool, const std::string& gate) -> Task<> {
             const std::vector<futures::Future<int>> calls{
                 pool.submit(ring_and_wait_for_the_kill, gate)};
             const auto sets = co_await concurrency::wait(calls);
             sets.done.front().result();
         }},
        {"a shield",
         [](Pool& pool, const std::string& gate) -> Task<> {
             co_await concurrency::shield(by_run_in<OnCancel::wait>(pool, gate));
         }},
    };
    return all;
}

}  // namespace

TEST_CASE("a worker is killed, however its call is awaited", "[lost_workers]") {
    mp::set_start_method(mp::StartMethod::spawn, {.force = true});
    const auto context = mp::get_context(mp::StartMethod::spawn);
    ProcessPoolExecutor pool(test::on(context, 1, futures::OnWorkerLoss::isolate));
    concurrency::run([&]() -> Task<> {
        auto& loop = concurrency::detail::this_task().loop();
        auto& own = concurrency::detail::Bridge::of(loop).processes();
        own.resize(1);
        for (const Way& way : ways()) {
            INFO(way.name);
            const Gate gate;
            bool lost = false;
            co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    const auto await = [&] {
                        return way.await(pool, gate.path());
                    };
                    lost = co_await test::throws<futures::WorkerLost>(await);
                });
                while (!gate.has_one()) {
                    co_await concurrency::checkpoint();
                }
                for (ProcessPoolExecutor* of : {&pool, &own}) {
                    for (const pid_t pid : of->workers()) {
                        ::kill(pid, SIGKILL);
                    }
                }
            });
            CHECK(lost);
        }
        CHECK_AWAITED(pool.submit(test::inc, 1), == 2);
        CHECK_AWAITED(concurrency::to_process::run_sync(test::inc, 2), == 3);
    });
}

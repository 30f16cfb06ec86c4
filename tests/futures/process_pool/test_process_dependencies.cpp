// SPDX-License-Identifier: BSL-1.0
// Dependencies in a process pool, whose workers die.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using namespace std::chrono_literals;

namespace {

int depending_inc(int x) {
    return x + 1;
}

int depending_die(int) {
    ::kill(::getpid(), SIGKILL);
    return 0;
}

/// Dies unless the gate was opened meanwhile: once.
int depending_die_once(const std::string& path) {
    if (::unlink(path.c_str()) == 0) {
        ::kill(::getpid(), SIGKILL);
    }
    return 20;
}

struct CannotBeWritten {
    int n = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned /*version*/) {
        if (n == 13) {
            throw std::runtime_error("unlucky");
        }
        archive& n;
    }
};

/// One that is written slowly: rings, and waits, in the process that says so.
struct WrittenSlowly {
    std::string bell;
    std::string gate;

    template <class Archive>
    void serialize(Archive& archive, unsigned /*version*/) {
        if (Archive::is_saving::value) {
            test::ring(bell);
            test::pass(gate);
        }
        archive& bell;
        archive& gate;
    }
};

int depending_on_slow(int x, const WrittenSlowly&) {
    return x;
}

int pass_one(const std::string& gate) {
    test::pass(gate);
    return 1;
}

int depending_number(const CannotBeWritten& x) {
    return x.n;
}

}  // namespace

TEST_CASE(
    "ray::test_failure::dependent_of_dead: a task whose input died with its worker "
    "names it",
    "[dependency]"
) {
    const mp::Context context = each_pool_start_method();
    ProcessPoolExecutor pool(test::on(context, 2, OnWorkerLoss::isolate));
    const auto f = pool.submit(depending_die, 1);
    const auto g = pool.submit(depending_inc, f);
    const auto h = pool.submit({.after = {g}}, depending_inc, 2);
    CHECK_THROWS_AS(g.result(), futures::DependencyError);
    CHECK_THROWS_AS(
        std::rethrow_exception(test::cause_of(h.exception())), futures::WorkerLost
    );
    CHECK_THROWS_WITH(g.result(), test::ContainsSubstring("depending_die"));
    CHECK(pool.submit(depending_inc, 1).result() == 2);
}

TEST_CASE(
    "ray::test_actor_retry_2::dependent_of_retried: a task waits for the last attempt "
    "of "
    "what it depends on",
    "[dependency]"
) {
    const mp::Context context = each_pool_start_method();
    char path[] = "/tmp/mp-dependent-XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    ::close(fd);
    ProcessPoolExecutor pool(test::on(context, 1, OnWorkerLoss::isolate));
    const auto f = pool.submit({.retries = 1}, depending_die_once, std::string(path));
    const auto g = pool.submit(depending_inc, f);
    CHECK(g.result() == 21);
}

TEST_CASE(
    "dask::test_scheduler::fan_out_after_loss: an input that is lost on each attempt "
    "fails "
    "what depends on it",
    "[dependency]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2, OnWorkerLoss::isolate));
    const auto input = pool.submit({.retries = 2}, depending_die, 1);
    const auto a = pool.submit(depending_inc, input);
    const auto b = pool.submit({.after = {input}}, depending_inc, 1);
    CHECK_THROWS_AS(a.result(), futures::DependencyError);
    CHECK_THROWS_AS(b.result(), futures::DependencyError);
}

TEST_CASE("a pool that breaks fails the tasks that wait in it", "[dependency]") {
    const mp::Context context = each_pool_start_method();
    const Future<int> never;
    ProcessPoolExecutor pool(test::on(context, 1));
    const auto waits = pool.submit(depending_inc, never);
    const auto also = pool.submit({.after = {never}}, depending_inc, 1);
    CHECK_THROWS_AS(pool.submit(depending_die, 1).result(), futures::BrokenProcessPool);
    CHECK_THROWS_AS(waits.result(), futures::BrokenProcessPool);
    CHECK_THROWS_AS(also.result(), futures::BrokenProcessPool);
    pool.shutdown();
    never.set_result(1);
}

TEST_CASE(
    "what cannot be encoded when it is there fails its task only", "[dependency]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    const Future<CannotBeWritten> x;
    const auto f = pool.submit(depending_number, x);
    const auto g = pool.submit(depending_inc, f);
    x.set_result(CannotBeWritten{13});
    CHECK_THROWS_AS(f.result(), mp::SerializationError);
    CHECK_THROWS_AS(g.result(), futures::DependencyError);
    CHECK(pool.submit(depending_number, CannotBeWritten{12}).result() == 12);
}

TEST_CASE("large values go from task to task", "[dependency]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2));
    const auto grow = [](std::vector<char> v) {
        v.resize(v.size() + 1'000'000);
        return v;
    };
    Future<std::vector<char>> last = pool.submit(grow, std::vector<char>());
    for (int i = 0; i < 5; ++i) {
        last = pool.submit(grow, last);
    }
    CHECK(last.result().size() == 6'000'000);
}

TEST_CASE("a callback of a task that waits may wait for it", "[dependency]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    const auto f = pool.submit(depending_inc, 1);
    const auto g = pool.submit(depending_inc, f);
    const auto t = f.then([&](int x) { return x + g.result(); });
    CHECK(t.result() == 5);
}

TEST_CASE(
    "a pool that is killed while the call of a task that waited is written tells its "
    "future's callback",
    "[dependency]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    futures::ThreadPoolExecutor threads(1);
    const test::Gate first;
    const test::Gate bell;
    const test::Gate gate;
    std::atomic<bool> told{false};
    const auto f = threads.submit(pass_one, first.path());
    auto g = pool.submit(depending_on_slow, f, WrittenSlowly{bell.path(), gate.path()});
    g.add_done_callback([&told](const auto&) { told = true; });
    first.open(1);
    REQUIRE(bell.wait_for(1));
    pool.kill_workers();
    CHECK(test::soon([&] { return pool.workers().empty(); }));
    gate.open(4);
    CHECK_THROWS(g.result(20s));
    CHECK(test::soon([&] { return told.load(); }));
}

// SPDX-License-Identifier: BSL-1.0
// Context: that each of its functions makes what the class of that name is, and that
// processes start by its method.
#include "mp/context.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/open_start_method.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using mp::StartMethod;
using test::exit_code_of;

namespace {

struct Point {
    int x = 0;
    double y = 0;
};

void do_nothing() {}

// One call of each thing that a context makes, in a child.
void use_all(
    mp::Lock lock,
    mp::Semaphore semaphore,
    mp::Event event,
    mp::Queue<int> queue,
    mp::Value<int> value,
    mp::RawArray<int> array,
    mp::Connection out
) {
    lock.acquire();
    value.set(value.get() + 1);
    array[0] = 7;
    lock.release();
    queue.put(8);
    event.set();
    semaphore.release();
    out.send(std::string("done"));
}

}  // namespace

TEST_CASE("get_context: by method, by name, and the default", "[context]") {
    for (const StartMethod method : mp::get_all_start_methods()) {
        CHECK(mp::get_context(method) == mp::Context(method));
        CHECK(mp::get_context(mp::to_string(method)) == mp::Context(method));
        CHECK_FALSE(mp::get_context(method) == mp::get_context());
    }
    CHECK(mp::get_context() == mp::Context());
    CHECK_FALSE(mp::get_context("fork") == mp::get_context("spawn"));
    CHECK_THROWS_AS(mp::get_context("thread"), std::invalid_argument);
}

TEST_CASE("Context: get_context() is itself, or by name another", "[context]") {
    const mp::Context ctx = each_start_method();
    CHECK(ctx.get_context() == ctx);
    CHECK(ctx.get_context("spawn") == mp::get_context("spawn"));
    CHECK(mp::Context().get_context("fork") == mp::get_context("fork"));
    CHECK_THROWS_AS(ctx.get_context(""), std::invalid_argument);
}

TEST_CASE("Context: the default one follows the default start method", "[context]") {
    const test::OpenStartMethod open;
    const mp::Context ctx;
    ctx.set_start_method(StartMethod::spawn);
    CHECK(mp::get_start_method() == StartMethod::spawn);
    CHECK(ctx.get_start_method() == StartMethod::spawn);
    CHECK_THROWS_AS(ctx.set_start_method(StartMethod::fork), mp::StateError);
    ctx.set_start_method(StartMethod::fork, {.force = true});
    CHECK(ctx.get_start_method() == StartMethod::fork);
    CHECK(exit_code_of(ctx.Process(do_nothing)) == 0);
}

TEST_CASE("Context: a concrete one leaves the default alone", "[context]") {
    const mp::Context ctx = each_start_method();
    const test::OpenStartMethod open;
    CHECK(exit_code_of(ctx.Process(do_nothing)) == 0);
    CHECK_THROWS_AS(
        ctx.set_start_method(StartMethod::fork, {.force = true}), std::invalid_argument
    );
    CHECK_FALSE(mp::get_start_method({.allow_none = true}));
    CHECK_THROWS_WITH(
        ctx.set_start_method(ctx.get_start_method()),
        test::ContainsSubstring(std::string(mp::to_string(ctx.get_start_method())))
    );
}

TEST_CASE("Context: its processes have its name, unless they have one", "[context]") {
    CHECK_THAT(
        mp::get_context("fork").Process(do_nothing).name(),
        test::StartsWith("ForkProcess-")
    );
    CHECK_THAT(
        mp::get_context("spawn").Process(do_nothing).name(),
        test::StartsWith("SpawnProcess-")
    );
    CHECK_THAT(
        mp::get_context("forkserver").Process(do_nothing).name(),
        test::StartsWith("ForkServerProcess-")
    );
    CHECK_THAT(
        mp::get_context().Process(do_nothing).name(), test::StartsWith("Process-")
    );
    const mp::Context ctx = each_start_method();
    const mp::Process named =
        ctx.Process({.name = "worker", .daemon = true}, do_nothing);
    CHECK(named.name() == "worker");
    CHECK(named.daemon());
}

TEST_CASE("Context: a process of its own does nothing and ends well", "[context]") {
    const mp::Context ctx = each_start_method();
    CHECK(exit_code_of(ctx.Process()) == 0);
    CHECK(exit_code_of(ctx.Process(mp::ProcessOptions{.name = "idle"})) == 0);
}

TEST_CASE("Context: makes pipes in both directions or in one", "[context]") {
    const mp::Context ctx;
    auto [a, b] = ctx.Pipe();
    a.send(1);
    CHECK(b.recv<int>() == 1);
    b.send(2);
    CHECK(a.recv<int>() == 2);
    for (const auto& [reader, writer] :
         {ctx.Pipe(mp::Duplex::no), ctx.Pipe({.duplex = false})}) {
        CHECK(reader.readable());
        CHECK_FALSE(reader.writable());
        CHECK(writer.writable());
        CHECK_FALSE(writer.readable());
    }
}

TEST_CASE("Context: makes locks and signals", "[context]") {
    const mp::Context ctx;
    CHECK_FALSE(ctx.Lock().locked());
    CHECK_FALSE(ctx.RLock().locked());
    CHECK(ctx.Semaphore().get_value() == 1);
    CHECK(ctx.Semaphore(5).get_value() == 5);
    CHECK(ctx.Semaphore({.value = 3, .owned = true}).get_value() == 3);
    CHECK(ctx.BoundedSemaphore(4).get_value() == 4);
    auto bounded = ctx.BoundedSemaphore({.value = 2});
    CHECK_THROWS_AS(bounded.release(), std::invalid_argument);
    CHECK_FALSE(ctx.Event().is_set());
    CHECK(ctx.Barrier(3).parties() == 3);
    auto impatient = ctx.Barrier({.parties = 2, .timeout = 10ms});
    CHECK_THROWS_AS(impatient.wait(), mp::BrokenBarrierError);
    CHECK_THROWS_AS(ctx.Semaphore(-1), std::system_error);
    CHECK_THROWS_AS(ctx.Barrier(0), std::invalid_argument);
}

TEST_CASE("Context: a condition has a lock of its own or a given one", "[context]") {
    const mp::Context ctx;
    const mp::Lock lock = ctx.Lock();
    mp::Condition with_lock = ctx.Condition(lock);
    with_lock.acquire();
    CHECK(lock.locked());
    with_lock.release();
    const mp::RLock rlock = ctx.RLock();
    mp::Condition with_rlock = ctx.Condition(rlock);
    with_rlock.acquire();
    CHECK(rlock.locked());
    with_rlock.release();
    mp::Condition own = ctx.Condition();
    own.acquire();
    CHECK_FALSE(lock.locked());
    CHECK_FALSE(rlock.locked());
    own.release();
}

TEST_CASE("Context: makes values and arrays", "[context]") {
    const mp::Context ctx;
    const mp::RLock lock;
    CHECK(ctx.Value<int>(3).get() == 3);
    CHECK(ctx.Value<int>({.lock = lock}, 3).get_lock() == lock);
    CHECK(ctx.Array<int>({1, 2, 3})[2] == 3);
    CHECK(ctx.Array<int>({.lock = lock}, 5).size() == 5);
    CHECK(ctx.RawValue<Point>(1, 2.0).get().y == 2.0);
    CHECK(ctx.RawArray<int>(std::vector{1, 2})[1] == 2);
    CHECK(ctx.RawArray<int>({1, 2, 3}).size() == 3);
}

TEST_CASE("Context: makes queues with and without a bound", "[context]") {
    const mp::Context ctx;
    auto bounded = ctx.Queue<int>(1);
    bounded.put(1);
    CHECK_THROWS_AS(bounded.put_nowait(2), mp::Full);
    auto by_options = ctx.Queue<std::string>({.maxsize = 1});
    by_options.put("x");
    CHECK(by_options.full());
    auto jobs = ctx.JoinableQueue<int>(2);
    jobs.put(1);
    CHECK(jobs.get() == 1);
    CHECK_FALSE(jobs.join(0s));
    jobs.task_done();
    CHECK(jobs.join(0s));
    CHECK(ctx.JoinableQueue<int>({.maxsize = 1}).empty());
    CHECK(ctx.SimpleQueue<int>().empty());
}

TEST_CASE("Context: what it makes works in its children", "[context]") {
    const mp::Context ctx = each_start_method();
    const mp::Lock lock = ctx.Lock();
    mp::Semaphore semaphore = ctx.Semaphore(0);
    mp::Event event = ctx.Event();
    auto queue = ctx.Queue<int>();
    auto value = ctx.Value<int>(4);
    const auto array = ctx.RawArray<int>(1);
    auto [reader, writer] = ctx.Pipe(mp::Duplex::no);
    mp::Process child =
        ctx.Process(use_all, lock, semaphore, event, queue, value, array, writer);
    child.start();
    CHECK(reader.recv<std::string>() == "done");
    CHECK(semaphore.acquire(0s));
    CHECK(event.is_set());
    CHECK(queue.get(0s) == 8);
    CHECK(value.get() == 5);
    CHECK(array[0] == 7);
    CHECK(child.join());
    CHECK(child.exitcode() == 0);
}

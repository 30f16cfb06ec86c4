// SPDX-License-Identifier: BSL-1.0
// Future::then and Future::recover.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/then.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"
#include "support/counted.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using test::Counted;

namespace {

struct ThenError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

int then_half(int x) {
    return x / 2;
}

}  // namespace

TEST_CASE(
    "mpi4py::test_futures::Then::success_fn: then() gives what its function makes of "
    "the "
    "value, attached before or after",
    "[then]"
) {
    const Future<int> f;
    const auto before = f.then([](int x) { return x + 1; });
    CHECK_FALSE(before.done());
    f.set_result(1);
    CHECK(before.done());
    CHECK(before.result() == 2);
    const auto after = f.then([](const int& x) { return std::to_string(x); });
    CHECK(after.done());
    CHECK(after.result() == "1");
}

TEST_CASE(
    "then() runs its function in the thread that completes the future", "[then]"
) {
    const Future<void> f;
    const auto id = f.then([] { return std::this_thread::get_id(); });
    std::thread other([&] { f.set_result(); });
    const auto of_other = other.get_id();
    other.join();
    CHECK(id.result() == of_other);
    CHECK(f.then([] {
               return std::this_thread::get_id();
           }).result() == std::this_thread::get_id());
}

TEST_CASE(
    "mpi4py::test_futures::Then::multiple: three that follow one future run in the "
    "order "
    "of attaching",
    "[then]"
) {
    const Future<int> f;
    std::vector<int> order;
    std::vector<Future<int>> derived;
    for (int i = 0; i < 3; ++i) {
        derived.push_back(f.then([&order, i](int x) {
            order.push_back(i);
            return x + i;
        }));
        f.add_done_callback([&order, i](const Future<int>&) { order.push_back(10 + i); }
        );
    }
    f.set_result(5);
    CHECK(order == std::vector<int>{0, 10, 1, 11, 2, 12});
    CHECK(derived[0].result() + derived[1].result() + derived[2].result() == 18);
}

TEST_CASE(
    "mpi4py::test_futures::Then::pass_through "
    "mpi4py::test_futures::Then::success_fn_throws "
    "mpi4py::test_futures::Compose::result_hook: a failure passes through, and a "
    "function's "
    "own is the derived one's",
    "[then]"
) {
    const Future<int> f;
    int called = 0;
    const auto t = f.then([&](int x) { return ++called + x; });
    const auto u = t.then([&](int x) { return ++called + x; });
    f.set_exception(ThenError("base"));
    CHECK_THROWS_AS(t.result(), ThenError);
    CHECK_THROWS_WITH(u.result(), "base");
    CHECK(called == 0);

    const Future<int> g;
    const auto v = g.then([](int) -> int { throw ThenError("mine"); });
    g.set_result(3);
    CHECK_THROWS_WITH(v.result(), "mine");
    CHECK(g.result() == 3);
}

TEST_CASE(
    "mpi4py::test_futures::Then::cancel_base: cancelling a future cancels what follows "
    "it, "
    "which is never called",
    "[then]"
) {
    const Future<int> f;
    bool called = false;
    const auto t = f.then([&](int) { called = true; });
    const auto u = t.then([&] { called = true; });
    CHECK(f.cancel());
    CHECK(t.cancelled());
    CHECK(u.cancelled());
    CHECK_THROWS_AS(u.result(), futures::CancelledError);
    CHECK_FALSE(called);
}

TEST_CASE(
    "mpi4py::test_futures::Then::cancel_derived mpi4py::test_futures::Compose::"
    "cancel_both_ways: cancelling what follows leaves the base, and lets go of the "
    "function",
    "[then]"
) {
    const Future<int> f;
    const auto held = std::make_shared<int>(1);
    const auto t = f.then([held](int x) { return x; });
    CHECK(held.use_count() == 2);
    CHECK(t.cancel());
    CHECK(held.use_count() == 1);
    CHECK_FALSE(f.done());
    f.set_result(1);
    CHECK(t.cancelled());
    CHECK(f.result() == 1);
}

TEST_CASE(
    "mpi4py::test_futures::Then::error_handler_recovers mpi4py::test_futures::Then::"
    "error_handler_repackages mpi4py::test_futures::Compose::except_hook: recover() "
    "makes a "
    "value of a failure, or another failure",
    "[then]"
) {
    const Future<int> f;
    bool called = false;
    const auto t = f.then([&](int x) {
                        called = true;
                        return x;
                    }).recover([](const std::exception_ptr&) { return 7; });
    const auto u = f.recover([](const std::exception_ptr&) -> int {
        throw std::out_of_range("another");
    });
    f.set_exception(ThenError("base"));
    CHECK(t.result() == 7);
    CHECK_FALSE(called);
    CHECK_THROWS_AS(u.result(), std::out_of_range);

    const Future<int> good;
    const auto same = good.recover([](const std::exception_ptr&) { return 7; });
    good.set_result(1);
    CHECK(same.result() == 1);
    const Future<int> cancelled;
    const auto not_recovered =
        cancelled.recover([](const std::exception_ptr&) { return 7; });
    cancelled.cancel();
    CHECK(not_recovered.cancelled());
}

TEST_CASE(
    "mpi4py::test_futures::Then::chain_unwraps: what a function returns as a future is "
    "waited for",
    "[then]"
) {
    const Future<int> f;
    const Future<int> inner;
    const Future<Future<int>> between;
    Future<int> t = f.then([&](int) { return between; });
    Future<int> u =
        f.then([&](int) { return inner; }).then([](int x) { return x + 1; });
    f.set_result(0);
    CHECK_FALSE(t.done());
    between.set_result(inner);
    CHECK_FALSE(t.done());
    inner.set_result(5);
    CHECK(t.result() == 5);
    CHECK(u.result() == 6);

    const Future<int> cancelled;
    Future<int> v = f.then([&](int) { return cancelled; });
    cancelled.cancel();
    CHECK_THROWS_AS(v.result(), futures::CancelledError);
}

TEST_CASE("then(): a function of a future gets it, also a failed one", "[then]") {
    const Future<int> f;
    const auto t =
        f.then([](const Future<int>& done) { return done.exception() != nullptr; });
    f.set_exception(ThenError("base"));
    CHECK(t.result());
}

TEST_CASE(
    "then() of the only handle moves the value, of one of two it refers", "[then]"
) {
    int copies = 0;
    futures::ThreadPoolExecutor pool(1);
    for (int i = 0; i < 50; ++i) {
        const auto n = pool.submit([&copies] { return Counted(copies); }
        ).then([](Counted c) {
             return c;
         }).then([](Counted&& c) { return c.copies != nullptr; });
        REQUIRE(n.result());
        REQUIRE(copies == 0);
    }
    const Future<Counted> f;
    const auto t = f.then([](const Counted& c) { return c.copies != nullptr; });
    f.set_result(Counted(copies));
    CHECK(t.result());
    CHECK(copies == 0);
    CHECK(
        *pool.submit([] { return std::make_unique<int>(4); }
        ).then([](std::unique_ptr<int> p) {
             return p;
         }).result() == 4
    );
}

TEST_CASE("then(pool, fn) is a task of that pool", "[then]") {
    futures::ThreadPoolExecutor threads({.max_workers = 1, .thread_name_prefix = "mine"}
    );
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .mp_context = quick_pool_context()}
    );
    const Future<int> f;
    const auto t = f.then(threads, [](int) { return futures::current_thread_name(); });
    const auto u = f.then(pool, then_half).then(threads, then_half);
    const Future<void> nothing;
    const auto v = nothing.then(threads, [] { return 3; });
    const auto w = f.then(threads, [](Future<int> done) { return done.result(); });
    CHECK_FALSE(w.done());
    f.set_result(40);
    nothing.set_result();
    CHECK(t.result() == "mine_0");
    CHECK(u.result() == 10);
    CHECK(v.result() == 3);
    CHECK(w.result() == 40);
    const Future<int> bad;
    const auto x = bad.then(threads, then_half);
    bad.set_exception(ThenError("base"));
    CHECK_THROWS_AS(x.result(), futures::DependencyError);
    CHECK_THROWS_AS(std::rethrow_exception(test::cause_of(x.exception())), ThenError);
}

TEST_CASE("then(): a chain of 10000 is no deeper than one", "[then]") {
    const Future<int> f;
    Future<int> last = f;
    const Future<int> bad;
    Future<int> last_bad = bad;
    const Future<int> cancelled;
    Future<int> last_cancelled = cancelled;
    const auto inc = [](int x) {
        return x + 1;
    };
    for (int i = 0; i < 10'000; ++i) {
        last = last.then(inc);
        last_bad = last_bad.then(inc);
        last_cancelled = last_cancelled.then(inc);
    }
    f.set_result(0);
    bad.set_exception(ThenError("base"));
    cancelled.cancel();
    CHECK(last.result() == 10'000);
    CHECK_THROWS_AS(last_bad.result(), ThenError);
    CHECK(last_cancelled.cancelled());
}

TEST_CASE("then(): what nobody can complete any more fails what follows", "[then]") {
    Future<int> t;
    Future<int> last;
    const auto held = std::make_shared<int>(1);
    {
        const Future<int> f;
        t = f.then([held](int x) { return x; });
        last = t;
        for (int i = 0; i < 10'000; ++i) {
            last = last.then([](int x) { return x; });
        }
    }
    CHECK_THROWS_AS(t.result(), futures::DependencyError);
    CHECK_THROWS_AS(last.result(), futures::DependencyError);
    CHECK(held.use_count() == 1);
}

TEST_CASE("then(): a function that waits for what it completes itself", "[then]") {
    const Future<int> f;
    const Future<int> g;
    const auto h = g.then([](int x) { return x + 1; });
    const auto t = f.then([&](int x) {
        g.set_result(x);
        return h.result();
    });
    f.set_result(1);
    CHECK(t.result() == 2);
}

namespace {

int then_nested(int depth) {
    const Future<int> f;
    const auto t =
        f.then([depth](int x) { return depth == 0 ? x : then_nested(depth - 1) + x; });
    f.set_result(1);
    return t.result();
}

}  // namespace

TEST_CASE("then(): a function waits for what this very thread is to do", "[then]") {
    SECTION("at any depth") {
        CHECK(then_nested(50) == 51);
    }
    SECTION("after it, of the same future") {
        const int how = GENERATE(0, 1, 2);
        const Future<int> f;
        std::optional<Future<int>> next;
        const auto t = f.then([&](int x) {
            const std::vector all{*next};
            if (how == 1) {
                futures::wait(all, futures::FIRST_COMPLETED);
            } else if (how == 2) {
                for (const auto& g : futures::as_completed(all)) {
                    return g.result() + x;
                }
            }
            return next->result() + x;
        });
        next = f.then([](int x) { return 2 * x; }).then([](int x) { return 2 * x; });
        f.set_result(3);
        CHECK(t.result() == 15);
    }
}

TEST_CASE(
    "then(): a function that waits for what depends on it gets a DeadlockError",
    "[then]"
) {
    const Future<int> f;
    std::optional<Future<int>> last;
    const auto t = f.then([&](int) {
        CHECK_THROWS_AS(last->result(), futures::DeadlockError);
        return 1;
    });
    last = t.then([](int x) { return x + 1; }).then([](int x) { return x + 1; });
    f.set_result(1);
    CHECK(last->result() == 3);
}

TEST_CASE("then(): cancelling it against the end of its future", "[then]") {
    for (int round = 0; round < 500; ++round) {
        const Future<int> f;
        const auto t = f.then([](int x) { return x; });
        const auto u = t.then([](int x) { return x; });
        std::thread other([&] { t.cancel(); });
        f.set_result(1);
        other.join();
        REQUIRE(t.done());
        REQUIRE(u.done());
        REQUIRE(t.cancelled() == u.cancelled());
    }
}

TEST_CASE("then(): cancelling it against its future's last handle going", "[then]") {
    for (int round = 0; round < 500; ++round) {
        auto f = std::make_unique<Future<int>>();
        const auto t = f->then([](int x) { return x; });
        std::thread other([&] { t.cancel(); });
        f.reset();
        other.join();
        REQUIRE(t.done());
    }
}

namespace {

/// Calls `body` in a function within so many others, with a future that waits for its
/// turn in this thread.
void then_within(int depth, const std::function<void(const Future<void>&)>& body) {
    const Future<void> f;
    const auto next = std::make_shared<Future<void>>();
    const auto t = f.then([depth, &body, next] {
        if (depth == 0) {
            body(*next);
        } else {
            then_within(depth - 1, body);
        }
    });
    *next = f.then([] {});
    f.set_result();
}

bool then_of_ones_own_works() {
    const Future<int> own;
    const auto last =
        own.then([](int x) { return 2 * x; }).then([](int x) { return x + 1; });
    own.set_result(1);
    return last.done() && last.result() == 3;
}

/// A wait runs what it needs of this thread.
bool then_is_made_here(const Future<void>& future) {
    try {
        future.result(1ms);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace

TEST_CASE("then(): a child that a function forks leaves to it what waits", "[then]") {
    const int depth = GENERATE(0, 30);
    int status = -1;
    bool done = true;
    then_within(depth, [&](const Future<void>& next) {
        status = test::run_in_fork_for(test::patience(1s), [&] {
            return then_of_ones_own_works() && !then_is_made_here(next) ? 0 : 1;
        });
        done = next.done();
    });
    CHECK(status == 0);
    CHECK_FALSE(done);
}

TEST_CASE("then(): a child that returns from the function that forked it", "[then]") {
    const Future<int> f;
    pid_t child = -1;
    int others = 0;
    const auto t = f.then([&](int x) {
        child = ::fork();
        return x;
    });
    const auto u = f.then([&](int) { ++others; });
    f.set_result(1);
    if (child == 0) {
        ::_exit(others == 0 && then_of_ones_own_works() ? 0 : 1);
    }
    CHECK(test::exit_status(child) == 0);
    CHECK(others == 1);
    CHECK(u.done());
}

// SPDX-License-Identifier: BSL-1.0
// Tasks that depend on futures, in both pools.
#include "futures/detail/dependencies.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/log.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"
#include "support/counted.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using futures::CancelledError;
using futures::DependencyError;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::Counted;

namespace {

struct RootError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const bool root_error_travels = (mp::register_exception<RootError>(), true);

int dep_add(int a, int b) {
    return a + b;
}

int dep_inc(int a) {
    return a + 1;
}

int dep_fail(int) {
    throw RootError("the root");
}

int dep_pass(const std::string& gate, int value) {
    test::pass(gate);
    return value;
}

std::size_t dep_length(const std::string& text, std::vector<int> numbers) {
    return text.size() + numbers.size();
}

/// Gives a future its value when the log tells of such.
class CompletesWhenLogged final : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit CompletesWhenLogged(Future<int> future) : future_(std::move(future)) {}

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        const std::string_view text(message.payload.data(), message.payload.size());
        if (text.find("made by hand") != std::string_view::npos) {
            future_.set_result(1);
        }
    }

    void flush_() override {}

    Future<int> future_;
};

/// What is nested in the exception of a future that failed with a DependencyError.
template <class T>
std::exception_ptr dep_cause(const Future<T>& future) {
    const auto error = future.exception();
    REQUIRE_THROWS_AS(std::rethrow_exception(error), DependencyError);
    return test::cause_of(error);
}

/// The same in a thread pool and in a process pool.
template <class Test>
void in_both_pools(Test run) {
    SECTION("threads") {
        ThreadPoolExecutor pool(2);
        run(pool);
    }
    SECTION("processes") {
        ProcessPoolExecutor pool(test::on(quick_pool_context(), 2));
        run(pool);
    }
}

}  // namespace

TEST_CASE(
    "dask::test_client::future_as_argument: a task gets the values of futures among "
    "its "
    "arguments",
    "[dependency]"
) {
    static_cast<void>(root_error_travels);
    in_both_pools([](auto& pool) {
        const Future<int> by_hand;
        const auto f = pool.submit(dep_add, 1, 2);
        const auto g = pool.submit(dep_add, f, by_hand);
        const auto h = pool.submit({.after = {g}}, dep_add, by_hand, 5);
        CHECK_FALSE(h.done());
        CHECK_FALSE(g.running());
        by_hand.set_result(10);
        CHECK(g.result() == 13);
        CHECK(h.result() == 15);
        CHECK(
            pool.submit(
                    dep_length, "four", Future<std::vector<int>>(pool.submit([] {
                        return std::vector<int>{1, 2};
                    }))
            ).result() == 6
        );
    });
}

TEST_CASE("a task's arguments beside a future are kept as they were", "[dependency]") {
    in_both_pools([](auto& pool) {
        const Future<std::vector<int>> numbers;
        Future<std::size_t> f;
        {
            const std::string text = "some text that is longer than its object";
            f = pool.submit(dep_length, text, numbers);
        }
        numbers.set_result(std::vector<int>{1, 2, 3});
        CHECK(f.result() == 43);
    });
}

TEST_CASE(
    "a callable that takes a future gets it, at once, on threads", "[dependency]"
) {
    ThreadPoolExecutor pool(1);
    const Future<int> f;
    CHECK_FALSE(pool.submit([](Future<int> g) { return g.done(); }, f).result());
    CHECK_FALSE(pool.submit([](const Future<int>& g) { return g.done(); }, f).result());
    const auto generic = pool.submit([](auto x) { return x + 1; }, f);
    const auto mixed =
        pool.submit([](int x, const Future<int>& g) { return g.result() + x; }, f, f);
    f.set_result(2);
    CHECK(generic.result() == 3);
    CHECK(mixed.result() == 4);
}

TEST_CASE("the value of a future given away is moved into its task", "[dependency]") {
    ThreadPoolExecutor pool(1);
    int copies = 0;
    const auto make = [&copies] {
        return Counted(copies);
    };
    const auto take = [](Counted c) {
        return c.copies != nullptr;
    };
    CHECK(pool.submit(take, pool.submit(make)).result());
    CHECK(copies == 0);
    const auto kept = pool.submit(make);
    CHECK(pool.submit(take, kept).result());
    CHECK(copies == 1);
    CHECK(
        *pool.submit(
                 [](std::unique_ptr<int> p) { return p; },
                 pool.submit([] { return std::make_unique<int>(4); })
        ).result() == 4
    );
}

TEST_CASE(
    "dask::test_client::exception_on_exception ray::test_traceback::dependency_text "
    "taskflow::test_exceptions::chain_stops taskflow::test_dependent_asyncs::"
    "successor_of_failed: what depends on a failure is not run, and says why, once",
    "[dependency]"
) {
    in_both_pools([](auto& pool) {
        const auto before = pool.submit(dep_inc, 1);
        const auto f = pool.submit(dep_fail, before);
        const auto g = pool.submit(dep_inc, f);
        const auto h = pool.submit({.after = {g}}, dep_inc, 1);
        const auto apart = pool.submit(dep_inc, before);
        CHECK_THROWS_AS(f.result(), RootError);
        CHECK_THROWS_AS(std::rethrow_exception(dep_cause(g)), RootError);
        CHECK_THROWS_AS(std::rethrow_exception(dep_cause(h)), RootError);
        CHECK(before.result() == 2);
        CHECK(apart.result() == 3);
        CHECK_THROWS_WITH(g.result(), test::ContainsSubstring("RootError: the root"));
        try {
            h.result();
        } catch (const DependencyError& error) {
            const std::string text = error.what();
            CHECK(error.steps() == 2);
            CHECK_THAT(text, test::ContainsSubstring("2 tasks back"));
            CHECK(text.find("the root") == text.rfind("the root"));
        }
    });
}

TEST_CASE(
    "dask::test_client::submit_on_failed dask::test_client::submit_on_cancelled: what "
    "depends on a future that has failed or was cancelled before never runs",
    "[dependency]"
) {
    in_both_pools([](auto& pool) {
        const Future<int> failed;
        failed.set_exception(RootError("the root"));
        const Future<int> cancelled;
        cancelled.cancel();
        CHECK_THROWS_AS(
            std::rethrow_exception(dep_cause(pool.submit(dep_inc, failed))), RootError
        );
        CHECK_THROWS_AS(pool.submit(dep_inc, cancelled).result(), CancelledError);
        CHECK(pool.submit({.after = {cancelled}}, dep_inc, 1).cancelled());
    });
}

TEST_CASE(
    "dask::test_client::cancel_before_known ray::test_cancel::chain: a cancelled "
    "future "
    "cancels what depends on it, and nothing before it",
    "[dependency]"
) {
    in_both_pools([](auto& pool) {
        const Future<int> start;
        const auto a = pool.submit(dep_inc, start);
        const auto b = pool.submit(dep_inc, a);
        const auto c = pool.submit(dep_inc, b);
        const auto d = pool.submit(dep_inc, c);
        CHECK(c.cancel());
        CHECK(c.cancelled());
        CHECK(d.cancelled());
        start.set_result(0);
        CHECK(b.result() == 2);

        const Future<int> again;
        std::vector<Future<int>> chain{pool.submit(dep_inc, again)};
        for (int i = 0; i < 3; ++i) {
            chain.push_back(pool.submit({.after = {chain.back()}}, dep_inc, i));
        }
        CHECK(chain.front().cancel());
        for (const auto& f : chain) {
            CHECK_THROWS_AS(f.result(), CancelledError);
        }
        again.set_result(0);
    });
}

TEST_CASE(
    "ray::test_cancel::multiple_dependents ray::test_cancel::comprehensive: one "
    "cancels "
    "the three that depend on it, and the three not it",
    "[dependency]"
) {
    in_both_pools([](auto& pool) {
        const Future<int> base;
        const Future<int> other;
        std::vector<Future<int>> dependents;
        for (int i = 0; i < 3; ++i) {
            dependents.push_back(pool.submit(dep_add, base, other));
        }
        SECTION("it") {
            CHECK(base.cancel());
            other.set_result(1);
            for (const auto& f : dependents) {
                CHECK_THROWS_AS(f.result(), CancelledError);
            }
        }
        SECTION("the three") {
            for (const auto& f : dependents) {
                CHECK(f.cancel());
            }
            CHECK_FALSE(base.done());
            base.set_result(1);
            other.set_result(1);
        }
    });
}

TEST_CASE("a dependent that is cancelled lets go of its arguments", "[dependency]") {
    ThreadPoolExecutor pool(1);
    const Future<int> never;
    const auto held = std::make_shared<int>(1);
    const auto f = pool.submit([held](int x) { return x; }, never);
    CHECK(held.use_count() == 2);
    CHECK(f.cancel());
    CHECK(held.use_count() == 1);
    CHECK(pool.statistics().begun == pool.statistics().submitted);
}

TEST_CASE("two that fail in the same moment end a task once", "[dependency]") {
    in_both_pools([](auto& pool) {
        for (int round = 0; round < 200; ++round) {
            const Future<int> a;
            const Future<int> b;
            std::atomic<int> told{0};
            const auto f = pool.submit(dep_add, a, b);
            f.add_done_callback([&](const Future<int>&) { ++told; });
            std::thread other([&] { a.set_exception(RootError("a")); });
            if (round % 3 == 0) {
                b.cancel();
            } else if (round % 3 == 1) {
                b.set_exception(RootError("b"));
            } else {
                f.cancel();
            }
            other.join();
            futures::wait({f});
            REQUIRE(f.done());
            pool.submit(dep_inc, 1).result();
            while (told == 0) {  // the manager runs callbacks
                std::this_thread::yield();
            }
            REQUIRE(told == 1);
        }
    });
}

TEST_CASE("cancelling a task against what it waits for", "[dependency]") {
    in_both_pools([](auto& pool) {
        int cancelled = 0;
        for (int round = 0; round < 300; ++round) {
            const Future<int> a;
            const auto f = pool.submit(dep_inc, a);
            const auto g = pool.submit(dep_inc, f);
            std::thread other([&] { a.set_result(1); });
            const bool won = f.cancel();
            other.join();
            futures::wait({f});
            REQUIRE(f.cancelled() == won);
            futures::wait({g});
            REQUIRE(g.cancelled() == won);
            cancelled += won ? 1 : 0;
        }
        CHECK(cancelled <= 300);
        pool.shutdown();
    });
}

TEST_CASE(
    "a future that nobody can complete any more fails its tasks", "[dependency]"
) {
    in_both_pools([](auto& pool) {
        auto f = std::make_unique<Future<int>>();
        const auto g = pool.submit({.after = {*f}}, dep_inc, 1);
        const auto h = pool.submit(dep_inc, *f);
        f.reset();
        CHECK(dep_cause(g) == nullptr);
        CHECK(dep_cause(h) == nullptr);
        CHECK_THROWS_AS(pool.submit(dep_inc, Future<int>()).result(), DependencyError);
    });
}

TEST_CASE("shutdown() waits for tasks that wait, or cancels them", "[dependency]") {
    in_both_pools([](auto& pool) {
        const Future<int> a;
        const auto f = pool.submit(dep_inc, a);
        const auto g = pool.submit({.after = {f}}, dep_inc, 5);
        SECTION("waits") {
            std::thread other([&] { pool.shutdown(); });
            while (true) {
                try {
                    pool.submit(dep_inc, 1).result();
                } catch (const mp::StateError&) {
                    break;
                }
            }
            CHECK_THROWS_AS(pool.submit(dep_inc, a), mp::StateError);
            CHECK_FALSE(f.done());
            a.set_result(1);
            other.join();
            CHECK(f.done());
            CHECK(g.result() == 6);
        }
        SECTION("cancels") {
            pool.shutdown({.cancel_futures = true});
            CHECK(f.cancelled());
            CHECK(g.cancelled());
            a.set_result(1);
        }
        SECTION("does not wait") {
            pool.shutdown({.wait = false});
            a.set_result(1);
            CHECK(g.result() == 6);
        }
    });
}

TEST_CASE("the end of a pool says that it waits for what is made by hand") {
    const Future<int> a;
    const auto sinks = mp::get_logger().sinks();
    mp::get_logger().sinks() = {std::make_shared<CompletesWhenLogged>(a)};
    Future<int> f;
    SECTION("by its destructor") {
        ThreadPoolExecutor pool(1);
        f = pool.submit(dep_inc, a);
    }
    SECTION("by shutdown(), and of what is derived") {
        ThreadPoolExecutor pool(1);
        f = pool.submit(dep_inc, a.then([](int x) { return x; }));
        pool.shutdown();
    }
    mp::get_logger().sinks() = sinks;
    CHECK(f.result() == 2);
}

TEST_CASE("a broken pool fails the tasks that wait", "[dependency]") {
    SECTION("threads") {
        const test::LogCapture log;
        const Future<int> a;
        ThreadPoolExecutor pool({.max_workers = 1, .initializer = [] {
                                     throw RootError("the root");
                                 }});
        CHECK_THROWS_AS(pool.submit(dep_inc, a).result(), futures::BrokenThreadPool);
    }
    SECTION("processes") {
        const Future<int> a;
        ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
        const auto f = pool.submit(dep_inc, a);
        const auto g = pool.submit(dep_inc, f);
        std::atomic<int> told{0};
        f.add_done_callback([&](const Future<int>&) { ++told; });
        pool.kill_workers();
        CHECK_THROWS_AS(f.result(), futures::BrokenProcessPool);
        CHECK_THROWS_AS(g.result(), futures::BrokenProcessPool);
        pool.shutdown();
        CHECK(told == 1);
        a.set_result(1);
    }
}

TEST_CASE("statistics() count the tasks that wait", "[dependency]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    const Future<int> a;
    const auto f = pool.submit(dep_inc, a);
    const auto g = pool.submit(dep_inc, a);
    CHECK(pool.statistics().submitted == 2);
    CHECK(pool.statistics().concluded == 0);
    CHECK(g.cancel());
    CHECK(pool.statistics().concluded == 1);
    a.set_result(1);
    CHECK(f.result() == 2);
    CHECK(pool.statistics().submitted == 2);
    CHECK(pool.statistics().concluded == 2);
}

TEST_CASE("a task is not sent before what it depends on is done", "[dependency]") {
    const test::Gate gate;
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    const auto slow = pool.submit(dep_pass, gate.path(), 1);
    const auto after = pool.submit({.after = {slow}}, dep_inc, 1);
    const auto with = pool.submit(dep_inc, slow);
    CHECK_FALSE(after.running());
    CHECK(with.cancel());
    gate.open(1);
    CHECK(slow.result() == 1);
    CHECK(after.result() == 2);
}

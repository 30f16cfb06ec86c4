// SPDX-License-Identifier: BSL-1.0
// Chains, fans and graphs of tasks that depend on one another.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/cause_of.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <atomic>
#include <random>
#include <stdexcept>
#include <vector>

using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;

namespace {

struct GraphError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

int graph_add(int a, int b) {
    return a + b;
}

int graph_inc(int a) {
    return a + 1;
}

std::exception_ptr graph_cause(const Future<int>& future) {
    return test::cause_of(future.exception());
}

/// The same in a thread pool and in a process pool.
template <class Test>
void graph_in_both_pools(Test run) {
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
    "taskflow::test_dependent_asyncs::linear_chain: a chain of 100000 tasks, and what "
    "each "
    "wrote is seen by the next",
    "[dependency]"
) {
    constexpr std::size_t count = 100'000;
    for (const int workers : {1, 2, 8}) {
        ThreadPoolExecutor pool(workers);
        std::vector<int> results(count + 1);
        const Future<void> start;
        Future<void> last = start;
        for (std::size_t i = 1; i <= count; ++i) {
            last = pool.submit({.after = {last}}, [&results, i] {
                results[i] = results[i - 1] + 1;
            });
        }
        start.set_result();
        last.result();
        CHECK(results[count] == static_cast<int>(count));
    }
}

TEST_CASE("a chain of 10000 tasks that fails or is cancelled", "[dependency]") {
    graph_in_both_pools([](auto& pool) {
        const Future<int> start;
        Future<int> last = start;
        for (int i = 0; i < 10'000; ++i) {
            last = pool.submit(graph_inc, last);
        }
        SECTION("fails") {
            start.set_exception(GraphError("the root"));
            CHECK_THROWS_AS(std::rethrow_exception(graph_cause(last)), GraphError);
        }
        SECTION("is cancelled") {
            start.cancel();
            CHECK(last.cancelled());
        }
        SECTION("is run") {
            start.set_result(0);
            CHECK(last.result() == 10'000);
        }
        SECTION("is cancelled by the pool") {
            pool.shutdown({.cancel_futures = true});
            CHECK(last.cancelled());
        }
    });
}

TEST_CASE("a fan of 100000 tasks after one", "[dependency]") {
    ThreadPoolExecutor pool(2);
    const Future<int> start;
    std::vector<Future<int>> fan;
    for (int i = 0; i < 100'000; ++i) {
        fan.push_back(pool.submit(graph_inc, start));
    }
    const auto last = pool.submit({.after = fan}, graph_inc, 1);
    start.set_result(1);
    CHECK(last.result() == 2);
    for (const auto& f : fan) {
        REQUIRE(f.done());
    }
}

TEST_CASE("a random graph of 1000000 edges", "[dependency]") {
    constexpr std::size_t nodes = 100'000;
    constexpr std::size_t edges = 10;
    ThreadPoolExecutor pool(2);
    std::mt19937 random(1);
    const Future<void> start;
    std::vector<Future<void>> graph{start};
    std::vector<std::atomic<bool>> ran(nodes + 1);
    ran[0] = true;
    std::atomic<std::size_t> early{0};
    for (std::size_t i = 1; i <= nodes; ++i) {
        std::vector<std::size_t> on;
        std::vector<Future<void>> after;
        for (std::size_t k = 0; k < edges; ++k) {
            on.push_back(random() % i);
            after.push_back(graph[on.back()]);
        }
        graph.push_back(pool.submit({.after = after}, [&ran, &early, on, i] {
            for (const std::size_t before : on) {
                early += ran[before] ? 0 : 1;
            }
            ran[i] = true;
        }));
    }
    start.set_result();
    pool.shutdown();
    CHECK(early == 0);
    for (const auto& f : graph) {
        REQUIRE(f.done());
    }
}

TEST_CASE(
    "taskflow::test_dependent_asyncs::diamond_100_times "
    "taskflow::test_dependent_asyncs::"
    "mixed_future_kinds: each leaf sees its parents' values",
    "[dependency]"
) {
    graph_in_both_pools([](auto& pool) {
        for (int round = 0; round < 100; ++round) {
            const auto root = pool.submit(graph_inc, round);
            std::vector<Future<int>> middle;
            std::vector<Future<int>> leaves;
            for (int i = 0; i < 3; ++i) {
                middle.push_back(pool.submit(graph_add, root, i));
                leaves.push_back(pool.submit(graph_add, middle[0], root));
            }
            const auto last = pool.submit(graph_add, leaves[2], middle[2]);
            REQUIRE(last.result() == 3 * (round + 1) + 2);
            REQUIRE(root.done());
            REQUIRE(middle[0].done());
            REQUIRE(leaves[1].result() == 2 * (round + 1));
        }
    });
}

TEST_CASE(
    "taskflow::test_dependent_asyncs::complete_chain: 2000 tasks, each after all "
    "before it, "
    "on two pools in turn",
    "[dependency]"
) {
    ThreadPoolExecutor one(2);
    ThreadPoolExecutor two(2);
    std::vector<Future<int>> tasks;
    std::atomic<int> ran{0};
    std::atomic<int> wrong{0};
    for (int i = 0; i < 2000; ++i) {
        tasks.push_back((i % 2 == 0 ? one : two).submit({.after = tasks}, [&, i] {
            wrong += ran == i ? 0 : 1;
            return ++ran;
        }));
    }
    CHECK(tasks.back().result() == 2000);
    CHECK(wrong == 0);
}

TEST_CASE(
    "taskflow::test_dependent_asyncs::parallel_construction "
    "taskflow::test_dependent_asyncs"
    "::from_runtime: tasks that run build a triangle of tasks",
    "[dependency]"
) {
    constexpr std::size_t rows = 100;
    ThreadPoolExecutor pool(4);
    std::atomic<int> early{0};
    std::atomic<std::size_t> ran{0};
    std::vector<std::vector<Future<void>>> triangle(rows);
    const auto outer = pool.submit([&] {
        for (std::size_t row = 0; row < rows; ++row) {
            std::vector<Future<Future<void>>> made;
            for (std::size_t i = 0; i <= row; ++i) {
                std::vector<Future<void>> parents;
                if (row > 0 && i < row) {
                    parents.push_back(triangle[row - 1][i]);
                }
                if (row > 0 && i > 0) {
                    parents.push_back(triangle[row - 1][i - 1]);
                }
                made.push_back(pool.submit([&, parents] {
                    return pool.submit({.after = parents}, [&, parents] {
                        for (const auto& parent : parents) {
                            early += parent.done() ? 0 : 1;
                        }
                        ++ran;
                    });
                }));
            }
            for (auto& f : made) {
                triangle[row].push_back(f.result());
            }
        }
    });
    outer.result();
    pool.shutdown();
    CHECK(early == 0);
    CHECK(ran == rows * (rows + 1) / 2);
}

TEST_CASE(
    "taskflow::test_dependent_asyncs::iterative_values: Fibonacci numbers of futures "
    "that "
    "are done",
    "[dependency]"
) {
    ThreadPoolExecutor pool(2);
    const auto add = [](unsigned long a, unsigned long b) {
        return a + b;
    };
    std::vector<Future<unsigned long>> fib{
        pool.submit([] { return 0UL; }), pool.submit([] { return 1UL; })};
    for (std::size_t i = 2; i <= 93; ++i) {
        fib.push_back(pool.submit(add, fib[i - 1], fib[i - 2]));
        REQUIRE(fib.back().result() == fib[i - 1].result() + fib[i - 2].result());
    }
    CHECK(fib.back().result() == 12200160415121876738UL);
}

// SPDX-License-Identifier: BSL-1.0
// ProcessPoolExecutor: calls, results, cancelling, callbacks, misuse, options.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using futures::Future;
using futures::ProcessPoolExecutor;
using test::inc;

namespace {

std::string join(std::string a, const std::string& b) {
    return a + b;
}

int throw_for_odd(int x) {
    if (x % 2 != 0) {
        throw std::invalid_argument("odd: " + std::to_string(x));
    }
    return x;
}

std::vector<std::uint64_t> sequence(std::size_t size) {
    std::vector<std::uint64_t> values(size);
    std::iota(values.begin(), values.end(), 0);
    return values;
}

std::uint64_t sum(const std::vector<std::uint64_t>& values) {
    return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

/// A task without a result.
void nothing() {}

pid_t worker_pid() {
    return getpid();
}

/// A task that takes as long as its test wants.
bool pass_gate(const std::string& path) {
    test::pass(path);
    return true;
}

struct Point {
    int x = 0;
    int y = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& x& y;
    }
};

Point swapped(Point p) {
    return {p.y, p.x};
}

/// An argument that cannot be encoded.
struct Unencodable {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::runtime_error("will not be encoded");
    }
};

int take(Unencodable) {
    return 0;
}

}  // namespace

TEST_CASE(
    "ProcessPool: calls run in a worker and results come back", "[process_pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
    CHECK(pool.submit(inc, 41).result() == 42);
    CHECK(pool.submit(join, "a", "b").result() == "ab");
    CHECK(pool.submit(worker_pid).result() != getpid());
    CHECK(pool.submit(swapped, Point{1, 2}).result().x == 2);
    CHECK(pool.submit([](int x) { return x * 2; }, 4).result() == 8);
    pool.submit(nothing).result();
    CHECK_THROWS_WITH(
        pool.submit(throw_for_odd, 3).result(), test::ContainsSubstring("odd: 3")
    );
}

TEST_CASE("ProcessPool: payloads of any size arrive intact", "[process_pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
    for (const std::size_t size :
         {0U, 1U, 27U, 28U, 29U, 30U, 500U, 5000U, 2'000'000U}) {
        CHECK(pool.submit(sum, sequence(size)).result() == size * (size - 1) / 2);
        CHECK(pool.submit(sequence, size).result() == sequence(size));
    }
    std::vector<Future<std::vector<std::uint64_t>>> many;
    for (int i = 0; i < 200; ++i) {
        many.push_back(pool.submit(sequence, static_cast<std::size_t>(i) * 100));
    }
    for (std::size_t i = 0; i < many.size(); ++i) {
        CHECK(many[i].result().size() == i * 100);
    }
}

TEST_CASE("ProcessPool: many tasks, many submitters", "[process_pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool({.max_workers = 3, .mp_context = context});
    std::vector<std::thread> submitters;
    std::atomic<int> wrong{0};
    pool.submit(inc, 0).result();
    for (int t = 0; t < 4; ++t) {
        submitters.emplace_back([&, t] {
            std::vector<Future<int>> futures;
            for (int i = 0; i < 3000; ++i) {
                futures.push_back(pool.submit(inc, i * t));
            }
            for (int i = 0; i < 3000; ++i) {
                wrong += futures[static_cast<std::size_t>(i)].result() != i * t + 1;
            }
        });
    }
    for (auto& submitter : submitters) {
        submitter.join();
    }
    CHECK(wrong == 0);
    const auto statistics = pool.statistics();
    CHECK(statistics.submitted == 12001);
    CHECK(statistics.concluded == 12001);
}

TEST_CASE("ProcessPool: map() sends what submit() sends", "[process_pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool({.max_workers = 1, .mp_context = context});
    const auto longer = [](auto text) {
        return text += "!";
    };
    const std::vector<const char*> texts = {"a", "b"};
    CHECK(pool.submit(longer, "a").result() == "a!");
    std::vector<std::string> results;
    for (std::string result : pool.map({.chunksize = 2}, longer, texts)) {
        results.push_back(std::move(result));
    }
    CHECK(results == std::vector<std::string>{"a!", "b!"});
}

TEST_CASE(
    "ProcessPool: map keeps the order, item errors stay single", "[process_pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
    std::vector<int> inputs(1000);
    std::iota(inputs.begin(), inputs.end(), 0);
    for (const int chunksize : {1, 7, 100, 5000}) {
        int expected = 0;
        for (const int result : pool.map({.chunksize = chunksize}, inc, inputs)) {
            REQUIRE(result == ++expected);
        }
        CHECK(expected == 1000);
        auto results = pool.map({.chunksize = chunksize}, throw_for_odd, inputs);
        int index = 0;
        for (auto it = results.begin(); it != results.end(); ++it, ++index) {
            if (index % 2 == 0) {
                REQUIRE(*it == index);
            } else {
                REQUIRE_THROWS_AS(*it, std::invalid_argument);
            }
        }
        CHECK(index == 1000);
    }
}

TEST_CASE(
    "ProcessPool: a queued task can be cancelled, a running one not", "[process_pool]"
) {
    const auto context = each_pool_start_method();
    const test::Gate gate;
    ProcessPoolExecutor pool({.max_workers = 1, .mp_context = context});
    auto running = pool.submit(pass_gate, gate.path());
    std::vector<Future<int>> queued;
    for (int i = 0; i < 3000; ++i) {
        queued.push_back(pool.submit(inc, i));
    }
    while (!running.running()) {
        std::this_thread::yield();
    }
    CHECK_FALSE(running.cancel());
    for (std::size_t i = 0; i < queued.size(); i += 2) {
        CHECK(queued[i].cancel());
        CHECK(queued[i].cancelled());
    }
    gate.open(1);
    CHECK(running.result());
    for (std::size_t i = 0; i < queued.size(); ++i) {
        if (i % 2 == 0) {
            REQUIRE_THROWS_AS(queued[i].result(), futures::CancelledError);
        } else {
            REQUIRE(queued[i].result() == static_cast<int>(i) + 1);
        }
    }
}

TEST_CASE("ProcessPool: callbacks run, and may use the pool", "[process_pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
    std::atomic<int> seen{0};
    std::atomic<int> nested{0};
    Future<void> all_ran;
    for (int i = 0; i < 100; ++i) {
        pool.submit(inc, i).add_done_callback([&](const Future<int>& done) {
            if (done.result() % 10 == 0) {
                // Waiting here, in the manager's thread, works.
                nested += pool.submit(inc, 1).result();
            }
            if (++seen == 100) {
                all_ran.set_result();
            }
        });
    }
    all_ran.result(30s);
    CHECK(nested == 20);
}

TEST_CASE("ProcessPool: wait and as_completed see its futures", "[process_pool]") {
    const auto context = each_pool_start_method();
    const test::Gate gate;
    ProcessPoolExecutor pool({.max_workers = 2, .mp_context = context});
    std::vector<Future<int>> all;
    for (int i = 0; i < 50; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    std::set<int> results;
    for (auto& future : futures::as_completed(all, 30s)) {
        results.insert(future.result());
    }
    CHECK(results.size() == 50);
    auto slow = pool.submit(pass_gate, gate.path());
    CHECK_THROWS_AS(slow.result(1ms), futures::TimeoutError);
    gate.open(1);
    const auto [done, not_done] = futures::wait(std::vector{slow}, 30s);
    CHECK(done.size() == 1);
    CHECK(not_done.empty());
}

TEST_CASE(
    "ProcessPool: what cannot be encoded fails its own future", "[process_pool]"
) {
    ProcessPoolExecutor pool(1);
    auto bad = pool.submit(take, Unencodable());
    auto good = pool.submit(inc, 1);
    try {
        bad.result();
        FAIL("no exception");
    } catch (const mp::SerializationError& error) {
        CHECK(error.phase == mp::SerializationPhase::encode_task);
        CHECK_THROWS_WITH(std::rethrow_if_nested(error), "will not be encoded");
    }
    CHECK(good.result() == 2);
}

TEST_CASE("ProcessPool: misuse is refused", "[process_pool]") {
    CHECK_THROWS_AS(ProcessPoolExecutor(0), std::invalid_argument);
    CHECK_THROWS_AS(ProcessPoolExecutor(-1), std::invalid_argument);
    CHECK_THROWS_AS(ProcessPoolExecutor(513), std::invalid_argument);
    CHECK_THROWS_AS(
        ProcessPoolExecutor({.max_tasks_per_child = 0}), std::invalid_argument
    );
    ProcessPoolExecutor pool(1);
    pool.shutdown();
    pool.shutdown();
    CHECK_THROWS_AS(pool.submit(inc, 1), mp::StateError);
}

TEST_CASE(
    "ProcessPool: a forked child cannot wait for its parent's task", "[process_pool]"
) {
    const test::Gate gate;
    ProcessPoolExecutor pool(1);
    auto blocks = pool.submit(pass_gate, gate.path());
    auto pending = pool.submit(inc, 1);
    const int status = test::run_in_fork_for(10s, [&] {
        try {
            pending.result(5s);
        } catch (const mp::StateError&) {
            return 0;
        }
        return 1;
    });
    CHECK(status == 0);
    gate.open(1);
    CHECK(pending.result() == 2);
}

TEST_CASE(
    "ProcessPool: a forked child that drops a result leaves its parent's memory alone",
    "[process_pool]"
) {
    constexpr std::size_t size = 10'000;  // too long for a slot
    ProcessPoolExecutor pool(1);
    std::optional<Future<std::vector<std::uint64_t>>> kept =
        pool.submit(sequence, size);
    futures::wait({*kept});
    CHECK(test::run_in_fork([&] {
              kept.reset();
              return 0;
          }) == 0);
    for (int round = 0; round < 3; ++round) {
        // Were the block given back twice, one of these would lie over the other.
        auto first = pool.submit(sequence, size + 1);
        auto second = pool.submit(sequence, size + 2);
        CHECK(second.result() == sequence(size + 2));
        CHECK(first.result() == sequence(size + 1));
    }
    CHECK(kept->result() == sequence(size));
}

TEST_CASE(
    "ProcessPool: a moved one works on, the old handle refuses", "[process_pool]"
) {
    ProcessPoolExecutor old(1);
    auto pending = old.submit(inc, 1);
    ProcessPoolExecutor pool = std::move(old);
    CHECK(pending.result() == 2);
    CHECK(pool.submit(inc, 2).result() == 3);
    // NOLINTBEGIN(bugprone-use-after-move): what this is about
    CHECK_THROWS_AS(old.submit(inc, 1), mp::StateError);
    CHECK_THROWS_AS(old.map(inc, std::vector{1}), mp::StateError);
    old.shutdown();
    old.kill_workers();
    CHECK(old.workers().empty());
    CHECK(old.statistics().submitted == 0);
    // NOLINTEND(bugprone-use-after-move)
}

TEST_CASE("ProcessPool: a forked child has an empty shell of it", "[process_pool]") {
    ProcessPoolExecutor pool(1);
    CHECK(pool.submit(inc, 1).result() == 2);
    const pid_t child = fork();
    if (child == 0) {
        int code = 1;
        try {
            pool.submit(inc, 1);
        } catch (const mp::StateError&) {
            code = 0;
        }
        { const ProcessPoolExecutor dropped = std::move(pool); }
        _exit(code);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(pool.submit(inc, 2).result() == 3);
}

TEST_CASE(
    "ProcessPool: options are taken from the context and the names", "[process_pool]"
) {
    ProcessPoolExecutor pool({.max_workers = 1, .worker_name_prefix = "loader"});
    const auto name = [] {
        return mp::current_process().name();
    };
    CHECK(pool.submit(name).result() == "loader_0");
    CHECK(pool.workers().size() == 1);
}

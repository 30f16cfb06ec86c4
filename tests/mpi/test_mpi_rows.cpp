// SPDX-License-Identifier: BSL-1.0
// MPIPoolExecutor, by the rows of mpi4py's tests: its workers, its initializer, its
// start, and several of them side by side.
#include "futures/mpi_comm.hpp"
#include "futures/mpi_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenExecutor;
using futures::BrokenMPIPool;
using futures::Future;
using futures::MPIPoolExecutor;
using test::ContainsSubstring;
using test::Gate;
using test::serving;
using test::twice;

namespace {

void fail_if(bool fails) {
    if (fails) {
        throw std::domain_error("no such luck");
    }
}

void prepare_slowly() {
    // An initializer that takes its time.
    std::this_thread::sleep_for(10ms);
}

void fail_slowly() {
    // As above.
    std::this_thread::sleep_for(200ms);
    throw std::domain_error("no such luck");
}

std::pair<int, int> named(int executor, int number) {
    return {executor, number};
}

void pass_and_ring(const std::string& gate, const std::string& bell) {
    test::pass(gate);
    test::ring(bell);
}

int size_of_worker_comm() {
    int size = 0;
    MPI_Comm_size(futures::worker_comm(), &size);
    return size;
}

/// The sum of what all tasks give that run at once, one in each rank.
int sum_over_workers(int own) {
    int sum = 0;
    MPI_Allreduce(&own, &sum, 1, MPI_INT, MPI_SUM, futures::worker_comm());
    return sum;
}

/// While it lives, the environment has this variable.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) {
        ::setenv(name, value, 1);
    }

    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

    ~Variable() { ::unsetenv(name_); }

private:
    const char* name_;
};

}  // namespace

TEST_CASE(
    "mpi4py::demo_makefile::run_matrix: the job has the ranks that the entry asks for",
    "[mpi]"
) {
    const char* const ranks = std::getenv("MP_TEST_RANKS");
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    CHECK(std::to_string(size) == (ranks == nullptr ? std::to_string(size) : ranks));
    CHECK(serving() == static_cast<std::size_t>(std::max(size - 1, 1)));
}

TEST_CASE(
    "mpi4py::test_futures::SharedPoolInit::initializer_sequence: a failed one does not "
    "harm the next",
    "[mpi]"
) {
    for (const bool fails : {false, true, true, false}) {
        MPIPoolExecutor executor({.initializer = mp::call(fail_if, fails)});
        std::vector<Future<int>> all;
        try {
            for (int i = 0; i < 10; ++i) {
                all.push_back(executor.submit(twice, i));
            }
        } catch (const BrokenMPIPool&) {
            CHECK(!all.empty());  // the first rank was quick
        }
        for (int i = 0; const auto& future : all) {
            if (fails) {
                CHECK_THROWS_AS(future.result(30s), BrokenMPIPool);
            } else {
                CHECK(future.result(30s) == twice(i));
            }
            ++i;
        }
        if (fails) {
            CHECK_THROWS_AS(executor.submit(twice, 2), BrokenExecutor);
        }
    }
    MPIPoolExecutor executor;
    CHECK(executor.submit(twice, 21).result(30s) == 42);
}

TEST_CASE(
    "mpi4py::test_futures::SharedPoolInit::initializer_threads: five threads, each "
    "with an executor",
    "[mpi]"
) {
    const std::size_t workers = serving();
    std::vector<std::size_t> done(5);
    std::vector<std::thread> threads;
    for (std::size_t k = 0; k < done.size(); ++k) {
        threads.emplace_back([k, workers, &done] {
            MPIPoolExecutor executor({.initializer = mp::call(prepare_slowly)});
            std::vector<Future<int>> all;
            for (std::size_t i = 0; i < workers + k; ++i) {
                all.push_back(executor.submit(twice, static_cast<int>(i)));
            }
            for (std::size_t i = 0; i < all.size(); ++i) {
                done[k] += all[i].result(30s) == twice(static_cast<int>(i)) ? 1U : 0U;
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (std::size_t k = 0; k < done.size(); ++k) {
        CHECK(done[k] == workers + k);
    }
}

TEST_CASE(
    "mpi4py::test_futures::SharedPoolInit::shared_executors: sixteen at once", "[mpi]"
) {
    constexpr int executors = 16;
    constexpr int calls = 2048;
    const std::size_t workers = serving();
    std::vector<std::unique_ptr<MPIPoolExecutor>> all;
    for (int i = 0; i < executors; ++i) {
        all.push_back(std::make_unique<MPIPoolExecutor>());
        CHECK(all.back()->num_workers() == workers);
    }
    std::vector<Future<std::pair<int, int>>> futures;
    for (int i = 0; i < calls; ++i) {
        futures.push_back(all[static_cast<std::size_t>(i % executors)]->submit(
            named, i % executors, i
        ));
    }
    int right = 0;
    for (int i = 0; i < calls; ++i) {
        const auto result = futures[static_cast<std::size_t>(i)].result(30s);
        right += result == std::pair(i % executors, i) ? 1 : 0;
    }
    CHECK(right == calls);
}

TEST_CASE("MPIPoolExecutor: none waits until another has done all its work", "[mpi]") {
    constexpr std::size_t most = 200;
    const Gate gate;
    const Gate bell;
    MPIPoolExecutor busy({.credits = 2});
    MPIPoolExecutor other;
    std::vector<Future<void>> all;
    for (std::size_t i = 0; i < most; ++i) {
        all.push_back(busy.submit(pass_and_ring, gate.path(), bell.path()));
    }
    const auto future = other.submit(twice, 21);
    std::size_t opened = 0;
    for (; opened < most && !future.done(); ++opened) {
        gate.open(1);
        REQUIRE(bell.wait_for(1));
    }
    CHECK(opened < most);
    CHECK(future.result(30s) == 42);
    gate.open(most - opened);
    CHECK(bell.wait_for(most - opened));
}

TEST_CASE(
    "mpi4py::test_futures::ProcessPoolInit::init_kwargs: options are accepted", "[mpi]"
) {
    MPIPoolExecutor executor(
        {.max_workers = 1'000'000,
         .credits = 3,
         .backoff = 2ms,
         .spin = 0s,
         .max_pending = 1}
    );
    CHECK(executor.num_workers() == serving());
    CHECK(executor.submit(twice, 1).result(30s) == 2);
    CHECK(executor.submit(twice, 2).result(30s) == 4);
    CHECK_THROWS_AS(MPIPoolExecutor(0), std::invalid_argument);
    CHECK_THROWS_AS(MPIPoolExecutor({.max_workers = -1}), std::invalid_argument);
    for (const int credits : {-1, 0, 1001}) {
        CHECK_THROWS_AS(MPIPoolExecutor({.credits = credits}), std::invalid_argument);
    }
    CHECK_THROWS_AS(MPIPoolExecutor({.backoff = 0s}), std::invalid_argument);
    CHECK_THROWS_AS(MPIPoolExecutor({.workers_per_rank = 0}), std::invalid_argument);
    CHECK_THROWS_AS(MPIPoolExecutor({.max_pending = -1}), std::invalid_argument);
}

TEST_CASE(
    "mpi4py::test_futures::ProcessPoolInit::num_workers: none when it has ended",
    "[mpi]"
) {
    MPIPoolExecutor one(1);
    CHECK(one.num_workers() == 1);
    CHECK(one.submit(twice, 1).result(30s) == 2);
    CHECK(one.num_workers() == 1);
    one.shutdown();
    CHECK(one.num_workers() == 0);
    MPIPoolExecutor broken({.initializer = mp::call(fail_if, true)});
    CHECK_THROWS_AS(broken.submit(twice, 1).result(30s), BrokenMPIPool);
    CHECK(broken.num_workers() == 0);
    MPIPoolExecutor moved(std::move(one));
    CHECK(one.num_workers() == 0);  // NOLINT(bugprone-use-after-move): asked on purpose
}

TEST_CASE(
    "mpi4py::test_futures::ProcessPoolInit::max_workers_environ: a number passed wins",
    "[mpi]"
) {
    constexpr const char* name = "LIBMP_MPI_MAX_WORKERS";
    const std::size_t all = serving();
    {
        const Variable variable(name, "1");
        MPIPoolExecutor executor;
        CHECK(executor.num_workers() == 1);
        CHECK(executor.submit(twice, 1).result(30s) == 2);
        CHECK(MPIPoolExecutor(2).num_workers() == std::min<std::size_t>(all, 2));
        CHECK(executor.statistics().ranks.size() == 1);
    }
    for (const char* const wrong : {"none", "0", "-1", "1 2", "99999999999999999999"}) {
        const Variable variable(name, wrong);
        CHECK_THROWS_AS(MPIPoolExecutor(), std::invalid_argument);
        CHECK_THROWS_WITH(MPIPoolExecutor(), ContainsSubstring(name));
        CHECK_THROWS_WITH(MPIPoolExecutor(), ContainsSubstring(wrong));
    }
    const Variable empty(name, "");
    CHECK(serving() == all);
}

TEST_CASE(
    "mpi4py::test_futures::ProcessPoolInit::get_comm_workers: in a task only", "[mpi]"
) {
    const auto workers = static_cast<int>(serving());
    CHECK(MPIPoolExecutor().submit(size_of_worker_comm).result(30s) == workers);
    for (int members = workers; members > 0; --members) {
        MPIPoolExecutor executor({.max_workers = members, .credits = 1});
        std::vector<Future<int>> all;
        for (int i = 1; i <= members; ++i) {
            all.push_back(executor.submit(sum_over_workers, i));
        }
        for (const auto& future : all) {
            CHECK(future.result(30s) == members * (members + 1) / 2);
        }
        CHECK(executor.submit(size_of_worker_comm).result(30s) == members);
    }
    CHECK_THROWS_AS(futures::worker_comm(), mp::StateError);
    MPIPoolExecutor executor(test::isolated());
    CHECK_THROWS_AS(executor.submit(size_of_worker_comm).result(30s), mp::StateError);
}

TEST_CASE(
    "mpi4py::test_futures::ProcessPoolInit::initializer_error: all that was submitted "
    "fails",
    "[mpi]"
) {
    auto options = test::each_isolation();
    options.initializer = mp::call(fail_slowly);
    MPIPoolExecutor executor(options);
    const auto first = executor.submit(twice, 1);
    const auto second = executor.submit(twice, 2);
    for (const auto& future : {first, second}) {
        CHECK_THROWS_AS(future.result(30s), BrokenMPIPool);
        const auto texts = test::texts_of_throwing([&] { future.result(); });
        CHECK_THAT(texts, ContainsSubstring("no such luck"));
        CHECK_THAT(texts, ContainsSubstring("rank "));
        CHECK_THAT(texts, ContainsSubstring("on host "));
    }
    CHECK_THROWS_AS(executor.submit(twice, 3), BrokenMPIPool);
    CHECK_THROWS_AS(executor.map(twice, {1, 2}), BrokenMPIPool);
    CHECK_THROWS_AS(executor.bootup(), BrokenMPIPool);
}

TEST_CASE(
    "mpi4py::test_futures::ProcessPoolInit::initializer_error_del: destroyed at once",
    "[mpi]"
) {
    for (const bool waits : {true, false}) {
        MPIPoolExecutor executor({.initializer = mp::call(fail_slowly)});
        executor.bootup(false);
        executor.shutdown({.wait = waits});
    }
    for (const bool waits : {true, false}) {
        MPIPoolExecutor executor({.initializer = mp::call(fail_if, true)});
        const auto future = executor.submit(twice, 1);
        executor.shutdown({.wait = waits});
        CHECK_THROWS_AS(future.result(30s), BrokenMPIPool);
    }
}

TEST_CASE(
    "mpi4py::test_futures::Bootup::twice: the second has nothing to do", "[mpi]"
) {
    auto options = test::each_isolation();
    MPIPoolExecutor executor(options);
    executor.bootup();
    executor.bootup();
    CHECK(executor.submit(twice, 1).result(30s) == 2);
    executor.shutdown();
    CHECK_THROWS_AS(executor.bootup(), mp::StateError);
    CHECK_THROWS_AS(executor.bootup(false), mp::StateError);
}

TEST_CASE("mpi4py::test_futures::Bootup::nowait_then_wait: the second waits", "[mpi]") {
    const Gate bell;
    MPIPoolExecutor executor({.initializer = mp::call(test::ring, bell.path())});
    executor.bootup(false);
    executor.bootup();
    for (std::size_t i = 0; i < executor.num_workers(); ++i) {
        CHECK(bell.has_one());
    }
    CHECK(!bell.has_one());
    executor.submit(twice, 1).result(30s);
    CHECK(!bell.has_one());
}

TEST_CASE(
    "mpi4py::test_futures::Bootup::nowait_shutdown_nowait: it ends by itself", "[mpi]"
) {
    auto options = test::each_isolation();
    const Gate bell;
    options.initializer = mp::call(test::ring, bell.path());
    std::size_t workers = 0;
    {
        MPIPoolExecutor executor(options);
        workers = executor.num_workers();
        executor.bootup(false);
        executor.shutdown({.wait = false});
    }
    CHECK(bell.wait_for(workers));
}

TEST_CASE(
    "mpi4py::test_futures::Submit::multiple_executors: each result is its own call's",
    "[mpi]"
) {
    MPIPoolExecutor first;
    MPIPoolExecutor second(1);
    MPIPoolExecutor third;
    std::vector<Future<std::pair<int, int>>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(first.submit(named, 1, i));
        all.push_back(second.submit(named, 2, i));
        all.push_back(third.submit(named, 3, i));
    }
    CHECK(futures::wait(all, 30s).not_done.empty());
    for (int i = 0; i < 300; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result() == std::pair(i % 3 + 1, i / 3));
    }
}

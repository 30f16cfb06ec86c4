// SPDX-License-Identifier: BSL-1.0
// MPICommExecutor: all ranks run these cases, and what each of them checks counts.
#include "futures/mpi_comm.hpp"
#include "futures/mpi_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenMPIPool;
using futures::Future;
using futures::MPICommExecutor;
using futures::MPIPoolExecutor;
using futures::MPIPoolOptions;

static_assert(!std::is_copy_constructible_v<MPICommExecutor>);
static_assert(!std::is_move_constructible_v<MPICommExecutor>);

namespace {

int twice(int x) {
    return 2 * x;
}

int rank_in_world() {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

int size_of(MPI_Comm comm) {
    int size = 0;
    MPI_Comm_size(comm, &size);
    return size;
}

int size_of_worker_comm() {
    return size_of(futures::worker_comm());
}

int throw_domain_error() {
    throw std::domain_error("no such luck");
}

void fail_to_initialise() {
    throw std::domain_error("no such luck");
}

int level_of_threads() {
    int level = 0;
    MPI_Query_thread(&level);
    return level;
}

/// A communicator that goes with the block.
class Comm {
public:
    explicit Comm(MPI_Comm comm) : comm_(comm) {}

    Comm(const Comm&) = delete;
    Comm& operator=(const Comm&) = delete;

    ~Comm() { MPI_Comm_free(&comm_); }

    MPI_Comm get() const { return comm_; }

private:
    MPI_Comm comm_;
};

/// The half of the ranks that this one belongs to.
MPI_Comm half_of_world() {
    MPI_Comm half = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank_in_world() % 2, rank_in_world(), &half);
    return half;
}

}  // namespace

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::default: the root gets an executor, the "
    "others serve",
    "[mpi]"
) {
    {
        MPICommExecutor executor;
        CHECK(static_cast<bool>(executor) == (rank_in_world() == 0));
        CHECK((executor.get() != nullptr) == (rank_in_world() == 0));
        if (executor) {
            const int size = size_of(MPI_COMM_WORLD);
            CHECK(
                executor->num_workers() ==
                static_cast<std::size_t>(std::max(size - 1, 1))
            );
            const auto first = executor->submit(twice, 21);
            const auto second = (*executor).submit(twice, 4);
            CHECK(first.result(30s) == 42);
            CHECK(second.result(30s) == 8);
            CHECK(
                executor->submit(size_of_worker_comm).result(30s) ==
                std::max(size - 1, 1)
            );
        }
    }
    CHECK(MPI_Barrier(MPI_COMM_WORLD) == MPI_SUCCESS);
}

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::self: in a communicator of one rank a "
    "thread runs the tasks",
    "[mpi]"
) {
    const test::Gate gate;
    MPICommExecutor executor(MPI_COMM_SELF);
    REQUIRE(executor);
    CHECK(executor->num_workers() == 1);
    CHECK(executor->submit(rank_in_world).result(30s) == rank_in_world());
    CHECK_THROWS_AS(
        executor->submit(throw_domain_error).result(30s), std::domain_error
    );
    const std::vector<int> input{1, 2, 3};
    CHECK(executor->map(twice, input).to_vector() == std::vector{2, 4, 6});
    auto late = executor->map(
        {.timeout = 0s}, test::pass, std::vector{gate.path(), gate.path()}
    );
    CHECK_THROWS_AS(late.to_vector(), futures::TimeoutError);
    gate.open(2);
    CHECK(executor->submit(size_of_worker_comm).result(30s) == 1);
}

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::each_root: each rank in turn", "[mpi]"
) {
    const int size = size_of(MPI_COMM_WORLD);
    for (int root = 0; root < size; ++root) {
        MPICommExecutor executor(MPI_COMM_WORLD, root);
        CHECK(static_cast<bool>(executor) == (rank_in_world() == root));
        if (!executor) {
            continue;
        }
        std::vector<int> others;
        for (const auto& served : executor->statistics().ranks) {
            others.push_back(served.rank);
        }
        std::vector<int> expected;
        for (int rank = 0; rank < size; ++rank) {
            if (rank != root || size == 1) {
                expected.push_back(rank);
            }
        }
        CHECK(others == expected);
        for (const int rank :
             executor->map([](int) { return rank_in_world(); }, std::vector<int>(20))) {
            CHECK((rank != root || size == 1));
        }
    }
}

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::bad_root: every rank throws", "[mpi]"
) {
    const int size = size_of(MPI_COMM_WORLD);
    for (const int root : {-size, -1, size}) {
        CHECK_THROWS_AS(MPICommExecutor(MPI_COMM_WORLD, root), std::invalid_argument);
        CHECK_THROWS_WITH(
            MPICommExecutor(MPI_COMM_WORLD, root),
            test::ContainsSubstring(std::to_string(root))
        );
    }
    CHECK_THROWS_AS(MPICommExecutor(MPI_COMM_NULL), std::invalid_argument);
    CHECK(MPI_Barrier(MPI_COMM_WORLD) == MPI_SUCCESS);
}

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::bad_comm: every rank refuses an "
    "inter-communicator",
    "[mpi]"
) {
    if (size_of(MPI_COMM_WORLD) < 2) {
        return;  // it has two sides
    }
    const Comm half(half_of_world());
    MPI_Comm both = MPI_COMM_NULL;
    MPI_Intercomm_create(
        half.get(), 0, MPI_COMM_WORLD, 1 - rank_in_world() % 2, 1, &both
    );
    const Comm inter(both);
    CHECK_THROWS_AS(MPICommExecutor(inter.get()), std::invalid_argument);
    CHECK_THROWS_WITH(
        MPICommExecutor(inter.get()), test::ContainsSubstring("inter-communicator")
    );
}

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::reenter: one after the other", "[mpi]"
) {
    for (int i = 0; i < 10; ++i) {
        MPICommExecutor executor;
        if (executor) {
            CHECK(executor->submit(twice, i).result(30s) == 2 * i);
        }
    }
    for (int i = 0; i < 10; ++i) {
        const MPICommExecutor unused;
        CHECK(static_cast<bool>(unused) == (rank_in_world() == 0));
    }
}

TEST_CASE(
    "mpi4py::test_futures::MPICommExecutor::initializer_error: the root is told, the "
    "others return",
    "[mpi]"
) {
    const MPIPoolOptions options{.initializer = mp::call(fail_to_initialise)};
    {
        MPICommExecutor executor(MPI_COMM_WORLD, 0, options);
        if (executor) {
            const auto future = executor->submit(twice, 1);
            CHECK_THROWS_AS(future.result(30s), BrokenMPIPool);
            CHECK_THROWS_AS(executor->submit(twice, 1), BrokenMPIPool);
        }
    }
    {
        MPICommExecutor executor(MPI_COMM_WORLD, 0, options);
        if (executor) {
            executor->bootup(false);
        }
    }
    const MPICommExecutor unused(MPI_COMM_WORLD, 0, options);
}

TEST_CASE(
    "mpi4py::test_futures::Submit::serialized_support: fewer threads are refused",
    "[mpi][threads]"
) {
    if (level_of_threads() >= MPI_THREAD_SERIALIZED) {
        MPICommExecutor executor;
        if (executor) {
            std::vector<Future<int>> all;
            for (int i = 0; i < 100; ++i) {
                all.push_back(executor->submit(twice, i));
            }
            CHECK(futures::wait(all, 30s).not_done.empty());
        }
    } else {
        CHECK_THROWS_AS(MPICommExecutor(), mp::StateError);
        CHECK_THROWS_WITH(
            MPICommExecutor(), test::ContainsSubstring("MPI_THREAD_SERIALIZED")
        );
    }
    CHECK(MPI_Barrier(MPI_COMM_WORLD) == MPI_SUCCESS);
}

TEST_CASE("MPICommExecutor: where it is not used, there is no job", "[mpi]") {
    CHECK_THROWS_AS(MPIPoolExecutor(), mp::StateError);
    CHECK_THROWS_WITH(MPIPoolExecutor(), test::ContainsSubstring("MPICommExecutor"));
    {
        const MPICommExecutor executor;
        // Its executor is that of this communicator, not one of mpi::run().
        CHECK_THROWS_AS(MPIPoolExecutor(), mp::StateError);
    }
    CHECK_THROWS_AS(futures::worker_comm(), mp::StateError);
}

TEST_CASE("MPICommExecutor: two halves of the job, each with its own", "[mpi]") {
    const Comm half(half_of_world());
    const int last = size_of(half.get()) - 1;
    int rank = 0;
    MPI_Comm_rank(half.get(), &rank);
    MPICommExecutor executor(half.get(), last);
    CHECK(static_cast<bool>(executor) == (rank == last));
    if (executor) {
        for (const int world :
             executor->map([](int) { return rank_in_world(); }, std::vector<int>(50))) {
            CHECK(world % 2 == rank_in_world() % 2);
        }
    }
}

TEST_CASE("MPICommExecutor: the program's own messages are not touched", "[mpi]") {
    if (level_of_threads() < MPI_THREAD_MULTIPLE) {
        return;  // then the root may not receive any meanwhile
    }
    const int size = size_of(MPI_COMM_WORLD);
    const int own = rank_in_world();
    std::vector<MPI_Request> requests;
    for (const int tag : {0, 1, 2}) {
        MPI_Isend(&own, 1, MPI_INT, 0, tag, MPI_COMM_WORLD, &requests.emplace_back());
    }
    {
        MPICommExecutor executor;
        if (executor) {
            const auto future = executor->submit(twice, 21);
            int sum = 0;
            for (int i = 0; i < 3 * size; ++i) {
                int got = 0;
                MPI_Recv(
                    &got,
                    1,
                    MPI_INT,
                    MPI_ANY_SOURCE,
                    MPI_ANY_TAG,
                    MPI_COMM_WORLD,
                    MPI_STATUS_IGNORE
                );
                sum += got;
            }
            CHECK(sum == 3 * size * (size - 1) / 2);
            CHECK(future.result(30s) == 42);
        }
    }
    CHECK(
        MPI_Waitall(
            static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE
        ) == MPI_SUCCESS
    );
}

TEST_CASE(
    "MPICommExecutor: an exception in the root's block lets the others go", "[mpi]"
) {
    const auto use = [] {
        MPICommExecutor executor;
        if (executor) {
            executor->submit(twice, 1);
            throw std::domain_error("left");
        }
    };
    if (rank_in_world() == 0) {
        CHECK_THROWS_WITH(use(), "left");
    } else {
        CHECK_NOTHROW(use());
    }
}

TEST_CASE("MPICommExecutor: ranks that name different roots are told so", "[mpi]") {
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size == 1) {
        return;
    }
    const int root = rank_in_world() == 0 ? 1 : 0;
    CHECK_THROWS_WITH(
        MPICommExecutor(MPI_COMM_WORLD, root),
        test::ContainsSubstring("different roots")
    );
}

TEST_CASE(
    "MPICommExecutor: a backoff that cannot be is refused in all ranks", "[mpi]"
) {
    for (const mp::Timeout& backoff : {mp::Timeout(0s), mp::Timeout(mp::forever)}) {
        CHECK_THROWS_AS(
            MPICommExecutor(MPI_COMM_WORLD, 0, {.backoff = backoff}),
            std::invalid_argument
        );
    }
}

TEST_CASE("MPICommExecutor: options that cannot be are the root's to hear", "[mpi]") {
    const auto make = [] {
        const MPICommExecutor executor(MPI_COMM_WORLD, 0, {.credits = 0});
        return static_cast<bool>(executor);
    };
    if (rank_in_world() == 0) {
        CHECK_THROWS_AS(make(), std::invalid_argument);
    } else {
        CHECK(!make());
    }
}

TEST_CASE("MPICommExecutor: its executor may be shut down before", "[mpi]") {
    MPICommExecutor executor;
    if (executor) {
        const auto future = executor->submit(twice, 21);
        executor->shutdown();
        CHECK(future.result(0s) == 42);
        CHECK_THROWS_AS(executor->submit(twice, 1), mp::StateError);
    }
}

TEST_CASE("MPICommExecutor: with isolation", "[mpi]") {
    MPICommExecutor executor(
        MPI_COMM_WORLD,
        0,
        {.isolation = futures::Isolation::process, .workers_per_rank = 1}
    );
    if (executor) {
        const auto lost = executor->submit([] { ::_exit(3); });
        CHECK_THROWS_AS(lost.result(30s), futures::WorkerLost);
        CHECK(executor->submit(twice, 21).result(30s) == 42);
    }
}

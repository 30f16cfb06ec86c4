// SPDX-License-Identifier: BSL-1.0
// What tests over an MPI job share: how large the job is, executors that can run so
// many tasks at a time, and tasks.
#pragma once

#include "futures/mpi_pool.hpp"

#include "support/catch.hpp"

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace test {

inline int twice(int x) {
    return 2 * x;
}

/// How many ranks serve; 1 in a job of one rank.
inline std::size_t serving() {
    return futures::MPIPoolExecutor().num_workers();
}

/// Whether this process is the job's only rank, in which a thread runs the tasks.
inline bool is_alone() {
    return futures::MPIPoolExecutor().statistics().ranks.front().rank == 0;
}

inline futures::MPIPoolOptions isolated(int workers_per_rank = 1) {
    return {
        .isolation = futures::Isolation::process, .workers_per_rank = workers_per_rank};
}

/// The same, but served by one rank.
inline futures::MPIPoolOptions in_one_rank(futures::MPIPoolOptions options) {
    options.max_workers = 1;
    return options;
}

/// One rank, which has one task at a time.
inline futures::MPIPoolOptions one_by_one() {
    return {.max_workers = 1, .credits = 1};
}

/// Ranks that run the tasks themselves, then ranks with a worker each. Call it first in
/// a test case.
inline futures::MPIPoolOptions each_isolation() {
    return GENERATE(futures::MPIPoolOptions(), isolated());
}

/// Of an executor that runs `tasks` at a time, whatever the job: where there are fewer
/// ranks, the first of them has so many workers.
inline futures::MPIPoolOptions at_once(std::size_t tasks) {
    futures::MPIPoolOptions options;
    if (serving() < tasks) {
        options = isolated(static_cast<int>(tasks));
        options.max_workers = 1;
    } else {
        options.max_workers = tasks;
    }
    options.credits = 1;  // else one waits in a rank where another runs
    return options;
}

/// The text of what `call` throws, and of its causes, a line each.
template <class Call>
std::string texts_of_throwing(Call call) {
    std::string texts;
    const std::function<void(const std::exception&)> add = [&](const auto& error) {
        texts += std::string(error.what()) + '\n';
        try {
            std::rethrow_if_nested(error);
        } catch (const std::exception& cause) {
            add(cause);
        }
    };
    try {
        call();
    } catch (const std::exception& error) {
        add(error);
    }
    return texts;
}

}  // namespace test

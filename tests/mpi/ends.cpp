// SPDX-License-Identifier: BSL-1.0
// mpi_ends <way>: a job that ends in one of many ways. What its launcher returns then,
// and what was written, is what CMakeLists.txt expects.
#include "futures/mpi_comm.hpp"
#include "futures/mpi_pool.hpp"
#include "mp/errors.hpp"
#include "mp/spawn.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using futures::MPIPoolExecutor;

void say(const std::string& text) {
    std::puts(text.c_str());
    std::fflush(stdout);
}

int twice(int x) {
    return 2 * x;
}

/// Says what `call` throws.
template <class Call>
void say_error_of(Call call) {
    try {
        call();
        say("no error");
    } catch (const mp::StateError& error) {
        say(std::string("StateError: ") + error.what());
    }
}

/// With so much to do that all of it is not done yet.
MPIPoolExecutor& busy_executor() {
    auto* const executor = new MPIPoolExecutor();
    for (int i = 0; i < 20; ++i) {
        executor->submit(twice, i);
    }
    executor->submit(say, std::string("the last one"));
    return *executor;
}

int exit_in_callback() {
    MPIPoolExecutor executor;
    executor.submit(twice, 1).add_done_callback([](const auto&) { std::exit(3); });
    executor.shutdown();
    return 0;
}

/// Destroyed when everything else has ended.
std::optional<MPIPoolExecutor> kept;

int keep_executor() {
    kept.emplace();
    kept->submit(say, std::string("the last one"));
    return 0;
}

int throw_beside_work() {
    MPIPoolExecutor executor;
    executor.submit(say, std::string("the last one"));
    throw std::domain_error("no such luck");
}

/// What the function does that run() calls.
const std::map<std::string_view, std::function<int()>> ways{
    {"returns_6",
     [] {
         return 6;
     }},
    {"exits_5",
     []() -> int {
         std::exit(5);
     }},
    {"exits_beside_work",
     []() -> int {
         busy_executor();
         std::exit(4);
     }},
    {"leaves_executor",
     [] {
         busy_executor();
         return 0;
     }},
    {"keeps_executor", keep_executor},
    {"throws", throw_beside_work},
    {"throws_int",
     []() -> int {
         throw 7;
     }},
    {"throws_system_exit",
     []() -> int {
         throw mp::SystemExit(4);
     }},
    {"exits_in_callback", exit_in_callback},
    {"exits_in_task",
     [] {
         MPIPoolExecutor executor;
         executor.submit([] { std::exit(3); });
         return 0;
     }},
    {"exits_0_in_task",
     [] {
         MPIPoolExecutor executor;
         executor.submit([] { std::exit(0); });
         return 0;
     }},
    {"forks",
     [] {
         // What the child returns is its own; the ranks are its parent's.
         if (const pid_t child = ::fork(); child != 0) {
             int status = 0;
             ::waitpid(child, &status, 0);
             MPIPoolExecutor executor;
             return executor.submit(twice, WEXITSTATUS(status)).result();
         }
         return 3;
     }},
    {"makes_comm_executor",
     [] {
         say_error_of([] { const futures::MPICommExecutor executor; });
         return 0;
     }},
    {"kills_rank",
     [] {
         MPIPoolExecutor executor;
         executor.submit([] { ::raise(SIGKILL); });
         return 0;
     }},
};

int run(int argc, char** argv, const std::function<int()>& way) {
    return futures::mpi::run(argc, argv, [&] { return way(); });
}

/// A program that initialises MPI itself, and goes on with it.
int run_in_own_mpi(int argc, char** argv, int wanted) {
    int level = 0;
    MPI_Init_thread(&argc, &argv, wanted, &level);
    int code = 0;
    say_error_of([&] {
        code = run(argc, argv, [] {
            return MPIPoolExecutor().submit(twice, 21).result() == 42 ? 0 : 1;
        });
    });
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return code;
}

/// An executor of a communicator cannot wait for itself.
int end_comm_in_callback(int argc, char** argv) {
    int level = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    auto executor = std::make_unique<futures::MPICommExecutor>();
    if (*executor) {
        const futures::Future<int> go;
        (*executor)
            ->submit({.after = {go}}, twice, 1)
            .add_done_callback([&](const auto&) { executor.reset(); });
        go.set_result(1);
        for (;;) {
            ::pause();
        }
    }
    MPI_Finalize();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    const std::string_view way = argc > 1 ? argv[1] : "returns_6";
    if (way == "returns_nothing") {
        return futures::mpi::run(argc, argv, [] {});
    }
    if (way == "gets_arguments") {
        return futures::mpi::run(argc, argv, [](int count, char** words) {
            say(count == 3 ? words[2] : "none");
        });
    }
    if (way == "ends_comm_in_callback") {
        return end_comm_in_callback(argc, argv);
    }
    if (way == "has_own_mpi") {
        return run_in_own_mpi(argc, argv, MPI_THREAD_SERIALIZED);
    }
    if (way == "has_few_threads") {
        return run_in_own_mpi(argc, argv, MPI_THREAD_FUNNELED);
    }
    if (way == "runs_twice") {
        const int code = run(argc, argv, [] { return 0; });
        say_error_of([&] { run(argc, argv, [] { return 0; }); });
        return code;
    }
    if (way == "is_early_and_late") {
        say_error_of([] { const MPIPoolExecutor executor; });
        const int code = run(argc, argv, [] { return 0; });
        say_error_of([] { const MPIPoolExecutor executor; });
        say_error_of([] { const futures::MPICommExecutor executor; });
        return code;
    }
    return run(argc, argv, ways.at(way));
}

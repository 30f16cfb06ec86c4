// SPDX-License-Identifier: BSL-1.0
// Jobs whose ranks, or whose launcher, are killed: they end, with a code that says so,
// and leave no process.
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/mpi_job.hpp"
#include "support/processes.hpp"

#include <signal.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using test::Finished;
using test::Gate;
using test::in_job;
using test::in_ranks;
using test::Program;
using test::TempTree;

namespace {

constexpr int ranks = 3;

struct Way {
    const char* name;
    std::size_t rings;  ///< once it is there
};

/// A job that has come to where it stays.
class Job {
public:
    Job(const Way& way, int victim)
        : program_(
              in_ranks(
                  ranks, {MPI_VICTIMS, way.name, bell_.path(), std::to_string(victim)}
              ),
              in_job(tree_)
          ) {
        REQUIRE(bell_.wait_for(way.rings));
        processes_ = test::descendants(program_.pid());
        CHECK(processes_.size() >= ranks);
    }

    pid_t launcher() const { return program_.pid(); }

    pid_t rank(int rank) const {
        const auto pid = test::pid_of_rank(launcher(), rank);
        REQUIRE(pid);
        return *pid;
    }

    /// Waits for its end, and that of everything it has started.
    Finished end() {
        const std::optional<Finished> finished = program_.wait(30s);
        REQUIRE(finished);
        CHECK(test::wait_for_end(processes_, 30s));
        return *finished;
    }

private:
    const TempTree tree_;
    const Gate bell_;
    Program program_;
    std::vector<pid_t> processes_;
};

/// OpenMPI's launcher adds 128 to the signal. MPICH's returns bits of ranks' statuses:
/// one that was just receiving from the victim aborts, and may be seen first.
void check_ended_by(int signal, const Finished& job) {
    INFO(job.err);
    CAPTURE(job.status);
    const int bits = signal | SIGABRT;
    const bool is_of_mpich = job.status != 0 && (job.status & bits) == job.status;
    CHECK((job.status == 128 + signal || is_of_mpich));
}

}  // namespace

TEST_CASE("mpi: a rank that is killed ends the job, whatever it does") {
    const Way way = GENERATE(
        Way{"idle", 1},
        Way{"running", 2},
        Way{"sending", 1},
        Way{"starting", 1},
        Way{"agreeing", 1},
        Way{"isolated_idle", 1},
        Way{"isolated_running", 2},
        Way{"isolated_sending", 1}
    );
    for (const int victim : {0, 1}) {
        CAPTURE(way.name, victim);
        Job job(way, victim);
        ::kill(job.rank(victim), SIGKILL);
        check_ended_by(SIGKILL, job.end());
    }
}

TEST_CASE("mpi: a rank that crashes or is asked to end ends the job", "[no-asan]") {
    for (const int signal : {SIGSEGV, SIGTERM}) {
        Job job({"running", 2}, 1);
        ::kill(job.rank(1), signal);
        check_ended_by(signal, job.end());
    }
}

TEST_CASE("mpi: a launcher that is killed takes its job along") {
    const Way way = GENERATE(
        Way{"idle", 1},
        Way{"running", 2},
        Way{"sending", 1},
        Way{"agreeing", 1},
        Way{"isolated_running", 2},
        Way{"isolated_sending", 1}
    );
    CAPTURE(way.name);
    Job job(way, 1);
    ::kill(job.launcher(), SIGKILL);
    CHECK(job.end().status == -SIGKILL);
}

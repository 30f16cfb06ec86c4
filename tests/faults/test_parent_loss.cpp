// SPDX-License-Identifier: BSL-1.0
// Parents that die: their pool's workers go with them. The cases: docs/faults.md.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <stdlib.h>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::Context;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;

namespace {

void compute_for_ever(const std::string& bell) {
    test::ring(bell);
    for (volatile int i = 0;;) {
        i = 1 - i;
    }
}

/// Has workers, all but one of them computing, or the only one, tells three of their
/// pids, and waits.
void be_a_parent(
    StartMethod method,
    mp::Call initializer,
    const std::string& computing,
    const std::string& path,
    int count = 3
) {
    ProcessPoolOptions options;
    options.max_workers = count;
    options.mp_context = mp::get_context(method);
    options.on_worker_loss = futures::OnWorkerLoss::isolate;
    options.initializer = std::move(initializer);
    ProcessPoolExecutor pool(std::move(options));
    std::vector<Future<int>> warm;
    for (int i = 0; i < 10; ++i) {
        warm.push_back(pool.submit(inc, i));
    }
    for (const auto& future : warm) {
        future.result();
    }
    for (int i = 0; i < std::max(1, count - 1); ++i) {
        pool.submit(compute_for_ever, computing);
    }
    const auto workers = pool.workers();
    const int fd = ::open(path.c_str(), O_WRONLY);
    for (std::size_t i = 0; i < 3; ++i) {
        const pid_t worker = i < workers.size() ? workers[i] : workers[0];
        if (::write(fd, &worker, sizeof worker) != sizeof worker) {
            std::abort();
        }
    }
    pause();
}

std::vector<pid_t> three_pids_of(const Gate& gate) {
    std::vector<pid_t> workers(3);
    const int fd = ::open(gate.path().c_str(), O_RDONLY | O_CLOEXEC);
    for (pid_t& worker : workers) {
        REQUIRE(::read(fd, &worker, sizeof worker) == sizeof worker);
    }
    ::close(fd);
    return workers;
}

void ignore_hangups() {
    signal(SIGHUP, SIG_IGN);
}

}  // namespace

TEST_CASE("M1 M2: a parent killed with SIGKILL leaves no worker", "[faults]") {
    const Context context = each_pool_start_method();
    const int count = GENERATE(1, 2, 8);
    const Gate bell;
    const Gate pids;
    mp::Process parent(
        {.start_method = StartMethod::fork},
        [](StartMethod method,
           const std::string& computing,
           const std::string& path,
           int all) { be_a_parent(method, {}, computing, path, all); },
        context.get_start_method(),
        bell.path(),
        pids.path(),
        count
    );
    parent.start();
    REQUIRE(bell.wait_for(static_cast<std::size_t>(std::max(1, count - 1))));
    const auto workers = three_pids_of(pids);
    parent.kill();
    parent.join();
    CHECK(gone_within(workers, 1s));
}

TEST_CASE("S3: the terminal is closed, no worker is left", "[faults]") {
    const Context context = each_pool_start_method();
    const Gate bell;
    const Gate pids;
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(terminal >= 0);
    REQUIRE(::grantpt(terminal) == 0);
    REQUIRE(::unlockpt(terminal) == 0);
    mp::Process parent(
        {.start_method = StartMethod::fork},
        [](StartMethod method,
           int other_side,
           const std::string& terminal_path,
           const std::string& computing,
           const std::string& path) {
            ::close(other_side);
            signal(SIGHUP, SIG_DFL);  // nohup may have it ignored
            // The first terminal that the leader of a session opens is its own.
            if (::setsid() < 0 || ::open(terminal_path.c_str(), O_RDWR) < 0) {
                std::abort();
            }
            // Workers that no hangup ends: what they see is that their parent dies.
            be_a_parent(method, mp::call(ignore_hangups), computing, path);
        },
        context.get_start_method(),
        terminal,
        std::string(::ptsname(terminal)),
        bell.path(),
        pids.path()
    );
    parent.start();
    REQUIRE(bell.wait_for(2));
    const auto workers = three_pids_of(pids);
    ::close(terminal);
    parent.join();
    CHECK(parent.exitcode() == -SIGHUP);
    CHECK(gone_within(workers, 1s));
}

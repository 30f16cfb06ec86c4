// SPDX-License-Identifier: BSL-1.0
// Workers that are killed while they start: another one takes the place of each, as of
// any that dies, and no task is lost by it.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"
#include "mp/process.hpp"
#include "mp/spawn.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/sanitizer.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::inc;

namespace {

/// What a program that is started again finds in its environment.
const bool dies_as_told = [] {
    const char* const point = std::getenv("MP_TEST_DIES_AT");
    const char* const tickets = std::getenv("MP_TEST_TICKETS");
    const bool stops = std::getenv("MP_TEST_STOPS") != nullptr;
    if (point != nullptr && tickets != nullptr) {
        test::arm({.name = point, .sent = stops ? SIGSTOP : SIGKILL, .tickets = tickets}
        );
    }
    return true;
}();

/// As many processes as there are tickets die at `point`, or are stopped there, of
/// those that start while it lives.
class DyingAt {
public:
    DyingAt(const std::string& point, int deaths, int sent = SIGKILL) {
        for (int i = 0; i < deaths; ++i) {
            std::ofstream(folder_.path() / std::to_string(i)) << "x";
        }
        mp::stop_helpers();  // a fork server has the environment that it began with
        setenv("MP_TEST_DIES_AT", point.c_str(), 1);
        setenv("MP_TEST_TICKETS", folder_.path().c_str(), 1);
        if (sent == SIGSTOP) {
            setenv("MP_TEST_STOPS", "", 1);
        }
        test::arm({.name = point, .sent = sent, .tickets = folder_.path()});
    }

    DyingAt(const DyingAt&) = delete;
    DyingAt& operator=(const DyingAt&) = delete;

    ~DyingAt() {
        unsetenv("MP_TEST_DIES_AT");
        unsetenv("MP_TEST_TICKETS");
        unsetenv("MP_TEST_STOPS");
        test::arm({});
        mp::stop_helpers();
    }

    bool all_died() const { return std::filesystem::is_empty(folder_.path()); }

private:
    test::TempDir folder_;
};

std::string text_of_file(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The pool's workers, those that have not begun too.
std::vector<pid_t> children_that_start(StartMethod method) {
    std::vector<pid_t> found;
    test::for_each_entry("/proc", [&](const char* name, int) {
        const pid_t pid = std::atoi(name);
        test::ProcStat stat;
        if (pid <= 0 || !test::read_stat(pid, stat) || stat.zombie()) {
            return;
        }
        const std::string folder = "/proc/" + std::string(name);
        if (method == StartMethod::spawn) {
            if (stat.parent == getpid() &&
                text_of_file(folder + "/cmdline").find("multiprocessing-fork\0") !=
                    std::string::npos &&
                text_of_file(folder + "/cmdline").find("forkserver") ==
                    std::string::npos) {
                found.push_back(pid);
            }
        } else {
            const auto parent = "/proc/" + std::to_string(stat.parent) + "/comm";
            test::ProcStat server;
            if (text_of_file(parent) == "mp-forkserver\n" &&
                test::read_stat(stat.parent, server) && server.parent == getpid()) {
                found.push_back(pid);
            }
        }
    });
    return found;
}

/// Those of its children, and theirs, that are stopped.
std::vector<pid_t> stopped_descendants(pid_t root) {
    std::vector<pid_t> found;
    std::vector<test::ProcStat> all;
    test::for_each_process([&](const test::ProcStat& stat) { all.push_back(stat); });
    const auto visit = [&](const auto& self, pid_t parent) -> void {
        for (const auto& stat : all) {
            if (stat.parent == parent) {
                if (stat.state == 'T') {
                    found.push_back(stat.pid);
                }
                self(self, stat.pid);
            }
        }
    };
    visit(visit, root);
    return found;
}

}  // namespace

TEST_CASE(
    "H7: a worker that is killed at any moment of its start is replaced", "[faults]"
) {
    const int workers = GENERATE(1, 2, 8);
    const auto method = GENERATE(StartMethod::spawn, StartMethod::forkserver);
    const std::string point = GENERATE(
        "child: before the message",
        "child: message received",
        "child: before the answer",
        "child: answered",
        "worker: mapped"
    );
    CAPTURE(point, to_string(method));
    const DyingAt dying(point, 5);
    ProcessPoolExecutor pool(
        test::on(mp::get_context(method), workers, OnWorkerLoss::isolate)
    );
    for (int i = 0; i < 50; ++i) {
        REQUIRE(pool.submit(inc, i).result(60s) == i + 1);
    }
    CHECK(dying.all_died());
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE("Start: one that is killed as it is forked is replaced, too", "[faults]") {
    if (test::under_tsan) {
        return;
    }
    const DyingAt dying("worker: mapped", 3);
    ProcessPoolExecutor pool(
        test::on(mp::get_context(StartMethod::fork), 2, OnWorkerLoss::retry)
    );
    for (int i = 0; i < 50; ++i) {
        REQUIRE(pool.submit(inc, i).result(60s) == i + 1);
    }
    CHECK(dying.all_died());
}

TEST_CASE(
    "H8: a worker that never says that it runs is killed at the limit, and the pool "
    "can "
    "be revived",
    "[faults]"
) {
    const int workers = GENERATE(1, 2, 8);
    const auto method =
        workers == 2 ? StartMethod::forkserver : GENERATE(StartMethod::spawn);
    const DyingAt stopping("child: before the answer", 1, SIGSTOP);
    auto options = test::on(mp::get_context(method), workers, OnWorkerLoss::isolate);
    options.initializer_timeout = 1s;
    ProcessPoolExecutor pool(options);
    const auto future = pool.submit(inc, 1);
    try {
        future.result(60s);
        FAIL("a worker began");
    } catch (const BrokenProcessPool& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), mp::SpawnError);
    }
    CHECK(stopping.all_died());
    CHECK(stopped_descendants(getpid()).empty());
    pool.reset();
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "M3: a program that is killed while a worker starts leaves no half-born one",
    "[faults]"
) {
    const int workers = GENERATE(1, 2, 8);
    const auto method =
        GENERATE(StartMethod::fork, StartMethod::spawn, StartMethod::forkserver);
    const std::string point =
        method == StartMethod::fork
            ? "worker: mapped"
            : GENERATE(
                  as<std::string>(), "child: before the message", "worker: mapped"
              );
    if (method == StartMethod::fork && test::under_tsan) {
        return;
    }
    CAPTURE(workers, to_string(method), point);
    const DyingAt stopping(point, 1, SIGSTOP);
    mp::Process program(
        {.start_method = StartMethod::fork},
        [](StartMethod inner, int count) {
            ProcessPoolExecutor pool(
                test::on(mp::get_context(inner), count, OnWorkerLoss::isolate)
            );
            pool.submit(inc, 1).result();
            pause();
        },
        method,
        workers
    );
    program.start();
    std::vector<pid_t> half_born;
    CHECK(test::soon([&] {
        half_born = stopped_descendants(program.pid());
        return !half_born.empty();
    }));
    program.kill();
    program.join();
    for (const pid_t child : half_born) {
        kill(child, SIGCONT);
    }
    CHECK(test::gone_within(half_born, 1s));
}

TEST_CASE("Start: but not for ever", "[faults]") {
    const auto method = GENERATE(StartMethod::spawn, StartMethod::forkserver);
    const DyingAt dying("child: before the answer", 100);
    ProcessPoolExecutor pool(test::on(mp::get_context(method), 1, OnWorkerLoss::isolate)
    );
    const auto future = pool.submit(inc, 1);
    try {
        future.result(60s);
        FAIL("a worker began");
    } catch (const BrokenProcessPool& error) {
        CHECK_THAT(
            error.what(), test::ContainsSubstring("before it said that it runs")
        );
    }
    CHECK_FALSE(dying.all_died());
}

// ThreadSanitizer makes a fork of a vfork: what its child finds is lost.
TEST_CASE("H6: a program that is not there is told of at once", "[faults][no-tsan]") {
    ProcessPoolExecutor pool(
        test::on(mp::get_context(StartMethod::spawn), 1, OnWorkerLoss::isolate)
    );
    mp::set_executable("/nowhere/at/all");
    const auto future = pool.submit(inc, 1);
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
    mp::set_executable("");
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "Start: 200 random kills of workers, those that start too, break no pool",
    "[faults][slow]"
) {
    const auto method = GENERATE(StartMethod::spawn, StartMethod::forkserver);
    ProcessPoolExecutor pool(test::on(mp::get_context(method), 3, OnWorkerLoss::retry));
    std::atomic<int> kills{0};
    std::atomic<int> ended{0};
    std::thread killer([&] {
        // Where a start takes longer than the pause between two kills, none would
        // succeed: so many, and then a task is to end.
        constexpr int most_in_a_row = 20;
        std::mt19937 random(11);
        for (int in_a_row = 0, seen = 0; kills < 200;) {
            if (in_a_row == most_in_a_row) {
                ended.wait(seen);
            }
            if (ended != seen) {
                seen = ended;
                in_a_row = 0;
            }
            const auto targets = children_that_start(method);
            if (!targets.empty() &&
                kill(targets[random() % targets.size()], SIGKILL) == 0) {
                ++kills;
                ++in_a_row;
            }
            usleep(1000 + static_cast<useconds_t>(random() % 15'000));
        }
    });
    int at = 0;
    int right = 0;
    int lost = 0;
    while (kills < 200) {
        std::vector<Future<int>> futures;
        for (int i = 0; i < 50; ++i) {
            futures.push_back(pool.submit({.retries = 5}, inc, at + i));
        }
        for (const auto& future : futures) {
            try {
                const int got = future.result(60s);
                right += got == at + 1 ? 1 : 0;
            } catch (const futures::WorkerLost&) {
                ++lost;
            }
            ++at;
            ++ended;
            ended.notify_one();
        }
    }
    killer.join();
    CHECK(lost == 0);
    CHECK(right == at);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

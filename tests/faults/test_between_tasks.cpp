// SPDX-License-Identifier: BSL-1.0
// What a task leaves behind goes wrong later: arguments that are destroyed, objects
// that a worker keeps, threads, directories. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "mp/worker_local.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using test::Gate;
using test::inc;
using test::on;
using test::rows::commit;
using test::rows::Deed;
using test::rows::expect_lost;

namespace {

ProcessPoolOptions isolating_any(int workers) {
    return on(each_pool_start_method(), workers, OnWorkerLoss::isolate);
}

/// Misbehaves when it is destroyed, in another process than the one that made it.
class Dying {
public:
    Dying() = default;
    explicit Dying(Deed deed) : deed_(deed), maker_(getpid()) {}
    Dying(const Dying&) = default;
    Dying& operator=(const Dying&) = default;

    Dying(Dying&& other) noexcept
        : deed_(std::exchange(other.deed_, Deed::none)), maker_(other.maker_) {}

    Dying& operator=(Dying&& other) noexcept {
        deed_ = std::exchange(other.deed_, Deed::none);
        maker_ = other.maker_;
        return *this;
    }

    // NOLINTNEXTLINE(bugprone-exception-escape): that is what it is for
    ~Dying() {
        if (maker_ != 0 && maker_ != getpid()) {
            commit(deed_);
        }
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& deed_& maker_;
    }

private:
    Deed deed_ = Deed::none;
    pid_t maker_ = 0;
};

int see(const Dying&) {
    return 1;
}

struct Keeper {
    Dying kept;
};

/// Its destructor runs when the worker ends.
int keep(Dying dying, const std::string& bell, const std::string& gate) {
    mp::worker_local<Keeper>().kept = std::move(dying);
    return test::tasks::ring_and_pass(bell, gate, 1);
}

void leave_a_crashing_thread(const std::string& gate) {
    std::thread([gate] {
        test::pass(gate);
        commit(Deed::crash);
    }).detach();
}

int ring_and_wait(const std::string& bell) {
    test::ring(bell);
    test::block_until_killed();
}

int close_everything() {
    for (int fd = 3; fd < 1000; ++fd) {
        ::close(fd);
    }
    return 1;
}

/// Into every pipe, socket and counter that can be written to. Memory has cases of its
/// own.
int write_garbage_everywhere() {
    const std::string garbage(64, '\xff');
    for (int fd = 3; fd < 1000; ++fd) {
        const int flags = ::fcntl(fd, F_GETFL);
        struct stat kind {};
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && ::fstat(fd, &kind) == 0 &&
            !S_ISREG(kind.st_mode)) {
            ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
            static_cast<void>(::write(fd, garbage.data(), garbage.size()) > 0);
        }
    }
    return 1;
}

int leave_daemon(const std::string& bell) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            test::ring(bell);
            test::block_until_killed();
        }
        _exit(0);
    }
    return 1;
}

}  // namespace

TEST_CASE(
    "G1 G2 G3 loky::reusable_executor::destructor_crashes_in_worker: an argument whose "
    "destructor ends the worker does not lose its call, which had returned",
    "[faults]"
) {
    const test::LogCapture log;
    ProcessPoolExecutor pool(isolating_any(GENERATE(1, 2, 8)));
    std::uint64_t lost = 0;
    for (const auto deed : {Deed::crash, Deed::exit_at_once, Deed::throw_error}) {
        CHECK_NOTHROW(pool.submit(see, Dying(deed)).result(60s));
        ++lost;
        CHECK(test::soon([&] { return pool.statistics().workers_lost == lost; }));
    }
    for (int i = 0; i < 101; ++i) {
        CHECK(pool.submit(inc, i).result(60s) == i + 1);
    }
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE(
    "G1 G2: an object that crashes when its worker ends fails no future", "[faults]"
) {
    const test::LogCapture log;
    const auto deed = GENERATE(Deed::crash, Deed::exit_at_once);
    ProcessPoolExecutor pool(isolating_any(2));
    const Gate bell;
    const Gate gate;
    const auto one = pool.submit(keep, Dying(deed), bell.path(), gate.path());
    const auto two = pool.submit(keep, Dying(deed), bell.path(), gate.path());
    REQUIRE(bell.wait_for(2));
    gate.open(2);
    CHECK(one.result(60s) + two.result(60s) == 2);
    pool.resize(1);
    CHECK(test::soon([&] { return pool.workers().size() == 1; }));
    for (int i = 0; i < 101; ++i) {
        CHECK(pool.submit(inc, i).result(60s) == i + 1);
    }
    pool.shutdown();
    CHECK(pool.statistics().tasks_lost == 0);
}

// A thread that crashes is what ThreadSanitizer reports, and it looks for those left.
TEST_CASE(
    "C24: a thread that a task has left crashes: what runs then is lost, or nothing",
    "[.stress][faults][no-tsan][no-asan]"
) {
    const Gate gate;
    const Gate bell;
    ProcessPoolExecutor pool(isolating_any(1));
    pool.submit(leave_a_crashing_thread, gate.path()).result(60s);
    const auto runs = pool.submit(ring_and_wait, bell.path());
    REQUIRE(bell.wait_for(1));
    gate.open(1);
    CHECK(expect_lost(runs).report().signal == SIGSEGV);
    pool.submit(leave_a_crashing_thread, gate.path()).result(60s);
    gate.open(1);
    CHECK(test::soon([&] { return pool.statistics().workers_lost == 2; }));
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().tasks_lost == 1);
}

TEST_CASE(
    "C18 C19 C20: a task closes its worker's descriptors, or writes into them: others "
    "are not harmed",
    "[.stress][faults]"
) {
    const test::LogCapture log;
    const auto deed = GENERATE(close_everything, write_garbage_everywhere);
    ProcessPoolExecutor pool(isolating_any(GENERATE(1, 2, 8)));
    int lost = 0;
    for (int round = 0; round < 3; ++round) {
        try {
            const int result = pool.submit(deed).result(60s);
            CHECK(result == 1);
        } catch (const futures::WorkerLost&) {
            ++lost;
        }
        for (int i = 0; i < 20; ++i) {
            try {
                const int result = pool.submit(inc, i).result(60s);
                CHECK(result == i + 1);
            } catch (const futures::WorkerLost&) {
                ++lost;  // by then the worker has noticed
            }
        }
    }
    CHECK(lost <= 6);  // the deed, and one more in its worker
    for (const pid_t worker : pool.workers()) {
        kill(worker, SIGKILL);
    }
    CHECK(pool.submit({.retries = 8}, inc, 1).result(60s) == 2);
}

TEST_CASE(
    "C22: a daemon that a task leaves does not delay its result", "[.stress][faults]"
) {
    const Gate bell;
    ProcessPoolExecutor pool(isolating_any(1));
    CHECK(pool.submit(leave_daemon, bell.path()).result(60s) == 1);
    REQUIRE(bell.wait_for(1));
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    pool.kill_workers();  // and what their tasks have left
}

// SPDX-License-Identifier: BSL-1.0
// A host that reaps every child it hears of, ours included: a start works, and an end
// is seen, whoever was first.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

using namespace std::chrono_literals;

namespace {

void reap_all(int) {
    const int before = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = before;
}

/// Reaps in a signal handler.
struct ByHandler {
    ByHandler() {
        struct sigaction action {};
        action.sa_handler = reap_all;
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGCHLD, &action, nullptr);
    }
};

/// The kernel keeps nothing.
struct ByKernel {
    ByKernel() { ::signal(SIGCHLD, SIG_IGN); }
};

/// Reaps in a thread that waits for any child.
class ByThread {
public:
    ByThread()
        : forever_(test::fork_child([] { return ::pause(); })), thread_([this] {
              // There is always one child, so that this waits.
              while (::waitpid(-1, nullptr, 0) != forever_) {
              }
          }) {}

    ~ByThread() {
        ::kill(forever_, SIGKILL);
        thread_.join();
    }

    ByThread(const ByThread&) = delete;
    ByThread& operator=(const ByThread&) = delete;

private:
    pid_t forever_;
    std::thread thread_;
};

void end_at_once() {}

void exit_with_7() {
    throw mp::SystemExit(7);
}

/// 0, or where it went wrong.
int use_everything(const mp::Context& context, int starts) {
    for (int i = 0; i < starts; ++i) {
        mp::Process child = context.Process(i % 2 == 0 ? end_at_once : exit_with_7);
        child.start();
        child.join();
        const int code = child.exitcode().value();
        // 255: nobody knows.
        if (code != 255 && code != (i % 2 == 0 ? 0 : 7)) {
            return 1;
        }
    }
    if (!mp::active_children().empty()) {
        return 2;
    }
    futures::ProcessPoolExecutor pool(
        test::on(context, 2, futures::OnWorkerLoss::isolate)
    );
    if (pool.submit(test::inc, 1).result() != 2) {
        return 3;
    }
    auto lost = pool.submit([] { return ::kill(::getpid(), SIGKILL); });
    if (!lost.exception()) {
        return 4;
    }
    if (pool.submit(test::inc, 2).result() != 3) {
        return 5;
    }
    pool.shutdown();
    mp::SharedMemory block({.create = true, .size = 100});
    block.unlink();
    mp::stop_helpers();
    return 0;
}

// Both ends of a pipe that the child of a fork has until its end.
std::array<int, 2> life{};

/// From now on each fork() of this process returns late: when the child has ended, and
/// was reaped, if it ends by itself meanwhile.
void look_late_at_children() {
    ::pthread_atfork(
        [] { static_cast<void>(::pipe(life.data())); },
        [] {
            ::close(life[1]);
            pollfd end{.fd = life[0], .events = POLLIN, .revents = 0};
            if (::poll(&end, 1, 200) > 0) {
                ::waitpid(-1, nullptr, 0);
            }
            ::close(life[0]);
        },
        [] { ::close(life[0]); }
    );
}

template <class Reaper>
int status_beside(const mp::Context& context, int starts) {
    return test::run_in_fork_for(50s, [&] {
        const Reaper reaper;
        return use_everything(context, starts);
    });
}

}  // namespace

TEST_CASE("host_reaps: all children, in its SIGCHLD handler", "[faults]") {
    const mp::Context context = each_pool_start_method();
    CAPTURE(context.get_start_method());
    CHECK(status_beside<ByHandler>(context, 40) == 0);
}

TEST_CASE("host_reaps: a child does not end before its parent looks", "[faults]") {
    const int status = test::run_in_fork_for(50s, [] {
        const ByHandler reaper;
        look_late_at_children();
        for (int i = 0; i < 5; ++i) {
            mp::Process child({.start_method = mp::StartMethod::fork}, exit_with_7);
            child.start();
            child.join();
            if (child.exitcode() != 7) {
                return 1;
            }
        }
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE("host_reaps: the kernel does, as SIGCHLD is ignored", "[faults]") {
    const mp::Context context = each_pool_start_method();
    CAPTURE(context.get_start_method());
    CHECK(status_beside<ByKernel>(context, 40) == 0);
}

TEST_CASE(
    "host_reaps: all children, in a thread that waits for any",
    "[faults][no-asan][no-tsan]"
) {
    const mp::Context context = each_pool_start_method();
    CAPTURE(context.get_start_method());
    CHECK(status_beside<ByThread>(context, 40) == 0);
}

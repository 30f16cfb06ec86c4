// SPDX-License-Identifier: BSL-1.0
// The resource tracker, by the rows of the conformance table.
#include "mp/mp.hpp"

#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "process/resource_tracker_client.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/patience.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

mp::SharedMemory small_segment() {
    return mp::SharedMemory({.create = true, .size = 10});
}

void use_tracker() {
    small_segment().unlink();
}

pid_t running_tracker() {
    mp::resource_tracker::ensure_running();
    return mp::detail::resource_tracker_pid();
}

bool contains(const std::string& text, const char* what) {
    return text.find(what) != std::string::npos;
}

void tell_tracker(mp::Connection to) {
    use_tracker();
    to.send(mp::detail::resource_tracker_pid());
}

void wait_for_word(mp::Connection from) {
    from.recv<int>();
}

// The status of a tracker that this process did not start, once it is orphaned.
class Subreaper {
public:
    Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

    ~Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

    Subreaper(const Subreaper&) = delete;
    Subreaper& operator=(const Subreaper&) = delete;
};

template <class Body>
int tracker_status_after(Body body) {
    const Subreaper reaper;
    auto [ours, theirs] = mp::Pipe();
    const auto captured = test::run_captured([&, &theirs = theirs] {
        theirs.send(running_tracker());
        body();
        return 0;
    });
    CHECK(captured.status == 0);
    return test::exit_status(ours.recv<pid_t>());
}

}  // namespace

TEST_CASE(
    "TestResourceTracker.test_resource_tracker: removes what is there, reports the "
    "rest",
    "[resource_tracker]"
) {
    auto [ours, theirs] = mp::Pipe();
    const auto captured = test::run_captured([&, &theirs = theirs] {
        const mp::SharedMemory one = small_segment();
        const mp::SharedMemory two = small_segment();
        theirs.send(one.name());
        theirs.send(two.name());
        ::unlink(("/dev/shm/" + one.name()).c_str());
        ::raise(SIGKILL);
        return 0;
    });
    const auto one = ours.recv<std::string>();
    const auto two = ours.recv<std::string>();
    CHECK(captured.status == -SIGKILL);
    CHECK_FALSE(test::has_name(one));
    CHECK_FALSE(test::has_name(two));
    CHECK(contains(captured.text, "2 leaked shared_memory objects"));
    CHECK(contains(captured.text, (one + ": No such file or directory").c_str()));
    CHECK_FALSE(contains(captured.text, (two + ": ").c_str()));
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_sigint, "
    "TestResourceTracker.test_resource_tracker_sigterm: ignored",
    "[resource_tracker]"
) {
    const int signal = GENERATE(SIGINT, SIGTERM);
    const test::LogCapture log;
    const pid_t tracker = running_tracker();
    ::kill(tracker, signal);
    use_tracker();
    CHECK(running_tracker() == tracker);
    CHECK(log.text().empty());
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_sigkill: replaced, with one warning",
    "[resource_tracker]"
) {
    const test::LogCapture log;
    const pid_t tracker = running_tracker();
    const mp::UniqueFd pidfd = mp::os::pidfd_open(tracker);
    ::kill(tracker, SIGKILL);
    REQUIRE(mp::os::wait_readable(pidfd.get(), mp::Deadline(20s)));
    use_tracker();
    use_tracker();
    CHECK(mp::detail::resource_tracker_pid() != tracker);
    const std::string text = log.text();
    CHECK(contains(text, "process died unexpectedly, relaunching"));
    CHECK(text.find("died") == text.rfind("died"));
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_reused: by a child", "[resource_tracker]"
) {
    const mp::Context ctx = each_start_method();
    const pid_t tracker = running_tracker();
    auto [ours, theirs] = mp::Pipe();
    auto p = ctx.Process(tell_tracker, theirs);
    p.start();
    CHECK(ours.recv<pid_t>() == -1);
    p.join();
    CHECK(p.exitcode() == 0);
    CHECK(::kill(tracker, 0) == 0);
    CHECK(running_tracker() == tracker);
}

TEST_CASE(
    "TestResourceTracker.test_too_long_name_resource: refused", "[resource_tracker]"
) {
    CHECK_THROWS_AS(
        mp::detail::track_memory(std::string(512, '*'), {}), std::invalid_argument
    );
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_exit_code: 1 when something was left",
    "[resource_tracker]"
) {
    CHECK(tracker_status_after(use_tracker) == 0);
    CHECK(tracker_status_after([] { small_segment(); }) == 1);
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_blocked_signals: the mask stays",
    "[resource_tracker]"
) {
    sigset_t some{};
    ::sigemptyset(&some);
    ::sigaddset(&some, SIGINT);
    sigset_t before{};
    ::pthread_sigmask(SIG_BLOCK, &some, &before);
    running_tracker();
    sigset_t after{};
    ::pthread_sigmask(SIG_SETMASK, &before, &after);
    CHECK(::sigismember(&after, SIGINT) == 1);
    CHECK(::sigismember(&after, SIGTERM) == ::sigismember(&before, SIGTERM));
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_fork_deadlock, "
    "TestResourceTracker.test_resource_tracker_raw_fork_prompt_reap: at once",
    "[resource_tracker]"
) {
    const mp::UniqueFd tracker = mp::os::pidfd_open(running_tracker());
    auto [reader, writer] = mp::os::make_pipe();
    const pid_t child = test::fork_child([&, &writer = writer] {
        writer.reset();
        char byte = 0;
        return static_cast<int>(::read(reader.get(), &byte, 1));
    });
    mp::stop_helpers();
    CHECK(mp::os::pidfd_ended(tracker.get()));
    writer.reset();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_mp_fork_reuse_and_prompt_reap: reused",
    "[resource_tracker]"
) {
    const mp::UniqueFd tracker = mp::os::pidfd_open(running_tracker());
    auto [ours, theirs] = mp::Pipe();
    mp::Process p({.start_method = mp::StartMethod::fork}, tell_tracker, theirs);
    p.start();
    CHECK(ours.recv<pid_t>() == -1);
    p.join();
    mp::stop_helpers();
    CHECK(mp::os::pidfd_ended(tracker.get()));
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_lock_reinit_after_fork: free in the "
    "child",
    "[resource_tracker][no-asan][no-tsan]"  // a fork while a thread allocates
) {
    running_tracker();
    std::atomic<bool> enough{false};
    std::thread busy([&] {
        while (!enough) {
            use_tracker();
        }
    });
    for (int i = 0; i < 20; ++i) {
        CHECK(test::run_in_fork([] {
                  mp::detail::forget_memory("none", {});
                  return mp::detail::resource_tracker_pid() == -1 ? 0 : 1;
              }) == 0);
    }
    enough = true;
    busy.join();
}

TEST_CASE(
    "TestResourceTracker.test_resource_tracker_safety_net_timeout: gives up",
    "[resource_tracker]"
) {
    const pid_t tracker = running_tracker();
    auto [ours, theirs] = mp::Pipe();
    mp::Process p({.start_method = mp::StartMethod::fork}, wait_for_word, theirs);
    p.start();
    const auto before = std::chrono::steady_clock::now();
    mp::stop_helpers();
    CHECK(std::chrono::steady_clock::now() - before < test::patience(1s));
    CHECK(::kill(tracker, 0) == 0);
    ours.send(1);
    p.join();
}

TEST_CASE(
    "TestSharedMemoryNames.test_that_shared_memory_name_with_colons_has_no_resource_"
    "tracker_errors: any character",
    "[resource_tracker]"
) {
    const auto captured = test::run_captured([] {
        for (const char* end : {":", "a:b:c", "\n", "REGISTER:x:y\n", " \t\"'\\"}) {
            const std::string name = "mp-" + std::to_string(::getpid()) + end;
            mp::SharedMemory memory({.name = name, .create = true, .size = 1});
            memory.close();
            memory.unlink();
        }
        return 0;
    });
    CHECK(captured.status == 0);
    CHECK(captured.text.empty());
}

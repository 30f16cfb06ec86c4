// SPDX-License-Identifier: BSL-1.0
// What happens to named memory when its users, its maker or the tracker die, and to the
// tracker when it is signalled, stopped or killed.
#include "mp/log.hpp"
#include "mp/mp.hpp"

#include "os/named_memory.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "process/resource_tracker_client.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/patience.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <random>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using test::block_until_killed;

namespace {

mp::SharedMemory small_segment() {
    return mp::SharedMemory({.create = true, .size = 64});
}

void make_and_block(mp::Connection to) {
    const mp::SharedMemory memory = small_segment();
    to.send(memory.name());
    block_until_killed();
}

void make_and_leave(mp::Connection to) {
    to.send(small_segment().name());
}

void attach_and_block(mp::Connection to, const std::string& name) {
    const mp::SharedMemory memory({.name = name});
    to.send(name);
    block_until_killed();
}

void attach_and_leave(const std::string& name) {
    const mp::SharedMemory memory({.name = name});
}

void tell_tracker(mp::Connection to) {
    mp::SharedMemory memory = small_segment();
    memory.unlink();
    to.send(mp::detail::resource_tracker_pid());
}

void unlink_by_name(const std::string& name) {
    mp::SharedMemory({.name = name}).unlink();
}

void kill_tracker() {
    const pid_t tracker = mp::detail::resource_tracker_pid();
    const mp::UniqueFd pidfd = mp::os::pidfd_open(tracker);
    ::kill(tracker, SIGKILL);
    REQUIRE(mp::os::wait_readable(pidfd.get(), mp::Deadline(20s)));
}

bool is_running(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

}  // namespace

TEST_CASE("Q1: the maker is killed, others are attached", "[faults][shared_memory]") {
    const mp::Context ctx = each_start_method();
    mp::resource_tracker::ensure_running();
    auto [ours, theirs] = mp::Pipe();
    auto maker = ctx.Process(make_and_block, theirs);
    maker.start();
    const auto name = ours.recv<std::string>();
    mp::SharedMemory memory({.name = name});
    maker.kill();
    maker.join();
    memory.buf()[0] = std::byte{1};
    // Still used, so still found: by a child, too.
    auto other = ctx.Process(attach_and_leave, name);
    other.start();
    other.join();
    CHECK(other.exitcode() == 0);
    memory.close();
    CHECK(test::wait_until_gone(name));
}

TEST_CASE("Q2: the last user is killed", "[faults][shared_memory]") {
    const mp::Context ctx = each_start_method();
    mp::resource_tracker::ensure_running();
    auto [ours, theirs] = mp::Pipe();
    auto maker = ctx.Process(make_and_block, theirs);
    maker.start();
    const auto name = ours.recv<std::string>();
    auto user = ctx.Process(attach_and_block, theirs, name);
    user.start();
    ours.recv<std::string>();
    maker.kill();
    maker.join();
    CHECK(test::has_name(name));
    user.kill();
    user.join();
    CHECK(test::wait_until_gone(name));
}

TEST_CASE("Q3: who only attached removes nothing", "[faults][shared_memory]") {
    const mp::Context ctx = each_start_method();
    mp::SharedMemory memory = small_segment();
    auto [ours, theirs] = mp::Pipe();
    SECTION("at its end") {
        auto p = ctx.Process(attach_and_leave, memory.name());
        p.start();
        p.join();
        CHECK(p.exitcode() == 0);
    }
    SECTION("when killed") {
        auto p = ctx.Process(attach_and_block, theirs, memory.name());
        p.start();
        ours.recv<std::string>();
        p.kill();
        p.join();
    }
    SECTION("at the end of a whole family") {
        const int status = test::run_in_fork([&] {
            const mp::SharedMemory mine({.name = memory.name()});
            mp::resource_tracker::ensure_running();
            mp::stop_helpers();
            return 0;
        });
        CHECK(status == 0);
    }
    CHECK(test::has_name(memory.name()));
    memory.unlink();
}

TEST_CASE("a child that ends well leaves what it made", "[faults][shared_memory]") {
    const mp::Context ctx = each_start_method();
    SECTION("in the parent's tracker") {
        mp::resource_tracker::ensure_running();
    }
    SECTION("in a tracker of its own") {}
    auto [ours, theirs] = mp::Pipe();
    auto p = ctx.Process(make_and_leave, theirs);
    p.start();
    p.join();
    CHECK(p.exitcode() == 0);
    const auto name = ours.recv<std::string>();
    mp::SharedMemory memory({.name = name});
    memory.unlink();
}

TEST_CASE(
    "what a child left goes with the parent, also from the child's own tracker",
    "[faults][shared_memory]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::os::make_pipe();
    mp::Connection names(std::move(reader), mp::Direction::read);
    const mp::StartMethod method = ctx.get_start_method();
    const pid_t parent = test::fork_child([&, &writer = writer] {
        mp::Connection to(std::move(writer), mp::Direction::write);
        mp::Process p({.start_method = method}, make_and_leave, to);
        p.start();
        p.join();
        mp::stop_helpers();
        return p.exitcode().value_or(-1);
    });
    writer.reset();
    const auto name = names.recv<std::string>();
    CHECK(test::exit_status(parent) == 0);
    CHECK(test::wait_until_gone(name));
}

TEST_CASE("Q9: two trackers know of the same memory", "[faults][shared_memory]") {
    mp::SharedMemory memory = small_segment();
    const std::string name = memory.name();
    mp::UniqueFd fd = mp::os::open_memory(name);
    const mp::os::FileId id = mp::os::file_id(fd.get());
    std::vector<pid_t> families;
    for (int i = 0; i < 2; ++i) {
        families.push_back(test::fork_child([&] {
            mp::detail::track_memory(name, id);
            return 0;
        }));
    }
    for (const pid_t family : families) {
        CHECK(test::exit_status(family) == 0);
    }
    // Both have condemned it, and both spare it as long as we use it.
    CHECK(test::has_name(name));
    mp::detail::forget_memory(name, id);
    memory.close();
    fd.reset();
    CHECK(test::wait_until_gone(name));
}

TEST_CASE("Q10: the tracker is killed too", "[faults][shared_memory]") {
    mp::SharedMemory memory = small_segment();
    const std::string name = memory.name();
    kill_tracker();
    {
        const test::LogCapture log;
        mp::resource_tracker::ensure_running();
        const std::string text = log.text();
        CHECK(text.find("died unexpectedly") != std::string::npos);
        CHECK(text.find("died") == text.rfind("died"));
    }
    memory.unlink();
}

TEST_CASE(
    "Q10: what the killed tracker knew is known to the next one",
    "[faults][shared_memory]"
) {
    auto [reader, writer] = mp::os::make_pipe();
    mp::Connection names(std::move(reader), mp::Direction::read);
    const pid_t maker = test::fork_child([&, &writer = writer] {
        mp::get_logger().sinks().clear();
        mp::Connection to(std::move(writer), mp::Direction::write);
        const mp::SharedMemory memory = small_segment();
        kill_tracker();
        mp::resource_tracker::ensure_running();
        to.send(memory.name());
        block_until_killed();
        return 0;
    });
    writer.reset();
    const auto name = names.recv<std::string>();
    ::kill(maker, SIGKILL);
    CHECK(test::exit_status(maker) == -SIGKILL);
    CHECK(test::wait_until_gone(name));
}

TEST_CASE("Q13: killed at random, nothing is left", "[faults][shared_memory][slow]") {
    mp::resource_tracker::ensure_running();
    const mp::Context ctx = each_start_method();
    std::mt19937 random(7);
    std::vector<std::string> all;
    constexpr int kills = 8;
    for (int i = 0; i < kills; ++i) {
        auto [ours, theirs] = mp::Pipe();
        auto maker = ctx.Process(
            +[](mp::Connection to) {
                for (;;) {
                    to.send(small_segment().name());
                }
            },
            theirs
        );
        maker.start();
        theirs.close();
        const auto enough = std::uniform_int_distribution(1, 125)(random);
        for (int j = 0; j < enough; ++j) {
            all.push_back(ours.recv<std::string>());
        }
        maker.kill();
        try {
            for (;;) {
                all.push_back(ours.recv<std::string>());
            }
        } catch (const std::exception&) {
            // The end; or the middle of its last message.
        }
        maker.join();
    }
    for (const std::string& name : all) {
        CHECK(test::wait_until_gone(name));
    }
}

TEST_CASE("N9: signals to the tracker are ignored", "[faults][resource_tracker]") {
    mp::resource_tracker::ensure_running();
    const pid_t tracker = mp::detail::resource_tracker_pid();
    const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
    ::kill(tracker, signal);
    const test::LogCapture log;
    mp::SharedMemory memory = small_segment();
    memory.unlink();
    CHECK(mp::detail::resource_tracker_pid() == tracker);
    CHECK(log.text().empty());
}

TEST_CASE("N9: a stopped tracker hangs nobody for ever", "[faults][resource_tracker]") {
    mp::resource_tracker::ensure_running();
    const pid_t tracker = mp::detail::resource_tracker_pid();
    ::kill(tracker, SIGSTOP);
    mp::SharedMemory memory = small_segment();
    memory.unlink();
    const auto before = std::chrono::steady_clock::now();
    mp::stop_helpers();
    // A second; one that tried to send it a word would take ten.
    CHECK(std::chrono::steady_clock::now() - before < test::patience(500ms));
    ::kill(tracker, SIGCONT);
}

TEST_CASE(
    "N10: a forked child does not keep the tracker", "[faults][resource_tracker]"
) {
    mp::resource_tracker::ensure_running();
    const pid_t tracker = mp::detail::resource_tracker_pid();
    SECTION("a fork of the program's own: at once") {
        auto [reader, writer] = mp::os::make_pipe();
        const pid_t child = test::fork_child([&, &writer = writer] {
            writer.reset();
            char byte = 0;
            return static_cast<int>(::read(reader.get(), &byte, 1));
        });
        const mp::UniqueFd pidfd = mp::os::pidfd_open(tracker);
        mp::stop_helpers();
        CHECK(mp::os::pidfd_ended(pidfd.get()));
        writer.reset();
        CHECK(test::exit_status(child) == 0);
    }
    SECTION("a Process: after a second at most") {
        auto [ours, theirs] = mp::Pipe();
        mp::Process p(
            {.start_method = mp::StartMethod::fork},
            +[](mp::Connection from) { from.recv<int>(); },
            theirs
        );
        p.start();
        const auto before = std::chrono::steady_clock::now();
        mp::stop_helpers();
        CHECK(std::chrono::steady_clock::now() - before < test::patience(500ms));
        CHECK(is_running(tracker));
        ours.send(1);
        p.join();
    }
}

TEST_CASE("N12: the signal mask stays as it was", "[faults][resource_tracker]") {
    sigset_t mask{};
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGUSR1);
    sigset_t before{};
    ::pthread_sigmask(SIG_BLOCK, &mask, &before);
    mp::resource_tracker::ensure_running();
    sigset_t after{};
    ::pthread_sigmask(SIG_SETMASK, &before, &after);
    for (int signal = 1; signal < NSIG; ++signal) {
        const bool expected = signal == SIGUSR1 || ::sigismember(&before, signal) == 1;
        CHECK((::sigismember(&after, signal) == 1) == expected);
    }
}

TEST_CASE("N13: a name that is too long is refused", "[faults][resource_tracker]") {
    CHECK_THROWS_AS(
        mp::detail::track_memory(std::string(512, 'x'), {}), std::invalid_argument
    );
}

TEST_CASE("children share their parent's tracker", "[resource_tracker]") {
    const mp::Context ctx = each_start_method();
    mp::resource_tracker::ensure_running();
    auto [ours, theirs] = mp::Pipe();
    auto p = ctx.Process(tell_tracker, theirs);
    p.start();
    CHECK(ours.recv<pid_t>() == -1);  // It started none.
    p.join();
    CHECK(p.exitcode() == 0);

    // And what one removes is forgotten for all.
    mp::SharedMemory memory = small_segment();
    auto q = ctx.Process(unlink_by_name, memory.name());
    q.start();
    q.join();
    CHECK(q.exitcode() == 0);
    CHECK_FALSE(test::has_name(memory.name()));
}

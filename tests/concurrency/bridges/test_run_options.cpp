// SPDX-License-Identifier: BSL-1.0
// RunOptions: the backend, and the signal at which tasks are printed.
#include "concurrency/checkpoint.hpp"
#include "concurrency/run_options.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <string>

using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskOptions;

namespace {

// Asio's pipe for signals is the process's, and stays with the system executor.
[[maybe_unused]] const bool signal_pipe_is_there = [] {
    if (test::is_first_process()) {
        concurrency::run(
            []() -> Task<> { co_return; },
            {.backend = concurrency::Backend::system_executor,
             .print_tasks_on = SIGUSR1}
        );
    }
    return true;
}();

/// What comes through a pipe, until this text is in it.
Task<std::string> read_until(int pipe, std::string last) {
    std::string text;
    while (text.find(last) == std::string::npos) {
        std::array<char, 4096> buffer{};
        const ssize_t got = ::read(pipe, buffer.data(), buffer.size());
        if (got > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(got));
        }
        co_await checkpoint();
    }
    co_return text;
}

Task<> wait_for_ever() {
    co_await concurrency::sleep_forever();
}

}  // namespace

TEST_CASE("RunOptions: the main task runs in the backend, and its result comes out") {
    test::each_backend([](concurrency::Backend backend) {
        const auto answer = []() -> Task<int> {
            co_await checkpoint();
            co_return 42;
        };
        CHECK(concurrency::run(answer, {.backend = backend}) == 42);
        CHECK(
            concurrency::run(answer, {.backend = backend, .print_tasks_on = SIGUSR1}) ==
            42
        );
    });
}

TEST_CASE("RunOptions: at the signal all tasks are printed, each time") {
    test::each_backend([](concurrency::Backend backend) {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        const int stderr_before = ::fcntl(2, F_DUPFD_CLOEXEC, 3);
        REQUIRE(::dup2(ends[1], 2) == 2);
        std::string text;
        concurrency::run(
            [&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon(TaskOptions{.name = "hangs"}, wait_for_ever);
                    co_await checkpoint();
                    for (int i = 0; i != 2; ++i) {
                        ::kill(::getpid(), SIGUSR1);
                        text = co_await read_until(ends[0], "hangs #");
                    }
                    group.cancel();
                });
            },
            {.backend = backend, .print_tasks_on = SIGUSR1}
        );
        ::dup2(stderr_before, 2);
        ::close(stderr_before);
        ::close(ends[0]);
        ::close(ends[1]);
        CHECK(text.find("main #") == 0);
        CHECK(text.find("  hangs #") != std::string::npos);
    });
}

TEST_CASE("RunOptions: afterwards the signal has its default action") {
    const auto nothing = []() -> Task<> {
        co_return;
    };
    concurrency::run(nothing, {.print_tasks_on = SIGUSR1});
    struct sigaction action {};
    ::sigaction(SIGUSR1, nullptr, &action);
    CHECK(action.sa_handler == SIG_DFL);
}

TEST_CASE("RunOptions: what is no signal is refused") {
    bool ran = false;
    const auto note = [&]() -> Task<> {
        ran = true;
        co_return;
    };
    CHECK_THROWS_AS(
        concurrency::run(note, {.print_tasks_on = SIGKILL}), concurrency::ValueError
    );
    CHECK_FALSE(ran);
}

TEST_CASE("RunOptions: the clock of a test") {
    test::each_backend([](concurrency::Backend backend) {
        concurrency::testing::MockClock clock(0, 0);
        const auto sleeps = []() -> Task<int> {
            co_await concurrency::sleep(3600);
            co_return static_cast<int>(concurrency::current_time());
        };
        CHECK(concurrency::run(sleeps, {.backend = backend, .clock = &clock}) == 3600);
        CHECK(clock.current_time() == 3600);
    });
}

// SPDX-License-Identifier: BSL-1.0
// What the program around the library does: its own signal handlers, streams that
// nobody reads any more, names that are none, threads beside a fork.
#include "mp/log.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;

namespace {

std::atomic<int> signals_seen{0};

void count_signal(int) {
    signals_seen.fetch_add(1);
}

/// The application's handler for a signal, as long as this lives.
class Handler {
public:
    Handler(int number, void (*handler)(int)) : number_(number) {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = SA_RESTART;
        REQUIRE(::sigaction(number_, &action, &before_) == 0);
        handler_ = handler;
    }

    ~Handler() { ::sigaction(number_, &before_, nullptr); }

    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;

    bool still_there() const {
        struct sigaction now {};
        return ::sigaction(number_, nullptr, &now) == 0 && now.sa_handler == handler_;
    }

private:
    int number_;
    void (*handler_)(int) = nullptr;
    struct sigaction before_ {};
};

int exit_with(int code) {
    throw SystemExit(code);
}

void use_everything(const Context& context) {
    auto queue = context.Queue<int>();
    queue.put(1);
    CHECK(queue.get() == 1);
    auto process = context.Process(exit_with, 7);
    process.start();
    process.join();
    CHECK(process.exitcode() == 7);
    auto killed = context.Process(exit_with, 7);
    killed.start();
    killed.kill();
    killed.join();
    CHECK(killed.exitcode().has_value());
}

void write_to_both(Connection results) {
    // 0 when the stream says that nobody reads; the process goes on.
    std::string text(1 << 17, 'x');
    const bool out = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                     std::fflush(stdout) == 0;
    get_logger().error("a line for nobody");
    results.send(out);
}

/// Standard output and error go to `place`, as long as this lives.
class Output {
public:
    explicit Output(const UniqueFd& place)
        : out_(::fcntl(1, F_DUPFD_CLOEXEC, 3)), err_(::fcntl(2, F_DUPFD_CLOEXEC, 3)) {
        std::fflush(stdout);
        std::fflush(stderr);
        ::dup2(place.get(), 1);
        ::dup2(place.get(), 2);
    }

    ~Output() {
        ::dup2(out_.get(), 1);
        ::dup2(err_.get(), 2);
    }

    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

private:
    UniqueFd out_;
    UniqueFd err_;
};

/// A pipe that nobody reads.
UniqueFd make_broken_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    ::close(ends[0]);
    return UniqueFd(ends[1]);
}

void wait_for_word(Connection word) {
    word.recv_bytes();
}

}  // namespace

TEST_CASE("S4: the application's signal handlers stay its own", "[faults]") {
    const Context context = each_start_method();
    const Handler child(SIGCHLD, count_signal);
    const Handler user(SIGUSR1, count_signal);
    const Handler pipe(SIGPIPE, count_signal);
    const Handler interrupt(SIGINT, count_signal);
    signals_seen = 0;
    use_everything(context);
    CHECK(child.still_there());
    CHECK(user.still_there());
    CHECK(pipe.still_there());
    CHECK(interrupt.still_there());
    ::raise(SIGUSR1);
    CHECK(signals_seen >= 1);
}

TEST_CASE("S4 M11: SIGCHLD is ignored, so the kernel keeps no exit codes", "[faults]") {
    const Context context = each_start_method();
    const Handler child(SIGCHLD, SIG_IGN);
    auto process = context.Process(exit_with, 7);
    process.start();
    CHECK(process.join(30s));
    CHECK_FALSE(process.is_alive());
    CHECK(process.exitcode().has_value());
    CHECK(active_children().empty());
}

TEST_CASE("S6: nobody reads what a process prints and logs", "[faults]") {
    const Context context = each_start_method();
    auto [reader, writer] = Pipe({.duplex = false});
    auto process = context.Process(write_to_both, writer);
    {
        const Output nobody_reads(make_broken_pipe());
        process.start();
        process.join();
    }
    writer.close();
    // What the application writes itself ends it by SIGPIPE, as any program, unless
    // this one was started with that ignored.
    struct sigaction at_start {};
    ::sigaction(SIGPIPE, nullptr, &at_start);
    CHECK(process.exitcode() == (at_start.sa_handler == SIG_IGN ? 0 : -SIGPIPE));
}

TEST_CASE("R5: no room on the disk for what a process prints and logs", "[faults]") {
    const Context context = each_start_method();
    auto [reader, writer] = Pipe({.duplex = false});
    auto process = context.Process(write_to_both, writer);
    auto failing = context.Process(exit_with, 7);
    {
        const Output full(UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)));
        process.start();
        process.join();
        failing.start();
        failing.join();
    }
    CHECK_FALSE(reader.recv<bool>());
    CHECK(process.exitcode() == 0);
    CHECK(failing.exitcode() == 7);
}

TEST_CASE("S6: the library's own log to a broken pipe kills nobody", "[faults]") {
    const int status = test::run_in_fork([] {
        ::dup2(make_broken_pipe().get(), 2);
        ::signal(SIGPIPE, SIG_DFL);
        auto& logger = log_to_stderr(spdlog::level::debug);
        logger.error("a line for nobody");
        logger.flush();
        Process process({.start_method = StartMethod::fork}, [] {});
        process.start();
        process.join();
        return process.exitcode() == 0 ? 0 : 2;
    });
    CHECK(status == 0);
}

TEST_CASE("S7: names that cannot be are refused", "[faults]") {
    const std::string with_zero("a\0b", 3);
    const std::string long_name(300, 'x');
    CHECK_THROWS(SharedMemory({.name = with_zero, .create = true, .size = 10}));
    CHECK_THROWS(SharedMemory({.name = "a/b", .create = true, .size = 10}));
    CHECK_THROWS(SharedMemory({.name = long_name, .create = true, .size = 10}));
    CHECK_THROWS(SharedMemory({.name = with_zero}));
    CHECK_THROWS(connection::Listener({.address = std::string("/tmp/") + with_zero}));
    CHECK_THROWS(connection::Listener({.address = "/tmp/" + long_name}));
    CHECK_THROWS(connection::Client({.address = "/tmp/" + long_name}));
    CHECK_THROWS_AS(get_context(with_zero), std::invalid_argument);
    // A process may have any name.
    Process process(
        {.name = with_zero + "/" + long_name, .start_method = StartMethod::fork}, [] {}
    );
    CHECK(process.name().size() == 304);
    process.start();
    process.join();
    CHECK(process.exitcode() == 0);
}

TEST_CASE(
    "T1 T4: fork while threads hold the library's locks", "[faults][no-asan][no-tsan]"
) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            while (!stop) {
                const Lock lock;
                const Event event;
                Queue<int> queue;
                queue.put(1);
                const Finalize finalizer([] {}, 5);
                get_logger().info("a line");
                static_cast<void>(active_children());
                static_cast<void>(current_process().name());
            }
        });
    }
    int failures = 0;
    for (int round = 0; round < 300; ++round) {
        const pid_t child = test::fork_child([] {
            ::alarm(30);
            Lock lock;
            lock.acquire();
            lock.release();
            Queue<int> queue;
            queue.put(1);
            const bool got = queue.get() == 1;
            const Finalize finalizer([] {}, 5);
            get_logger().info("a line");
            return got && active_children().empty() ? 0 : 1;
        });
        failures += test::exit_status(child) == 0 ? 0 : 1;
    }
    stop = true;
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(failures == 0);
}

TEST_CASE(
    "T2: a fork beside threads of others is warned of", "[faults][no-asan][no-tsan]"
) {
    const test::LogCapture log;
    auto [word, teller] = Pipe({.duplex = false});
    std::thread other([&, &word = word] { word.recv_bytes(); });
    Process process({.start_method = StartMethod::fork}, [] {});
    process.start();
    process.join();
    CHECK_THAT(log.text(), test::ContainsSubstring("thread"));
    Process spawned({.start_method = StartMethod::spawn}, exit_with, 3);
    spawned.start();
    spawned.join();
    CHECK(spawned.exitcode() == 3);
    teller.send_bytes("end");
    other.join();
}

TEST_CASE(
    "T3: threads start processes at once, none gets what is another's", "[faults]"
) {
    const Context context =
        mp::get_context(GENERATE(StartMethod::spawn, StartMethod::forkserver));
    constexpr int count = 16;
    struct Pair {
        Connection word;
        Process process;
    };
    std::vector<std::optional<Pair>> all(count);
    std::vector<std::thread> threads;
    for (auto& one : all) {
        threads.emplace_back([&] {
            auto [mine, theirs] = Pipe();
            auto process = context.Process(wait_for_word, theirs);
            process.start();
            theirs.close();
            one.emplace(Pair{mine, std::move(process)});
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    // Each end is with one process only: it is closed as soon as that one has ended,
    // whichever of the others live.
    for (auto& one : all) {
        one->word.send_bytes("go");
        CHECK_THROWS_AS(one->word.recv_bytes(), EOFError);
        one->process.join();
        CHECK(one->process.exitcode() == 0);
    }
}

// SPDX-License-Identifier: BSL-1.0
// What workers print with capture_output: it comes where it came without, and the end
// of it is in the report of one that dies.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using futures::WorkerLost;
using namespace std::chrono_literals;

namespace {

/// Another file for one of this program's streams, while it lives.
class Diverted {
public:
    Diverted(int stream, int to)
        : stream_(stream), before_(::fcntl(stream, F_DUPFD_CLOEXEC, 100)) {
        std::fflush(stdout);
        ::dup2(to, stream);
        ::close(to);
    }

    ~Diverted() {
        ::dup2(before_, stream_);
        ::close(before_);
    }

    Diverted(const Diverted&) = delete;
    Diverted& operator=(const Diverted&) = delete;

    /// What the file has.
    std::string text() const {
        std::string all;
        std::array<char, 4096> bytes;
        for (ssize_t got = 0;
             (got = ::pread(
                  stream_, bytes.data(), bytes.size(), static_cast<off_t>(all.size())
              )) > 0;) {
            all.append(bytes.data(), static_cast<std::size_t>(got));
        }
        return all;
    }

private:
    int stream_;
    int before_;
};

int a_file() {
    return ::memfd_create("stream", MFD_CLOEXEC);
}

int print_and_die(const std::string& out, const std::string& error, int signal) {
    std::cout << out;
    std::cerr << error;
    std::cout.flush();
    ::raise(signal);
    return 0;
}

int print(const std::string& line) {
    std::printf("%s\n", line.c_str());
    return 0;
}

/// With write(): what one call writes stays in one piece.
int write_lines(char letter, int lines) {
    for (int i = 0; i < lines; ++i) {
        const std::string line = std::string(99, letter) + "\n";
        if (::write(STDOUT_FILENO, line.data(), line.size()) !=
            static_cast<ssize_t>(line.size())) {
            return -1;
        }
    }
    return lines;
}

int print_without_end_of_line_and_wait(
    const std::string& bell, const std::string& gate
) {
    const std::string text = "unfinished";
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    test::ring(bell);
    test::pass(gate);
    return 0;
}

/// Of this process, its standard streams left out.
int open_pipes() {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        const auto target = std::filesystem::read_symlink(entry.path(), ignored);
        count += std::stoi(entry.path().filename()) > STDERR_FILENO &&
                 target.string().starts_with("pipe:");
    }
    return count;
}

rlimit descriptors() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
}

ProcessPoolOptions capturing(const mp::Context& context, int workers) {
    auto options = test::on(context, workers, OnWorkerLoss::isolate);
    options.capture_output = true;
    return options;
}

template <class T>
WorkerLost lost_of(const futures::Future<T>& future) {
    try {
        future.result(60s);
    } catch (const WorkerLost& lost) {
        return lost;
    }
    FAIL("the worker lives");
    throw;
}

}  // namespace

TEST_CASE("capture_output: the report has the end of both streams") {
    const Diverted out(STDOUT_FILENO, a_file());
    const Diverted error(STDERR_FILENO, a_file());
    const std::string long_text = std::string(10'000, 'x') + "\nlast of stdout\n";
    {
        ProcessPoolExecutor pool(capturing(each_pool_start_method(), 1));
        const auto lost =
            lost_of(pool.submit(print_and_die, long_text, "oh \x1b no\n", SIGKILL));
        CHECK(lost.report().last_stdout.size() <= 4096);
        CHECK(lost.report().last_stdout.size() > 4000);
        CHECK(lost.report().last_stdout.ends_with("x\nlast of stdout"));
        CHECK(lost.report().last_stderr == "oh ? no");
        CHECK(lost.report().last_output.size() <= 4096);
        CHECK_THAT(lost.report().last_output, test::ContainsSubstring("oh ? no"));
        CHECK_THAT(
            lost.report().to_string(), test::ContainsSubstring("    last of stdout\n")
        );
        // The next worker begins with nothing.
        const auto next = lost_of(pool.submit(print_and_die, "", "", SIGKILL));
        CHECK(next.report().last_stdout.empty());
        CHECK(next.report().last_stderr.empty());
    }
    // And it came where it would have come.
    CHECK(out.text() == long_text);
    CHECK(error.text() == "oh \x1b no\n");
}

TEST_CASE("capture_output: not asked for, nothing is captured") {
    ProcessPoolExecutor pool(
        test::on(each_pool_start_method(), 1, OnWorkerLoss::isolate)
    );
    const auto lost = lost_of(pool.submit(print_and_die, "", "", SIGKILL));
    CHECK(lost.report().last_stdout.empty());
    CHECK(lost.report().last_output.empty());
}

TEST_CASE("capture_output: all of it has been passed on when the pool has ended") {
    const Diverted out(STDOUT_FILENO, a_file());
    {
        ProcessPoolExecutor pool(capturing(each_pool_start_method(), 2));
        for (int i = 0; i < 100; ++i) {
            pool.submit(print, "line " + std::to_string(i));
        }
    }
    const std::string text = out.text();
    CHECK(std::count(text.begin(), text.end(), '\n') == 100);
    CHECK_THAT(text, test::ContainsSubstring("line 99\n"));
}

TEST_CASE("capture_output: a line is passed on when it ends, as on a terminal") {
    const Diverted out(STDOUT_FILENO, a_file());
    // As a file: a worker that is forked behind it has its buffer.
    std::fputs("before\n", stdout);
    std::fflush(stdout);
    ProcessPoolExecutor pool(capturing(each_pool_start_method(), 1));
    pool.submit(print, "now").result(60s);
    CHECK(test::soon([&] { return out.text() == "before\nnow\n"; }));
}

TEST_CASE("capture_output: what has no end of line is there when the worker dies") {
    const Diverted error(STDERR_FILENO, a_file());
    ProcessPoolExecutor pool(capturing(each_pool_start_method(), 1));
    const test::Gate bell;
    const test::Gate gate;
    const auto future =
        pool.submit(print_without_end_of_line_and_wait, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    ::kill(pool.workers().at(0), SIGKILL);
    CHECK(lost_of(future).report().last_stderr == "unfinished");
}

TEST_CASE("capture_output: lines of many workers stay whole, megabytes of them") {
    const Diverted out(STDOUT_FILENO, a_file());
    {
        ProcessPoolExecutor pool(capturing(each_pool_start_method(), 4));
        std::vector<futures::Future<int>> all;
        for (const char letter : {'a', 'b', 'c', 'd'}) {
            all.push_back(pool.submit(write_lines, letter, 10'000));
        }
        for (const auto& future : all) {
            CHECK(future.result(60s) == 10'000);
        }
    }
    const std::string text = out.text();
    REQUIRE(text.size() == 4'000'000);
    bool whole = true;
    for (std::size_t at = 0; at < text.size(); at += 100) {
        whole = whole && text[at + 99] == '\n' &&
                text.compare(at, 99, std::string(99, text[at])) == 0;
    }
    CHECK(whole);
}

TEST_CASE("capture_output: a stream that takes nothing more holds up no kill") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    {
        const Diverted out(STDOUT_FILENO, ends[1]);
        ProcessPoolExecutor pool(capturing(each_pool_start_method(), 1));
        // More than all pipes and the thread hold: the worker waits, as it would in the
        // full pipe.
        const auto future = pool.submit(write_lines, 'x', 100'000);
        CHECK(test::soon([&] {
            pollfd poller{STDOUT_FILENO, POLLOUT, 0};
            return ::poll(&poller, 1, 0) == 0;
        }));
        ::kill(pool.workers().at(0), SIGKILL);
        CHECK(lost_of(future).report().last_stdout.size() > 4000);
        pool.kill_workers();
        pool.shutdown();
    }
    ::close(ends[0]);
}

TEST_CASE("capture_output: a worker has no ends of the others' pipes") {
    const auto context = each_pool_start_method();
    const int without = ProcessPoolExecutor(test::on(context, 4, OnWorkerLoss::isolate))
                            .submit(open_pipes)
                            .result(60s);
    ProcessPoolExecutor pool(capturing(context, 4));
    pool.bootup();
    std::vector<futures::Future<int>> all;
    for (int i = 0; i < 20; ++i) {
        all.push_back(pool.submit(open_pipes));
    }
    for (const auto& future : all) {
        CHECK(future.result(60s) == without);
    }
    // So those of a worker that dies end, whoever else lives.
    const int before = open_pipes();
    lost_of(pool.submit(print_and_die, "", "", SIGKILL));
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
    pool.bootup();
    CHECK(test::soon([&] { return open_pipes() == before; }));
}

TEST_CASE(
    "capture_output: what cannot be opened for all workers is closed again", "[no-tsan]"
) {
    const int before = open_pipes();
    const rlimit usual = descriptors();
    ProcessPoolExecutor pool(capturing(mp::Context(mp::StartMethod::fork), 64));
    rlimit low = usual;
    low.rlim_cur = 100;
    ::setrlimit(RLIMIT_NOFILE, &low);
    const auto submit = [&] {
        pool.submit(test::inc, 1);
    };
    CHECK_THROWS(submit());
    ::setrlimit(RLIMIT_NOFILE, &usual);
    CHECK(open_pipes() == before);
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
}

TEST_CASE("capture_output: a closed stream takes all, and nobody waits") {
    const int stream = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    {
        ProcessPoolExecutor pool(capturing(each_pool_start_method(), 1));
        CHECK(pool.submit(test::inc, 1).result(60s) == 2);
        ::close(STDERR_FILENO);
        const auto lost = lost_of(
            pool.submit(print_and_die, "", std::string(200'000, 'e') + "end", SIGKILL)
        );
        CHECK(lost.report().last_stderr.ends_with("eend"));
        pool.shutdown();
        ::dup2(stream, STDERR_FILENO);
    }
    ::close(stream);
}

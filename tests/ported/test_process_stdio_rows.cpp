// SPDX-License-Identifier: BSL-1.0
// Standard streams and other descriptors of children, by the rows of the conformance
// table.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

void do_nothing() {}

// Closes a standard stream for as long as it lives.
class WithoutStream {
public:
    explicit WithoutStream(int stream) : stream_(stream), kept_(::dup(stream)) {
        ::close(stream);
    }

    ~WithoutStream() {
        ::dup2(kept_, stream_);
        ::close(kept_);
    }

private:
    int stream_;
    int kept_;
};

// What a child writes to stderr, read back from a file.
std::string stderr_of(mp::Process& p) {
    std::FILE* file = std::tmpfile();
    const int kept = ::dup(2);
    ::dup2(::fileno(file), 2);
    mp::stop_helpers();
    p.start();
    p.join(20s);
    mp::stop_helpers();
    ::dup2(kept, 2);
    ::close(kept);
    std::string text;
    std::rewind(file);
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
        text += static_cast<char>(c);
    }
    std::fclose(file);
    return text;
}

int squared(int n) {
    return n * n;
}

void use_a_pool(mp::StartMethod method) {
    futures::ProcessPoolExecutor pool(
        {.max_workers = 4, .mp_context = mp::get_context(method)}
    );
    int sum = 0;
    for (const int square : pool.map(squared, std::vector<int>{1, 2, 3, 4})) {
        sum += square;
    }
    if (sum != 30) {
        throw mp::SystemExit(2);
    }
}

}  // namespace

TEST_CASE(
    "_TestProcess.test_child_fd_inflation: siblings' descriptors do not pile up",
    "[process]"
) {
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    const mp::Context ctx = mp::get_context(method);
    auto [reader, writer] = mp::Pipe({.duplex = false});
    auto [gate, childs_gate] = mp::Pipe();
    std::vector<mp::Process> processes;
    for (int i = 0; i < 5; ++i) {
        processes.push_back(ctx.Process(
            [](mp::Connection out, mp::Connection in) {
                out.send(test::open_descriptors());
                in.poll(mp::forever);
            },
            writer,
            childs_gate
        ));
        processes.back().start();
    }
    const int first = reader.recv<int>();
    for (int i = 1; i < 5; ++i) {
        CHECK(reader.recv<int>() == first);
    }
    gate.send(1);
    for (auto& p : processes) {
        CHECK(p.join(20s));
    }
}

TEST_CASE(
    "_TestProcess.test_error_on_stdio_flush_1: closed streams in the parent",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    const int stream = GENERATE(0, 1, 2);
    std::optional<int> code;
    {
        const WithoutStream closed(stream);
        mp::stop_helpers();
        mp::Process p = ctx.Process(do_nothing);
        p.start();
        p.join(20s);
        code = p.exitcode();
        mp::stop_helpers();
    }
    CHECK(code == 0);
}

TEST_CASE(
    "_TestProcess.test_error_on_stdio_flush_2: closed streams in the child", "[process]"
) {
    const mp::Context ctx = each_start_method();
    const int stream = GENERATE(0, 1, 2);
    mp::Process p = ctx.Process(
        [](int closed) {
            std::printf("unflushed");
            ::close(closed);
        },
        stream
    );
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE(
    "_TestSubclassingProcess.test_stderr_flush: a failure is reported in full",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process({.name = "failing"}, [] {
        throw std::runtime_error("the whole text");
    });
    const std::string report = stderr_of(p);
    CHECK(p.exitcode() == 1);
    CHECK(report == "Process failing:\nstd::runtime_error: the whole text\n");
}

TEST_CASE("_TestSubclassingProcess.test_sys_exit: SystemExit's statuses", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::Process text = ctx.Process([] { throw mp::SystemExit("ignore this"); });
    CHECK(stderr_of(text) == "ignore this\n");
    CHECK(text.exitcode() == 1);
    const auto code_of = [&](auto target) {
        mp::Process p = ctx.Process(target);
        p.start();
        p.join(20s);
        return p.exitcode();
    };
    CHECK(code_of([] { throw mp::SystemExit(true); }) == 1);
    CHECK(code_of([] { throw mp::SystemExit(false); }) == 0);
    CHECK(code_of([] { throw mp::SystemExit(8); }) == 8);
    CHECK(code_of([] { throw mp::SystemExit(); }) == 0);
}

TEST_CASE(
    "TestStdinBadfiledescriptor.test_queue_in_process: a grandchild works", "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(
        [](mp::StartMethod method) {
            auto [reader, writer] = mp::Pipe({.duplex = false});
            mp::Process inner = mp::get_context(method).Process(
                [](mp::Connection out) { out.send(123); }, writer
            );
            inner.start();
            if (reader.recv<int>() != 123) {
                throw mp::SystemExit(2);
            }
            inner.join();
        },
        ctx.get_start_method()
    );
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE(
    "TestStdinBadfiledescriptor.test_pool_in_process: a child uses a pool of its own",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(use_a_pool, ctx.get_start_method());
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

// SPDX-License-Identifier: BSL-1.0
// mpsum when its output fails, when its workers are killed and when it is interrupted.
#include "support/patience.hpp"
#include "support/processes.hpp"
#include "support/read_all.hpp"
#include "tools/mpsum.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using test::TempTree;
using tools_test::contains;
using tools_test::empty_digest;
using tools_test::Finished;
using tools_test::in;
using tools_test::mpsum;
using tools_test::Program;
using tools_test::ProgramOptions;

namespace {

// A file of zeros takes no room, but a worker for a while.
constexpr off_t mebibyte = off_t{1} << 20;
const std::string digest_of_256_mebibytes =
    "a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484";

/// A pipe that nobody reads.
int broken_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe failed");
    }
    ::close(ends[0]);
    return ends[1];
}

}  // namespace

TEST_CASE("mpsum: a standard output that takes nothing is an error") {
    const TempTree tree;
    tree.file("A", "");
    ProgramOptions options = in(tree);
    const mp::UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    options.out = full.get();
    Finished got = mpsum({"A"}, options);
    CHECK(got.err == "mpsum: write error: No space left on device\n");
    CHECK(got.status == 1);

    const mp::UniqueFd broken(broken_pipe());
    options.out = broken.get();
    got = mpsum({"A"}, options);
    CHECK(got.err == "mpsum: write error: Broken pipe\n");
    CHECK(got.status == 1);

    options.out.reset();
    options.out_closed = true;
    got = mpsum({"A"}, options);
    CHECK(got.err == "mpsum: write error: Bad file descriptor\n");
    CHECK(got.status == 1);
}

TEST_CASE("mpsum: a killed worker costs nothing but a warning") {
    const TempTree tree;
    tree.file("d/a", "");
    const std::string big = tree.sparse("d/big", 256 * mebibyte);
    tree.file("d/c", "");
    // With two jobs the first batches hold one file each: it is hashed where it is
    // opened.
    for (const std::string method : {"fork", "spawn", "forkserver"}) {
        Program program(
            {MPSUM_PROGRAM, "--jobs", "2", "--start-method", method, "d"}, in(tree)
        );
        const auto worker = test::wait_for_reader(program.pid(), big, 20s);
        REQUIRE(worker);
        CHECK(*worker != program.pid());
        ::kill(*worker, SIGKILL);
        const std::optional<Finished> got = program.wait(50s);
        REQUIRE(got);
        CHECK(got->status == 0);
        CHECK(
            got->out == empty_digest + "  d/a\n" + digest_of_256_mebibytes +
                            "  d/big\n" + empty_digest + "  d/c\n"
        );
        CHECK(
            got->err ==
            "mpsum: warning: a worker process was ended by signal 9 (Killed); "
            "hashing d/big again\n"
        );
    }
}

TEST_CASE("mpsum: what the report of a crash knows is in the warning") {
    const TempTree tree;
    const std::string big = tree.sparse("big", 256 * mebibyte);
    Program program({MPSUM_PROGRAM, "--jobs", "2", "big"}, in(tree));
    const auto worker = test::wait_for_reader(program.pid(), big, 20s);
    REQUIRE(worker);
    ::kill(*worker, SIGFPE);
    const std::optional<Finished> got = program.wait(50s);
    REQUIRE(got);
    CHECK(got->status == 0);
    CHECK(contains(
        got->err,
        "a worker process was ended by signal 8 (Floating point exception): sent by a "
        "process; hashing big again\n"
    ));
}

TEST_CASE("mpsum: a file that takes longer than the limit is an error of that file") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.sparse("d/endless", mebibyte << 20);
    tree.file("d/z", "");
    for (const std::string method : {"fork", "spawn", "forkserver"}) {
        const Finished got = mpsum(
            {"--timeout", "1.5", "--jobs", "2", "--start-method", method, "d"}, in(tree)
        );
        CHECK(got.status == 1);
        CHECK(got.out == empty_digest + "  d/a\n" + empty_digest + "  d/z\n");
        CHECK(got.err == "mpsum: d/endless: not hashed within 1.5 seconds\n");
    }
}

TEST_CASE(
    "mpsum: what takes more memory than the limit is an error of that file",
    "[no-asan][no-tsan]"
) {
    const TempTree tree;
    tree.file("a", "");
    const Finished got = mpsum({"--memory-limit", "64K", "--jobs", "1", "a"}, in(tree));
    CHECK(got.status == 1);
    CHECK(got.out.empty());
    CHECK(
        got.err == "mpsum: a: hashing it takes more memory than the limit of 64 KiB\n"
    );
    CHECK(mpsum({"--memory-limit", "64M", "a"}, in(tree)).status == 0);
}

TEST_CASE("mpsum: a file that loses its worker twice is an error of that file only") {
    const TempTree tree;
    tree.file("d/a", "");
    const std::string big = tree.sparse("d/big", 256 * mebibyte);
    tree.file("d/c", "");
    Program program({MPSUM_PROGRAM, "--jobs", "2", "d"}, in(tree));
    const auto first = test::wait_for_reader(program.pid(), big, 20s);
    REQUIRE(first);
    ::kill(*first, SIGKILL);
    const auto second = test::wait_for_reader(program.pid(), big, 20s, {*first});
    REQUIRE(second);
    ::kill(*second, SIGKILL);
    const std::optional<Finished> got = program.wait(20s);
    REQUIRE(got);
    CHECK(got->status == 1);
    CHECK(got->out == empty_digest + "  d/a\n" + empty_digest + "  d/c\n");
    CHECK(contains(got->err, "warning: a worker process was ended by signal 9"));
    CHECK(contains(
        got->err,
        "mpsum: d/big: a worker process was ended by signal 9 (Killed) while hashing "
        "it, "
        "for the second time\n"
    ));
}

TEST_CASE("mpsum: Ctrl-C ends everything soon, with status 130") {
    const TempTree tree;
    tree.file("d/a", "");
    const std::string big = tree.sparse("d/big", 65536 * mebibyte);
    for (const std::string method : {"fork", "spawn", "forkserver"}) {
        for (const bool whole_group : {false, true}) {
            Program program(
                {MPSUM_PROGRAM, "--jobs", "2", "--start-method", method, "d"}, in(tree)
            );
            REQUIRE(test::wait_for_reader(program.pid(), big, 20s));
            const std::vector<pid_t> below = test::descendants(program.pid());
            CHECK_FALSE(below.empty());
            // A terminal sends it to the whole group.
            ::kill(whole_group ? -program.pid() : program.pid(), SIGINT);
            const std::optional<Finished> got = program.wait(1s);
            REQUIRE(got);
            CHECK(got->status == 130);
            CHECK(got->err == "");
            const bool whole_lines =
                got->out.empty() || got->out == empty_digest + "  d/a\n";
            CHECK(whole_lines);
            CHECK(test::wait_for_end(below, test::patience(1s)));
        }
    }
}

TEST_CASE("mpsum: Ctrl-C works while standard input or output blocks") {
    const TempTree tree;
    SECTION("input") {
        const std::string fifo = tree.fifo("fifo");
        Program program({MPSUM_PROGRAM, "--check", fifo}, in(tree));
        // A writer that writes nothing: opened for both, it does not wait for a reader.
        const mp::UniqueFd writer(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
        REQUIRE(test::wait_for_open(program.pid(), fifo, 20s));
        ::kill(program.pid(), SIGINT);
        const std::optional<Finished> got = program.wait(1s);
        REQUIRE(got);
        CHECK(got->status == 130);
    }
    SECTION("output") {
        for (int i = 0; i != 400; ++i) {  // more than a pipe holds
            tree.file("d/" + std::to_string(i) + std::string(240, 'n'), "");
        }
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        const mp::UniqueFd read_end(ends[0]);
        ProgramOptions options = in(tree);
        options.out = ends[1];
        Program program({MPSUM_PROGRAM, "d"}, std::move(options));
        mp::UniqueFd write_end(ends[1]);
        REQUIRE(test::wait_for_full_pipe(write_end.get(), 20s));
        write_end.reset();
        const std::vector<pid_t> below = test::descendants(program.pid());
        ::kill(program.pid(), SIGINT);
        const std::optional<Finished> got = program.wait(2s);
        REQUIRE(got);
        CHECK(got->status == 130);
        CHECK(test::wait_for_end(below, test::patience(1s)));
        // Nothing half printed.
        const std::string out = test::read_all(read_end.get());
        REQUIRE_FALSE(out.empty());
        CHECK(out.back() == '\n');
    }
}

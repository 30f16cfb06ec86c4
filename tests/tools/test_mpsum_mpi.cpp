// SPDX-License-Identifier: BSL-1.0
// mpsum --mpi, held against mpsum without it; and what it does when the processes that
// hash are killed.
#include "support/mpi_job.hpp"
#include "support/patience.hpp"
#include "support/processes.hpp"
#include "tools/mpsum.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using test::in_job;
using test::in_ranks;
using test::TempTree;
using tools_test::check_same;
using tools_test::contains;
using tools_test::empty_digest;
using tools_test::Finished;
using tools_test::in;
using tools_test::make_hostile;
using tools_test::mpsum;
using tools_test::Program;
using tools_test::ProgramOptions;
using tools_test::Words;

namespace {

constexpr off_t mebibyte = off_t{1} << 20;
const std::string digest_of_128_mebibytes =
    "254bcc3fc4f27172636df4bf32de9f107f620d559b20d760197e452b97453917";

Words mpi_words(Words arguments) {
    arguments.insert(arguments.begin(), {MPSUM_PROGRAM, "--mpi"});
    return arguments;
}

Finished mpsum_in(int ranks, const Words& arguments, ProgramOptions options) {
    return test::run(in_ranks(ranks, mpi_words(arguments)), std::move(options));
}

/// Of standard error only the beginning: then the launcher tells of the status.
void check_alike(const Finished& job, const Finished& expected) {
    CHECK(job.out == expected.out);
    CHECK(job.err.substr(0, expected.err.size()) == expected.err);
    CHECK(job.status == expected.status);
    if (expected.status == 0) {
        CHECK(job.err == expected.err);
    }
}

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("mpsum --mpi: prints what mpsum prints, for every algorithm and name") {
    const TempTree tree;
    const Words names = make_hostile(tree);
    for (const std::string algorithm : {"md5", "sha1", "sha256", "sha512"}) {
        Words arguments = names;
        arguments.insert(arguments.begin(), {"--algorithm", algorithm});
        check_alike(mpsum_in(2, arguments, in_job(tree)), mpsum(arguments, in(tree)));
    }
    for (const std::string option : {"--tag", "--zero"}) {
        Words arguments = names;
        arguments.insert(arguments.begin(), option);
        check_alike(mpsum_in(2, arguments, in_job(tree)), mpsum(arguments, in(tree)));
    }
}

TEST_CASE("mpsum --mpi: the same lines come from any number of ranks and workers") {
    const TempTree tree;
    for (int i = 0; i != 300; ++i) {
        tree.file(
            "d/" + std::to_string(i % 7) + "/" + std::to_string(i), std::to_string(i)
        );
    }
    tree.sparse("d/3/large", 3'000'000);
    tree.fifo("d/4/fifo");
    const Finished expected = mpsum({"d", "missing"}, in(tree));
    CHECK(expected.status == 1);
    CHECK(std::count(expected.out.begin(), expected.out.end(), '\n') == 301);
    for (const int ranks : {1, 2, 4}) {
        check_alike(
            mpsum_in(ranks, {"--jobs", "2", "d", "missing"}, in_job(tree)), expected
        );
    }
    check_alike(mpsum_in(3, {"d", "missing"}, in_job(tree)), expected);
    // Without a launcher it is a job of one rank, and nobody else speaks.
    check_same(
        test::run(mpi_words({"--jobs", "2", "d", "missing"}), in_job(tree)), expected
    );
}

TEST_CASE("mpsum --mpi: --check says what mpsum says") {
    const TempTree tree;
    const Words names = make_hostile(tree);
    const Finished list = mpsum(names, in(tree));
    tree.file("LIST", list.out);
    check_alike(
        mpsum_in(3, {"--check", "LIST"}, in_job(tree)),
        mpsum({"--check", "LIST"}, in(tree))
    );
    tree.file("two words", "changed");
    tree.file("LIST", list.out + "no digest\n" + empty_digest + "  missing\n");
    const Finished expected = mpsum({"--check", "LIST", "LIST"}, in(tree));
    CHECK(expected.status == 1);
    check_alike(mpsum_in(3, {"--check", "LIST", "LIST"}, in_job(tree)), expected);
    ProgramOptions options = in_job(tree);
    options.input = list.out;
    check_alike(
        mpsum_in(2, {"--check", "-"}, options), mpsum({"--check", "-"}, options)
    );
}

TEST_CASE("mpsum --mpi: standard input is that of the launcher") {
    const TempTree tree;
    tree.file("file", "x");
    ProgramOptions options = in_job(tree);
    options.input = "some input";
    for (const Words& arguments : {Words{}, Words{"file", "-", "file", "-"}}) {
        check_alike(mpsum_in(2, arguments, options), mpsum(arguments, options));
    }
}

TEST_CASE("mpsum --mpi: what is said of the options is said by one rank") {
    const TempTree tree;
    const Finished help = mpsum_in(3, {"--help"}, in_job(tree));
    CHECK(help.status == 0);
    CHECK(help.out == mpsum({"--help"}, in(tree)).out);
    for (const Words& arguments :
         {Words{"--nonsense"},
          Words{"--start-method", "spawn"},
          Words{"--jobs", "0"}}) {
        const Finished got = mpsum_in(3, arguments, in_job(tree));
        CHECK(got.status == 1);
        CHECK(got.out.empty());
        CHECK(count_of(got.err, "Try 'mpsum --help' for more information.\n") == 1);
    }
    // A name is no option.
    tree.file("--mpi", "");
    const Words name{"--", "--mpi"};
    check_same(mpsum(name, in(tree)), {0, empty_digest + "  --mpi\n", ""});
}

TEST_CASE("mpsum --mpi: killed processes of the ranks cost nothing but a warning") {
    const TempTree tree;
    std::string expected;
    std::vector<std::string> names;
    std::vector<std::string> paths;
    for (int i = 0; i != 4; ++i) {
        tree.file("d/" + std::to_string(i), "");
        expected += empty_digest + "  d/" + std::to_string(i) + '\n';
        const std::string name = "d/" + std::to_string(i) + "big";
        paths.push_back(tree.sparse(name, 128 * mebibyte));
        expected += digest_of_128_mebibytes + "  " + name + '\n';
        names.push_back(name);
    }
    Program program(in_ranks(3, mpi_words({"--jobs", "2", "d"})), in_job(tree));
    std::vector<pid_t> killed;
    for (const std::string& path : paths) {
        const auto worker = test::wait_for_reader(program.pid(), path, 20s, killed);
        REQUIRE(worker);
        ::kill(*worker, SIGKILL);
        killed.push_back(*worker);
    }
    const std::optional<Finished> got = program.wait(50s);
    REQUIRE(got);
    CHECK(got->status == 0);
    CHECK(got->out == expected);
    for (const std::string& name : names) {
        INFO(got->err);
        CHECK(contains(
            got->err,
            "mpsum: warning: a worker process was ended by signal 9 (Killed); "
            "hashing " +
                name + " again\n"
        ));
    }
    CHECK(count_of(got->err, "\n") == names.size());
}

TEST_CASE("mpsum --mpi: a file that loses its process twice is an error of that file") {
    const TempTree tree;
    tree.file("d/a", "");
    const std::string big = tree.sparse("d/big", 65536 * mebibyte);
    tree.file("d/c", "");
    Program program(in_ranks(3, mpi_words({"--jobs", "2", "d"})), in_job(tree));
    std::vector<pid_t> killed;
    for (int i = 0; i != 2; ++i) {
        const auto worker = test::wait_for_reader(program.pid(), big, 20s, killed);
        REQUIRE(worker);
        ::kill(*worker, SIGKILL);
        killed.push_back(*worker);
    }
    const std::optional<Finished> got = program.wait(50s);
    REQUIRE(got);
    CHECK(got->status == 1);
    CHECK(got->out == empty_digest + "  d/a\n" + empty_digest + "  d/c\n");
    CHECK(contains(
        got->err,
        "mpsum: d/big: a worker process was ended by signal 9 (Killed) while hashing "
        "it, for the second time\n"
    ));
}

TEST_CASE("mpsum --mpi: a limit of time costs one file") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.sparse("d/endless", mebibyte << 20);
    tree.file("d/z", "");
    const Finished late =
        mpsum_in(2, {"--timeout", "1.5", "--jobs", "2", "d"}, in_job(tree));
    CHECK(late.status == 1);
    CHECK(late.out == empty_digest + "  d/a\n" + empty_digest + "  d/z\n");
    CHECK(contains(late.err, "mpsum: d/endless: not hashed within 1.5 seconds\n"));
}

TEST_CASE("mpsum --mpi: a limit of memory costs one file", "[no-asan][no-tsan]") {
    const TempTree tree;
    tree.file("d/a", "");
    const Finished large = mpsum_in(2, {"--memory-limit", "64K", "d/a"}, in_job(tree));
    CHECK(large.status == 1);
    CHECK(contains(
        large.err, "mpsum: d/a: hashing it takes more memory than the limit of 64 KiB\n"
    ));
}

TEST_CASE("mpsum --mpi: who ends the launcher ends everything") {
    const TempTree tree;
    const std::string big = tree.sparse("big", 65536 * mebibyte);
    Program program(in_ranks(3, mpi_words({"--jobs", "2", "big"})), in_job(tree));
    REQUIRE(test::wait_for_reader(program.pid(), big, 20s));
    const std::vector<pid_t> below = test::descendants(program.pid());
    CHECK(below.size() >= 4);
    ::kill(program.pid(), SIGINT);
    const std::optional<Finished> got = program.wait(20s);
    REQUIRE(got);
    CHECK(got->status != 0);
    CHECK(got->out.empty());
    CHECK(test::wait_for_end(below, test::patience(1s)));
}

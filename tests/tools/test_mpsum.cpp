// SPDX-License-Identifier: BSL-1.0
// mpsum as its users see it, held against coreutils on the same files.
#include "support/catch.hpp"
#include "tools/program.hpp"
#include "tools/temp_tree.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using tools_test::Finished;
using tools_test::Program;
using tools_test::ProgramOptions;
using tools_test::run;
using tools_test::TempTree;
using Words = std::vector<std::string>;

namespace {

const std::string empty_digest =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
// A file of zeros takes no room, but a worker for a while.
constexpr off_t mebibyte = off_t{1} << 20;
const std::string digest_of_256_mebibytes =
    "a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484";

Finished mpsum(Words arguments, ProgramOptions options = {}) {
    arguments.insert(arguments.begin(), MPSUM_PROGRAM);
    return run(std::move(arguments), std::move(options));
}

/// What coreutils does with the same arguments, speaking of itself as mpsum.
Finished
coreutils(const std::string& tool, Words arguments, ProgramOptions options = {}) {
    arguments.insert(arguments.begin(), tool);
    options.set_environment.emplace_back("LC_ALL=C");
    Finished finished = run(std::move(arguments), std::move(options));
    for (std::size_t at = 0;
         (at = finished.err.find(tool + ": ", at)) != std::string::npos;) {
        finished.err.replace(at, tool.size(), "mpsum");
    }
    return finished;
}

void check_same(const Finished& ours, const Finished& theirs) {
    CHECK(ours.out == theirs.out);
    CHECK(ours.err == theirs.err);
    CHECK(ours.status == theirs.status);
}

/// In an order that both tools are given.
Words hostile_names() {
    return {
        "plain",
        "two words",
        " leading",
        "trailing ",
        "*star",
        "-dash",
        "--check",
        "#comment",
        "back\\slash",
        "\\",
        "new\nline",
        "\n",
        "carriage\rreturn",
        "ends in cr\r",
        "tab\there",
        "quote's",
        "double\"quote",
        "$(dollar)",
        "invalid\xff\xfeutf8",
        "valid\xc3\xa9utf8",
        "a) = b",
        "SHA256 (x) = y",
        "[a,b]",
        "{}",
        "%%",
        std::string(255, 'n'),
        "\x01\x7f",
    };
}

/// Each with its own content; returns the arguments that name them.
Words make_hostile(const TempTree& tree) {
    Words arguments{"--"};
    for (const std::string& name : hostile_names()) {
        tree.file(name, "content of " + name);
        arguments.push_back(name);
    }
    return arguments;
}

const std::string environment_c = "LC_ALL=C";

ProgramOptions in(const TempTree& tree) {
    ProgramOptions options;
    options.directory = tree.path();
    options.set_environment.push_back(environment_c);
    return options;
}

/// A pipe that nobody reads.
int broken_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe failed");
    }
    ::close(ends[0]);
    return ends[1];
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("mpsum: prints what coreutils prints, for every algorithm and name") {
    const TempTree tree;
    const Words names = make_hostile(tree);
    for (const std::string algorithm : {"md5", "sha1", "sha256", "sha512"}) {
        Words arguments = names;
        arguments.insert(arguments.begin(), {"--algorithm", algorithm});
        check_same(
            mpsum(arguments, in(tree)), coreutils(algorithm + "sum", names, in(tree))
        );
    }
}

TEST_CASE("mpsum: --tag and --zero print what coreutils prints") {
    const TempTree tree;
    Words names = make_hostile(tree);
    for (const std::string option : {"--tag", "--zero"}) {
        Words arguments = names;
        arguments.insert(arguments.begin(), option);
        check_same(
            mpsum(arguments, in(tree)), coreutils("sha256sum", arguments, in(tree))
        );
    }
}

TEST_CASE("mpsum: says what coreutils says of what it cannot read") {
    const TempTree tree;
    tree.file("file", "x");
    tree.link("dangling", "nowhere");
    tree.link("loop", "loop");
    const Words names{
        "file",
        "missing",
        "two words",
        "new\nline",
        "dangling",
        "loop",
        "file/below",
        std::string(256, 'n'),
        "",
        "it's",
        "file"};
    const Finished ours = mpsum(names, in(tree));
    check_same(ours, coreutils("sha256sum", names, in(tree)));
    CHECK(ours.status == 1);
}

TEST_CASE("mpsum: the same lines come under every start method and number of jobs") {
    const TempTree tree;
    for (int i = 0; i != 300; ++i) {
        tree.file(
            "d/" + std::to_string(i % 7) + "/" + std::to_string(i), std::to_string(i)
        );
    }
    tree.sparse("d/3/large", 3'000'000);
    const Finished expected = mpsum({"--jobs", "1", "d"}, in(tree));
    CHECK(expected.status == 0);
    CHECK(std::count(expected.out.begin(), expected.out.end(), '\n') == 301);
    for (const std::string method : {"fork", "spawn", "forkserver"}) {
        for (const std::string jobs : {"1", "3"}) {
            const Finished got =
                mpsum({"--jobs", jobs, "--start-method", method, "d"}, in(tree));
            check_same(got, expected);
        }
    }
    ProgramOptions options = in(tree);
    options.input = expected.out;
    CHECK(coreutils("sha256sum", {"--check", "--quiet"}, options).status == 0);
}

TEST_CASE("mpsum: a special file on the way is a message, the others go on") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.fifo("d/b");
    tree.file("d/c", "");
    const Finished got = mpsum({"d"}, in(tree));
    CHECK(got.out == empty_digest + "  d/a\n" + empty_digest + "  d/c\n");
    CHECK(got.err == "mpsum: d/b: Not a regular file\n");
    CHECK(got.status == 1);
}

TEST_CASE("mpsum: - is standard input, and so is the lack of arguments") {
    const TempTree tree;
    tree.file("file", "x");
    ProgramOptions options = in(tree);
    options.input = "some input";
    for (const Words& arguments :
         {Words{}, Words{"-"}, Words{"file", "-", "file", "-"}}) {
        check_same(
            mpsum(arguments, options), coreutils("sha256sum", arguments, options)
        );
    }
}

TEST_CASE("mpsum: an empty directory gives nothing, with success") {
    const TempTree tree;
    tree.directory("d");
    check_same(mpsum({"d"}, in(tree)), Finished{});
}

// -- --check

namespace {

/// Both tools check the list; they must agree in every byte.
Finished check_agreement(
    const TempTree& tree,
    const std::string& list,
    const std::string& algorithm = "sha256"
) {
    tree.file("LIST", list);
    const Finished ours =
        mpsum({"--algorithm", algorithm, "--check", "LIST"}, in(tree));
    INFO("list: " << list);
    check_same(ours, coreutils(algorithm + "sum", {"--check", "LIST"}, in(tree)));
    return ours;
}

}  // namespace

TEST_CASE("mpsum --check: agrees with coreutils on right, changed and missing files") {
    const TempTree tree;
    const Words names = make_hostile(tree);
    for (const std::string option : {"--", "--tag"}) {
        Words arguments = names;
        arguments.insert(arguments.begin(), option == "--" ? "--text" : option);
        std::string list = coreutils("sha256sum", arguments, in(tree)).out;
        CHECK(check_agreement(tree, list).status == 0);
        tree.file("two words", "changed");
        CHECK(check_agreement(tree, list).status == 1);
        std::filesystem::remove(tree / "new\nline");
        std::filesystem::remove(tree / "back\\slash");
        CHECK(check_agreement(tree, list).status == 1);
        make_hostile(tree);
    }
}

TEST_CASE("mpsum --check: agrees with coreutils on malformed lines") {
    const TempTree tree;
    tree.file("A", "");
    tree.directory("D");
    const std::string& h = empty_digest;
    const std::string other(64, '0');
    const Words lists{
        "",
        "\n\n",
        "# only a comment\n",
        "nonsense\n",
        h + "  A\nnonsense\n",
        h + "  A\nnonsense\nmore nonsense\n" + other + "  A\n" + other + "  A\n" + h +
            "  missing\n",
        h + "  A",
        h + "  A\r\n",
        h + " A\n" + h + "  A\n",
        h + "  A\n" + h + " A\n",
        h + "  D\n",
        "\\" + h + "  A\\x\n",
        "\\" + h + "  A\\",
        "SHA256 (A) = " + h + "\nSHA512 (A) = " + h + "\n",
        "SHA256(A)=" + h + "\n",
        h + "0  A\n",
        h.substr(1) + "  A\n",
        h + "  \n",
        "  " + h + "  A\n\t" + h + " *A\n",
        h + "  missing\\x\n" + h + "  miss\ring\n",
    };
    for (const std::string& list : lists) {
        check_agreement(tree, list);
    }
}

TEST_CASE("mpsum --check: agrees with coreutils for the other algorithms") {
    const TempTree tree;
    tree.file("A", "a");
    for (const std::string algorithm : {"md5", "sha1", "sha512"}) {
        const std::string list = coreutils(algorithm + "sum", {"A"}, in(tree)).out;
        CHECK(check_agreement(tree, list, algorithm).status == 0);
        CHECK(check_agreement(tree, empty_digest + "  A\n", algorithm).status == 1);
    }
}

TEST_CASE("mpsum --check: agrees with coreutils on lists that cannot be read") {
    const TempTree tree;
    tree.directory("D");
    for (const std::string list : {"missing", "D"}) {
        check_same(
            mpsum({"--check", list}, in(tree)),
            coreutils("sha256sum", {"--check", list}, in(tree))
        );
    }
}

TEST_CASE("mpsum --check: several lists, one of them standard input") {
    const TempTree tree;
    tree.file("A", "");
    tree.file("LIST", empty_digest + "  A\n");
    ProgramOptions options = in(tree);
    options.input = empty_digest + "  A\n" + empty_digest + "  -\n";
    const Finished ours = mpsum({"--check", "LIST", "-", "missing"}, options);
    check_same(
        ours, coreutils("sha256sum", {"--check", "LIST", "-", "missing"}, options)
    );
}

TEST_CASE("mpsum --check: a list that names - checks standard input") {
    const TempTree tree;
    ProgramOptions options = in(tree);
    tree.file("LIST", empty_digest + "  -\n");
    for (const std::string input : {"", "x"}) {
        options.input = input;
        check_same(
            mpsum({"--check", "LIST"}, options),
            coreutils("sha256sum", {"--check", "LIST"}, options)
        );
    }
}

TEST_CASE("mpsum: mistakes on the command line are named, with status 1") {
    for (const Words& arguments :
         {Words{"--nonsense"},
          Words{"--jobs", "0"},
          Words{"--algorithm", "crc32"},
          Words{"--start-method", "thread"},
          Words{"--check", "x", "--tag"},
          Words{"--check", "x", "--zero"}}) {
        const Finished got = mpsum(arguments);
        CHECK(got.status == 1);
        CHECK(got.out.empty());
        CHECK(contains(got.err, "Try 'mpsum --help' for more information.\n"));
    }
    CHECK(mpsum({"--help"}).status == 0);
}

// -- what goes wrong outside

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
        const auto worker = tools_test::wait_for_reader(program.pid(), big, 20s);
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

TEST_CASE("mpsum: a file that loses its worker twice is an error of that file only") {
    const TempTree tree;
    tree.file("d/a", "");
    const std::string big = tree.sparse("d/big", 256 * mebibyte);
    tree.file("d/c", "");
    Program program({MPSUM_PROGRAM, "--jobs", "2", "d"}, in(tree));
    const auto first = tools_test::wait_for_reader(program.pid(), big, 20s);
    REQUIRE(first);
    ::kill(*first, SIGKILL);
    const auto second = tools_test::wait_for_reader(program.pid(), big, 20s, {*first});
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

TEST_CASE("mpsum: Ctrl-C ends everything within a second, with status 130") {
    const TempTree tree;
    tree.file("d/a", "");
    const std::string big = tree.sparse("d/big", 65536 * mebibyte);
    for (const std::string method : {"fork", "spawn", "forkserver"}) {
        for (const bool whole_group : {false, true}) {
            Program program(
                {MPSUM_PROGRAM, "--jobs", "2", "--start-method", method, "d"}, in(tree)
            );
            REQUIRE(tools_test::wait_for_reader(program.pid(), big, 20s));
            const std::vector<pid_t> below = tools_test::descendants(program.pid());
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
            CHECK(tools_test::wait_for_end(below, 1s));
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
        REQUIRE(tools_test::wait_for_open(program.pid(), fifo, 20s));
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
        REQUIRE(tools_test::wait_for_full_pipe(write_end.get(), 20s));
        write_end.reset();
        const std::vector<pid_t> below = tools_test::descendants(program.pid());
        ::kill(program.pid(), SIGINT);
        const std::optional<Finished> got = program.wait(2s);
        REQUIRE(got);
        CHECK(got->status == 130);
        CHECK(tools_test::wait_for_end(below, 1s));
        // Nothing half printed.
        const std::string out = tools_test::read_to_end(read_end.get());
        REQUIRE_FALSE(out.empty());
        CHECK(out.back() == '\n');
    }
}

TEST_CASE("mpsum: memory does not grow with the file") {
    const TempTree tree;
    tree.sparse("big", 512 * mebibyte);
    ProgramOptions options = in(tree);
    const Finished small =
        mpsum({"--jobs", "1", "--start-method", "spawn", "big"}, options);
    CHECK(small.status == 0);
    rusage usage{};
    REQUIRE(::getrusage(RUSAGE_CHILDREN, &usage) == 0);
    CHECK(usage.ru_maxrss < 400 * 1024);  // KiB, of the largest descendant so far
}

TEST_CASE("mpsum: progress is drawn on standard error, and taken away at the end") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.fifo("d/b");
    tree.file("d/c", "");
    const Finished got = mpsum({"--progress", "always", "d"}, in(tree));
    CHECK(got.out == empty_digest + "  d/a\n" + empty_digest + "  d/c\n");
    CHECK(contains(got.err, "mpsum: d/b: Not a regular file\n"));
    CHECK(contains(got.err, "file"));
    const std::string erased = "\r\x1b[K";
    REQUIRE(got.err.size() > erased.size());
    // The last thing is a message or the eraser, never the bar.
    const bool clean = got.err.substr(got.err.size() - erased.size()) == erased ||
                       got.err.back() == '\n';
    CHECK(clean);
    CHECK(mpsum({"--progress", "auto", "d/a"}, in(tree)).err.empty());
    CHECK(mpsum({"--progress", "never", "d/a"}, in(tree)).err.empty());
}

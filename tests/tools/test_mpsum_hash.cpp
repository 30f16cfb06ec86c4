// SPDX-License-Identifier: BSL-1.0
// What mpsum prints of files, directories and standard input, held against coreutils on
// the same files; and what it says of its options.
#include "tools/mpsum.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <string>

using test::TempTree;
using tools_test::check_same;
using tools_test::contains;
using tools_test::coreutils;
using tools_test::empty_digest;
using tools_test::Finished;
using tools_test::in;
using tools_test::make_hostile;
using tools_test::mpsum;
using tools_test::ProgramOptions;
using tools_test::Words;

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

TEST_CASE("mpsum: mistakes on the command line are named, with status 1") {
    for (const Words& arguments :
         {Words{"--nonsense"},
          Words{"--jobs", "0"},
          Words{"--algorithm", "crc32"},
          Words{"--start-method", "thread"},
          Words{"--timeout", "0"},
          Words{"--timeout", "soon"},
          Words{"--memory-limit", "much"},
          Words{"--memory-limit", "0"},
          Words{"--check", "x", "--tag"},
          Words{"--check", "x", "--zero"}}) {
        const Finished got = mpsum(arguments);
        CHECK(got.status == 1);
        CHECK(got.out.empty());
        CHECK(contains(got.err, "Try 'mpsum --help' for more information.\n"));
    }
    CHECK(
        mpsum({"--timeout", "0"}).err ==
        "mpsum: --timeout: must be a number of seconds more than 0, not 0\n"
        "Try 'mpsum --help' for more information.\n"
    );
    CHECK(mpsum({"--help"}).status == 0);
}

TEST_CASE("mpsum: a time limit may be of any length") {
    const TempTree tree;
    tree.file("a", "");
    for (const std::string seconds : {"1e10", "1e300"}) {
        const Finished got = mpsum({"--timeout", seconds, "a"}, in(tree));
        CHECK(got.status == 0);
        CHECK(got.out == empty_digest + "  a\n");
        CHECK(got.err.empty());
    }
    const Finished got = mpsum({"--timeout", "1e-12", "a"}, in(tree));
    CHECK((got.status == 0 || contains(got.err, "a: not hashed within 1e-12 seconds")));
}

TEST_CASE("mpsum: memory does not grow with the file") {
    const TempTree tree;
    tree.sparse("big", off_t{512} << 20);
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

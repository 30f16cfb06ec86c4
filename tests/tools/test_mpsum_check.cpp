// SPDX-License-Identifier: BSL-1.0
// mpsum --check, held against coreutils on the same lists.
#include "tools/mpsum.hpp"

#include <filesystem>
#include <string>

using test::TempTree;
using tools_test::check_same;
using tools_test::coreutils;
using tools_test::empty_digest;
using tools_test::Finished;
using tools_test::in;
using tools_test::make_hostile;
using tools_test::mpsum;
using tools_test::ProgramOptions;
using tools_test::Words;

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

// SPDX-License-Identifier: BSL-1.0
// mpsum as its users run it, and coreutils with the same arguments.
#pragma once

#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temp_tree.hpp"

#include <string>
#include <utility>
#include <vector>

namespace tools_test {

using test::Finished;
using test::Program;
using test::ProgramOptions;
using test::run;
using test::TempTree;
using Words = std::vector<std::string>;

inline const std::string empty_digest =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

inline Finished mpsum(Words arguments, ProgramOptions options = {}) {
    arguments.insert(arguments.begin(), MPSUM_PROGRAM);
    return run(std::move(arguments), std::move(options));
}

/// What coreutils does with the same arguments, speaking of itself as mpsum.
inline Finished
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

inline void check_same(const Finished& ours, const Finished& theirs) {
    CHECK(ours.out == theirs.out);
    CHECK(ours.err == theirs.err);
    CHECK(ours.status == theirs.status);
}

/// In an order that both tools are given.
inline Words hostile_names() {
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
inline Words make_hostile(const TempTree& tree) {
    Words arguments{"--"};
    for (const std::string& name : hostile_names()) {
        tree.file(name, "content of " + name);
        arguments.push_back(name);
    }
    return arguments;
}

inline ProgramOptions in(const TempTree& tree) {
    ProgramOptions options;
    options.directory = tree.path();
    options.set_environment.push_back("LC_ALL=C");
    return options;
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace tools_test

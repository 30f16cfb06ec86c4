// SPDX-License-Identifier: BSL-1.0
// Which lines of a checksum file are read, and as what.
#include "check_line.hpp"
#include "format.hpp"
#include "line_reader.hpp"
#include "support/catch.hpp"
#include "support/temp_tree.hpp"

#include <fcntl.h>

#include <string>
#include <vector>

using namespace mpsum;
using namespace std::string_literals;
using test::TempTree;

namespace {

const std::string hex = "0cc175b9c0f1b6a831c399e269772661";

/// The name on the line, or "!" when it is malformed.
std::string name_on(const std::string& line) {
    const std::optional<CheckLine> parsed = CheckLineParser(Algorithm::md5).parse(line);
    if (parsed) {
        CHECK(hexadecimal(parsed->digest) == hex);
    }
    return parsed ? parsed->name : "!";
}

std::vector<std::string> lines_of(const std::string& content) {
    const TempTree tree;
    const std::string path = tree.file("list", content);
    LineReader reader(mp::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
    std::vector<std::string> lines;
    while (std::optional<std::string> line = reader.next()) {
        lines.push_back(*line);
    }
    return lines;
}

}  // namespace

TEST_CASE("CheckLineParser: reads both marks, and leading blanks") {
    CHECK(name_on(hex + "  a b ") == "a b ");
    CHECK(name_on(hex + " *a") == "a");
    CHECK(name_on(" \t" + hex + "  a") == "a");
    CHECK(name_on(hex + "   a") == " a");
    CHECK(name_on(hex + "  ") == " ");
    CHECK(name_on("0CC175B9C0F1B6A831C399E269772661  a") == "a");
}

TEST_CASE("CheckLineParser: an escaped line has its name unescaped") {
    CHECK(name_on("\\" + hex + "  a\\nb\\\\c\\rd") == "a\nb\\c\rd");
    CHECK(name_on(hex + "  a\\nb") == "a\\nb");
    CHECK(name_on("\\" + hex + "  a\\x") == "!");
    CHECK(name_on("\\" + hex + "  a\\") == "!");
    CHECK(name_on("\\\\" + hex + "  a") == "!");
}

TEST_CASE("CheckLineParser: reads tagged lines of its own algorithm") {
    CHECK(name_on("MD5 (a (b) = c) = " + hex) == "a (b) = c");
    CHECK(name_on("MD5(a)= " + hex) == "a");
    CHECK(name_on("MD5 (a) =" + hex) == "a");
    CHECK(name_on("\\MD5 (a\\nb) = " + hex) == "a\nb");
    CHECK(name_on("MD5 () = " + hex).empty());
    CHECK(name_on("SHA1 (a) = " + hex) == "!");
    CHECK(name_on("MD5 (a) = " + hex + " ") == "!");
    CHECK(name_on("MD5 (a) = " + hex.substr(1)) == "!");
    CHECK(name_on("MD5 (a)") == "!");
    CHECK(name_on("MD5 (a") == "!");
    CHECK(name_on("MD5") == "!");
}

TEST_CASE("CheckLineParser: refuses what is no digest, a blank and a name") {
    CHECK(name_on("") == "!");
    CHECK(name_on(hex) == "!");
    CHECK(name_on(hex + " ") == "!");
    CHECK(name_on(hex + "0  a") == "!");
    CHECK(name_on(hex.substr(1) + "   a") == "!");
    CHECK(name_on("g" + hex.substr(1) + "  a") == "!");
}

TEST_CASE("CheckLineParser: a name ends at a NUL, and none may be escaped into it") {
    CHECK(name_on(hex + "  a\0b"s) == "a");
    CHECK(name_on("\\" + hex + "  a\0b"s) == "!");
}

TEST_CASE("CheckLineParser: the form with one blank does not mix with the other") {
    CheckLineParser coreutils(Algorithm::md5);
    CHECK(coreutils.parse(hex + "  a"));
    CHECK_FALSE(coreutils.parse(hex + " a"));
    CheckLineParser bsd(Algorithm::md5);
    CHECK(bsd.parse(hex + " a")->name == "a");
    CHECK(bsd.parse(hex + "  a")->name == " a");
    CHECK(bsd.parse(hex + " *a")->name == "*a");
}

TEST_CASE("CheckLineParser: empty lines and comments are neither right nor wrong") {
    CHECK(CheckLineParser::ignorable(""));
    CHECK(CheckLineParser::ignorable("# text"));
    CHECK_FALSE(CheckLineParser::ignorable(" # text"));
}

TEST_CASE("CheckLineParser: reads what digest_line writes") {
    const std::string raw =
        "\x0c\xc1\x75\xb9\xc0\xf1\xb6\xa8\x31\xc3\x99\xe2\x69\x77\x26\x61";
    for (const bool tag : {false, true}) {
        for (const std::string& name :
             {"a"s, " a "s, "*a"s, "a\nb"s, "\\"s, "a) = b"s, "\r"s, "\xff\x01"s}) {
            LineFormat format;
            format.algorithm = Algorithm::md5;
            format.tag = tag;
            std::string line = digest_line(format, name, raw);
            line.pop_back();
            CHECK(name_on(line) == name);
        }
    }
}

TEST_CASE("LineReader: a last line needs no newline, an empty file has no line") {
    CHECK(lines_of("").empty());
    CHECK(lines_of("a\n\nb\n") == std::vector<std::string>{"a", "", "b"});
    CHECK(lines_of("a\nb") == std::vector<std::string>{"a", "b"});
}

TEST_CASE("LineReader: a line across buffers is one line") {
    const std::string many(LineReader::longest_line - 10, 'x');
    CHECK(
        lines_of("abc\n" + many + "\nd\n") == std::vector<std::string>{"abc", many, "d"}
    );
}

TEST_CASE("LineReader: an endless line takes no endless memory") {
    const std::string endless(10 * LineReader::longest_line, 'x');
    const std::vector<std::string> lines = lines_of(endless + "\nend\n");
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].size() == LineReader::longest_line);
    CHECK(lines[1] == "end");
}

TEST_CASE("LineReader: a descriptor that cannot be read throws") {
    LineReader reader(mp::UniqueFd(::open("/", O_RDONLY | O_CLOEXEC)));
    CHECK_THROWS_AS(reader.next(), std::system_error);
}

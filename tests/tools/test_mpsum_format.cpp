// SPDX-License-Identifier: BSL-1.0
// The lines, messages and figures that mpsum prints, each by itself.
#include "format.hpp"
#include "message.hpp"
#include "progress.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace mpsum;
using namespace std::string_literals;

namespace {

const std::string raw = "\x01\xab\xff";

LineFormat plain() {
    return {};
}

}  // namespace

TEST_CASE("digest_line: two blanks stand between digest and name") {
    CHECK(digest_line(plain(), "a b", raw) == "01abff  a b\n");
}

TEST_CASE("digest_line: backslash, newline and carriage return are escaped") {
    CHECK(digest_line(plain(), "a\\b", raw) == "\\01abff  a\\\\b\n");
    CHECK(digest_line(plain(), "a\nb", raw) == "\\01abff  a\\nb\n");
    CHECK(digest_line(plain(), "a\rb", raw) == "\\01abff  a\\rb\n");
    CHECK(digest_line(plain(), "a\tb\xff", raw) == "01abff  a\tb\xff\n");
}

TEST_CASE("digest_line: --zero escapes nothing and ends with NUL") {
    LineFormat format;
    format.zero = true;
    CHECK(digest_line(format, "a\nb\\", raw) == "01abff  a\nb\\\0"s);
}

TEST_CASE("digest_line: --tag names the algorithm") {
    LineFormat format;
    format.tag = true;
    format.algorithm = Algorithm::sha512;
    CHECK(digest_line(format, "x", raw) == "SHA512 (x) = 01abff\n");
    CHECK(digest_line(format, "a\nb", raw) == "\\SHA512 (a\\nb) = 01abff\n");
}

TEST_CASE("verdict_line: only a newline makes a name escaped") {
    CHECK(verdict_line("a\\b", "OK") == "a\\b: OK\n");
    CHECK(verdict_line("a\\b\nc", "FAILED") == "\\a\\\\b\\nc: FAILED\n");
}

TEST_CASE("shell_quoted: a plain name stays as it is") {
    CHECK(shell_quoted("plain-name_1.txt") == "plain-name_1.txt");
    CHECK(shell_quoted("a,b@c%d+e/f") == "a,b@c%d+e/f");
    CHECK(shell_quoted("a#b~c") == "a#b~c");
}

TEST_CASE("shell_quoted: what a shell would read differently is quoted") {
    CHECK(shell_quoted("") == "''");
    CHECK(shell_quoted("a b") == "'a b'");
    CHECK(shell_quoted("a:b") == "'a:b'");
    CHECK(shell_quoted("#a") == "'#a'");
    CHECK(shell_quoted("{") == "'{'");
    CHECK(shell_quoted("{}") == "{}");
    CHECK(shell_quoted("a\\b") == "'a\\b'");
}

TEST_CASE("shell_quoted: a single quote prefers double quotes") {
    CHECK(shell_quoted("it's") == "\"it's\"");
    CHECK(shell_quoted("it's $5") == "'it'\\''s $5'");
}

TEST_CASE("shell_quoted: what cannot be printed is written as an escape") {
    CHECK(shell_quoted("a\nb") == "'a'$'\\n''b'");
    CHECK(shell_quoted("\x01") == "''$'\\001'");
    CHECK(
        shell_quoted("a\xff\xfe"
                     "b") == "'a'$'\\377\\376''b'"
    );
    CHECK(shell_quoted("a\n'b") == "'a'$'\\n'\\''b'");
}

TEST_CASE("Progress: without a total there is neither bar nor ETA") {
    const Progress::Clock::time_point start{};
    Progress progress(start);
    progress.add(2, 3 * 1024 * 1024);
    CHECK(
        progress.line(start + std::chrono::seconds(1), 80) ==
        "2 files  3.0 MiB  3.0 MiB/s"
    );
}

TEST_CASE("Progress: with a total it shows the part, the rate and the time left") {
    const Progress::Clock::time_point start{};
    Progress progress(start);
    progress.add(1, 1024 * 1024);
    progress.set_total(4, 4 * 1024 * 1024);
    CHECK(
        progress.line(start + std::chrono::seconds(2), 120) ==
        "1/4 files  1.0 MiB/4.0 MiB  [=====               ]  25%  512.0 KiB/s  ETA 0:06"
    );
}

TEST_CASE("Progress: a line never exceeds the width") {
    const Progress::Clock::time_point start{};
    Progress progress(start);
    progress.add(1'000'000, 1ULL << 40U);
    progress.set_total(2'000'000, 1ULL << 41U);
    for (std::size_t width = 1; width != 130; ++width) {
        CHECK(progress.line(start + std::chrono::seconds(1), width).size() <= width);
    }
}

TEST_CASE("Progress: more than was counted ahead is 100 percent") {
    const Progress::Clock::time_point start{};
    Progress progress(start);
    progress.add(9, 900);
    progress.set_total(4, 400);
    const std::string line = progress.line(start + std::chrono::seconds(1), 120);
    CHECK(line.find("100%") != std::string::npos);
}

TEST_CASE("human_bytes and human_time: are short") {
    CHECK(human_bytes(0) == "0 B");
    CHECK(human_bytes(1023) == "1023 B");
    CHECK(human_bytes(1536) == "1.5 KiB");
    CHECK(human_time(0) == "0:00");
    CHECK(human_time(61.2) == "1:02");
    CHECK(human_time(3661) == "1:01:01");
}

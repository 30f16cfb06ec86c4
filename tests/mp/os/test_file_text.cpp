// SPDX-License-Identifier: BSL-1.0
// What stands in a file, and the words and numbers in it.
#include "os/check.hpp"
#include "os/file_text.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

using mp::os::number_in_file;
using mp::os::text_of_file;
using mp::os::Words;

namespace {

bool no_text_for(const std::string& path, std::errc error) {
    return !text_of_file(path) && mp::os::last_error() == error;
}

}  // namespace

TEST_CASE("file text: all of it, of any length", "[os]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "file";
    CHECK(no_text_for(path, std::errc::no_such_file_or_directory));
    CHECK(no_text_for(directory.path(), std::errc::is_a_directory));
    for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 100'000U}) {
        const std::string text(size, 'x');
        std::ofstream(path) << text;
        CHECK(text_of_file(path) == text);
    }
    CHECK(text_of_file("/proc/self/stat").value_or("").size() > 20);
}

TEST_CASE("file text: words, and what is a number", "[os]") {
    Words words("  one 2\t-3\n\n4x 300 18446744073709551615 max");
    CHECK(words.next() == "one");
    CHECK(words.next_number<int>() == 2);
    CHECK(words.next_number<int>() == -3);
    CHECK_FALSE(words.next_number<int>());
    CHECK_FALSE(words.next_number<std::uint8_t>());
    CHECK(words.next_number<std::uint64_t>() == UINT64_MAX);
    CHECK_FALSE(words.next_number<std::uint64_t>());
    CHECK_FALSE(words.next_number<int>());
    CHECK(words.next().empty());

    Words lines("a b\n\nc\n", "\n");
    CHECK(lines.next() == "a b");
    CHECK(lines.next() == "c");
    CHECK(lines.next().empty());
    CHECK(Words("").next().empty());
}

TEST_CASE("file text: the number with which a file begins", "[os]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "file";
    CHECK_FALSE(number_in_file<int>(path));
    std::ofstream(path) << "12 13\n";
    CHECK(number_in_file<int>(path) == 12);
    std::ofstream(path) << "max\n";
    CHECK_FALSE(number_in_file<int>(path));
}

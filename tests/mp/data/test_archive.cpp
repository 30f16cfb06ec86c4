// SPDX-License-Identifier: BSL-1.0
// OutArchive and InArchive: what one writes the other reads.
#include "mp/archive.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"

#include <string>
#include <vector>

using mp::detail::ByteReader;
using mp::detail::ByteWriter;

TEST_CASE("OutArchive: what it writes InArchive reads, in order") {
    ByteWriter bytes;
    mp::OutArchive out(bytes);
    const std::string text = "text";
    out << 1 << text;
    CHECK_FALSE(out.went_full());
    // May go full: another test of the same program saves such a list through a
    // pointer.
    out << std::vector<int>{1, 2};
    out & 2.5;
    ByteReader reader(bytes.data());
    mp::InArchive in(reader);
    int number = 0;
    std::string back;
    std::vector<int> list;
    double real = 0;
    in >> number >> back >> list;
    in& real;
    CHECK(number == 1);
    CHECK(back == text);
    CHECK(list == std::vector<int>{1, 2});
    CHECK(real == 2.5);
    CHECK(reader.left() == 0);
}

TEST_CASE("OutArchive: numbers and texts have no overhead") {
    ByteWriter bytes;
    mp::OutArchive out(bytes);
    out << 1;
    CHECK(bytes.size() == sizeof(int));
    out << std::string("abc");
    CHECK(bytes.size() == sizeof(int) + 8 + 3);
}

TEST_CASE("InArchive: it reads into what exists, and replaces it") {
    ByteWriter bytes;
    mp::OutArchive(bytes) << std::vector<std::string>{"new"};
    ByteReader reader(bytes.data());
    std::vector<std::string> list = {"old", "older"};
    mp::InArchive(reader) >> list;
    CHECK(list == std::vector<std::string>{"new"});
}

TEST_CASE("OutArchive: is_saving and is_loading tell the two apart") {
    STATIC_REQUIRE(mp::OutArchive::is_saving::value);
    STATIC_REQUIRE_FALSE(mp::OutArchive::is_loading::value);
    STATIC_REQUIRE(mp::InArchive::is_loading::value);
    STATIC_REQUIRE_FALSE(mp::InArchive::is_saving::value);
}

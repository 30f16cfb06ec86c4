// SPDX-License-Identifier: BSL-1.0
// ByteWriter and ByteReader, and the copying of blocks.
#include "mp/detail/bytes.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/text_of.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using mp::detail::ByteReader;
using mp::detail::ByteWriter;
using test::text_of;

TEST_CASE("ByteWriter: values come back in order through a ByteReader") {
    ByteWriter out;
    out.put_value(std::int32_t{-7});
    out.put_value(2.5);
    out.put("text", 4);
    ByteReader in(out.data());
    CHECK(in.left() == 16);
    CHECK(in.get_value<std::int32_t>() == -7);
    CHECK(in.get_value<double>() == 2.5);
    CHECK(text_of(in.rest()) == "text");
    char text[4];
    in.get(text, 4);
    CHECK(in.left() == 0);
}

TEST_CASE("ByteWriter: it grows past its own buffer, byte by byte and at once") {
    ByteWriter out;
    std::string expected;
    for (int i = 0; i < 5000; ++i) {
        const auto byte = static_cast<char>(i);
        out.put(&byte, 1);
        expected.push_back(byte);
    }
    const std::string block(300'000, 'x');
    out.bulk(block.data(), block.size());
    expected += block;
    CHECK(text_of(out.data()) == expected);
    out.truncate(5);
    CHECK(out.size() == 5);
    out.clear();
    CHECK(out.empty());
}

TEST_CASE("ByteWriter: a lent buffer is used while the message fits") {
    std::array<std::byte, 8> lent{};
    ByteWriter out(lent);
    out.put_value(std::uint64_t{1});
    CHECK(out.in_lent_buffer());
    CHECK(out.data().data() == lent.data());
    out.put("z", 1);
    CHECK_FALSE(out.in_lent_buffer());
    CHECK(out.size() == 9);
    CHECK(ByteReader(out.data()).get_value<std::uint64_t>() == 1);
}

TEST_CASE("ByteWriter: moving takes the bytes and leaves an empty writer") {
    for (const std::size_t size : {std::size_t{10}, std::size_t{1000}}) {
        const std::string text(size, 'm');
        ByteWriter first;
        first.put(text.data(), text.size());
        ByteWriter second(std::move(first));
        CHECK(text_of(second.data()) == text);
        CHECK(first.empty());  // NOLINT(bugprone-use-after-move)
        first.put("again", 5);
        first = std::move(second);
        CHECK(text_of(first.data()) == text);
        second.put("more", 4);  // NOLINT(bugprone-use-after-move)
        CHECK(text_of(second.data()) == "more");
    }
}

TEST_CASE("ByteWriter: an impossible size is bad_alloc and changes nothing") {
    ByteWriter out;
    out.put("keep", 4);
    CHECK_THROWS_AS(out.extend(SIZE_MAX), std::bad_alloc);
    CHECK_THROWS_AS(out.extend(SIZE_MAX - 3), std::bad_alloc);
    CHECK(text_of(out.data()) == "keep");
}

TEST_CASE("ByteWriter: a length that is known last is patched in") {
    ByteWriter out;
    out.put_value(std::uint32_t{0});
    out.put("abc", 3);
    out.patch_value(0, std::uint32_t{3});
    CHECK(ByteReader(out.data()).get_value<std::uint32_t>() == 3);
}

TEST_CASE("ByteReader: reading beyond the end is a decode error, nothing is consumed") {
    const std::array<std::byte, 3> bytes{};
    ByteReader in(bytes);
    char target[8];
    CHECK_THROWS_AS(in.get(target, 4), mp::SerializationError);
    CHECK_THROWS_AS(in.bulk(target, SIZE_MAX), mp::SerializationError);
    CHECK_THROWS_AS(in.get_value<int>(), mp::SerializationError);
    CHECK(in.left() == 3);
    try {
        (void)in.view(4);
    } catch (const mp::SerializationError& error) {
        CHECK(error.phase == mp::SerializationPhase::decode);
        CHECK(
            std::string(error.what()).find("4 bytes wanted, 3 left") !=
            std::string::npos
        );
    }
    CHECK(ByteReader({}).left() == 0);
}

TEST_CASE("copy_block: every size and offset around its limits copies exactly") {
    std::vector<unsigned char> source(600'000);
    std::iota(source.begin(), source.end(), static_cast<unsigned char>(0));
    std::vector<unsigned char> target(source.size());
    const std::vector<std::size_t> sizes = {
        1, 63, 64, 2047, 2048, 2049, 2111, 4096, 524'287, 524'288, 524'289};
    const std::vector<std::size_t> offsets = {0, 1, 7, 33};
    for (const std::size_t size : sizes) {
        for (const std::size_t offset : offsets) {
            std::fill(target.begin(), target.end(), static_cast<unsigned char>(9));
            mp::detail::copy_block(target.data() + 3, source.data() + offset, size);
            CHECK(std::equal(
                target.begin() + 3,
                target.begin() + 3 + static_cast<std::ptrdiff_t>(size),
                source.begin() + static_cast<std::ptrdiff_t>(offset)
            ));
            CHECK(target[2] == 9);
            CHECK(target[3 + size] == 9);
        }
    }
}

// SPDX-License-Identifier: BSL-1.0
// FrameRing: frames of any length through a ring of bytes, and what is not believed.
#include "process_pool/frame_ring.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

using futures::detail::FrameReader;
using futures::detail::FrameRing;
using futures::detail::FrameWriter;
using Frame = std::vector<std::byte>;

namespace {

constexpr std::uint64_t longest = 1U << 20U;

Frame frame_of(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    Frame frame(size);
    for (std::byte& byte : frame) {
        byte = static_cast<std::byte>(random());
    }
    return frame;
}

std::unique_ptr<FrameRing> new_ring() {
    auto ring = std::make_unique<FrameRing>();
    ring->reset();
    return ring;
}

/// Writes one, as a reader makes room.
Frame through(FrameWriter& writer, FrameReader& reader, const Frame& frame) {
    Frame read;
    writer.begin(frame);
    bool written = writer.go_on();
    while (reader.next(read) == FrameReader::Look::nothing) {
        REQUIRE_FALSE(written);
        written = writer.go_on();
    }
    return read;
}

}  // namespace

TEST_CASE("FrameRing: frames of any length arrive as they are") {
    const auto ring = new_ring();
    FrameWriter writer(*ring);
    FrameReader reader(*ring, longest);
    unsigned seed = 0;
    for (const std::size_t size :
         {0U, 1U, 100U, 16'368U, 16'384U, 16'385U, 100'000U, 3U, 0U, 16'000U, 9U}) {
        const Frame frame = frame_of(size, ++seed);
        CHECK(through(writer, reader, frame) == frame);
    }
    Frame none;
    CHECK(reader.next(none) == FrameReader::Look::nothing);
    CHECK_FALSE(reader.any());
}

TEST_CASE("FrameRing: what was not told of is not read") {
    const auto ring = new_ring();
    FrameWriter writer(*ring);
    FrameReader reader(*ring, longest);
    Frame read;
    const Frame frame = frame_of(40'000, 1);
    writer.begin(frame);
    CHECK_FALSE(writer.go_on());
    CHECK(reader.next(read) == FrameReader::Look::nothing);  // its writer dies here
    CHECK(reader.next(read) == FrameReader::Look::nothing);
    CHECK_FALSE(writer.is_damaged());
}

TEST_CASE("FrameRing: rubbish is told from frames") {
    const auto ring = new_ring();
    FrameWriter writer(*ring);
    FrameReader reader(*ring, longest);
    Frame read;
    SECTION("a distance that cannot be") {
        ring->written.store(GENERATE(FrameRing::capacity + 1, ~std::uint64_t{0}));
        CHECK(reader.next(read) == FrameReader::Look::damaged);
    }
    SECTION("a reader that has read more than there is") {
        ring->read.store(1);
        const Frame frame = frame_of(10, 1);
        writer.begin(frame);
        CHECK_FALSE(writer.go_on());
        CHECK(writer.is_damaged());
    }
    SECTION("any byte of a frame") {
        const Frame frame = frame_of(50, 2);
        writer.begin(frame);
        REQUIRE(writer.go_on());
        // The size, the sum or the bytes; not what is unused.
        const std::size_t at = GENERATE(0U, 3U, 7U, 8U, 11U, 16U, 40U, 65U);
        ring->bytes.at(at) ^= std::byte{1};
        const auto look = reader.next(read);
        CHECK(look != FrameReader::Look::frame);
        // A greater length waits for what never comes, until more is there.
        if (look == FrameReader::Look::nothing) {
            writer.begin(frame);
            REQUIRE(writer.go_on());
            CHECK(reader.next(read) != FrameReader::Look::frame);
        }
    }
    SECTION("an old frame once more") {
        const Frame frame = frame_of(50, 3);
        writer.begin(frame);
        REQUIRE(writer.go_on());
        REQUIRE(reader.next(read) == FrameReader::Look::frame);
        std::copy_n(ring->bytes.data(), 66, ring->bytes.data() + 66);
        ring->written.store(132);
        CHECK(reader.next(read) == FrameReader::Look::damaged);
    }
    SECTION("all of it") {
        std::mt19937 random(4);
        for (std::byte& byte : ring->bytes) {
            byte = static_cast<std::byte>(random());
        }
        ring->written.store(1000);
        CHECK(reader.next(read) == FrameReader::Look::damaged);
    }
}

TEST_CASE("FrameRing: a writer that wants room is told of it") {
    const auto ring = new_ring();
    FrameWriter writer(*ring);
    FrameReader reader(*ring, longest);
    Frame read;
    const Frame frame = frame_of(20'000, 5);
    writer.begin(frame);
    REQUIRE_FALSE(writer.go_on());
    CHECK(writer.want_room());
    CHECK(reader.next(read) == FrameReader::Look::nothing);
    CHECK(reader.take_room_wanted());
    CHECK_FALSE(reader.take_room_wanted());
    CHECK_FALSE(writer.want_room());
    CHECK(writer.go_on());
}

// SPDX-License-Identifier: BSL-1.0
// Arenas of messages: what stands in them may be written over, and moves no block.
#include "process_pool/message_arena.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

using futures::detail::Block;
using futures::detail::BlockTable;
using futures::detail::CallArena;
using futures::detail::ResultArenaReader;
using futures::detail::ResultArenaWriter;

namespace {

constexpr std::size_t small_arena = 1U << 20U;  // so small that a worker may wait

/// A worker's side of the arena, in the same process.
ResultArenaWriter writer_of(const ResultArenaReader& reader) {
    return ResultArenaWriter(
        mp::detail::Segment(mp::UniqueFd::duplicate_of(reader.segment().fileno()))
    );
}

/// The list of blocks that came back: the first word of the arena.
std::atomic<std::uint64_t>& returned_in(const ResultArenaReader& reader) {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(reader.memory());
}

/// That the worker waits: the first word of the second line.
std::atomic<std::uint32_t>& waiting_in(const ResultArenaReader& reader) {
    return *reinterpret_cast<std::atomic<std::uint32_t>*>(reader.memory() + 64);
}

bool overlap(const Block& a, const Block& b) {
    return a.offset() < b.offset() + b.size() && b.offset() < a.offset() + a.size();
}

}  // namespace

TEST_CASE(
    "CallArena: what stands before its blocks may be written over", "[process_pool]"
) {
    const auto arena = std::make_shared<CallArena>(small_arena);
    for (const int value : {0, 0x55, 0xff}) {
        std::vector<Block> blocks;
        for (std::uint64_t size = 300; size < 9000; size += 700) {
            blocks.push_back(arena->allocate(size));
        }
        for (const Block& block : blocks) {
            std::byte* const begin = block.bytes().data();
            std::memset(
                begin - sizeof(BlockTable::BlockHeader),
                value,
                sizeof(BlockTable::BlockHeader)
            );
        }
        std::reverse(blocks.begin() + 3, blocks.end());
        blocks.resize(6);
        blocks.push_back(arena->allocate(4000));
        blocks.push_back(arena->allocate(400));
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                CHECK_FALSE(overlap(blocks[i], blocks[j]));
            }
        }
        blocks.clear();
        CHECK(arena->bytes_in_use() == 0);
    }
}

TEST_CASE(
    "CallArena: the first block that is found in vain makes all headers good",
    "[process_pool]"
) {
    const auto arena = std::make_shared<CallArena>(small_arena);
    std::vector<Block> blocks;
    for (int i = 0; i < 5; ++i) {
        blocks.push_back(arena->allocate(1000));
    }
    const auto record_of = [](const Block& block) {
        std::uint32_t record = 0;
        std::memcpy(&record, block.bytes().data() - 56, sizeof record);
        return record;
    };
    for (const Block& block : blocks) {
        std::memset(block.bytes().data() - 64, 0xff, 64);
    }
    blocks.erase(blocks.begin());
    for (std::uint32_t i = 0; i < blocks.size(); ++i) {
        CHECK(record_of(blocks[i]) == i + 1);
    }
    blocks.clear();
    CHECK(arena->bytes_in_use() == 0);
}

TEST_CASE(
    "ResultArena: a list that names what was not given away is not followed",
    "[process_pool]"
) {
    const auto reader = std::make_shared<ResultArenaReader>(small_arena);
    ResultArenaWriter writer = writer_of(*reader);
    const std::uint64_t kept = writer.allocate(1000);
    const std::uint64_t given = writer.allocate(1000);
    writer.give_away(given);
    const std::uint64_t used = writer.bytes_in_use();
    SECTION("it gives back what it was given") {
        Block block = reader->open({given, 1000});
        block.reset();
        CHECK(writer.bytes_in_use() < used);
        CHECK_FALSE(writer.is_damaged());
    }
    SECTION("what the worker keeps") {
        returned_in(*reader).store(kept + 1);
    }
    SECTION("where no block begins") {
        returned_in(*reader).store(given + 65);
    }
    SECTION("where none can begin") {
        returned_in(*reader).store(given + 2);
    }
    SECTION("outside of the arena") {
        returned_in(*reader).store(~std::uint64_t{0});
    }
    if (returned_in(*reader).load() != 0) {
        CHECK(writer.bytes_in_use() == used);
        CHECK(writer.is_damaged());
        CHECK(writer.allocate(1000) != kept);
    }
}

TEST_CASE("ResultArena: a list that ends where it begins is left", "[process_pool]") {
    const auto reader = std::make_shared<ResultArenaReader>(small_arena);
    ResultArenaWriter writer = writer_of(*reader);
    const std::uint64_t given = writer.allocate(1000);
    writer.give_away(given);
    reader->open({given, 1000}).reset();
    const std::uint64_t itself = given + 1;
    std::memcpy(
        reader->memory() + given - sizeof(BlockTable::BlockHeader),
        &itself,
        sizeof itself
    );
    CHECK(writer.bytes_in_use() == 0);
    CHECK(writer.is_damaged());
}

TEST_CASE(
    "ResultArena: a reader knows which blocks cannot be, and who waits in vain",
    "[process_pool]"
) {
    const auto reader = std::make_shared<ResultArenaReader>(small_arena);
    REQUIRE(reader->is_tight());
    CHECK(reader->has({4096, 100}));
    CHECK_FALSE(reader->has({0, 100}));
    CHECK_FALSE(reader->has({4100, 100}));
    CHECK_FALSE(reader->has({small_arena, 1}));
    CHECK_FALSE(reader->has({4096, ~std::uint64_t{0}}));
    CHECK_FALSE(reader->has({~std::uint64_t{63}, 64}));
    CHECK_FALSE(reader->waits_in_vain());
    waiting_in(*reader).store(1);
    CHECK(reader->waits_in_vain());
    returned_in(*reader).store(4097);
    CHECK_FALSE(reader->waits_in_vain());
}

// SPDX-License-Identifier: BSL-1.0
// SharedBlock: blocks of the heap that a family of processes shares.
#include "mp/connection.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include "data/spawning.hpp"
#include "memory/process_table.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using mp::detail::ProcessTable;
using mp::detail::SharedBlock;

namespace {

using Word = std::atomic<std::uint32_t>;

bool all_zero(const SharedBlock& block) {
    return std::all_of(block.data(), block.data() + block.size(), [](std::byte b) {
        return b == std::byte{0};
    });
}

void add_up(SharedBlock a, SharedBlock b, SharedBlock sum) {
    sum.as<Word>() = a.as<Word>() + b.as<Word>();
}

void tell_id(SharedBlock where) {
    where.as<Word>() = where.processes().self();
}

// Hands the block on to a child of its own, started in another way.
void pass_on(SharedBlock where, int method) {
    const auto context = mp::get_context(static_cast<mp::StartMethod>(method));
    mp::Process p = context.Process(tell_id, where);
    p.start();
    p.join();
    where.as<Word>().fetch_add(1U << 31U);
}

std::size_t distance(const SharedBlock& a, const SharedBlock& b) {
    return static_cast<std::size_t>(
        a.data() < b.data() ? b.data() - a.data() : a.data() - b.data()
    );
}

}  // namespace

TEST_CASE("SharedBlock: is zeroed, aligned and its owner's alone", "[shared_block]") {
    std::vector<SharedBlock> blocks;
    for (const std::size_t alignment : {1U, 64U, 128U, 4096U}) {
        for (const std::size_t size : {1U, 63U, 64U, 65U, 5000U, 3U << 20U}) {
            const SharedBlock block = SharedBlock::allocate(size, alignment);
            CHECK(block.size() == size);
            CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % alignment == 0);
            CHECK(all_zero(block));
            std::memset(block.data(), 0xff, size);
            blocks.push_back(block);
        }
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const SharedBlock& first =
                blocks[i].data() < blocks[j].data() ? blocks[i] : blocks[j];
            CHECK(distance(blocks[i], blocks[j]) >= first.size());
        }
    }
    CHECK_FALSE(SharedBlock());
    CHECK(SharedBlock() == SharedBlock());
    CHECK(blocks[0] == SharedBlock(blocks[0]));
}

TEST_CASE("SharedBlock: refuses what cannot be", "[shared_block]") {
    CHECK_THROWS_AS(SharedBlock::allocate(1, 3), std::invalid_argument);
    CHECK_THROWS_AS(SharedBlock::allocate(1, 0), std::invalid_argument);
    CHECK_THROWS_AS(SharedBlock::allocate(1, 8192), std::invalid_argument);
    CHECK_THROWS_AS(
        SharedBlock::allocate(std::size_t{1} << 60U), mp::ResourceLimitExceeded
    );
}

TEST_CASE("SharedBlock: what nobody else saw is used again, zeroed", "[shared_block]") {
    SharedBlock first = SharedBlock::allocate(100'000);
    std::memset(first.data(), 0xff, first.size());
    const std::byte* const where = first.data();
    first = SharedBlock();
    const SharedBlock second = SharedBlock::allocate(100'000);
    CHECK(second.data() == where);
    CHECK(all_zero(second));
}

TEST_CASE("SharedBlock: what existed at a fork is not used again", "[shared_block]") {
    SharedBlock first = SharedBlock::allocate(1000);
    const std::byte* const where = first.data();
    CHECK(test::run_in_fork([] { return 0; }) == 0);
    first = SharedBlock();
    std::vector<SharedBlock> later;
    for (int i = 0; i < 20; ++i) {
        later.push_back(SharedBlock::allocate(1000));
        CHECK(later.back().data() != where);
    }
}

TEST_CASE(
    "SharedBlock: a forked child takes nothing from its parent", "[shared_block]"
) {
    SharedBlock ours = SharedBlock::allocate(64);
    const int status = test::run_in_fork([&] {
        // Neither what the parent has nor what it may allocate now.
        SharedBlock childs = SharedBlock::allocate(64);
        std::memset(childs.data(), 0xff, 64);
        ours = SharedBlock();
        const SharedBlock next = SharedBlock::allocate(64);
        std::memset(next.data(), 0xff, 64);
        return 0;
    });
    CHECK(status == 0);
    const SharedBlock next = SharedBlock::allocate(64);
    CHECK(all_zero(ours));
    CHECK(all_zero(next));
}

// TestHeap.test_heap
TEST_CASE(
    "SharedBlock: thousands of random blocks leave the heap whole", "[shared_block]"
) {
    std::mt19937 random(7);
    std::map<const std::byte*, std::pair<SharedBlock, std::byte>> blocks;
    for (int i = 0; i < 5000; ++i) {
        const auto mark = static_cast<std::byte>(i);
        const SharedBlock block = SharedBlock::allocate(1 + random() % 20'000);
        REQUIRE(all_zero(block));
        std::memset(block.data(), static_cast<int>(mark), block.size());
        blocks.emplace(block.data(), std::pair(block, mark));
        if (blocks.size() > 50) {
            auto victim = blocks.begin();
            std::advance(victim, static_cast<long>(random() % blocks.size()));
            const auto& [gone, expected] = victim->second;
            REQUIRE(std::all_of(
                gone.data(),
                gone.data() + gone.size(),
                [e = expected](std::byte b) { return b == e; }
            ));
            blocks.erase(victim);
        }
    }
}

TEST_CASE(
    "SharedBlock: a child that is started gets the same bytes", "[shared_block]"
) {
    const auto context = each_start_method();
    const SharedBlock a = SharedBlock::allocate(64);
    const SharedBlock b = SharedBlock::allocate(5 << 20U);
    const SharedBlock sum = SharedBlock::allocate(64);
    a.as<Word>() = 40;
    b.as<Word>() = 2;
    mp::Process p = context.Process(add_up, a, b, sum);
    p.start();
    REQUIRE(p.join(20s));
    CHECK(p.exitcode() == 0);
    CHECK(sum.as<Word>() == 42);
}

TEST_CASE("SharedBlock: all arguments may be the same block", "[shared_block]") {
    const auto context = each_start_method();
    const SharedBlock a = SharedBlock::allocate(64);
    a.as<Word>() = 21;
    mp::Process p = context.Process(add_up, a, a, a);
    p.start();
    REQUIRE(p.join(20s));
    CHECK(a.as<Word>() == 42);
}

TEST_CASE("SharedBlock: a child is of its parent's family", "[shared_block]") {
    const auto context = each_start_method();
    const SharedBlock where = SharedBlock::allocate(64);
    mp::Process p = context.Process(tell_id, where);
    p.start();
    REQUIRE(p.join(20s));
    const ProcessTable::Id id = where.as<Word>();
    CHECK(id != 0);
    CHECK(id != where.processes().self());
    CHECK(where.processes().dead(id));
}

TEST_CASE("SharedBlock: a child hands it on to its own children", "[shared_block]") {
    const auto context = each_start_method();
    for (const auto method :
         {mp::StartMethod::fork, mp::StartMethod::spawn, mp::StartMethod::forkserver}) {
        const SharedBlock where = SharedBlock::allocate(64);
        mp::Process p = context.Process(pass_on, where, static_cast<int>(method));
        p.start();
        REQUIRE(p.join(20s));
        CHECK(p.exitcode() == 0);
        const std::uint32_t got = where.as<Word>();
        CHECK((got >> 31U) == 1);
        CHECK((got & ProcessTable::id_mask) != 0);
    }
}

TEST_CASE("SharedBlock: travels to a started child only", "[shared_block]") {
    const SharedBlock block = SharedBlock::allocate(64);
    CHECK_THROWS_AS(mp::dumps(block), mp::StateError);
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(a.send(block), mp::StateError);
    mp::detail::SpawningScope scope;
    CHECK_THROWS_AS(mp::dumps(SharedBlock()), mp::StateError);
}

TEST_CASE("SharedBlock: its descriptors travel once", "[shared_block]") {
    mp::detail::SpawningScope scope;
    const std::vector<SharedBlock> blocks(10, SharedBlock::allocate(64));
    mp::dumps(blocks);
    CHECK(scope.take().size() == 2);
}

TEST_CASE("SharedBlock: a block outside of its arena is refused", "[shared_block]") {
    const SharedBlock block = SharedBlock::allocate(64);
    std::vector<std::byte> bytes;
    {
        mp::detail::SpawningScope scope;
        bytes = mp::dumps(block);
    }
    CHECK(mp::loads<SharedBlock>(bytes) == block);
    // The size stands last.
    const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max() - 63;
    std::memcpy(bytes.data() + bytes.size() - sizeof huge, &huge, sizeof huge);
    CHECK_THROWS_AS(mp::loads<SharedBlock>(bytes), mp::SerializationError);
}

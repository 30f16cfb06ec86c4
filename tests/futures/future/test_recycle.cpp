// SPDX-License-Identifier: BSL-1.0
// The memory of tasks: taken by one thread, given back by another, in forked children
// too.
#include "futures/detail/recycle.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

using futures::detail::recycled_delete;
using futures::detail::recycled_new;
using namespace std::chrono_literals;

namespace {

/// So many that batches go to the common shelf and come back from it.
constexpr std::size_t many = 300;

void take_and_give_back(std::size_t size) {
    std::vector<void*> blocks(many);
    for (void*& block : blocks) {
        block = recycled_new(size);
        std::memset(block, 1, size);
    }
    for (void* block : blocks) {
        recycled_delete(block, size);
    }
}

}  // namespace

TEST_CASE("recycle: blocks in use are distinct, whatever thread gave them back") {
    std::vector<void*> blocks(many);
    for (void*& block : blocks) {
        block = recycled_new(64);
    }
    std::vector<void*> sorted = blocks;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
    std::thread([&] {
        for (void* block : blocks) {
            recycled_delete(block, 64);
        }
    }).join();
    for (void*& block : blocks) {
        block = recycled_new(64);
    }
    sorted = blocks;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
    for (void* block : blocks) {
        recycled_delete(block, 64);
    }
}

TEST_CASE(
    // AddressSanitizer's allocator has locks of its own, which a fork does not wait
    // for.
    "recycle: a child that is forked beside other threads finds no lock held",
    "[fork][no-asan][no-tsan]"
) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> others;
    for (int i = 0; i < 2; ++i) {
        others.emplace_back([&] {
            while (!stop) {
                take_and_give_back(64);
            }
        });
    }
    int failed = 0;
    for (int i = 0; i < 200 && failed == 0; ++i) {
        failed += test::run_in_fork_for(10s, [] {
            take_and_give_back(64);
            return 0;
        });
    }
    stop = true;
    for (std::thread& other : others) {
        other.join();
    }
    CHECK(failed == 0);
}

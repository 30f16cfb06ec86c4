// SPDX-License-Identifier: BSL-1.0
// Borrower, and the set that a limiter keeps them in.
#include "concurrency/borrower.hpp"
#include "concurrency/detail/borrower_set.hpp"
#include "support/catch.hpp"

#include <cstdint>
#include <random>
#include <set>

using concurrency::Borrower;
using concurrency::detail::BorrowerSet;

TEST_CASE("Borrower: a task, an object and a number are never the same", "[borrower]") {
    int object = 0;
    const auto address = reinterpret_cast<std::uintptr_t>(&object);
    CHECK(Borrower(&object) == Borrower(&object));
    CHECK_FALSE(Borrower(&object) == Borrower(address));
    CHECK_FALSE(Borrower(7) == Borrower::task(7));
    CHECK(Borrower(7) == Borrower(std::uint64_t{7}));
    CHECK(Borrower::task(7).task_id() == 7);
    CHECK_FALSE(Borrower(7).task_id().has_value());
    CHECK_FALSE(Borrower(&object).task_id().has_value());
    CHECK_FALSE(Borrower(nullptr).is_nobody());
}

TEST_CASE("BorrowerSet: holds what a set holds", "[borrower]") {
    std::mt19937 random(7);
    BorrowerSet borrowers;
    std::set<std::uint64_t> expected;
    for (int step = 0; step < 20'000; ++step) {
        // Numbers that differ in their upper bits only lie close to one another.
        const std::uint64_t number = (random() % 97) << (random() % 3 * 20);
        if (expected.insert(number).second) {
            borrowers.insert(number, number % 2 == 1);
        } else {
            expected.erase(number);
            borrowers.erase(*borrowers.find(number));
        }
        const std::uint64_t other = (random() % 97) << (random() % 3 * 20);
        const BorrowerSet::Entry* found = borrowers.find(other);
        REQUIRE((found != nullptr) == (expected.count(other) == 1));
        if (found != nullptr) {
            REQUIRE(found->borrower == Borrower(other));
            REQUIRE(found->waits == (other % 2 == 1));
        }
    }
    std::size_t holders = 0;
    for (const std::uint64_t number : expected) {
        holders += number % 2 == 0 ? 1 : 0;
    }
    CHECK(borrowers.holders().size() == holders);
}

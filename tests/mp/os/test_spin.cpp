// SPDX-License-Identifier: BSL-1.0
// Spinning: a short wait that comes to an end.
#include "os/spin.hpp"
#include "support/catch.hpp"

#include <atomic>
#include <cstdint>

using namespace mp::detail;

TEST_CASE("spin: a wait for nothing comes to an end", "[spin]") {
    int looks = 0;
    CHECK_FALSE(spin([&] { return ++looks < 0; }));
    CHECK(looks > 0);
    CHECK_FALSE(spin_with_calls(mp::Deadline(mp::forever), [] { return false; }));
}

TEST_CASE("spin: progress is what was done since it was asked last", "[spin]") {
    std::atomic<std::uint64_t> done{1000};
    Progress progress(done);
    CHECK_FALSE(progress());
    done += 31;
    CHECK_FALSE(progress());
    done += 31;
    CHECK_FALSE(progress());
    done += 32;
    CHECK(progress());
    CHECK_FALSE(progress());
}

TEST_CASE("spin: progress that nothing counts is none", "[spin]") {
    Progress progress;
    CHECK_FALSE(progress());
}

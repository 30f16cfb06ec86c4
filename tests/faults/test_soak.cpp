// SPDX-License-Identifier: BSL-1.0
// Random work on both pools, for as long as one likes: MP_SOAK_SECONDS and MP_SOAK_SEED
// say for how long, and of which seed the first round is. Each round has the next one,
// so that a single round can be had again. tools/soak runs it.
#include "faults/soak_round.hpp"
#include "support/catch.hpp"
#include "support/sanitizer.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <random>
#include <string>

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Bytes that this process has from malloc().
std::uint64_t bytes_in_use() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

}  // namespace

TEST_CASE(
    "Soak: whatever is asked of pools at random, each future ends once, as it may",
    "[faults][slow][soak]"
) {
    const bool asked = std::getenv("MP_SOAK_SECONDS") != nullptr;
    const auto seconds = from_environment("MP_SOAK_SECONDS", 5);
    auto seed = from_environment("MP_SOAK_SEED", asked ? std::random_device()() : 1);
    const auto end = soak::Clock::now() + std::chrono::seconds(seconds);
    constexpr int warm_up = 12;
    constexpr std::uint64_t growth_of_round = 16 << 10;
    std::uint64_t warm = 0;
    int rounds = 0;
    do {
        if (asked) {
            std::fprintf(
                stderr,
                "soak: tools/soak 1 %llu\n",
                static_cast<unsigned long long>(seed)
            );
        }
        {
            soak::Round round(seed);
            INFO(round.name());
            const auto faults = round.run();
            if (asked || !faults.empty()) {
                std::fprintf(
                    stderr,
                    "soak: %s: %s\n",
                    round.name().c_str(),
                    round.summary().c_str()
                );
            }
            for (const std::string& text : faults) {
                UNSCOPED_INFO(text);
            }
            REQUIRE(faults.empty());
        }
        ++seed;
        if (++rounds == warm_up) {
            warm = bytes_in_use();
        }
    } while (soak::Clock::now() < end);
    // What a pool keeps for the next one is there after some rounds.
    if (rounds >= 3 * warm_up && !test::under_asan && !test::under_tsan) {
        CHECK(
            bytes_in_use() <
            warm + static_cast<std::uint64_t>(rounds - warm_up) * growth_of_round
        );
    }
}

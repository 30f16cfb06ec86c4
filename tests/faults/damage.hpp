// SPDX-License-Identifier: BSL-1.0
// What tests share in which one word of a shared object after the other is overwritten:
// what is written, and what may come of it.
#pragma once

#include "mp/errors.hpp"

#include "faults/scribbling.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>

namespace test {

enum Outcome : int { fine = 0, told = 10, wrong = 20, other = 30 };

/// What a body ends with: in a child, which may not crash and not take for ever.
inline int outcome_of(const std::function<int()>& body) {
    return run_in_fork_for(patience(std::chrono::seconds(1)), [&]() -> int {
        try {
            return body();
        } catch (const mp::DamagedError&) {
            return told;
        } catch (const mp::OwnerDied&) {
            return told;
        } catch (const mp::BrokenBarrierError&) {
            return told;
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
            return other;
        }
    });
}

inline constexpr std::array<std::uint64_t, 7> values{
    0,
    ~std::uint64_t{0},
    1,
    std::uint64_t{1} << 62U,
    0x1234'5678'9abc'def0,
    0x7fff'fc07'7fff'fc07,
    0x8000'0005'8000'0005};

/// The block that a new object will get is the last one of the arena that was cut: its
/// words are found by what they say before and after.
inline Words words_of(void* at, std::size_t bytes) {
    return {static_cast<volatile std::uint64_t*>(at), bytes / 8};
}

}  // namespace test

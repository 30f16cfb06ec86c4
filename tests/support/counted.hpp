// SPDX-License-Identifier: BSL-1.0
// Counted: counts how often it was copied; moves are free.
#pragma once

namespace test {

struct Counted {
    explicit Counted(int& n) : copies(&n) {}

    Counted(const Counted& other) : copies(other.copies) { ++*copies; }

    Counted(Counted&&) = default;
    Counted& operator=(const Counted&) = delete;

    int* copies;
};

}  // namespace test

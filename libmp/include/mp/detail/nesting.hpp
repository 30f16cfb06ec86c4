// SPDX-License-Identifier: BSL-1.0
// Nesting: how deep values stand inside each other, so that no message and no list of a
// million pointers ends the stack.
// Python:  RecursionError.
// Differs: a SerializationError; the stack that is left counts too.
// Threads: one at a time.
#pragma once

namespace mp::detail {

enum class Direction { encode, decode };

inline constexpr int max_nested = 5000;

/// Throws SerializationError if `depth` is max_nested or the stack is nearly full.
void check_nesting(int depth, Direction direction);

/// One level deeper, for as long as it lives.
class Nesting {
public:
    Nesting(int& depth, Direction direction) : depth_(depth) {
        // A level takes a few KB at worst, the check leaves far more.
        if ((depth + 1) % 16 == 0) [[unlikely]] {
            check_nesting(depth + 1, direction);
        }
        ++depth_;
    }

    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

    ~Nesting() { --depth_; }

private:
    int& depth_;
};

}  // namespace mp::detail

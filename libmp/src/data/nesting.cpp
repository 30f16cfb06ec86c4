// SPDX-License-Identifier: BSL-1.0
// How deep is too deep: a number, and the end of the stack.
#include "mp/detail/nesting.hpp"

#include "mp/errors.hpp"

#include <pthread.h>

#include <cstddef>
#include <limits>
#include <string>

namespace mp::detail {

// All frames are below that: the first level finds out where the stack ends.
constinit thread_local NestingOfThread nesting_of_thread{
    0, std::numeric_limits<std::uintptr_t>::max()};

namespace {

// For what one level may take, a serialize() with a buffer of its own included, and for
// the exception.
constexpr std::size_t stack_reserve = 192UL * 1024;

struct Stack {
    std::uintptr_t lowest = 0;
    std::uintptr_t end = 0;

    Stack() noexcept {
        pthread_attr_t attributes;
        if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
            return;
        }
        void* address = nullptr;
        std::size_t size = 0;
        if (pthread_attr_getstack(&attributes, &address, &size) == 0) {
            lowest = reinterpret_cast<std::uintptr_t>(address);
            end = lowest + size;
        }
        pthread_attr_destroy(&attributes);
    }
};

const Stack& stack_of_thread() noexcept {
    thread_local const Stack stack;
    return stack;
}

// A small stack must be left something.
std::size_t reserve_of(const Stack& stack) noexcept {
    const std::size_t half = (stack.end - stack.lowest) / 2;
    return half < stack_reserve ? half : stack_reserve;
}

}  // namespace

bool is_on_own_stack(std::uintptr_t address) noexcept {
    const Stack& stack = stack_of_thread();
    return address >= stack.lowest && address < stack.end;
}

bool half_of_stack_is_left() noexcept {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const Stack& stack = stack_of_thread();
    return is_on_own_stack(here) &&
           here - stack.lowest >= (stack.end - stack.lowest) / 2;
}

int levels_to_destroy() noexcept {
    // What the destructors of one level may take: half the stack at most, as what
    // stands inside of the innermost object is destroyed there, too.
    constexpr std::uintptr_t of_one_level = 512;
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (!is_on_own_stack(here)) {
        return max_nested;
    }
    const std::uintptr_t levels = (here - stack_of_thread().lowest) / of_one_level;
    return levels < std::uintptr_t{max_nested_in_graph} ? static_cast<int>(levels)
                                                        : max_nested_in_graph;
}

void check_nesting(int depth, int limit, Direction direction) {
    const Stack& stack = stack_of_thread();
    nesting_of_thread.lowest_frame = stack.lowest + reserve_of(stack);
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    // A fiber runs on a stack of its own, of which nothing is known here.
    const bool short_of_stack =
        is_on_own_stack(here) && here < nesting_of_thread.lowest_frame;
    if (depth < limit && !short_of_stack) {
        return;
    }
    const std::string at = std::to_string(depth) + " levels deep";
    throw SerializationError(
        direction == Direction::encode ? SerializationPhase::encode
                                       : SerializationPhase::decode,
        short_of_stack
            ? "values are nested " + at + ", and the stack ends here"
            : "values are nested " + at + ", and " + std::to_string(limit) +
                  " is the limit; a list of that many pointers travels as a vector"
    );
}

}  // namespace mp::detail

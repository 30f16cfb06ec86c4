// SPDX-License-Identifier: BSL-1.0
// How deep is too deep: a number, and the end of the stack.
#include "mp/detail/nesting.hpp"

#include "mp/errors.hpp"

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace mp::detail {

namespace {

// Sixteen levels between two checks, each of them a few KB at worst, under sanitizers
// some more.
constexpr std::size_t stack_reserve = 128UL * 1024;

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

bool stack_is_short() noexcept {
    thread_local const Stack stack;
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    // A fiber runs on a stack of its own, of which nothing is known here.
    return here >= stack.lowest && here < stack.end &&
           here - stack.lowest < stack_reserve;
}

}  // namespace

void check_nesting(int depth, Direction direction) {
    const bool short_of_stack = stack_is_short();
    if (depth < max_nested && !short_of_stack) {
        return;
    }
    const std::string at = std::to_string(depth) + " levels deep";
    throw SerializationError(
        direction == Direction::encode ? SerializationPhase::encode
                                       : SerializationPhase::decode,
        short_of_stack ? "values are nested " + at + ", and the stack ends here"
                       : "values are nested " + at +
                             "; a list of that many pointers travels as a vector"
    );
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// What the patterns make of errors: results, or the end of all.
#include "concurrency/bounded_map.hpp"
#include "concurrency/detail/pattern_task.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/race.hpp"

namespace concurrency::detail {

bool may_be_result(const std::exception_ptr& error) noexcept {
    return split_result(error).first == nullptr;
}

std::string task_name(const char* pattern, std::size_t index) {
    return std::string(pattern) + '[' + std::to_string(index) + ']';
}

std::pair<std::exception_ptr, std::exception_ptr>
split_result(const std::exception_ptr& error) noexcept {
    try {
        return split_cancellation(error);
    } catch (...) {
        return {nullptr, std::current_exception()};  // no memory for the two groups
    }
}

void throw_no_racers() {
    throw ValueError("race() needs at least one task");
}

void throw_limit_below_one() {
    throw ValueError("the limit of how many run at once is to be at least 1");
}

}  // namespace concurrency::detail

// SPDX-License-Identifier: BSL-1.0
// The values of the variables that a task, or a loop, has: a list that is never
// changed. A task that is started shares it; one that sets a value begins it anew.
// Python:  contextvars.Context.
// Differs: nothing to differ from.
// Threads: any, to read; a task's own pointer to it is its loop's.
#pragma once

#include <cstdint>
#include <memory>

namespace concurrency::detail {

struct LocalValue;

/// Null where nothing was ever set, so that a task which uses none has an empty pointer
/// and no more.
using LocalValues = std::shared_ptr<const LocalValue>;

/// A variable's value; the first one of a variable in the list counts.
struct LocalValue {
    LocalValues next;
    std::uint64_t key = 0;
    std::shared_ptr<const void> value;  // null: it has none
};

/// Where a variable's values lie.
enum class LocalPlace : bool { task, loop };

}  // namespace concurrency::detail

// SPDX-License-Identifier: BSL-1.0
// limited_call: a call whose bytes begin with the limits under which its worker runs
// it. What has none is not changed, and costs nothing.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any; in a worker the one that runs tasks.
#pragma once

#include "futures/limits.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/call_thunk.hpp"

#include <exception>

namespace futures::detail {

/// Limits as they travel.
struct LimitNumbers {
    static constexpr std::int64_t none = -1;

    LimitNumbers() = default;
    explicit LimitNumbers(const Limits& limits) noexcept;
    Limits limits() const noexcept;

    std::int64_t memory = none;
    std::int64_t cpu_time = none;
    std::int64_t open_files = none;
    std::int64_t file_size = none;
    std::int64_t processes = none;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& memory& cpu_time& open_files& file_size& processes;
    }
};

/// Before the call itself is encoded.
void begin_limited_call(mp::detail::ByteWriter& out, const Limits& limits);

/// In a worker: those that hold for each call that has none.
void limit_calls(const Limits& limits) noexcept;

/// In a worker: runs what `frame.in` holds, under its limits.
void run_limited(mp::detail::CallFrame& frame);

/// In a worker, in a task: `thrown`, or, if that is because of the task's limit of
/// memory, mp::ResourceLimitExceeded with it nested.
std::exception_ptr limit_told(std::exception_ptr thrown) noexcept;

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// CallRunner: runs a task's call in this thread, that of a rank which serves.
// Threads: one.
#pragma once

#include "futures/this_task.hpp"
#include "mp/call.hpp"

#include "mpi/frame.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace futures::detail {

class CallRunner {
public:
    /// `where`: "rank 2 of 4 on host a, pid 4711"; `worker`: its number, from 0 on.
    CallRunner(std::string where, std::size_t worker)
        : where_(std::move(where)), worker_(worker) {}

    /// Its result, or what it threw, stands in `out`; which of them is returned.
    FrameKind
    run(const MessageHead& head,
        std::span<const std::byte> message,
        mp::detail::ByteWriter& out) noexcept;

    const std::string& where() const noexcept { return where_; }

private:
    const std::string where_;
    const std::size_t worker_;
    TaskSlot slot_;
    const TaskSlotScope slot_scope_{slot_};
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// current_process: what this process knows of itself: its object, and its parent.
#pragma once

#include "mp/parent_process.hpp"

#include "process/process_state.hpp"

#include <memory>
#include <optional>

namespace mp::detail {

/// What this process knows of itself.
struct Self {
    std::shared_ptr<ProcessState> state;
    BaseProcess* object = nullptr;
    std::optional<ParentProcess> parent;
};

/// The process that we are; made at first use in the program's first process.
Self& self();

/// This process is now `next`. It has no children yet: it is new, or those of its
/// parent went at the fork.
void become(Self next);

}  // namespace mp::detail

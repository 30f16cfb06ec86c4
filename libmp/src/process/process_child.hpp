// SPDX-License-Identifier: BSL-1.0
// process_child: the beginning of a child, until it runs what it is for.
#pragma once

#include "process/preparation.hpp"
#include "process/process_state.hpp"

#include <memory>

namespace mp::detail {

/// In a forked child: `object` is the process that we are.
void settle_in_fork(
    const Preparation& told,
    BaseProcess& object,
    const std::shared_ptr<ProcessState>& state
);

}  // namespace mp::detail

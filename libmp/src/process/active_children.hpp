// SPDX-License-Identifier: BSL-1.0
// active_children: the children of this process that have not been found to be over.
#pragma once

#include "process/popen.hpp"
#include "process/process_state.hpp"

#include <memory>
#include <vector>

namespace mp::detail {

/// A child with a Popen of its own: should its start fail, a thread that looks at it
/// now is not held up and holds nothing up.
struct RememberedChild {
    std::shared_ptr<ProcessState> state;
    std::shared_ptr<Popen> popen;
};

/// The started children that have not been found to be over.
void remember_child(const std::shared_ptr<ProcessState>& child);
void forget_child(const ProcessState& child);
std::vector<RememberedChild> remembered_children();

/// Reaps and forgets the children that have ended.
void reap_ended_children();

/// The number for the next child's identity.
int next_child_number();

/// Makes sure that at exit daemons are terminated and all children joined.
void join_children_at_exit();

}  // namespace mp::detail

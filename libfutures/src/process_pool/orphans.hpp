// SPDX-License-Identifier: BSL-1.0
// orphans: what a worker's tasks leave behind.
#pragma once

namespace futures::detail {

/// In a worker: what its tasks start stays its descendant, also when a process in
/// between ends (a daemon). Or not: of a worker forked from one.
void keep_orphans(bool keep) noexcept;

/// In a worker, between two tasks: if it keeps orphans, reaps those that have ended,
/// which nobody else will. Whose child a process was at first is not known, so only
/// those of another session are taken for orphans, daemons that is; of the others,
/// which a task may want to wait for, no more than 64 stay.
void reap_orphans() noexcept;

}  // namespace futures::detail

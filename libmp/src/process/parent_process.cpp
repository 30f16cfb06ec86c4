// SPDX-License-Identifier: BSL-1.0
// ParentProcess: watches the parent through its pipe (see util/parent_watch.hpp).
#include "mp/parent_process.hpp"

#include "os/poll.hpp"
#include "process/current_process.hpp"
#include "util/parent_watch.hpp"

#include <chrono>

namespace mp {

bool ParentProcess::is_alive() const {
    return !join(std::chrono::seconds(0));
}

bool ParentProcess::join(Timeout timeout) const {
    return os::wait_readable(sentinel(), Deadline(timeout));
}

int ParentProcess::sentinel() const noexcept {
    return detail::parent_watch_fd();
}

std::optional<ParentProcess> parent_process() {
    return detail::self().parent;
}

}  // namespace mp

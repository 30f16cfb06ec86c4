// SPDX-License-Identifier: BSL-1.0
// ProcessState: what the object of a process, its handles and the list of children
// share.
#pragma once

#include "mp/process.hpp"
#include "mp/thread_safety.hpp"

#include "process/popen.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mp::detail {

struct ProcessState {
    // Set before start(), by the thread that uses the object; `name` under the mutex.
    Creator creator;
    ProcessOptions options;
    std::vector<int> identity;
    AuthenticationString authkey;
    bool daemon = false;
    bool closed = false;
    /// The object of the process that we are, not of a child.
    bool is_current = false;
    // Set by start().
    std::shared_ptr<Popen> popen;
    std::shared_ptr<LinkedPopen> awaited;
    std::optional<Deadline> start_deadline;

    std::string name() {
        const MutexLock held(mutex);
        return given_name;
    }

    void set_name(std::string name) {
        const MutexLock held(mutex);
        given_name = std::move(name);
    }

    Mutex mutex;
    std::string given_name MP_GUARDED_BY(mutex);
};

}  // namespace mp::detail

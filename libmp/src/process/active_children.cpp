// SPDX-License-Identifier: BSL-1.0
// The list of this process's children, and what becomes of them at its exit.
#include "process/active_children.hpp"

#include "mp/process.hpp"
#include "mp/thread_safety.hpp"

#include "os/per_process.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <signal.h>

#include <atomic>
#include <string>
#include <system_error>
#include <utility>

namespace mp {
namespace detail {
namespace {

// Replaced in a forked child: its parent's children are not its own.
struct Children {
    Mutex mutex;
    std::vector<RememberedChild> list MP_GUARDED_BY(mutex);
    bool joined_at_exit MP_GUARDED_BY(mutex) = false;
    std::atomic<int> count{0};
};

Children& children() {
    return os::PerProcess<Children>::get();
}

// One that may not be signalled, because this process or the child has become another
// user, is not waited for either.
void terminate_daemon(const RememberedChild& child) {
    log_info("terminating the daemon " + child.state->name());
    try {
        child.popen->send_signal(SIGTERM);
    } catch (const std::system_error& error) {
        log_error(
            "the daemon " + child.state->name() + " (pid " +
            std::to_string(child.popen->pid()) +
            ") cannot be terminated and is left running: " + error.code().message()
        );
        forget_child(*child.state);
    }
}

void terminate_daemons_and_join_all() {
    for (const auto& child : remembered_children()) {
        if (child.state->daemon) {
            terminate_daemon(child);
        }
    }
    for (const auto& child : remembered_children()) {
        log_info("joining " + child.state->name());
        child.popen->wait(Deadline(forever));
        child.popen->poll();
        forget_child(*child.state);
    }
}

}  // namespace

int next_child_number() {
    return children().count.fetch_add(1) + 1;
}

void remember_child(const std::shared_ptr<ProcessState>& child) {
    Children& all = children();
    const MutexLock held(all.mutex);
    all.list.push_back({child, child->popen});
}

void forget_child(const ProcessState& child) {
    Children& all = children();
    const MutexLock held(all.mutex);
    std::erase_if(all.list, [&](const auto& known) {
        return known.state.get() == &child;
    });
}

std::vector<RememberedChild> remembered_children() {
    Children& all = children();
    const MutexLock held(all.mutex);
    return all.list;
}

void reap_ended_children() {
    for (const auto& child : remembered_children()) {
        if (child.popen->poll_now()) {
            forget_child(*child.state);
        }
    }
}

void join_children_at_exit() {
    Children& all = children();
    {
        const MutexLock held(all.mutex);
        if (std::exchange(all.joined_at_exit, true)) {
            return;
        }
    }
    try {
        add_exit_part(ExitPhase::children, terminate_daemons_and_join_all);
        ensure_exit_step();
    } catch (...) {
        const MutexLock held(all.mutex);
        all.joined_at_exit = false;
        throw;
    }
}

}  // namespace detail

std::vector<ProcessHandle> active_children() {
    detail::reap_ended_children();
    std::vector<ProcessHandle> handles;
    for (const auto& child : detail::remembered_children()) {
        // One that has ended may still be remembered: its fork server owes the code.
        if (!child.popen->has_ended()) {
            handles.push_back(ProcessHandle(child.state, child.popen));
        }
    }
    return handles;
}

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
#include "process/process_state.hpp"

#include "os/fork.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <signal.h>

#include <atomic>
#include <utility>

namespace mp::detail {
namespace {

// Replaced in a forked child: its parent's children are not its own.
struct Children {
    Mutex mutex;
    std::vector<RememberedChild> list MP_GUARDED_BY(mutex);
    bool joined_at_exit MP_GUARDED_BY(mutex) = false;
    std::atomic<int> count{0};
};

Children* current = nullptr;

void replace_in_child() {
    // The old list is left as it is: taking it apart would run under the parent's lock.
    current = new Children;
}

Children& children() {
    static const bool ready = [] {
        current = new Children;
        os::on_fork_in_child(replace_in_child);
        return true;
    }();
    static_cast<void>(ready);
    return *current;
}

// Set once in the life of a child, before it runs user code.
Self* child_self = nullptr;

Self make_main_self() {
    Self main;
    main.state = std::make_shared<ProcessState>();
    main.state->set_name("MainProcess");
    main.state->authkey = AuthenticationString::random();
    main.state->is_current = true;
    return main;
}

void terminate_daemons_and_join_all() {
    for (const auto& child : remembered_children()) {
        if (child.state->daemon) {
            log_info("terminating the daemon " + child.state->name());
            child.popen->send_signal(SIGTERM);
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

Self& self() {
    if (child_self != nullptr) {
        return *child_self;
    }
    // Never destroyed: exit handlers of others may still ask who they are.
    static auto* const main_self = new Self(make_main_self());
    return *main_self;
}

void become(Self next) {
    child_self = new Self(std::move(next));
    child_self->state->is_current = true;
    set_log_process_name(child_self->state->name());
}

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

}  // namespace mp::detail

namespace mp {

BaseProcess& current_process() {
    detail::Self& here = detail::self();
    if (here.object == nullptr) {
        // The first process. Never destroyed, like everything that exit handlers may
        // use.
        here.object = new BaseProcess(here.state);
    }
    return *here.object;
}

std::optional<ParentProcess> parent_process() {
    return detail::self().parent;
}

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

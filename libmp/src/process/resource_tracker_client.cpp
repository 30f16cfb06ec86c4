// SPDX-License-Identifier: BSL-1.0
// Which tracker is told what this process made and removed: that of the user who made
// it, and who alone may remove it.
#include "process/resource_tracker_client.hpp"

#include "mp/errors.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/thread_safety.hpp"

#include "data/spawning.hpp"
#include "os/fork.hpp"
#include "os/fork_lock.hpp"
#include "os/per_process.hpp"
#include "process/tracker_link.hpp"
#include "process/tracker_protocol.hpp"
#include "process/tracker_sockets.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace mp {
namespace detail {
namespace {

// Held while the list of links changes, so that a forked child finds it whole.
os::ForkLock& links_lock() {
    static auto* const instance = new os::ForkLock;
    return *instance;
}

// Before main, so that no fork can fall into the making.
[[maybe_unused]] const bool links_lock_made_early = (links_lock(), true);

// Of the child that this thread is about to fork.
constinit thread_local UniqueFd* childs_connection = nullptr;

struct Links {
    // A child of ours goes on with its parent's tracker, by the connection that was
    // made for it. What the parent's own is used for, it must not be able to do.
    void take_over(std::unique_ptr<Links> parents) MP_NO_THREAD_SAFETY_ANALYSIS {
        UniqueFd connection;
        if (os::forking_a_process() && childs_connection != nullptr) {
            connection = std::move(*childs_connection);
        }
        close_tracker_sockets_of_parent(connection.get());
        now = TrackerLink(std::move(connection));
        parents->now.abandon();
        for (TrackerLink& link : parents->of_other_users) {
            link.abandon();
        }
        // What else there is, is left alone: another thread may have been changing it.
        static_cast<void>(parents.release());
    }

    // Looked up under the lock, before each use: the program may have become another
    // user, and messages to the tracker of the one before are refused.
    TrackerLink& current() MP_REQUIRES(mutex) {
        if (now.user() != ::geteuid()) {
            const os::ForkLockHeld held(links_lock());
            const auto known = std::find_if(
                of_other_users.begin(),
                of_other_users.end(),
                [](const TrackerLink& one) { return one.user() == ::geteuid(); }
            );
            if (known != of_other_users.end()) {
                std::swap(now, *known);
            } else {
                of_other_users.push_back(std::exchange(now, TrackerLink()));
            }
        }
        return now;
    }

    // The one that knows of it.
    TrackerLink& that_has(const os::FileId& id) MP_REQUIRES(mutex) {
        // Before current() puts it aside: the user may have changed since it was used.
        if (now.has(id)) {
            return now;
        }
        for (TrackerLink& link : of_other_users) {
            if (link.has(id)) {
                return link;
            }
        }
        return current();
    }

    template <class Each>
    void for_all(Each each) MP_REQUIRES(mutex) {
        each(now);
        for (TrackerLink& link : of_other_users) {
            each(link);
        }
    }

    Mutex mutex;
    TrackerLink now MP_GUARDED_BY(mutex);
    std::vector<TrackerLink> of_other_users MP_GUARDED_BY(mutex);
    bool at_exit MP_GUARDED_BY(mutex) = false;
};

Links& links() {
    return os::PerProcess<Links, os::AtFork::takes_over>::get();
}

void leave(TrackerLink& link) {
    link.forget_what_is_gone();
    if (link.mine().empty()) {
        link.say_if_known(TrackerWord::leave, {});
    } else {
        link.say(TrackerWord::leave, {});
    }
    link.close();
    // What this process still has mapped can only go when it is gone.
    if (link.mine().empty()) {
        link.wait_for_end();
    }
}

void leave_at_exit() {
    Links& all = links();
    const MutexLock held(all.mutex);
    all.for_all(leave);
}

}  // namespace

void track_memory(const std::string& name, const os::FileId& id) {
    if (sizeof(TrackerMessage) + name.size() > longest_tracker_message) {
        throw std::invalid_argument(
            "a name of " + std::to_string(name.size()) +
            " bytes is too long for the resource tracker"
        );
    }
    ensure_exit_step();
    Links& all = links();
    const MutexLock held(all.mutex);
    if (!all.at_exit) {
        add_exit_part(ExitPhase::helpers, leave_at_exit);
        all.at_exit = true;
    }
    TrackerLink& link = all.current();
    link.mine().push_back({name, id});
    try {
        link.say(TrackerWord::track, link.mine().back());
    } catch (const SpawnError& error) {
        link.mine().pop_back();
        if (all.of_other_users.empty()) {
            throw;
        }
        throw SpawnError(
            error.stage,
            std::string(error.what()) +
                " (this process has become another user, who needs a resource tracker "
                "of its own; .track = false makes SharedMemory without one)"
        );
    } catch (...) {
        link.mine().pop_back();
        throw;
    }
}

void forget_memory(const std::string& name, const os::FileId& id) noexcept {
    try {
        Links& all = links();
        const MutexLock held(all.mutex);
        TrackerLink& link = all.that_has(id);
        link.drop(id);
        if (link) {
            link.say(TrackerWord::forget, {name, id});
        }
    } catch (const std::exception& error) {
        log_warning(
            "the resource tracker cannot be told that '" + name +
            "' is gone: " + error.what()
        );
    }
}

bool remove_tracked_memory(const std::string& name, const os::FileId& id) {
    Links& all = links();
    const MutexLock held(all.mutex);
    return all.that_has(id).remove({name, id});
}

std::int32_t hand_over_resource_tracker() {
    Links& all = links();
    const MutexLock held(all.mutex);
    UniqueFd connection = all.current().connection_for_child();
    return connection ? static_cast<std::int32_t>(hand_over(std::move(connection)))
                      : -1;
}

void set_resource_tracker(UniqueFd connection) {
    Links& all = links();
    const MutexLock held(all.mutex);
    list_tracker_socket(connection.get());
    all.now = TrackerLink(std::move(connection));
}

TrackerForFork::TrackerForFork() {
    {
        Links& all = links();
        const MutexLock held(all.mutex);
        connection_ = all.current().connection_for_child();
    }
    childs_connection = &connection_;
}

TrackerForFork::~TrackerForFork() {
    childs_connection = nullptr;
}

void stop_resource_tracker() noexcept {
    try {
        Links& all = links();
        const MutexLock held(all.mutex);
        all.for_all([](TrackerLink& link) {
            link.withdraw();
            link.wait_for_end();
        });
    } catch (const std::exception& error) {
        log_error(std::string("stopping the resource tracker: ") + error.what());
    }
}

pid_t resource_tracker_pid() {
    Links& all = links();
    const MutexLock held(all.mutex);
    return all.current().pid();
}

}  // namespace detail

void resource_tracker::ensure_running() {
    detail::Links& all = detail::links();
    const detail::MutexLock held(all.mutex);
    all.current().say(detail::TrackerWord::ready, {});
}

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/last_grace.hpp"

#include "mp/detail/event_fd.hpp"
#include "mp/fd.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "os/per_process.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/signals.hpp"
#include "process_pool/stopped_process.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/library_thread.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace futures::detail {

namespace os = mp::os;
using mp::detail::MutexLock;
using namespace std::chrono_literals;

namespace {

constexpr auto grace = 500ms;

struct Family {
    mp::UniqueFd worker;
    std::vector<ProcessTree::Member> members;
    std::optional<mp::Deadline> end = {};  ///< set when the worker has ended
};

class LastGrace {
public:
    /// Takes it over, unless it throws.
    void add(Family& family) MP_EXCLUDES(mutex_);

private:
    void run() noexcept;
    bool take_new(std::vector<Family>& families) MP_EXCLUDES(mutex_);
    void wait(const std::vector<Family>& families);
    void look_after(std::vector<Family>& families) const;
    bool is_over(Family& family) const;
    void join_at_exit() noexcept;

    // Own synchronisation.
    std::atomic<bool> exiting_{false};

    // Made before the thread, which closes it; others ring it under mutex_.
    std::optional<mp::detail::EventFd> bell_;

    // Guarded by mutex_.
    mp::detail::Mutex mutex_;
    std::vector<Family> added_ MP_GUARDED_BY(mutex_);
    bool running_ MP_GUARDED_BY(mutex_) = false;
    bool joined_at_exit_ MP_GUARDED_BY(mutex_) = false;
    std::thread thread_ MP_GUARDED_BY(mutex_);
};

using TheLastGrace = os::PerProcess<LastGrace>;

void kill_all(const std::vector<ProcessTree::Member>& members) noexcept {
    for (const auto& member : members) {
        kill_tree(member.pid, member.pidfd.get());
    }
}

void LastGrace::add(Family& family) {
    const MutexLock lock(mutex_);
    if (!bell_) {
        bell_.emplace();
    }
    added_.reserve(added_.size() + 1);
    if (!joined_at_exit_) {
        mp::detail::add_exit_part(mp::detail::ExitPhase::children, [this] {
            join_at_exit();
        });
        joined_at_exit_ = true;
    }
    added_.push_back(std::move(family));
    if (running_) {
        bell_->ring();
        return;
    }
    if (thread_.joinable()) {
        thread_.join();  // it has nothing more to do
    }
    try {
        const os::SignalsBlocked blocked;  // they are the program's threads' business
        thread_ = std::thread([this, counted = mp::detail::LibraryThread()] { run(); });
        running_ = true;
    } catch (const std::exception&) {
        kill_all(added_.back().members);
        added_.pop_back();
        bell_.reset();
    }
}

void LastGrace::run() noexcept {
    ::pthread_setname_np(::pthread_self(), "mp-last-grace");
    std::vector<Family> families;
    while (take_new(families)) {
        try {
            wait(families);
            look_after(families);
        } catch (const std::exception& error) {
            mp::detail::log_warning(
                std::string("processes that tasks have started are killed at once: ") +
                error.what()
            );
            for (const Family& family : families) {
                kill_all(family.members);
            }
            families.clear();
        }
    }
}

/// False when there is nothing to do, and nothing will be before there is a new thread.
bool LastGrace::take_new(std::vector<Family>& families) {
    const MutexLock lock(mutex_);
    std::move(added_.begin(), added_.end(), std::back_inserter(families));
    added_.clear();
    running_ = !families.empty();
    if (!running_) {
        bell_.reset();
    }
    return running_;
}

void LastGrace::wait(const std::vector<Family>& families) {
    std::vector<pollfd> entries;
    entries.push_back({.fd = bell_->fileno(), .events = POLLIN, .revents = 0});
    mp::Deadline first(mp::forever);
    for (const Family& family : families) {
        if (family.end) {
            first = std::min(first, *family.end, [](const auto& a, const auto& b) {
                return a.time_point() < b.time_point();
            });
        } else {
            entries.push_back(
                {.fd = family.worker.get(), .events = POLLIN, .revents = 0}
            );
        }
        for (const auto& member : family.members) {
            entries.push_back({.fd = member.pidfd.get(), .events = POLLIN, .revents = 0}
            );
        }
    }
    os::poll(entries, first);
    bell_->take();
}

void LastGrace::look_after(std::vector<Family>& families) const {
    std::erase_if(families, [this](Family& family) { return is_over(family); });
}

bool LastGrace::is_over(Family& family) const {
    std::erase_if(family.members, [](const ProcessTree::Member& member) {
        return os::pidfd_ended(member.pidfd.get());
    });
    if (!family.end && (exiting_ || os::pidfd_ended(family.worker.get()))) {
        family.end.emplace(grace);
    }
    if (family.end && family.end->expired()) {
        kill_all(family.members);
        family.members.clear();
    }
    return family.members.empty();
}

void LastGrace::join_at_exit() noexcept {
    exiting_ = true;
    std::thread last;
    {
        const MutexLock lock(mutex_);
        if (bell_) {
            bell_->ring();
        }
        last = std::move(thread_);
    }
    if (last.joinable()) {
        last.join();
    }
}

}  // namespace

void kill_behind(
    const mp::Process& worker, std::vector<ProcessTree::Member> descendants
) noexcept {
    if (descendants.empty()) {
        return;
    }
    Family family{{}, std::move(descendants)};
    try {
        family.worker = mp::UniqueFd::duplicate_of(worker.sentinel());
        TheLastGrace::get().add(family);
    } catch (const std::exception&) {
        kill_all(family.members);  // no descriptor, or no memory
    }
}

void kill_tree(pid_t pid, int pidfd) noexcept {
    ProcessTree tree(pid, pidfd);
    std::optional<StoppedProcess> standing;
    try {
        if (!os::pidfd_ended(pidfd)) {
            standing.emplace(pid, pidfd);
            if (standing->is_stopped()) {
                tree.find();
            }
        }
    } catch (const std::exception& error) {
        mp::detail::log_warning(
            std::string("not all processes that a task has started can be found: ") +
            error.what()
        );
    }
    tree.send_all(SIGKILL);
    try {
        os::pidfd_send_signal(pidfd, SIGKILL);
    } catch (const std::exception& error) {
        mp::detail::log_warning(
            "a process that a task has started (pid " + std::to_string(pid) +
            ") cannot be ended: " + error.what()
        );
    }
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "util/parent_watch.hpp"

#include "mp/errors.hpp"
#include "mp/thread_safety.hpp"

#include "os/check.hpp"
#include "os/fork_lock.hpp"
#include "os/per_process.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

// Only defined for _GNU_SOURCE in some headers; the value is Linux's ABI.
#ifndef F_SETSIG
#define F_SETSIG 10
#endif

namespace mp::detail {
namespace {

// The read end of the parent's pipe; null in the main process. Never destroyed.
UniqueFd* parents_pipe = nullptr;

// The write ends of the lifelines. A fork finds the table whole, because it waits for
// the lock.
struct Lifelines {
    os::ForkLock lock;
    std::uint64_t last MP_GUARDED_BY(lock) = 0;
    std::map<std::uint64_t, UniqueFd> held MP_GUARDED_BY(lock);

    static Lifelines& get() {
        static auto* const instance = new Lifelines;
        return *instance;
    }

    // In a forked child, while the fork still holds the lock or just after.
    void forget_parents() noexcept MP_NO_THREAD_SAFETY_ANALYSIS { held.clear(); }
};

// The write end lasts as long as the process.
struct WatchPipe {
    // A forked child watches the pipe of which it must not hold the write end.
    static void take_over(std::unique_ptr<WatchPipe> parents
    ) MP_NO_THREAD_SAFETY_ANALYSIS {
        if (parents->held) {
            Lifelines::get().forget_parents();
        }
        parents->held.reset();
        set_parent_watch_fd(std::move(parents->for_children));
    }

    Mutex mutex;
    UniqueFd for_children MP_GUARDED_BY(mutex);
    UniqueFd held MP_GUARDED_BY(mutex);
};

}  // namespace

int watch_pipe_for_children() {
    WatchPipe& pipe = os::PerProcess<WatchPipe, os::AtFork::takes_over>::get();
    const MutexLock held(pipe.mutex);
    if (!pipe.for_children) {
        Lifelines::get();  // made: a forked child cannot wait for that
        std::tie(pipe.for_children, pipe.held) = os::make_pipe();
    }
    return pipe.for_children.get();
}

void set_parent_watch_fd(UniqueFd fd) {
    delete parents_pipe;
    parents_pipe = new UniqueFd(std::move(fd));
}

int parent_watch_fd() noexcept {
    return parents_pipe == nullptr ? -1 : parents_pipe->get();
}

void die_with_parent() {
    const int watched = parent_watch_fd();
    if (watched < 0) {
        throw StateError("die_with_parent: the main process has no parent to die with");
    }
    // The open file is this process's alone, and stays open as long as it lives.
    os::check(::fcntl(watched, F_SETOWN, ::getpid()), "fcntl(F_SETOWN)");
    os::check(::fcntl(watched, F_SETSIG, SIGKILL), "fcntl(F_SETSIG)");
    os::check(::fcntl(watched, F_SETFL, O_ASYNC | O_NONBLOCK), "fcntl(O_ASYNC)");
    // The parent may have ended before the pipe was armed.
    if (os::pidfd_ended(watched)) {
        ::kill(::getpid(), SIGKILL);
    }
}

Lifeline Lifeline::make() {
    watch_pipe_for_children();  // its fork handler takes care of the lifelines, too
    Lifeline line;
    UniqueFd held;
    Lifelines& all = Lifelines::get();
    // With the lock: a child that is forked meanwhile finds in the table all that it
    // must not hold.
    const os::ForkLockHeld locked(all.lock);
    std::tie(line.childs_end_, held) = os::make_pipe();
    all.held.emplace(all.last + 1, std::move(held));
    line.number_ = ++all.last;
    return line;
}

Lifeline::Lifeline(Lifeline&& other) noexcept
    : number_(std::exchange(other.number_, 0)),
      childs_end_(std::move(other.childs_end_)) {}

Lifeline& Lifeline::operator=(Lifeline&& other) noexcept {
    cut();
    number_ = std::exchange(other.number_, 0);
    childs_end_ = std::move(other.childs_end_);
    return *this;
}

void Lifeline::cut() noexcept {
    childs_end_.reset();
    if (number_ != 0) {
        Lifelines& all = Lifelines::get();
        const os::ForkLockHeld locked(all.lock);
        all.held.erase(std::exchange(number_, 0));
    }
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "util/parent_watch.hpp"

#include "mp/errors.hpp"
#include "mp/thread_safety.hpp"

#include "os/check.hpp"
#include "os/fork.hpp"
#include "os/pidfd.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

// Only defined for _GNU_SOURCE in some headers; the value is Linux's ABI.
#ifndef F_SETSIG
#define F_SETSIG 10
#endif

namespace mp::detail {
namespace {

struct WatchPipe {
    Mutex mutex;
    UniqueFd for_children MP_GUARDED_BY(mutex);
    UniqueFd held MP_GUARDED_BY(mutex);
};

// Replaced in a forked child; never destroyed, so that the write end lasts as long as
// the process.
WatchPipe* own_pipe = nullptr;
UniqueFd* parents_pipe = nullptr;

void replace_in_child() MP_NO_THREAD_SAFETY_ANALYSIS {
    WatchPipe* const parents = own_pipe;
    own_pipe = new WatchPipe;
    parents->held.reset();
    delete parents_pipe;
    parents_pipe = new UniqueFd(std::move(parents->for_children));
    delete parents;
}

WatchPipe& pipe_of_this_process() {
    static const bool ready = [] {
        own_pipe = new WatchPipe;
        os::on_fork_in_child(replace_in_child);
        return true;
    }();
    static_cast<void>(ready);
    return *own_pipe;
}

// The parent's end of the pipe is one open file for all its children, and O_ASYNC and
// the owner belong to the open file. So each child opens it anew.
UniqueFd reopened(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    return UniqueFd(
        os::check(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), path.c_str())
    );
}

}  // namespace

int watch_pipe_for_children() {
    WatchPipe& pipe = pipe_of_this_process();
    const MutexLock held(pipe.mutex);
    if (!pipe.for_children) {
        std::array<int, 2> ends{};
        os::check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
        pipe.for_children.reset(ends[0]);
        pipe.held.reset(ends[1]);
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
    const int shared = parent_watch_fd();
    if (shared < 0) {
        throw StateError("die_with_parent: the main process has no parent to die with");
    }
    // Leaked on purpose: the signal comes from this open file, for as long as we live.
    UniqueFd armed = reopened(shared);
    os::check(::fcntl(armed.get(), F_SETOWN, ::getpid()), "fcntl(F_SETOWN)");
    os::check(::fcntl(armed.get(), F_SETSIG, SIGKILL), "fcntl(F_SETSIG)");
    os::check(::fcntl(armed.get(), F_SETFL, O_ASYNC | O_NONBLOCK), "fcntl(O_ASYNC)");
    // The parent may have ended before the pipe was armed.
    if (os::pidfd_ended(armed.get())) {
        ::kill(::getpid(), SIGKILL);
    }
    static_cast<void>(armed.release());
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "util/parent_watch.hpp"

#include "mp/errors.hpp"
#include "mp/thread_safety.hpp"

#include "os/check.hpp"
#include "os/per_process.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
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

// The write end lasts as long as the process.
struct WatchPipe {
    // A forked child watches the pipe of which it must not hold the write end.
    static void take_over(std::unique_ptr<WatchPipe> parents
    ) MP_NO_THREAD_SAFETY_ANALYSIS {
        parents->held.reset();
        set_parent_watch_fd(std::move(parents->for_children));
    }

    Mutex mutex;
    UniqueFd for_children MP_GUARDED_BY(mutex);
    UniqueFd held MP_GUARDED_BY(mutex);
};

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
    WatchPipe& pipe = os::PerProcess<WatchPipe, os::AtFork::takes_over>::get();
    const MutexLock held(pipe.mutex);
    if (!pipe.for_children) {
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

// SPDX-License-Identifier: BSL-1.0
// fork(), and what a forked child does first.
#include "process/popen_fork.hpp"

#include "mp/after_fork.hpp"
#include "mp/detail/event_fd.hpp"
#include "mp/errors.hpp"
#include "mp/start_method.hpp"

#include "os/check.hpp"
#include "os/fork.hpp"
#include "os/signals.hpp"
#include "os/stream_text.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/library_thread.hpp"
#include "util/parent_watch.hpp"

#include <poll.h>

#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace mp::detail {
namespace {

std::atomic<bool> warn_on_stderr{true};

// Other threads' locks stay locked in the child for ever. Said once, as Python does.
void warn_of_threads() {
    static std::atomic<bool> said{false};
    const auto others = os::other_threads();  // none, if all have ended meanwhile
    if (static_cast<int>(others.size()) <= LibraryThread::count() ||
        said.exchange(true)) {
        return;
    }
    const std::string text =
        "this process has other threads (" + others.front() +
        (others.size() > 1 ? ", ..." : "") +
        "); fork may lead to deadlocks in the child, because it copies the locks they "
        "hold";
    if (warn_on_stderr) {
        log_warning_on_stderr(text);
    } else {
        log_warning(text);
    }
}

// A host may reap a child as soon as it has ended: the kernel where SIGCHLD is ignored,
// a handler of the program, or a thread of it that waits for any child. One that ended
// at once would take its pid with it before the pidfd is open, and the pid may come
// again. So such a child does nothing before this bell, or the end of its parent.
class Gate {
public:
    explicit Gate(bool alone) {
        if (!alone || os::children_are_reaped_at_once()) {
            bell_.emplace();
        }
    }

    void open() const noexcept {
        if (bell_) {
            bell_->ring();
        }
    }

    // CHILD SIDE: async-signal-safe calls only.
    void child_wait() noexcept {
        if (!bell_) {
            return;
        }
        std::array<pollfd, 2> signs{
            pollfd{.fd = bell_->fileno(), .events = POLLIN, .revents = 0},
            pollfd{.fd = parent_watch_fd(), .events = POLLIN, .revents = 0},
        };
        os::restarting([&] { return ::poll(signs.data(), signs.size(), -1); });
        bell_->close();
    }
    // END OF CHILD SIDE

private:
    std::optional<EventFd> bell_;
};

// All that the child does, to its exit. An exception that left it would find the
// parent's handlers.
[[noreturn]] void
run_forked_child(const std::function<int()>& body, bool was_alone) noexcept {
    os::restore_signals();
    own_exit_of_forked_child(was_alone);
    os::close_standard_input();
    os::write_out_at_terminate();
    int code = 1;
    try {
        run_after_fork_hooks();
        code = body();
    } catch (const std::exception& error) {
        log_error(std::string("a forked child could not begin: ") + error.what());
    }
    leave(code);
}

}  // namespace

std::shared_ptr<PopenFork> PopenFork::launch(const std::function<int()>& body) {
    try {
        const bool alone = os::is_only_thread();
        if (!alone) {
            warn_of_threads();
        }
        watch_pipe_for_children();
        Gate gate(alone);
        auto child = std::make_shared<PopenFork>();
        const pid_t pid = os::fork_process();
        if (pid == 0) {
            gate.child_wait();
            run_forked_child(body, alone);
        }
        child->own(pid, os::pidfd_of_new_child(pid));
        gate.open();
        return child;
    } catch (const std::system_error& error) {
        std::throw_with_nested(SpawnError(
            SpawnStage::os, std::string("cannot fork a child: ") + error.what()
        ));
    }
}

}  // namespace mp::detail

void mp::set_fork_warning(bool on) noexcept {
    mp::detail::warn_on_stderr = on;
}

// SPDX-License-Identifier: BSL-1.0
// fork(), and what a forked child does first.
#include "process/popen_fork.hpp"

#include "mp/after_fork.hpp"
#include "mp/errors.hpp"
#include "mp/start_method.hpp"

#include "os/fork.hpp"
#include "os/pipe.hpp"
#include "os/signals.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/library_thread.hpp"
#include "util/parent_watch.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

namespace mp::detail {
namespace {

std::atomic<bool> warn_on_stderr{true};

// Other threads' locks stay locked in the child for ever. Said once, as Python does.
void warn_of_threads() {
    static std::atomic<bool> said{false};
    const auto others = os::other_threads();
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

// If the kernel reaps children by itself, a child that ends at once would take its pid
// with it before the pidfd is open: it waits for the end of this pipe.
struct Gate {
    UniqueFd reader;
    UniqueFd writer;

    static Gate make() {
        Gate gate;
        if (os::children_are_reaped_by_kernel()) {
            std::tie(gate.reader, gate.writer) = os::make_pipe();
        }
        return gate;
    }

    // CHILD SIDE: async-signal-safe calls only.
    void child_wait() noexcept {
        if (reader) {
            writer.reset();
            char byte = 0;
            while (::read(reader.get(), &byte, 1) < 0) {
            }
            reader.reset();
        }
    }
    // END OF CHILD SIDE
};

// All that the child does, to its exit. An exception that left it would find the
// parent's handlers.
[[noreturn]] void run_forked_child(const std::function<int()>& body) noexcept {
    os::restore_signals();
    own_exit_of_forked_child();
    os::close_standard_input();
    int code = 1;
    try {
        run_after_fork_hooks();
        code = body();
    } catch (const std::exception& error) {
        log_error(std::string("a forked child could not begin: ") + error.what());
    }
    std::exit(code);
}

}  // namespace

std::shared_ptr<PopenFork> PopenFork::launch(const std::function<int()>& body) {
    try {
        warn_of_threads();
        watch_pipe_for_children();
        Gate gate = Gate::make();
        auto child = std::make_shared<PopenFork>();
        const pid_t pid = os::fork_process();
        if (pid == 0) {
            gate.child_wait();
            run_forked_child(body);
        }
        child->own(pid, os::pidfd_of_new_child(pid));
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

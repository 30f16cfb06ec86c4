// SPDX-License-Identifier: BSL-1.0
// exit_function: what the library does when a process ends, in Python's order.
// Python:  multiprocessing.util._exit_function, threading._register_atexit.
// Differs: the step is registered at the first Process or executor, with std::atexit:
//          it runs before the destructors of older statics and after those of younger
//          ones.
// Threads: any.
#pragma once

#include <functional>
#include <optional>

namespace mp::detail {

/// The parts of the step, in the order in which they run.
enum class ExitPhase {
    own_executor,     ///< give up what only the thread that ends the program could do
    executors,        ///< finish what was submitted, join the threads; newest first
    finalizers,       ///< Finalize objects with a priority >= 0
    children,         ///< SIGTERM to daemons, join every child
    late_finalizers,  ///< the other Finalize objects with a priority
    helpers,          ///< the fork server, the resource tracker
};

/// Registers a part. Parts of one phase run newest first. They belong to this process:
/// a forked child starts with those of the phases that it registers itself. Returns a
/// number for drop_exit_part(), a new one unless there is `with`, which is then the
/// number of both.
int add_exit_part(
    ExitPhase phase, std::function<void()> part, std::optional<int> with = {}
);
void drop_exit_part(int number);

/// Makes sure that the step runs when this process ends by exit() or a return from
/// main.
void ensure_exit_step();

/// The step itself, once a process. Exceptions of a part are logged, the next one runs.
void run_exit_step() noexcept;

/// True from the moment the step began: executors take no more work.
bool exiting() noexcept;

/// First thing in a forked child, before it registers anything: from here on leave()
/// and exit() there run our step, write out what the child printed, and end the process
/// by _exit(). No thread_local or static object and no exit handler of the parent is
/// run, and no lock is taken that another thread of the parent may have held. If the
/// parent `was_alone`, without other threads, what the child itself made goes first:
/// its thread_locals, static objects and exit handlers.
void own_exit_of_forked_child(bool was_alone = false);

/// In a forked child that began without threads and objects of others: a sanitizer that
/// looks for leaks does so at its end. Elsewhere what the parent holds would look like
/// leaks.
void look_for_leaks_at_end() noexcept;

/// exit(), also where another library stands before our exit().
[[noreturn]] void leave(int code) noexcept;

/// In a forked child: its end runs the step without std::atexit.
void inherit_exit_step();

}  // namespace mp::detail

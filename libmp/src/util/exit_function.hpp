// SPDX-License-Identifier: BSL-1.0
// exit_function: what the library does when a process ends, in Python's order.
// Python:  multiprocessing.util._exit_function, threading._register_atexit.
// Differs: the step is registered at the first Process or executor, with std::atexit:
//          it runs before the destructors of older statics and after those of younger
//          ones.
// Threads: any.
#pragma once

#include <functional>

namespace mp::detail {

/// The parts of the step, in the order in which they run.
enum class ExitPhase {
    executors,        ///< finish what was submitted, join the threads; newest first
    finalizers,       ///< Finalize objects with a priority >= 0
    children,         ///< SIGTERM to daemons, join every child
    late_finalizers,  ///< the other Finalize objects with a priority
    helpers,          ///< the fork server, the resource tracker
};

/// Registers a part. Parts of one phase run newest first. They belong to this process:
/// a forked child starts with those of the phases that it registers itself. Returns a
/// number for drop_exit_part().
int add_exit_part(ExitPhase phase, std::function<void()> part);
void drop_exit_part(int number);

/// Makes sure that the step runs when this process ends by exit() or a return from
/// main.
void ensure_exit_step();

/// The step itself, once a process. Exceptions of a part are logged, the next one runs.
void run_exit_step() noexcept;

/// True from the moment the step began: executors take no more work.
bool exiting() noexcept;

/// First thing in a forked child: exit() there runs the handlers registered in the
/// child, then our step, then leaves; the parent's handlers and static destructors do
/// not run.
void own_exit_of_forked_child();

}  // namespace mp::detail

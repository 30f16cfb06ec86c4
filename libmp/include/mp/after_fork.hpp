// SPDX-License-Identifier: BSL-1.0
// register_after_fork: code that runs in every process that is started by fork.
// Python:  multiprocessing.util.register_after_fork.
// Differs: the object is given by shared_ptr and watched by weak_ptr; a hook without an
//          object stays for good.
// Threads: any.
// Processes: hooks are inherited by forked children, once, and run in theirs too. They
//          run when a Process starts, not after a bare fork(), and not in spawned
//          children, which have none. There only the forking thread exists: what other
//          threads held locked stays locked, which is what these hooks are there to
//          repair.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace mp {

namespace detail {

/// With `watched`, the hook is dropped when that object is gone.
void add_after_fork_hook(
    std::function<void()> hook, std::optional<std::weak_ptr<const void>> watched
);

/// In a child started by fork, before any other code. In the order of registration;
/// what a hook throws is logged, and the next one runs.
void run_after_fork_hooks() noexcept;

std::size_t after_fork_hook_count();

}  // namespace detail

/// Runs `hook()` in each child.
template <std::invocable<> Hook>
void register_after_fork(Hook hook) {
    detail::add_after_fork_hook(std::move(hook), std::nullopt);
}

/// Runs `hook(*object)` in each child, as long as somebody there holds the object.
template <class T, std::invocable<T&> Hook>
void register_after_fork(const std::shared_ptr<T>& object, Hook hook) {
    const std::weak_ptr<T> watched = object;
    detail::add_after_fork_hook(
        [watched, hook = std::move(hook)]() mutable {
            if (const std::shared_ptr<T> alive = watched.lock()) {
                hook(*alive);
            }
        },
        watched
    );
}

}  // namespace mp

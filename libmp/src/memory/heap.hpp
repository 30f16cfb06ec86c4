// SPDX-License-Identifier: BSL-1.0
// Heap: this process's arenas, those it made and those it was given.
#pragma once

#include "memory/arena.hpp"
#include "os/fork_lock.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mp::detail {

class Heap {
public:
    struct Place {
        std::shared_ptr<Arena> arena;
        std::size_t offset = 0;
        std::uint64_t forks = 0;  ///< this process's forks before the block existed
    };

    static Heap& instance();

    /// Throws what Arena throws.
    Place allocate(std::size_t size, std::size_t alignment);

    /// Gives a block back, unless a child that was forked meanwhile has it, too.
    void free(const Place& place, std::size_t size) noexcept;

    /// The arena of that name that came from another process, or one that `attach`
    /// makes.
    template <class Attach>
    std::shared_ptr<Arena> received(const Arena::Name& name, Attach attach) {
        const os::ForkLockHeld held(lock_);
        if (auto known = find(name)) {
            return known;
        }
        std::shared_ptr<Arena> arena = attach();
        remember(arena);
        return arena;
    }

private:
    std::shared_ptr<Arena> find(const Arena::Name& name) MP_REQUIRES(lock_);
    void remember(const std::shared_ptr<Arena>& arena) MP_REQUIRES(lock_);
    std::shared_ptr<Arena> new_arena(std::size_t room, ProcessTable& processes)
        MP_REQUIRES(lock_);
    std::shared_ptr<Arena> new_shared_arena(std::size_t size, ProcessTable& processes)
        MP_REQUIRES(lock_);

    os::ForkLock lock_;
    /// Where small blocks come from.
    std::shared_ptr<Arena> current_ MP_GUARDED_BY(lock_);
    std::vector<std::weak_ptr<Arena>> known_ MP_GUARDED_BY(lock_);
};

}  // namespace mp::detail

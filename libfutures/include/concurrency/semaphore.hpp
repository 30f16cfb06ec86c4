// SPDX-License-Identifier: BSL-1.0
// Semaphore: so many permits, which tasks take and anyone returns.
// Python:  anyio.Semaphore; lionpride.libs.concurrency.Semaphore.
// Differs: `async with semaphore:` is `auto guard = co_await semaphore.scoped();`. A free
//          permit is taken without letting other tasks run, as with fast_acquire.
// Threads: its loop's. release(), without tasks that wait, any one at a time.
// Throws:  RuntimeError, outside a loop or in another one than the tasks that wait.
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/claim.hpp"
#include "concurrency/guard.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

namespace concurrency {

/// What Semaphore::statistics() gives.
struct SemaphoreStatistics {
    std::size_t tasks_waiting;  ///< Tasks in acquire() and scoped().
};

/// A number of permits. Who wants one when there is none waits, first come, first
/// served; a permit that is returned goes straight to the one who waits longest.
class Semaphore {
public:
    /// Holds a permit; see Guard. It may be destroyed in any task.
    using Guard = concurrency::Guard<Semaphore, std::monostate>;

    /// With so many permits, and never more than `max_value`. Throws ValueError when
    /// the number is negative, or above the maximum.
    explicit Semaphore(
        std::int64_t initial_value, std::optional<std::int64_t> max_value = std::nullopt
    );

    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    /// Tasks that wait for it get RuntimeError.
    ~Semaphore() = default;

    /// Waits for a permit and takes it. Does not suspend when there is one, but for one
    /// time in 256; throws Cancelled if a scope around is cancelled before it got one.
    /// A task that was given a permit and then cancelled has it.
    Task<> acquire();

    /// Waits for a permit as acquire() does, and gives a guard that returns it.
    Task<Guard> scoped();

    /// Takes a permit, or throws WouldBlock when there is none. Never suspends.
    void acquire_nowait();

    /// Returns a permit, whoever took it, or adds one. Throws ValueError when there are
    /// as many as there may be.
    void release();

    /// Permits that nobody has.
    std::int64_t value() const noexcept { return value_; }

    /// None when there is no limit.
    std::optional<std::int64_t> max_value() const noexcept { return max_value_; }

    /// Who waits.
    SemaphoreStatistics statistics() const noexcept { return {waiters_.size()}; }

private:
    friend class concurrency::Guard<Semaphore, std::monostate>;

    class Claim;

    void release(std::monostate) { release(); }
    void give_back(std::monostate) noexcept;
    void put_back() noexcept;

    std::int64_t value_;
    const std::optional<std::int64_t> max_value_;
    detail::ClaimQueue waiters_;  // when there are any, value_ is 0
};

}  // namespace concurrency

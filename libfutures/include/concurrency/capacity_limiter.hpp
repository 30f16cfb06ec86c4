// SPDX-License-Identifier: BSL-1.0
// CapacityLimiter: so many tokens, of which each borrower has at most one; the number
// can be changed at any time.
// Python:  anyio.CapacityLimiter; lionpride.libs.concurrency.CapacityLimiter.
// Differs: total_tokens has a setter, set_total_tokens(). A borrower is a task, an
//          address or a number; while one waits, it cannot ask a second time.
//          `async with limiter:` is `auto guard = co_await limiter.scoped();`. A free
//          token is taken without letting other tasks run.
// Threads: its loop's. Without tasks that wait, any one at a time.
// Throws:  RuntimeError, outside a loop or in another one than the tasks that wait.
// Read next: concurrency/borrower.hpp
#pragma once

#include "concurrency/borrower.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/borrower_set.hpp"
#include "concurrency/detail/claim.hpp"
#include "concurrency/guard.hpp"

#include <cstddef>
#include <vector>

namespace concurrency {

/// What CapacityLimiter::statistics() gives.
struct CapacityLimiterStatistics {
    std::size_t borrowed_tokens;      ///< Tokens that are not there.
    double total_tokens;              ///< How many there are.
    std::vector<Borrower> borrowers;  ///< Who has one, in no order.
    std::size_t tasks_waiting;        ///< Tasks that wait for one.
};

/// Limits how many do something at a time. Who wants a token when all are borrowed
/// waits, first come, first served; one that comes back goes straight to the one who
/// waits longest. A token stays borrowed until it is released, also when the task that
/// borrowed it has ended.
class CapacityLimiter {
public:
    /// Holds a token; see Guard. It may be destroyed in any task.
    using Guard = concurrency::Guard<CapacityLimiter, Borrower>;

    /// With so many tokens: a whole number, 0 (nobody passes until it is raised), or
    /// inf. Throws ValueError for anything else.
    explicit CapacityLimiter(double total_tokens);

    CapacityLimiter(const CapacityLimiter&) = delete;
    CapacityLimiter& operator=(const CapacityLimiter&) = delete;

    /// Tasks that wait for it get RuntimeError.
    ~CapacityLimiter() = default;

    /// Waits for a token and borrows it for this task. Does not suspend when there is
    /// one, but for one time in 256; throws Cancelled if a scope around is cancelled
    /// before it got one. A task that was given a token and then cancelled has it.
    /// Throws RuntimeError when this task has one already.
    Task<> acquire();

    /// The same for somebody else, who has none and waits for none.
    Task<> acquire_on_behalf_of(Borrower borrower);

    /// Waits for a token as acquire() does, and gives a guard that returns it.
    Task<Guard> scoped();

    /// Borrows a token for this task, or throws WouldBlock. RuntimeError as acquire();
    /// never suspends.
    void acquire_nowait();

    /// The same for somebody else.
    void acquire_on_behalf_of_nowait(Borrower borrower);

    /// Returns this task's token. Throws RuntimeError when it has none.
    void release();

    /// Returns somebody else's token, in any task of the loop or in none. Throws
    /// RuntimeError when they have none.
    void release_on_behalf_of(Borrower borrower);

    /// How many tokens there are, borrowed or not; inf for no limit.
    double total_tokens() const noexcept { return total_tokens_; }

    /// Raised, it lets those in who wait; lowered, it takes nothing back. Throws
    /// ValueError, as the constructor, and leaves it as it was.
    void set_total_tokens(double total_tokens);

    /// How many have a token.
    double borrowed_tokens() const noexcept { return static_cast<double>(borrowed_); }

    /// How many more may have one; negative when the total was lowered below those that
    /// do.
    double available_tokens() const noexcept {
        return total_tokens_ - borrowed_tokens();
    }

    /// An old name of available_tokens().
    double remaining_tokens() const noexcept { return available_tokens(); }

    /// Throws std::bad_alloc.
    CapacityLimiterStatistics statistics() const;

private:
    friend class concurrency::Guard<CapacityLimiter, Borrower>;

    class Claim;

    Task<> acquire_for(Borrower borrower);

    void release(Borrower borrower) { release_on_behalf_of(borrower); }
    void give_back(Borrower borrower) noexcept;

    /// Borrows a token if there is one. Throws RuntimeError if they have one, or wait.
    bool take(Borrower borrower);
    bool has_free_token() const noexcept { return borrowed_tokens() < total_tokens_; }
    /// Gives what there is to those who wait.
    void give_out() noexcept;

    double total_tokens_;
    std::size_t borrowed_ = 0;
    detail::BorrowerSet borrowers_;
    detail::ClaimQueue waiters_;  // Claim of this class, all of them
};

}  // namespace concurrency

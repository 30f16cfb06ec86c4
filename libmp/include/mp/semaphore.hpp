// SPDX-License-Identifier: BSL-1.0
// Semaphore, BoundedSemaphore: some tokens that any process may take and give back.
// Python:  multiprocessing.Semaphore, multiprocessing.BoundedSemaphore.
// Differs: with `.owned`, as a BoundedSemaphore has it by default, the tokens of a
//          process that dies come back, within some 20 ms of somebody waiting for one.
// Threads: any, on one handle, too.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same semaphore. Elsewhere it does not travel: StateError.
// Owns:    64 bytes of shared memory; 13 KiB when owned.
// Throws:  std::system_error(EINVAL) for a value below 0 or too large; StateError;
//          ResourceLimitExceeded; DamagedError when a process has written over it.
// Read next: docs/protocols/semaphore.md, libmp/src/sync/token_ledger.cpp
#pragma once

#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace mp {

struct SemaphoreOptions {
    /// How many may acquire() before one has to wait.
    int value = 1;
    /// Tokens belong to the process that took them, which gives them back itself, and
    /// come back when it dies. For a semaphore whose tokens others give (a signal) this
    /// must not be set. At most 1048575 tokens. If not given: no for Semaphore; for
    /// BoundedSemaphore yes, unless there are more.
    std::optional<bool> owned{};
};

class Semaphore {
public:
    /// With so many tokens. Throws std::system_error(EINVAL) for less than none.
    explicit Semaphore(int value = 1) : Semaphore(SemaphoreOptions{.value = value}) {}

    /// With the options' number of tokens.
    explicit Semaphore(SemaphoreOptions options);

    explicit Semaphore(detail::Decoding) noexcept {}

    /// Blocks until there is a token and takes it, at most for the timeout; with 0 it
    /// does not block. Returns whether it took one.
    bool acquire(Timeout timeout = forever);

    /// Gives tokens, by anybody. Throws std::overflow_error beyond the largest value,
    /// as Python does (OverflowError); std::invalid_argument when a BoundedSemaphore
    /// would have more than it began with, or for a count below 1.
    void release(int count = 1);

    /// How many tokens there are.
    int get_value() const;

    /// For std. unlock() throws nothing; what release() would throw is logged.
    void lock() { acquire(); }
    void unlock() noexcept;
    bool try_lock() { return acquire(std::chrono::seconds(0)); }

    /// The same semaphore?
    friend bool operator==(const Semaphore&, const Semaphore&) noexcept = default;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "a Semaphore");
        archive& value_& is_owned_& is_bounded_;
        if constexpr (!Archive::is_saving::value) {
            check_arrived();
        }
    }

protected:
    enum class Bound : bool { none, initial_value };

    Semaphore(SemaphoreOptions options, Bound bound);

private:
    void check_arrived() const;
    std::uint32_t bound() const noexcept;

    detail::SharedBlock block_;
    std::uint32_t value_ = 0;  ///< how many tokens there were at first
    bool is_owned_ = false;
    bool is_bounded_ = false;
};

/// A semaphore that cannot be released more often than it was acquired.
class BoundedSemaphore : public Semaphore {
public:
    /// With so many tokens, and never more. Throws as Semaphore.
    explicit BoundedSemaphore(int value = 1)
        : BoundedSemaphore(SemaphoreOptions{.value = value}) {}

    /// With the options' number of tokens, and never more.
    explicit BoundedSemaphore(SemaphoreOptions options);

    explicit BoundedSemaphore(detail::Decoding decoding) noexcept
        : Semaphore(decoding) {}
};

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// AcquireResult: whether a lock was got, and whether its last holder died inside.
// Python:  the bool that acquire() returns.
// Differs: Python's locks stay locked for ever when their holder is killed.
// Threads: one at a time; it is a value.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace mp {

namespace detail {

struct HeldLock;
class SharedBlock;

/// Deaths up to which the holder of a lock is told when it asks.
struct DeathReport;

}  // namespace detail

/// What acquire() returns.
class AcquireResult {
public:
    /// For the locks themselves.
    explicit AcquireResult(bool held) noexcept : held_(held) {}

    explicit AcquireResult(std::shared_ptr<const detail::DeathReport> report) noexcept
        : held_(true), report_(std::move(report)) {}

    /// The caller holds the lock now.
    explicit operator bool() const noexcept { return held_; }

    /// A process that held the lock died inside: look at what it protects, it may be
    /// half-changed. Every result says so until this function was called on one of
    /// them, in whatever process; that one goes on saying so.
    bool owner_died() const noexcept;

private:
    bool held_;
    std::shared_ptr<const detail::DeathReport> report_;
};

namespace detail {

/// For the locks: the result of an acquire that got the lock.
AcquireResult held_result(const SharedBlock& block, HeldLock& lock);

}  // namespace detail

}  // namespace mp

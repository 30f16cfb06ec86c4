// SPDX-License-Identifier: BSL-1.0
// Barrier: a number of processes wait until all of them have come.
// Python:  multiprocessing.Barrier.
// Differs: a process that dies inside of wait() breaks the barrier for the others,
//          within some 20 ms; Python's wait for ever. The action is a mp::call or a
//          function. One whose memory a process has written over is broken.
// Threads: any, on one handle, too; each that waits is a party.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same barrier. Elsewhere it does not travel: StateError.
// Owns:    48 bytes of shared memory for each party.
// Throws:  BrokenBarrierError; std::invalid_argument; StateError;
//          ResourceLimitExceeded.
// Read next: docs/protocols/barrier.md, libmp/src/sync/barrier_state.cpp
#pragma once

#include "mp/call.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/timeout.hpp"

#include <cstdint>
#include <optional>

namespace mp {

struct BarrierOptions {
    /// How many have to come; at least 1.
    int parties = 1;
    /// Called by the last one to come, before any is let go: `.action =
    /// mp::call(swap)`. It must not use the barrier.
    Call action{};
    /// For every wait() without a timeout of its own.
    Timeout timeout = forever;
};

class Barrier {
public:
    /// For so many threads. Throws std::invalid_argument for less than one.
    explicit Barrier(int parties) : Barrier(BarrierOptions{.parties = parties}) {}

    /// With an action or a time limit.
    explicit Barrier(BarrierOptions options);

    explicit Barrier(detail::Decoding) noexcept {}

    /// Blocks until all have come. Returns which one the caller was, from 0; each
    /// number once. After the timeout (that of the barrier, if none is given) the
    /// barrier is broken, for all. Throws BrokenBarrierError when it is broken or
    /// becomes so; what the action throws, in the party that ran it.
    int wait(std::optional<Timeout> timeout = std::nullopt);

    /// Makes it new: parties that wait get BrokenBarrierError, those that come later do
    /// not.
    void reset();

    /// Breaks it: for those that wait and those that come, until reset().
    void abort();

    /// How many have to come.
    int parties() const;

    /// How many wait now.
    int n_waiting() const;

    /// Whether it is broken: wait() throws BrokenBarrierError until reset().
    bool broken() const;

    /// The same barrier?
    friend bool operator==(const Barrier& a, const Barrier& b) noexcept {
        return a.block_ == b.block_;
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "a Barrier");
        archive& parties_& action_& nanoseconds_;
        if constexpr (!Archive::is_saving::value) {
            check_arrived();
        }
    }

private:
    void check_arrived() const;

    detail::SharedBlock block_;
    std::uint32_t parties_ = 0;
    Call action_;
    std::int64_t nanoseconds_ = 0;  ///< of its timeout
};

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// LossWindow: how many workers a pool has lost of late, and how: beyond a limit it is
// better broken than starting workers for ever.
// Python:  none; the restart intensity of Erlang's supervisors.
// Threads: none of its own; the manager's.
#pragma once

#include "futures/process_pool.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>

namespace futures::detail {

class LossWindow {
public:
    using Clock = std::chrono::steady_clock;

    /// Throws std::invalid_argument for a negative count, or a time that is not above
    /// zero.
    explicit LossWindow(const MaxLosses& limit);

    /// A worker was lost at `now`. False when that was one too many.
    bool add(const std::string& what, Clock::time_point now);

    /// What add() said last.
    bool are_borne() const noexcept;

    /// "more than 2 workers were lost within 10 s: WHAT; WHAT; WHAT"
    std::string story() const;

    void forget() noexcept { losses_.clear(); }

private:
    struct Loss {
        Clock::time_point when;
        std::string what;
    };

    const MaxLosses limit_;
    std::deque<Loss> losses_;  ///< those within the time, at most one too many
};

}  // namespace futures::detail

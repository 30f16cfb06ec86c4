// SPDX-License-Identifier: BSL-1.0
// Annex: what a loop has besides its main task, made by those above it.
#pragma once

namespace concurrency::detail {

/// Belongs to the loop, and goes with it.
class Annex {
public:
    Annex() = default;
    Annex(const Annex&) = delete;
    Annex& operator=(const Annex&) = delete;
    virtual ~Annex() = default;

    /// The main task has ended. True when nothing is left to be run; else it calls
    /// Loop::stop() again when that is so.
    virtual bool is_over() noexcept = 0;

    /// The loop does not run any more: tasks are destroyed where they wait.
    virtual void abandon() noexcept = 0;
};

}  // namespace concurrency::detail

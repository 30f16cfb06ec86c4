// SPDX-License-Identifier: BSL-1.0
// Event: a flag that processes wait for.
// Python:  multiprocessing.Event.
// Differs: a wait() that had begun when set() was called gives true, even if clear()
//          follows at once; Python's may say false then. It is one word, without lock
//          or condition.
// Threads: any, on one handle, too.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same event. Elsewhere it does not travel: StateError.
// Owns:    64 bytes of shared memory.
// Throws:  StateError; ResourceLimitExceeded.
#pragma once

#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/timeout.hpp"

#include <string>

namespace mp {

class Event {
public:
    /// A new one, not set.
    Event();

    explicit Event(detail::Decoding) noexcept {}

    /// Whether set() was called, by any process, and no clear() since.
    bool is_set() const;

    /// Sets the flag and wakes all that wait. Stays set when this process dies.
    void set();

    /// From now on wait() blocks.
    void clear();

    /// Blocks until the flag is set, at most for the timeout; with 0 it does not block.
    /// Returns whether it was set.
    bool wait(Timeout timeout = forever) const;

    /// The same event?
    friend bool operator==(const Event&, const Event&) noexcept = default;

    /// "<Event set>" or "<Event unset>".
    friend std::string to_string(const Event& event);

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "an Event");
    }

private:
    detail::SharedBlock block_;
};

std::string to_string(const Event& event);

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// tracker_protocol: what processes tell the resource tracker. Each message is one
// packet: this, then the name; who sends it, the kernel says. See
// docs/protocols/resource_tracker.md.
#pragma once

#include "os/named_memory.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace mp::detail {

enum class TrackerWord : std::uint32_t {
    ready = 0x6d707472,  ///< the tracker, first of all: no other word looks like it
    hello = 2,           ///< comes with the sender's pidfd and perhaps its parent watch
    track,               ///< remove this when I am killed, or when nobody is left
    forget,              ///< it has been removed, or never was
    leave,               ///< I end as I should; keep what I made for the others
    withdraw,            ///< forget all that I told you
    join,                ///< comes with a connection of its own for a child of mine
    remove,  ///< I may not; comes with a pipe, which gets a byte when it is gone
};

struct TrackerMessage {
    TrackerWord word = TrackerWord::ready;
    pid_t pid = 0;
    std::uint64_t process = 0;  ///< the sender's process_token()
    os::FileId id;
};

inline constexpr std::size_t longest_tracker_message = 512;

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// forkserver_protocol: what a process and its fork server say to each other, over the
// one socket between them. See docs/protocols/forkserver.md.
#pragma once

#include <cstdint>

namespace mp::detail {

/// To the server: a child, please.
struct ForkRequest {
    /// Instead: fork nothing more, whatever is asked, and end with your last child.
    static constexpr std::uint64_t retire = 0;

    std::uint64_t serial = 0;
};

enum class ForkReplyKind : std::uint32_t {
    /// value is the pid; with it come the pidfd and the link, in this order
    started = 1,
    /// value is the length of the text that follows
    refused,
    /// value is the exit code in Python's form
    ended,
};

/// From the server. `ended` comes unasked.
struct ForkReply {
    std::uint64_t serial = 0;
    ForkReplyKind kind = ForkReplyKind::started;
    std::int32_t value = 0;
    std::uint64_t peak_memory_bytes = 0;  ///< of one that ended
    std::uint64_t cpu_microseconds = 0;   ///< the same
    std::uint32_t dumped_core = 0;        ///< the same
    std::uint32_t unused = 0;
};

}  // namespace mp::detail

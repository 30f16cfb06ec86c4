// SPDX-License-Identifier: BSL-1.0
// MP_FAILPOINT: names a place between two operations of a protocol, at which a test can
// kill the process. Nothing in a normal build.
#pragma once

#include <cstdint>

namespace futures::detail {

/// The places in the worker's side of the board's protocol.
enum class Failpoint : std::uint8_t {
    none,
    slot_seen,
    before_claim,
    after_claim,
    head_moved,
    before_help,
    after_help,
    search_begun,
    before_park,
    after_park,
    after_sleeper_bit,
    after_search_end,
    before_sleep,
    after_sleep,
    bit_cleared,
    stopped_searching,
    before_running,
    after_running,
    after_run,
    after_result_bytes,
    before_push,
    entry_half_written,
    before_commit,
    after_commit,
    before_parent_wake,
    client_counted,
    before_parent_mark,
    after_parent_mark,
    before_token,
    after_token,
    before_worker_wake,
    after_worker_wake,
    count,
};

#ifdef MP_FAILPOINTS
void pass_failpoint(Failpoint at) noexcept;
#define MP_FAILPOINT(name) ::futures::detail::pass_failpoint(Failpoint::name)
#else
#define MP_FAILPOINT(name) static_cast<void>(0)
#endif

}  // namespace futures::detail

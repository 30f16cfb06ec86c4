// SPDX-License-Identifier: BSL-1.0
// What a worker and its parent tell each other about tasks that tasks have submitted:
// the frames of a LinkMemory. docs/protocols/nested_submission.md is the protocol.
#pragma once

#include "futures/detail/limited_call.hpp"
#include "futures/detail/task_name.hpp"
#include "futures/retry.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/bytes.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace futures::detail {

// ---- worker to parent

enum class AskKind : std::uint64_t {
    submit,   ///< number: of the call. A SubmitMessage follows
    cancel,   ///< a call that no worker has; an answer is awaited
    stop,     ///< a call that may run; the same
    look,     ///< does it run? The same
    wait,     ///< number: of the wait. The calls that it waits for follow
    ended,    ///< a call that ran on the stack of the task that waits has ended
    not_run,  ///< one that was to run there does not
};

struct AskHead {
    AskKind kind;
    std::uint64_t number;
    std::uint64_t
        about;  ///< submit: the task that asks; answers: the ticket; wait: WaitFlags
};

/// Of a wait.
struct WaitFlags {
    static constexpr std::uint64_t may_run = 1;   ///< on its stack, what it waits for
    static constexpr std::uint64_t for_ever = 2;  ///< it has no deadline
    static constexpr std::uint64_t hears = 4;     ///< that it is in vain
};

/// So many calls are named by a wait at most.
inline constexpr std::size_t most_awaited = 64;

/// What is said of a call that a task submits, beside its bytes.
struct SubmitMessage {
    std::int64_t timeout;
    std::int64_t grace;
    std::int64_t kill_after;  ///< -1: as usual
    LimitNumbers limits;
    RetryDelay retry_delay;
    std::uint32_t retries;
    std::int32_t priority;
    std::uint32_t detached;
    std::uint32_t names_function;  ///< a reference to it follows
    std::uint32_t retries_on;      ///< a reference to that function follows
};

/// Such a call, as it arrives.
struct SubmittedCall {
    SubmitOptions options;
    const void* function = nullptr;  ///< that it calls, for messages
    std::string type;                ///< of what it calls, if that is no function
    std::span<const std::byte> call;
};

void write_submitted(
    mp::detail::ByteWriter& out,
    const SubmitOptions& options,
    int priority,
    const TaskName& name,
    std::span<const std::byte> call
);

/// Throws what is wrong with it.
SubmittedCall read_submitted(mp::detail::ByteReader& in);

// ---- parent to worker

enum class TellKind : std::uint64_t {
    result,    ///< number: of the call; about: a TaskEnd. Its message follows
    answer,    ///< number: the ticket; about: what was asked for
    run,       ///< number: of a call that is to be run on the stack; its name and bytes
               ///< follow
    deadlock,  ///< number: of the wait, which would never end; a text follows
};

struct TellHead {
    TellKind kind;
    std::uint64_t number;
    std::uint64_t about;
};

template <class Head>
std::vector<std::byte>
frame_of(const Head& head, std::span<const std::byte> bytes = {}) {
    std::vector<std::byte> frame(sizeof head + bytes.size());
    std::memcpy(frame.data(), &head, sizeof head);
    if (!bytes.empty()) {
        mp::detail::copy_block(frame.data() + sizeof head, bytes.data(), bytes.size());
    }
    return frame;
}

}  // namespace futures::detail

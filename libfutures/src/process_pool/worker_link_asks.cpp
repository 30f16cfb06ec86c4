// SPDX-License-Identifier: BSL-1.0
// What a worker asks its pool: over the ring of its link, any thread of it.
#include "mp/detail/event_fd.hpp"
#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "process_pool/worker_link.hpp"
#include "util/diagnostics.hpp"

#include <cstdlib>
#include <new>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

void WorkerLink::ask(const AskHead& head, std::span<const std::byte> bytes) {
    const std::vector<std::byte> frame = frame_of(head, bytes);
    const MutexLock lock(ask_mutex_);
    asks_.begin(frame);
    MP_FAILPOINT("link: before it asks");
    while (!asks_.go_on()) {
        if (asks_.is_damaged()) {
            mp::detail::log_error("somebody wrote over a worker's link to its pool");
            std::abort();
        }
        if (asks_.want_room()) {
            ring_parent();
            MP_FAILPOINT("link: waits for room");
            futex_wait(
                memory_.asks.room_wanted,
                1,
                mp::Deadline(mp::forever),
                FutexScope::shared
            );
        }
    }
    MP_FAILPOINT("link: asked, not rung");
    ring_parent();
    MP_FAILPOINT("link: rung");
}

void WorkerLink::ring_parent() noexcept {
    const auto bit = WorkerSet::bit_of(worker_);
    if ((view_.header().asking.word_of(worker_).fetch_or(bit) & bit) == 0) {
        MP_FAILPOINT("link: bit set, not rung");
        mp::detail::EventFd::ring(doorbell_);
    }
}

void WorkerLink::submit(
    NestedCallBase& call,
    const SubmitOptions& options,
    const TaskName& name,
    std::span<const std::byte> bytes
) {
    call.number = ++numbers_;
    mp::detail::ByteWriter out;
    write_submitted(
        out, options, options.priority != 0 ? options.priority : priority_, name, bytes
    );
    {
        const MutexLock lock(mutex_);
        if (closed_) {
            throw mp::StateError(
                "this worker ends: a callback can submit nothing to its pool any more"
            );
        }
        calls_[call.number] = &call;
    }
    try {
        ask({AskKind::submit, call.number, position_}, out.data());
    } catch (...) {
        remove(call.number);
        throw;
    }
}

/// The end need not wait for this thread any more.
void WorkerLink::leave() noexcept {
    users_.fetch_sub(1);
    futex_wake(users_, mp::detail::everybody, FutexScope::process);
}

/// Asks the parent, and waits for its answer; 0 when the link ends. It takes what comes
/// itself: the helper may be in a callback that waits for something this thread holds.
std::uint64_t WorkerLink::ask_and_wait(AskKind kind, std::uint64_t number) {
    const User user(*this);
    Question question;
    std::uint64_t ticket = 0;
    {
        const MutexLock lock(mutex_);
        if (closed_) {
            return 0;
        }
        ticket = ++tickets_;
        questions_[ticket] = &question;
    }
    try {
        ask({kind, number, ticket});
    } catch (...) {
        const MutexLock lock(mutex_);
        questions_.erase(ticket);
        throw;
    }
    auto& bell = bell_of(LinkSleeper::helper);
    ++bell_waits_;
    while (!question.answered) {
        const std::uint32_t seen = bell.load();
        if (!drain() && !question.answered) {
            futex_wait(bell, seen, mp::Deadline(mp::forever), FutexScope::shared);
        }
    }
    --bell_waits_;
    const MutexLock lock(mutex_);  // whoever answered is done with it
    return question.answer;
}

bool WorkerLink::cancel(NestedCallBase& call) noexcept {
    if (call.taken_back) {
        return true;
    }
    if (!creator_.is_here()) {
        return false;
    }
    const User user(*this);
    try {
        if (ask_and_wait(AskKind::cancel, call.number) == 0) {
            return call.taken_back;  // by another thread, it may be
        }
        const MutexLock lock(mutex_);
        if (!call.taken_back && calls_.contains(call.number)) {
            ++users_;  // until cancelled()
            call.taken_back = true;
        }
    } catch (const std::bad_alloc&) {
        return call.taken_back;  // as if a worker had it
    }
    return call.taken_back;
}

StopAnswer WorkerLink::stop(NestedCallBase& call) {
    if (!creator_.is_here()) {
        return StopAnswer::no;
    }
    return static_cast<StopAnswer>(ask_and_wait(AskKind::stop, call.number));
}

bool WorkerLink::is_running(const NestedCallBase& call) const noexcept {
    if (!creator_.is_here()) {
        return false;
    }
    try {
        return const_cast<WorkerLink*>(this)->ask_and_wait(
                   AskKind::look, call.number
               ) != 0;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

}  // namespace futures::detail

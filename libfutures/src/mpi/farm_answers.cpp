// SPDX-License-Identifier: BSL-1.0
// The farm's part that takes what comes: answers to tasks and to what is said of
// executors, ranks that are lost, and the callbacks.
#include "futures/errors.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "mpi/farm.hpp"
#include "mpi/mpi_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <sched.h>

#include <algorithm>
#include <new>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

// Nothing throws std::bad_alloc from here: what has come would be lost with it.

void Farm::take(
    std::size_t peer, const MessageHead& head, std::span<const std::byte> payload
) {
    switch (head.kind) {
    case FrameKind::value:
    case FrameKind::exception:
    case FrameKind::stopped:
    case FrameKind::lost: {
        Message result;
        try {
            result.assign(payload);
        } catch (const std::bad_alloc&) {
            take_none(peer, head);
            return;
        }
        landed(head, std::move(result), nullptr);
        return;
    }
    case FrameKind::opened:
    case FrameKind::refused:
    case FrameKind::broken:
    case FrameKind::closed:
        pool_answer(peer, head, payload);
        return;
    default:
        mp::detail::log_error("the master got a message that is for ranks: it was "
                              "dropped");
    }
}

void Farm::take_long(
    std::size_t peer, const MessageHead& head, FrameBytes bytes, std::size_t offset
) {
    const auto payload = std::as_const(bytes).bytes().subspan(offset);
    if (head.kind != FrameKind::value || payload.size() <= Message::inline_size) {
        take(peer, head, payload);
        return;
    }
    Message result{};  // all of it: GCC 12 fears for what a move copies
    const std::size_t size = payload.size();
    try {
        result.adopt(block_of(std::move(bytes), offset, size));
    } catch (const std::bad_alloc&) {
        take_none(peer, head);
        return;
    }
    landed(head, std::move(result), nullptr);
}

void Farm::take_none(std::size_t peer, const MessageHead& head) {
    switch (head.kind) {
    case FrameKind::value:
    case FrameKind::exception:
    case FrameKind::stopped:
    case FrameKind::lost:
        landed(head, {}, std::make_exception_ptr(std::bad_alloc()));
        return;
    default:
        pool_answer(peer, head, {});
    }
}

/// What it had is lost, and may be run again elsewhere; the others go on.
void Farm::take_loss(std::size_t peer) {
    if (is_gone_[peer]) {
        return;
    }
    is_gone_[peer] = true;
    has_lost_ranks_ = true;
    awaited_ -= std::exchange(awaited_at_[peer], 0);
    const std::string what = "a task was lost with " + ranks_[peer].where();
    mp::detail::log_error("an MPI job goes on without " + ranks_[peer].where());
    for (std::uint32_t i = 0; i < flights_.size(); ++i) {
        if (flights_[i].in_use && flights_[i].peer == peer) {
            lose(i, what);
        }
    }
    for (const auto& pool : pools_) {
        const std::size_t members = pool->ranks().size();
        std::size_t gone = 0;
        for (std::size_t member = 0; member < members; ++member) {
            gone += is_gone_[member] ? 1U : 0U;
        }
        if (gone == members) {
            pool->break_with("no rank is left that serves the executor", nullptr);
        } else if (peer < members && pool->ranks()[peer].is_opened && !pool->ranks()[peer].is_ready) {
            pool->is_ready_at(peer, 1);  // as much as it will ever be
        }
    }
}

void Farm::lose(std::uint32_t index, const std::string& what) {
    Flight& flight = flights_[index];
    if (flight.ticket != nothing_sent) {
        leftovers_.push_back(
            {std::exchange(flight.ticket, nothing_sent), std::move(flight.call), {}}
        );
        flight.call.clear();
    }
    CrashReport report;
    report.worker = ranks_[flight.peer].where();
    report.pid = ranks_[flight.peer].pid;
    MessageHead head;
    head.kind = FrameKind::lost;
    head.task = std::uint64_t{flight.generation} << generation_at | index;
    landed(head, {}, std::make_exception_ptr(WorkerLost(what, std::move(report))));
}

/// `failure`: what its result could not be taken for, in its place.
void Farm::landed(const MessageHead& head, Message result, std::exception_ptr failure) {
    Flight* const found = flight_of(head.task);
    if (found == nullptr) {
        return;  // it was given up
    }
    // It has all been sent, since it was answered.
    while (found->ticket != nothing_sent && !transport_->is_sent(found->ticket)) {
        ::sched_yield();
    }
    const std::shared_ptr<MPIPool> pool = found->pool;
    PoolTask* const task = found->task;
    Message call = std::move(found->call);
    const std::size_t peer = found->peer;
    const std::size_t sent = found->size;
    free_flight(*found);
    const bool is_lost = head.kind == FrameKind::lost;
    const bool is_to_stop = pool->note_answer(
        peer,
        {.nanoseconds = head.limit,
         .sent = sent,
         .received = result.bytes().size(),
         .is_lost = is_lost},
        task
    );
    if (task == nullptr) {
        return;
    }
    task->message = std::move(result);
    task->failure = std::move(failure);
    task->end = task->failure                     ? TaskEnd::failed
                : head.kind == FrameKind::value   ? TaskEnd::value
                : head.kind == FrameKind::stopped ? TaskEnd::cancelled
                                                  : TaskEnd::exception;
    if (is_to_stop) {
        task->settle_stop();
    } else if (is_lost && task->failures() < task->retries && !call.bytes().empty()) {
        task->losses = std::max(head.losses, task->losses + 1);
        task->time_outs = std::max(head.time_outs, task->time_outs);
        ++task->attempt;
        task->message = std::move(call);
        task->failure = nullptr;
        task->run_again_later();
        pool->put_back(*task, true);
        return;
    } else if (task->end == TaskEnd::exception && !is_lost && task->may_throw_again) {
        // The program is asked, which is not done here.
        task->keep_call(std::move(call));
        thrown_.push_back(*task);
        return;
    }
    pool->conclude(*task);
}

/// What was said of an executor is answered. Without memory for more it is broken.
void Farm::pool_answer(
    std::size_t peer, const MessageHead& head, std::span<const std::byte> payload
) noexcept {
    if (head.kind != FrameKind::broken && awaited_at_[peer] != 0) {
        --awaited_;
        --awaited_at_[peer];
    }
    MPIPool* const found = pool_with(head.executor);
    if (found == nullptr || peer >= found->ranks().size()) {
        return;
    }
    const std::shared_ptr<MPIPool> pool = found->shared_from_this();
    if (head.kind == FrameKind::opened) {
        pool->is_ready_at(peer, std::max<std::uint32_t>(head.attempt, 1));
    } else if (head.kind == FrameKind::closed) {
        pool->ranks()[peer].has_closed = true;
    } else {
        std::exception_ptr cause;
        try {
            mp::detail::ByteReader in(payload);
            cause = mp::detail::decode_exception(in);
        } catch (...) {
            cause = std::current_exception();
        }
        pool->has_failed_at(peer, cause);
    }
}

MPIPool* Farm::pool_with(std::uint32_t number) noexcept {
    for (const auto& pool : pools_) {
        if (pool->number() == number) {
            return pool.get();
        }
    }
    return nullptr;
}

void Farm::abandon_flights_of(MPIPool& pool) noexcept {
    for (Flight& flight : flights_) {
        if (flight.in_use && flight.pool.get() == &pool && flight.task != nullptr) {
            stop_abandoned(flight);
            PoolTask& task = *std::exchange(flight.task, nullptr);
            task.message.clear();
            task.end = TaskEnd::failed;
            task.failure = pool.broken_error();
            pool.conclude(task);
        }
    }
}

/// What runs in a worker process need not be waited for.
void Farm::stop_abandoned(const Flight& flight) noexcept {
    if (messages_fail_ || !flight.pool->is_isolated() || is_gone_[flight.peer]) {
        return;
    }
    const auto index = static_cast<std::uint64_t>(&flight - flights_.data());
    try {
        send_note(
            flight.peer,
            FrameKind::stop_task,
            *flight.pool,
            std::uint64_t{flight.generation} << generation_at | index
        );
    } catch (const std::exception&) {
        // It is waited for.
    }
}

// ---- the program's code

/// Asks of each task that threw whether it is to run again.
bool Farm::settle_thrown() {
    bool any = false;
    while (!thrown_.empty()) {
        any = true;
        auto& task = static_cast<PoolTask&>(thrown_.pop_front());
        auto& pool = static_cast<MPIPool&>(task.board());
        asking_ = &task;
        const bool again = task.is_to_run_again();
        asking_ = nullptr;
        if (again) {
            ++task.attempt;
            pool.put_back(task, true);
        } else {
            pool.conclude(task);
        }
    }
    return any;
}

bool Farm::run_callbacks() {
    bool any = false;
    while (callbacks_left_ != 0) {
        BoardTask* task = nullptr;
        {
            const MutexLock lock(mutex_);
            if (callbacks_.empty()) {
                break;
            }
            task = &callbacks_.pop_front();
            --callbacks_left_;
        }
        any = true;
        auto& pool = static_cast<MPIPool&>(static_cast<PoolTask*>(task)->board());
        const std::shared_ptr<MPIPool> kept_pool = pool.shared_from_this();
        task->future_state()->add_reference();
        const StatePtr<StateBase> kept_task(task->future_state());
        // Left to the next thread, should one of these end this one.
        telling_.push_front(*task);
        task->finish_callbacks();
        telling_.remove(*task);
        --pool.telling;
    }
    return any;
}

}  // namespace futures::detail

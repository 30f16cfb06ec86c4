// SPDX-License-Identifier: BSL-1.0
// The board's part in stopping tasks that run: who has to stop, since when it runs, and
// when the manager looks next. docs/protocols/kill_ladder.md is the protocol.
#include "process_pool/board.hpp"

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

StopAnswer Board::stop(BoardTask& task) {
    if (!creator_.is_here()) {
        return StopAnswer::no;
    }
    const MutexLock draining(drain_mutex_);
    drain_all();  // what has ended is not stopped
    if (task.is_finished()) {
        return StopAnswer::no;
    }
    {
        const MutexLock lock(mutex_);
        if (task.taken_back || task.position == BoardTask::unplaced) {
            return StopAnswer::queued;
        }
        if (slots_[index_of(task.position)].word.load() ==
            slot_word(task.position, SlotKind::ready)) {
            return StopAnswer::queued;
        }
    }
    // From here on, whatever comes for it ends it as cancelled: see conclude().
    task.stop = TaskStop::cancelled;
    return StopAnswer::yes;
}

bool Board::take_look_wanted() noexcept {
    auto& told = view_.header().look_wanted;
    const bool by_worker = told.load() != 0 && told.exchange(0) != 0;
    return look_wanted_.exchange(false) || by_worker;
}

void Board::begin_look() noexcept {
    next_look_ = 0;
    view_.header().next_look.store(0);
}

void Board::end_look(std::chrono::steady_clock::time_point next) noexcept {
    limit_timer_.set(next);
    if (next != std::chrono::steady_clock::time_point::max()) {
        next_look_ = std::chrono::nanoseconds(next.time_since_epoch()).count();
    }
    view_.header().next_look.store(next_look_);
}

std::optional<std::chrono::steady_clock::time_point>
Board::limited_since(std::uint32_t worker, std::uint64_t position) const noexcept {
    const WorkerControl& control = view_.control(worker);
    if (control.limited_task.load() != position + 1) {
        return std::nullopt;
    }
    const std::chrono::nanoseconds since(control.limited_since.load());
    // It may have gone on to another task meanwhile.
    if (control.limited_task.load() != position + 1) {
        return std::nullopt;
    }
    return std::chrono::steady_clock::time_point(since);
}

void Board::ask_to_stop(std::uint32_t worker, std::uint64_t position) noexcept {
    WorkerControl& control = view_.control(worker);
    control.stopped_task.store(position + 1);
    control.stops.fetch_add(1);
    futex_wake(control.stops, mp::detail::everybody, FutexScope::shared);
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/process_gate.hpp"

#include "futures/detail/limited_call.hpp"
#include "futures/errors.hpp"

#include <sched.h>

namespace futures::detail {

ProcessGate::ProcessGate(std::shared_ptr<RemotePool> pool, std::size_t count)
    : WaitingTask(count), pool_(std::move(pool)) {}

ProcessGate::~ProcessGate() = default;

/// Of those that would end the task, or put it on the board, the first one may.
bool ProcessGate::move_to(Place place) noexcept {
    auto nowhere = Place::nowhere;
    return place_.compare_exchange_strong(nowhere, place);
}

ProcessGate::Withdrawal ProcessGate::withdraw() noexcept {
    move_to(Place::withdrawn);
    for (;;) {
        switch (place_.load()) {
        case Place::nowhere:
        case Place::withdrawn:
            return Withdrawal::done;
        case Place::board:
            return Withdrawal::placed;
        case Place::failed:
            return Withdrawal::refused;
        case Place::going:
            sched_yield();  // no code of the program runs there
        }
    }
}

void ProcessGate::begin_call(mp::detail::ByteWriter& out) const {
    if (task_->limits) {
        begin_limited_call(out, *task_->limits);
    }
}

void ProcessGate::end_call(mp::detail::ByteWriter& out) const {
    if (task_->has_trailer) {
        write_trailer(out, *task_->control);
    }
}

void ProcessGate::go_on() {
    submit();
    leave_room(place_.load() == Place::board);
}

void ProcessGate::leave_room(bool begun) noexcept {
    // First: what is destroyed may end the pool.
    pool_->waiting().remove(*this, begun);
    let_go();
    forget_values();
    state_ = {};
}

void ProcessGate::submit() {
    CallStore store(*pool_);
    mp::detail::ByteWriter call(store);
    bool encoded = false;
    try {
        const GivenToPool given(*pool_);
        try {
            encoded = encode(call);
        } catch (const DependencyError&) {
            throw;
        } catch (...) {
            throw_serialization_error(mp::SerializationPhase::encode_task);
        }
    } catch (...) {
        if (move_to(Place::failed)) {
            fail_task(std::current_exception());
        }
        return;
    }
    if (!move_to(Place::going)) {
        return;
    }
    try {
        if (encoded && call.in_store()) {
            task_->message.adopt(store.take(call.size()));
            call.reset();
        }
        pool_->submit_waiting(
            *task_, encoded ? call.data() : std::span<const std::byte>()
        );
        place_.store(Place::board);
    } catch (...) {
        place_.store(Place::failed);
        fail_task(std::current_exception());
    }
}

/// In the manager thread, as with other tasks, if there are callbacks to run.
void ProcessGate::fail_task(std::exception_ptr exception) noexcept {
    task_->message.clear();
    task_->failure = std::move(exception);
    task_->end = TaskEnd::failed;
    pool_->conclude_unplaced(*task_);
}

void ProcessGate::fail_future(std::exception_ptr exception) {
    if (move_to(Place::failed)) {
        fail_task(std::move(exception));
    }
    leave_room(false);
}

void ProcessGate::cancel_future() {
    const StatePtr<StateBase> state = state_;
    bool callbacks = false;
    state->cancel_before_callbacks(callbacks);
    leave_room(false);
    if (callbacks) {
        state->run_all_callbacks();
    }
}

/// Its future was cancelled.
void ProcessGate::left() noexcept {
    leave_room(false);
}

}  // namespace futures::detail

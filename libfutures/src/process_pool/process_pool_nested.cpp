// SPDX-License-Identifier: BSL-1.0
// What the manager does for tasks that submit tasks: it takes what workers ask for,
// makes ordinary tasks of it, and sees to it that they end with what they were part of.
// docs/protocols/nested_submission.md is the protocol.
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "process_pool/process_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace futures::detail {

namespace {

constexpr int frames_at_once = 256;

std::vector<std::byte>
failure_frame(std::uint64_t number, const std::exception_ptr& failure) {
    mp::detail::ByteWriter out;
    mp::detail::encode_exception(out, failure);
    return frame_of(
        TellHead{
            TellKind::result, number, static_cast<std::uint64_t>(TaskEnd::exception)},
        out.data()
    );
}

}  // namespace

// ---- asked

void ProcessPool::take_asks() noexcept {
    if (board_.is_asked()) {
        board_.visit_asking([this](std::uint32_t index) { serve(index, nothing_lost); }
        );
    }
}

void ProcessPool::asked() noexcept {
    take_asks();
    settle_nested();
    if (workers_wanted() > alive_.load()) {
        board_.doorbell().ring();  // for the housekeeping
    }
}

/// Reads what a worker asks for, much of it at once; all of it when it is gone. What it
/// writes that cannot be costs it its life, and nobody else anything.
void ProcessPool::serve(std::uint32_t index, std::uint64_t lost_from) noexcept {
    try {
        NestedLink* const link = nested_.open(index);
        if (link == nullptr || board_.is_faulty(index)) {
            return;
        }
        std::vector<std::byte> frame;
        // A worker that asks without end leaves time for the others.
        for (int left = frames_at_once;; --left) {
            if (left == 0 && lost_from == nothing_lost) {
                board_.ask_again(index);
                break;
            }
            const auto look = link->asks.next(frame);
            if (look == FrameReader::Look::damaged) {
                board_.kill_worker_of(index);
                return;
            }
            if (link->asks.take_room_wanted()) {
                futex_wake(
                    board_.view().link(index).asks.room_wanted,
                    1,
                    mp::detail::FutexScope::shared
                );
            }
            if (look == FrameReader::Look::nothing) {
                break;
            }
            take_ask(index, *link, frame, lost_from);
        }
        nested_.go_on_telling(index, *link);
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("what a worker asks of its pool cannot be done: ") +
            error.what()
        );
        board_.kill_worker_of(index);
    }
}

void ProcessPool::take_ask(
    std::uint32_t index,
    NestedLink& link,
    std::span<const std::byte> frame,
    std::uint64_t lost_from
) {
    mp::detail::ByteReader in(frame);
    const auto head = in.get_value<AskHead>();
    switch (head.kind) {
    case AskKind::submit:
        submit_nested(index, link, head, in, lost_from);
        return;
    case AskKind::cancel:
    case AskKind::stop:
    case AskKind::look:
        answer(index, link, head);
        return;
    case AskKind::wait:
        note_wait(index, link, head, in.rest());
        return;
    case AskKind::ended:
        end_of_stacked(link, head.number, true);
        return;
    case AskKind::not_run:
        end_of_stacked(link, head.number, false);
        return;
    }
    throw mp::StateError("it is not known what is asked for");
}

void ProcessPool::submit_nested(
    std::uint32_t index,
    NestedLink& link,
    const AskHead& head,
    mp::detail::ByteReader& in,
    std::uint64_t lost_from
) {
    SubmittedCall read;
    try {
        read = read_submitted(in);
    } catch (const mp::BinaryMismatch&) {
        // A function that is not here, as of a library that only the worker has loaded.
        nested_.tell(index, link, failure_frame(head.number, std::current_exception()));
        return;
    }
    complete(read.options);
    if (head.about >= lost_from && !read.options.detached) {
        return;  // its task is lost, and so is this one
    }
    const NestedOrigin origin{
        index, link.number, head.number, head.about, read.options.detached};
    auto* const task = new NestedTask(
        shared_from_this(), nested_, origin, read.function, std::move(read.type)
    );
    const NestedTaskPtr kept(task);
    try {
        task->take(TaskOptions(read.options));
        CallStore store(*this);
        mp::detail::ByteWriter call(store);
        if (task->limits) {
            begin_limited_call(call, *task->limits);
        }
        call.bulk(read.call.data(), read.call.size());
        if (task->has_trailer) {
            write_trailer(call, *task->control);
        }
        if (call.in_store()) {
            task->message.adopt(store.take(call.size()));
            call.reset();
        }
        nested_.add(link, kept);
        submit_waiting(*task, call.data());
    } catch (...) {
        const std::exception_ptr failure = std::current_exception();
        nested_.take(link, head.number);
        task->drop_reference();  // the pool's
        nested_.tell(index, link, failure_frame(head.number, failure));
    }
}

void ProcessPool::answer(std::uint32_t index, NestedLink& link, const AskHead& head) {
    std::uint64_t answer = 0;
    if (const NestedTaskPtr task = nested_.find(link, head.number)) {
        if (head.kind == AskKind::cancel) {
            answer = task->cancel() ? 1 : 0;
            if (answer != 0) {
                nested_.take(link, head.number);
            }
        } else if (head.kind == AskKind::stop) {
            answer = static_cast<std::uint64_t>(
                task->on_stack ? StopAnswer::no : stop(*task)
            );
        } else {
            answer = task->on_stack || board_.is_running(*task) ? 1 : 0;
        }
    }
    nested_.tell(index, link, frame_of(TellHead{TellKind::answer, head.about, answer}));
}

/// A call that was given to the stack of the task that waits for it.
void ProcessPool::end_of_stacked(NestedLink& link, std::uint64_t number, bool has_run) {
    const auto found = std::find_if(
        link.stack.begin(),
        link.stack.end(),
        [&](const NestedTaskPtr& task) { return task->origin.number == number; }
    );
    if (found == link.stack.end()) {
        throw mp::StateError("a call has ended that was not begun");
    }
    const NestedTaskPtr task = std::move(*found);
    link.stack.erase(found);
    if (has_run) {
        task->message.clear();
        task->end = TaskEnd::value;  // or an exception: its worker has it
        board_.conclude_taken(*task);
        return;
    }
    task->on_stack = false;
    if (!board_.run_after_all(*task)) {
        task->end = TaskEnd::cancelled;
        board_.conclude_taken(*task);
    }
}

// ---- ends

/// As cancel(running) does.
void ProcessPool::cancel_nested(NestedTask& task) {
    // It may move between the queue and a worker meanwhile; where the pool fails it is
    // in the queue, and is failed.
    constexpr int most_moves = 100;
    for (int moves = 0; moves < most_moves && !task.on_stack; ++moves) {
        if (task.cancel()) {
            task.end = TaskEnd::cancelled;
            nested_.ended(task);
            return;
        }
        if (stop(task) != StopAnswer::queued) {
            return;
        }
    }
}

/// A task of which not all calls could be cancelled stays noted.
void ProcessPool::cancel_calls_of_stopped() {
    for (;;) {
        if (stopped_.empty()) {
            // In this order: what a task submitted before it stopped is here then.
            stopped_ = nested_.take_stopped();
            if (stopped_.empty()) {
                return;
            }
            take_asks();
        }
        const std::uint64_t owner = stopped_.back();
        for (const NestedTaskPtr& task : nested_.calls_of(owner)) {
            cancel_nested(*task);
        }
        std::erase(stopped_, owner);
    }
}

void ProcessPool::settle_nested() noexcept {
    if (nested_.none()) {
        return;
    }
    try {
        cancel_calls_of_stopped();
        while (settle_waits()) {
        }
    } catch (const std::exception&) {
        board_.guard_timer().arm();  // no memory: again then
    }
}

/// Its worker is gone, and was recovered. What the task that it had at last has
/// submitted ends with it; what earlier ones have submitted goes on.
void ProcessPool::close_link(std::uint32_t index) {
    const std::uint64_t lost_from = board_.finished_below(index);
    serve(index, lost_from);
    NestedLink* const link = nested_.link_of(index);
    if (link == nullptr) {
        return;
    }
    const std::vector<NestedTaskPtr> stack = std::move(link->stack);
    const std::vector<NestedTaskPtr> lost = nested_.close(index, lost_from);
    board_.view().control(index).has_link.store(0);
    for (const NestedTaskPtr& task : stack) {
        task->end = TaskEnd::cancelled;
        board_.conclude_taken(*task);
    }
    for (const NestedTaskPtr& task : lost) {
        cancel_nested(*task);
    }
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// Workers that wait for tasks of their own: while they do, others are added, up to a
// bound; beyond it a task that is waited for is run on the stack of the one that waits.
// docs/protocols/nested_submission.md is the protocol.
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "process_pool/call_trailer.hpp"
#include "process_pool/process_pool_core.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

/// It says so, and its word says that it still does.
bool ProcessPool::is_waiting(std::uint32_t index, const NestedLink& link)
    const noexcept {
    return link.wait != 0 && board_.view().link(index).waits_in.load() == link.wait;
}

void ProcessPool::note_wait(
    std::uint32_t index,
    NestedLink& link,
    const AskHead& head,
    std::span<const std::byte> numbers
) {
    const std::size_t count = numbers.size() / sizeof(std::uint64_t);
    if (count * sizeof(std::uint64_t) != numbers.size() || count > most_awaited) {
        throw mp::StateError("it waits for what is no call");
    }
    link.awaited.resize(count);
    if (count != 0) {
        std::memcpy(link.awaited.data(), numbers.data(), numbers.size());
    }
    link.wait = head.number;
    link.wait_flags = head.about;
    const std::string cycle = cycle_through(index, link);
    if (!cycle.empty()) {
        mp::detail::ByteWriter out;
        out.put_text(cycle);
        nested_.tell(
            index,
            link,
            frame_of(TellHead{TellKind::deadlock, link.wait, 0}, out.data())
        );
        link.wait = 0;
        return;
    }
    if (options_.on_worker_loss == OnWorkerLoss::break_pool && count == 1) {
        run_on_stack(index, link, link.awaited.front());
    }
}

/// Takes the task from where it waits, if it may run there, and gives it to the worker.
bool ProcessPool::run_on_stack(
    std::uint32_t index, NestedLink& link, std::uint64_t number
) {
    constexpr std::uint64_t wanted = WaitFlags::may_run | WaitFlags::for_ever;
    if ((link.wait_flags & wanted) != wanted || options_.limits.any()) {
        return false;
    }
    const NestedTaskPtr task = nested_.find(link, number);
    if (!task || task->on_stack || !task->is_plain()) {
        return false;
    }
    link.stack.reserve(link.stack.size() + 1);
    if (!board_.take_queued_task(*task)) {
        return false;
    }
    task->on_stack = true;
    link.stack.push_back(task);
    try {
        std::span<const std::byte> call = task->message.bytes();
        if (task->has_trailer) {
            call = without_trailer(call).value().call;
        }
        mp::detail::ByteWriter out;
        out.put_text(task->control ? task->control->name : std::string());
        // Of the program; the board's may be another one by now.
        const int priority = task->control ? task->control->priority : 0;
        out.bulk(call.data(), call.size());
        nested_.tell(
            index,
            link,
            frame_of(
                TellHead{TellKind::run, number, static_cast<std::uint64_t>(priority)},
                out.data()
            )
        );
    } catch (...) {
        end_of_stacked(link, number, false);
        throw;
    }
    link.wait = 0;
    return true;
}

bool ProcessPool::run_any_on_stack() {
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        NestedLink* const link = nested_.link_of(index);
        if (link == nullptr || !is_waiting(index, *link)) {
            continue;
        }
        for (const std::uint64_t number : link->awaited) {
            if (run_on_stack(index, *link, number)) {
                return true;
            }
        }
    }
    return false;
}

/// Whether a worker that waits has what it waits for, and has not said so yet.
bool ProcessPool::is_about_to_go_on() {
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        NestedLink* const link = nested_.link_of(index);
        if (link == nullptr || !is_waiting(index, *link)) {
            continue;
        }
        for (const std::uint64_t number : link->awaited) {
            if (!nested_.find(*link, number)) {
                return true;
            }
        }
    }
    return false;
}

/// One that is waited for and that no worker has; null: there is none.
NestedTaskPtr ProcessPool::awaited_in_queue() {
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        NestedLink* const link = nested_.link_of(index);
        if (link == nullptr || !is_waiting(index, *link)) {
            continue;
        }
        for (const std::uint64_t number : link->awaited) {
            NestedTaskPtr task = nested_.find(*link, number);
            if (task && !task->on_stack && board_.is_queued(*task)) {
                return task;
            }
        }
    }
    return {};
}

void ProcessPool::set_spares(std::uint32_t count) noexcept {
    spares_ = count;
    sizes_change_ = true;
    board_.set_size(most_workers());
    board_.tell_of_spares(count);
}

/// All workers wait, for calls that nobody can begin: there is no other worker, and
/// none can be had. True when one may be tried to start again; otherwise the guard
/// looks again, or those that wait are told that it is in vain.
bool ProcessPool::can_start_after_all() {
    if (start_failure_ && waits_for_next_start()) {
        return !next_start_;
    }
    std::string text = "this wait would never end: all workers of the pool wait, and "
                       "there can be no other one";
    if (start_failure_) {
        text += ": " + mp::detail::describe_exception(start_failure_);
    }
    mp::detail::ByteWriter out;
    out.put_text(text);
    bool told = false;
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        NestedLink* const link = nested_.link_of(index);
        if (link != nullptr && is_waiting(index, *link) &&
            (link->wait_flags & WaitFlags::hears) != 0) {
            nested_.tell(
                index,
                *link,
                frame_of(TellHead{TellKind::deadlock, link->wait, 0}, out.data())
            );
            link->wait = 0;
            told = true;
        }
    }
    if (!told) {
        break_pool(text, start_failure_);
    }
    return false;
}

/// True when there may be more to do.
bool ProcessPool::settle_waits() {
    std::size_t waiting = 0;
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        const NestedLink* const link = nested_.link_of(index);
        if (link != nullptr) {
            waiting += is_waiting(index, *link) ? 1U : 0U;
        }
    }
    waiting_workers_ = static_cast<std::uint32_t>(waiting);
    if (waiting == 0) {
        if (spares_ != 0) {
            set_spares(0);
            board_.doorbell().ring();  // for the housekeeping: they end
        }
        return false;
    }
    const std::size_t alive = alive_.load();
    const std::size_t most = std::min<std::size_t>(most_workers(), max_now_);
    const std::size_t active = alive > waiting ? alive - waiting : 0;
    if (active >= target_ || alive < most || board_.runnable() <= alive ||
        is_about_to_go_on()) {
        return false;  // as many go on as there are to be, or come; or there is nothing
                       // to do
    }
    const bool may_grow = most_workers() < places_ && max_now_ > alive;
    if (spares_ >= max_blocked_ || !may_grow) {
        if (run_any_on_stack()) {
            return true;
        }
        if (!may_grow) {
            return active == 0 && awaited_in_queue() && can_start_after_all();
        }
    }
    const NestedTaskPtr task = awaited_in_queue();
    if (task) {
        board_.let_go_first(*task);
    } else if (spares_ >= max_blocked_ && active > 0) {
        return false;
    }
    // Beyond the bound, too, for what cannot run on a stack, or when nobody goes on.
    set_spares(spares_ + 1);
    board_.doorbell().ring();  // for the housekeeping: one is started
    return false;
}

// ---- cycles

/// What runs on top of a worker's stack.
std::string ProcessPool::top_label(std::uint32_t index, const NestedLink& link) {
    if (!link.stack.empty()) {
        return link.stack.back()->label();
    }
    std::string label = "a task";
    board_.visit_taken([&](BoardTask& task, std::uint32_t worker) {
        if (worker == index) {
            label = static_cast<PoolTask&>(task).label();
        }
    });
    return label;
}

/// What to say if this wait, with others, could never end; empty otherwise. A wait for
/// one call has one way on: to the worker that runs it.
std::string ProcessPool::cycle_through(std::uint32_t index, NestedLink& link) {
    struct Place {
        std::uint32_t worker;
        NestedLink* link;
        NestedTaskPtr awaited;
    };
    board_.drain();  // what has ended is waited for no more
    std::vector<Place> way;
    NestedLink* at = &link;
    for (std::uint32_t worker = index; way.size() <= places_;) {
        const bool has_one_way =
            (at->wait_flags & WaitFlags::for_ever) != 0 && at->awaited.size() == 1;
        NestedTaskPtr task =
            has_one_way ? nested_.find(*at, at->awaited.front()) : NestedTaskPtr();
        if (!task) {
            return {};
        }
        const auto runs_in = task->on_stack ? std::optional(task->origin.worker)
                                            : board_.worker_with(*task);
        way.push_back({worker, at, std::move(task)});
        if (!runs_in) {
            return {};
        }
        worker = *runs_in;
        if (worker == index) {
            break;
        }
        at = nested_.link_of(worker);
        if (at == nullptr || !is_waiting(worker, *at)) {
            return {};
        }
    }
    const auto on_top_of = [](const std::string& task, const std::string& top) {
        return task == top ? task : task + ", on whose stack " + top + " runs";
    };
    const std::string first = top_label(index, link);
    std::string text = "this wait would never end: " + first;
    for (std::size_t i = 0; i < way.size(); ++i) {
        const std::string top =
            i + 1 < way.size() ? top_label(way[i + 1].worker, *way[i + 1].link) : first;
        text += (i == 0 ? " waits for " : ", which waits for ") +
                on_top_of(way[i].awaited->label(), top);
    }
    return text;
}

/// For the report of a worker that died: what it ran on the stack of its task.
std::string ProcessPool::stack_in_words(std::uint32_t index) {
    const NestedLink* const link = nested_.none() ? nullptr : nested_.link_of(index);
    if (link == nullptr || link->stack.empty()) {
        return {};
    }
    std::string text = "; it ran ";
    for (auto task = link->stack.rbegin(); task != link->stack.rend(); ++task) {
        text += (task == link->stack.rbegin() ? "" : ", on top of ") + (*task)->label();
    }
    return text + " on its stack";
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "mpi/farm.hpp"

#include "mp/detail/forced_unwind.hpp"
#include "mp/errors.hpp"

#include "mpi/mpi_pool_core.hpp"
#include "os/signals.hpp"
#include "util/diagnostics.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <new>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

constexpr std::chrono::microseconds usual_spin(100);
constexpr std::chrono::milliseconds usual_backoff(1);

}  // namespace

Farm::Farm(
    std::unique_ptr<Transport> transport,
    std::shared_ptr<Bell> bell,
    std::vector<RankInfo> ranks
)
    : transport_(std::move(transport)),
      bell_(std::move(bell)),
      ranks_(std::move(ranks)),
      load_(ranks_.size()),
      is_gone_(ranks_.size()),
      awaited_at_(ranks_.size()),
      pacing_(usual_spin, usual_backoff) {}

Farm::~Farm() MP_NO_THREAD_SAFETY_ANALYSIS {
    if (!creator_.is_here()) {
        // They are in the process that made us.
        new (&threads_) std::vector<std::thread>();
    }
}

// ---- any thread

bool Farm::is_here() const noexcept {
    return ThreadDuties::of_this_thread() == this;
}

bool Farm::may_wait_here() const noexcept {
    return !is_here() && local_worker_.load() != std::this_thread::get_id();
}

void Farm::add(const std::shared_ptr<MPIPool>& pool) {
    const MutexLock lock(mutex_);
    if (broken_) {
        std::rethrow_exception(broken_);
    }
    if (is_stopping_) {
        throw mp::StateError("no new work is accepted: the MPI job is ending");
    }
    new_pools_.push_back(pool);
    pool->take_number(++numbers_);
    if (threads_.empty()) {
        try {
            start_thread();
        } catch (...) {
            new_pools_.pop_back();
            throw;
        }
    }
    has_new_pools_ = true;
    ring();
}

void Farm::start_thread() {
    const mp::os::SignalsBlocked blocked;  // they are the program's threads' business
    threads_.reserve(threads_.size() + 1);
    threads_.emplace_back([this, counted = mp::detail::LibraryThread()] { run(); });
}

std::thread Farm::next_to_join() {
    const MutexLock lock(mutex_);
    std::thread next;
    if (!threads_.empty()) {
        next = std::move(threads_.front());
        threads_.erase(threads_.begin());
    }
    return next;
}

void Farm::stop() {
    {
        const MutexLock lock(mutex_);
        is_stopping_ = true;
    }
    is_to_end_ = true;
    ring();
    // One that ended itself in a callback has started the next one before.
    for (std::thread next = next_to_join(); next.joinable(); next = next_to_join()) {
        next.join();
    }
    // The thread is gone: what was its own is ours.
    if (!std::exchange(ranks_ended_, true)) {
        end_ranks();
    }
    if (messages_fail_) {
        const MutexLock lock(mutex_);
        std::rethrow_exception(broken_);
    }
}

void Farm::conclude(PoolTask& task) noexcept {
    auto& pool = static_cast<MPIPool&>(task.board());
    ++pool.telling;
    if (task.finish()) {
        const MutexLock lock(mutex_);
        callbacks_.push_back(task);
        ++callbacks_left_;
    } else {
        --pool.telling;
    }
    ring();
}

void Farm::ask_to_give_up(std::exception_ptr cause) noexcept {
    {
        const MutexLock lock(mutex_);
        if (!broken_) {
            broken_ = std::move(cause);
        }
    }
    is_to_give_up_ = true;
    ring();
}

// ---- the thread

void Farm::run() {
    pthread_setname_np(pthread_self(), "mp-mpi");
    are_this_threads();
    try {
        loop();
    } catch (const mp::detail::ForcedUnwind&) {
        // A callback called pthread_exit(): another thread goes on.
        if (!replace_thread()) {
            give_up(std::make_exception_ptr(BrokenMPIPool(
                "a callback ended the thread of the MPI job, and there is no other"
            )));
        }
        throw;
    }
}

bool Farm::replace_thread() noexcept {
    const MutexLock lock(mutex_);
    try {
        start_thread();
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

void Farm::loop() {
    const PunctualThread punctual;
    // The thread before this one ended in one of these.
    if (PoolTask* const asked = std::exchange(asking_, nullptr)) {
        conclude(*asked);
    }
    while (!telling_.empty()) {
        BoardTask& task = telling_.pop_front();
        const MutexLock lock(mutex_);
        callbacks_.push_front(task);
        ++callbacks_left_;
    }
    do {
        turn(mp::Deadline(mp::forever));
    } while (!is_to_end_ || !pools_.empty() || has_new_pools_ || !is_idle());
    if (!messages_fail_ && !std::exchange(ranks_ended_, true)) {
        try {
            end_ranks();
        } catch (const std::exception&) {
            messages_fail_ = true;
            give_up(std::current_exception());
        }
    }
}

void Farm::turn(const mp::Deadline& deadline) {
    try {
        if (work()) {
            pacing_.event();
            return;
        }
    } catch (const std::bad_alloc&) {
        ::sched_yield();  // whoever has memory may give some back
        return;
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("the messages of an MPI job fail: ") + error.what()
        );
        messages_fail_ = true;
        ranks_ended_ = true;
        give_up(std::current_exception());
        return;
    }
    if (is_to_end_ && pools_.empty() && is_idle()) {
        return;
    }
    // What rang before this look is seen by it, what rings later ends the sleep.
    pacing_.pause(
        *bell_,
        transport_->is_polled() && !is_idle(),
        is_transferring(),
        next_deadline(deadline)
    );
}

bool Farm::is_idle() const noexcept {
    return in_flight_ == 0 && awaited_ == 0 && leftovers_.empty() && unsent_.empty();
}

bool Farm::is_transferring() const noexcept {
    return !unsent_.empty() || !leftovers_.empty() || transport_->is_receiving();
}

/// What is due already waits for a rank, which is heard.
mp::Deadline Farm::next_deadline(const mp::Deadline& latest) const {
    const auto now = TaskQueue::Clock::now();
    auto next = TaskQueue::Clock::time_point::max();
    for (const auto& pool : pools_) {
        if (pool->has_pending()) {
            const auto time = pool->next_time(now);
            next = std::min(next, time);
        }
    }
    return next == TaskQueue::Clock::time_point::max() ? latest
                                                       : latest.sooner(next - now);
}

bool Farm::work() {
    bool any = false;
    // Where nothing can come MPI is left alone: it may be another thread's.
    if (!messages_fail_ && !(is_idle() && transport_->is_polled())) {
        any = transport_->receive(*this);
    }
    if (has_new_pools_) {
        take_new_pools();
        any = true;
    }
    if (is_to_give_up_) {
        take_wish_to_give_up();
    }
    if (is_to_end_) {
        for (const auto& pool : pools_) {
            pool->refuse();
        }
    }
    if (!is_broken_) {
        any = send_stops() || any;
        any = assign() || any;
    }
    if (!messages_fail_) {
        settle_tickets();
    }
    any = settle_thrown() || any;
    any = run_callbacks() || any;
    return close_ended_pools() || any;
}

void Farm::take_new_pools() {
    const MutexLock lock(mutex_);
    pools_.reserve(pools_.size() + new_pools_.size());
    has_new_pools_ = false;
    for (auto& pool : new_pools_) {
        pools_.push_back(std::move(pool));
    }
    new_pools_.clear();
    set_pacing();
}

/// As the most impatient of the executors wants it.
void Farm::set_pacing() noexcept {
    std::chrono::nanoseconds spin(0);
    auto backoff = std::chrono::nanoseconds::max();
    for (const auto& pool : pools_) {
        spin = std::max(spin, pool->options().spin.duration());
        backoff = std::min(backoff, pool->options().backoff.duration());
    }
    if (!pools_.empty()) {
        pacing_ = Pacing(spin, backoff);
    }
}

void Farm::take_wish_to_give_up() noexcept {
    is_to_give_up_ = false;
    std::exception_ptr cause;
    {
        const MutexLock lock(mutex_);
        cause = broken_;
    }
    give_up(cause);
}

void Farm::give_up(const std::exception_ptr& cause) noexcept {
    is_broken_ = true;
    {
        const MutexLock lock(mutex_);
        if (!broken_) {
            broken_ = cause;
        }
    }
    for (;;) {
        try {
            take_new_pools();
            break;
        } catch (const std::bad_alloc&) {
            ::sched_yield();
        }
    }
    // Their callbacks are run later, so that none of these changes meanwhile.
    for (const auto& pool : pools_) {
        pool->break_with("the MPI job cannot go on", cause);
    }
    // Answers that come all the same belong to nobody.
    for (Flight& flight : flights_) {
        if (flight.in_use) {
            free_flight(flight);
        }
    }
    for (const auto& pool : pools_) {
        pool->flights = 0;
    }
    unsent_.clear();
    leftovers_.clear();
    std::fill(awaited_at_.begin(), awaited_at_.end(), 0);
    awaited_ = 0;
}

// ---- the end

bool Farm::close_ended_pools() {
    bool any = false;
    for (std::size_t i = 0; i < pools_.size();) {
        const std::shared_ptr<MPIPool> pool = pools_[i];
        if (!pool->is_done()) {
            ++i;
            continue;
        }
        bool is_over = true;
        for (std::size_t peer = 0; peer < pool->ranks().size() && !is_broken_; ++peer) {
            const MPIPool::At& at = pool->ranks()[peer];
            if (!at.is_opened || is_gone_[peer]) {
                continue;
            }
            if (!pool->closes()) {
                send_note(peer, FrameKind::close, *pool);
                ++awaited_;
                ++awaited_at_[peer];
            }
            // Only what has workers of its own takes time to end; others need not wait
            // for the tasks of others, unless the program may use MPI only afterwards.
            const bool ends_at_once = !pool->is_isolated() && transport_->is_shared();
            is_over = is_over && (ends_at_once || at.has_closed);
        }
        pool->begin_closing();
        if (!is_over) {
            ++i;
            continue;
        }
        pools_.erase(pools_.begin() + static_cast<std::ptrdiff_t>(i));
        set_pacing();
        pool->set_over();
        any = true;
    }
    return any;
}

void Farm::end_ranks() {
    for (std::size_t peer = 0; peer < ranks_.size(); ++peer) {
        if (is_gone_[peer]) {
            continue;
        }
        MessageHead head;
        head.kind = FrameKind::end;
        const Ticket ticket = transport_->send(peer, head, {});
        while (ticket != nothing_sent && !transport_->is_sent(ticket)) {
            ::sched_yield();
        }
    }
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/work_line.hpp"

#include <new>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

bool WorkLine::push_ranked(Work& work, bool again) {
    ThreadControl& control = *work.control_if_any();
    const MutexLock lock(mutex_);
    if (control.ranked != nullptr) {
        again_.fetch_add(1);  // it is called once more all the same
        return false;
    }
    control.turn = again ? returns_++ : turns_++;
    control.plain_before = again ? 0 : plain_.pushed();
    if (!ranked_.add(control)) {
        throw std::bad_alloc();
    }
    control.ranked = &work;
    (again ? again_ : ranked_pushed_).fetch_add(1);
    // Sequentially consistent with is_empty(), as WorkQueue::push().
    ranked_size_.store(ranked_.size());
    return true;
}

Work* WorkLine::pop_by_rank() noexcept {
    for (bool look_at_plain = true;; look_at_plain = false) {
        const bool plain_waits = look_at_plain && !plain_.looks_empty();
        if (Work* const work = pop_ranked(plain_waits)) {
            return work;
        }
        Work* const work = plain_.pop();
        // Another thread may have taken it, or it is just being added: then what is
        // ranked is next.
        if (work != nullptr || !plain_waits) {
            return work;
        }
    }
}

/// Null when it is the turn of one without a priority, or nothing is ranked.
Work* WorkLine::pop_ranked(bool plain_waits) noexcept {
    const MutexLock lock(mutex_);
    if (ranked_.empty()) {
        return nullptr;
    }
    Rival<std::int64_t> plain;
    plain.is_oldest = plain_.popped() < ranked_.oldest().plain_before;
    ThreadControl* const next = ranked_.take_before(plain_waits ? &plain : nullptr);
    return next != nullptr ? &removed(*next) : nullptr;
}

bool WorkLine::take_out(Work& work) noexcept {
    ThreadControl* const control = work.control_if_any();
    // order: relaxed, whoever added it is known to this thread: the task was begun.
    if (control == nullptr || ranked_size_.load(std::memory_order_relaxed) == 0) {
        return false;
    }
    const MutexLock lock(mutex_);
    if (control->ranked == nullptr) {
        return false;
    }
    ranked_.remove(*control);
    removed(*control);
    return true;
}

Work& WorkLine::removed(ThreadControl& control) noexcept {
    ranked_size_.store(ranked_.size());
    if (control.turn >= first_turn) {
        ranked_popped_.fetch_add(1);
    }
    return *std::exchange(control.ranked, nullptr);
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "future/ready.hpp"

#include "mp/detail/forced_unwind.hpp"

namespace futures::detail {

namespace {

/// How many scopes of this thread let their dependents go on.
thread_local unsigned depth = 0;

// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
struct Deeper {
    Deeper() noexcept { ++depth; }

    ~Deeper() { --depth; }
};

}  // namespace

Ready::~Ready() {
    innermost() = outside_;
    List& list = this_threads();
    if (outer_.first != nullptr) {
        if (list.first == nullptr) {
            list = outer_;
        } else {
            outer_.last->next_ = list.first;
            list.first = outer_.first;
        }
    }
}

void Ready::add(Dependencies& dependent) noexcept {
    List& list = this_threads();
    dependent.next_ = nullptr;
    // order: relaxed, only this thread asks whether it is its own.
    dependent.ready_in_.store(&list, std::memory_order_relaxed);
    (list.first != nullptr ? list.last->next_ : list.first) = &dependent;
    list.last = &dependent;
}

void Ready::run() {
    if (this_threads().first == nullptr || depth >= deepest) {
        return;
    }
    const Deeper deeper;
    try {
        run_all();
    } catch (const mp::detail::ForcedUnwind&) {
        run_all();
        throw;
    }
}

Dependencies* Ready::first_here() noexcept {
    Dependencies* first = this_threads().first;
    for (const Ready* scope = innermost(); first == nullptr && scope != nullptr;
         scope = scope->outside_) {
        first = scope->outer_.first;
    }
    return first;
}

bool Ready::any_here() noexcept {
    return first_here() != nullptr;
}

void Ready::run_all_here() {
    while (Dependencies* const next = first_here()) {
        run_now(*next);
    }
}

bool Ready::remove(List& list, Dependencies& dependent) noexcept {
    Dependencies* before = nullptr;
    for (auto* at = list.first; at != nullptr; before = at, at = at->next_) {
        if (at == &dependent) {
            (before != nullptr ? before->next_ : list.first) = at->next_;
            if (list.last == at) {
                list.last = before;
            }
            return true;
        }
    }
    return false;
}

void Ready::run_now(Dependencies& dependent) {
    bool removed = remove(this_threads(), dependent);
    for (auto* scope = innermost(); !removed && scope != nullptr;
         scope = scope->outside_) {
        removed = remove(scope->outer_, dependent);
    }
    if (removed) {
        dependent.run();
    }
}

void Ready::run_all() {
    List& list = this_threads();
    while (list.first != nullptr) {
        Dependencies& next = *list.first;
        list.first = next.next_;
        next.run();
    }
}

}  // namespace futures::detail

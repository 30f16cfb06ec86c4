// SPDX-License-Identifier: BSL-1.0
#include "future/ready.hpp"

#include "mp/detail/forced_unwind.hpp"

#include <algorithm>

namespace futures::detail {

/// While it lives, one more scope lets its dependents go on. In a child that is forked
/// meanwhile none does, but for its own.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
class Ready::Deeper {
public:
    explicit Deeper(OfThread& here) noexcept : before_(here.depth++) {}

    ~Deeper() {
        OfThread& here = this_threads();
        here.depth = std::min(here.depth, before_);
    }

private:
    const unsigned before_;
};

Ready::~Ready() {
    OfThread& here = this_threads();
    if (here.process != process_) {
        return;
    }
    here.innermost = outside_;
    List& list = here.list;
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
    List& list = this_threads().list;
    dependent.next_ = nullptr;
    // order: relaxed, only this thread asks whether it is its own.
    dependent.ready_in_.store(&list, std::memory_order_relaxed);
    (list.first != nullptr ? list.last->next_ : list.first) = &dependent;
    list.last = &dependent;
}

void Ready::run() {
    OfThread& here = this_threads();
    if (here.list.first == nullptr || here.depth >= deepest) {
        return;
    }
    const Deeper deeper(here);
    try {
        run_all();
    } catch (const mp::detail::ForcedUnwind&) {
        run_all();
        throw;
    }
}

Dependencies* Ready::first_here() noexcept {
    const OfThread& here = this_threads();
    Dependencies* first = here.list.first;
    for (const Ready* scope = here.innermost; first == nullptr && scope != nullptr;
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

bool Ready::run_now(Dependencies& dependent) {
    OfThread& here = this_threads();
    bool removed = remove(here.list, dependent);
    for (auto* scope = here.innermost; !removed && scope != nullptr;
         scope = scope->outside_) {
        removed = remove(scope->outer_, dependent);
    }
    if (removed) {
        dependent.run();
    }
    return removed;
}

void Ready::run_all() {
    while (Dependencies* const next = this_threads().list.first) {
        this_threads().list.first = next->next_;
        next->run();
    }
}

}  // namespace futures::detail

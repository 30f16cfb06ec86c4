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

void Ready::run_all() {
    List& list = this_threads();
    while (list.first != nullptr) {
        Dependencies& next = *list.first;
        list.first = next.next_;
        next.run();
    }
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// Ready: the dependents that may go on, in the thread that completed what they waited
// for, in order. It is what keeps a chain of ten thousand from being ten thousand calls
// deep: what one of them completes adds to the list instead of calling it, once a few
// such lists are under way in the thread.
// Threads: each has its own lists; an object is a scope of one.
// Processes: a child that is forked in such a scope begins with empty lists: what waits
// in the scopes of its parent is its parent's.
#pragma once

#include "futures/detail/dependencies.hpp"
#include "mp/detail/creator.hpp"

#include <cstdint>

namespace futures::detail {

/// While it lives, what becomes ready in this thread comes here, and what is ready
/// outside waits: it may need what the program holds while a callback runs.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): a scope
class Ready {
public:
    Ready() noexcept : Ready(this_threads()) {}

    /// What is left is for the scope outside. In a child that was forked in the scope
    /// nothing is.
    ~Ready();

    Ready(const Ready&) = delete;
    Ready& operator=(const Ready&) = delete;

    /// Lets all go on, unless too many scopes of this thread do so already. One that
    /// ends its thread (pthread_exit) does so after the others.
    void run();

    static void add(Dependencies& dependent) noexcept;

    /// Some wait for their turn in this thread.
    static bool any_here() noexcept;

    /// This one does.
    static bool is_here(const Dependencies& dependent) noexcept {
        // order: relaxed, what is looked for was written by this thread.
        return dependent.ready_in_.load(std::memory_order_relaxed) ==
               &this_threads().list;
    }

    /// Runs it before its turn. False: it is not here after all, but in a thread of
    /// which this one is a forked copy.
    static bool run_now(Dependencies& dependent);

    /// Runs all that is here: the thread is about to wait for what may need it.
    static void run_all_here();

private:
    static constexpr unsigned deepest = 16;

    struct List {
        Dependencies* first = nullptr;
        Dependencies* last = nullptr;
    };

    /// What a thread has.
    struct OfThread {
        List list;
        Ready* innermost = nullptr;
        unsigned depth = 0;         ///< of its scopes that let their dependents go on
        std::uint64_t process = 0;  ///< whose thread it is
    };

    class Deeper;

    explicit Ready(OfThread& here) noexcept
        : outer_(here.list), outside_(here.innermost), process_(here.process) {
        here.list = {};
        here.innermost = this;
    }

    /// To be asked for again behind whatever may fork.
    static OfThread& this_threads() noexcept {
        thread_local constinit OfThread here;
        const std::uint64_t process = mp::detail::process_token();
        if (here.process != process) {
            here = OfThread();
            here.process = process;
        }
        return here;
    }

    static Dependencies* first_here() noexcept;
    static bool remove(List& list, Dependencies& dependent) noexcept;
    static void run_all();

    List outer_;
    Ready* const outside_;
    const std::uint64_t process_;
};

}  // namespace futures::detail

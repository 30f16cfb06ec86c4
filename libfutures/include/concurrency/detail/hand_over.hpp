// SPDX-License-Identifier: BSL-1.0
// HandOver: a task that waits until another takes its item, or gives it one.
// Python:  none; the MemoryObjectItemReceiver of anyio is nearest.
// Differs: nothing to differ from.
// Threads: its loop's.
// Read next: concurrency/detail/channel.hpp
#pragma once

#include "concurrency/detail/waiter.hpp"

#include <exception>
#include <utility>

namespace concurrency::detail {

/// How an attempt to send or to receive went, or a wait to do so.
enum class Passage : unsigned char {
    waits,   // it has to wait, or still does
    done,    // the item is where it belongs
    closed,  // ClosedResourceError
    broken,  // BrokenResourceError
    ended,   // EndOfStream
    failed,  // what the item's move threw
};

/// Whoever serves it moves the item first, and then calls finish(): when the move
/// throws, it waits as before.
class HandOver : public Waiter {
public:
    using Waiter::Waiter;

    /// The wait is over, and the task goes on in its turn.
    void finish(Passage how) noexcept {
        unlink();
        passage = how;
        task().wake();
    }

    /// The same; check() throws the exception that is being handled.
    void fail() noexcept {
        error_ = std::current_exception();
        finish(Passage::failed);
    }

    /// Throws what belongs to the passage, unless that is `done`.
    void check() const {
        if (passage != Passage::done) {
            throw_error();
        }
    }

    Passage passage = Passage::waits;

protected:
    ~HandOver() = default;

private:
    [[noreturn]] void throw_error() const;

    std::exception_ptr error_;
};

/// Throws what belongs to this passage: WouldBlock if it would have to wait.
[[noreturn]] void throw_passage(Passage passage);

/// For check_same_loop(), where it is not plain.
void check_loop_of(const Waiter& waiting, const LoopTask* here);

/// What tasks wait in belongs to their loop. Throws RuntimeError when the task that
/// waits there is one of another loop, in a thread outside its loop, and in the child
/// of a fork. Where the loop's executor runs something else there is no task here: that
/// is let through.
inline void check_same_loop(const Waiter* waiting, const LoopTask* here) {
    if (waiting != nullptr &&
        (here == nullptr || &waiting->task().loop() != &here->loop())) {
        check_loop_of(*waiting, here);
    }
}

}  // namespace concurrency::detail

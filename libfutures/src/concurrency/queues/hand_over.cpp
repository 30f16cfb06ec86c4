// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/hand_over.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency::detail {

void HandOver::throw_error() const {
    if (error_) {
        std::rethrow_exception(error_);
    }
    throw_passage(passage);
}

void throw_passage(Passage passage) {
    switch (passage) {
    case Passage::closed:
        throw ClosedResourceError();
    case Passage::broken:
        throw BrokenResourceError();
    case Passage::ended:
        throw EndOfStream();
    case Passage::waits:
    case Passage::done:
    case Passage::failed:
        break;
    }
    throw WouldBlock();
}

void check_loop_of(const Waiter& waiting, const LoopTask* here) {
    const Loop& loop = waiting.task().loop();
    if (here != nullptr && &here->loop() != &loop) {
        throw RuntimeError("a task of another loop waits in it: it belongs to that loop"
        );
    }
    loop.check_here();
}

}  // namespace concurrency::detail

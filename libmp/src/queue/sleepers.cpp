// SPDX-License-Identifier: BSL-1.0
// Which bit a thread shows, and waking the threads of some bits.
#include "queue/sleepers.hpp"

#include "mp/detail/creator.hpp"

#include <unistd.h>

namespace mp::detail {

unsigned Sleepers::bit_of_this_thread() noexcept {
    // A forked child has the number of its parent's thread otherwise.
    thread_local Creator creator;
    thread_local auto bit = static_cast<unsigned>(::gettid()) % 64;
    if (!creator.is_here()) {
        creator = Creator();
        bit = static_cast<unsigned>(::gettid()) % 64;
    }
    return bit;
}

void Sleepers::wake(int bits) noexcept {
    for (; bits > 0; --bits) {
        const std::uint64_t all = awaiting_.load();
        if (all == 0) {
            return;
        }
        const int bit = std::countr_zero(all);
        const std::uint64_t mask = std::uint64_t{1} << bit;
        if ((awaiting_.fetch_and(~mask) & mask) == 0) {
            continue;  // Another waker has it.
        }
        FutexWord& word = words_[static_cast<std::size_t>(bit)];
        word.fetch_add(1);
        futex_wake(word, everybody, FutexScope::shared);
    }
}

}  // namespace mp::detail

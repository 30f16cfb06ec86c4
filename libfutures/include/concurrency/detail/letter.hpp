// SPDX-License-Identifier: BSL-1.0
// Letter: what another thread sends to a loop.
// Python:  the callback of asyncio's call_soon_threadsafe, trio's run_sync_soon.
// Differs: it lies in what it is about, so that sending it allocates nothing.
// Threads: any sends it; it arrives in its loop's.
// Read next: src/concurrency/loop/mailbox.hpp
#pragma once

#include "concurrency/detail/intrusive_list.hpp"

namespace concurrency::detail {

class Loop;
class Mailbox;

class Letter : public Link {
public:
    /// In the loop, between the turns of its tasks. It is in no list any more.
    virtual void arrive(Loop& loop) noexcept = 0;

    /// Instead, in whatever thread: the loop has ended, and arrive() is never called.
    virtual void come_back() noexcept = 0;

protected:
    ~Letter() = default;
};

}  // namespace concurrency::detail

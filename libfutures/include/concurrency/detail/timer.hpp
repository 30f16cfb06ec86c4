// SPDX-License-Identifier: BSL-1.0
// Timer: something that is to happen at a time of the loop's clock.
// Python:  asyncio.TimerHandle.
// Differs: it lies in what it is for, a sleeper or a scope, and allocates nothing.
// Threads: its loop's.
#pragma once

#include "concurrency/clock.hpp"
#include "concurrency/detail/intrusive_list.hpp"

#include <cstddef>

namespace concurrency::detail {

class Loop;

class Timer : public Link {
public:
    /// Deadlines of one moment are all seen before a sleeper of that moment wakes: then
    /// the outermost scope that is due ends what is in it.
    enum class Kind : bool { sleeper, deadline };

    explicit Timer(Kind kind) noexcept : kind_(kind) {}

    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Once the loop's clock has reached `time`, fires. Requires: not set already.
    void set(Loop& loop, TimePoint time);

    /// It does not fire any more.
    void clear() noexcept;

protected:
    virtual ~Timer() { clear(); }

private:
    friend class Loop;
    friend class TimerHeap;

    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

    virtual void fire() noexcept = 0;

    Loop* loop_ = nullptr;
    std::size_t place_ = nowhere;  // in the loop's heap
    Kind kind_;
};

}  // namespace concurrency::detail

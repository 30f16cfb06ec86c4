// SPDX-License-Identifier: BSL-1.0
// LibraryThread: counts the threads that the library itself runs, so that fork() warns
// of foreign ones only.
// Python:  none, because Python's warning counts its own threads too.
// Differs: nothing to differ from.
// Threads: one object for each thread of the library, made before the thread and moved
//          into what it runs: at no time is it taken for a foreign one.
#pragma once

#include <utility>

namespace mp::detail {

class LibraryThread {
public:
    LibraryThread() noexcept;
    ~LibraryThread();
    LibraryThread(const LibraryThread&) = delete;
    LibraryThread& operator=(const LibraryThread&) = delete;

    LibraryThread(LibraryThread&& other) noexcept
        : counted_(std::exchange(other.counted_, false)) {}

    LibraryThread& operator=(LibraryThread&&) = delete;

    static int count() noexcept;

private:
    bool counted_ = true;
};

}  // namespace mp::detail

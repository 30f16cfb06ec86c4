// SPDX-License-Identifier: BSL-1.0
// LibraryThread: counts the threads that the library itself runs, so that fork() warns
// of foreign ones only.
// Python:  none, because Python's warning counts its own threads too.
// Differs: nothing to differ from.
// Threads: one object in each thread of the library, for as long as it runs.
#pragma once

namespace mp::detail {

class LibraryThread {
public:
    LibraryThread() noexcept;
    ~LibraryThread();
    LibraryThread(const LibraryThread&) = delete;
    LibraryThread& operator=(const LibraryThread&) = delete;

    static int count() noexcept;
};

}  // namespace mp::detail

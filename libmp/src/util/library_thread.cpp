// SPDX-License-Identifier: BSL-1.0
#include "util/library_thread.hpp"

#include "os/fork.hpp"

#include <atomic>

namespace mp::detail {
namespace {

std::atomic<int> threads{0};

}  // namespace

LibraryThread::LibraryThread() noexcept {
    static const bool registered = [] {
        os::on_fork_in_child([] { threads.store(0); });
        return true;
    }();
    threads.fetch_add(registered ? 1 : 0);
}

LibraryThread::~LibraryThread() {
    if (counted_) {
        threads.fetch_sub(1);
    }
}

int LibraryThread::count() noexcept {
    return threads.load();
}

}  // namespace mp::detail

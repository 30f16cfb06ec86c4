// SPDX-License-Identifier: BSL-1.0
#include "util/library_thread.hpp"

#include "os/fork.hpp"

#include <atomic>

namespace mp::detail {
namespace {

std::atomic<int> threads{0};

// Before main, so that no fork can fall into it.
[[maybe_unused]] const bool registered_early = [] {
    os::on_fork_in_child([] { threads.store(0); });
    return true;
}();

}  // namespace

LibraryThread::LibraryThread() noexcept {
    threads.fetch_add(1);
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

// SPDX-License-Identifier: BSL-1.0
// What happens to a SharedHeap when a process is killed while it allocates: an error,
// or it goes on; nobody hangs.
#include "mp/errors.hpp"
#include "mp/shared_heap.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <string>
#include <thread>

using namespace mp;

namespace {

using Numbers = SharedHeap::Vector<int>;

// Where it is killed, only the kernel knows.
[[noreturn]] void allocate_for_ever(SharedHeap& heap) {
    for (int i = 0;; ++i) {
        const std::string name = "x" + std::to_string(i % 10);
        Numbers& numbers = heap.construct<Numbers>(name.c_str(), heap.allocator<int>());
        numbers.resize(static_cast<std::size_t>(i % 100));
        heap.destroy<Numbers>(name.c_str());
    }
}

}  // namespace

TEST_CASE(
    "Q12: SharedHeap: killed while it allocates: an error, no hang", "[shared_heap]"
) {
    detail::HeapMutex mutex;
    SharedMemory memory({.create = true, .size = 4096});
    auto* const shared = new (memory.buf().data()) detail::HeapMutex;
    CHECK(test::run_in_fork([&] {
              shared->lock();
              ::raise(SIGKILL);
              return 0;
          }) == -SIGKILL);
    CHECK_THROWS_AS(shared->lock(), OwnerDied);
    CHECK_THROWS_AS(shared->lock(), OwnerDied);
    CHECK_FALSE(shared->lock_quietly());
    CHECK(shared->broken());
    memory.unlink();
    mutex.lock();
    mutex.lock();
    mutex.unlock();
    mutex.unlock();
}

TEST_CASE(
    "Q12: SharedHeap: killed anywhere, the others go on or know", "[shared_heap]"
) {
    for (int round = 0; round < 20; ++round) {
        SharedHeap heap({.create = true, .size = 1 << 16});
        auto& started = heap.construct<std::atomic<int>>("started", 0);
        const pid_t child = test::fork_child([&]() -> int {
            started = 1;
            allocate_for_ever(heap);
        });
        while (started == 0) {
            std::this_thread::yield();
        }
        ::kill(child, SIGKILL);
        CHECK(test::exit_status(child) == -SIGKILL);
        try {
            Numbers numbers(heap.allocator<int>());
            numbers.resize(100);
            heap.construct<int>("more", 1);
        } catch (const OwnerDied&) {
            // It died inside the allocator: that is told, and nobody hangs.
        }
        heap.shm().unlink();
    }
}

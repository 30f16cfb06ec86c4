// SPDX-License-Identifier: BSL-1.0
// The lock of a heap beside others that the same thread has: one inside the other, and
// in a child that was forked meanwhile.
#include "mp/detail/heap_mutex.hpp"
#include "mp/detail/shared_block.hpp"

#include "os/robust_mutex.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <thread>

using mp::detail::HeapMutex;
using mp::detail::SharedBlock;
using mp::os::MutexState;

namespace {

class SharedMutex {
public:
    SharedMutex() : mutex_(*new (block_.data()) HeapMutex) {}

    HeapMutex* operator->() const { return &mutex_; }

    MutexState state() const {
        return mp::os::state_of(reinterpret_cast<const pthread_mutex_t&>(mutex_));
    }

private:
    SharedBlock block_ = SharedBlock::allocate(sizeof(HeapMutex));
    HeapMutex& mutex_;
};

/// That the calling thread has: what the kernel goes over when the thread ends.
const void* first_robust_lock() {
    robust_list_head* head = nullptr;
    std::size_t length = 0;
    REQUIRE(::syscall(SYS_get_robust_list, 0, &head, &length) == 0);
    return head->list.next == &head->list ? nullptr : head->list.next;
}

}  // namespace

TEST_CASE(
    "SharedHeap: its lock stays locked when another heap was used inside",
    "[shared_heap]"
) {
    const SharedMutex outer;
    const SharedMutex inner;
    outer->lock();
    inner->lock();
    outer->lock();
    outer->unlock();
    CHECK(outer.state() == MutexState::held);
    inner->unlock();
    CHECK(inner.state() == MutexState::free);
    outer->lock();
    outer->unlock();
    CHECK(outer.state() == MutexState::held);
    outer->unlock();
    CHECK(outer.state() == MutexState::free);
}

TEST_CASE(
    "SharedHeap: its lock leaves those alone that were taken inside", "[shared_heap]"
) {
    const SharedMutex outer;
    pthread_mutex_t inner{};
    mp::os::init_robust_mutex(inner, mp::os::MutexKind::plain);
    std::thread([&] {
        outer->lock();
        REQUIRE(::pthread_mutex_lock(&inner) == 0);
        const void* const first = first_robust_lock();
        outer->unlock();
        CHECK(outer.state() == MutexState::free);
        CHECK(first_robust_lock() == first);
        REQUIRE(::pthread_mutex_unlock(&inner) == 0);
        CHECK(first_robust_lock() == nullptr);
    }).join();
}

TEST_CASE("SharedHeap: a forked child does not unlock its parent's", "[shared_heap]") {
    const SharedMutex mutex;
    mutex->lock();
    CHECK(test::run_in_fork([&] {
              mutex->unlock();
              return 0;
          }) == 0);
    CHECK(mutex.state() == MutexState::held);
    mutex->unlock();
    CHECK(mutex.state() == MutexState::free);
}

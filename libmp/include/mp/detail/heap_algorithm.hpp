// SPDX-License-Identifier: BSL-1.0
// HeapAlgorithm: Boost.Interprocess's best fit, under a lock that a killed process does
// not keep.
// Python:  none, because Python has no heap that several processes allocate from.
// Differs: from Boost's own: to give memory back never throws. Should the heap be
//          broken, that memory stays taken.
// Threads: any, of any process.
#pragma once

#include "mp/detail/heap_mutex.hpp"

#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>

#include <cstddef>
#include <mutex>
#include <utility>

namespace mp::detail {

using UnlockedHeapAlgorithm =
    boost::interprocess::rbtree_best_fit<boost::interprocess::null_mutex_family>;

class HeapAlgorithm : public UnlockedHeapAlgorithm {
    using Base = UnlockedHeapAlgorithm;
    using Held = std::lock_guard<HeapMutex>;

public:
    using mutex_family = HeapMutexFamily;
    using multiallocation_chain = Base::multiallocation_chain;
    using size_type = Base::size_type;

    HeapAlgorithm(size_type size, size_type extra_header)
        : Base(size, extra_header + sizeof(HeapAlgorithm) - sizeof(Base)) {}

    static size_type get_min_size(size_type extra_header) {
        return Base::get_min_size(extra_header + sizeof(HeapAlgorithm) - sizeof(Base));
    }

    void* allocate(size_type size) {
        const Held held(mutex_);
        return Base::allocate(size);
    }

    void* allocate_aligned(size_type size, size_type alignment) {
        const Held held(mutex_);
        return Base::allocate_aligned(size, alignment);
    }

    // What these take differs between the versions of Boost.

    template <class... Args>
    void allocate_many(Args&&... args) {
        const Held held(mutex_);
        Base::allocate_many(std::forward<Args>(args)...);
    }

    template <class... Args>
    auto allocation_command(Args&&... args) {
        const Held held(mutex_);
        return Base::allocation_command(std::forward<Args>(args)...);
    }

    /// From Boost 1.91 on there is none, and nothing asks for it.
    template <class Algorithm = Base, class... Args>
    void* raw_allocation_command(Args&&... args) {
        const Held held(mutex_);
        return Algorithm::raw_allocation_command(std::forward<Args>(args)...);
    }

    void deallocate(void* address) noexcept {
        if (mutex_.lock_quietly()) {
            Base::deallocate(address);
            mutex_.unlock();
        }
    }

    void deallocate_many(multiallocation_chain& chain) noexcept {
        if (mutex_.lock_quietly()) {
            Base::deallocate_many(chain);
            mutex_.unlock();
        }
    }

    bool all_memory_deallocated() {
        const Held held(mutex_);
        return Base::all_memory_deallocated();
    }

    bool check_sanity() {
        const Held held(mutex_);
        return Base::check_sanity();
    }

    void zero_free_memory() {
        const Held held(mutex_);
        Base::zero_free_memory();
    }

    /// For tests, which are killed while they hold it.
    HeapMutex& mutex() noexcept { return mutex_; }

private:
    HeapMutex mutex_;
};

}  // namespace mp::detail

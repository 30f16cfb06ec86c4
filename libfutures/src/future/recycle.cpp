// SPDX-License-Identifier: BSL-1.0
// Each thread has a short list of free blocks per size. What is too much for it goes to
// a common shelf in batches, and comes back in batches: the cost of the shelf's lock is
// shared by all blocks of a batch.
#include "futures/detail/recycle.hpp"

#include "mp/thread_safety.hpp"

#include "os/fork_lock.hpp"
#include "os/sanitized.hpp"

#include <array>
#include <new>
#include <vector>

namespace futures::detail {

namespace {

/// The sanitizers see more when each block is used once.
constexpr bool recycles = !mp::os::under_asan && !mp::os::under_tsan;
constexpr std::size_t granule = 64;
constexpr std::size_t sizes = 5;  // 64 to 320 bytes; bigger ones are not worth keeping
constexpr std::size_t batch = 64;
constexpr std::size_t shelf_bytes = std::size_t{64} << 20;

struct Block {
    Block* next;
};

class Shelf {
public:
    /// Takes a batch over, unless it is full.
    bool put(std::size_t size, Block* blocks) noexcept {
        const mp::os::ForkLockHeld held(lock_);
        const std::size_t bytes = batch * granule * (size + 1);
        if (bytes_ + bytes > shelf_bytes) {
            return false;
        }
        try {
            batches_[size].push_back(blocks);
        } catch (const std::bad_alloc&) {
            return false;
        }
        bytes_ += bytes;
        return true;
    }

    Block* take(std::size_t size) noexcept {
        const mp::os::ForkLockHeld held(lock_);
        if (batches_[size].empty()) {
            return nullptr;
        }
        Block* const blocks = batches_[size].back();
        batches_[size].pop_back();
        bytes_ -= batch * granule * (size + 1);
        return blocks;
    }

    /// Never destroyed: threads may end after everything else.
    static Shelf& instance() {
        static auto* const shelf = new Shelf;
        return *shelf;
    }

private:
    mp::os::ForkLock lock_;
    // Guarded by lock_.
    std::array<std::vector<Block*>, sizes> batches_ MP_GUARDED_BY(lock_);
    std::size_t bytes_ MP_GUARDED_BY(lock_) = 0;
};

void free_all(Block* blocks) noexcept {
    while (blocks != nullptr) {
        Block* const next = blocks->next;
        ::operator delete(blocks);
        blocks = next;
    }
}

class Cache {
public:
    Cache() = default;
    Cache(const Cache&) = delete;
    Cache& operator=(const Cache&) = delete;

    ~Cache() {
        gone = true;
        for (std::size_t size = 0; size < sizes; ++size) {
            List& list = lists_[size];
            free_all(list.first);
            free_all(list.reserve);
            list = {};
        }
    }

    void* take(std::size_t size) {
        List& list = lists_[size];
        if (list.first == nullptr) {
            list.first = list.reserve;
            list.reserve = nullptr;
            if (list.first == nullptr) {
                list.first = Shelf::instance().take(size);
            }
            if (list.first == nullptr) {
                return ::operator new((size + 1) * granule);
            }
            list.count = batch;
        }
        Block* const block = list.first;
        list.first = block->next;
        --list.count;
        return block;
    }

    void put(std::size_t size, void* memory) noexcept {
        List& list = lists_[size];
        if (list.count == batch) {
            if (list.reserve != nullptr && !Shelf::instance().put(size, list.reserve)) {
                free_all(list.reserve);
            }
            list.reserve = list.first;
            list.first = nullptr;
            list.count = 0;
        }
        list.first = ::new (memory) Block{list.first};
        ++list.count;
    }

    static thread_local bool gone;

private:
    struct List {
        Block* first = nullptr;
        std::size_t count = 0;
        Block* reserve = nullptr;  // null, or a whole batch
    };

    std::array<List, sizes> lists_;
};

// Readable after the cache was destroyed, which the cache itself is not.
thread_local bool Cache::gone = false;
thread_local Cache cache;

constexpr bool is_recycled(std::size_t size) noexcept {
    return recycles && size != 0 && size <= sizes * granule;
}

}  // namespace

void* recycled_new(std::size_t size) {
    if (!is_recycled(size)) {
        return ::operator new(size);
    }
    const std::size_t index = (size - 1) / granule;
    return Cache::gone ? ::operator new((index + 1) * granule) : cache.take(index);
}

void recycled_delete(void* block, std::size_t size) noexcept {
    if (!is_recycled(size) || Cache::gone) {
        ::operator delete(block);
    } else {
        cache.put((size - 1) / granule, block);
    }
}

}  // namespace futures::detail

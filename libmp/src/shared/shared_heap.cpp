// SPDX-License-Identifier: BSL-1.0
#include "mp/shared_heap.hpp"

#include "mp/errors.hpp"

#include <boost/version.hpp>

#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>

namespace mp {

namespace detail {

void throw_heap_name_taken(const char* name) {
    throw std::invalid_argument(
        std::string("a SharedHeap has an object called '") + name + "' already"
    );
}

void throw_heap_type_differs(const char* name, std::string_view wanted) {
    throw std::invalid_argument(
        std::string("the object called '") + name + "' of a SharedHeap is no " +
        std::string(wanted)
    );
}

namespace {

namespace ipc = boost::interprocess;

/// What stands before the heap, so that nothing else is taken for one.
struct HeapHeader {
    char magic[8] = {'m', 'p', '-', 'h', 'e', 'a', 'p', '1'};
    std::uint64_t boost_version = BOOST_VERSION;
    std::uint64_t algorithm = type_tag<HeapAlgorithm>();
    std::uint64_t size = 0;
    std::byte unused[32] = {};
};

static_assert(sizeof(HeapHeader) == 64);

constexpr std::size_t smallest = 4096;

void make_heap(std::span<std::byte> memory) {
    const HeapHeader header{.size = memory.size()};
    const HeapManager heap(
        ipc::create_only, memory.data() + sizeof header, memory.size() - sizeof header
    );
    std::memcpy(memory.data(), &header, sizeof header);
}

void check_heap(std::span<const std::byte> memory) {
    const HeapHeader wanted{.size = memory.size()};
    if (memory.size() < smallest ||
        std::memcmp(memory.data(), wanted.magic, sizeof wanted.magic) != 0) {
        throw std::invalid_argument("this shared memory holds no SharedHeap");
    }
    if (std::memcmp(memory.data(), &wanted, sizeof wanted) != 0) {
        throw std::invalid_argument(
            "the SharedHeap was made by a program that was built with another Boost"
        );
    }
}

}  // namespace

}  // namespace detail

SharedHeap::SharedHeap(SharedHeapOptions options) {
    if (options.create) {
        if (options.size.get() < detail::smallest) {
            throw std::invalid_argument(
                "a SharedHeap needs a size of at least " +
                std::to_string(detail::smallest)
            );
        }
        shm_ = SharedMemory(
            {
                .name = std::move(options.name),
                .create = true,
                .size = options.size,
                .track = options.track,
            },
            detail::make_heap
        );
    } else {
        shm_ =
            SharedMemory({.name = std::move(options.name), .any_user = options.any_user}
            );
    }
    look();
}

void SharedHeap::look() {
    const auto memory = shm_.buf();
    detail::check_heap(memory);
    const auto view = shm_.view();
    // The manager is only a pointer; it keeps the memory.
    manager_ = std::shared_ptr<detail::HeapManager>(
        new detail::HeapManager(
            boost::interprocess::open_only,
            memory.data() + sizeof(detail::HeapHeader),
            memory.size() - sizeof(detail::HeapHeader)
        ),
        [view](detail::HeapManager* manager) { delete manager; }
    );
}

detail::HeapManager& SharedHeap::manager() const {
    if (!shm_) {
        throw StateError("this SharedHeap is closed");
    }
    return *manager_;
}

void SharedHeap::throw_not_constructed(const char* name) const {
    if (manager().find<char>(name).first != nullptr) {
        detail::throw_heap_name_taken(name);
    }
    throw std::bad_alloc();
}

}  // namespace mp

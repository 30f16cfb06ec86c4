// SPDX-License-Identifier: BSL-1.0
// SharedHeap: rich data in place, seen by several processes: Boost.Interprocess's
// containers in a SharedMemory. Not part of mp/mp.hpp, for the weight of Boost's
// headers.
// Python:  none, because no Python object can live in shared memory.
// Differs: from Boost's managed segments: a process killed while it allocates makes the
//          next one throw OwnerDied, where Boost's lock stays taken for ever. Finding
//          an object checks its type, attaching checks that both sides were built with
//          the same Boost.
// Threads: any. The heap locks itself; what is in its objects, the program has to lock.
// Processes: travels as the SharedMemory that it is in. In the objects there must be
//          nothing that is bound to a process: pointers, virtual functions, containers
//          with their ordinary allocators; locks of mp belong beside the heap.
// Owns:    as SharedMemory. References into the heap are good while a handle is open.
// Throws:  std::bad_alloc when it is full (inside a container, Boost's own
//          boost::interprocess::bad_alloc), OwnerDied, TimeoutError when a
//          process was stopped while it allocated, std::invalid_argument, and what
//          SharedMemory throws.
#pragma once

#include "mp/detail/heap_algorithm.hpp"
#include "mp/detail/type_name.hpp"
#include "mp/detail/type_tag.hpp"
#include "mp/shared_memory.hpp"

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/containers/string.hpp>
#include <boost/interprocess/containers/vector.hpp>
#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace mp {

namespace detail {

using HeapManager = boost::interprocess::
    basic_managed_external_buffer<char, HeapAlgorithm, boost::interprocess::iset_index>;

template <class T>
concept KeepsOrdinaryMemory = requires {
    requires std::
        same_as<typename T::allocator_type, std::allocator<typename T::value_type>>;
};

/// What can be told of a type. That a struct has a pointer inside cannot.
template <class T>
concept LivesInSharedHeap = std::is_object_v<T> && !std::is_pointer_v<T> &&
                            !std::is_polymorphic_v<T> && !KeepsOrdinaryMemory<T>;

/// An object under a name, and what it is.
template <class T>
struct HeapObject {
    template <class... Args>
    explicit HeapObject(Args&&... args) : value(std::forward<Args>(args)...) {}

    std::uint64_t tag = type_tag<T>();
    T value;
};

[[noreturn]] void throw_heap_name_taken(const char* name);
[[noreturn]] void throw_heap_type_differs(const char* name, std::string_view wanted);

}  // namespace detail

struct SharedHeapOptions {
    /// As of SharedMemory.
    std::string name = {};
    /// Make it; otherwise attach to what exists.
    bool create = false;
    /// Of a new one; the heap does not grow. Its own records take some hundred bytes.
    detail::ByteCount size = {};
    /// As of SharedMemory.
    bool track = true;
    /// As of SharedMemory; but here whoever owns the heap can make this process do what
    /// it likes, for the heap's own records are believed.
    bool any_user = false;
};

class SharedHeap {
public:
    /// Boost.Interprocess's own, for its allocators.
    using SegmentManager = detail::HeapManager::segment_manager;
    /// Takes memory from the heap.
    template <class T>
    using Allocator = boost::interprocess::allocator<T, SegmentManager>;

    // Containers for the heap. Each takes allocator<...>() as its last argument.
    /// std::vector's counterpart in the heap.
    template <class T>
    using Vector = boost::interprocess::vector<T, Allocator<T>>;
    /// std::string's counterpart in the heap.
    using String = boost::interprocess::
        basic_string<char, std::char_traits<char>, Allocator<char>>;
    /// std::map's counterpart in the heap.
    template <class Key, class T, class Less = std::less<Key>>
    using Map =
        boost::interprocess::map<Key, T, Less, Allocator<std::pair<const Key, T>>>;

    /// Closed; something to assign to.
    SharedHeap() noexcept = default;

    /// Creates or attaches, as SharedMemory does. Throws std::invalid_argument, too,
    /// when what is there is no heap, or one of a program built with another Boost.
    explicit SharedHeap(SharedHeapOptions options);

    /// A new object under that name. Throws std::invalid_argument when it is taken.
    template <detail::LivesInSharedHeap T, class... Args>
    T& construct(const char* name, Args&&... args) {
        auto* const object = manager().construct<detail::HeapObject<T>>(
            name, std::nothrow
        )(std::forward<Args>(args)...);
        if (object == nullptr) {
            throw_not_constructed(name);
        }
        return object->value;
    }

    /// The object of that name; nullptr when there is none. Throws
    /// std::invalid_argument when it is no T.
    template <detail::LivesInSharedHeap T>
    T* find(const char* name) {
        const auto [bytes, size] = manager().find<char>(name);
        if (bytes == nullptr) {
            return nullptr;
        }
        auto* const object = reinterpret_cast<detail::HeapObject<T>*>(bytes);
        if (size != sizeof *object || object->tag != detail::type_tag<T>()) {
            detail::throw_heap_type_differs(name, detail::type_name<T>());
        }
        return &object->value;
    }

    /// Destroys the object of that name; returns whether there was one.
    template <detail::LivesInSharedHeap T>
    bool destroy(const char* name) {
        return find<T>(name) != nullptr &&
               manager().destroy<detail::HeapObject<T>>(name);
    }

    /// What containers in the heap take as their last argument.
    template <class T>
    Allocator<T> allocator() {
        return Allocator<T>(manager().get_segment_manager());
    }

    /// How many bytes are left, in all; the largest piece may be smaller.
    std::size_t free_memory() const { return manager().get_free_memory(); }

    /// Its name and size, close() and unlink().
    SharedMemory& shm() noexcept { return shm_; }

    const SharedMemory& shm() const noexcept { return shm_; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& shm_;
        if constexpr (!Archive::is_saving::value) {
            look();
        }
    }

private:
    void look();
    /// Throws StateError when closed.
    detail::HeapManager& manager() const;
    [[noreturn]] void throw_not_constructed(const char* name) const;

    SharedMemory shm_;
    std::shared_ptr<detail::HeapManager> manager_;
};

}  // namespace mp

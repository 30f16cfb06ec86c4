// SPDX-License-Identifier: BSL-1.0
// SharedHeap: objects in shared memory, found by name and type.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/shared_heap.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <boost/interprocess/allocators/adaptive_pool.hpp>
#include <boost/interprocess/allocators/node_allocator.hpp>
#include <boost/interprocess/containers/deque.hpp>
#include <boost/interprocess/containers/list.hpp>
#include <boost/interprocess/containers/stable_vector.hpp>

#include <new>

using namespace mp;

namespace {

using Numbers = SharedHeap::Vector<int>;
using Words = SharedHeap::Map<int, SharedHeap::String>;

SharedHeap make_heap(std::size_t size = 1 << 16) {
    return SharedHeap({.create = true, .size = size});
}

void add_in_child(SharedHeap heap) {
    auto* const numbers = heap.find<Numbers>("numbers");
    numbers->push_back(4);
    auto& words = heap.construct<Words>("words", heap.allocator<int>());
    words.emplace(1, SharedHeap::String("one", heap.allocator<char>()));
}

}  // namespace

TEST_CASE("SharedHeap: objects are found by name and type", "[shared_heap]") {
    SharedHeap heap = make_heap();
    Numbers& numbers = heap.construct<Numbers>("numbers", heap.allocator<int>());
    numbers.assign({1, 2, 3});
    CHECK(heap.find<Numbers>("numbers") == &numbers);
    CHECK(heap.find<Numbers>("none") == nullptr);
    CHECK_THROWS_AS(heap.find<int>("numbers"), std::invalid_argument);
    CHECK_THROWS_AS(heap.find<Words>("numbers"), std::invalid_argument);
    CHECK_THROWS_AS(
        heap.construct<Numbers>("numbers", heap.allocator<int>()), std::invalid_argument
    );
    SharedHeap same({.name = heap.shm().name()});
    CHECK(same.find<Numbers>("numbers")->size() == 3);
    CHECK(heap.destroy<Numbers>("numbers"));
    CHECK_FALSE(same.destroy<Numbers>("numbers"));
    heap.construct<double>("one number", 2.5);
    CHECK(*same.find<double>("one number") == 2.5);
    heap.shm().unlink();
}

TEST_CASE("SharedHeap: a child adds to it", "[shared_heap]") {
    const Context ctx = each_start_method();
    SharedHeap heap = make_heap();
    heap.construct<Numbers>("numbers", heap.allocator<int>()).assign({1, 2, 3});
    auto p = ctx.Process(add_in_child, heap);
    p.start();
    p.join();
    CHECK(p.exitcode() == 0);
    CHECK(heap.find<Numbers>("numbers")->back() == 4);
    CHECK(heap.find<Words>("words")->begin()->second == "one");
    heap.shm().unlink();
}

TEST_CASE("SharedHeap: full, it says so and goes on", "[shared_heap]") {
    SharedHeap heap = make_heap(4096);
    const std::size_t before = heap.free_memory();
    {
        Numbers numbers(heap.allocator<int>());
        CHECK_THROWS_AS(numbers.resize(1000), boost::interprocess::bad_alloc);
        struct Big {
            char bytes[5000] = {};
        };
        CHECK_THROWS_AS(heap.construct<Big>("big"), std::bad_alloc);
        numbers.resize(100);
    }
    CHECK(heap.free_memory() == before);
    heap.shm().unlink();
}

TEST_CASE("SharedHeap: Boost's other containers and allocators", "[shared_heap]") {
    namespace bip = boost::interprocess;
    using Segment = bip::allocator<int, mp::detail::HeapManager::segment_manager>;
    using Nodes = bip::node_allocator<int, mp::detail::HeapManager::segment_manager>;
    using Pool = bip::adaptive_pool<int, mp::detail::HeapManager::segment_manager>;
    SharedHeap heap = make_heap();
    const std::size_t before = heap.free_memory();
    const Segment from = heap.allocator<int>();
    {
        bip::list<int, Segment> list(from);
        list.insert(list.end(), 100, 1);  // many at once
        bip::stable_vector<int, Segment> stable(from);
        stable.resize(100);
        bip::deque<int, Segment> deque(from);
        deque.assign(100, 1);
        bip::vector<int, Segment> vector(from);
        vector.assign(100, 1);
        vector.insert(vector.end(), 100, 2);  // where it is, if there is room behind it
        CHECK(list.size() + stable.size() + deque.size() + vector.size() == 500);
    }
    {
        bip::list<int, Nodes> nodes(from.get_segment_manager());
        nodes.assign(100, 1);
        bip::list<int, Pool> pooled(from.get_segment_manager());
        pooled.assign(100, 1);
        CHECK(nodes.size() + pooled.size() == 200);
    }
    CHECK(heap.free_memory() == before);
    heap.shm().unlink();
}

TEST_CASE("SharedHeap: what is no heap is refused", "[shared_heap]") {
    CHECK_THROWS_AS(make_heap(100), std::invalid_argument);
    CHECK_THROWS_AS(SharedHeap().free_memory(), StateError);
    SharedMemory memory({.create = true, .size = 8192});
    CHECK_THROWS_AS(SharedHeap({.name = memory.name()}), std::invalid_argument);
    memory.unlink();
    SharedHeap heap = make_heap();
    heap.shm().buf()[8] = std::byte{1};
    CHECK_THROWS_AS(SharedHeap({.name = heap.shm().name()}), std::invalid_argument);
    heap.shm().unlink();
    heap.shm().close();
    CHECK_THROWS_AS(heap.find<int>("x"), StateError);
}

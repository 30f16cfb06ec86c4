// SPDX-License-Identifier: BSL-1.0
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/shared_heap.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <string>
#include <thread>

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

// What must survive what: case Q12.
TEST_CASE("SharedHeap: killed while it allocates: an error, no hang", "[shared_heap]") {
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

TEST_CASE("SharedHeap: killed anywhere, the others go on or know", "[shared_heap]") {
    for (int round = 0; round < 20; ++round) {
        SharedHeap heap = make_heap();
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

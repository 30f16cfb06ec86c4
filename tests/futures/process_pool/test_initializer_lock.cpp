// SPDX-License-Identifier: BSL-1.0
// What processes share, as arguments of a pool's initializer: every kind of object,
// under every start method, in workers that come later, too.
#include "futures/process_pool.hpp"
#include "mp/dup_fd.hpp"
#include "mp/mp.hpp"
#include "mp/shared_heap.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <tuple>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::on;

namespace {

/// Where an initializer leaves a T for the tasks of its worker.
template <class T>
std::optional<T>& kept() {
    static auto* const object = new std::optional<T>;
    return *object;
}

template <class T>
void keep(T object) {
    kept<T>().emplace(std::move(object));
}

template <class... T>
void keep_all(T... objects) {
    kept<std::tuple<T...>>().emplace(std::move(objects)...);
}

ProcessPoolExecutor
pool_with(const mp::Context& context, mp::Call initializer, int workers = 1) {
    auto options = on(context, workers, OnWorkerLoss::isolate);
    options.initializer = std::move(initializer);
    return ProcessPoolExecutor(std::move(options));
}

template <class... T>
mp::Call keeping(const std::tuple<T...>& objects) {
    return std::apply(
        [](const T&... each) { return mp::call(&keep_all<T...>, each...); }, objects
    );
}

template <class T>
mp::Call keeping(const T& object) {
    return mp::call(&keep<T>, object);
}

void take_nothing(const mp::Lock&) {}

int one() {
    return 1;
}

void die() {
    raise(SIGKILL);
}

}  // namespace

TEST_CASE(
    "initializer: a Lock is an argument of it under every start method", "[pool]"
) {
    const auto context = each_pool_start_method();
    const mp::Lock lock;
    auto options = on(context, 1);
    options.initializer = mp::call(take_nothing, lock);
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(one).result() == 1);
}

TEST_CASE("initializer: the lock in the workers is the lock of the parent", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Lock lock;
    auto pool = pool_with(context, keeping(lock), 2);
    const auto try_it = [] {
        const bool got = bool(kept<mp::Lock>()->acquire(0s));
        if (got) {
            kept<mp::Lock>()->release();
        }
        return got;
    };
    CHECK(pool.submit(try_it).result());
    lock.acquire();
    CHECK_FALSE(pool.submit(try_it).result());
    lock.release();
    CHECK(pool.submit(try_it).result());
}

TEST_CASE("initializer: locks and signals of every kind", "[pool]") {
    const auto context = each_pool_start_method();
    using All = std::tuple<
        mp::RLock,
        mp::Semaphore,
        mp::BoundedSemaphore,
        mp::Event,
        mp::Condition,
        mp::Barrier>;
    All all{
        mp::RLock(),
        mp::Semaphore(0),
        mp::BoundedSemaphore(1),
        mp::Event(),
        mp::Condition(),
        mp::Barrier(2)};
    auto pool = pool_with(context, keeping(all));
    auto done = pool.submit([] {
        auto& [rlock, tokens, bounded, event, condition, barrier] = *kept<All>();
        rlock.acquire();
        rlock.release();
        bounded.acquire();
        bounded.release();
        condition.acquire();
        condition.notify_all();
        condition.release();
        event.set();
        tokens.release();
        barrier.wait();
        return true;
    });
    CHECK(std::get<mp::Event>(all).wait(20s));
    CHECK(std::get<mp::Semaphore>(all).acquire(20s));
    std::get<mp::Barrier>(all).wait();
    CHECK(done.result());
}

TEST_CASE("initializer: queues of every kind", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    mp::SimpleQueue<std::string> simple;
    mp::JoinableQueue<int> joinable;
    using All = std::
        tuple<mp::Queue<int>, mp::SimpleQueue<std::string>, mp::JoinableQueue<int>>;
    joinable.put(3);
    auto pool = pool_with(context, keeping(All(queue, simple, joinable)));
    auto done = pool.submit([] {
        auto& [q, s, j] = *kept<All>();
        q.put(1);
        s.put("two");
        const int got = j.get();
        j.task_done();
        return got;
    });
    CHECK(queue.get(20s) == 1);
    CHECK(simple.get() == "two");
    CHECK(done.result() == 3);
    joinable.join();
}

TEST_CASE("initializer: values, arrays and memory of every kind", "[pool]") {
    const auto context = each_pool_start_method();
    using All = std::tuple<
        mp::Value<int>,
        mp::Array<double>,
        mp::RawValue<int>,
        mp::SharedMemory,
        mp::ShareableList,
        mp::SharedHeap>;
    All all{
        mp::Value<int>(1),
        mp::Array<double>(3),
        mp::RawValue<int>(2),
        mp::SharedMemory({.create = true, .size = 4096}),
        mp::ShareableList({1, "text"}),
        mp::SharedHeap({.create = true, .size = 65536})};
    std::get<mp::SharedHeap>(all).construct<int>("n", 7);
    auto pool = pool_with(context, keeping(all));
    // A name is not needed any more.
    std::get<mp::SharedMemory>(all).unlink();
    CHECK(
        pool.submit([] {
                auto& [value, array, raw, memory, list, heap] = *kept<All>();
                value.set(value.get() + 10);
                array[1] = 2.5;
                raw.set(raw.get() + 20);
                memory.buf()[9] = std::byte{42};
                list.set(0, 5);
                return *heap.find<int>("n");
            }
        ).result() == 7
    );
    CHECK(std::get<mp::Value<int>>(all).get() == 11);
    CHECK(std::get<mp::Array<double>>(all)[1] == 2.5);
    CHECK(std::get<mp::RawValue<int>>(all).get() == 22);
    CHECK(std::get<mp::SharedMemory>(all).buf()[9] == std::byte{42});
    CHECK(std::get<mp::ShareableList>(all).at<std::int64_t>(0) == 5);
    std::get<mp::ShareableList>(all).shm().unlink();
    std::get<mp::SharedHeap>(all).shm().unlink();
}

TEST_CASE("initializer: connections and descriptors", "[pool]") {
    const auto context = each_pool_start_method();
    auto [here, there] = mp::Pipe();
    const mp::DupFd standard_error(2);
    using All = std::tuple<mp::Connection, mp::DupFd>;
    auto pool = pool_with(context, keeping(All(there, standard_error)));
    there.close();
    CHECK(pool.submit([] {
                  std::get<0>(*kept<All>()).send(std::string("hello"));
                  return std::get<1>(*kept<All>()).fileno() >= 0;
              }
    ).result());
    CHECK(here.recv<std::string>() == "hello");
}

TEST_CASE("initializer: the objects may be gone before a worker comes", "[pool]") {
    const auto context = each_pool_start_method();
    auto pool = [&] {
        mp::Queue<int> queue;
        queue.put(5);
        return pool_with(context, keeping(queue));
    }();
    // Others take the room that they had, if it is free.
    const mp::Queue<int> other;
    const mp::Lock lock;
    CHECK(pool.submit([] { return kept<mp::Queue<int>>()->get(20s); }).result() == 5);
}

TEST_CASE("initializer: a worker that replaces a lost one has them", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    auto pool = pool_with(context, keeping(queue), 2);
    for (int round = 0; round < 3; ++round) {
        CHECK_THROWS_AS(pool.submit(die).result(), futures::WorkerLost);
        pool.submit([] { kept<mp::Queue<int>>()->put(getpid()); }).result();
        CHECK(queue.get(20s) > 0);
    }
}

TEST_CASE("initializer: workers that retire hand them to the next", "[pool]") {
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    mp::Value<int> value(0);
    auto options = on(mp::get_context(method), 1);
    options.max_tasks_per_child = 1;
    options.initializer = keeping(value);
    ProcessPoolExecutor pool(std::move(options));
    for (int round = 1; round <= 3; ++round) {
        pool.submit([] {
                auto& kept_value = *kept<mp::Value<int>>();
                kept_value.set(kept_value.get() + 1);
            }
        ).result();
        CHECK(value.get() == round);
    }
}

TEST_CASE("initializer: two pools may be given the same objects", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    const auto initializer = keeping(queue);
    auto options = on(context, 1);
    options.initializer = initializer;
    ProcessPoolExecutor first(options);
    ProcessPoolExecutor second(options);
    first.submit([] { kept<mp::Queue<int>>()->put(1); }).result();
    second.submit([] { kept<mp::Queue<int>>()->put(2); }).result();
    CHECK(queue.get(20s) + queue.get(20s) == 3);
}

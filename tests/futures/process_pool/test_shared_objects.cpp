// SPDX-License-Identifier: BSL-1.0
// SharedObjects: what processes share, as arguments of a pool's tasks.
#include "futures/process_pool.hpp"
#include "futures/shared_objects.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <mutex>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::on;

namespace {

void put(mp::Queue<int> queue, int x) {
    queue.put(x);
}

void put_locked(mp::Lock lock, mp::Queue<int> queue, int x) {
    const std::scoped_lock held(lock);
    queue.put(x);
}

void send(mp::Connection connection, const std::string& text) {
    connection.send(text);
}

void initialise(const mp::Queue<int>&) {}

void die() {
    raise(SIGKILL);
}

std::string error_of_task(futures::Future<void> future) {
    try {
        future.result();
    } catch (const mp::SerializationError& error) {
        CHECK(error.phase == mp::SerializationPhase::encode_task);
        return error.what();
    }
    return "it worked";
}

bool names_the_way(const std::string& text) {
    return text.find(".shared = {") != std::string::npos &&
           text.find("initializer") != std::string::npos;
}

}  // namespace

TEST_CASE(
    "SharedObjects: what a pool was given is an argument of its tasks", "[pool]"
) {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    mp::Lock lock;
    auto options = on(context, 2);
    options.shared = {queue, lock};
    ProcessPoolExecutor pool(std::move(options));
    pool.submit(put, queue, 1).result();
    pool.submit(put_locked, lock, queue, 2).result();
    CHECK(queue.get(20s) == 1);
    CHECK(queue.get(20s) == 2);
    lock.acquire();
    auto waits = pool.submit(put_locked, lock, queue, 3);
    CHECK_THROWS_AS(queue.get(0s), mp::Empty);
    lock.release();
    waits.result();
    CHECK(queue.get(20s) == 3);
}

TEST_CASE("SharedObjects: so is what the initializer was given", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    auto options = on(context, 1);
    options.initializer = mp::call(initialise, queue);
    ProcessPoolExecutor pool(std::move(options));
    pool.submit(put, queue, 4).result();
    CHECK(queue.get(20s) == 4);
}

TEST_CASE("SharedObjects: map() and chunks of it take them, too", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    auto options = on(context, 2);
    options.shared = {queue};
    ProcessPoolExecutor pool(std::move(options));
    const std::vector<mp::Queue<int>> queues(6, queue);
    const std::vector<int> numbers{1, 2, 3, 4, 5, 6};
    const int chunk = GENERATE(1, 3);
    for (auto&& done : pool.map({.chunksize = chunk}, put, queues, numbers)) {
        static_cast<void>(done);
    }
    int sum = 0;
    for (int i = 0; i < 6; ++i) {
        sum += queue.get(20s);
    }
    CHECK(sum == 21);
}

TEST_CASE("SharedObjects: connections travel as often as they are named", "[pool]") {
    const auto context = each_pool_start_method();
    auto [here, there] = mp::Pipe();
    auto options = on(context, 1);
    options.shared = {there, there};
    ProcessPoolExecutor pool(std::move(options));
    pool.submit(send, there, "a").result();
    pool.submit(send, there, "b").result();
    CHECK(here.recv<std::string>() == "a");
    CHECK(here.recv<std::string>() == "b");
}

TEST_CASE("SharedObjects: workers that come later know them", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    auto options = on(context, 1, OnWorkerLoss::isolate);
    options.shared = {queue};
    ProcessPoolExecutor pool(std::move(options));
    CHECK_THROWS_AS(pool.submit(die).result(), futures::WorkerLost);
    pool.submit(put, queue, 5).result();
    CHECK(queue.get(20s) == 5);
}

TEST_CASE("SharedObjects: without, the error names the way", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    mp::Lock lock;
    mp::Lock other;
    auto [here, there] = mp::Pipe();
    auto options = on(context, 1);
    options.shared = {lock};
    ProcessPoolExecutor pool(std::move(options));
    CHECK(names_the_way(error_of_task(pool.submit(put, queue, 1))));
    CHECK(names_the_way(error_of_task(pool.submit(send, there, "x"))));
    // Its neighbour in memory was given.
    CHECK(names_the_way(error_of_task(pool.submit([](const mp::Lock&) {}, other))));
    CHECK(error_of_task(pool.submit([](const mp::Lock&) {}, lock)) == "it worked");
    // A pool that was given nothing says the same.
    ProcessPoolExecutor bare(on(context, 1));
    CHECK(names_the_way(error_of_task(bare.submit(put, queue, 1))));
}

TEST_CASE("SharedObjects: a call carries them to any child", "[pool]") {
    const auto context = each_pool_start_method();
    mp::Queue<int> queue;
    const auto call = mp::call(put, queue, 8);
    auto process = context.Process([](const mp::Call& made) { made(); }, call);
    process.start();
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(queue.get(20s) == 8);
}

TEST_CASE(
    "SharedObjects: a call that carries something stays with its kind", "[pool]"
) {
    const mp::Queue<int> queue;
    mp::Queue<mp::Call> calls;
    const auto call = mp::call(initialise, queue);
    CHECK_THROWS_AS(calls.put(call), mp::StateError);
    // In this process it can be made as often as wanted.
    call();
    call();
}

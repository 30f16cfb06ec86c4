// SPDX-License-Identifier: BSL-1.0
// JoinableQueue: join() and task_done().
#include "mp/context.hpp"
#include "mp/joinable_queue.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

void work_through(mp::JoinableQueue<int> queue) {
    for (int item = queue.get(); item >= 0; item = queue.get()) {
        queue.task_done();
    }
    queue.task_done();
}

void take_and_die(mp::JoinableQueue<int> queue, int items) {
    for (int i = 0; i < items; ++i) {
        queue.get();
    }
    ::kill(::getpid(), SIGKILL);
}

}  // namespace

TEST_CASE("JoinableQueue: join waits for what was taken", "[queue]") {
    mp::JoinableQueue<int> queue;
    CHECK(queue.join());
    queue.put(1);
    queue.put(2);
    CHECK_FALSE(queue.join(0s));
    CHECK(queue.get() == 1);
    CHECK(queue.get() == 2);
    CHECK_FALSE(queue.join(10ms));
    queue.task_done();
    CHECK_FALSE(queue.join(0s));
    std::thread other([&] { queue.task_done(); });
    CHECK(queue.join());
    other.join();
    CHECK_THROWS_AS(queue.task_done(), std::invalid_argument);
    CHECK(queue.join(0s));
}

TEST_CASE("JoinableQueue: workers finish what the parent put", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::JoinableQueue<int> queue;
    std::vector<mp::Process> workers;
    for (int i = 0; i < 3; ++i) {
        workers.push_back(ctx.Process(work_through, queue));
        workers.back().start();
    }
    for (int i = 0; i < 300; ++i) {
        queue.put(i);
    }
    CHECK(queue.join(60s));
    for (int i = 0; i < 3; ++i) {
        queue.put(-1);
    }
    CHECK(queue.join(60s));
    for (auto& worker : workers) {
        CHECK(worker.join(60s));
    }
}

TEST_CASE("JoinableQueue: a dead consumer does not keep join waiting", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::JoinableQueue<int> queue;
    for (int i = 0; i < 5; ++i) {
        queue.put(i);
    }
    auto p = ctx.Process(take_and_die, queue, 3);
    p.start();
    REQUIRE(p.join(60s));
    CHECK(queue.qsize() == 2);
    queue.get();
    queue.task_done();
    queue.get();
    std::thread last([&] { queue.task_done(); });
    CHECK_THROWS_AS(queue.join(60s), mp::OwnerDied);
    last.join();
    CHECK(queue.join(60s));
    CHECK_THROWS_AS(queue.task_done(), std::invalid_argument);
}

TEST_CASE("JoinableQueue: shut down at once, nobody waits", "[queue]") {
    mp::JoinableQueue<int> queue;
    queue.put(1);
    std::thread joiner([&] { CHECK(queue.join(60s)); });
    queue.shutdown({.immediate = true});
    joiner.join();
}

// SPDX-License-Identifier: BSL-1.0
// What CPython's tests say of multiprocessing's queues.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

void get_six_then_put(mp::Queue<int> queue, mp::Event start, mp::Event done) {
    start.wait();
    for (int i = 0; i < 6; ++i) {
        queue.get();
    }
    done.set();
}

void put_four(mp::Queue<int> queue, mp::Event start, mp::Event done) {
    start.wait();
    for (const int item : {2, 3, 4, 5}) {
        queue.put(item);
    }
    done.set();
}

void put_ten(mp::Queue<int> queue) {
    for (int i = 10; i < 20; ++i) {
        queue.put(i);
    }
}

void finish_items(mp::JoinableQueue<std::optional<int>> queue) {
    while (queue.get()) {
        queue.task_done();
    }
    queue.task_done();
}

struct Unserialisable {
    bool refuses = false;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if (Archive::is_saving::value && refuses) {
            throw std::domain_error("not for others");
        }
        archive& refuses;
    }
};

template <class Call>
void check_empty_after_a_while(Call call) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(call(), mp::Empty);
    CHECK(std::chrono::steady_clock::now() - begin >= 100ms);
}

// Made while the program is still being loaded.
std::string put_and_get() {
    mp::Queue<std::string> queue;
    queue.put("early");
    return queue.get(3s);
}

const std::string got_early = put_and_get();

}  // namespace

TEST_CASE("_TestQueue.test_put: all forms fill it, then all say Full", "[ported]") {
    const mp::Context ctx = each_start_method();
    auto queue = ctx.Queue<int>(6);
    auto start = ctx.Event();
    auto done = ctx.Event();
    auto p = ctx.Process({.daemon = true}, get_six_then_put, queue, start, done);
    p.start();
    CHECK(queue.empty());
    CHECK_FALSE(queue.full());
    queue.put(1);
    queue.put(2, mp::forever);
    queue.put(3, 1s);
    queue.put(4, 0s);
    queue.put_nowait(5);
    queue.put_nowait(6);
    CHECK_FALSE(queue.empty());
    CHECK(queue.full());
    CHECK_THROWS_AS(queue.put(7, 0s), mp::Full);
    CHECK_THROWS_AS(queue.put_nowait(7), mp::Full);
    CHECK_THROWS_AS(queue.put(7, 50ms), mp::Full);
    start.set();
    CHECK(done.wait(60s));
    CHECK(queue.empty());
    CHECK_FALSE(queue.full());
    CHECK(p.join(60s));
    queue.close();
}

TEST_CASE("_TestQueue.test_get: in order, then all forms say Empty", "[ported]") {
    const mp::Context ctx = each_start_method();
    auto queue = ctx.Queue<int>();
    auto start = ctx.Event();
    auto done = ctx.Event();
    auto p = ctx.Process({.daemon = true}, put_four, queue, start, done);
    p.start();
    CHECK(queue.empty());
    start.set();
    CHECK(done.wait(60s));
    CHECK_FALSE(queue.empty());
    CHECK(queue.get_nowait() == 2);
    CHECK(queue.get(mp::forever) == 3);
    CHECK(queue.get(1s) == 4);
    CHECK(queue.get() == 5);
    CHECK(queue.empty());
    CHECK_THROWS_AS(queue.get(0s), mp::Empty);
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    check_empty_after_a_while([&] { return queue.get(150ms); });
    CHECK(p.join(60s));
    queue.close();
}

TEST_CASE("_TestQueue.test_fork: a child puts behind what its parent put", "[ported]") {
    const mp::Context ctx = each_start_method();
    auto queue = ctx.Queue<int>();
    for (int i = 0; i < 10; ++i) {
        queue.put(i);
    }
    auto p = ctx.Process({.daemon = true}, put_ten, queue);
    p.start();
    for (int i = 0; i < 20; ++i) {
        CHECK(queue.get(60s) == i);
    }
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    CHECK(p.join(60s));
}

TEST_CASE("_TestQueue.test_qsize: follows put and get", "[ported]") {
    mp::Queue<int> queue;
    CHECK(queue.qsize() == 0);
    queue.put(1);
    CHECK(queue.qsize() == 1);
    queue.put(5);
    CHECK(queue.qsize() == 2);
    queue.get();
    CHECK(queue.qsize() == 1);
    queue.get();
    CHECK(queue.qsize() == 0);
    queue.close();
}

TEST_CASE("_TestQueue.test_task_done: join returns after all of it", "[ported]") {
    const mp::Context ctx = each_start_method();
    auto queue = ctx.JoinableQueue<std::optional<int>>();
    std::vector<mp::Process> workers;
    for (int i = 0; i < 4; ++i) {
        workers.push_back(ctx.Process({.daemon = true}, finish_items, queue));
        workers.back().start();
    }
    for (int i = 0; i < 10; ++i) {
        queue.put(i);
    }
    CHECK(queue.join(60s));
    for (std::size_t i = 0; i < workers.size(); ++i) {
        queue.put(std::nullopt);
    }
    for (auto& worker : workers) {
        CHECK(worker.join(60s));
    }
    queue.close();
}

TEST_CASE(
    "_TestQueue.test_no_import_lock_contention: while the program is being loaded",
    "[ported]"
) {
    CHECK(got_early == "early");
}

TEST_CASE("_TestQueue.test_timeout: get waits as long as it says", "[ported]") {
    mp::Queue<int> queue;
    check_empty_after_a_while([&] { return queue.get(200ms); });
    queue.close();
}

TEST_CASE(
    "_TestQueue.test_queue_feeder_donot_stop_onexc: what cannot be sent takes no place",
    "[ported]"
) {
    mp::Queue<Unserialisable> queue(1);
    CHECK_THROWS(queue.put({.refuses = true}));
    queue.put({.refuses = false}, 60s);
    CHECK(queue.qsize() == 1);
    CHECK_FALSE(queue.get(60s).refuses);
    CHECK(queue.empty());
    queue.close();
}

TEST_CASE(
    "_TestQueue.test_queue_feeder_on_queue_feeder_error: the caller of put gets it",
    "[ported]"
) {
    mp::Queue<Unserialisable> queue;
    CHECK_THROWS_WITH(
        queue.put({.refuses = true}), test::ContainsSubstring("not for others")
    );
    queue.put({.refuses = false});
    CHECK_FALSE(queue.get().refuses);
}

TEST_CASE(
    "_TestQueue.test_closed_queue_empty_exceptions: empty() once used", "[ported]"
) {
    mp::Queue<int> unused;
    unused.close();
    unused.join_thread();
    CHECK(unused.empty());
    mp::JoinableQueue<int> unused_too;
    unused_too.close();
    unused_too.join_thread();
    CHECK(unused_too.empty());
    mp::Queue<int> used;
    used.put(1);
    used.close();
    used.join_thread();
    CHECK_THROWS_WITH(used.empty(), test::ContainsSubstring("is closed"));
}

TEST_CASE("_TestQueue.test_closed_queue_put_get_exceptions: put and get", "[ported]") {
    mp::Queue<int> queue;
    mp::JoinableQueue<int> joinable;
    queue.close();
    joinable.close();
    CHECK_THROWS_WITH(queue.put(1), test::ContainsSubstring("is closed"));
    CHECK_THROWS_WITH(queue.get(), test::ContainsSubstring("is closed"));
    CHECK_THROWS_WITH(joinable.put(1), test::ContainsSubstring("is closed"));
    CHECK_THROWS_WITH(joinable.get(), test::ContainsSubstring("is closed"));
}

TEST_CASE("TestSimpleQueue.test_empty_exceptions: empty() when closed", "[ported]") {
    mp::SimpleQueue<int> unused;
    unused.close();
    CHECK_THROWS_WITH(unused.empty(), test::ContainsSubstring("is closed"));
    mp::SimpleQueue<int> used;
    used.put(1);
    used.close();
    CHECK_THROWS_WITH(used.empty(), test::ContainsSubstring("is closed"));
}

TEST_CASE("TestSimpleQueue.test_empty: before, meanwhile and after", "[ported]") {
    const mp::Context ctx = each_start_method();
    auto queue = ctx.SimpleQueue<bool>();
    CHECK(queue.empty());
    auto p = ctx.Process(
        [](mp::SimpleQueue<bool> out) {
            out.put(out.empty());
            out.put(out.empty());
        },
        queue
    );
    p.start();
    CHECK(p.join(60s));
    CHECK_FALSE(queue.empty());
    CHECK(queue.get());
    CHECK_FALSE(queue.get());
    CHECK(queue.empty());
}

TEST_CASE("TestSimpleQueue.test_close: twice is harmless", "[ported]") {
    mp::SimpleQueue<int> queue;
    queue.close();
    queue.close();
}

TEST_CASE("TestSimpleQueue.test_closed: it is closed then", "[ported]") {
    mp::SimpleQueue<int> queue;
    CHECK_FALSE(queue.closed());
    queue.close();
    CHECK(queue.closed());
}

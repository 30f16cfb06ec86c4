// SPDX-License-Identifier: BSL-1.0
// SimpleQueue: put, get, empty and close, in one process and between several.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/simple_queue.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using test::exit_code_of;

namespace {

constexpr int item_count = 1000;

void put_numbers(mp::SimpleQueue<int> queue) {
    for (int i = 0; i < item_count; ++i) {
        queue.put(i);
    }
}

void add_up(mp::SimpleQueue<int> in, mp::SimpleQueue<long> out) {
    long sum = 0;
    for (int i = 0; i < item_count; ++i) {
        sum += in.get();
    }
    out.put(sum);
}

void close_it(mp::SimpleQueue<int> queue) {
    queue.close();
}

// The status says whether the child waited for an item that never came.
void get_in_vain(mp::SimpleQueue<int> queue) {
    try {
        queue.get(20ms);
    } catch (const mp::Empty&) {
        throw mp::SystemExit(3);
    }
}

struct Unwritable {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::runtime_error("cannot be written");
    }
};

}  // namespace

TEST_CASE(
    "SimpleQueue: items come out as they went in, first in, first out", "[queue]"
) {
    mp::SimpleQueue<std::map<std::string, std::vector<int>>> queue;
    queue.put({{"a", {1, 2}}, {"b", {}}});
    queue.put({});
    queue.put({{"c", std::vector<int>(100'000, 7)}});
    CHECK(queue.get().at("a") == std::vector{1, 2});
    CHECK(queue.get().empty());
    CHECK(queue.get().at("c").size() == 100'000);
    CHECK(queue.empty());
}

TEST_CASE("SimpleQueue: a child's items reach the parent", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::SimpleQueue<std::vector<int>> queue;
    CHECK(queue.empty());
    auto p = ctx.Process(
        [](mp::SimpleQueue<std::vector<int>> out) {
            out.put({1, 2, 3});
            out.put({});
        },
        queue
    );
    p.start();
    CHECK(queue.get(60s) == std::vector<int>{1, 2, 3});
    CHECK(queue.get(60s).empty());
    CHECK(p.join(60s));
}

TEST_CASE(
    "SimpleQueue: takes as many items as come, with nobody to get them", "[queue]"
) {
    mp::SimpleQueue<int> queue;
    for (int i = 0; i < 20'000; ++i) {
        queue.put(i);
    }
    CHECK_FALSE(queue.empty());
    CHECK_FALSE(queue.full());
    CHECK(queue.qsize() == 20'000);
    CHECK(queue.get() == 0);
}

TEST_CASE("SimpleQueue: two producers and two consumers share the items", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::SimpleQueue<int> items;
    mp::SimpleQueue<long> sums;
    std::vector<mp::Process> processes;
    for (int i = 0; i < 2; ++i) {
        processes.push_back(ctx.Process(add_up, items, sums));
        processes.push_back(ctx.Process(put_numbers, items));
    }
    for (mp::Process& process : processes) {
        process.start();
    }
    const long sum = sums.get(60s) + sums.get(60s);
    CHECK(sum == long{item_count} * (item_count - 1));
    for (mp::Process& process : processes) {
        CHECK(process.join(60s));
    }
    CHECK(items.empty());
}

TEST_CASE("SimpleQueue: get() waits as long as it says, then throws Empty", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::SimpleQueue<int> queue;
    CHECK_THROWS_AS(queue.get(0s), mp::Empty);
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(queue.get(50ms), mp::Empty);
    CHECK(std::chrono::steady_clock::now() - begin >= 50ms);
    CHECK(exit_code_of(ctx.Process(get_in_vain, queue)) == 3);
    // The queue is none the worse for it.
    queue.put(1);
    CHECK(queue.get(0s) == 1);
}

TEST_CASE("SimpleQueue: get() is woken by a put", "[queue]") {
    mp::SimpleQueue<int> queue;
    int got = 0;
    std::thread getter([&] { got = queue.get(); });
    queue.put(5);
    getter.join();
    CHECK(got == 5);
}

TEST_CASE("SimpleQueue: what cannot be put leaves the queue as it was", "[queue]") {
    mp::SimpleQueue<Unwritable> queue;
    CHECK_THROWS_WITH(
        queue.put(Unwritable()), test::ContainsSubstring("cannot be written")
    );
    CHECK(queue.empty());
}

TEST_CASE("SimpleQueue: closed, it is so in this process only", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::SimpleQueue<int> queue;
    mp::SimpleQueue<int> same = queue;
    CHECK(exit_code_of(ctx.Process(close_it, queue)) == 0);
    CHECK_FALSE(queue.closed());
    queue.put(1);
    queue.close();
    queue.close();
    CHECK(queue.closed());
    CHECK(same.closed());
    CHECK_THROWS_AS(queue.put(2), std::invalid_argument);
    CHECK_THROWS_AS(queue.get(0s), std::invalid_argument);
    CHECK_THROWS_AS(queue.empty(), std::invalid_argument);
}

TEST_CASE(
    "SimpleQueue: handles are one queue, and travel to children only", "[queue]"
) {
    mp::SimpleQueue<int> a;
    mp::SimpleQueue<int> b = a;
    CHECK(a == b);
    CHECK_FALSE(a == mp::SimpleQueue<int>());
    a.put(3);
    CHECK(b.get(0s) == 3);
    CHECK_THROWS_AS(mp::dumps(a), mp::StateError);
    const mp::SimpleQueue<int> c = std::move(a);
    CHECK(c == b);
    CHECK_THROWS_AS(a.put(1), std::invalid_argument);
    CHECK(a.closed());
}

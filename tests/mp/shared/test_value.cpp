// SPDX-License-Identifier: BSL-1.0
// Value and Array: their types, their lock, and children that use them.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <atomic>
#include <mutex>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Point {
    int x = 0;
    double y = 0;

    friend bool operator==(const Point&, const Point&) = default;
};

constexpr int rounds = 2000;

void add(mp::Value<int> value) {
    for (int i = 0; i < rounds; ++i) {
        const std::scoped_lock held(value.get_lock());
        value.set(value.get() + 1);
    }
}

void add_under_lock(mp::Value<int, mp::Lock> value, mp::Lock lock) {
    for (int i = 0; i < rounds; ++i) {
        const std::scoped_lock held(lock);
        ++*value.get_obj();
    }
}

void add_atomically(mp::RawValue<std::atomic<int>> value) {
    for (int i = 0; i < rounds; ++i) {
        ++*value;
    }
}

void add_to_elements(mp::Array<long> array) {
    for (int i = 0; i < rounds; ++i) {
        array[i % 3] += 1;
    }
}

void take_and_die(mp::Value<int> value) {
    value.acquire();
    value.set(7);
    ::_exit(0);
}

template <class Target, class... Args>
void run_twice(const mp::Context& ctx, Target target, const Args&... args) {
    auto a = ctx.Process(target, args...);
    auto b = ctx.Process(target, args...);
    a.start();
    b.start();
    a.join();
    b.join();
    CHECK(a.exitcode() == 0);
    CHECK(b.exitcode() == 0);
}

}  // namespace

TEST_CASE("Value: made of what its type is made of", "[value]") {
    mp::Value<int> v(1);
    CHECK(v.get() == 1);
    v.set(2);
    CHECK(v.get() == 2);
    CHECK(mp::Value<int>().get() == 0);
    CHECK(mp::Value<double>(1).get() == 1.0);
    const mp::Value<Point> p(1, 2.5);
    CHECK(p.get() == Point{1, 2.5});
    CHECK(mp::Value<Point>(Point{3, 4}).get().x == 3);
    CHECK(mp::Value<Point>().get() == Point{});
    p.get_obj()->x = 7;
    CHECK(p.get().x == 7);
    CHECK(v.apply([](int& value) { return ++value; }) == 3);
    const mp::Value<int> same = v;
    v.set(9);
    CHECK(same.get() == 9);
}

TEST_CASE("Value: its lock is its own, or a given one", "[value]") {
    mp::Value<int> own(1);
    {
        const std::scoped_lock held(own);
        CHECK(own.get_lock().locked());
        CHECK(own.get() == 1);
    }
    CHECK_FALSE(own.get_lock().locked());
    const mp::RLock rlock;
    const mp::Value<int> with({.lock = rlock}, 5);
    CHECK(with.get() == 5);
    CHECK(with.get_lock() == rlock);
    const mp::Lock lock;
    mp::Value<int, mp::Lock> other({.lock = lock}, 6);
    CHECK(other.get_lock() == lock);
    CHECK(other.acquire());
    CHECK_FALSE(other.acquire(0s));
    other.release();
    const mp::Array<int, mp::Lock> array({.lock = lock}, 4);
    CHECK(array.get_lock() == lock);
    CHECK(array.size() == 4);
    const mp::Array<int> listed({.lock = rlock}, {1, 2, 3});
    CHECK(listed.get_lock() == rlock);
    CHECK(listed[2] == 3);
}

TEST_CASE("Array: elements and spans", "[array]") {
    mp::Array<int> array({1, 2, 3, 4});
    CHECK(array.size() == 4);
    CHECK(array[0] == 1);
    CHECK(array[-1] == 4);
    array[1] = 20;
    array[2] += 5;
    array[3] = array[1];
    ++array[0];
    CHECK(array.slice(0, 4) == std::vector{2, 20, 8, 20});
    array.set_slice(1, {7, 8});
    CHECK(array.span()[2] == 8);
    array.get_obj()[3] = 9;
    CHECK(array.slice(1, 4) == std::vector{7, 8, 9});
    CHECK(array.slice(2, 2).empty());
    CHECK_THROWS_AS(array[4], std::out_of_range);
    CHECK_THROWS_AS(array[-5], std::out_of_range);
    CHECK_THROWS_AS(array[std::size_t{4}], std::out_of_range);
    CHECK_THROWS_AS(array.slice(3, 5), std::out_of_range);
    CHECK_THROWS_AS(array.set_slice(3, {1, 2}), std::out_of_range);
    CHECK(array[3] == 9);
    CHECK_THROWS_AS(mp::Array<int>(-1), std::invalid_argument);
    CHECK_THROWS_AS(mp::Array<int>(std::size_t{1} << 62U), mp::ResourceLimitExceeded);
    CHECK(mp::Array<int>(0).size() == 0);
    const std::vector<short> shorts{1, 2};
    CHECK(mp::Array<double>(shorts)[1] == 2.0);
    const mp::RawArray<Point> points(3);
    points[1].x = 4;
    CHECK(points.span()[1].x == 4);
    CHECK(points[2] == Point{});
}

TEST_CASE("Array: of char, it is text too", "[array]") {
    mp::Array<char> text(8);
    text.set_value("seven b");
    CHECK(text.value() == "seven b");
    text.set_value("8 bytes!");
    CHECK(text.value() == "8 bytes!");
    text.set_value("x");
    CHECK(text.value() == "x");
    CHECK(text[2] == 'b');
    CHECK_THROWS_AS(text.set_value("nine bytes"), std::invalid_argument);
}

TEST_CASE("Value: two children add to it", "[value]") {
    const mp::Context ctx = each_start_method();
    auto value = ctx.Value<int>(0);
    run_twice(ctx, add, value);
    CHECK(value.get() == 2 * rounds);
    const mp::Lock lock;
    const mp::Value<int, mp::Lock> locked({.lock = lock}, 0);
    run_twice(ctx, add_under_lock, locked, lock);
    CHECK(locked.get() == 2 * rounds);
    auto atomic = ctx.RawValue<std::atomic<int>>(0);
    run_twice(ctx, add_atomically, atomic);
    CHECK(*atomic == 2 * rounds);
    auto array = ctx.Array<long>(3);
    run_twice(ctx, add_to_elements, array);
    CHECK(array[0] + array[1] + array[2] == 2 * rounds);
}

TEST_CASE("Value: its holder's death is told, and holds nobody up", "[value]") {
    const mp::Context ctx = each_start_method();
    auto value = ctx.Value<int>(0);
    auto p = ctx.Process(take_and_die, value);
    p.start();
    p.join();
    CHECK(value.get() == 7);
    value.set(8);
    const auto got = value.get_lock().acquire();
    CHECK(got.owner_died());
    value.release();
    CHECK_FALSE(value.acquire().owner_died());
    value.release();
}

TEST_CASE("Value: travels only to a child that is started", "[value]") {
    CHECK_THROWS_AS(mp::dumps(mp::Value<int>(1)), mp::StateError);
    CHECK_THROWS_AS(mp::dumps(mp::RawArray<int>(1)), mp::StateError);
    mp::Value<int> moved_from(1);
    const mp::Value<int> moved = std::move(moved_from);
    CHECK(moved.get() == 1);
}

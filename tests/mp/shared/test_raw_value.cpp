// SPDX-License-Identifier: BSL-1.0
// RawValue and RawArray: what is in the memory, and which processes see it.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/raw_value.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/start_methods.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using test::exit_code_of;

namespace {

struct Point {
    int x = 1;
    double y = 2;

    friend bool operator==(const Point&, const Point&) = default;
};

struct alignas(64) CacheLine {
    std::uint64_t word = 5;
};

void move_point(mp::RawValue<Point> point) {
    point->x += 10;
    (*point).y = 20;
}

void count_up(mp::RawValue<std::atomic<int>> count) {
    for (int i = 0; i < 1000; ++i) {
        ++*count;
    }
}

void square(mp::RawArray<long> numbers) {
    for (long& number : numbers) {
        number *= number;
    }
}

// The status says whether both are the same memory.
void compare(mp::RawValue<int> a, mp::RawValue<int> b) {
    throw mp::SystemExit(a == b ? 3 : 4);
}

}  // namespace

TEST_CASE("RawValue: is made as its type is", "[value]") {
    CHECK(mp::RawValue<int>().get() == 0);
    CHECK(mp::RawValue<int>(7).get() == 7);
    CHECK(mp::RawValue<double>(7).get() == 7.0);
    CHECK(mp::RawValue<Point>().get() == Point{1, 2});
    CHECK(mp::RawValue<Point>(3).get() == Point{3, 2});
    CHECK(mp::RawValue<Point>(3, 4.5).get() == Point{3, 4.5});
    CHECK(mp::RawValue<Point>(Point{5, 6}).get() == Point{5, 6});
    CHECK(mp::RawValue<std::array<int, 3>>().get() == std::array<int, 3>{});
    CHECK(*mp::RawValue<std::atomic<long>>(9L) == 9);
}

TEST_CASE("RawValue: references and pointers are into the memory", "[value]") {
    mp::RawValue<Point> point;
    Point& inside = *point;
    inside.x = 8;
    CHECK(point->x == 8);
    point.set({1, 9});
    CHECK(inside == Point{1, 9});
    CHECK(&*point == point.operator->());
    const mp::RawValue<CacheLine> line;
    CHECK(reinterpret_cast<std::uintptr_t>(&*line) % 64 == 0);
    CHECK(line->word == 5);
}

TEST_CASE("RawValue: copies of a handle are the same memory", "[value]") {
    mp::RawValue<int> a(1);
    mp::RawValue<int> b = a;
    CHECK(a == b);
    CHECK_FALSE(a == mp::RawValue<int>(1));
    b.set(2);
    CHECK(a.get() == 2);
    const mp::RawValue<int> c = std::move(a);
    CHECK(c == b);
    CHECK_THROWS_AS(a.get(), mp::StateError);
    CHECK_THROWS_AS(*a, mp::StateError);
    CHECK(c.get() == 2);
}

TEST_CASE("RawValue: a child writes into the parent's memory", "[value]") {
    const mp::Context ctx = each_start_method();
    const mp::RawValue<Point> point(1, 2);
    CHECK(exit_code_of(ctx.Process(move_point, point)) == 0);
    CHECK(point.get() == Point{11, 20});
    const mp::RawValue<std::atomic<int>> count(0);
    mp::Process other = ctx.Process(count_up, count);
    other.start();
    count_up(count);
    other.join();
    CHECK(*count == 2000);
}

TEST_CASE("RawValue: a child tells one memory from another", "[value]") {
    const mp::Context ctx = each_start_method();
    const mp::RawValue<int> one(1);
    const mp::RawValue<int> two(1);
    CHECK(exit_code_of(ctx.Process(compare, one, one)) == 3);
    CHECK(exit_code_of(ctx.Process(compare, one, two)) == 4);
}

TEST_CASE("RawValue and RawArray: travel to a child that is started only", "[value]") {
    CHECK_THROWS_AS(mp::dumps(mp::RawValue<int>(1)), mp::StateError);
    CHECK_THROWS_AS(mp::dumps(mp::RawArray<int>({1, 2})), mp::StateError);
}

TEST_CASE("RawArray: is made of a size, a list or any range", "[array]") {
    const mp::RawArray<Point> points(3);
    CHECK(points.size() == 3);
    CHECK(points[0] == Point{1, 2});
    CHECK(points[2] == Point{1, 2});
    CHECK(mp::RawArray<int>(std::uint8_t{200}).size() == 200);
    const mp::RawArray<int> listed{4, 5, 6};
    CHECK(listed.size() == 3);
    CHECK(listed[2] == 6);
    const std::list<short> shorts{1, 2, 3, 4};
    const mp::RawArray<double> of_range(shorts);
    CHECK(std::accumulate(of_range.begin(), of_range.end(), 0.0) == 10.0);
    CHECK(mp::RawArray<char>(std::string("text")).span().back() == 't');
}

TEST_CASE("RawArray: a size that cannot be is refused", "[array]") {
    CHECK(mp::RawArray<int>(0).size() == 0);
    CHECK(mp::RawArray<int>(0).span().empty());
    CHECK(mp::RawArray<int>(std::vector<int>()).size() == 0);
    CHECK_THROWS_AS(mp::RawArray<int>(-1), std::invalid_argument);
    CHECK_THROWS_AS(
        mp::RawArray<int>(std::uint64_t{1} << 62U), mp::ResourceLimitExceeded
    );
    CHECK_THROWS_AS(mp::RawArray<Point>(SIZE_MAX), mp::ResourceLimitExceeded);
}

TEST_CASE("RawArray: an index is checked, and counts from the end too", "[array]") {
    const mp::RawArray<int> numbers{10, 20, 30};
    CHECK(numbers[-1] == 30);
    CHECK(numbers[-3] == 10);
    CHECK(numbers[2U] == 30);
    numbers[-2] = 21;
    CHECK(numbers[1] == 21);
    CHECK_THROWS_AS(numbers[3], std::out_of_range);
    CHECK_THROWS_AS(numbers[-4], std::out_of_range);
    CHECK_THROWS_AS(numbers[std::uint64_t{1} << 63U], std::out_of_range);
    CHECK_THROWS_AS(mp::RawArray<int>(0)[0], std::out_of_range);
    CHECK_THROWS_AS(mp::RawArray<int>(0)[-1], std::out_of_range);
}

TEST_CASE("RawArray: data, span and iterators are its elements", "[array]") {
    const mp::RawArray<int> numbers{1, 2, 3};
    CHECK(numbers.data() == &numbers[0]);
    CHECK(numbers.end() - numbers.begin() == 3);
    numbers.span()[1] = 7;
    CHECK(numbers[1] == 7);
    for (int& number : numbers) {
        ++number;
    }
    CHECK(std::vector(numbers.begin(), numbers.end()) == std::vector{2, 8, 4});
    const mp::RawArray<int> same = numbers;
    CHECK(same == numbers);
    CHECK_FALSE(mp::RawArray<int>{2, 8, 4} == numbers);
}

TEST_CASE("RawArray: a child changes the parent's elements", "[array]") {
    const mp::Context ctx = each_start_method();
    std::vector<long> numbers(5000);
    std::iota(numbers.begin(), numbers.end(), 0);
    const mp::RawArray<long> shared(numbers);
    CHECK(exit_code_of(ctx.Process(square, shared)) == 0);
    CHECK(shared[1] == 1);
    CHECK(shared[-1] == 4999L * 4999L);
}

TEST_CASE("copy: the content is the same, the memory another", "[value][array]") {
    const mp::RawValue<Point> point(3, 4);
    const mp::RawValue<Point> copied = mp::sharedctypes::copy(point);
    CHECK(copied.get() == point.get());
    CHECK_FALSE(copied == point);
    copied->x = 0;
    CHECK(point->x == 3);
    const mp::RawArray<int> empty(0);
    CHECK(mp::sharedctypes::copy(empty).size() == 0);
}

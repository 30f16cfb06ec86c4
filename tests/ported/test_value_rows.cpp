// SPDX-License-Identifier: BSL-1.0
// Value, Array and the heap below them, by the rows of the conformance table.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Foo {
    int x = 0;
    double y = 0;
    std::int64_t z = 0;

    friend bool operator==(const Foo&, const Foo&) = default;
};

template <class T>
void assign_raw(mp::RawValue<T> value, T to) {
    value.set(to);
}

template <class T>
void assign(mp::Value<T> value, T to) {
    value.set(to);
}

template <class T>
void check_value(const mp::Context& ctx, T first, T second) {
    auto value = ctx.Value<T>(first);
    auto raw = ctx.RawValue<T>(first);
    CHECK(value.get() == first);
    CHECK(raw.get() == first);
    auto p = ctx.Process(assign<T>, value, second);
    auto q = ctx.Process(assign_raw<T>, raw, second);
    p.start();
    q.start();
    p.join();
    q.join();
    CHECK(value.get() == second);
    CHECK(raw.get() == second);
}

void add_up(mp::Array<int> numbers) {
    for (std::size_t i = 1; i < numbers.size(); ++i) {
        numbers[i] += numbers[i - 1];
    }
}

void add_up_raw(mp::RawArray<int> numbers) {
    for (std::size_t i = 1; i < numbers.size(); ++i) {
        numbers[i] += numbers[i - 1];
    }
}

void double_all(
    mp::RawValue<int> x,
    mp::RawValue<double> y,
    mp::RawValue<std::int64_t> z,
    mp::RawValue<Foo> foo,
    mp::RawArray<double> array,
    mp::RawArray<char> text
) {
    *x *= 2;
    *y *= 2;
    *z *= 2;
    foo->x *= 2;
    foo->y *= 2;
    for (double& element : array) {
        element *= 2;
    }
    std::memcpy(text.data(), "hellohello", 11);
}

void double_synchronized(
    mp::Value<int> x, mp::Value<Foo> foo, mp::Array<double> array, mp::Array<char> text
) {
    x.apply([](int& value) { value *= 2; });
    {
        const std::scoped_lock held(foo.get_lock());
        foo.get_obj()->x *= 2;
        foo.get_obj()->y *= 2;
    }
    for (std::size_t i = 0; i < array.size(); ++i) {
        array[i] *= 2;
    }
    text.set_value(text.value() + text.value());
}

template <class T>
concept HasLock = requires(T object) {
    object.get_lock();
};

template <class T>
concept HasObject = requires(T object) {
    object.get_obj();
};

const std::vector<int> some{680, 626, 934, 821, 150, 233, 548, 982, 714, 831};

std::vector<int> sums() {
    std::vector<int> result = some;
    for (std::size_t i = 1; i < result.size(); ++i) {
        result[i] += result[i - 1];
    }
    return result;
}

// Made again in every spawned child, before its main.
const mp::RawValue<int> global_value(1);
const mp::Lock global_lock;

void use_globals() {
    const std::scoped_lock held(const_cast<mp::Lock&>(global_lock));
    if (global_value.get() != 1) {
        throw mp::SystemExit(3);
    }
}

}  // namespace

TEST_CASE(
    "_TestValue.test_value, _TestValue.test_rawvalue: a child's assignment is seen",
    "[value]"
) {
    const mp::Context ctx = each_start_method();
    check_value<int>(ctx, 4343, 24234);
    check_value<double>(ctx, 3.625, -4.25);
    check_value<short>(ctx, -232, 234);
    check_value<std::int64_t>(ctx, std::int64_t{1} << 33U, std::int64_t{1} << 34U);
    check_value<char>(ctx, 'x', 'y');
}

TEST_CASE("_TestValue.test_getobj_getlock: the lock is part of the type", "[value]") {
    const mp::Value<int> with_own(5);
    const mp::Value<int> other(5);
    CHECK(with_own.get_lock() != other.get_lock());
    CHECK(with_own.get_obj().get() == 5);
    const mp::RLock lock;
    const mp::Value<int> with_given({.lock = lock}, 5);
    CHECK(with_given.get_lock() == lock);
    CHECK(with_given.get_obj().get() == 5);
    STATIC_REQUIRE_FALSE(HasLock<mp::RawValue<int>>);
    STATIC_REQUIRE_FALSE(HasObject<mp::RawValue<int>>);
    STATIC_REQUIRE_FALSE(std::is_constructible_v<
                         mp::Value<int>,
                         mp::SynchronizedOptions<mp::Lock>,
                         int>);
}

TEST_CASE(
    "_TestArray.test_array, _TestArray.test_rawarray: a child adds up in place",
    "[array]"
) {
    const mp::Context ctx = each_start_method();
    auto array = ctx.Array<int>(some);
    CHECK(array.size() == some.size());
    CHECK(array[3] == some[3]);
    CHECK(array.slice(2, 7) == std::vector(some.begin() + 2, some.begin() + 7));
    array.set_slice(4, {1, 2, 3, 4});
    CHECK(array.slice(4, 8) == std::vector{1, 2, 3, 4});
    array.set_slice(4, std::span(some).subspan(4, 4));
    auto p = ctx.Process(add_up, array);
    p.start();
    p.join();
    CHECK(array.slice(0, array.size()) == sums());

    auto raw = ctx.RawArray<int>(some);
    CHECK(raw.size() == some.size());
    auto q = ctx.Process(add_up_raw, raw);
    q.start();
    q.join();
    CHECK(std::vector(raw.begin(), raw.end()) == sums());
}

TEST_CASE("_TestArray.test_array_from_size: zero, also in used memory", "[array]") {
    for (int i = 0; i < 3; ++i) {
        mp::Array<int> array(10);
        CHECK(array.slice(0, 10) == std::vector(10, 0));
        array.set_slice(0, some);
        CHECK(array.slice(0, 10) == some);
    }
}

TEST_CASE(
    "_TestArray.test_getobj_getlock_obj: the lock is part of the type", "[array]"
) {
    const mp::Array<int> own(some);
    const mp::RLock lock;
    const mp::Array<int> with_given({.lock = lock}, some);
    CHECK(with_given.get_lock() == lock);
    CHECK(own.get_lock() != lock);
    CHECK(with_given.get_obj()[1] == some[1]);
    STATIC_REQUIRE_FALSE(HasLock<mp::RawArray<int>>);
    STATIC_REQUIRE_FALSE(HasObject<mp::RawArray<int>>);
}

TEST_CASE("_TestSharedCTypes.test_sharedctypes: all kinds", "[value]") {
    const mp::Context ctx = each_start_method();
    auto x = ctx.RawValue<int>(7);
    auto y = ctx.RawValue<double>(1.0 / 3.0);
    auto z = ctx.RawValue<std::int64_t>(std::int64_t{1} << 33U);
    auto foo = ctx.RawValue<Foo>(3, 2.0);
    auto array = ctx.RawArray<double>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    auto text = ctx.RawArray<char>(20);
    std::memcpy(text.data(), "hello", 6);
    auto p = ctx.Process(double_all, x, y, z, foo, array, text);
    p.start();
    p.join();
    CHECK(x.get() == 14);
    CHECK(y.get() == 2.0 / 3.0);
    CHECK(z.get() == std::int64_t{1} << 34U);
    CHECK(foo->x == 6);
    CHECK(foo->y == 4.0);
    CHECK(array[9] == 18.0);
    CHECK(std::string(text.data()) == "hellohello");
}

TEST_CASE("_TestSharedCTypes.test_synchronize: with their locks", "[value]") {
    const mp::Context ctx = each_start_method();
    auto x = ctx.Value<int>(7);
    auto foo = ctx.Value<Foo>(3, 2.0);
    auto array = ctx.Array<double>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    auto text = ctx.Array<char>(20);
    text.set_value("hello");
    auto p = ctx.Process(double_synchronized, x, foo, array, text);
    p.start();
    p.join();
    CHECK(x.get() == 14);
    CHECK(foo.get() == Foo{6, 4.0, 0});
    CHECK(array[9] == 18.0);
    CHECK(text.value() == "hellohello");
    const auto later = mp::sharedctypes::synchronized(mp::RawValue<int>(3));
    CHECK(later.get() == 3);
}

TEST_CASE("_TestSharedCTypes.test_copy: memory of its own", "[value]") {
    mp::RawValue<Foo> foo(2, 5.0, 8);
    const auto bar = mp::sharedctypes::copy(foo);
    foo->x = 0;
    foo->y = 0;
    foo->z = 0;
    CHECK(bar.get() == Foo{2, 5.0, 8});
    const mp::RawArray<int> array({1, 2});
    const auto other = mp::sharedctypes::copy(array);
    array[0] = 7;
    CHECK(other[0] == 1);
}

TEST_CASE("_TestHeap.test_heap: random blocks do not touch each other", "[value]") {
    std::mt19937 random(3);
    std::vector<mp::detail::SharedBlock> blocks;
    const auto mark = [](const mp::detail::SharedBlock& block, std::size_t which) {
        std::memset(block.data(), static_cast<int>(which % 251 + 1), block.size());
    };
    constexpr std::size_t most = 50;
    for (int i = 0; i < 5000; ++i) {
        const std::size_t size =
            1 + static_cast<std::size_t>(
                    std::lognormal_distribution(0.0, 1.0)(random) * 1000
                );
        auto block = mp::detail::SharedBlock::allocate(size);
        REQUIRE(block.size() >= size);
        // All zero, whatever it was before.
        REQUIRE(block.data()[0] == std::byte{0});
        REQUIRE(std::memcmp(block.data(), block.data() + 1, block.size() - 1) == 0);
        const std::size_t place = random() % most;
        if (blocks.size() > place) {
            const auto old = static_cast<int>(place % 251 + 1);
            REQUIRE(
                blocks[place].data()[blocks[place].size() - 1] ==
                static_cast<std::byte>(old)
            );
            blocks[place] = std::move(block);
            mark(blocks[place], place);
        } else {
            blocks.push_back(std::move(block));
            mark(blocks.back(), blocks.size() - 1);
        }
    }
}

TEST_CASE(
    "_TestHeap.test_free_from_gc: a block that goes while others are made", "[value]"
) {
    // A destructor that runs in the middle of everything: here, of another's
    // assignment.
    struct Holder {
        std::vector<mp::RawArray<int>> arrays;

        ~Holder() { arrays.emplace_back(100); }
    };

    // In a child, since a heap that locks itself out would hang.
    const int status = test::run_in_fork_for(30s, [] {
        for (int i = 0; i < 1000; ++i) {
            Holder holder;
            holder.arrays.emplace_back(10);
            holder.arrays.emplace_back(1000);
            holder.arrays.front() = holder.arrays.back();
            if (holder.arrays.front().size() != 1000) {
                return 1;
            }
        }
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "TestNamedResource.test_global_named_resource_spawn: made again in each child",
    "[value]"
) {
    const mp::Context ctx = each_start_method();
    auto p = ctx.Process(use_globals);
    p.start();
    p.join();
    CHECK(p.exitcode() == 0);
}

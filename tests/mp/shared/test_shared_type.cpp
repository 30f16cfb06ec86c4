// SPDX-License-Identifier: BSL-1.0
// SharedType: which types may lie in memory that processes share. All of it is known
// when compiling.
#include "mp/shared_type.hpp"

#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <complex>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Point {
    int x = 0;
    double y = 0;
};

struct Line {
    Point from;
    Point to;
};

enum class Colour { red, green };

struct HasPointer {
    int* p;
};

struct Virtual {
    virtual ~Virtual() = default;
};

struct Destroyed {
    ~Destroyed() {}

    int x = 0;
};

struct Copied {
    Copied() = default;

    Copied(const Copied&) {}
};

class Opaque {
public:
    Opaque(const Opaque&);
};

}  // namespace

namespace mp {

template <>
inline constexpr bool is_shared_type<HasPointer> = false;

// It vouches for itself: what it holds means the same everywhere.
template <>
inline constexpr bool is_shared_type<Opaque> = true;

}  // namespace mp

TEST_CASE("SharedType: numbers, enums, structs of them, and their arrays", "[value]") {
    STATIC_REQUIRE(mp::SharedType<int>);
    STATIC_REQUIRE(mp::SharedType<bool>);
    STATIC_REQUIRE(mp::SharedType<long double>);
    STATIC_REQUIRE(mp::SharedType<Colour>);
    STATIC_REQUIRE(mp::SharedType<Point>);
    STATIC_REQUIRE(mp::SharedType<Line>);
    STATIC_REQUIRE(mp::SharedType<std::chrono::nanoseconds>);
    STATIC_REQUIRE(mp::SharedType<std::complex<double>>);
    STATIC_REQUIRE(mp::SharedType<std::optional<int>>);
    STATIC_REQUIRE(mp::SharedType<std::array<Point, 3>>);
    STATIC_REQUIRE(mp::SharedType<int[3]>);
    STATIC_REQUIRE(mp::SharedType<Point[3][2]>);
}

TEST_CASE("SharedType: atomics without a lock", "[value]") {
    STATIC_REQUIRE(mp::SharedType<std::atomic<long>>);
    STATIC_REQUIRE(mp::SharedType<std::atomic<Colour>>);
    STATIC_REQUIRE(mp::SharedType<std::array<std::atomic<int>, 4>>);
    // Its lock would be in one process.
    STATIC_REQUIRE_FALSE(mp::SharedType<std::atomic<std::array<long, 8>>>);
}

TEST_CASE("SharedType: no addresses, whatever they are called", "[value]") {
    STATIC_REQUIRE_FALSE(mp::SharedType<int*>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::array<int*, 3>>);
    STATIC_REQUIRE_FALSE(mp::SharedType<int* [3]>);
    STATIC_REQUIRE_FALSE(mp::SharedType<const char*>);
    STATIC_REQUIRE_FALSE(mp::SharedType<int&>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::nullptr_t>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::string_view>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::span<int>>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::reference_wrapper<int>>);
    STATIC_REQUIRE_FALSE(mp::SharedType<int Point::*>);
    STATIC_REQUIRE_FALSE(mp::SharedType<void (*)()>);
    STATIC_REQUIRE_FALSE(mp::SharedType<Virtual>);
}

TEST_CASE("SharedType: nothing with memory of its own, nothing constant", "[value]") {
    STATIC_REQUIRE_FALSE(mp::SharedType<std::string>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::vector<int>>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::unique_ptr<int>>);
    STATIC_REQUIRE_FALSE(mp::SharedType<std::optional<std::string>>);
    STATIC_REQUIRE_FALSE(mp::SharedType<Destroyed>);
    STATIC_REQUIRE_FALSE(mp::SharedType<Copied>);
    STATIC_REQUIRE_FALSE(mp::SharedType<const int>);
    STATIC_REQUIRE_FALSE(mp::SharedType<void>);
}

TEST_CASE("SharedType: a type may speak for itself", "[value]") {
    STATIC_REQUIRE_FALSE(mp::SharedType<HasPointer>);
    STATIC_REQUIRE(mp::SharedType<Opaque>);
}

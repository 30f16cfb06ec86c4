// SPDX-License-Identifier: BSL-1.0
// Archivable: which types can travel, by the compiler.
#include "mp/archivable.hpp"

#include "support/catch.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

namespace {

struct Plain {
    int x = 0;
};

struct Refused {
    int x = 0;
};

union Either {
    int a;
    float b;
};

struct OddPointer {
    int x = 0;
};

struct Doer {
    void run() {}
};

}  // namespace

template <>
inline constexpr bool mp::is_archivable<Refused> = false;
template <>
inline constexpr bool mp::is_archivable<OddPointer*> = true;

using mp::Archivable;

TEST_CASE("Archivable: numbers, strings, classes and containers of them") {
    STATIC_REQUIRE(Archivable<int>);
    STATIC_REQUIRE(Archivable<const int>);
    STATIC_REQUIRE(Archivable<bool>);
    STATIC_REQUIRE(Archivable<mp::detail::Kind>);
    STATIC_REQUIRE(Archivable<std::string>);
    STATIC_REQUIRE(Archivable<Plain>);
    STATIC_REQUIRE(Archivable<std::shared_ptr<Plain>>);
    STATIC_REQUIRE(Archivable<std::vector<std::map<std::string, Plain>>>);
    STATIC_REQUIRE(Archivable<std::tuple<int, std::optional<Plain>>>);
    STATIC_REQUIRE(Archivable<std::variant<std::monostate, int, std::string>>);
    STATIC_REQUIRE(Archivable<std::array<std::chrono::seconds, 2>>);
    STATIC_REQUIRE(Archivable<int[3]>);
}

TEST_CASE("Archivable: not what would dangle, nor what cannot be looked into") {
    STATIC_REQUIRE_FALSE(Archivable<int*>);
    STATIC_REQUIRE_FALSE(Archivable<Plain*>);
    STATIC_REQUIRE_FALSE(Archivable<const char*>);
    STATIC_REQUIRE_FALSE(Archivable<int&>);
    STATIC_REQUIRE_FALSE(Archivable<void>);
    STATIC_REQUIRE_FALSE(Archivable<volatile int>);
    STATIC_REQUIRE_FALSE(Archivable<std::nullptr_t>);
    STATIC_REQUIRE_FALSE(Archivable<void (*)()>);
    STATIC_REQUIRE_FALSE(Archivable<decltype(&Doer::run)>);
    STATIC_REQUIRE_FALSE(Archivable<Either>);
    STATIC_REQUIRE_FALSE(Archivable<std::reference_wrapper<int>>);
    STATIC_REQUIRE_FALSE(Archivable<std::string_view>);
    STATIC_REQUIRE_FALSE(Archivable<std::span<int>>);
    STATIC_REQUIRE_FALSE(Archivable<std::span<int, 3>>);
    STATIC_REQUIRE_FALSE(Archivable<std::function<void()>>);
    STATIC_REQUIRE_FALSE(Archivable<decltype(std::bind(&Doer::run, Doer()))>);
    STATIC_REQUIRE_FALSE(Archivable<std::thread>);
    STATIC_REQUIRE_FALSE(Archivable<std::mutex>);
    STATIC_REQUIRE_FALSE(Archivable<std::exception_ptr>);
}

TEST_CASE("Archivable: containers are asked for what they hold") {
    STATIC_REQUIRE_FALSE(Archivable<std::vector<int*>>);
    STATIC_REQUIRE_FALSE(Archivable<std::set<std::string_view>>);
    STATIC_REQUIRE_FALSE(Archivable<std::map<int, std::function<void()>>>);
    STATIC_REQUIRE_FALSE(Archivable<std::pair<int, const char*>>);
    STATIC_REQUIRE_FALSE(Archivable<std::optional<std::span<int>>>);
    STATIC_REQUIRE_FALSE(Archivable<std::variant<int, int*>>);
    STATIC_REQUIRE_FALSE(Archivable<std::array<int*, 2>>);
    STATIC_REQUIRE_FALSE(Archivable<int* [2]>);
}

TEST_CASE("Archivable: a lambda travels if it captures nothing") {
    int x = 1;
    const auto without = [] {
        return 1;
    };
    const auto with = [x] {
        return x;
    };
    const auto by_reference = [&x] {
        return x;
    };
    STATIC_REQUIRE(Archivable<decltype(without)>);
    STATIC_REQUIRE_FALSE(Archivable<decltype(with)>);
    STATIC_REQUIRE_FALSE(Archivable<decltype(by_reference)>);
    CHECK(without() + with() + by_reference() == 3);
}

TEST_CASE("Archivable: is_archivable overrules") {
    STATIC_REQUIRE_FALSE(Archivable<Refused>);
    STATIC_REQUIRE_FALSE(Archivable<std::vector<Refused>>);
    STATIC_REQUIRE(Archivable<OddPointer*>);
}

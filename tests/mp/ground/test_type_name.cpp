// SPDX-License-Identifier: BSL-1.0
// type_name: a type as the compiler spells it.
#include "mp/detail/type_name.hpp"

#include "support/catch.hpp"

#include <functional>
#include <string>
#include <vector>

namespace {

using mp::detail::is_capturing_closure;
using mp::detail::is_closure;
using mp::detail::is_stateless_closure;
using mp::detail::type_name;

struct Functor {
    int operator()() const { return 0; }
};

struct Maker {
    int base = 1;

    auto generic() {
        return [this](const auto& x) {
            return base + x;
        };
    }
};

template <class T>
auto make_closure() {
    return [kept = T{}](std::vector<T>) -> std::vector<T> {
        return {kept};
    };
}

}  // namespace

TEST_CASE("type_name: spells the type as the compiler does") {
    CHECK(type_name<int>() == "int");
    CHECK(type_name<Functor>().find("Functor") != std::string_view::npos);
}

TEST_CASE("type_name: a lambda is told from a class of any other kind") {
    int kept = 0;
    auto captures = [kept](void (*)(int), std::vector<int>) {
        return kept;
    };
    auto stateless = [](int x) {
        return x;
    };
    auto generic = [](auto... xs) {
        return sizeof...(xs);
    };
    auto mutates = [kept]() mutable noexcept {
        return ++kept;
    };
    auto bound = std::bind(captures, nullptr, std::vector<int>());

    STATIC_REQUIRE(is_capturing_closure<decltype(captures)>);
    STATIC_REQUIRE(is_capturing_closure<const decltype(captures)>);
    STATIC_REQUIRE(is_capturing_closure<decltype(mutates)>);
    STATIC_REQUIRE(is_capturing_closure<decltype(Maker{}.generic())>);
    STATIC_REQUIRE(is_capturing_closure<decltype(make_closure<int>())>);
    STATIC_REQUIRE(is_stateless_closure<decltype(stateless)>);
    STATIC_REQUIRE(is_stateless_closure<decltype(generic)>);

    STATIC_REQUIRE_FALSE(is_closure<Functor>);
    STATIC_REQUIRE_FALSE(is_closure<int>);
    STATIC_REQUIRE_FALSE(is_closure<decltype(bound)>);
    STATIC_REQUIRE_FALSE(is_closure<std::vector<decltype(captures)>>);
    STATIC_REQUIRE_FALSE(is_closure<std::function<int(decltype(captures))>>);
    STATIC_REQUIRE_FALSE(is_closure<int (*)(int)>);
    CHECK(kept == 0);
    CHECK(bound() + mutates() + stateless(1) + static_cast<int>(generic(1)) == 3);
}

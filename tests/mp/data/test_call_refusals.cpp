// SPDX-License-Identifier: BSL-1.0
// Calls that are refused when compiling, each for its reason; and what the result of a
// call will be, which is known then, too.
#include "mp/call.hpp"
#include "mp/data/call_targets.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace mp::detail;
using test::targets::add;
using test::targets::Adder;
using test::targets::Counter;
using test::targets::literal_of;
using test::targets::nothing;
using test::targets::same;

// Never called: what matters is their types.
namespace refused {

int with_default(int a, int b = 2);
int writes_to(int& x);
int reads(const int* x);
std::string_view first_word(const std::string& text);
std::size_t count(std::string_view text);
long sum(std::span<const int> numbers);

}  // namespace refused

namespace {

struct NoDefault {
    explicit NoDefault(int from) : value(from) {}

    int value;
};

template <class Fn, class... Args>
constexpr Refusal why = CallTraits<Fn, Args...>::refusal_with_result;

}  // namespace

TEST_CASE("call: the result of a call tells its type before the call") {
    STATIC_REQUIRE(std::is_same_v<CallTraits<decltype(add), int, int>::Result, int>);
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(&same), const char*>::Result,
                   std::string>);
    STATIC_REQUIRE(std::is_void_v<CallTraits<decltype(nothing)>::Result>);
    STATIC_REQUIRE(std::is_void_v<CallTraits<decltype(add), int>::Result>);
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(&Counter::next), Counter>::Result,
                   int>);
}

TEST_CASE("call: what cannot travel is refused when compiling, and for its reason") {
    int kept = 0;
    auto captures = [kept](int x) {
        return x + kept;
    };
    auto changes = [](auto& x) {
        return ++x;
    };
    using Function = std::function<int(int)>;
    using Bound = decltype(std::bind(add, 1, std::placeholders::_1));

    STATIC_REQUIRE(why<decltype(captures), int> == Refusal::capturing_closure);
    STATIC_REQUIRE(why<Function, int> == Refusal::std_function);
    STATIC_REQUIRE(why<Bound, int> == Refusal::std_bind);
    STATIC_REQUIRE(
        why<std::reference_wrapper<Adder>, int> == Refusal::reference_wrapper
    );
    STATIC_REQUIRE(why<int> == Refusal::not_callable);
    STATIC_REQUIRE(why<Adder*, int> == Refusal::not_callable);
    STATIC_REQUIRE(why<decltype(add), int> == Refusal::too_few_arguments);
    STATIC_REQUIRE(
        why<decltype(refused::with_default), int> == Refusal::too_few_arguments
    );
    STATIC_REQUIRE(why<decltype(add), int, int, int> == Refusal::too_many_arguments);
    STATIC_REQUIRE(why<Adder, int, int> == Refusal::too_many_arguments);
    STATIC_REQUIRE(why<Adder> == Refusal::not_invocable);
    STATIC_REQUIRE(
        why<decltype(refused::writes_to), int&> == Refusal::lvalue_reference
    );
    STATIC_REQUIRE(why<decltype(changes), int&> == Refusal::not_invocable);
    STATIC_REQUIRE(why<decltype(add), int, std::string> == Refusal::not_convertible);
    STATIC_REQUIRE(why<decltype(refused::reads), int*> == Refusal::pointer);
    STATIC_REQUIRE(
        why<decltype(refused::reads), std::unique_ptr<int>> == Refusal::pointer
    );
    STATIC_REQUIRE(why<decltype(literal_of), int> == Refusal::pointer);
    STATIC_REQUIRE(why<decltype(refused::count), const char*> == Refusal::view);
    STATIC_REQUIRE(why<decltype(refused::sum), std::vector<int>&> == Refusal::view);
    STATIC_REQUIRE(why<decltype(refused::first_word), std::string> == Refusal::view);
    STATIC_REQUIRE(why<decltype(&Counter::plus)> == Refusal::no_object);
    STATIC_REQUIRE(why<decltype(&Counter::plus), Counter*, int> == Refusal::no_object);
    STATIC_REQUIRE(why<decltype(&Counter::plus), int, int> == Refusal::no_object);
    STATIC_REQUIRE(
        why<decltype(&Counter::plus), Counter> == Refusal::too_few_arguments
    );
    auto takes_any = [](auto) {
    };
    STATIC_REQUIRE(why<decltype(takes_any), int*> == Refusal::pointer);
    STATIC_REQUIRE(
        why<decltype(takes_any), std::reference_wrapper<int>> ==
        Refusal::reference_wrapper
    );
    STATIC_REQUIRE(why<decltype(takes_any), std::string_view> == Refusal::view);
    STATIC_REQUIRE(
        why<decltype(takes_any), decltype(captures)> == Refusal::capturing_closure
    );
    STATIC_REQUIRE(why<decltype(takes_any), Function> == Refusal::std_function);

    STATIC_REQUIRE(
        why<decltype(takes_any), NoDefault> == Refusal::not_default_constructible
    );

    STATIC_REQUIRE(mp::Transportable<decltype(add), int, int>);
    STATIC_REQUIRE_FALSE(mp::Transportable<decltype(literal_of), int>);
    STATIC_REQUIRE(mp::TransportableTarget<decltype(literal_of), int>);
    CHECK(std::string(refusal_text(Refusal::pointer)).starts_with("a pointer means"));
    CHECK(std::string(refusal_text(Refusal::none)).empty());
    CHECK(captures(0) == 0);
}

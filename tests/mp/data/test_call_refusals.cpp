// SPDX-License-Identifier: BSL-1.0
// Calls that are refused when compiling, each for its reason; and what the result of a
// call will be, which is known then, too.
#include "mp/call.hpp"
#include "mp/data/call_targets.hpp"
#include "mp/detail/local_call.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <array>
#include <bitset>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
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

/// Without a serialize().
class Closed {
public:
    explicit Closed(int value = 0) : value_(value) {}
    int value() const { return value_; }

private:
    int value_;
};

class Private {
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& value_;
    }

    int value_ = 0;
};

class Inherits : public Private {};

class Split {
public:
    template <class Archive>
    void save(Archive& archive, unsigned) const {
        archive << value_;
    }

    template <class Archive>
    void load(Archive& archive, unsigned) {
        archive >> value_;
    }

    BOOST_SERIALIZATION_SPLIT_MEMBER()

private:
    int value_ = 0;
};

class Last final : public Private {};

class Free {
public:
    int value() const { return value_; }

private:
    int value_ = 0;
};

template <class Archive>
void serialize(Archive&, Free&, unsigned) {}

template <class Fn, class... Args>
constexpr Refusal why_here = LocalCall<Fn, Args...>::refusal;

template <class Fn, class... Args>
constexpr Refusal why = CallTraits<Fn, Args...>::refusal_with_result;

}  // namespace

TEST_CASE("call: the result of a call tells its type before the call") {
    STATIC_REQUIRE(std::is_same_v<CallTraits<decltype(add), int, int>::Result, int>);
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(&same), const char*>::Result,
                   std::string>);
    STATIC_REQUIRE(std::is_void_v<CallTraits<decltype(nothing)>::Result>);
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(&Counter::next), Counter>::Result,
                   int>);
    // Of a refused call, as far as the function tells.
    STATIC_REQUIRE(std::is_same_v<CallTraits<decltype(add), int>::Result, int>);
    STATIC_REQUIRE(std::is_same_v<CallTraits<decltype(&Counter::next)>::Result, int>);
    STATIC_REQUIRE(std::is_same_v<CallTraits<Adder>::Result, int>);
    auto same_again = [](auto x) {
        return x;
    };
    STATIC_REQUIRE(std::is_same_v<
                   CallTraits<decltype(same_again), int*>::Result,
                   mp::detail::Refused>);
}

TEST_CASE("call: the body of a callable is not compiled for what is refused anyway") {
    auto uses_member = [](auto x) {
        return x.no_such_member;
    };
    STATIC_REQUIRE(why<decltype(uses_member), int*> == Refusal::pointer);
    STATIC_REQUIRE(why<decltype(uses_member), std::string_view> == Refusal::view);
}

TEST_CASE("call: a container is refused for what it holds") {
    auto takes_any = [](auto) {
    };
    using Any = decltype(takes_any);
    STATIC_REQUIRE(why<Any, std::vector<int*>> == Refusal::pointer);
    STATIC_REQUIRE(why<Any, std::vector<std::vector<int*>>> == Refusal::pointer);
    STATIC_REQUIRE(why<Any, std::map<int, std::string_view>> == Refusal::view);
    STATIC_REQUIRE(why<Any, std::pair<int, const char*>> == Refusal::pointer);
    STATIC_REQUIRE(why<Any, std::array<std::string_view, 2>> == Refusal::view);
    STATIC_REQUIRE(
        why<Any, std::optional<std::function<int()>>> == Refusal::std_function
    );
    STATIC_REQUIRE(
        why<Any, std::variant<int, NoDefault>> == Refusal::not_default_constructible
    );
    STATIC_REQUIRE(
        why<Any, std::vector<NoDefault>> == Refusal::not_default_constructible
    );
    STATIC_REQUIRE(
        why<Any, std::map<int, NoDefault>> == Refusal::not_default_constructible
    );
    STATIC_REQUIRE(why<Any, std::set<NoDefault>> == Refusal::not_default_constructible);
    STATIC_REQUIRE(why<Any, std::vector<Closed>> == Refusal::not_archivable);
    STATIC_REQUIRE(why<Any, std::tuple<int, Closed>> == Refusal::not_archivable);
}

TEST_CASE("call: every way to write serialize() is found") {
    auto takes_any = [](auto) {
    };
    using Any = decltype(takes_any);
    STATIC_REQUIRE(why<Any, Private> == Refusal::none);
    STATIC_REQUIRE(why<Any, Inherits> == Refusal::none);
    STATIC_REQUIRE(why<Any, Split> == Refusal::none);
    STATIC_REQUIRE(why<Any, Free> == Refusal::none);
    STATIC_REQUIRE(why<Any, Last> == Refusal::none);
    STATIC_REQUIRE(why<Any, std::filesystem::path> == Refusal::none);
    STATIC_REQUIRE(why<Any, std::bitset<8>> == Refusal::none);
    STATIC_REQUIRE(why<Any, std::vector<std::shared_ptr<Private>>> == Refusal::none);
    STATIC_REQUIRE(why<Any, Closed> == Refusal::not_archivable);
}

TEST_CASE("call: in this process fewer calls are refused") {
    int kept = 0;
    auto captures = [&kept](int x) {
        return x + kept;
    };
    STATIC_REQUIRE(why_here<decltype(captures), int> == Refusal::none);
    STATIC_REQUIRE(why_here<decltype(refused::reads), int*> == Refusal::none);
    STATIC_REQUIRE(why_here<decltype(refused::count), const char*> == Refusal::none);
    STATIC_REQUIRE(why_here<decltype(&Counter::plus), Counter*, int> == Refusal::none);
    STATIC_REQUIRE(
        why_here<decltype(refused::writes_to), std::reference_wrapper<int>> ==
        Refusal::none
    );
    STATIC_REQUIRE(
        why_here<decltype(refused::writes_to), int&> == Refusal::lvalue_reference_here
    );
    STATIC_REQUIRE(
        why_here<decltype(&Counter::plus), int, int> == Refusal::no_object_here
    );
    STATIC_REQUIRE(
        why_here<decltype(&Counter::plus), Counter*> == Refusal::too_few_arguments
    );
    STATIC_REQUIRE(why_here<decltype(captures)> == Refusal::too_few_arguments);
    STATIC_REQUIRE(why_here<decltype(add), int> == Refusal::too_few_arguments);
    STATIC_REQUIRE(
        why_here<decltype(add), int, int, int> == Refusal::too_many_arguments
    );
    STATIC_REQUIRE(
        why_here<decltype(add), int, std::string> == Refusal::not_convertible
    );
    STATIC_REQUIRE(why_here<int, int> == Refusal::not_callable);
    CHECK(captures(0) == 0);
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
    STATIC_REQUIRE(why<Adder> == Refusal::too_few_arguments);
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

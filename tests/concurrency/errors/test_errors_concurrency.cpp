// SPDX-License-Identifier: BSL-1.0
// Cancellation as an exception, and groups of exceptions.
#include "concurrency/errors.hpp"
#include "support/catch.hpp"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using concurrency::BaseExceptionGroup;
using concurrency::Cancelled;
using concurrency::ExceptionGroup;

namespace {

template <class Exception>
std::exception_ptr pointer_to(Exception exception) {
    return std::make_exception_ptr(std::move(exception));
}

std::vector<std::exception_ptr> members_of(const std::exception_ptr& group) {
    try {
        std::rethrow_exception(group);
    } catch (const BaseExceptionGroup& g) {
        return g.exceptions();
    }
}

bool is_std_exception(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception&) {
        return true;
    } catch (...) {
        return false;
    }
}

struct Plain {};  // derived from nothing

}  // namespace

TEST_CASE("errors: they have the bases that Python's habits need", "[errors]") {
    using namespace concurrency;
    CHECK_FALSE(std::is_base_of_v<std::exception, Cancelled>);
    CHECK_FALSE(std::is_base_of_v<std::exception, BaseExceptionGroup>);
    CHECK(std::is_base_of_v<std::exception, ExceptionGroup>);
    CHECK(std::is_base_of_v<BaseExceptionGroup, ExceptionGroup>);
    CHECK(std::is_base_of_v<std::runtime_error, RuntimeError>);
    CHECK(std::is_base_of_v<std::invalid_argument, ValueError>);
    CHECK(std::is_same_v<TimeoutError, futures::TimeoutError>);
    // What is copied when it is thrown must not throw.
    CHECK(std::is_nothrow_copy_constructible_v<Cancelled>);
    CHECK(std::is_nothrow_copy_constructible_v<BaseExceptionGroup>);
    CHECK(std::is_nothrow_copy_constructible_v<ExceptionGroup>);
}

TEST_CASE("Cancelled: says why, where a reason was given", "[errors]") {
    CHECK(Cancelled().reason().empty());
    CHECK(Cancelled("enough").reason() == "enough");
}

TEST_CASE("ExceptionGroup: has its message and its members", "[errors]") {
    const std::exception_ptr error = pointer_to(std::runtime_error("no"));
    const ExceptionGroup one("errors", {error});
    CHECK(one.message() == "errors");
    CHECK(one.exceptions() == std::vector{error});
    CHECK(std::string(one.what()) == "errors (1 sub-exception)");
    const ExceptionGroup two("errors", {error, pointer_to(one)});
    CHECK(std::string(two.what()) == "errors (2 sub-exceptions)");
}

TEST_CASE("ExceptionGroup: refuses what is no group of errors", "[errors]") {
    using concurrency::ValueError;
    CHECK_THROWS_AS(ExceptionGroup("none", {}), ValueError);
    CHECK_THROWS_AS(BaseExceptionGroup("none", {}), ValueError);
    CHECK_THROWS_AS(BaseExceptionGroup("null", {nullptr}), ValueError);
    CHECK_THROWS_AS(ExceptionGroup("no", {pointer_to(Cancelled())}), ValueError);
    CHECK_THROWS_AS(ExceptionGroup("no", {pointer_to(Plain())}), ValueError);
    const BaseExceptionGroup inner("inner", {pointer_to(Cancelled())});
    CHECK_THROWS_AS(ExceptionGroup("no", {pointer_to(inner)}), ValueError);
}

TEST_CASE("is_cancelled: true of Cancelled only, not of a group with one", "[errors]") {
    using concurrency::is_cancelled;
    CHECK(is_cancelled(pointer_to(Cancelled("reason"))));
    CHECK_FALSE(is_cancelled(nullptr));
    CHECK_FALSE(is_cancelled(pointer_to(std::runtime_error("no"))));
    CHECK_FALSE(is_cancelled(pointer_to(1)));
    const BaseExceptionGroup group("group", {pointer_to(Cancelled())});
    CHECK_FALSE(is_cancelled(pointer_to(group)));
}

TEST_CASE(
    "errors::TestSplitCancellation.test_split_cancellation_with_mixed_"
    "exceptions: each is alone on its side",
    "[errors]"
) {
    const std::exception_ptr cancelled = pointer_to(Cancelled());
    const std::exception_ptr error = pointer_to(std::invalid_argument("no"));
    const auto group = pointer_to(BaseExceptionGroup("mixed", {cancelled, error}));
    const auto [first, second] = concurrency::split_cancellation(group);
    CHECK(members_of(first) == std::vector{cancelled});
    CHECK(members_of(second) == std::vector{error});
    CHECK_FALSE(is_std_exception(first));
    CHECK(is_std_exception(second));
    CHECK(members_of(concurrency::non_cancel_subgroup(group)) == std::vector{error});
}

TEST_CASE("split_cancellation: a side without leaves is null", "[errors]") {
    using concurrency::split_cancellation;
    const auto error =
        pointer_to(ExceptionGroup("e", {pointer_to(std::runtime_error("x"))}));
    const auto cancelled =
        pointer_to(BaseExceptionGroup("c", {pointer_to(Cancelled())}));
    CHECK(split_cancellation(error) == std::pair(std::exception_ptr(), error));
    CHECK(split_cancellation(cancelled) == std::pair(cancelled, std::exception_ptr()));
    CHECK(
        split_cancellation(nullptr) ==
        std::pair(std::exception_ptr(), std::exception_ptr())
    );
    CHECK(concurrency::non_cancel_subgroup(cancelled) == nullptr);
    const auto single = pointer_to(Cancelled());
    CHECK(split_cancellation(single) == std::pair(single, std::exception_ptr()));
}

TEST_CASE("split_cancellation: keeps the shape of the tree on both sides", "[errors]") {
    const std::exception_ptr cancelled = pointer_to(Cancelled());
    const std::exception_ptr error = pointer_to(std::runtime_error("deep"));
    const std::exception_ptr plain = pointer_to(Plain());
    const auto inner = pointer_to(BaseExceptionGroup("inner", {error, cancelled}));
    const auto outer = pointer_to(BaseExceptionGroup("outer", {inner, plain}));
    const auto [first, second] = concurrency::split_cancellation(outer);
    REQUIRE(members_of(first).size() == 1);
    CHECK(members_of(members_of(first)[0]) == std::vector{cancelled});
    REQUIRE(members_of(second).size() == 2);
    CHECK(members_of(members_of(second)[0]) == std::vector{error});
    CHECK(members_of(second)[1] == plain);
    CHECK_FALSE(is_std_exception(second));  // because of the plain one
}

TEST_CASE("split_cancellation: sees through a group of a derived type", "[errors]") {
    struct Own : ExceptionGroup {
        using ExceptionGroup::ExceptionGroup;
    };

    const std::exception_ptr error =
        pointer_to(Own("own", {pointer_to(std::runtime_error("x"))}));
    CHECK(concurrency::non_cancel_subgroup(error) == error);
}

TEST_CASE("errors: make_group() makes the group that fits", "[errors]") {
    const auto error = pointer_to(std::runtime_error("error"));
    const auto group = concurrency::make_group("errors", {error});
    CHECK(is_std_exception(group));
    CHECK(members_of(group) == std::vector{error});
    const auto base = concurrency::make_group("all", {error, pointer_to(Cancelled())});
    CHECK_FALSE(is_std_exception(base));
    CHECK(members_of(base).size() == 2);
    CHECK_THROWS_AS(concurrency::make_group("none", {}), concurrency::ValueError);
}

TEST_CASE("errors: a TimeoutError needs no text", "[errors]") {
    CHECK(std::string(concurrency::TimeoutError().what()) == "timed out");
}

// SPDX-License-Identifier: BSL-1.0
// Outcome: a value or an error.
#include "concurrency/outcome.hpp"
#include "support/catch.hpp"

#include <compare>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

using concurrency::Outcome;

TEST_CASE("Outcome: has a value, or an error in its place", "[outcome]") {
    Outcome<int> value(5);
    CHECK(value.has_value());
    CHECK(value.value() == 5);
    CHECK(value.error() == nullptr);
    const auto error = std::make_exception_ptr(std::runtime_error("no"));
    value = error;
    CHECK_FALSE(value.has_value());
    CHECK(value.error() == error);
    CHECK_THROWS_WITH(value.value(), "no");
    CHECK_THROWS_WITH(std::as_const(value).value(), "no");
    CHECK_THROWS_WITH(std::move(value).value(), "no");
}

TEST_CASE("Outcome: is the variant of both", "[outcome]") {
    const Outcome<std::string> value("text");
    CHECK(std::get<0>(value) == "text");
    CHECK(std::get<std::string>(value) == "text");
    CHECK(std::holds_alternative<std::string>(value));
    const auto length = [](const auto& one) -> std::size_t {
        if constexpr (std::is_same_v<decltype(one), const std::string&>) {
            return one.size();
        } else {
            return 0;
        }
    };
    CHECK(std::visit(length, value) == 4);
    const Outcome<std::string> error(std::make_exception_ptr(1));
    CHECK(error.index() == 1);
    CHECK(std::visit(length, error) == 0);
    CHECK(value == Outcome<std::string>("text"));
    CHECK_FALSE(value == error);
    using Item = std::pair<int, Outcome<std::string>>;
    CHECK_FALSE(std::three_way_comparable<Item>);
    CHECK(std::optional<Item>() == std::nullopt);
}

TEST_CASE("Outcome: of nothing, of a reference, of an exception", "[outcome]") {
    const Outcome<void> done;
    CHECK(done.has_value());
    CHECK(done.value() == std::monostate());
    int number = 1;
    const Outcome<int&> reference{std::ref(number)};
    reference.value().get() = 2;
    CHECK(number == 2);
    const Outcome<std::exception_ptr> value(
        std::in_place_index<0>, std::make_exception_ptr(1)
    );
    CHECK(value.has_value());
    CHECK(value.error() == nullptr);
}

TEST_CASE("Outcome: gives away what can only be moved", "[outcome]") {
    Outcome<std::unique_ptr<int>> outcome(std::make_unique<int>(3));
    const std::unique_ptr<int> taken = std::move(outcome).value();
    CHECK(*taken == 3);
}

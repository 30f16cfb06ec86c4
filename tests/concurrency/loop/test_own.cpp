// SPDX-License-Identifier: BSL-1.0
// own: a callable with a past, given away inside a co_await expression.
#include "concurrency/cancel.hpp"
#include "concurrency/own.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

using concurrency::Task;

namespace {

// What the coroutine of a lambda uses lies in the lambda: it is passed on instead.
Task<std::size_t> length(const std::string& text) {
    co_await concurrency::checkpoint();
    co_return text.size();
}

}  // namespace

TEST_CASE("own: a callable that cannot be copied is moved", "[own]") {
    test::over_backends([]() -> Task<> {
        auto number = std::make_unique<std::string>(100, 'x');
        auto body = [held = std::move(number)] {
            return length(*held);
        };
        CHECK_AWAITED(concurrency::shield(concurrency::own(std::move(body))), == 100);
    });
}

TEST_CASE("own: so are a name and its copy, and each is destroyed once", "[own]") {
    test::over_backends([]() -> Task<> {
        const auto shared = std::make_shared<std::string>(3, 'x');
        {
            auto body = [shared] {
                return length(*shared);
            };
            CHECK_AWAITED(concurrency::fail_after(60, body), == 3);
            CHECK_AWAITED(
                concurrency::fail_after(60, concurrency::own(std::move(body))), == 3
            );
        }
        CHECK(shared.use_count() == 1);
    });
}

TEST_CASE("own: what may be given inside a co_await expression", "[own]") {
    using concurrency::body_is_safe;
    const std::string text = "text";
    int number = 0;
    const auto by_value = [text] {
        return text.size();
    };
    const auto by_reference = [&number] {
        return ++number;
    };
    CHECK(body_is_safe<decltype(by_reference)>());
    CHECK(body_is_safe<decltype(by_value)&>());
    CHECK(body_is_safe<Task<int>>());
    CHECK(body_is_safe<concurrency::Owned<std::remove_const_t<decltype(by_value)>>>());
    CHECK(
        body_is_safe<decltype(by_value)>() == !concurrency::detail::copies_temporaries
    );
}

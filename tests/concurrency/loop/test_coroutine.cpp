// SPDX-License-Identifier: BSL-1.0
// Task: a coroutine, awaited once.
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

using concurrency::Task;

namespace {

Task<int> give(int value) {
    co_return value;
}

Task<> fail() {
    throw std::runtime_error("failed");
    co_return;
}

Task<int&> refer(int& value) {
    co_return value;
}

Task<std::unique_ptr<int>> make(int value) {
    co_return std::make_unique<int>(value);
}

Task<int> depth(int n) {
    if (n == 0) {
        co_return 0;
    }
    const int below = co_await depth(n - 1);
    co_return below + 1;
}

struct Counted {
    explicit Counted(int& count) : count_(count) { ++count_; }

    Counted(const Counted& other) : count_(other.count_) { ++count_; }

    Counted& operator=(const Counted&) = delete;

    ~Counted() { --count_; }

    int& count_;
};

}  // namespace

TEST_CASE(
    "Task: gives what the coroutine returns, and throws what it throws", "[task]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(give(7), == 7);
        int value = 1;
        int& same = co_await refer(value);
        CHECK(&same == &value);
        const auto pointer = co_await make(3);
        CHECK(*pointer == 3);
        std::string text;
        try {
            co_await fail();
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "failed");
    });
}

TEST_CASE("Task: does nothing until it is awaited", "[task]") {
    bool ran = false;
    const auto body = [&]() -> Task<> {
        ran = true;
        co_return;
    };
    {
        const Task<> task = body();
        CHECK(task.valid());
    }
    CHECK_FALSE(ran);
    concurrency::run(body);
    CHECK(ran);
}

TEST_CASE("Task: is awaited once", "[task]") {
    concurrency::run([]() -> Task<> {
        Task<int> task = give(1);
        CHECK_AWAITED(std::move(task), == 1);
        CHECK_FALSE(task.valid());
        std::string text;
        try {
            co_await std::move(task);
        } catch (const concurrency::RuntimeError& e) {
            text = e.what();
        }
        CHECK(text == "a Task can be awaited once, and it has been");
        Task<int> none;
        CHECK_THROWS_AS(std::move(none).operator co_await(), concurrency::RuntimeError);
    });
}

TEST_CASE("Task: a million awaits, and a deep stack of them, fill no stack", "[task]") {
    concurrency::run([]() -> Task<> {
        long sum = 0;
        for (int i = 0; i < 1'000'000; ++i) {
            sum += co_await give(1);
        }
        CHECK(sum == 1'000'000);
        CHECK_AWAITED(depth(2'000), == 2'000);
    });
}

TEST_CASE("Task: what a coroutine holds is gone when it has been awaited", "[task]") {
    int count = 0;
    const auto body = [&]() -> Task<> {
        const auto holder = [](Counted) -> Task<> {
            co_return;
        };
        co_await holder(Counted(count));
        CHECK(count == 0);
    };
    concurrency::run(body);
    CHECK(count == 0);
}

TEST_CASE(
    "utils::TestIsCoroFunc.test_basic_coroutine_detection "
    "utils::TestIsCoroFunc.test_partial_unwrapping utils::TestIsCoroFunc.test_caching "
    "utils::TestIsCoroFunc.test_nested_partial_unwrapping: what gives a Task, also "
    "bound",
    "[task]"
) {
    using concurrency::is_coro_func;
    const auto plain = [](int) {
        return 1;
    };
    const auto bound = std::bind(give, 1);
    const auto twice = std::bind(bound);
    CHECK(is_coro_func<decltype(give), int>);
    CHECK(is_coro_func<decltype(fail)>);
    CHECK(is_coro_func<decltype(bound)>);
    CHECK(is_coro_func<decltype(twice)>);
    CHECK_FALSE(is_coro_func<decltype(plain), int>);
    CHECK(is_coro_func<decltype(give)>);  // whatever it takes
    CHECK_FALSE(is_coro_func<decltype(plain)>);
}

// SPDX-License-Identifier: BSL-1.0
// Many at once: gather, the first of several, so many at a time, and again until it
// works.
#include "concurrency/concurrency.hpp"

#include <algorithm>
#include <iostream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

using concurrency::Task;

struct NetworkError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class T>
Task<T> after(double seconds, T value) {
    co_await concurrency::sleep(seconds);
    co_return value;
}

int running = 0;
int most = 0;

Task<int> square(int number) {
    most = std::max(most, ++running);
    co_await concurrency::sleep(0.01);
    --running;
    co_return number* number;
}

int calls = 0;

Task<int> flaky() {
    if (++calls < 3) {
        throw NetworkError("no answer");
    }
    co_return calls;
}

Task<> run_all() {
    const auto [a, b, c] =
        co_await concurrency::gather(after(0.03, 1), after(0.02, 2), after(0.01, 3));
    std::cout << a << ' ' << b << ' ' << c << '\n';

    const std::string tortoise = "the tortoise";
    const std::string hare = "the hare";
    const std::string first =
        co_await concurrency::race(after(3600, tortoise), after(0.01, hare));
    std::cout << "first: " << first << '\n';

    const std::vector<int> numbers{1, 2, 3, 4, 5, 6};
    const std::vector<int> squares =
        co_await concurrency::bounded_map(square, numbers, 2);
    for (const int one : squares) {
        std::cout << one << ' ';
    }
    std::cout << "- at most " << most << " at once\n";

    concurrency::RetryOptions options;
    options.attempts(5).base_delay(0.01).retry_on<NetworkError>();
    const int worked = co_await concurrency::retry(flaky, options);
    std::cout << "the call that worked: " << worked << '\n';
}

int main() {
    concurrency::run(run_all);
}

// SPDX-License-Identifier: BSL-1.0
// What main sets, workers do not see; what an initializer sets, they do.
#include <futures/process_pool.hpp>
#include <iostream>
#include <string>

std::string greeting = "(not set)";

void set_greeting(const std::string& text) {
    greeting = text;
}

std::string greet(const std::string& name) {
    return greeting + ", " + name;
}

int main() {
    greeting = "Hello";
    std::cout << "main:        " << greet("Ada") << '\n';

    futures::ProcessPoolExecutor plain(1);
    std::cout << "a worker:    " << plain.submit(greet, "Ada").result() << '\n';

    futures::ProcessPoolExecutor pool({
        .max_workers = 1,
        .initializer = mp::call(set_greeting, "Good morning"),
    });
    std::cout << "initialised: " << pool.submit(greet, "Ada").result() << '\n';
}

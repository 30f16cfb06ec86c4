// SPDX-License-Identifier: BSL-1.0
// Tasks that end with their block: what one waits for, a server that says when it is
// ready, an error.
#include "concurrency/concurrency.hpp"

#include <iostream>
#include <stdexcept>
#include <string>

using concurrency::create_task_group;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;

Task<> fetch(std::string name, double seconds) {
    co_await concurrency::sleep(seconds);
    std::cout << "fetched " << name << '\n';
}

Task<> serve(TaskStatus<int>& status) {
    // What runs when the block is left, in whatever way.
    const struct Goodbye {
        ~Goodbye() { std::cout << "the server ends\n"; }
    } goodbye;
    co_await concurrency::sleep(0.01);
    status.started(8080);
    co_await concurrency::sleep_forever();
}

Task<> fail() {
    co_await concurrency::sleep(0.01);
    throw std::runtime_error("no route to the host");
}

Task<> run_all() {
    co_await create_task_group([](TaskGroup& group) -> Task<> {
        group.start_soon(fetch, "the slow page", 0.2);
        group.start_soon(fetch, "the fast page", 0.05);
        std::cout << "both are under way\n";
        co_return;
    });
    std::cout << "both are here\n";

    co_await create_task_group([](TaskGroup& group) -> Task<> {
        const int port = co_await group.start<int>(serve);
        std::cout << "it listens at " << port << '\n';
        group.cancel();
    });

    try {
        co_await create_task_group([](TaskGroup& group) -> Task<> {
            group.start_soon(fail);
            group.start_soon(fetch, "what is cancelled", 3600.0);
            co_return;
        });
    } catch (const concurrency::ExceptionGroup& errors) {
        try {
            std::rethrow_exception(errors.exceptions().front());
        } catch (const std::exception& error) {
            std::cout << "it failed: " << error.what() << '\n';
        }
    }
}

int main() {
    concurrency::run(run_all);
}

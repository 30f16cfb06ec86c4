// SPDX-License-Identifier: BSL-1.0
// Child programs: what one prints, one that fails, one that is talked to, one that is
// too slow.
#include "concurrency/concurrency.hpp"
#include "concurrency/subprocess.hpp"

#include <iostream>
#include <string>

using concurrency::Command;
using concurrency::Process;
using concurrency::run_process;
using concurrency::Task;

Task<> run_all() {
    const Command sort{"sort", "-r"};
    const auto options = concurrency::ProcessOptions().input("one\ntwo\nthree\n");
    const auto result = co_await run_process(sort, options);
    std::cout << result.stdout();

    const Command fails("echo oh no >&2; exit 3");  // a line for the shell
    try {
        co_await run_process(fails);
    } catch (const concurrency::CalledProcessError& error) {
        std::cout << "status " << error.returncode() << " - " << error.stderr();
    }

    const Command cat{"cat"};
    Process process = co_await concurrency::open_process(cat);
    co_await process.stdin().send("to and fro\n");
    const std::string echoed = co_await process.stdout().receive();
    process.stdin().close();
    const int status = co_await process.wait();
    std::cout << echoed << "cat ends with " << status << '\n';

    const Command slow{"sleep", "3600"};
    auto sleeping = [&]() -> Task<> {
        co_await run_process(slow);
    };
    const bool in_time = co_await concurrency::move_on_after(0.1, sleeping);
    std::cout << "too slow: " << (in_time ? "False" : "True") << '\n';
}

int main() {
    concurrency::run(run_all);
}

// SPDX-License-Identifier: BSL-1.0
// Two limits: how long to wait for a result, and how long a call may run.
#include <chrono>
#include <futures/process_pool.hpp>
#include <iostream>
#include <thread>

using namespace std::chrono_literals;

int ask_server() {
    std::this_thread::sleep_for(24h);  // it never answers
    return 42;
}

int main() {
    futures::ProcessPoolExecutor pool(2);
    futures::Future<int> answer = pool.submit({.timeout = 500ms}, ask_server);
    try {
        answer.result(10ms);
    } catch (const futures::TimeoutError&) {
        std::cout << "not done yet\n";
    }
    try {
        answer.result();
    } catch (const futures::TaskTimeout&) {
        std::cout << "stopped after half a second\n";
    }
}

// SPDX-License-Identifier: BSL-1.0
// What a call throws in a worker is thrown again where its result is asked for.
#include <futures/process_pool.hpp>
#include <iostream>
#include <stdexcept>

int divide(int a, int b) {
    if (b == 0) {
        throw std::invalid_argument("division by zero");
    }
    return a / b;
}

int main() {
    futures::ProcessPoolExecutor pool(2);
    futures::Future<int> good = pool.submit(divide, 7, 2);
    futures::Future<int> bad = pool.submit(divide, 1, 0);
    std::cout << "7 / 2: " << good.result() << '\n';
    try {
        bad.result();
    } catch (const std::invalid_argument& error) {
        std::cout << "1 / 0: " << error.what() << '\n';
    }
}

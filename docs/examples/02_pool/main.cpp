// SPDX-License-Identifier: BSL-1.0
// Calls in worker processes: a result, many results, an error, whoever is first.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include <iostream>
#include <numeric>
#include <stdexcept>
#include <vector>

int fib(int n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int divide(int a, int b) {
    if (b == 0) {
        throw std::invalid_argument("division by zero");
    }
    return a / b;
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    futures::ProcessPoolExecutor pool(2);
    futures::Future<int> future = pool.submit(fib, 20);
    std::cout << "fib(20) = " << future.result() << '\n';

    std::vector<int> inputs(10);
    std::iota(inputs.begin(), inputs.end(), 0);
    const char* space = "";
    for (const int x : pool.map({.chunksize = 5}, fib, inputs)) {
        std::cout << space << x;
        space = " ";
    }
    std::cout << '\n';

    std::cout << "7 // 2 = " << pool.submit(divide, 7, 2).result() << '\n';
    try {
        pool.submit(divide, 1, 0).result();
    } catch (const std::invalid_argument& error) {
        std::cout << "error: " << error.what() << '\n';
    }

    std::vector<futures::Future<int>> fs;
    for (const int n : {12, 3, 15}) {
        fs.push_back(pool.submit(fib, n));
    }
    int sum = 0;
    for (auto& done : futures::as_completed(fs)) {
        sum += done.result();
    }
    std::cout << "sum: " << sum << '\n';
}

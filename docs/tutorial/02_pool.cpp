// SPDX-License-Identifier: BSL-1.0
// Two calls in worker processes, side by side.
#include <futures/process_pool.hpp>
#include <iostream>

int count_primes(int limit) {
    int primes = 0;
    for (int n = 2; n < limit; ++n) {
        bool prime = true;
        for (int d = 2; d * d <= n && prime; ++d) {
            prime = n % d != 0;
        }
        primes += prime ? 1 : 0;
    }
    return primes;
}

int main() {
    futures::ProcessPoolExecutor pool(2);
    futures::Future<int> few = pool.submit(count_primes, 100);
    futures::Future<int> many = pool.submit(count_primes, 100'000);
    std::cout << few.result() << " primes below 100\n";
    std::cout << many.result() << " primes below 100000\n";
}

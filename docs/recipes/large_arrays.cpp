// SPDX-License-Identifier: BSL-1.0
// Many large arrays, by map() and by shared memory. Arguments: how many, of how many
// MB.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <futures/process_pool.hpp>
#include <iostream>
#include <mp/raw_value.hpp>
#include <numeric>
#include <span>
#include <vector>

// snippet: functions
using Numbers = std::vector<double>;
using SharedNumbers = mp::RawArray<double>;

double sum(std::span<const double> numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), 0.0);
}

// The numbers travel: they are copied to the worker.
double sum_of_copy(const Numbers& numbers) {
    return sum(numbers);
}

// A handle and two numbers travel: the worker reads what the parent wrote.
double sum_of_part(SharedNumbers all, std::size_t begin, std::size_t size) {
    return sum(all.span().subspan(begin, size));
}
// end snippet

// Calls `work` five times; says how long the first time took, and the quickest.
template <class Work>
double measured(const char* name, Work work) {
    using Clock = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    double result = 0;
    std::vector<Seconds> times;
    for (int round = 0; round < 5; ++round) {
        const auto start = Clock::now();
        result = work();
        times.push_back(Clock::now() - start);
    }
    std::cerr << name << ": first " << times.front().count() << " s, then "
              << std::ranges::min(times).count() << " s\n";
    return result;
}

int main(int argc, char** argv) {
    const std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 40;
    const std::size_t megabytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 8;
    const std::size_t size = megabytes * 1'000'000 / sizeof(double);
    const std::vector<Numbers> arrays(count, Numbers(size, 0.5));
    SharedNumbers all(count * size);
    std::ranges::fill(all.span(), 0.5);

    futures::ProcessPoolExecutor pool({.max_workers = 2, .shared = {all}});
    const double by_map = measured("map", [&] {
        double total = 0;
        for (const double part : pool.map(sum_of_copy, arrays)) {
            total += part;
        }
        return total;
    });
    const double by_shared_memory = measured("shared memory", [&] {
        // snippet: calls
        std::vector<futures::Future<double>> parts;
        for (std::size_t i = 0; i < count; ++i) {
            parts.push_back(pool.submit(sum_of_part, all, i * size, size));
        }
        // end snippet
        double total = 0;
        for (const futures::Future<double>& part : parts) {
            total += part.result();
        }
        return total;
    });
    std::cout << (by_map == by_shared_memory ? "the same sum" : "different sums")
              << '\n';
}

// SPDX-License-Identifier: BSL-1.0
// Workers take jobs from one queue and put results into another.
#include "mp/mp.hpp"

#include <algorithm>
#include <compare>
#include <iostream>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using Job = std::optional<int>;

// A struct travels as it stands.
struct Result {
    int number = 0;
    int square = 0;

    auto operator<=>(const Result&) const = default;
};

void work(mp::Queue<Job> jobs, mp::Queue<Result> results) {
    while (const Job job = jobs.get()) {
        results.put({*job, *job * *job});
    }
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    mp::set_start_method("spawn");

    mp::Queue<Job> jobs(10);
    mp::Queue<Result> results;
    std::vector<mp::Process> workers;
    for (int i = 0; i < 3; ++i) {
        workers.emplace_back(work, jobs, results);
        workers.back().start();
    }
    for (int number = 0; number < 20; ++number) {
        jobs.put(number);
    }
    for (std::size_t i = 0; i < workers.size(); ++i) {
        jobs.put(std::nullopt);
    }
    std::vector<Result> all;
    for (int i = 0; i < 20; ++i) {
        all.push_back(results.get());
    }
    std::sort(all.begin(), all.end());
    for (const auto& [number, square] : all) {
        std::cout << number << " " << square << std::endl;
    }
    for (auto& w : workers) {
        w.join();
    }
    try {
        results.get(10ms);
    } catch (const mp::Empty&) {
        std::cout << "empty" << std::endl;
    }
    results.close();
    try {
        results.put({1, 1});
    } catch (const std::invalid_argument&) {
        std::cout << "closed" << std::endl;
    }
}

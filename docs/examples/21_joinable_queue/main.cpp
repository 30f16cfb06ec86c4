// SPDX-License-Identifier: BSL-1.0
// join() waits until everything that was put has been dealt with.
#include "mp/mp.hpp"

#include <iostream>
#include <optional>
#include <vector>

using Job = std::optional<int>;

// Each worker says at the end what it has added up.
void work(mp::JoinableQueue<Job> jobs, mp::Queue<int> sums) {
    int sum = 0;
    for (bool going = true; going;) {
        const Job job = jobs.get();
        going = job.has_value();
        if (going) {
            sum += *job;
        } else {
            sums.put(sum);
        }
        jobs.task_done();
    }
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    mp::set_start_method("spawn");

    mp::JoinableQueue<Job> jobs;
    mp::Queue<int> sums;
    std::vector<mp::Process> workers;
    for (int i = 0; i < 2; ++i) {
        workers.emplace_back(work, jobs, sums);
        workers.back().start();
    }
    for (int number = 0; number < 100; ++number) {
        jobs.put(number);
    }
    jobs.join();
    for (std::size_t i = 0; i < workers.size(); ++i) {
        jobs.put(std::nullopt);
    }
    jobs.join();
    std::cout << "sum " << sums.get() + sums.get() << std::endl;
    for (auto& w : workers) {
        w.join();
    }
    try {
        jobs.task_done();
    } catch (const std::invalid_argument&) {
        std::cout << "too many" << std::endl;
    }
}

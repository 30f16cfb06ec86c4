// SPDX-License-Identifier: BSL-1.0
// A pool that reports progress, survives a crash, and stops what takes too long.
#include <chrono>
#include <cstdlib>
#include <futures/process_pool.hpp>
#include <iostream>
#include <mp/queue.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

struct Job {
    std::string name;
    int number = 0;
};

int work(const Job& job, mp::Queue<std::string> begun) {
    begun.put(job.name);
    if (job.name == "crash") {
        std::abort();
    }
    if (job.name == "endless") {
        std::this_thread::sleep_for(24h);
    }
    return job.number * job.number;
}

int main() {
    const std::vector<Job> jobs{{"one", 1}, {"crash", 2}, {"endless", 3}, {"four", 4}};
    mp::Queue<std::string> begun;
    futures::ProcessPoolExecutor pool({
        .max_workers = 2,
        .on_worker_loss = futures::OnWorkerLoss::isolate,
        .shared = {begun},
    });
    std::vector<futures::Future<int>> results;
    for (const Job& job : jobs) {
        results.push_back(pool.submit({.timeout = 3s}, work, job, begun));
    }
    for (std::size_t i = 1; i <= jobs.size(); ++i) {
        begun.get();
        std::cout << i << " of " << jobs.size() << " jobs have begun\n";
    }
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        std::cout << jobs[i].name << ": ";
        try {
            std::cout << results[i].result() << '\n';
        } catch (const futures::WorkerLost&) {
            std::cout << "crashed\n";
        } catch (const futures::TaskTimeout&) {
            std::cout << "took too long\n";
        }
    }
}

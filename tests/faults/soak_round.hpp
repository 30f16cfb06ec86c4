// SPDX-License-Identifier: BSL-1.0
// A round of a soak: two pools, two clients, and somebody who kills workers; then all
// futures, all counts, and what is left behind are looked at.
#pragma once

#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/forkserver.hpp"

#include "faults/soak_client.hpp"
#include "faults/soak_plan.hpp"
#include "support/patience.hpp"
#include "support/proc.hpp"
#include "support/sanitizer.hpp"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace soak {

/// Ends the program, with all stacks, when a round does not end.
class Guard {
public:
    explicit Guard(std::uint64_t seed)
        : thread_([this, seed] {
              const auto limit =
                  test::patience(std::chrono::seconds(test::under_tsan ? 60 : 6));
              std::unique_lock lock(mutex_);
              if (!over_.wait_for(lock, limit, [this] { return is_over_; })) {
                  std::fprintf(
                      stderr,
                      "soak: the round does not end; again: tools/soak 1 %llu\n",
                      static_cast<unsigned long long>(seed)
                  );
                  ::raise(SIGTERM);  // the watchdog prints all stacks
              }
          }) {}

    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    ~Guard() {
        {
            const std::scoped_lock lock(mutex_);
            is_over_ = true;
        }
        over_.notify_all();
        thread_.join();
    }

private:
    std::mutex mutex_;
    std::condition_variable over_;
    bool is_over_ = false;
    std::thread thread_;
};

/// Kills a worker every 1 to 50 ms, while it lives.
class Killer {
public:
    Killer(const futures::ProcessPoolExecutor& pool, std::uint64_t seed)
        : pool_(pool), random_(seed), thread_([this] { run(); }) {}

    Killer(const Killer&) = delete;
    Killer& operator=(const Killer&) = delete;

    ~Killer() {
        over_ = true;
        thread_.join();
    }

private:
    void run() {
        while (!over_) {
            // Random pauses between the kills.
            std::this_thread::sleep_for(std::chrono::milliseconds(random_.between(1, 50)
            ));
            const auto workers = pool_.workers();
            if (!workers.empty()) {
                const auto count = static_cast<std::uint32_t>(workers.size());
                kill(workers[random_.below(count)]);
            }
        }
    }

    /// If it still is what it was: its parent is this process, or a helper of this.
    static void kill(pid_t pid) {
        test::ProcStat worker;
        test::ProcStat parent;
        if (test::read_stat(pid, worker) && !worker.zombie() &&
            (worker.parent == ::getpid() ||
             (test::read_stat(worker.parent, parent) && parent.parent == ::getpid()))) {
            ::kill(pid, SIGKILL);
        }
    }

    const futures::ProcessPoolExecutor& pool_;
    Random random_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

/// What a process has that may not grow.
struct Belongings {
    int processes = 0;
    int descriptors = 0;
    int threads = 0;

    static Belongings now() {
        Belongings found;
        test::for_each_relative([&](const test::ProcStat& stat) {
            found.processes += !stat.zombie() || stat.parent == ::getpid() ? 1 : 0;
        });
        found.descriptors = test::open_descriptors();
        test::for_each_entry("/proc/self/task", [&](const char*, int) {
            ++found.threads;
        });
        return found;
    }

    bool operator<=(const Belongings& other) const {
        return processes <= other.processes && descriptors <= other.descriptors &&
               threads <= other.threads;
    }

    std::string text() const {
        return std::to_string(processes) + " processes, " +
               std::to_string(descriptors) + " descriptors, " +
               std::to_string(threads) + " threads";
    }
};

class Round {
public:
    explicit Round(std::uint64_t seed) : plan_(seed), runs_(most_ids) {}

    const std::string& name() const { return plan_.name; }

    /// What went wrong; empty: nothing.
    std::vector<std::string> run() {
        const Belongings before = Belongings::now();
        {
            const Guard guard(plan_.seed);
            play();
        }
        mp::stop_helpers();
        // The kernel takes what has ended off its lists a moment later.
        const auto patience = Clock::now() + test::patience(std::chrono::seconds(1));
        Belongings after = Belongings::now();
        while (!(after <= before) && Clock::now() < patience) {
            std::this_thread::yield();
            after = Belongings::now();
        }
        if (!(after <= before)) {
            fault("left behind: " + after.text() + "; before: " + before.text());
        }
        return faults_;
    }

    std::string summary() const { return summary_; }

private:
    static constexpr std::size_t most_ids = 4096;

    void fault(const std::string& text) { faults_.push_back(text); }

    void play() {
        std::optional<futures::ProcessPoolExecutor> processes;
        auto options = plan_.options;
        options.shared = {runs_};
        processes.emplace(std::move(options));
        futures::ThreadPoolExecutor threads(plan_.threads);
        Pools pools{plan_, runs_, *processes, threads};
        Client one(pools, plan_.random.seed());
        Client other(pools, plan_.random.seed());
        const auto killers_seed = plan_.random.seed();
        const auto pause = std::chrono::milliseconds(plan_.random.between(1, 300));
        {
            std::optional<Killer> killer;
            if (plan_.kills) {
                killer.emplace(*processes, killers_seed);
            }
            std::thread first([&] { one.run(); });
            std::thread second([&] { other.run(); });
            if (plan_.ends_early) {
                // A random moment.
                std::this_thread::sleep_for(pause);
                end(*processes);
            }
            first.join();
            second.join();
            if (plan_.end != End::destroyed) {
                end(*processes);
            }
        }
        wait_for_nested(one);
        wait_for_nested(other);
        if (plan_.random.one_in(2)) {
            threads.shutdown();
        }
        if (plan_.end != End::destroyed) {
            processes->shutdown();
            check_counts(pools, one, other);
        }
        processes.reset();
        threads.shutdown();
        const auto statistics = threads.statistics();
        if (statistics.submitted != pools.submitted_to_threads ||
            statistics.submitted != statistics.begun) {
            fault(
                "the thread pool tells of " + std::to_string(statistics.submitted) +
                " tasks, " + std::to_string(statistics.begun) + " begun, of " +
                std::to_string(pools.submitted_to_threads)
            );
        }
        check_records(one);
        check_records(other);
    }

    void end(futures::ProcessPoolExecutor& pool) {
        switch (plan_.end) {
        case End::destroyed:
            break;
        case End::shut_down:
            pool.shutdown();
            break;
        case End::not_waited_for:
            pool.shutdown({.wait = false});
            break;
        case End::called_off:
            pool.shutdown({.cancel_futures = true});
            break;
        case End::terminated:
            pool.terminate_workers();
            break;
        case End::killed:
            pool.kill_workers();
            break;
        }
    }

    /// Their tasks submit to the pool, which must take them.
    static void wait_for_nested(const Client& client) {
        for (const auto& record : client.records()) {
            while (!record->in_processes && !record->counts_runs && record->told == 0) {
                std::this_thread::yield();
            }
        }
    }

    void check_counts(const Pools& pools, const Client& one, const Client& other) {
        const auto seen = pools.processes.statistics();
        const std::string tells =
            "the process pool tells of " + std::to_string(seen.submitted) + " tasks, " +
            std::to_string(seen.concluded) + " of them done, " +
            std::to_string(seen.tasks_lost) + " lost, " + std::to_string(seen.workers) +
            " workers of " + std::to_string(seen.workers_started);
        if (seen.submitted != seen.concluded || seen.workers != 0) {
            fault(tells);
        }
        if (pools.resets == 0 && !plan_.ends_early &&
            seen.submitted != pools.submitted) {
            fault(tells + "; submitted were " + std::to_string(pools.submitted));
        }
        std::uint64_t lost_ones = 0;
        for (const Client* client : {&one, &other}) {
            for (const auto& record : client->records()) {
                lost_ones += record->in_processes && record->outcome == lost ? 1U : 0U;
            }
        }
        if (pools.resets == 0 && seen.tasks_lost < lost_ones) {
            fault(tells + "; lost were " + std::to_string(lost_ones));
        }
        summary_ = tells + ", " + std::to_string(pools.submitted_to_threads) +
                   " tasks of threads, " + std::to_string(pools.resets) + " resets";
    }

    void check_records(const Client& client) {
        for (const std::string& text : client.notes()) {
            fault(text);
        }
        for (const auto& record : client.records()) {
            const std::string text = fault_of(*record, runs_[record->id]);
            if (!text.empty()) {
                fault(
                    "task " + std::to_string(record->id) + " (" + record->kind + ") " +
                    text + "; its end: " + std::to_string(record->outcome) + " of " +
                    std::to_string(record->may) + ", " + record->text
                );
            }
        }
    }

    Plan plan_;
    Runs runs_;
    std::vector<std::string> faults_;
    std::string summary_;
};

}  // namespace soak

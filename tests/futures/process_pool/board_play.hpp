// SPDX-License-Identifier: BSL-1.0
// play(scenario): clients of a board submit, cancel and check, while workers are killed
// and stopped. Each task must end exactly once, with the right result, and must have
// run exactly once, or at most once if it was lost.
#pragma once

#include "futures/process_pool/board_pool.hpp"

#include "support/catch.hpp"
#include "support/sanitizer.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace test {

struct Tally {
    std::atomic<std::uint64_t> total{0};
    std::atomic<std::uint64_t> delivered{0};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<std::uint64_t> cancelled{0};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint64_t> hung{0};
};

struct Submitted {
    std::unique_ptr<TestTask> task;
    Call call;
    bool cancelled = false;
};

/// Submits tasks in bursts of random length, cancels some, and checks each result.
class Client {
public:
    Client(TestPool& pool, RunCounts& counts, Tally& tally, unsigned seed)
        : pool_(pool), counts_(counts), tally_(tally), random_(seed) {}

    void burst(std::atomic<std::uint32_t>& ids, std::uint32_t size) {
        std::vector<Submitted> tasks;
        for (std::uint32_t i = 0; i < size; ++i) {
            tasks.push_back(submit(ids++));
        }
        if (random_() % 4 == 0) {
            std::reverse(tasks.begin(), tasks.end());
        }
        for (Submitted& submitted : tasks) {
            settle(submitted);
        }
    }

    std::uint32_t random(std::uint32_t below) {
        return static_cast<std::uint32_t>(random_() % below);
    }

private:
    Submitted submit(std::uint32_t id) {
        static constexpr std::uint32_t sizes[] = {8, 8, 8, 16, 160, 240, 241, 5000};
        Submitted result;
        result.task = std::make_unique<TestTask>();
        result.call = {
            id,
            random(16) == 0 ? random(60) : 0,
            sizes[random(8)],
            random(8) == 0 ? random(3000) : 0};
        const std::size_t size = sizeof(Call) + result.call.padding;
        std::vector<std::byte> bytes(size, fill_of(id));
        std::memcpy(bytes.data(), &result.call, sizeof(Call));
        ++tally_.total;
        if (size > CallItem::capacity) {
            Block block = pool_.calls->allocate(size);
            std::memcpy(block.bytes().data(), bytes.data(), size);
            result.task->message.adopt(std::move(block));
            pool_.board.submit(*result.task, {});
        } else {
            pool_.board.submit(*result.task, bytes);
        }
        if (random(32) == 0) {
            result.cancelled = pool_.board.cancel(*result.task);
        }
        return result;
    }

    void settle(Submitted& submitted) {
        TestTask& task = *submitted.task;
        const auto runs = [&] {
            return counts_.of(submitted.call.id).load();
        };
        if (submitted.cancelled) {
            ++tally_.cancelled;
            tally_.wrong += runs() != 0 || task.is_finished();
            return;
        }
        if (!finishes(task)) {
            ++tally_.hung;
            submitted.task.release();
            return;
        }
        tally_.wrong += task.times_finished() != 1;
        if (task.end == TaskEnd::failed) {
            ++tally_.lost;
            tally_.wrong += runs() > 1;
            return;
        }
        ++tally_.delivered;
        const auto bytes = task.message.bytes();
        bool right = runs() == 1 && bytes.size() == submitted.call.result_size;
        for (const std::byte b : bytes) {
            right = right && b == fill_of(submitted.call.id);
        }
        tally_.wrong += !right;
    }

    /// Waits for the task as long as the board concludes any. A slow machine may take
    /// long for all that stand before it; a board that stands still never gets there.
    bool finishes(TestTask& task) {
        for (;;) {
            const std::uint64_t before = pool_.board.statistics().concluded;
            if (task.wait(pool_.board, mp::Deadline(std::chrono::seconds(20)))) {
                return true;
            }
            if (pool_.board.statistics().concluded == before) {
                return false;
            }
        }
    }

    TestPool& pool_;
    RunCounts& counts_;
    Tally& tally_;
    std::mt19937 random_;
};

struct Scenario {
    BoardOptions board{.workers = 4};
    int clients = 2;
    std::uint32_t max_burst = 3000;
    std::uint64_t least_tasks = 20'000;
    std::uint64_t deaths = 0;  // go on until so many workers died
    bool kill_at_random = false;
    bool stop_at_random = false;
    TestPool::FaultPlan plan{};
    std::chrono::milliseconds at_most = std::chrono::seconds(60);
};

/// Runs the scenario and checks what must hold for each.
inline void play(const Scenario& scenario) {
    RunCounts counts;
    Tally tally;
    std::atomic<std::uint32_t> ids{0};
    std::atomic<bool> over{false};
    std::uint64_t deaths = 0;
    BoardStatistics statistics;
    // A sanitizer makes each new worker slower: it is to get something done before it
    // dies, and fewer do in the same time.
    const unsigned slowness = under_asan || under_tsan ? 10 : 1;
    const std::uint64_t least_tasks = scenario.least_tasks / slowness;
    const std::uint64_t least_deaths = scenario.deaths / slowness;
    {
        TestPool pool(scenario.board, counts, scenario.plan);
        const mp::Deadline deadline(scenario.at_most);
        const auto more = [&] {
            return !deadline.expired() && tally.hung == 0 &&
                   ids < max_tasks - 20 * scenario.max_burst &&
                   (ids < least_tasks || pool.deaths < least_deaths);
        };
        std::vector<std::thread> clients;
        for (int i = 0; i < scenario.clients; ++i) {
            clients.emplace_back([&, i] {
                Client client(pool, counts, tally, 77U + static_cast<unsigned>(i));
                while (more()) {
                    client.burst(ids, 1 + client.random(scenario.max_burst));
                }
            });
        }
        std::thread killer([&] {
            std::mt19937 random(5);
            while (!over && scenario.kill_at_random) {
                std::this_thread::sleep_for(
                    std::chrono::microseconds(slowness * (200 + random() % 1200))
                );
                pool.send(
                    static_cast<std::uint32_t>(random() % scenario.board.workers),
                    SIGKILL
                );
            }
        });
        std::thread stopper([&] {
            std::mt19937 random(6);
            while (!over && scenario.stop_at_random) {
                const auto worker =
                    static_cast<std::uint32_t>(random() % scenario.board.workers);
                pool.send(worker, SIGSTOP);
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
                pool.send(worker, SIGCONT);
            }
        });
        for (std::thread& client : clients) {
            client.join();
        }
        over = true;
        killer.join();
        stopper.join();
        deaths = pool.deaths;
        statistics = pool.board.statistics();
        CHECK(pool.calls->bytes_in_use() == 0);
    }
    CAPTURE(
        tally.total.load(),
        tally.delivered.load(),
        tally.lost.load(),
        tally.cancelled.load(),
        deaths,
        statistics.given_back,
        statistics.guard_ticks
    );
    CHECK(tally.hung == 0);
    CHECK(tally.wrong == 0);
    CHECK(tally.delivered + tally.lost + tally.cancelled == tally.total);
    CHECK(tally.lost <= deaths);
    CHECK(statistics.submitted == statistics.concluded);
    CHECK(statistics.backlog == 0);
    CHECK(statistics.stray_results == 0);
    if (scenario.deaths > 0 && scenario.kill_at_random) {
        CHECK(deaths >= least_deaths);
    }
}

inline BoardOptions sleepy(std::uint32_t workers) {
    return {.workers = workers, .policy = {.pauses = 5, .yields = 2}};
}

}  // namespace test

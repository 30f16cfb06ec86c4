// SPDX-License-Identifier: BSL-1.0
// A client of a soak: a thread that asks for random work, cancels some of it, and
// resizes, resets and looks at the pools meanwhile.
#pragma once

#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "faults/soak_thread_work.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace soak {

class Client final : public ThreadWork {
public:
    Client(Pools& pools, std::uint64_t seed) : ThreadWork(pools, seed) {}

    /// Until all operations are done, or the pools take no more.
    void run() {
        try {
            for (std::uint32_t i = 0; i < pools_.plan.operations; ++i) {
                try {
                    do_something();
                } catch (const futures::BrokenProcessPool& error) {
                    revive(error.what());
                }
            }
        } catch (const mp::StateError& error) {
            if (!pools_.plan.ends_early) {
                note(std::string("refused: ") + error.what());
            }
        } catch (const std::exception& error) {
            note(std::string("an operation threw: ") + error.what());
        }
        settle_all_by_hand();
        end_endless();
    }

private:
    struct Operation {
        std::uint32_t weight;
        void (Client::*run)();
    };

    /// What a client does, and how often of all its operations. A new kind of work is
    /// a function and a line here.
    static std::span<const Operation> operations() {
        static constexpr Operation all[] = {
            // tasks of the process pool
            {14, &Client::submit_sum},
            {8, &Client::submit_work},
            {5, &Client::submit_text},
            {6, &Client::submit_throwing},
            {4, &Client::submit_late},
            {3, &Client::submit_endless},
            {3, &Client::submit_crash},
            {2, &Client::submit_over_limit},
            {2, &Client::submit_by_hand},
            {3, &Client::map_some},
            // tasks of the thread pool
            {6, &Client::submit_sum_to_threads},
            {4, &Client::submit_throwing_to_threads},
            {2, &Client::submit_late_to_threads},
            {2, &Client::submit_endless_to_threads},
            {4, &Client::submit_wait_to_threads},
            {3, &Client::submit_nested_to_threads},
            // futures of futures
            {3, &Client::derive},
            {3, &Client::gather},
            // what is done to them
            {8, &Client::cancel_one},
            {6, &Client::cancel_running},
            {5, &Client::wait_for_one},
            {3, &Client::wait_for_some},
            {3, &Client::drop_handle},
            {2, &Client::settle_by_hand},
            // what is done to the pools
            {3, &Client::resize},
            {1, &Client::boot},
            {2, &Client::look},
            {6, &Client::linger},
        };
        return all;
    }

    void do_something() {
        std::uint32_t all = 0;
        for (const Operation& operation : operations()) {
            all += operation.weight;
        }
        std::uint32_t chosen = random_.below(all);
        for (const Operation& operation : operations()) {
            if (chosen < operation.weight) {
                (this->*operation.run)();
                return;
            }
            chosen -= operation.weight;
        }
    }

    bool is_by_hand(const Record& record) const {
        return std::string_view(record.kind) == "by hand";
    }

    // ---- what is done to futures

    void cancel_one() {
        const auto record = any_future();
        if (!record || is_by_hand(*record)) {
            return;
        }
        record->cancel_asked = true;
        const bool was_cancelled = record->future->cancelled();
        if (record->future->cancel()) {
            record->must_be_cancelled = true;
            record->never_ran = !was_cancelled && record->most_runs == 1;
        }
    }

    void cancel_running() {
        const auto record = any_future();
        if (!record || is_by_hand(*record)) {
            return;
        }
        record->cancel_asked = true;
        const bool asked = record->future->cancel(futures::running);
        record->must_be_cancelled =
            record->must_be_cancelled || (asked && record->in_processes);
    }

    void wait_for_one() {
        if (const auto record = any_future()) {
            futures::wait(
                std::vector{*record->future},
                std::chrono::microseconds(random_.below(5000))
            );
        }
    }

    void wait_for_some() {
        std::vector<futures::Future<Number>> some;
        for (auto i = random_.between(1, 8); i > 0; --i) {
            if (const auto record = any_future()) {
                some.push_back(*record->future);
            }
        }
        futures::wait(
            some,
            std::chrono::microseconds(random_.below(5000)),
            random_.one_in(2) ? futures::FIRST_COMPLETED : futures::ALL_COMPLETED
        );
    }

    /// Dropping a future cancels nothing.
    void drop_handle() {
        if (const auto record = any_future();
            record && !record->endless && !is_by_hand(*record)) {
            record->future.reset();
        }
    }

    // ---- what is done to the pools

    void resize() { pools_.processes.resize(random_.between(1, 4)); }

    void boot() {
        // Workers that are killed, or idle, or that many tasks wear out, may never be
        // there all at once.
        const auto& options = pools_.plan.options;
        if (!pools_.plan.kills && options.idle_timeout.is_forever() &&
            !options.max_tasks_per_child) {
            end_endless();
            pools_.processes.bootup();
        }
    }

    void look() {
        const auto seen = pools_.processes.statistics();
        if (seen.concluded > seen.submitted) {
            note("statistics() tells of more tasks done than submitted");
        }
        if (seen.workers > 8) {
            note("statistics() tells of more workers than there may be");
        }
        pools_.threads.statistics();
        pools_.processes.workers();
    }

    /// Random pauses, so that the pools come to rest.
    void linger() {
        std::this_thread::sleep_for(std::chrono::microseconds(random_.below(4000)));
    }

    void revive(const std::string& why) {
        const auto& plan = pools_.plan;
        if ((plan.always() & broken) == 0 && !tells_of_deaths(why)) {
            note("the pool is broken: " + why);
        }
        end_endless();
        ++pools_.resets;
        pools_.processes.reset();
    }
};

}  // namespace soak

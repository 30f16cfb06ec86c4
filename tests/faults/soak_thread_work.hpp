// SPDX-License-Identifier: BSL-1.0
// What a soak asks of a thread pool, and the futures that it makes of futures.
#pragma once

#include "faults/soak_process_work.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace soak {

class ThreadWork : public ProcessWork {
protected:
    using ProcessWork::ProcessWork;

    ~ThreadWork() = default;

    void submit_sum_to_threads() {
        const auto record = new_record("a sum on threads", 0);
        auto options = options_of_thread(*record);
        submit_sum_to(pools_.threads, record, std::move(options));
    }

    void submit_throwing_to_threads() {
        const auto record = new_record("throwing on threads", number());
        auto options = options_of_thread(*record);
        submit_throwing_to(pools_.threads, record, std::move(options));
    }

    void submit_late_to_threads() {
        const auto record = new_record("late on threads", 0);
        auto options = options_of_thread(*record);
        options.timeout = std::chrono::milliseconds(random_.between(1, 10));
        record->may = timed_out;
        submit(pools_.threads, record, std::move(options), go_on_until_asked);
    }

    void submit_endless_to_threads() {
        const auto record = new_record("endless on threads", 0);
        auto options = options_of_thread(*record);
        options.timeout = mp::forever;
        record->endless = true;
        record->may = 0;
        submit(pools_.threads, record, std::move(options), go_on_until_asked);
    }

    void submit_wait_to_threads() {
        const auto one = base();
        if (!one) {
            return;
        }
        const auto record = new_record("a wait on threads", one->expected + 1);
        auto options = options_of_thread(*record);
        if (!record->bases.empty()) {
            return;  // of one that it depends on and one that it waits for
        }
        record->bases.push_back(one);
        record->follows = Record::Follows::by_waiting;
        submit(pools_.threads, record, std::move(options), wait_for_it, *one->future);
    }

    /// Tasks that submit to their own pool and wait for that.
    void submit_nested_to_threads() {
        const auto depth = random_.between(1, 6);
        const auto record = new_record("nested on threads", Number{1} << depth);
        record->counts_runs = false;
        record->future = pools_.threads.submit(count_leaves, std::ref(pools_), depth);
        ++pools_.submitted_to_threads;
        keep(record);
    }

    static Number count_leaves(Pools& pools, std::uint32_t depth) {
        if (depth == 0) {
            return 1;
        }
        const auto one = pools.threads.submit(count_leaves, std::ref(pools), depth - 1);
        ++pools.submitted_to_threads;
        const Number other = count_leaves(pools, depth - 1);
        return one.result() + other;
    }

    // ---- futures of futures

    void derive() {
        const auto one = base();
        if (!one) {
            return;
        }
        const auto record = new_record("then", one->expected + 1);
        record->counts_runs = false;
        record->bases.push_back(one);
        record->follows = Record::Follows::as_derived;
        record->future = one->future->then([](Number got) { return got + 1; });
        keep(record);
    }

    void gather() {
        std::vector<futures::Future<Number>> all;
        const auto record = new_record("when_all", 0);
        for (auto i = random_.between(1, 5); i > 0; --i) {
            if (const auto one = base()) {
                record->expected += one->expected;
                record->bases.push_back(one);
                all.push_back(*one->future);
            }
        }
        record->counts_runs = false;
        record->follows = Record::Follows::as_derived;
        record->future =
            futures::when_all(all).then([](const std::vector<Number>& numbers) {
                Number total = 0;
                for (const Number one : numbers) {
                    total += one;
                }
                return total;
            });
        keep(record);
    }
};

}  // namespace soak

// SPDX-License-Identifier: BSL-1.0
// What all work of a soak's client needs: random options, and a record of each future.
#pragma once

#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "faults/soak_plan.hpp"
#include "faults/soak_records.hpp"
#include "faults/soak_tasks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace soak {

/// What the clients of a round share.
struct Pools {
    const Plan& plan;
    const Runs& runs;
    futures::ProcessPoolExecutor& processes;
    futures::ThreadPoolExecutor& threads;
    std::atomic<std::uint32_t> next_id{0};
    std::atomic<std::uint64_t> submitted{0};  ///< to the processes
    std::atomic<std::uint64_t> submitted_to_threads{0};
    std::atomic<std::uint64_t> resets{0};
};

class Submitter {
public:
    const std::vector<RecordPtr>& records() const { return records_; }

    const std::vector<std::string>& notes() const { return notes_; }

protected:
    using Options = futures::SubmitOptions;

    Submitter(Pools& pools, std::uint64_t seed) : pools_(pools), random_(seed) {}

    ~Submitter() = default;

    void note(const std::string& text) { notes_.push_back(text); }

    RecordPtr new_record(const char* kind, Number expected) {
        auto record = std::make_shared<Record>();
        record->id = pools_.next_id++;
        record->kind = kind;
        record->expected = expected;
        return record;
    }

    Number number() { return random_.below(1'000'000); }

    /// One of what was submitted, or null.
    RecordPtr any_record() {
        return records_.empty()
                   ? nullptr
                   : records_[random_.below(static_cast<std::uint32_t>(records_.size())
                     )];
    }

    /// The same, with its future.
    RecordPtr any_future() {
        for (int i = 0; i < 4; ++i) {
            if (auto record = any_record(); record && record->future) {
                return record;
            }
        }
        return nullptr;
    }

    /// A future that is done soon, by itself.
    RecordPtr base() {
        for (int i = 0; i < 4; ++i) {
            if (auto record = any_future(); record && !record->endless) {
                return record;
            }
        }
        return nullptr;
    }

    /// Options that change nothing of what a task does.
    Options options_of_thread(Record& record) {
        Options options;
        if (random_.one_in(6)) {
            options.name = "task " + std::to_string(record.id);
        }
        if (random_.one_in(6)) {
            options.timeout = std::chrono::minutes(10);
        }
        if (random_.one_in(6)) {
            std::vector<futures::Future<Number>> after;
            for (auto i = random_.between(1, 3); i > 0; --i) {
                if (auto one = base()) {
                    after.push_back(*one->future);
                    record.bases.push_back(std::move(one));
                }
            }
            options.after = after;
        }
        return options;
    }

    Options options_of_process(Record& record) {
        Options options = options_of_thread(record);
        record.in_processes = true;
        record.may = pools_.plan.always();
        if (random_.one_in(4)) {
            options.priority = static_cast<int>(random_.below(7)) - 3;
        }
        if (random_.one_in(5)) {
            options.retries = random_.between(1, 3);
        }
        if (random_.one_in(8)) {
            options.limits.open_files = 4000;
        }
        set_budget(record, options);
        return options;
    }

    void set_budget(Record& record, const Options& options) const {
        auto retries = options.retries;
        if (record.in_processes && pools_.plan.retries()) {
            retries = std::max(retries, 2U);
        }
        record.most_runs = retries + 1;
    }

    template <class Pool, class Fn, class... Args>
    void submit(
        Pool& pool, RecordPtr record, Options options, Fn&& fn, const Args&... args
    ) {
        record->future =
            pool.submit(std::move(options), fn, pools_.runs, record->id, args...);
        ++(record->in_processes ? pools_.submitted : pools_.submitted_to_threads);
        keep(std::move(record));
    }

    void keep(RecordPtr record) {
        follow(record);
        records_.push_back(std::move(record));
    }

    Pools& pools_;
    Random random_;
    std::vector<RecordPtr> records_;
    std::vector<std::string> notes_;
};

}  // namespace soak

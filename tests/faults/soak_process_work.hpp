// SPDX-License-Identifier: BSL-1.0
// What a soak asks of a process pool. A new kind of work is a function here, and a line
// in Client::operations().
#pragma once

#include "faults/soak_submitter.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace soak {

class ProcessWork : public Submitter {
protected:
    using Submitter::Submitter;

    ~ProcessWork() = default;

    template <class Pool>
    void submit_sum_to(Pool& pool, RecordPtr record, Options options) {
        const Number a = number();
        const RecordPtr one = random_.one_in(3) ? base() : nullptr;
        const RecordPtr other = one && random_.one_in(2) ? base() : nullptr;
        record->expected = a + (one ? one->expected : a);
        if (!one) {
            submit(pool, record, std::move(options), sum, a, a);
            return;
        }
        record->bases.push_back(one);
        if (!other) {
            submit(pool, record, std::move(options), sum, a, *one->future);
            return;
        }
        record->bases.push_back(other);
        record->expected = one->expected + other->expected;
        submit(pool, record, std::move(options), sum, *one->future, *other->future);
    }

    void submit_sum() {
        const auto record = new_record("a sum", 0);
        auto options = options_of_process(*record);
        submit_sum_to(pools_.processes, record, std::move(options));
    }

    void submit_work() {
        const auto record = new_record("work", number());
        auto options = options_of_process(*record);
        submit(
            pools_.processes,
            record,
            std::move(options),
            work,
            record->expected,
            random_.below(3000)
        );
    }

    void submit_text() {
        const auto size =
            random_.one_in(5) ? random_.below(400'000) : random_.below(600);
        const std::string text(size, static_cast<char>('a' + random_.below(26)));
        const auto record = new_record("a text", add_up(text));
        auto options = options_of_process(*record);
        submit(pools_.processes, record, std::move(options), read_text, text);
    }

    template <class Pool>
    void submit_throwing_to(Pool& pool, const RecordPtr& record, Options options) {
        const auto failures = random_.between(1, 4);
        if (random_.one_in(3)) {
            record->may |= thrown;  // it is not run again for what it throws
        } else {
            options.retries = random_.between(1, 4);
            options.retry_on = futures::retry_on<Thrown>();
            if (random_.one_in(2)) {
                options.retry_delay =
                    futures::backoff(std::chrono::microseconds(random_.below(3000)));
            }
            set_budget(*record, options);
            record->may |= thrown;  // if its budget is too small, or spent on losses
        }
        submit(
            pool, record, std::move(options), throw_first, record->expected, failures
        );
    }

    void submit_throwing() {
        const auto record = new_record("throwing", number());
        auto options = options_of_process(*record);
        submit_throwing_to(pools_.processes, record, std::move(options));
    }

    void submit_late() {
        const auto record = new_record("late", 0);
        auto options = options_of_process(*record);
        options.timeout = std::chrono::milliseconds(random_.between(1, 25));
        record->may = (record->may & ~value) | timed_out;
        if (random_.one_in(3)) {
            options.grace = std::chrono::milliseconds(random_.below(10));
        }
        if (random_.one_in(3)) {
            options.kill_after = std::chrono::milliseconds(random_.below(10));
        }
        const bool with_child = !pools_.plan.kills && !test::under_tsan;
        const auto function = random_.one_in(2)                 ? go_on_until_asked
                              : with_child && random_.one_in(3) ? go_on_with_child
                                                                : go_on_for_ever;
        submit(pools_.processes, record, std::move(options), function);
    }

    void submit_endless() {
        const auto record = new_record("endless", 0);
        auto options = options_of_process(*record);
        options.timeout = mp::forever;
        record->endless = true;
        record->may &= ~value;
        if (random_.one_in(3)) {
            options.kill_after = std::chrono::milliseconds(random_.below(10));
        }
        submit(
            pools_.processes,
            record,
            std::move(options),
            random_.one_in(2) ? go_on_until_asked : go_on_for_ever
        );
    }

    void submit_crash() {
        const auto record = new_record("a crash", 0);
        auto options = options_of_process(*record);
        record->may = (record->may & ~value) | lost;
        submit(pools_.processes, record, std::move(options), crash, random_.below(4));
    }

    void submit_over_limit() {
        const auto record = new_record("over a limit", 0);
        auto options = options_of_process(*record);
        record->may = (record->may & ~value) | over_limit;
        if (random_.one_in(2)) {
            options.limits.cpu_time = std::chrono::milliseconds(random_.between(1, 20));
            submit(pools_.processes, record, std::move(options), burn_time);
        } else if (!test::under_asan && !test::under_tsan) {
            options.limits.memory = 64 * mp::MiB;
            submit(pools_.processes, record, std::move(options), eat_memory);
        }
    }

    /// It waits for a future that nobody's pool completes.
    void submit_by_hand() {
        const auto hand = new_record("by hand", number());
        hand->counts_runs = false;
        hand->future.emplace();
        const auto record = new_record("after one by hand", 0);
        auto options = options_of_process(*record);
        record->expected = 1 + hand->expected;
        record->bases.push_back(hand);
        follow(hand);
        by_hand_.push_back(hand);
        records_.push_back(hand);
        submit(
            pools_.processes, record, std::move(options), sum, Number{1}, *hand->future
        );
    }

    void settle_by_hand() {
        if (by_hand_.empty()) {
            return;
        }
        const auto hand = by_hand_.back();
        by_hand_.pop_back();
        if (random_.one_in(3)) {
            hand->may = cancelled;
            hand->future->cancel();
            hand->future->set_running_or_notify_cancel();
        } else {
            hand->future->set_running_or_notify_cancel();
            hand->future->set_result(hand->expected);
        }
    }

    void settle_all_by_hand() {
        while (!by_hand_.empty()) {
            settle_by_hand();
        }
    }

    /// Items of which some may be lost with their workers; or it is given up half way.
    void map_some() {
        end_endless();
        std::vector<Number> items(random_.between(1, 60));
        for (Number& item : items) {
            item = number();
        }
        const auto chunk = random_.between(1, 9);
        auto results = pools_.processes.map({.chunksize = chunk}, doubled, items);
        pools_.submitted += (items.size() + chunk - 1) / chunk;
        const auto enough = random_.one_in(3) ? random_.below(20) : items.size();
        std::size_t i = 0;
        for (auto at = results.begin(); at != results.end() && i < enough; ++at, ++i) {
            const Ending ending = [&]() -> Ending {
                try {
                    return {*at == 2 * items[i] ? value : wrong};
                } catch (const futures::WorkerLost&) {
                    return {lost};
                } catch (const futures::BrokenProcessPool& error) {
                    return {broken, error.what()};
                } catch (const futures::CancelledError&) {
                    return {cancelled};
                }
            }();
            if ((ending.outcome & pools_.plan.always()) == 0 &&
                !tells_of_deaths(ending.text)) {
                note("an item of a map ended wrongly: " + ending.text);
            }
        }
    }

    void end_endless() {
        for (const auto& record : records_) {
            if (record->endless && record->future) {
                record->cancel_asked = true;
                record->future->cancel(futures::running);
            }
        }
    }

    std::vector<RecordPtr> by_hand_;
};

}  // namespace soak

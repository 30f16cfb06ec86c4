// SPDX-License-Identifier: BSL-1.0
// All that a round of a soak decides by its seed: its random numbers, and the pools.
#pragma once

#include "futures/process_pool_options.hpp"
#include "mp/context.hpp"

#include "faults/soak_records.hpp"
#include "support/sanitizer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace soak {

/// The same numbers for the same seed, everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint32_t below(std::uint32_t n) {
        return static_cast<std::uint32_t>(engine_() % n);
    }

    std::uint32_t between(std::uint32_t first, std::uint32_t last) {
        return first + below(last - first + 1);
    }

    bool one_in(std::uint32_t n) { return below(n) == 0; }

    std::uint64_t seed() { return engine_(); }

private:
    std::mt19937_64 engine_;
};

/// How a round ends its process pool.
enum class End : std::uint8_t {
    destroyed,
    shut_down,
    not_waited_for,
    called_off,
    terminated,
    killed,
};

inline constexpr const char* end_names[] = {
    "destroyed",
    "shut down",
    "shut down without a wait",
    "shut down and cancelled",
    "terminated",
    "killed"};

struct Plan {
    explicit Plan(std::uint64_t seed_of_round)
        : seed(seed_of_round), random(seed_of_round) {
        const std::vector<mp::StartMethod> methods =
            test::under_tsan
                ? std::vector{mp::StartMethod::spawn, mp::StartMethod::forkserver}
                : std::vector{
                      mp::StartMethod::fork,
                      mp::StartMethod::spawn,
                      mp::StartMethod::forkserver};
        // By turns, so that a few rounds in a row have all.
        const auto method = methods[seed % methods.size()];
        options.mp_context = mp::get_context(method);
        options.max_workers = random.between(1, 4);
        options.on_worker_loss = random.one_in(4)   ? futures::OnWorkerLoss::break_pool
                                 : random.one_in(3) ? futures::OnWorkerLoss::retry
                                                    : futures::OnWorkerLoss::isolate;
        kills = !random.one_in(4);
        end = static_cast<End>(random.below(6));
        ends_early = random.one_in(4);
        threads = random.between(1, 3);
        operations = random.between(40, 160);
        if (random.one_in(4)) {
            options.initializer = mp::call(do_nothing);
        }
        if (random.one_in(4)) {
            options.finalizer = mp::call(do_nothing);
        }
        options.capture_output = random.one_in(4);
        if (random.one_in(4)) {
            options.idle_timeout = std::chrono::milliseconds(random.between(5, 40));
            options.min_workers = random.below(2);
        }
        if (method != mp::StartMethod::fork && random.one_in(4)) {
            options.max_tasks_per_child = random.between(3, 20);
        }
        if (random.one_in(5)) {
            options.max_losses = {.count = 20, .within = std::chrono::seconds(10)};
        }
        name = "seed " + std::to_string(seed) + ": " + std::string(to_string(method)) +
               ", " + std::to_string(options.max_workers->value()) + " workers, " +
               (breaks()    ? "break_pool"
                : retries() ? "retry"
                            : "isolate") +
               (kills ? ", killed" : "") + (options.capture_output ? ", output" : "") +
               ", " + std::to_string(threads) + " threads, " +
               std::to_string(operations) + " operations, " +
               (ends_early ? "early " : "") + end_names[static_cast<int>(end)];
    }

    bool breaks() const {
        return options.on_worker_loss == futures::OnWorkerLoss::break_pool;
    }

    bool retries() const {
        return options.on_worker_loss == futures::OnWorkerLoss::retry;
    }

    bool is_forced() const { return end == End::terminated || end == End::killed; }

    /// How any task of the process pool may end, whatever it does.
    Outcomes always() const {
        Outcomes may = value;
        may |= kills ? lost : 0;
        may |= breaks() ? lost | broken : 0;
        may |=
            is_forced() || options.max_losses.count.value() < PTRDIFF_MAX ? broken : 0;
        may |= end == End::called_off ? cancelled : 0;
        return may;
    }

    std::uint64_t seed;
    Random random;
    futures::ProcessPoolOptions options;
    bool kills = false;
    bool ends_early = false;  ///< while clients still submit
    End end = End::destroyed;
    std::uint32_t threads = 1;
    std::uint32_t operations = 0;  ///< of each client
    std::string name;
};

}  // namespace soak

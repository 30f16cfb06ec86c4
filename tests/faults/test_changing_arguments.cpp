// SPDX-License-Identifier: BSL-1.0
// Arguments that another thread changes while they are written: the worker gets what
// was written, whole, and nothing that came later. The cases: docs/faults.md.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::Gate;
using test::inc;
using test::on;

namespace {

using Counters = std::vector<std::atomic<std::uint64_t>>;

/// Written from counters that go on counting, with the sum of what was written.
struct RunningCounters {
    const Counters* from = nullptr;
    std::vector<std::uint64_t> numbers = {};
    std::uint64_t sum = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        std::uint64_t count = from != nullptr ? from->size() : 0;
        archive& count;
        if constexpr (Archive::is_saving::value) {
            std::uint64_t total = 0;
            for (const auto& counter : *from) {
                std::uint64_t number = counter.load();
                archive& number;
                total += number;
            }
            archive& total;
        } else {
            numbers.resize(count);
            for (auto& number : numbers) {
                archive& number;
            }
            archive& sum;
        }
    }
};

struct Arrived {
    std::size_t count = 0;
    bool is_whole = false;
    std::uint64_t least = 0;
    std::uint64_t most = 0;
};

Arrived arrived(const RunningCounters& counters) {
    const auto& all = counters.numbers;
    const auto sum = std::accumulate(all.begin(), all.end(), std::uint64_t{0});
    const auto [least, most] = std::minmax_element(all.begin(), all.end());
    return {all.size(), sum == counters.sum, *least, *most};
}

/// Counts all of them up, one after the other, as long as it lives.
class Counting {
public:
    explicit Counting(std::size_t count)
        : counters_(count), thread_([this] {
              while (!stops_.load()) {
                  for (auto& counter : counters_) {
                      counter.fetch_add(1);
                  }
              }
          }) {}

    ~Counting() {
        stops_.store(true);
        thread_.join();
    }

    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;

    const Counters& counters() const { return counters_; }

    /// Of the first one, after it has counted on.
    std::uint64_t later_number() const {
        const std::uint64_t now = counters_[0].load();
        while (counters_[0].load() < now + 2) {
            std::this_thread::yield();
        }
        return counters_[0].load();
    }

private:
    Counters counters_;
    std::atomic<bool> stops_{false};
    std::thread thread_;
};

/// Bytes that are one of two, and how many there are.
std::pair<std::size_t, bool> only_a_or_b(const std::vector<char>& bytes) {
    return {bytes.size(), std::all_of(bytes.begin(), bytes.end(), [](char c) {
                return c == 'a' || c == 'b';
            })};
}

}  // namespace

TEST_CASE(
    "A9: an argument that another thread changes arrives as it was written", "[faults]"
) {
    const auto context = each_pool_start_method();
    // In a slot, and in an arena.
    const std::size_t count = GENERATE(4U, 20'000U);
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    pool.bootup();
    const auto busy = pool.submit(test::pass, gate.path());
    std::vector<Future<Arrived>> all;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> bounds;
    {
        const Counting counting(count);
        for (int i = 0; i < 20; ++i) {
            const std::uint64_t before = counting.counters().back().load();
            all.push_back(pool.submit(arrived, RunningCounters{&counting.counters()}));
            bounds.emplace_back(before, counting.counters().front().load());
            counting.later_number();
        }
    }
    gate.open(1);
    busy.result(60s);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const Arrived one = all[i].result(60s);
        CHECK(one.count == count);
        CHECK(one.is_whole);
        CHECK(one.least >= bounds[i].first);
        CHECK(one.most <= bounds[i].second);
    }
    CHECK(pool.statistics().workers_lost == 0);
}

// A race of the program's own: its bytes are any, and no more than those.
TEST_CASE(
    "A9: bytes that are changed while they are written harm no other call",
    "[faults][no-tsan]"
) {
    const std::size_t size = GENERATE(60U, 3'000U, 2'000'000U);
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    pool.bootup();
    std::vector<char> bytes(size, 'a');
    std::atomic<bool> stops{false};
    std::thread changing([&] {
        for (char c = 'a'; !stops.load(); c = c == 'a' ? 'b' : 'a') {
            for (char& byte : bytes) {
                static_cast<volatile char&>(byte) = c;
            }
        }
    });
    std::vector<Future<std::pair<std::size_t, bool>>> raced;
    std::vector<Future<int>> good;
    for (int i = 0; i < 20; ++i) {
        raced.push_back(pool.submit(only_a_or_b, bytes));
        good.push_back(pool.submit(inc, i));
    }
    stops.store(true);
    changing.join();
    for (std::size_t i = 0; i < raced.size(); ++i) {
        CHECK(raced[i].result(60s) == std::pair(size, true));
        CHECK(good[i].result(60s) == static_cast<int>(i) + 1);
    }
    CHECK(pool.statistics().workers_lost == 0);
}

// SPDX-License-Identifier: BSL-1.0
// Compares ThreadPoolExecutor with Boost.Asio's thread_pool and oneTBB, in one run:
//   throughput  submit 100,000 empty calls with a future each, then read all results
//   fan-out     submit 1,000,000 empty calls and forget them, wait until all have run
//   latency     submit one call, read its result, again and again
// Asio and oneTBB have no futures of their own: std::packaged_task gives them one for
// throughput and latency. Each round runs all candidates in turn; medians are printed.
#include "futures/thread_pool.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Ours {
    explicit Ours(int workers) : pool(workers) {}

    auto submit() {
        return pool.submit([] { return 1; });
    }

    static int get(futures::Future<int>& future) { return future.result(); }

    template <class F>
    void post(F f) {
        pool.submit(f);
    }

    futures::ThreadPoolExecutor pool;
};

template <class Pool>
auto submit_packaged(Pool& pool) {
    std::packaged_task<int()> task([] { return 1; });
    auto future = task.get_future();
    pool.post_any(std::move(task));
    return future;
}

struct Asio {
    explicit Asio(int workers) : pool(static_cast<std::size_t>(workers)) {}

    ~Asio() { pool.join(); }

    template <class F>
    void post_any(F f) {
        boost::asio::post(pool, std::move(f));
    }

    auto submit() { return submit_packaged(*this); }

    static int get(std::future<int>& future) { return future.get(); }

    template <class F>
    void post(F f) {
        boost::asio::post(pool, f);
    }

    boost::asio::thread_pool pool;
};

struct Tbb {
    explicit Tbb(int workers)
        : limit(
              oneapi::tbb::global_control::max_allowed_parallelism,
              static_cast<std::size_t>(workers) + 1
          ),
          arena(workers + 1, 1) {}

    template <class F>
    void post_any(F f) {
        // enqueue() wants to copy what it runs.
        arena.enqueue([shared = std::make_shared<F>(std::move(f))] { (*shared)(); });
    }

    auto submit() { return submit_packaged(*this); }

    static int get(std::future<int>& future) { return future.get(); }

    template <class F>
    void post(F f) {
        arena.enqueue(f);
    }

    oneapi::tbb::global_control limit;
    oneapi::tbb::task_arena arena;
};

template <class Pool>
double throughput(Pool& pool) {
    constexpr int count = 100000;
    std::vector<decltype(pool.submit())> futures;
    futures.reserve(count);
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) {
        futures.push_back(pool.submit());
    }
    long sum = 0;
    for (auto& future : futures) {
        sum += Pool::get(future);
    }
    if (sum != count) {
        std::abort();
    }
    return count / seconds_since(start) / 1e6;
}

template <class Pool>
double fan_out(Pool& pool) {
    constexpr int count = 1000000;
    static std::atomic<int> left;
    left = count;
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) {
        pool.post([] { left.fetch_sub(1, std::memory_order_relaxed); });
    }
    while (left.load(std::memory_order_acquire) != 0) {
        std::this_thread::yield();
    }
    return count / seconds_since(start) / 1e6;
}

template <class Pool>
double latency(Pool& pool) {
    constexpr int count = 2000;
    std::vector<double> times;
    times.reserve(count);
    for (int i = 0; i < count; ++i) {
        const auto start = Clock::now();
        auto future = pool.submit();
        Pool::get(future);
        times.push_back(seconds_since(start) * 1e6);
    }
    std::nth_element(times.begin(), times.begin() + count / 2, times.end());
    return times[count / 2];
}

using Samples = std::array<std::vector<double>, 3>;

double median(std::vector<double>& samples) {
    std::sort(samples.begin(), samples.end());
    return samples[samples.size() / 2];
}

template <class Pool>
void sample(int workers, Samples& samples) {
    Pool pool(workers);
    samples[0].push_back(throughput(pool));
    samples[1].push_back(fan_out(pool));
    samples[2].push_back(latency(pool));
}

void print(const char* name, Samples& samples, Samples& base) {
    std::array<double, 3> middle{};
    std::array<double, 3> ratio{};
    for (std::size_t i = 0; i < 3; ++i) {
        middle[i] = median(samples[i]);
        ratio[i] = middle[i] / median(base[i]);
    }
    std::printf(
        "%-20s %8.2f M/s %5.1fx  %8.2f M/s %5.1fx  %8.2f us %5.2fx\n",
        name,
        middle[0],
        ratio[0],
        middle[1],
        ratio[1],
        middle[2],
        ratio[2]
    );
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
    for (const int workers : {1, 2, 4}) {
        Samples ours;
        Samples asio;
        Samples tbb;
        for (int i = 0; i < rounds; ++i) {
            sample<Ours>(workers, ours);
            sample<Asio>(workers, asio);
            sample<Tbb>(workers, tbb);
        }
        std::printf(
            "%d worker%s             throughput           fan-out              "
            "latency   (x: against Asio)\n",
            workers,
            workers == 1 ? " " : "s"
        );
        print("ThreadPoolExecutor", ours, asio);
        print("asio::thread_pool", asio, asio);
        print("tbb::task_arena", tbb, asio);
    }
}

// SPDX-License-Identifier: BSL-1.0
// What a task with a future costs in a pool of two threads.
#include "futures/thread_pool.hpp"

#include "bench.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr int workers = 2;

/// What the rivals lack: a future for the result.
template <class Post>
std::future<int> with_future(Post post, int value) {
    auto task = std::make_shared<std::packaged_task<int()>>([value] { return value; });
    std::future<int> future = task->get_future();
    post([task = std::move(task)] { (*task)(); });
    return future;
}

template <class Submit>
double throughput_of(int rounds, std::size_t count, Submit submit) {
    return static_cast<double>(count) / seconds_of(rounds, [&] {
               std::vector<decltype(submit(0))> all;
               all.reserve(count);
               for (std::size_t i = 0; i != count; ++i) {
                   all.push_back(submit(static_cast<int>(i)));
               }
               int sum = 0;
               for (auto& one : all) {
                   if constexpr (requires { one.result(); }) {
                       sum += one.result();
                   } else {
                       sum += one.get();
                   }
               }
               keep(sum);
           });
}

template <class Submit>
double latency_of(int rounds, Submit submit) {
    constexpr int batch = 1000;
    return seconds_of(
               rounds,
               [&] {
                   for (int i = 0; i != batch; ++i) {
                       auto future = submit(i);
                       if constexpr (requires { future.result(); }) {
                           keep(future.result());
                       } else {
                           keep(future.get());
                       }
                   }
               }
           ) /
           batch * 1e6;
}

/// Tasks that nobody asks about, until all have run.
template <class Post>
double fan_out_of(int rounds, std::size_t count, Post post) {
    // Static: the last task may still be notifying when the wait is over.
    static std::atomic<std::size_t> left;
    return static_cast<double>(count) / seconds_of(rounds, [&] {
               left = count;
               for (std::size_t i = 0; i != count; ++i) {
                   post([] {
                       if (left.fetch_sub(1) == 1) {
                           left.notify_one();
                       }
                   });
               }
               for (std::size_t now = left; now != 0; now = left) {
                   left.wait(now);
               }
           });
}

}  // namespace

void bench_threads(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "threads");
    const int rounds = settings.quick ? 2 : 9;
    const std::size_t count = settings.quick ? 20'000 : 200'000;
    const std::string group = "thread pool, 2 threads, no-op tasks with a future each";
    Row throughput{group, "throughput", Unit::per_second, 0, {}, "Asio", 2};
    Row latency{group, "latency, one at a time", Unit::microseconds, 0, {}, "", {}};
    Row fan_out{group, "throughput, detached", Unit::per_second, 0, {}, "", {}};
    {
        futures::ThreadPoolExecutor pool(workers);
        const auto submit = [&](int i) {
            return pool.submit([i] { return i; });
        };
        throughput.ours = throughput_of(rounds, count, submit);
        latency.ours = latency_of(rounds, submit);
        fan_out.ours = fan_out_of(rounds, count, [&](auto work) { pool.submit(work); });
    }
    {
        boost::asio::thread_pool pool(workers);
        const auto submit = [&](int i) {
            return with_future(
                [&](auto work) { boost::asio::post(pool, std::move(work)); }, i
            );
        };
        throughput.others.emplace_back("Asio", throughput_of(rounds, count, submit));
        latency.others.emplace_back("Asio", latency_of(rounds, submit));
        fan_out.others.emplace_back("Asio", fan_out_of(rounds, count, [&](auto work) {
                                        boost::asio::post(pool, work);
                                    }));
        pool.join();
    }
    {
        // The calling thread has a place of its own in an arena, and counts here, too:
        // on two processors oneTBB would start only one worker.
        const oneapi::tbb::global_control parallelism(
            oneapi::tbb::global_control::max_allowed_parallelism, workers + 1
        );
        oneapi::tbb::task_arena arena(workers + 1);
        oneapi::tbb::task_group tasks;
        const auto submit = [&](int i) {
            return with_future(
                [&](auto work) { arena.execute([&] { tasks.run(std::move(work)); }); },
                i
            );
        };
        throughput.others.emplace_back("oneTBB", throughput_of(rounds, count, submit));
        latency.others.emplace_back("oneTBB", latency_of(rounds, submit));
        fan_out.others.emplace_back("oneTBB", fan_out_of(rounds, count, [&](auto work) {
                                        arena.execute([&] { tasks.run(work); });
                                    }));
        arena.execute([&] { tasks.wait(); });
    }
    add_figure(throughput, "CPython", python, "throughput");
    add_figure(latency, "CPython", python, "latency");
    table.add(std::move(throughput));
    table.add(std::move(latency));
    table.add(std::move(fan_out));
}

}  // namespace bench

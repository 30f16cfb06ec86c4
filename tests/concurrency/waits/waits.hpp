// SPDX-License-Identifier: BSL-1.0
// The waits of libmp::concurrency, without those for child programs, and what they
// need.
#pragma once

#include "futures/thread_pool.hpp"

#include "concurrency/concurrency.hpp"
#include "concurrency/signals.hpp"
#include "each_wait.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// Where threads are held up.
class Barred {
public:
    void pass() {
        std::unique_lock lock(mutex_);
        has_one_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return is_open_; });
    }

    /// Until one is.
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return has_one_; });
    }

    void open() {
        const std::lock_guard lock(mutex_);
        is_open_ = true;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_open_ = false;
    bool has_one_ = false;
};

/// What the waits of the table wait in.
class Stage {
public:
    Stage() = default;
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    ~Stage() { open(); }

    void prepare();

    void open() const { barred->open(); }

    void wait_for_thread() const { barred->wait(); }

    std::string traces() const;

    futures::ThreadPoolExecutor& pool();

    const std::shared_ptr<Barred> barred = std::make_shared<Barred>();
    concurrency::Lock lock;
    concurrency::Semaphore semaphore{0};
    concurrency::CapacityLimiter limiter{0};
    concurrency::Event event;
    concurrency::Condition condition;
    concurrency::Queue<int> full{1};
    concurrency::Queue<int> empty{1};
    concurrency::PriorityQueue<int> full_by_priority{1};
    concurrency::PriorityQueue<int> empty_by_priority{1};
    std::pair<
        concurrency::MemoryObjectSendStream<int>,
        concurrency::MemoryObjectReceiveStream<int>>
        stream = concurrency::create_memory_object_stream<int>(0);
    std::pair<
        concurrency::MemoryObjectSendStream<int>,
        concurrency::MemoryObjectReceiveStream<int>>
        other_stream = concurrency::create_memory_object_stream<int>(0);
    futures::Future<int> future;
    concurrency::FutureStream<int> futures =
        concurrency::as_completed(std::vector<futures::Future<int>>{future});
    std::optional<concurrency::SignalReceiver> signals;

private:
    std::optional<futures::ThreadPoolExecutor> pool_;
};

/// All of them.
const std::vector<Wait<Stage>>& waits();

}  // namespace test

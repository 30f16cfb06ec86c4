// SPDX-License-Identifier: BSL-1.0
// Mutex, MutexLock and CondVar: they do what std's do.
#include "mp/thread_safety.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using mp::detail::CondVar;
using mp::detail::Mutex;
using mp::detail::MutexLock;

namespace {

/// A number with its lock, as classes have it.
class Counter {
public:
    void add(int n) MP_EXCLUDES(mutex_) {
        const MutexLock held(mutex_);
        value_ += n;
        changed_.notify_all();
    }

    void wait_for(int value) MP_EXCLUDES(mutex_) {
        const MutexLock held(mutex_);
        while (value_ < value) {
            changed_.wait(mutex_);
        }
    }

    /// False when the value is not there at the deadline.
    bool wait_for(int value, const mp::Deadline& deadline) MP_EXCLUDES(mutex_) {
        const MutexLock held(mutex_);
        while (value_ < value) {
            if (!changed_.wait_until(mutex_, deadline)) {
                return false;
            }
        }
        return true;
    }

private:
    Mutex mutex_;
    CondVar changed_;
    int value_ MP_GUARDED_BY(mutex_) = 0;
};

bool is_free(Mutex& mutex) {
    bool got = false;
    std::thread([&] {
        if (mutex.try_lock()) {
            got = true;
            mutex.unlock();
        }
    }).join();
    return got;
}

}  // namespace

TEST_CASE("Mutex: is one thread's at a time", "[thread_safety]") {
    Mutex mutex;
    CHECK(is_free(mutex));
    mutex.lock();
    CHECK_FALSE(is_free(mutex));
    mutex.unlock();
    CHECK(is_free(mutex));
}

TEST_CASE("MutexLock: holds as long as it lives", "[thread_safety]") {
    Mutex mutex;
    {
        const MutexLock held(mutex);
        CHECK_FALSE(is_free(mutex));
    }
    CHECK(is_free(mutex));
}

TEST_CASE("CondVar: a notification ends the wait", "[thread_safety]") {
    Counter counter;
    std::vector<std::thread> waiters;
    for (int i = 0; i < 3; ++i) {
        waiters.emplace_back([&] { counter.wait_for(2); });
    }
    counter.add(1);
    counter.add(1);
    for (std::thread& waiter : waiters) {
        waiter.join();
    }
    CHECK(counter.wait_for(2, mp::Deadline(0s)));
}

TEST_CASE(
    "CondVar: a deadline ends it, too, and not before its time", "[thread_safety]"
) {
    Counter counter;
    const auto begin = std::chrono::steady_clock::now();
    CHECK_FALSE(counter.wait_for(1, mp::Deadline(30ms)));
    CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
    CHECK_FALSE(counter.wait_for(1, mp::Deadline(0s)));
}

TEST_CASE("CondVar: with the deadline `forever` it waits for ever", "[thread_safety]") {
    Counter counter;
    bool came = false;
    std::thread waiter([&] { came = counter.wait_for(1, mp::Deadline(mp::forever)); });
    counter.add(1);
    waiter.join();
    CHECK(came);
}

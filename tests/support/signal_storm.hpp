// SPDX-License-Identifier: BSL-1.0
// SignalStorm: while it lives, SIGUSR1 hits the thread that made it every millisecond,
// so that each blocking call in between is interrupted many times.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace test {

class SignalStorm {
public:
    SignalStorm() : target_(::pthread_self()) {
        raise_wind();
        count_before_ = received();
        sender_ = std::thread([this] {
            std::unique_lock held(mutex_);
            while (!stop_.wait_for(held, std::chrono::milliseconds(1), [this] {
                return stopping_;
            })) {
                ::pthread_kill(target_, SIGUSR1);
            }
        });
    }

    ~SignalStorm() {
        {
            const std::lock_guard held(mutex_);
            stopping_ = true;
        }
        stop_.notify_one();
        sender_.join();
        calm_down();
    }

    SignalStorm(const SignalStorm&) = delete;
    SignalStorm& operator=(const SignalStorm&) = delete;

    /// How many signals this storm has delivered.
    int count() const { return received() - count_before_; }

private:
    // One handler for all storms: several may blow at once, and end in any order.
    struct Wind {
        std::mutex mutex;
        int storms = 0;
        struct sigaction before {};
    };

    static Wind& wind() {
        static Wind instance;
        return instance;
    }

    static void raise_wind() {
        const std::lock_guard held(wind().mutex);
        struct sigaction action {};
        action.sa_handler = [](int) {
            ++received();
        };  // no SA_RESTART: EINTR it is
        if (wind().storms == 0 && ::sigaction(SIGUSR1, &action, &wind().before) != 0) {
            throw std::runtime_error("sigaction(SIGUSR1)");
        }
        ++wind().storms;
    }

    static void calm_down() {
        const std::lock_guard held(wind().mutex);
        if (--wind().storms == 0) {
            ::sigaction(SIGUSR1, &wind().before, nullptr);
        }
    }

    static std::atomic<int>& received() {
        static std::atomic<int> count = 0;
        return count;
    }

    pthread_t target_;
    int count_before_ = 0;
    std::mutex mutex_;
    std::condition_variable stop_;
    bool stopping_ = false;
    std::thread sender_;
};

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/stop_watch.hpp"

#include "mp/errors.hpp"

#include "os/signals.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

StopWatch::~StopWatch() {
    if (!creator_.is_here()) {
        std::thread parents = std::move(thread_);
        if (parents.joinable()) {
            parents.detach();  // it is not in this process
        }
        return;
    }
    std::thread thread;
    {
        const MutexLock lock(mutex_);
        ending_ = true;
        thread = std::move(thread_);
    }
    if (thread.joinable()) {
        control_.stops.fetch_add(1);
        futex_wake(control_.stops, mp::detail::everybody, FutexScope::shared);
        thread.join();
    }
}

std::stop_token StopWatch::token_of(std::uint64_t position) {
    if (!creator_.is_here()) {
        throw mp::StateError(
            "the stop token of a task is for the process that runs it: a child that "
            "the task has forked gets none"
        );
    }
    std::stop_source source(std::nostopstate);
    {
        const MutexLock lock(mutex_);
        if (position_ != position) {
            source_ = std::stop_source();
            position_ = position;
        }
        source = source_;
        if (!thread_.joinable()) {
            const mp::os::SignalsBlocked blocked;  // they are the task's business
            thread_ =
                std::thread([this, counted = mp::detail::LibraryThread()] { run(); });
        }
    }
    if (is_to_stop(position)) {
        source.request_stop();
    }
    return source.get_token();
}

void StopWatch::run() noexcept {
    pthread_setname_np(pthread_self(), "mp-stop");
    for (;;) {
        // Before the look: what is stored after it changes this word.
        const std::uint32_t seen = control_.stops.load();
        if (!pass_on()) {
            return;
        }
        futex_wait(control_.stops, seen, mp::Deadline(mp::forever), FutexScope::shared);
    }
}

/// False when it is time to end.
bool StopWatch::pass_on() noexcept {
    std::stop_source source(std::nostopstate);
    {
        const MutexLock lock(mutex_);
        if (ending_) {
            return false;
        }
        if (is_to_stop(position_)) {
            source = source_;
        }
    }
    source.request_stop();  // callbacks of the task run in here
    return true;
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "concurrency/bounded_map.hpp"
#include "concurrency/completion_stream.hpp"
#include "concurrency/errors.hpp"

namespace concurrency::detail {

StreamState::StreamState(std::size_t total, const CompletionStreamOptions& options)
    : total_(total),
      limit_(options.limit ? static_cast<std::size_t>(*options.limit) : total),
      errors_too_(options.return_exceptions) {
    if (options.limit && *options.limit < 1) {
        throw_limit_below_one();
    }
}

StreamState::Open::Open(StreamState& stream) : stream_(stream) {
    if (stream.was_opened_) {
        throw RuntimeError("a CompletionStream can be run once, and it has been");
    }
    stream.was_opened_ = true;
    stream.task_ = &this_task();
}

StreamState::Open::~Open() {
    stream_.task_ = nullptr;
    stream_.wake_all();
}

void StreamState::wake_all() noexcept {
    while (!waiters_.empty()) {
        NextWait& wait = waiters_.pop_front();
        wait.is_left_out = !ended();
        wait.task().wake();
    }
}

void StreamState::throw_not_open() {
    throw RuntimeError("next() of a CompletionStream works in the body of its run()");
}

void StreamState::check_open(const LoopTask& task) const {
    if (task_ == nullptr) {
        throw_not_open();
    }
    if (&task_->loop() != &task.loop()) {
        throw RuntimeError("the CompletionStream belongs to another loop");
    }
}

}  // namespace concurrency::detail

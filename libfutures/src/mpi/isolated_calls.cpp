// SPDX-License-Identifier: BSL-1.0
#include "mpi/isolated_calls.hpp"

#include "futures/errors.hpp"
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "mpi/rank_environment.hpp"
#include "process_pool/call_trailer.hpp"
#include "process_pool/process_pool_core.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

class RelayedTask final : public PoolTask, public Recycled {
public:
    RelayedTask(
        std::shared_ptr<RemotePool> pool,
        IsolatedCalls& calls,
        const MessageHead& frame_head,
        std::span<const std::byte> call
    )
        : PoolTask(std::move(pool), TaskName::of(nullptr, "a task")),
          head(frame_head),
          calls_(calls),
          begin_size_(std::min(call.size(), begin_.size())) {
        std::copy_n(call.begin(), begin_size_, begin_.begin());
    }

    ~RelayedTask() = default;

    /// By what its call begins with, which is enough for that.
    std::string label() const override {
        if (control != nullptr && !control->name.empty()) {
            return control->name;
        }
        return mp::detail::call_name(
            std::span(begin_).first(begin_size_), mp::detail::CallOrigin::peer
        );
    }

    /// What became of it before, in whichever rank: a crash report counts that.
    void go_on_from(const MessageHead& call) {
        attempt = call.attempt;
        losses = call.losses;
        time_outs = call.time_outs;
        if (attempt > losses + 1) {
            // The others threw. They are the master's to run again.
            retry = std::make_unique<RetryPlan>();
            retry->ended = attempt - 1 - losses;
        }
    }

    // -- for the board

    bool finish() noexcept override {
        // From here on it may be gone.
        finished_ = true;
        calls_.ended(*this);
        return false;
    }

    void finish_callbacks() override {}

    void cancel_future() override {
        end = TaskEnd::cancelled;
        finish();
    }

    bool is_finished() const noexcept override { return finished_; }

    const MessageHead head;
    const std::chrono::steady_clock::time_point begun =
        std::chrono::steady_clock::now();

private:
    IsolatedCalls& calls_;
    std::atomic<bool> finished_{false};
    std::array<std::byte, 256> begin_{};
    const std::size_t begin_size_;
};

namespace {

std::uint32_t worker_count(const OpenExecutor& open, int neighbours) {
    constexpr int most = 512;
    const int each = std::clamp(all_processors() / std::max(neighbours, 1), 1, most);
    return open.workers != 0 ? open.workers : static_cast<std::uint32_t>(each);
}

ProcessPoolOptions
pool_options(std::uint32_t workers, std::span<const std::byte> initializer) {
    start_fork_server();
    ProcessPoolOptions options;
    options.max_workers = workers;
    options.mp_context = mp::Context(mp::StartMethod::forkserver);
    if (!initializer.empty()) {
        options.initializer = mp::Call(initializer);
    }
    options.on_worker_loss = OnWorkerLoss::isolate;
    // What is MPI's is this rank's alone.
    options.environment = without_mpi_variables();
    return options;
}

std::chrono::nanoseconds limit_of(std::int64_t nanoseconds) noexcept {
    return std::chrono::nanoseconds(nanoseconds);
}

}  // namespace

IsolatedCalls::IsolatedCalls(
    std::shared_ptr<Bell> bell,
    const OpenExecutor& open,
    int neighbours,
    std::span<const std::byte> initializer
)
    : bell_(std::move(bell)),
      workers_(worker_count(open, neighbours)),
      pool_(std::make_shared<ProcessPool>(pool_options(workers_, initializer))) {}

IsolatedCalls::~IsolatedCalls() {
    if (!tasks_.empty()) {
        pool_->force_shutdown(SIGKILL);  // nobody waits for them any more
    }
    pool_->close();
    while (RelayedTask* const task = take_ended()) {
        release(task);
    }
}

void IsolatedCalls::bootup() {
    pool_->bootup();
}

void IsolatedCalls::submit(
    const MessageHead& head, std::span<const std::byte> message
) {
    auto task =
        std::unique_ptr<RelayedTask>(new RelayedTask(pool_, *this, head, message));
    const bool has_trailer = (head.flags & MessageHead::has_trailer) != 0;
    SubmitOptions options;
    if (const auto trailed = has_trailer ? without_trailer(message) : std::nullopt) {
        options.name = trailed->name;
    }
    if (head.limit > 0) {
        options.timeout = limit_of(head.limit);
        options.grace = limit_of(head.grace);
        options.kill_after = limit_of(head.kill_after);
    }
    task->take(TaskOptions(options));
    task->has_trailer = has_trailer;
    task->go_on_from(head);
    tasks_.emplace(head.task, task.get());
    RelayedTask& given = *task.release();
    try {
        if (message.size() > mp::detail::ByteWriter::inline_size) {
            Block none;
            Block block =
                pool_->grow_call(none, message, {message.size(), message.size()});
            block.shorten(message.size());
            given.message.adopt(std::move(block));
            pool_->submit(given, {});
        } else {
            pool_->submit(given, message);
        }
    } catch (...) {
        release(&given);
        throw;
    }
}

void IsolatedCalls::stop(std::uint64_t number) {
    const auto found = tasks_.find(number);
    if (found == tasks_.end()) {
        return;
    }
    RelayedTask& task = *found->second;
    // One that is queued may be taken by a worker in between.
    while (pool_->stop(task) == StopAnswer::queued) {
        if (pool_->board().cancel(task)) {
            pool_->board().cancelled(task);
            task.cancel_future();
            return;
        }
    }
}

void IsolatedCalls::ended(RelayedTask& task) noexcept {
    {
        const MutexLock lock(mutex_);
        ended_.push_back(task);
    }
    bell_->ring();
}

RelayedTask* IsolatedCalls::take_ended() noexcept {
    const MutexLock lock(mutex_);
    return ended_.empty() ? nullptr : static_cast<RelayedTask*>(&ended_.pop_front());
}

MessageHead IsolatedCalls::head_of(const RelayedTask& task) noexcept {
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - task.begun;
    MessageHead head = task.head;
    head.flags = 0;
    head.losses = task.losses;
    head.time_outs = task.time_outs;
    head.limit = took.count();
    return head;
}

FrameKind IsolatedCalls::outcome(
    RelayedTask& task,
    mp::detail::ByteWriter& scratch,
    const std::string& where,
    std::span<const std::byte>& payload
) {
    switch (task.end) {
    case TaskEnd::value:
        payload = task.message.bytes();
        return FrameKind::value;
    case TaskEnd::exception:
        payload = task.message.bytes();
        return FrameKind::exception;
    case TaskEnd::stopped:
    case TaskEnd::cancelled:
        return FrameKind::stopped;
    case TaskEnd::failed:
        break;
    }
    mp::detail::encode_exception(scratch, task.failure, where);
    payload = scratch.data();
    return FrameKind::lost;
}

void IsolatedCalls::release(RelayedTask* task) noexcept {
    tasks_.erase(task->head.task);
    delete task;
}

}  // namespace futures::detail

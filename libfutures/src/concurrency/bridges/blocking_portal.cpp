// SPDX-License-Identifier: BSL-1.0
#include "concurrency/blocking_portal.hpp"

#include "mp/thread_safety.hpp"

#include "concurrency/detail/waiter.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/from_thread.hpp"
#include "concurrency/loop/loop.hpp"
#include "util/diagnostics.hpp"

#include <pthread.h>

#include <mutex>
#include <new>
#include <optional>
#include <thread>

namespace concurrency {

namespace detail {

class PortalState {
public:
    void begin() {
        const mp::detail::MutexLock lock(mutex_);
        if (has_begun_) {
            throw RuntimeError("a BlockingPortal can be run once, and it has been");
        }
        has_begun_ = true;
    }

    void open(const TaskGroup& group) {
        const mp::detail::MutexLock lock(mutex_);
        token_ = current_token();
        group_ = group;
        is_open_ = true;
    }

    /// What calls need. Throws RuntimeError unless it is open.
    EventLoopToken token() const {
        const mp::detail::MutexLock lock(mutex_);
        check_open();
        return *token_;
    }

    TaskGroup group() const {
        const mp::detail::MutexLock lock(mutex_);
        check_open();
        return *group_;
    }

    // -- In the loop.

    void check_loop() const {
        const mp::detail::MutexLock lock(mutex_);
        const Loop* loop = Loop::running();
        if (!token_ || loop == nullptr || loop->mailbox().get() != &token_->mailbox()) {
            throw RuntimeError("this is for the loop that the portal leads into");
        }
    }

    void stop() noexcept {
        {
            const mp::detail::MutexLock lock(mutex_);
            is_open_ = false;
        }
        is_stopped_ = true;
        while (!sleepers_.empty()) {
            sleepers_.pop_front().task().wake();
        }
    }

    void cancel() {
        std::optional<TaskGroup> group;
        {
            const mp::detail::MutexLock lock(mutex_);
            group = group_;
        }
        group->cancel();
    }

    bool is_stopped() const noexcept { return is_stopped_; }

    void add(Waiter& sleeper) noexcept { sleepers_.push_back(sleeper); }

private:
    void check_open() const MP_REQUIRES(mutex_) {
        if (!is_open_) {
            throw RuntimeError("the portal is not open: its block has ended, or has "
                               "not begun");
        }
    }

    mutable mp::detail::Mutex mutex_;
    bool has_begun_ MP_GUARDED_BY(mutex_) = false;
    bool is_open_ MP_GUARDED_BY(mutex_) = false;
    std::optional<EventLoopToken> token_ MP_GUARDED_BY(mutex_);
    std::optional<TaskGroup> group_ MP_GUARDED_BY(mutex_);
    // The loop's.
    bool is_stopped_ = false;
    List<Waiter> sleepers_;
};

/// A loop in a thread of its own, with a portal into it.
class PortalThread {
public:
    explicit PortalThread(const PortalOptions& options) {
        futures::Future<void> opened;
        thread_ = std::thread([this, options, opened] {
            if (!options.name.empty()) {
                pthread_setname_np(pthread_self(), options.name.substr(0, 15).c_str());
            }
            try {
                work(options.backend, opened);
            } catch (...) {
                error_ = std::current_exception();
                if (!opened.done()) {
                    opened.set_exception(error_);
                }
            }
        });
        try {
            opened.result();
        } catch (...) {
            thread_.join();
            throw;
        }
    }

    PortalThread(const PortalThread&) = delete;
    PortalThread& operator=(const PortalThread&) = delete;

    ~PortalThread() {
        // Without memory to say so the thread cannot be told; it comes back.
        while (thread_.joinable()) {
            try {
                stop(false);
            } catch (const std::bad_alloc&) {
                std::this_thread::yield();
            } catch (...) {
                mp::detail::log_error(
                    thread_.joinable()
                        ? "a portal is destroyed in its own loop, and waits for itself"
                        : "the loop of a portal has ended with an error"
                );
                return;
            }
        }
    }

    BlockingPortal& portal() noexcept { return portal_; }

    void stop(bool cancel_remaining) {
        check_other_thread(*token_);
        const mp::detail::MutexLock lock(stopping_);
        if (!thread_.joinable()) {
            return;
        }
        try {
            token_->run_sync_soon([portal = portal_, cancel_remaining] {
                portal.stop(cancel_remaining);
            });
        } catch (const RuntimeError&) {
            static_cast<void>(0);  // it has ended already
        }
        thread_.join();
        if (error_) {
            std::rethrow_exception(std::exchange(error_, nullptr));
        }
    }

private:
    void work(Backend backend, const futures::Future<void>& opened) {
        auto body = [&](BlockingPortal& portal) -> Task<> {
            token_ = current_token();
            opened.set_result();
            co_await portal.sleep_until_stopped();
        };
        concurrency::run([&] { return portal_.run(body); }, backend);
    }

    BlockingPortal portal_;
    std::optional<EventLoopToken> token_;  // set once, before it is used
    std::exception_ptr error_;             // of the thread, until it has ended
    mp::detail::Mutex stopping_;
    std::thread thread_;
};

}  // namespace detail

BlockingPortal::BlockingPortal() : state_(std::make_shared<detail::PortalState>()) {}

void BlockingPortal::begin() const {
    state_->begin();
}

void BlockingPortal::open(const TaskGroup& group) const {
    state_->open(group);
}

void BlockingPortal::check_other_thread() const {
    detail::check_other_thread(token());
}

EventLoopToken BlockingPortal::token() const {
    return state_->token();
}

TaskGroup BlockingPortal::group() const {
    return state_->group();
}

BlockingPortal::Stopping::~Stopping() {
    portal_.state_->stop();
}

void BlockingPortal::stop(bool cancel_remaining) const {
    state_->check_loop();
    state_->stop();
    if (cancel_remaining) {
        state_->cancel();
    }
}

Task<> BlockingPortal::sleep_until_stopped() const {
    detail::LoopTask& task = detail::this_task();
    const std::shared_ptr<detail::PortalState> state = state_;
    state->check_loop();
    task.check_cancelled();
    if (!state->is_stopped()) {
        detail::PlainWaiter sleeper(task, "BlockingPortal.sleep_until_stopped");
        state->add(sleeper);
        co_await sleeper;
    }
}

StartedPortal::StartedPortal(std::unique_ptr<detail::PortalThread> thread) noexcept
    : thread_(std::move(thread)) {}

StartedPortal::StartedPortal(StartedPortal&&) noexcept = default;
StartedPortal& StartedPortal::operator=(StartedPortal&&) noexcept = default;
StartedPortal::~StartedPortal() = default;

BlockingPortal& StartedPortal::operator*() const noexcept {
    return thread_->portal();
}

void StartedPortal::stop(bool cancel_remaining) {
    thread_->stop(cancel_remaining);
}

StartedPortal start_blocking_portal(PortalOptions options) {
    return StartedPortal(std::make_unique<detail::PortalThread>(options));
}

class BlockingPortalProvider::Shared {
public:
    explicit Shared(PortalOptions options) : options_(std::move(options)) {}

    std::shared_ptr<BlockingPortal> acquire() {
        const mp::detail::MutexLock lock(mutex_);
        if (auto portal = current_.lock()) {
            return portal;
        }
        const auto started =
            std::make_shared<StartedPortal>(start_blocking_portal(options_));
        std::shared_ptr<BlockingPortal> portal(started, &**started);
        current_ = portal;
        return portal;
    }

private:
    const PortalOptions options_;
    mp::detail::Mutex mutex_;
    std::weak_ptr<BlockingPortal> current_ MP_GUARDED_BY(mutex_);
};

BlockingPortalProvider::BlockingPortalProvider(PortalOptions options)
    : shared_(std::make_shared<Shared>(std::move(options))) {}

std::shared_ptr<BlockingPortal> BlockingPortalProvider::acquire() {
    return shared_->acquire();
}

}  // namespace concurrency
